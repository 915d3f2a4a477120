//! What tests of seals, and of what is built on them, begin with.

use std::sync::Arc;

use hopseal_identity::Kind;
use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};
use hopseal_identity::seal::KeySet;

use super::{MayReseal, MaySeal, SealChecker, SealRule, Sealer, Sealers, SealingKeys, public_jwks};
use crate::{Acting, Credential, Evidence, Fingerprint, Principal, Registry, UnixTime, Verified};

pub(crate) const NOW: UnixTime = UnixTime(1_767_225_600);
pub(crate) const TRACE: [u8; 16] = [0x4b; 16];

/// RFC 8037 appendix A.1 and RFC 8032 section 7.1, tests 2 and 3.
const KEYS: [(&str, &str); 3] = [
    ("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
    ("TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs", "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"),
    ("xaqN9D-fg3vtt0QvMdy3sWbThTUHbwlLhc46LgtEWPc", "_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU"),
];

pub(crate) fn jwk(kid: &str, which: usize, more: &str) -> String {
    let (d, x) = KEYS[which];
    format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","d":"{d}","x":"{x}"{more}}}"#)
}

pub(crate) fn keys(jwks: &[String]) -> SealingKeys {
    SealingKeys::from_jwks(format!(r#"{{"keys":[{}]}}"#, jwks.join(",")).as_bytes()).expect("keys")
}

pub(crate) fn registry() -> Registry {
    Registry::from_yaml(
        "
issuers:
  - {name: staff, kind: oidc, issuer: https://id.example.com, audiences: [orders], algorithms: [RS256]}
  - {name: partners, kind: oidc, issuer: https://p.example.com, audiences: [orders], algorithms: [RS256]}
  - {name: seals, kind: seal, issuer: example.org, jwks: '{\"keys\":[]}'}
",
    )
    .expect("registry")
}

/// `gateway` seals users of `staff` in the tenant `acme`; `worker` re-seals, within an hour, what waited ten minutes.
pub(crate) fn sealers() -> Arc<Sealers> {
    let staff = MaySeal::issuers(["staff"]).tenants(["acme", "Acme & Sons"]).kinds([Kind::User]);
    let bounds = MayReseal { max_count: 2, max_age: 3600, max_wait: 600 };
    let rules = [
        SealRule::new("gateway", "spiffe://example.org/gateway").may_seal(staff),
        SealRule::new("worker", "spiffe://example.org/worker").may_reseal(bounds),
        SealRule::new("idle", "spiffe://example.org/idle"),
    ];
    Arc::new(Sealers::new(&registry(), "seals", rules).expect("rules"))
}

pub(crate) fn pseudonyms() -> Arc<Pseudonyms> {
    Arc::new(Pseudonyms::new(PseudonymKey::new("p1", &[7; 32]).expect("key"), []).expect("keys"))
}

pub(crate) fn sealer(kid: &str, which: usize) -> Sealer {
    Sealer::new(keys(&[jwk(kid, which, "")]), sealers(), pseudonyms())
}

pub(crate) fn gateway() -> Sealer {
    sealer("gateway.1", 0)
}

pub(crate) fn worker() -> Sealer {
    sealer("worker", 1)
}

/// Knows the keys of all three.
pub(crate) fn checker() -> SealChecker {
    let all = [gateway(), worker(), sealer("idle", 2)];
    let (keys, skipped) =
        KeySet::from_jwks(&public_jwks(all.iter().map(Sealer::keys))).expect("what we publish can be read");
    assert_eq!(skipped, []);
    SealChecker::new(keys, sealers(), 5)
}

/// Alice of `staff` in the tenant `acme`, an agent acting for her, for an hour.
pub(crate) fn alice() -> Verified {
    Verified::new(
        Evidence {
            credential: Credential::AccessToken,
            issuer: "staff".to_owned(),
            algorithm: Some("RS256"),
            kid: Some("idp-1".to_owned()),
            token_id: None,
            subject: "alice".to_owned(),
            audience: Some("orders".to_owned()),
            issued_at: None,
            not_before: None,
            confirmation: None,
            proxy: None,
            fingerprint: Fingerprint([1; 32]),
            offered_key: false,
        },
        Principal {
            id: "alice".to_owned(),
            issuer: "https://id.example.com".to_owned(),
            kind: Kind::User,
            tenant: Some("acme".to_owned()),
            client: Some("web".to_owned()),
            session: Some("s-1".to_owned()),
            actors: vec![Acting { id: "planner".to_owned(), issuer: None, kind: Some(Kind::Agent) }],
            scopes: vec!["orders:read".to_owned()],
            roles: vec!["buyer".to_owned()],
            expiry: NOW.plus(3600),
        },
    )
}

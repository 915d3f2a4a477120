//! Keys, rules and tokens of the fleet.

use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopseal::seal::{MayReseal, MaySeal, SealChecker, SealRule, Sealer, Sealers, SealingKeys, public_jwks};
use hopseal::{Registry, UnixTime, Validator, keys::FixedKeys};
use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};
use hopseal_identity::seal::KeySet;

/// RFC 8037 appendix A.1; RFC 8032 section 7.1, tests 2 and 3.
const KEYS: [(&str, &str); 3] = [
    ("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
    ("TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs", "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"),
    ("xaqN9D-fg3vtt0QvMdy3sWbThTUHbwlLhc46LgtEWPc", "_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU"),
];

pub(crate) const TRUST_DOMAIN: &str = "example.org";

pub(crate) fn private_jwk(kid: &str, which: usize) -> String {
    let (d, x) = KEYS[which];
    format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","d":"{d}","x":"{x}"}}"#)
}

fn registry() -> Registry {
    let x = KEYS[0].1;
    Registry::from_yaml(&format!(
        r#"
issuers:
  - name: staff
    kind: static
    issuer: https://id.example
    jwks: '{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"{x}"}}]}}'
    audiences: [orders]
    algorithms: [EdDSA]
    claims: {{tenant: tid}}
  - {{name: seals, kind: seal, issuer: {TRUST_DOMAIN}, jwks: '{{"keys":[]}}'}}
"#
    ))
    .unwrap()
}

/// By these rules `gateway` seals, and `shipping` re-seals what waited ten minutes at most.
fn sealers() -> Arc<Sealers> {
    let bounds = MayReseal { max_count: 2, max_age: 3600, max_wait: 600 };
    let rules = [
        SealRule::new("gateway", "spiffe://example.org/gateway").may_seal(MaySeal::issuers(["staff"])),
        SealRule::new("shipping", "spiffe://example.org/shipping").may_reseal(bounds),
    ];
    Arc::new(Sealers::new(&registry(), "seals", rules).unwrap())
}

fn sealer(kid: &str, which: usize) -> Sealer {
    let keys =
        SealingKeys::from_jwks(format!(r#"{{"keys":[{}]}}"#, private_jwk(kid, which)).as_bytes()).unwrap();
    let pseudonyms = Pseudonyms::new(PseudonymKey::new("p1", &[7; 32]).unwrap(), []).unwrap();
    Sealer::new(keys, sealers(), Arc::new(pseudonyms))
}

pub(crate) fn gateway() -> Arc<Sealer> {
    Arc::new(sealer("gateway.1", 1))
}

pub(crate) fn shipping() -> Arc<Sealer> {
    Arc::new(sealer("shipping.1", 2))
}

/// What the trust domain publishes.
pub(crate) fn published() -> Vec<u8> {
    public_jwks([gateway().keys(), shipping().keys()])
}

pub(crate) fn checker() -> Arc<SealChecker> {
    let (keys, _) = KeySet::from_jwks(&published()).unwrap();
    Arc::new(SealChecker::new(keys, sealers(), 5))
}

pub(crate) fn validator(clock: UnixTime) -> Arc<Validator<FixedKeys>> {
    Arc::new(Validator::fixed(&registry()).unwrap().clock(clock))
}

/// An access token of `staff` (RFC 9068) with these claims in place of its own, signed by the key of that seed.
pub(crate) fn token(now: UnixTime, edits: &[(&str, serde_json::Value)], seed: &[u8]) -> String {
    let mut claims = serde_json::json!({
        "iss": "https://id.example", "aud": "orders", "sub": "alice", "client_id": "web", "jti": "j1", "tid": "acme",
        "iat": now.0, "exp": now.0 + 600, "scope": "orders:read orders:write",
    });
    for (name, value) in edits {
        claims[*name] = value.clone();
    }
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}"#);
    let body = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = Ed25519KeyPair::from_seed_unchecked(seed).unwrap().sign(body.as_bytes());
    format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature))
}

pub(crate) fn issuer_seed() -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(KEYS[0].0).unwrap()
}

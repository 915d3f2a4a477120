//! Who is trusted by whom in the fleet. All keys are made for this run, and end with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopseal::http::{Http, HttpSettings};
use hopseal::keys::KeyStore;
use hopseal::seal::{MayReseal, MaySeal, SealRule, SealingKeys, Seals, public_jwks};
use hopseal::{Algorithm, Claims, IssuerBuilder, IssuerKind, Registry, Validator};
use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};

use super::error::DemoError;
use super::realm::{Kind, Realm};

/// What the services of the fleet have in common.
pub(super) const TRUST_DOMAIN: &str = "shop.example";
/// Whom access tokens are for: any service of the shop.
pub(super) const AUDIENCE: &str = "shop";
/// How many seconds clocks may be apart, to services and collector alike: there is one machine.
pub(super) const SKEW: u64 = 1;
/// The id of the key that pseudonyms are made with.
pub(super) const PSEUDONYM_KEY: &str = "p1";
/// How the registry calls the authority.
const STAFF: &str = "staff";
/// The services that validate credentials, and seal what they validated.
const SEALERS: [&str; 4] = ["gateway", "agent", "orders", "payments"];
/// The one that works on messages, and seals anew what came with them.
const RESEALER: &str = "mailer";

/// So many random bytes, as base64url.
pub(super) fn random<const BYTES: usize>() -> Result<String, DemoError> {
    let mut bytes = [0; BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| DemoError::Randomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Which claims of the authority say what, besides those that mean the same everywhere.
pub(super) fn issuer_claims() -> Claims {
    Claims { tenant: Some("tid".to_owned()), kind: Some("kind".to_owned()), ..Claims::default() }
}

/// The workload id of a service.
pub(super) fn workload(service: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/{service}")
}

/// Keys and rules of the fleet.
pub(super) struct Trust {
    registry: Registry,
    issuer: String,
    keys: BTreeMap<&'static str, SealingKeys>,
    published: Vec<u8>,
    pseudonym_key: String,
}

impl Trust {
    /// New keys, and trust in that realm.
    pub(super) fn new(realm: &Realm) -> Result<Self, DemoError> {
        let issuer = realm.issuer.as_str();
        let (kind, algorithm) = match realm.kind {
            Kind::Ours => (IssuerKind::OAuth2, Algorithm::EdDsa),
            Kind::Keycloak => (IssuerKind::Oidc, Algorithm::Rs256),
        };
        let staff = IssuerBuilder::new(kind, STAFF, issuer)
            .loopback_http()
            .audiences([AUDIENCE])
            .algorithms([algorithm])
            .skew(SKEW)
            .claims(issuer_claims());
        let seals = IssuerBuilder::new(IssuerKind::Seal, "seals", TRUST_DOMAIN).jwks(r#"{"keys":[]}"#);
        let registry = Registry::new([staff, seals]).map_err(DemoError::set_up("the trust registry"))?;
        let mut keys = BTreeMap::new();
        for service in SEALERS.into_iter().chain([RESEALER]) {
            keys.insert(service, sealing_key(service)?);
        }
        let published = public_jwks(keys.values());
        let pseudonym_key = random::<32>()?;
        Ok(Self { registry, issuer: issuer.to_owned(), keys, published, pseudonym_key })
    }

    /// The public keys of all that seal, as a JWK set.
    pub(super) fn published(&self) -> &[u8] {
        &self.published
    }

    /// The key that pseudonyms are made with, as base64url.
    pub(super) fn pseudonym_key(&self) -> &str {
        &self.pseudonym_key
    }

    fn pseudonyms(&self) -> Result<Pseudonyms, DemoError> {
        let key = PseudonymKey::from_base64url(PSEUDONYM_KEY, &self.pseudonym_key);
        let pseudonyms = key.and_then(|key| Pseudonyms::new(key, []));
        pseudonyms.map_err(DemoError::set_up("pseudonyms"))
    }

    /// What stands for a person on spans.
    pub(super) fn pseudonym(&self, person: &str) -> Result<String, DemoError> {
        Ok(self.pseudonyms()?.current().of(&self.issuer, person))
    }

    /// What a service seals and checks seals with. Each service has the rules, and its own key alone.
    pub(super) fn seals(&mut self, service: &'static str) -> Result<Seals, DemoError> {
        let keys = self.keys.remove(service).ok_or_else(|| DemoError::SetUp {
            what: "seals",
            source: format!("`{service}` has no key, or has it already").into(),
        })?;
        let sealer = |service| SealRule::new(service, workload(service)).may_seal(MaySeal::issuers([STAFF]));
        let mailer = SealRule::new(RESEALER, workload(RESEALER))
            .may_reseal(MayReseal { max_wait: 600, ..MayReseal::default() });
        let rules = SEALERS.into_iter().map(sealer).chain([mailer]);
        Seals::new(&self.registry, "seals", rules, keys, &self.published, self.pseudonyms()?)
            .map_err(DemoError::set_up("seals"))
    }

    /// What a service validates credentials with: keys are fetched from the authority when the first comes.
    pub(super) fn validator(&self) -> Result<Arc<Validator<KeyStore>>, DemoError> {
        let http = Http::new(&HttpSettings::default()).map_err(DemoError::set_up("a client for keys"))?;
        let keys = KeyStore::builder(&self.registry, http).build();
        let keys = keys.map_err(DemoError::set_up("the key store"))?;
        Ok(Arc::new(Validator::new(&self.registry, keys)))
    }
}

fn sealing_key(service: &str) -> Result<SealingKeys, DemoError> {
    SealingKeys::generate(&format!("{service}.1")).map_err(DemoError::set_up("a key that seals"))
}

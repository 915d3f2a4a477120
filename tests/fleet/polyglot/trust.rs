//! Who is trusted by whom: tokens of the provider, and seals of `gateway`, the only service that is told of tokens. Keys are made for the
//! run.

use std::sync::Arc;

use hopseal::http::{Http, HttpSettings};
use hopseal::keys::KeyStore;
use hopseal::seal::{MaySeal, SealRule, SealingKeys, Seals, public_jwks};
use hopseal::{Algorithm, Claims, IssuerBuilder, IssuerKind, Registry, Validator};
use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};

pub(crate) const TRUST_DOMAIN: &str = "shop.example";
/// Whom its tokens are for.
const AUDIENCE: &str = "urn:test:es256";

pub(crate) fn workload(service: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/{service}")
}

pub(crate) struct Trust {
    registry: Registry,
    issuer: String,
    /// What the trust domain publishes: the key of `gateway`.
    published: Vec<u8>,
    gateway: Seals,
    pub(crate) validator: Arc<Validator<KeyStore>>,
}

fn sealing(registry: &Registry, keys: SealingKeys, published: &[u8]) -> Seals {
    let rule = SealRule::new("gateway", workload("gateway")).may_seal(MaySeal::issuers(["staff"]));
    Seals::new(registry, "seals", [rule], keys, published, pseudonyms()).unwrap()
}

fn pseudonyms() -> Pseudonyms {
    Pseudonyms::new(PseudonymKey::new("p1", &[7; 32]).unwrap(), []).unwrap()
}

impl Trust {
    pub(crate) fn new(issuer: &str) -> Self {
        let staff = IssuerBuilder::new(IssuerKind::Oidc, "staff", issuer)
            .loopback_http()
            .audiences([AUDIENCE])
            .algorithms([Algorithm::Es256])
            .claims(Claims { tenant: Some("tenant".to_owned()), ..Claims::default() });
        let seals = IssuerBuilder::new(IssuerKind::Seal, "seals", TRUST_DOMAIN).jwks(r#"{"keys":[]}"#);
        let registry = Registry::new([staff, seals]).unwrap();
        let http = Http::new(&HttpSettings::default()).unwrap();
        let keys = KeyStore::builder(&registry, http).build().unwrap();
        let validator = Arc::new(Validator::new(&registry, keys));
        let keys = SealingKeys::generate("gateway.1").unwrap();
        let published = public_jwks([&keys]);
        let gateway = sealing(&registry, keys, &published);
        Self { registry, issuer: issuer.to_owned(), published, gateway, validator }
    }

    /// What the trust domain publishes.
    pub(crate) fn published(&self) -> &[u8] {
        &self.published
    }

    /// What a service seals and checks seals with; all but `gateway` have a key that nobody knows.
    pub(crate) fn seals(&self, service: &str) -> Seals {
        match service {
            "gateway" => self.gateway.clone(),
            _ => sealing(&self.registry, SealingKeys::generate("nobody").unwrap(), &self.published),
        }
    }

    /// What stands for a person.
    pub(crate) fn pseudonym(&self, person: &str) -> String {
        pseudonyms().current().of(&self.issuer, person)
    }
}

//! Who is trusted by whom: tokens of the provider, and seals of `gateway`, the only service that is told of tokens. Keys are made for the
//! run.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use hopseal::http::{Http, HttpSettings};
use hopseal::keys::KeyStore;
use hopseal::seal::{MaySeal, SealRule, SealingKeys, Seals, public_jwks};
use hopseal::{Algorithm, Claims, IssuerBuilder, IssuerKind, Registry, Validator};
use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};
use hopseal_identity::seal::SealingKey;

pub(crate) const TRUST_DOMAIN: &str = "shop.example";
/// Whom its tokens are for.
const AUDIENCE: &str = "urn:test:es256";

pub(crate) fn workload(service: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/{service}")
}

pub(crate) struct Trust {
    registry: Registry,
    issuer: String,
    /// The key of `gateway`, as PKCS #8.
    sealing: Vec<u8>,
    pub(crate) validator: Arc<Validator<KeyStore>>,
}

fn new_key() -> Vec<u8> {
    Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref().to_vec()
}

fn sealing_key(kid: &str, pkcs8: &[u8]) -> SealingKeys {
    SealingKeys::single(SealingKey::from_pkcs8_der(kid, pkcs8).unwrap())
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
        let validator = Arc::new(Validator::new(registry.clone(), keys));
        Self { registry, issuer: issuer.to_owned(), sealing: new_key(), validator }
    }

    fn keys(&self) -> SealingKeys {
        sealing_key("gateway.1", &self.sealing)
    }

    /// What the trust domain publishes.
    pub(crate) fn published(&self) -> Vec<u8> {
        public_jwks([&self.keys()])
    }

    /// What a service seals and checks seals with; all but `gateway` have a key that nobody knows.
    pub(crate) fn seals(&self, service: &str) -> Seals {
        let rule = SealRule::new("gateway", workload("gateway")).may_seal(MaySeal::issuers(["staff"]));
        let keys = if service == "gateway" { self.keys() } else { sealing_key("nobody", &new_key()) };
        Seals::new(&self.registry, "seals", [rule], keys, &self.published(), pseudonyms()).unwrap()
    }

    /// What stands for a person.
    pub(crate) fn pseudonym(&self, person: &str) -> String {
        pseudonyms().current().of(&self.issuer, person)
    }
}

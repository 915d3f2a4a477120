//! Keys and tokens of a real provider.

use hopseal::http::{Http, HttpSettings};
use hopseal::jose::Compact;
use hopseal::keys::KeyStore;
use hopseal::{Algorithm, IssuerBuilder, IssuerKind, Reason, Registry};
use serde_json::Value;

use crate::provider::Provider;

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

/// A store for two issuers, `staff` and `partners`.
fn store(staff: &Provider, partners: &Provider) -> KeyStore {
    let issuer = |name, id: &str| {
        IssuerBuilder::new(IssuerKind::Oidc, name, id)
            .audiences(["urn:test:rs256"])
            .algorithms(ALGORITHMS)
            .loopback_http()
    };
    let registry = Registry::new([issuer("staff", &staff.id), issuer("partners", &partners.id)]).unwrap();
    KeyStore::builder(&registry, Http::new(&HttpSettings::default()).unwrap()).build().unwrap()
}

/// What is signed, or why it is not believed.
async fn verify(store: &KeyStore, issuer: &str, token: &str) -> Result<Value, Reason> {
    let token = Compact::parse(token).unwrap();
    let keys = store.find(issuer, token.kid()).await.unwrap();
    let payload = keys.set.verify(&token).map_err(|refused| refused.reason())?;
    Ok(serde_json::from_slice(payload).unwrap())
}

/// Scenario: two providers, each with keys of its own under the same ids; one of them rotates.
/// Guarantees: tokens of each algorithm are verified with the keys of their issuer, and with no other's; after the rotation
/// new tokens are verified at once, and old ones as long as the provider publishes their keys; then no longer.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_two_real_providers() {
    let (staff, partners) = tokio::join!(Provider::start(), Provider::start());
    let store = store(&staff, &partners);
    assert_eq!(store.warm().await, []);
    let mut old = Vec::new();
    for algorithm in ["rs256", "es256", "eddsa"] {
        let (ours, theirs) = (staff.token(algorithm).await, partners.token(algorithm).await);
        assert_eq!(verify(&store, "staff", &ours).await.unwrap()["iss"], staff.id.as_str());
        assert_eq!(verify(&store, "partners", &theirs).await.unwrap()["sub"], "orders");
        assert_eq!(verify(&store, "partners", &ours).await, Err(Reason::Signature));
        assert_eq!(verify(&store, "staff", &theirs).await, Err(Reason::Signature));
        old.push(ours);
    }
    let before = store.in_hand("staff").unwrap().epoch;
    staff.rotate().await;
    let new = staff.token("es256").await;
    assert!(verify(&store, "staff", &new).await.is_ok());
    assert_eq!(store.in_hand("staff").unwrap().epoch, before, "no key left");
    for token in &old {
        assert!(verify(&store, "staff", token).await.is_ok());
    }
    staff.rotate().await; // the first keys are gone
    assert!(verify(&store, "staff", &staff.token("es256").await).await.is_ok());
    assert!(store.in_hand("staff").unwrap().epoch > before);
    for token in &old {
        assert_eq!(verify(&store, "staff", token).await, Err(Reason::UnknownKey));
    }
}

//! Opaque tokens of a real provider.

use hopseal::http::{Http, HttpSettings};
use hopseal::introspection::Introspector;
use hopseal::keys::KeyStore;
use hopseal::{Algorithm, Credential, IssuerBuilder, IssuerKind, Reason, Registry, Secret, Token, Validated};

use crate::provider::Provider;

/// Two entries for one provider: it is asked about opaque tokens, and its keys sign.
fn registry(provider: &Provider, secret: &str) -> Registry {
    let opaque = IssuerBuilder::new(IssuerKind::Introspection, "opaque", &provider.id)
        .introspection(format!("{}/token/introspection", provider.id), "billing", Secret::new(secret))
        .audiences(["urn:test:opaque"])
        .loopback_http();
    let signer = IssuerBuilder::new(IssuerKind::Oidc, "signer", &provider.id)
        .audiences(["urn:test:opaque"])
        .algorithms([Algorithm::Rs256])
        .loopback_http();
    Registry::new([opaque, signer]).unwrap()
}

/// Scenario: a service is shown opaque tokens of a real provider: a good one, one that was taken back, one that nobody
/// issued; first it takes plain answers, then only signed ones.
/// Guarantees: the good one names its principal, and the others are refused; a token that is taken back while its answer is
/// remembered is refused once that is forgotten; with a wrong secret nothing is said of any.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_provider_is_asked() {
    let provider = Provider::start().await;
    let registry = registry(&provider, "secret");
    let http = Http::new(&HttpSettings::default()).unwrap();
    let keys = KeyStore::builder(&registry, http.clone()).build().unwrap();
    let plain = Introspector::builder(&registry, http.clone()).build().unwrap();
    let signed =
        Introspector::builder(&registry, http.clone()).signed_by("opaque", keys.clone(), "signer").build();
    for introspector in [plain, signed.unwrap()] {
        let ask = async |token: &str| {
            let validated = introspector.validate("opaque", &Token::new(token), Credential::Opaque).await;
            match validated.unwrap() {
                Validated::Verified(verified) => {
                    Ok((verified.principal().id.clone(), verified.principal().scopes.clone()))
                }
                Validated::Refused(refused) => Err(refused.reason()),
            }
        };
        let (good, gone) = (provider.token("opaque").await, provider.token("opaque").await);
        provider.revoke(&gone).await;
        assert_eq!(ask(&good).await, Ok(("orders".to_owned(), vec!["api:read".to_owned()])));
        assert_eq!(ask(&gone).await, Err(Reason::Inactive));
        assert_eq!(ask("nobodys").await, Err(Reason::Inactive));
        provider.revoke(&good).await;
        assert!(ask(&good).await.is_ok(), "remembered");
        introspector.forget();
        assert_eq!(ask(&good).await, Err(Reason::Inactive));
    }
    let stranger = self::registry(&provider, "wrong");
    let stranger = Introspector::builder(&stranger, http).build().unwrap();
    let token = Token::new(provider.token("opaque").await);
    assert!(stranger.validate("opaque", &token, Credential::Opaque).await.is_err());
}

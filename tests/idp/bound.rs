//! Tokens of a real provider that are not good in anybody's hands.

use hopseal::http::{Http, HttpSettings};
use hopseal::keys::KeyStore;
use hopseal::{
    Algorithm, CacheConfig, Credential, Expected, IssuerBuilder, IssuerKind, Reason, Registry, Token,
    Validated, Validator,
};

use crate::provider::Provider;
use crate::tls::Authority;

const ADDRESS: &str = "https://orders.example/list";

fn validator(provider: &Provider) -> Validator<KeyStore> {
    let issuer = IssuerBuilder::new(IssuerKind::Oidc, "provider", &provider.id)
        .audiences(["urn:test:rs256", "urn:test:es256"])
        .algorithms([Algorithm::Rs256, Algorithm::Es256])
        .loopback_http();
    let registry = Registry::new([issuer]).unwrap();
    let keys = KeyStore::builder(&registry, Http::new(&HttpSettings::default()).unwrap()).build().unwrap();
    Validator::new(&registry, keys).cache(CacheConfig::default())
}

async fn judge(validator: &Validator<KeyStore>, token: &Token, expected: Expected<'_>) -> Option<Reason> {
    match validator.validate(token, expected).await.unwrap() {
        Validated::Verified(verified) => {
            assert_eq!(verified.principal().kind, hopseal::Kind::Service);
            None
        }
        Validated::Refused(refused) => Some(refused.reason()),
    }
}

/// Scenario: a client that is another library gets a token that is bound to its key, and sends it with proofs (RFC 9449).
/// Guarantees: it is good with a proof for this request, this token and this key, once; and not without one, with one for another
/// address or method, by another's key, of no token, or as a mere bearer token. That it was seen before changes none of that.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_with_a_proof_of_its_key() {
    let provider = Provider::start().await;
    let validator = validator(&provider);
    let (ours, others) = (provider.proven().await, provider.proven().await);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    assert_eq!(ours["type"], "DPoP");
    let token = Token::from_authorization(&format!("DPoP {}", text(&ours["token"]))).unwrap();
    let proofs = [0, 1].map(|place: usize| Token::new(text(&ours["proofs"][place])));
    let (unbound, strange) = (Token::new(text(&ours["unbound"])), Token::new(text(&others["proofs"][0])));
    let access = Expected::from(Credential::AccessToken);
    for (name, expected, reason) in [
        ("none", access, Some(Reason::Binding)),
        (
            "another address",
            access.proof(&proofs[0], "GET", "https://orders.example/else"),
            Some(Reason::Proof),
        ),
        ("another method", access.proof(&proofs[0], "POST", ADDRESS), Some(Reason::Proof)),
        ("of no token", access.proof(&unbound, "GET", ADDRESS), Some(Reason::Proof)),
        ("by another's key", access.proof(&strange, "GET", ADDRESS), Some(Reason::Binding)),
        ("good", access.proof(&proofs[0], "GET", ADDRESS), None),
        ("again", access.proof(&proofs[0], "GET", ADDRESS), Some(Reason::Replayed)),
        ("the next", access.proof(&proofs[1], "GET", ADDRESS), None),
    ] {
        assert_eq!(judge(&validator, &token, expected).await, reason, "{name}");
    }
    let bearer = Token::from_authorization(&format!("Bearer {}", text(&ours["token"]))).unwrap();
    assert_eq!(judge(&validator, &bearer, access).await, Some(Reason::Binding));
}

/// Scenario: a client gets a token that is bound to the certificate that it showed (RFC 8705).
/// Guarantees: it is good with that certificate, and not without or with another, remembered or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_with_the_certificate_of_its_client() {
    let provider = Provider::start().await;
    let validator = validator(&provider);
    let (own, other) = (Authority::new(), Authority::new());
    let token = Token::new(provider.token_for(own.der()).await);
    let access = Expected::from(Credential::AccessToken);
    for (name, expected, reason) in [
        ("its own", access.certificate(own.der()), None),
        ("none", access, Some(Reason::Binding)),
        ("another", access.certificate(other.der()), Some(Reason::Binding)),
        ("its own, remembered", access.certificate(own.der()), None),
    ] {
        assert_eq!(judge(&validator, &token, expected).await, reason, "{name}");
    }
    assert!(validator.cache_stats().unwrap().hits > 0);
}

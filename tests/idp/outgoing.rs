//! Tokens got from a real provider, to be sent.

use std::sync::{Arc, Mutex};

use hopseal::http::{Http, HttpSettings, Reach};
use hopseal::keys::KeyStore;
use hopseal::outgoing::{
    Client, Credentials, Exchange, NotIssued, TokenEndpoint, TokenType, Want, keeps_actors,
};
use hopseal::{
    Algorithm, Credential, IssuerBuilder, IssuerKind, Observed, Observer, Principal, Registry, Secret, Token,
    Validated, Validator,
};

use crate::lab::Hand;
use crate::provider::Provider;

const AUDIENCES: [&str; 3] = ["urn:test:rs256", "urn:test:es256", "urn:test:eddsa"];

fn http() -> Http {
    Http::new(&HttpSettings::default()).unwrap()
}

fn endpoint(provider: &Provider, client: &str) -> TokenEndpoint {
    let client = Client::with_secret(client, Secret::new("secret"));
    TokenEndpoint::new("provider", &format!("{}/token", provider.id), Reach::Loopback, client, http())
        .unwrap()
}

fn validator(provider: &Provider) -> Validator<KeyStore> {
    let issuer = IssuerBuilder::new(IssuerKind::Oidc, "provider", &provider.id)
        .audiences(AUDIENCES)
        .algorithms([Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa])
        .loopback_http();
    let registry = Registry::new([issuer]).unwrap();
    let keys = KeyStore::builder(&registry, http()).build().unwrap();
    Validator::new(&registry, keys)
}

async fn principal(validator: &Validator<KeyStore>, token: &Token) -> Principal {
    match validator.validate(token, Credential::AccessToken).await.unwrap() {
        Validated::Verified(verified) => verified.principal().clone(),
        Validated::Refused(refused) => panic!("{refused}"),
    }
}

/// Scenario: `ann` calls `orders`, which calls `billing` for her, which calls on for her.
/// Guarantees: each service gets a token by exchange that the next one verifies with keys of the provider; the subject stays,
/// and each step adds the one that acted and loses none.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_exchanges_keeps_who_acted() {
    let provider = Provider::start().await;
    let validator = validator(&provider);
    let refresh = Token::new(provider.refresh_token().await);
    let signed_in =
        Credentials::of_refresh_token(endpoint(&provider, "orders"), Want::default(), refresh, |_| {});
    let mut issued = signed_in.token().await.unwrap();
    let mut before = principal(&validator, &issued.token).await;
    assert_eq!((before.id.as_str(), before.actors.len()), ("ann", 0));
    for (service, resource) in [("orders", "urn:test:eddsa"), ("billing", "urn:test:es256")] {
        let exchange = Exchange::of(&issued.token, TokenType::AccessToken);
        let want = Want::default().resource(resource).scope("api:read");
        let next = endpoint(&provider, service).exchange(&exchange, &want).await.unwrap();
        let after = principal(&validator, &next.token).await;
        assert!(keeps_actors(&before, &after), "{after:?}");
        assert_eq!(after.actors[0].id, service);
        (issued, before) = (next, after);
    }
    let actors: Vec<&str> = before.actors.iter().map(|actor| actor.id.as_str()).collect();
    assert_eq!((before.id.as_str(), actors), ("ann", vec!["billing", "orders"]));
}

#[derive(Debug, Clone, Default)]
struct Refusals(Arc<Mutex<u32>>);

impl Observer for Refusals {
    fn observe(&self, observed: &Observed<'_>) {
        if matches!(observed, Observed::RefreshRefused { .. }) {
            *self.0.lock().unwrap() += 1;
        }
    }
}

/// Scenario: a service renews a user's token with a refresh token that the provider rotates; then a thief uses the one before.
/// Guarantees: each refresh token is kept and used once; the theft ends the grant at the provider, and the next renewal says
/// so, once, and is not tried again.
#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_refresh_token_is_noticed() {
    let provider = Provider::start().await;
    let (clock, refusals) = (Hand::new(), Refusals::default());
    let first = provider.refresh_token().await;
    let kept: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let server = endpoint(&provider, "orders").clock(clock.clone()).observer(refusals.clone());
    let credentials =
        Credentials::of_refresh_token(server, Want::default(), Token::new(first.clone()), move |token| {
            keep.lock().unwrap().push(token.expose().to_owned());
        });
    credentials.token().await.unwrap();
    clock.forward(301);
    credentials.token().await.unwrap();
    assert_eq!(kept.lock().unwrap().len(), 2);
    let thief = provider.post("/token", &[("grant_type", "refresh_token"), ("refresh_token", &first)]).await;
    assert_eq!(thief.status, 400);
    for _ in 0..2 {
        clock.forward(301);
        let refused = credentials.token().await.unwrap_err();
        assert!(matches!(refused, NotIssued::Refused { code: "invalid_grant", .. }), "{refused}");
    }
    assert_eq!(*refusals.0.lock().unwrap(), 1);
}

/// Scenario: a service gets a token for itself; its secret is wrong at first.
/// Guarantees: what it gets is verified as a service's own; a wrong secret is told as such.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_service_itself() {
    let provider = Provider::start().await;
    let want = || Want::default().resource("urn:test:rs256").scope("api:read");
    let wrong = Client::with_secret("orders", Secret::new("wrong"));
    let address = format!("{}/token", provider.id);
    let wrong = TokenEndpoint::new("provider", &address, Reach::Loopback, wrong, http()).unwrap();
    let refused = Credentials::of_client(wrong, want()).token().await.unwrap_err();
    assert_eq!(refused.as_str(), "invalid_client");
    let issued = Credentials::of_client(endpoint(&provider, "orders"), want()).token().await.unwrap();
    let principal = principal(&validator(&provider), &issued.token).await;
    assert_eq!((principal.id.as_str(), principal.kind), ("orders", hopseal::Kind::Service));
}

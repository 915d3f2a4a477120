//! Events that are pushed by HTTP, while requests go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::{Router, routing::post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopseal::events::{FeedSettings, Receiver};
use hopseal::keys::FixedKeys;
use hopseal::{
    Algorithm, CacheConfig, Clock as _, Credential, IssuerBuilder, IssuerKind, Reason, Registry, SystemClock,
    Token, Validated, Validator,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const ID: &str = "https://id.example";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

fn sign(key: &Ed25519KeyPair, typ: &str, claims: &Value) -> String {
    let header = json!({"alg": "EdDSA", "typ": typ}).to_string();
    let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
    format!("{body}.{}", URL_SAFE_NO_PAD.encode(key.sign(body.as_bytes())))
}

/// A service that takes events at an address.
async fn serve(receiver: Receiver<FixedKeys>) -> String {
    let receiver = Arc::new(receiver);
    let push = async move |headers: HeaderMap, body: Bytes| {
        let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok());
        let reply = receiver.push(kind, None, &body).await;
        (StatusCode::from_u16(reply.status).unwrap(), reply.body)
    };
    let push = move |headers: HeaderMap, body: Bytes| {
        let push = push.clone();
        async move { push(headers, body).await }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/events", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/events", post(push))).await });
    address
}

/// Scenario: four clients go on sending tokens of one session, which are remembered, while its issuer ends it and says so by push.
/// Guarantees: once the push is answered, no token of that session is good, remembered or not; those of another are.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_when_the_push_is_answered() {
    let key = Ed25519KeyPair::generate().unwrap();
    let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
    let staff = IssuerBuilder::new(IssuerKind::Static, "staff", ID)
        .jwks(format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}]}}"#))
        .audiences(["orders"])
        .algorithms([Algorithm::EdDsa]);
    let registry = Registry::new([staff]).unwrap();
    let keys = FixedKeys::of(&registry).unwrap();
    let gate = Arc::new(Validator::new(&registry, keys.clone()).cache(CacheConfig::default()));
    let feeds = [FeedSettings::new("staff", ["events"])];
    let receiver = Receiver::builder(&registry, keys, Arc::clone(gate.revocations()), feeds).build().unwrap();
    let address = serve(receiver).await;

    let now = SystemClock.now().0;
    let token = |session: &str, id: u32| {
        let claims = json!({"iss": ID, "aud": "orders", "sub": "ann", "client_id": "web", "sid": session, "iat": now,
            "jti": id.to_string(), "exp": now + 600});
        Token::new(sign(&key, "at+jwt", &claims))
    };
    let answered = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (gate, answered) = (Arc::clone(&gate), Arc::clone(&answered));
            let (ended, other) = (token("s1", client), token("s2", client));
            tokio::spawn(async move {
                let good = async |token: &Token| match gate
                    .validate(token, Credential::AccessToken)
                    .await
                    .unwrap()
                {
                    Validated::Verified(_) => true,
                    Validated::Refused(refused) => {
                        assert_eq!(refused.reason(), Reason::Revoked);
                        false
                    }
                };
                let (mut before, mut after) = (0_u32, 0_u32);
                while after < 100 {
                    let over = answered.load(Ordering::SeqCst);
                    let is_good = good(&ended).await;
                    assert!(!(over && is_good), "good after the push was answered");
                    assert!(good(&other).await, "another session");
                    before += u32::from(is_good);
                    after += u32::from(over);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                before
            })
        })
        .collect();
    let subject = json!({"format": "complex", "session": {"format": "opaque", "id": "s1"},
        "user": {"format": "iss_sub", "iss": ID, "sub": "ann"}});
    let event = json!({"iss": ID, "aud": "events", "jti": "e1", "iat": now, "sub_id": subject, "events": {REVOKED: {}}});
    let event = sign(&key, "secevent+jwt", &event);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let pushed = http.post(address).header("content-type", "application/secevent+jwt").body(event);
    assert_eq!(pushed.send().await.unwrap().status(), 202);
    answered.store(true, Ordering::SeqCst);
    for client in clients {
        assert!(client.await.unwrap() > 0, "good before");
    }
    assert!(
        gate.validate(&token("s1", 9), Credential::AccessToken).await.unwrap().refused().is_some(),
        "a new one"
    );
}

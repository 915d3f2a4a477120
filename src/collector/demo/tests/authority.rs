//! To whom the authority gives tokens, and to whom not.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tower_service::Service as _;

use super::*;

const VERIFIER: &str = "a-verifier-of-43-letters-or-more-as-pkce-has-it";
const EXCHANGE: &str = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";

fn authority() -> Router {
    let clients = [(BROWSER, 600, None), (KIOSK, 3, None), (AGENT, 600, Some("secret".to_owned()))];
    Arc::new(Authority::new(([127, 0, 0, 1], 1).into(), clients).expect("an authority")).router()
}

/// Where the browser of somebody who signs in is sent.
async fn signed_in(authority: &mut Router, client: &str) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let ask = format!(
        "/authorize?response_type=code&client_id={client}&redirect_uri=r&code_challenge={challenge}\
         &code_challenge_method=S256&login_hint=alice"
    );
    let answer = authority.call(Request::get(ask).body(Body::empty()).expect("a request")).await;
    let answer = answer.expect("an answer");
    let location = answer.headers().get("location").and_then(|location| location.to_str().ok());
    location.and_then(|location| location.strip_prefix("r?code=")).unwrap_or("none").to_owned()
}

/// What a token endpoint answers, a client with a secret or without.
async fn token(authority: &mut Router, form: &str, secret: Option<&str>) -> Value {
    let request = Request::post("/token").header("content-type", "application/x-www-form-urlencoded");
    let request = match secret {
        Some(secret) => {
            let basic = STANDARD.encode(format!("{AGENT}:{secret}"));
            request.header("authorization", format!("Basic {basic}"))
        }
        None => request,
    };
    let answer = authority.call(request.body(Body::from(form.to_owned())).expect("a request")).await;
    let body = to_bytes(answer.expect("an answer").into_body(), 1 << 16).await.expect("a body");
    serde_json::from_slice(&body).expect("JSON")
}

fn redeem(client: &str, code: &str, verifier: &str) -> String {
    format!(
        "grant_type=authorization_code&client_id={client}&redirect_uri=r&code={code}&code_verifier={verifier}"
    )
}

fn claims(issued: &Value) -> Value {
    let token = issued["access_token"].as_str().expect("a token");
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).expect("a payload")).expect("base64url");
    serde_json::from_slice(&payload).expect("claims")
}

#[tokio::test]
async fn a_code_is_good_once_and_for_who_asked_for_it() {
    let mut authority = authority();
    let code = signed_in(&mut authority, BROWSER).await;
    let issued = token(&mut authority, &redeem(BROWSER, &code, VERIFIER), None).await;
    let claims = claims(&issued);
    assert_eq!(
        (&claims["sub"], &claims["kind"], &claims["aud"]),
        (&json!("alice"), &json!("user"), &json!("shop"))
    );
    assert_eq!(
        token(&mut authority, &redeem(BROWSER, &code, VERIFIER), None).await,
        json!({"error": "invalid_grant"})
    );
    for (name, client, verifier) in
        [("another verifier", BROWSER, "another"), ("another client", KIOSK, VERIFIER)]
    {
        let code = signed_in(&mut authority, BROWSER).await;
        let answer = token(&mut authority, &redeem(client, &code, verifier), None).await;
        assert_eq!(answer, json!({"error": "invalid_grant"}), "{name}");
    }
    assert_eq!(signed_in(&mut authority, AGENT).await, "none", "who has a secret has no browser");
}

/// Scenario: codes are asked for and never redeemed.
/// Guarantees: no more than so many are kept, the newest.
#[tokio::test]
async fn codes_that_nobody_redeems_are_forgotten() {
    let mut authority = authority();
    let mut codes = Vec::new();
    for _ in 0..257 {
        codes.push(signed_in(&mut authority, BROWSER).await);
    }
    let refused = json!({"error": "invalid_grant"});
    assert_eq!(token(&mut authority, &redeem(BROWSER, &codes[0], VERIFIER), None).await, refused);
    for code in [&codes[1], &codes[256]] {
        let issued = token(&mut authority, &redeem(BROWSER, code, VERIFIER), None).await;
        assert_eq!(claims(&issued)["sub"], "alice");
    }
}

#[tokio::test]
async fn only_who_has_a_secret_acts_for_others_and_says_so() {
    let mut authority = authority();
    let own = token(&mut authority, "grant_type=client_credentials", Some("secret")).await;
    assert_eq!(claims(&own)["kind"], "agent");
    let code = signed_in(&mut authority, KIOSK).await;
    let alices = token(&mut authority, &redeem(KIOSK, &code, VERIFIER), None).await;
    let exchange = |actor: &Value| {
        let of = |issued: &Value| issued["access_token"].as_str().expect("a token").to_owned();
        format!("{EXCHANGE}&subject_token={}&actor_token={}", of(&alices), of(actor))
    };
    let exchanged = token(&mut authority, &exchange(&own), Some("secret")).await;
    let said = claims(&exchanged);
    assert_eq!((&said["sub"], &said["act"]), (&json!("alice"), &json!({"sub": AGENT, "kind": "agent"})));
    assert_eq!(said["exp"], claims(&alices)["exp"], "it does not outlive what it was made of");
    for (name, form, secret, error) in [
        (
            "no secret",
            "grant_type=client_credentials&client_id=browser".to_owned(),
            None,
            "unsupported_grant_type",
        ),
        ("another secret", "grant_type=client_credentials".to_owned(), Some("other"), "invalid_client"),
        ("nobody", "grant_type=client_credentials&client_id=x".to_owned(), None, "invalid_client"),
        ("as somebody else", exchange(&alices), Some("secret"), "invalid_request"),
        ("nothing to exchange", EXCHANGE.to_owned(), Some("secret"), "invalid_request"),
        ("no token", format!("{EXCHANGE}&subject_token=x&actor_token=y"), Some("secret"), "invalid_grant"),
        ("another grant", "grant_type=password".to_owned(), Some("secret"), "unsupported_grant_type"),
    ] {
        assert_eq!(token(&mut authority, &form, secret).await, json!({"error": error}), "{name}");
    }
}

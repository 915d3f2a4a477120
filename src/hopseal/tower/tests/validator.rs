//! The layer in front of a real validator.

use super::*;
use crate::Validator;
use crate::keys::FixedKeys;
use crate::testing::{self, Mint};

fn layer() -> IdentityLayer<Arc<Validator<FixedKeys>>> {
    let validator = Validator::fixed(&testing::registry()).expect("keys").clock(testing::NOW);
    IdentityLayer::new(Arc::new(validator), Arc::new(gateway()), Arc::new(checker()), "orders")
        .clock(Arc::new(testing::NOW))
        .origin("https://orders.example/")
}

/// Who was seen, or the status and what is wrong.
async fn seen(headers: &[(&'static str, &str)]) -> Result<String, (u16, String)> {
    seen_by(layer(), headers).await
}

async fn seen_by(
    layer: IdentityLayer<Arc<Validator<FixedKeys>>>,
    headers: &[(&'static str, &str)],
) -> Result<String, (u16, String)> {
    let mut request = request(headers);
    *request.uri_mut() = "/list?page=2".parse().expect("a path");
    let inner = Inner::default();
    let response = layer.layer(inner.clone()).call(request).await.expect("infallible");
    if let Some((assurance, _, _)) = inner.0.lock().expect("lock").pop() {
        return Ok(assurance);
    }
    let reason = response.extensions().get::<Refused>().map_or("none", |refused| refused.reason().as_str());
    Err((response.status().as_u16(), reason.to_owned()))
}

#[tokio::test]
async fn tokens_are_judged_by_their_form() {
    let bearer = |mint: Mint| format!("Bearer {}", mint.text());
    for (name, authorization, expected) in [
        ("good", bearer(Mint::access()), Ok("verified")),
        (
            "expired",
            bearer(Mint::access().set("iat", "1799990000").set("exp", "1799990600")),
            Err((401, "expired")),
        ),
        ("of another", bearer(Mint::access().by(9)), Err((401, "signature"))),
        ("for another", bearer(Mint::access().set("aud", r#""mail""#)), Err((401, "audience"))),
        ("an ID token", bearer(Mint::id()), Err((401, "type"))),
        ("opaque, and nobody issues such", "Bearer 2YotnFZFEjr1zCsicMWpAA".to_owned(), Err((401, "issuer"))),
    ] {
        let found = seen(&[("authorization", &authorization)]).await;
        let found = found.as_deref().map_err(|(status, reason)| (*status, reason.as_str()));
        assert_eq!(found, expected, "{name}");
    }
}

/// draft-ietf-oauth-transaction-tokens: in a header of its own, once, and never in `Authorization`.
#[tokio::test]
async fn transaction_tokens_are_taken_where_that_is_asked_for() {
    let (txn, access) = (Mint::txn().text(), Mint::access().text());
    let (bearer, of_txn) = (format!("Bearer {access}"), format!("Bearer {txn}"));
    let forged = Mint::txn().by(9).text();
    for (name, headers, expected) in [
        ("good", vec![("txn-token", txn.as_str())], Ok("verified")),
        ("forged", vec![("txn-token", &forged)], Err((401, "signature"))),
        ("two", vec![("txn-token", &txn), ("txn-token", &txn)], Err((401, "duplicate"))),
        (
            "beside another credential",
            vec![("txn-token", &txn), ("authorization", &bearer)],
            Err((401, "duplicate")),
        ),
        ("in the wrong header", vec![("authorization", &of_txn)], Err((401, "missing_claim"))),
        ("another token in its header", vec![("txn-token", &access)], Err((401, "issuer"))),
        (
            "another scheme beside it",
            vec![("txn-token", &txn), ("authorization", "Basic YTpi")],
            Ok("verified"),
        ),
    ] {
        let found = seen_by(layer().txn_tokens(), &headers).await;
        let found = found.as_deref().map_err(|(status, reason)| (*status, reason.as_str()));
        assert_eq!(found, expected, "{name}");
    }
    assert_eq!(seen(&[("txn-token", &txn)]).await.as_deref(), Ok("none"), "nobody asked for it");
}

/// RFC 9449 section 7.1: a token that is bound is good with a proof for this very address, under its own scheme.
#[tokio::test]
async fn bound_tokens_need_a_proof_for_our_address() {
    let token = Mint::access().bound().token();
    let proof = |htu: &str| Mint::proof(&token).set("htu", &format!("\"{htu}\"")).text();
    let (dpop, bearer) = (format!("DPoP {}", token.expose()), format!("Bearer {}", token.expose()));
    let (ours, other) = (proof("https://orders.example/list"), proof("https://evil.example/list"));
    for (name, headers, expected) in [
        ("a proof", vec![("authorization", dpop.as_str()), ("dpop", &ours)], Ok("verified")),
        ("for another", vec![("authorization", &dpop), ("dpop", &other)], Err((401, "proof"))),
        ("two", vec![("authorization", &dpop), ("dpop", &ours), ("dpop", &ours)], Err((401, "proof"))),
        ("none", vec![("authorization", &dpop)], Err((401, "binding"))),
        ("as a bearer", vec![("authorization", &bearer), ("dpop", &ours)], Err((401, "binding"))),
    ] {
        let found = seen(&headers).await;
        let found = found.as_deref().map_err(|(status, reason)| (*status, reason.as_str()));
        assert_eq!(found, expected, "{name}");
    }
}

/// RFC 9449 sections 7.1, 7.2 and 9: who is turned away hears which proofs are taken, and what the next must hold.
#[tokio::test]
async fn challenges_say_what_a_proof_must_be() {
    use crate::{Dpop, DpopSettings, Nonces, Secret};
    let secret = Secret::new("0123456789abcdef0123456789abcdef");
    let nonces = || Nonces::new(&secret, 60).expect("long enough");
    let layer = |nonces: Option<Nonces>| {
        let mut settings = DpopSettings::default();
        settings.algorithms.truncate(2);
        settings.nonces = nonces;
        let validator = Validator::fixed(&testing::registry()).expect("keys").clock(testing::NOW);
        let validator = Arc::new(validator.with_dpop(Dpop::new(settings)));
        IdentityLayer::new(validator, Arc::new(gateway()), Arc::new(checker()), "orders")
            .clock(Arc::new(testing::NOW))
            .origin("https://orders.example")
            .require()
    };
    let token = Mint::access().bound().token();
    let proof = |nonce: &str| Mint::proof(&token).set("nonce", &format!("\"{nonce}\"")).text();
    let (ours, plain) = (nonces().issue(testing::NOW), Mint::proof(&token).text());
    let with_nonce = proof(&ours);
    let dpop = format!("DPoP {}", token.expose());
    let (algs, none) = (r#"DPoP algs="ES256 ES384""#, "Bearer");
    let wanted = r#"DPoP error="use_dpop_nonce", error_description="the proof must hold the nonce that was sent", algs="ES256 ES384""#;
    let unsigned = r#"DPoP error="invalid_token", error_description="the token is bound to a key that was not shown to be held", algs="ES256 ES384""#;
    for (name, nonces, headers, status, challenges, nonce) in [
        ("nothing", None, vec![], 401, vec![none, algs], false),
        ("nothing, with nonces", Some(nonces()), vec![], 401, vec![none, algs], false),
        ("no proof", None, vec![("authorization", dpop.as_str())], 401, vec![unsigned], false),
        (
            "no nonce",
            Some(nonces()),
            vec![("authorization", &dpop), ("dpop", &plain)],
            401,
            vec![wanted],
            true,
        ),
        ("a nonce", Some(nonces()), vec![("authorization", &dpop), ("dpop", &with_nonce)], 200, vec![], true),
        ("none is asked for", None, vec![("authorization", &dpop), ("dpop", &plain)], 200, vec![], false),
    ] {
        let mut request = request(&headers);
        *request.uri_mut() = "/list".parse().expect("a path");
        let response = layer(nonces).layer(Inner::default()).call(request).await.expect("infallible");
        let all = response.headers().get_all("www-authenticate").iter();
        let all: Vec<&str> = all.map(|value| value.to_str().expect("text")).collect();
        assert_eq!((response.status().as_u16(), all), (status, challenges), "{name}");
        let handed = response.headers().get("dpop-nonce").map(|value| value.to_str().expect("text"));
        assert_eq!(handed, nonce.then_some(ours.as_str()), "{name}");
    }
}

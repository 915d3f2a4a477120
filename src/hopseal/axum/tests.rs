use std::sync::Arc;

use ::axum::body::{Body, to_bytes};
use ::axum::routing::get;
use ::axum::{Router, http};
use tower_service::Service as _;

use super::{Proven, Scoped, Scopes, Verified, public_jwks};
use crate::otel::HopIdentity;
use crate::seal::Held;
use crate::seal::testing::{NOW, alice, checker, gateway};
use crate::tower::RequireScopes;

struct Reads;
impl Scopes for Reads {
    const SCOPES: &[&str] = &["orders:read"];
}

struct Writes;
impl Scopes for Writes {
    const SCOPES: &[&str] = &["orders:read", "orders:write"];
}

fn app() -> Router {
    Router::new()
        .route("/verified", get(async |caller: Verified| caller.principal().id.clone()))
        .route(
            "/maybe",
            get(async |caller: Option<Verified>| {
                caller.map_or("-".to_owned(), |it| it.principal().id.clone())
            }),
        )
        .route("/reads", get(async |caller: Scoped<Reads>| caller.principal().id.clone()))
        .route("/writes", get(async |caller: Scoped<Writes>| caller.principal().id.clone()))
        .route("/proven", get(async |caller: Proven| caller.assurance().as_str()))
        .route("/any", get(async |identity: HopIdentity| identity.assurance().as_str()))
        .route("/layered", get(async || "in").layer(RequireScopes::new(["orders:write"])))
        .route("/jwks.json", public_jwks([gateway().keys()]))
}

/// Status, body and challenge.
async fn answered(path: &str, identity: Option<HopIdentity>) -> (u16, String, Option<String>) {
    let mut request = http::Request::get(path).body(Body::empty()).expect("a request");
    if let Some(identity) = identity {
        request.extensions_mut().insert(identity);
    }
    let response = app().call(request).await.expect("infallible");
    let challenge = response.headers().get("www-authenticate");
    let challenge = challenge.map(|it| it.to_str().expect("text").to_owned());
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 4096).await.expect("a body");
    (status, String::from_utf8(body.to_vec()).expect("text"), challenge)
}

#[tokio::test]
async fn handlers_get_who_calls_or_are_not_reached() {
    let alice = || HopIdentity::verified(Arc::new(alice()), Arc::new(gateway()), None);
    let needed = r#"Bearer error="insufficient_scope", scope="orders:read orders:write""#;
    let write = r#"Bearer error="insufficient_scope", scope="orders:write""#;
    let sealed = || {
        let held = Held::in_new_transaction(Arc::new(gateway()), Arc::new(self::alice()));
        held.carried([1; 16], NOW).expect("sealed")
    };
    let checked = |trace_id| Some(HopIdentity::checked(sealed(), &checker(), trace_id, NOW));
    for (path, identity, status, body, challenge) in [
        ("/proven", alice(), 200, "verified", None),
        ("/proven", checked([1; 16]), 200, "sealed", None),
        ("/proven", checked([2; 16]), 401, "", Some("Bearer")), // another trace's
        ("/proven", Some(HopIdentity::asserted(sealed())), 401, "", Some("Bearer")),
        ("/proven", None, 401, "", Some("Bearer")),
        ("/verified", checked([1; 16]), 401, "", Some("Bearer")),
        ("/verified", alice(), 200, "alice", None),
        ("/verified", Some(HopIdentity::anonymous()), 401, "", Some("Bearer")),
        ("/verified", None, 401, "", Some("Bearer")), // no layer
        ("/maybe", alice(), 200, "alice", None),
        ("/maybe", Some(HopIdentity::anonymous()), 200, "-", None),
        ("/reads", alice(), 200, "alice", None),
        ("/writes", alice(), 403, "", Some(needed)),
        ("/writes", None, 401, "", Some("Bearer")),
        ("/layered", alice(), 403, "", Some(write)),
        ("/any", alice(), 200, "verified", None),
        ("/any", None, 200, "unknown", None),
    ] {
        let (found, said, challenged) = answered(path, identity).await;
        assert_eq!((found, said.as_str(), challenged.as_deref()), (status, body, challenge), "{path}");
    }
}

#[tokio::test]
async fn public_keys_are_served_and_private_ones_are_not() {
    let (status, body, _) = answered("/jwks.json", None).await;
    let (keys, skipped) = hopseal_identity::seal::KeySet::from_jwks(body.as_bytes()).expect("a set");
    assert_eq!((status, keys.is_empty(), skipped.len()), (200, false, 0));
    assert!(body.contains(r#""kid":"gateway.1""#) && !body.contains(r#""d""#), "{body}");
}

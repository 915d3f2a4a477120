//! Guards of routes, and answers to gRPC.

use super::*;

/// Status, challenge, status of gRPC.
async fn guarded(
    layer: IdentityLayer<Known>,
    scopes: &[&str],
    headers: &[(&'static str, &str)],
) -> (u16, Option<String>, Option<String>) {
    let guard = RequireScopes::new(scopes.iter().copied()).realm("orders");
    let service = layer.layer(guard.layer(Inner::default()));
    let response = { service }.call(request(headers)).await.expect("infallible");
    let text = |name| Some(response.headers().get(name)?.to_str().expect("text").to_owned());
    (response.status().as_u16(), text("www-authenticate"), text("grpc-status"))
}

/// Alice has `orders:read`.
#[tokio::test]
async fn scopes_are_had_or_named() {
    let sealed = baggage();
    let good = [("authorization", "Bearer good")];
    let with_seal = [("traceparent", TRACEPARENT), ("baggage", sealed.as_str())];
    let needed = r#"Bearer realm="orders", error="insufficient_scope", scope="orders:read orders:write""#;
    for (name, scopes, headers, status, challenge) in [
        ("has it", &["orders:read"][..], &good[..], 200, None),
        ("asks for none", &[], &good, 200, None),
        ("lacks one of two", &["orders:read", "orders:write"], &good, 403, Some(needed)),
        ("nobody", &["orders:read"], &[], 401, Some(r#"Bearer realm="orders""#)),
        (
            "a seal says nothing of scopes",
            &["orders:read"],
            &with_seal,
            401,
            Some(r#"Bearer realm="orders""#),
        ),
    ] {
        let (answered, said, _) = guarded(layer(), scopes, headers).await;
        assert_eq!((answered, said.as_deref()), (status, challenge), "{name}");
    }
    // A guard is a guard, also while the layer around only observes.
    let bad = [("authorization", "Bearer bad")];
    let (answered, said, _) = guarded(layer().observe(), &["orders:read"], &bad).await;
    assert_eq!(answered, 401);
    assert!(said.is_some_and(|said| said.contains("invalid_token")));
}

#[tokio::test]
async fn grpc_is_answered_in_its_own_words() {
    let kind = ("content-type", "application/grpc+proto");
    for (name, headers, code, challenged) in [
        ("good", vec![kind, ("authorization", "Bearer good")], None, false),
        ("bad", vec![kind, ("authorization", "Bearer bad")], Some("16"), true),
        ("nobody", vec![kind], Some("16"), true),
        ("undecided", vec![kind, ("authorization", "Bearer down")], Some("14"), false),
    ] {
        let (status, challenge, grpc) = guarded(layer().require(), &[], &headers).await;
        assert_eq!((status, grpc.as_deref(), challenge.is_some()), (200, code, challenged), "{name}");
    }
    let (status, _, grpc) = guarded(layer(), &["x"], &[kind, ("authorization", "Bearer good")]).await;
    assert_eq!((status, grpc.as_deref()), (200, Some("7")));
}

//! A service that is told who calls by seals alone.

use super::*;
use crate::seal::testing::worker;
use crate::seal::{MaySeal, SealRule, public_jwks};

/// Without a registry, an issuer or a key.
fn layer() -> IdentityLayer<NoCredentials> {
    let rule = SealRule::new("gateway", "spiffe://example.org/gateway").may_seal(MaySeal::issuers(["staff"]));
    let published = public_jwks([gateway().keys(), worker().keys()]);
    let checker = SealChecker::alone("example.org", [rule], &published).expect("rules and keys");
    IdentityLayer::sealed(Arc::new(checker), "ledger").clock(Arc::new(At(NOW)))
}

#[tokio::test]
async fn it_takes_seals_and_no_credential() {
    let sealed = baggage();
    let edited = sealed.replace("acme", "umbrella");
    let trace = ("traceparent", TRACEPARENT);
    for (name, headers, words) in [
        ("none", vec![], ["anonymous", "401"]),
        ("sealed", vec![trace, ("baggage", sealed.as_str())], ["sealed", "sealed"]),
        ("a seal that is broken", vec![trace, ("baggage", edited.as_str())], ["asserted", "401"]),
        ("in another trace", vec![("baggage", sealed.as_str())], ["asserted", "401"]),
        ("a credential", vec![("authorization", "Bearer good")], ["401", "401"]),
        ("a transaction token", vec![("txn-token", "a.b.c")], ["401", "401"]),
        (
            "a credential beside a seal",
            vec![trace, ("baggage", sealed.as_str()), ("authorization", "Bearer good")],
            ["401", "401"],
        ),
    ] {
        for (layer, word) in [layer(), layer().require()].into_iter().zip(words) {
            let (status, _, seen) = answered(layer, &headers).await;
            let found = seen.map_or_else(|| status.to_string(), |(_, context, _)| context);
            assert_eq!(found, word, "{name}");
        }
    }
}

/// It has nothing to seal with, so that a workload that calls acts for nobody.
#[cfg(feature = "jwt")]
#[tokio::test]
async fn a_workload_that_calls_acts_for_nobody() {
    use crate::tower::peer::Peer;
    let caller = crate::testing::peer("spiffe://example.org/gateway");
    let mut request = request(&[]);
    request.extensions_mut().insert(Peer::new(Arc::new(caller)).expect("a workload"));
    let inner = Inner::default();
    let response = layer().workloads().layer(inner.clone()).call(request).await.expect("infallible");
    assert_eq!(response.status(), 200);
    let seen = inner.0.lock().expect("lock").pop().expect("served");
    assert_eq!(seen.1, "anonymous");
}

#[test]
fn rules_without_a_registry_are_held_to_what_they_can_be() {
    use crate::seal::{Sealers, SealersError};
    let rule = |name: &str| SealRule::new(name, "orders").may_seal(MaySeal::issuers(["anybody"]));
    for (domain, rules, expected) in [
        ("Example.org", vec![], Some(SealersError::TrustDomain("Example.org".to_owned()))),
        ("", vec![], Some(SealersError::TrustDomain(String::new()))),
        ("example.org", vec![rule("a.b")], Some(SealersError::Name("a.b".to_owned()))),
        ("example.org", vec![rule("a"), rule("a")], Some(SealersError::Duplicate("a".to_owned()))),
        ("example.org", vec![rule("a"), rule("b")], None),
    ] {
        assert_eq!(Sealers::of_trust_domain(domain, rules).err(), expected, "{domain}");
    }
}

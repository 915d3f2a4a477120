//! Identities that nobody in between can read.

use hopseal_identity::Assurance;
use hopseal_identity::seal::SealFault;

use super::*;
use crate::Secret;
use crate::confidential::ConfidentialKeys;
use crate::seal::testing::checker;

fn keys(kid: &str, letter: &str) -> Arc<ConfidentialKeys> {
    let paserk = Secret::new(format!("k4.local.{}", letter.repeat(43)));
    Arc::new(ConfidentialKeys::new((kid, &paserk), []).expect("keys"))
}

fn confidential(keys: &Arc<ConfidentialKeys>) -> Propagator {
    propagator().checking(Arc::new(checker())).confidential(Arc::clone(keys))
}

/// From the gateway through a hop that has no key, and knows nobody, to one that has: the identity is sealed there, and the counter
/// shows both calls.
#[test]
fn an_identity_crosses_a_hop_that_cannot_read_it() {
    let keys = keys("c1", "A");
    let sent = injected(&confidential(&keys), &remote().with_value(verified())).expect("baggage");
    assert!(sent.starts_with("hopseal.enc=c1.") && !sent.contains("hopseal.sub"), "{sent}");

    let between = propagator().checking(Arc::new(checker()));
    let cx = between.extract_with_context(&remote(), &Headers(&[&sent, "theme=dark"]));
    let found = cx.get::<HopIdentity>().expect("one");
    assert_eq!((found.assurance(), found.seal_fault()), (Assurance::Unknown, Some(SealFault::UnknownKey)));
    let passed = injected(&between, &cx).expect("baggage");
    assert!(
        passed.contains(sent.split(',').next().expect("one")) && passed.ends_with("theme=dark"),
        "{passed}"
    );
    assert_eq!(injected(&between, &cx.with_value(Egress::Denied)).as_deref(), Some("theme=dark"));

    let cx = confidential(&keys).extract_with_context(&remote(), &Headers(&[&passed]));
    let found = cx.get::<HopIdentity>().expect("one");
    assert_eq!((found.assurance(), found.seal_fault()), (Assurance::Sealed, None));
    assert_eq!(found.arrived_hop().map(|hop| hop.count), Some(2));
    // And on from there, unreadable again.
    let on = injected(&confidential(&keys), &cx).expect("baggage");
    assert!(on.starts_with("hopseal.enc=c1.") && !on.contains("hopseal.sub"), "{on}");
}

/// What came readable is taken and leaves unreadable; what was moved, or is of a key of the same name, is nobody's and goes nowhere.
#[test]
fn what_cannot_be_decrypted_is_nobodys() {
    let (ours, theirs) = (keys("c1", "A"), keys("c1", "I"));
    let sent = injected(&confidential(&ours), &remote().with_value(verified())).expect("baggage");
    let elsewhere = {
        let (trace, span) = (TraceId::from_bytes([7; 16]), SpanId::from_bytes([9; 8]));
        let state = TraceState::default();
        Context::new().with_remote_span_context(SpanContext::new(
            trace,
            span,
            TraceFlags::SAMPLED,
            true,
            state,
        ))
    };
    for (name, propagator, cx, headers, assurance, fault, goes) in [
        ("readable", confidential(&ours), remote(), vec![header()], Assurance::Sealed, None, true),
        (
            "moved",
            confidential(&ours),
            elsewhere,
            vec![sent.clone()],
            Assurance::Unknown,
            Some("signature"),
            false,
        ),
        (
            "of others",
            confidential(&theirs),
            remote(),
            vec![sent.clone()],
            Assurance::Unknown,
            Some("signature"),
            false,
        ),
        (
            "both",
            confidential(&ours),
            remote(),
            vec![sent.clone(), header()],
            Assurance::Unknown,
            Some("malformed"),
            false,
        ),
    ] {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let cx = propagator.extract_with_context(&cx, &Headers(&headers));
        let found = cx.get::<HopIdentity>().expect(name);
        let why = found.seal_fault().map(SealFault::as_str);
        assert_eq!((found.assurance(), why), (assurance, fault), "{name}");
        let left = injected(&propagator, &cx);
        assert_eq!(left.is_some_and(|left| left.starts_with("hopseal.enc=")), goes, "{name}");
    }
    // At the edge nothing is taken from strangers.
    let edge = confidential(&ours).untrusted([""; 0]);
    assert!(edge.extract_with_context(&remote(), &Headers(&[&sent])).get::<HopIdentity>().is_none());
}

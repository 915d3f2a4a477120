//! Each fault at each position.

use hopseal_identity::attribute::{ASSURANCE, REASON};
use hopseal_identity::seal::SealFault;
use serde_json::json;

use super::attack::{Attack, FAULTS, Headers};
use super::services::{Fleet, Seen};
use super::spans::{attribute, checked, findings};
use super::trust;

/// Nothing of anybody reached the host that is not ours.
#[track_caller]
fn nothing_leaked(fleet: &Fleet, calls: usize) {
    let reached = fleet.stranger.reached();
    assert_eq!(reached.len(), calls);
    for headers in reached {
        let text = format!("{headers:?}");
        for word in ["hopseal.sub", "hopseal.seal", "authorization", "alice", "p1."] {
            assert!(!text.contains(word), "{word}: {text}");
        }
        assert!(headers.contains_key("traceparent"), "the trace goes on");
    }
}

fn words(identity: Option<&hopseal::otel::HopIdentity>) -> (&'static str, Option<&'static str>) {
    let Some(identity) = identity else { return ("none", None) };
    (identity.assurance().as_str(), identity.seal_fault().map(SealFault::as_str))
}

/// Scenario: one request through all three, untouched.
/// Guarantees: verified, then sealed, then sealed anew; `hopseal check` proves the seals again and finds nothing to complain of.
#[tokio::test]
async fn undisturbed() {
    let fleet = Fleet::new();
    let seen = fleet.run().await;
    assert_eq!(seen.status, 200);
    assert_eq!(
        (words(seen.orders.as_ref()), words(seen.shipping.as_ref())),
        (("sealed", None), ("sealed", None))
    );
    assert_eq!(attribute(&fleet.gateway, "GET /orders/{id}", ASSURANCE).as_deref(), Some("verified"));
    nothing_leaked(&fleet, 3);
    let report = checked(&fleet.recorders());
    for service in ["gateway", "orders", "shipping"] {
        assert_eq!(findings(&report, service), [""; 0], "{report:#}");
    }
    let held_back =
        report["findings"].as_array().unwrap().iter().filter(|it| it["rule"] == "identity_leaked_out");
    assert_eq!(held_back.count(), 3, "each call outside is told of");
    assert_eq!(report["coverage"], json!({"hops": 3, "identified": 3, "proven": 3, "uncovered": 0}));
}

/// Scenario: a client brings a credential with something wrong, or none, and baggage of its own.
/// Guarantees: 401, the span says why, and nobody behind is called.
#[tokio::test]
async fn at_the_front_door() {
    let good = Fleet::new();
    let now = good.now;
    let bearer = |edits: &[(&str, serde_json::Value)], seed: &[u8]| {
        vec![format!("Bearer {}", trust::token(now, edits, seed))]
    };
    let seed = trust::issuer_seed();
    let token = bearer(&[], &seed).remove(0);
    let (head, signature) = token.rsplit_once('.').unwrap();
    let other = bearer(&[("sub", json!("mallory"))], &[9; 32]).remove(0);
    let edited = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    let times = [("iat", json!(now.0 - 1200)), ("exp", json!(now.0 - 600))];
    for (name, authorization, assurance, reason) in [
        ("forged", bearer(&[], &[9; 32]), "refused", Some("signature")),
        ("edited", vec![edited], "refused", Some("signature")),
        ("without a signature", vec![format!("{head}.")], "refused", Some("malformed")),
        ("expired", bearer(&times, &seed), "refused", Some("expired")),
        ("for another service", bearer(&[("aud", json!("mail"))], &seed), "refused", Some("audience")),
        ("oversized", bearer(&[("pad", json!("x".repeat(9000)))], &seed), "refused", Some("too_large")),
        ("duplicated", vec![token.clone(), token.clone()], "refused", Some("duplicate")),
        ("stripped", vec![], "anonymous", None),
    ] {
        let fleet = Fleet { authorization, ..Fleet::new() };
        let seen = fleet.run().await;
        assert_eq!((seen.status, seen.orders.is_none()), (401, true), "{name}");
        let told = |attributes| attribute(&fleet.gateway, "GET /orders/{id}", attributes);
        assert_eq!(told(ASSURANCE).as_deref(), Some(assurance), "{name}");
        assert_eq!(told(REASON).as_deref(), reason, "{name}");
        nothing_leaked(&fleet, 0);
    }
}

/// What the next hop makes of it, and which findings `hopseal check` has about that hop.
type Expected = (&'static str, Option<&'static str>, &'static [&'static str]);

/// What comes of each fault at `orders` and at `shipping`.
const EXPECTED: [(&str, Expected, Expected); FAULTS.len()] = [
    (
        "forged",
        ("asserted", Some("unknown_key"), &["baggage_tampered"]),
        ("asserted", Some("unknown_key"), &["baggage_tampered"]),
    ),
    (
        "edited",
        ("asserted", Some("signature"), &["baggage_tampered", "cross_tenant"]),
        ("asserted", Some("signature"), &["baggage_tampered"]),
    ),
    (
        "without its seal",
        ("asserted", Some("missing"), &["baggage_tampered"]),
        ("asserted", Some("missing"), &["baggage_tampered"]),
    ),
    (
        "moved to another trace",
        ("asserted", Some("trace"), &["transplanted_identity"]),
        ("asserted", Some("trace"), &["transplanted_identity"]),
    ),
    (
        "transplanted",
        ("asserted", Some("trace"), &["transplanted_identity"]),
        ("asserted", Some("trace"), &["transplanted_identity"]),
    ),
    (
        "replayed after its time",
        ("asserted", Some("expired"), &["expired_at_hop"]),
        ("asserted", Some("expired"), &["expired_at_hop"]),
    ),
    ("stripped", ("anonymous", None, &["identity_dropped"]), ("anonymous", None, &["async_identity_gap"])),
    (
        "oversized",
        ("unknown", Some("malformed"), &["baggage_tampered"]),
        ("unknown", Some("malformed"), &["baggage_tampered"]),
    ),
    (
        "duplicated",
        ("unknown", Some("malformed"), &["baggage_tampered"]),
        ("unknown", Some("malformed"), &["baggage_tampered"]),
    ),
    (
        "smuggled",
        ("unknown", Some("malformed"), &["baggage_tampered"]),
        ("unknown", Some("malformed"), &["baggage_tampered"]),
    ),
    ("smuggled in a property", ("sealed", None, &[]), ("sealed", None, &[])),
];

/// Another run, and what went to `orders` and to `shipping` in it.
async fn another(old: bool) -> (Headers, Headers) {
    let mut fleet = Fleet::new();
    if old {
        fleet.now.0 -= 1200;
        fleet.gateway_time = fleet.now;
        let token = trust::token(fleet.now, &[], &trust::issuer_seed());
        fleet.authorization = vec![format!("Bearer {token}")];
    }
    let Seen { message, .. } = fleet.run().await;
    (fleet.to_orders.passed(), message)
}

/// Runs them all before it complains.
async fn run_cases(
    set: impl Fn(&mut Fleet, Attack),
    other: impl Fn((Headers, Headers)) -> Headers,
    expected: impl Fn(Expected, Expected) -> Expected,
    service: &str,
) {
    let mut wrong = Vec::new();
    for (fault, (name, at_orders, at_shipping)) in FAULTS.iter().zip(EXPECTED) {
        assert_eq!(fault.name, name, "in the same order");
        let (clean, mut fleet) = (Fleet::new(), Fleet::new());
        // So that it is known what these services show when all is well.
        clean.run().await;
        set(&mut fleet, Attack::new(fault.edit, &other(another(fault.old).await)));
        let seen = fleet.run().await;
        let (assurance, error, rules) = expected(at_orders, at_shipping);
        let identity = if service == "orders" { &seen.orders } else { &seen.shipping };
        assert_eq!(words(identity.as_ref()), (assurance, error), "{name}");
        nothing_leaked(&fleet, 3);
        let report = checked(&[clean.recorders(), fleet.recorders()].concat());
        let found = findings(&report, service);
        if rules.iter().any(|rule| !found.iter().any(|it| it == rule)) || found.is_empty() != rules.is_empty()
        {
            wrong.push(format!("{name}: {found:?}, not {rules:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Scenario: an enemy between `gateway` and `orders`.
/// Guarantees: `orders` does not believe it and says why, `hopseal check` names it there, and a host that is not ours gets nothing.
#[tokio::test]
async fn between_two_services() {
    run_cases(|fleet, attack| fleet.to_orders = attack, |(wire, _)| wire, |at_orders, _| at_orders, "orders")
        .await;
}

/// Scenario: an enemy in the queue between `orders` and `shipping`.
/// Guarantees: the same for `shipping`.
#[tokio::test]
async fn in_a_queue() {
    run_cases(
        |fleet, attack| fleet.to_shipping = attack,
        |(_, message)| message,
        |_, at_shipping| at_shipping,
        "shipping",
    )
    .await;
}

/// Scenario: the gateway's clock is twenty minutes slow, so that what it seals has ended already.
/// Guarantees: `orders` does not believe it, and `hopseal check` says so.
#[tokio::test]
async fn sealed_by_a_clock_that_is_slow() {
    let mut fleet = Fleet::new();
    fleet.gateway_time.0 -= 1200;
    let seen = fleet.run().await;
    assert_eq!(words(seen.orders.as_ref()), ("asserted", Some("expired")));
    assert_eq!(findings(&checked(&fleet.recorders()), "orders"), ["expired_at_hop"]);
    nothing_leaked(&fleet, 3);
}

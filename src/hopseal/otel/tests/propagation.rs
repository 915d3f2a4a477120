//! Baggage in and out. What is named after a bug is one that the SDK's own propagator has, in 0.33.1.

use hopseal_identity::attribute::{ISS, KIND, SUB, TENANT};
use hopseal_identity::seal::{KeySet, SealFault};
use hopseal_identity::{Assurance, Kind};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::text_map_propagator::TextMapPropagator as _;
use proptest::prelude::*;

use super::*;
use crate::seal::public_jwks;
use crate::seal::testing::{checker, worker};
use crate::{Acting, Reason, Refused};

/// What the application sees after `headers` came, and what the next hop gets.
fn seen_and_sent(headers: &[&str], names: &[&str]) -> (Vec<Option<String>>, Option<String>) {
    let cx = extracted(headers);
    let seen =
        names.iter().map(|name| cx.baggage().get(name).map(|value| value.as_str().to_owned())).collect();
    (seen, injected(&propagator(), &cx))
}

#[track_caller]
fn check(headers: &[&str], seen: &[(&str, Option<&str>)], sent: Option<&str>) {
    let (names, values): (Vec<_>, Vec<_>) = seen.iter().copied().unzip();
    let expected = values.into_iter().map(|value| value.map(str::to_owned)).collect();
    assert_eq!(seen_and_sent(headers, &names), (expected, sent.map(str::to_owned)));
}

#[test]
fn an_equal_sign_does_not_end_a_value() {
    check(
        &["tok=YWJj==,k=a=b=c"],
        &[("tok", Some("YWJj==")), ("k", Some("a=b=c"))],
        Some("tok=YWJj==,k=a=b=c"),
    );
}

#[test]
fn duplicates_pass_on_in_order_and_the_last_is_seen() {
    check(&["user=alice,user=mallory"], &[("user", Some("mallory"))], Some("user=alice,user=mallory"));
}

#[test]
fn bytes_that_are_no_utf8_are_replaced_and_cost_nobody_a_member() {
    check(&["u=%FF%FEa,k=v"], &[("u", Some("\u{fffd}\u{fffd}a")), ("k", Some("v"))], Some("u=%FF%FEa,k=v"));
}

#[test]
fn properties_never_become_members() {
    let header = "theme=dark;p=x%2Cuser.id=mallory";
    check(&[header], &[("theme", Some("dark")), ("user.id", None)], Some(header));
    let ours = "theme=dark;p=x%2Chopseal.sub=mallory";
    let cx = extracted(&[ours]);
    assert!(cx.get::<HopIdentity>().is_none());
    assert_eq!(injected(&propagator(), &cx).as_deref(), Some(ours));
}

#[test]
fn an_encoded_line_break_in_properties_stays_encoded() {
    check(&["u=a;p=%0D%0Ax"], &[("u", Some("a"))], Some("u=a;p=%0D%0Ax"));
}

#[test]
fn one_fat_member_takes_nobody_along() {
    let fat = format!("u=alice,pad={}", "x".repeat(8200));
    check(&[&fat], &[("u", Some("alice")), ("pad", None)], Some("u=alice"));
}

#[test]
fn of_seventy_members_sixty_four_are_kept() {
    let many: Vec<String> = (0..70).map(|place| format!("k{place}=v")).collect();
    check(&[&many.join(",")], &[("k63", Some("v")), ("k64", None)], Some(&many[..64].join(",")));
}

#[test]
fn every_header_is_read() {
    check(&["a=1", "b=2"], &[("a", Some("1")), ("b", Some("2"))], Some("a=1,b=2"));
}

#[test]
fn a_percent_sign_of_the_application_is_encoded() {
    let cx = remote().with_baggage([KeyValue::new("u", "x%2Cadmin%3Dtrue")]);
    let header = injected(&propagator(), &cx).expect("baggage");
    assert_eq!(header, "u=x%252Cadmin%253Dtrue");
    check(&[&header], &[("u", Some("x%2Cadmin%3Dtrue"))], Some(&header));
}

#[test]
fn what_does_not_fit_once_encoded_is_left_out_alone() {
    let cx = remote().with_baggage([KeyValue::new("fat", "\u{e9}".repeat(3000)), KeyValue::new("k", "v")]);
    assert_eq!(injected(&propagator(), &cx).as_deref(), Some("k=v"));
}

#[test]
fn room_that_was_given_back_can_be_used_again() {
    // The SDK's baggage refuses the 41st; what travels is not counted there.
    let header = format!("k={}", "v".repeat(200));
    for _ in 0..100 {
        check(&[&header], &[("k", Some(&"v".repeat(200)))], Some(&header));
    }
}

#[test]
fn a_name_that_is_no_token_is_not_sent() {
    let cx = remote().with_baggage([KeyValue::new("user id", "alice"), KeyValue::new("u", "bob")]);
    assert_eq!(injected(&propagator(), &cx).as_deref(), Some("u=bob"));
}

/// As with every propagator: who calls decides, and nothing of another request is left, least of all an identity.
#[test]
fn a_header_replaces_what_the_context_held() {
    let held =
        remote().with_baggage([KeyValue::new("local", "1")]).with_value(HopIdentity::asserted(sealed()));
    let cx = propagator().extract_with_context(&held, &Headers(&["r=2"]));
    assert_eq!(injected(&propagator(), &cx).as_deref(), Some("r=2"));
    assert_eq!(cx.get::<HopIdentity>().map(HopIdentity::assurance), Some(Assurance::Unknown));
    let cx = propagator().extract_with_context(&held, &Headers(&[]));
    assert_eq!(injected(&propagator(), &cx).as_deref(), Some("local=1"));
    assert_eq!(cx.get::<HopIdentity>().map(HopIdentity::assurance), Some(Assurance::Unknown));
}

#[test]
fn what_the_application_changes_is_what_goes() {
    let cx = extracted(&["a = 1;p=x , b=%41, c=3, c=4"]);
    let changed = cx.baggage().into_iter().filter(|(name, _)| name.as_str() != "c").map(
        |(name, (value, properties))| {
            let value = if name.as_str() == "b" { "new".into() } else { value.clone() };
            (name.clone(), (value, properties.clone()))
        },
    );
    let cx = cx.with_baggage(changed.collect::<opentelemetry::baggage::Baggage>());
    assert_eq!(injected(&propagator(), &cx).as_deref(), Some("a = 1;p=x,b=new"));
}

#[test]
fn an_identity_goes_first_and_only_its_counter_changes() {
    let cx = extracted(&["theme=dark", &header()]);
    let sent = injected(&propagator(), &cx).expect("baggage");
    let expected = CrossingCount::START.next("spiffe://example.org/gateway", [9; 8]).next(ORDERS, [9; 8]);
    assert_eq!(sent, format!("{},hopseal.hop={expected},theme=dark", sealed().as_str()));
    assert_eq!(cx.baggage().get(SUB), None, "not among the baggage of the application");
}

#[test]
fn an_identity_in_the_baggage_of_the_application_is_not_sent() {
    let cx = remote().with_baggage([KeyValue::new(SUB, "k1.mallory"), KeyValue::new("k", "v")]);
    assert_eq!(injected(&propagator(), &cx).as_deref(), Some("k=v"));
}

#[test]
fn nobody_pushes_an_identity_out() {
    let flood = (0..200).map(|place| format!("k{place}=v")).collect::<Vec<_>>().join(",");
    let fat = format!("pad={}", "x".repeat(8200));
    let sent = injected(&propagator(), &extracted(&[&flood, &fat, &header()])).expect("baggage");
    assert_eq!(identity_of(&sent).as_str(), sealed().as_str());
    assert!(sent.len() <= 8192 && sent.split(',').count() <= 64, "{}", sent.len());
}

#[test]
fn members_of_ours_that_make_no_identity_are_not_passed_on() {
    for (more, fault) in [
        ("hopseal.sub=k1.mallory", SealFault::Malformed),
        ("hopseal.admin=true", SealFault::Malformed),
        ("HOPSEAL.TENANT=acme", SealFault::Malformed),
    ] {
        let cx = extracted(&[&header(), more]);
        let identity = cx.get::<HopIdentity>().expect("one that says so");
        assert_eq!(
            (identity.assurance(), identity.seal_fault()),
            (Assurance::Unknown, Some(fault)),
            "{more}"
        );
        assert_eq!(injected(&propagator(), &cx), None, "{more}");
    }
}

#[test]
fn at_the_edge_nothing_is_taken_from_outside() {
    let edge = Propagator::new(ORDERS).egress(Egress::Allowed).untrusted(["user.id", "enduser.id"]);
    let cx = edge.extract_with_context(
        &remote(),
        &Headers(&[&header(), "user.id=a,USER.ID=b,user%2Eid=c,theme=dark"]),
    );
    assert!(cx.get::<HopIdentity>().is_none());
    assert_eq!(injected(&edge, &cx).as_deref(), Some("theme=dark"));
}

#[test]
fn one_word_for_each_identity_that_comes() {
    let edited = header().replace("acme", "umbrella");
    let checking = |at| propagator().checking(Arc::new(checker())).clock(Arc::new(At(at)));
    let elsewhere = Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from_bytes([7; 16]),
        SpanId::from_bytes([9; 8]),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    ));
    let unsealed = format!("{SUB}=k1.x,{KIND}=user,{ISS}=staff,{TENANT}=acme");
    for (name, propagator, cx, header, assurance, reason, goes_on) in [
        ("nobody checks", propagator(), remote(), header(), Assurance::Asserted, None, true),
        ("valid", checking(NOW), remote(), header(), Assurance::Sealed, None, true),
        (
            "ended",
            checking(NOW.plus(126)),
            remote(),
            header(),
            Assurance::Asserted,
            Some("seal_expired"),
            true,
        ),
        ("unsealed", checking(NOW), remote(), unsealed, Assurance::Asserted, Some("seal_missing"), true),
        ("edited", checking(NOW), remote(), edited, Assurance::Asserted, Some("seal_signature"), false),
        ("another trace", checking(NOW), elsewhere, header(), Assurance::Asserted, Some("seal_trace"), false),
        ("no trace", checking(NOW), Context::new(), header(), Assurance::Asserted, Some("seal_trace"), false),
    ] {
        let cx = propagator.extract_with_context(&cx, &Headers(&[&header]));
        let identity = cx.get::<HopIdentity>().expect(name);
        assert_eq!((identity.assurance(), identity.reason()), (assurance, reason), "{name}");
        assert_eq!(injected(&propagator, &cx).is_some(), goes_on, "{name}");
    }
}

/// Baggage that somebody tampered with, in each way that is known: none of it is `sealed`, and what is in it of ours goes no further.
#[test]
fn attack_26_baggage() {
    let header = header();
    let members: Vec<&str> = header.split(',').collect();
    let without = |name: &str| {
        let left: Vec<&str> = members.iter().copied().filter(|member| !member.starts_with(name)).collect();
        assert!(left.len() < members.len(), "{name}: {header}");
        left.join(",")
    };
    let forged = format!("{SUB}=p1.mallory,{KIND}=user,{ISS}=staff,{TENANT}=acme");
    let many = (0..64).map(|place| format!("k{place}=v")).collect::<Vec<_>>().join(",");
    let elsewhere = gateway().seal(&alice(), &Txn::new("t-1").expect("legal"), [7; 16], NOW).expect("seals");
    let broken = header.replace("hopseal.seal=", "hopseal.seal=eyJhbGciOiJFZERTQSIsImtpZCI6Im9sZCJ9..");
    let checking = propagator().checking(Arc::new(checker()));
    for (name, header, assurance) in [
        ("forged, without a seal", forged.clone(), Assurance::Asserted),
        ("a member twice, the other in front", format!("{SUB}=p1.mallory,{header}"), Assurance::Unknown),
        ("a member twice, the other behind", format!("{header},{SUB}=p1.mallory"), Assurance::Unknown),
        ("a member twice, alike", format!("{header},{}", members[0]), Assurance::Unknown),
        ("one more of ours", format!("{header},hopseal.admin=true"), Assurance::Unknown),
        ("its name encoded", header.replacen("hopseal.sub", "hopseal%2Esub", 1), Assurance::Unknown),
        ("another's subject", header.replacen(SUB, "hopseal.sub=p1.mallory;x", 1), Assurance::Unknown),
        ("encoded once more", header.replacen("=acme", "=%2561cme", 1), Assurance::Unknown),
        ("encoded where it need not be", header.replacen("=acme", "=%61cme", 1), Assurance::Unknown),
        ("without its tenant", without(TENANT), Assurance::Asserted),
        ("without its seal", without("hopseal.seal"), Assurance::Asserted),
        ("the seal of another trace", elsewhere.as_str().to_owned(), Assurance::Asserted),
        ("a seal that is none", broken, Assurance::Asserted),
        ("64 members in front of it", format!("{many},{header}"), Assurance::Sealed),
        ("8 KiB in front of it", format!("pad={},{header}", "x".repeat(8192)), Assurance::Sealed),
        ("as it was made", header.clone(), Assurance::Sealed),
    ] {
        let cx = checking.extract_with_context(&remote(), &Headers(&[&header]));
        let identity = cx.get::<HopIdentity>().expect(name);
        assert_eq!(identity.assurance(), assurance, "{name}: {:?}", identity.reason());
        let sent = injected(&checking, &cx).unwrap_or_default();
        assert!(assurance != Assurance::Unknown || !sent.contains("hopseal."), "{name}: {sent}");
        assert!(!sent.contains("%25") && !sent.contains("admin"), "{name}: {sent}");
    }
    // By a key that is withdrawn.
    let stale = checker();
    let (left, _) = KeySet::from_jwks(&public_jwks([worker().keys()])).expect("a key set");
    assert!(stale.replace_keys(left));
    let cx = propagator().checking(Arc::new(stale)).extract_with_context(&remote(), &Headers(&[&header]));
    let identity = cx.get::<HopIdentity>().expect("one that says so");
    assert_eq!((identity.assurance(), identity.reason()), (Assurance::Asserted, Some("seal_unknown_key")));
}

#[test]
fn what_was_validated_here_leaves_sealed_for_the_trace() {
    let cx = remote().with_value(verified());
    let sent = injected(&propagator(), &cx).expect("baggage");
    let carried = identity_of(&sent);
    checker().check(&carried, TRACE, NOW).expect("valid");
    assert_eq!(carried.hop().map(|hop| hop.count), Some(1));
    assert_eq!(injected(&propagator(), &Context::new().with_value(verified())), None, "no trace, no seal");
}

/// The credential is what counts; what came beside it is compared.
#[test]
fn a_credential_replaces_what_came_beside_it() {
    let arrived = |header: &str| {
        let propagator = propagator().checking(Arc::new(checker()));
        propagator.extract_with_context(&remote(), &Headers(&[header])).get::<HopIdentity>().cloned()
    };
    let own = header();
    let edited = header().replace("acme", "umbrella");
    let mut bob = alice();
    bob.principal.id = "bob".to_owned();
    let mut alone = alice();
    alone.principal.actors.clear();
    let mut exchanged = alice();
    let concierge = Acting { id: "concierge".to_owned(), issuer: None, kind: Some(Kind::Agent) };
    exchanged.principal.actors.insert(0, concierge.clone());
    let mut put_behind = alice();
    put_behind.principal.actors.push(concierge);
    for (name, verified, header, fault, same_txn) in [
        ("the same", alice(), &own, None, true),
        ("another's", bob, &own, Some(SealFault::Mismatch), false),
        ("without the agent that acts", alone, &own, Some(SealFault::Mismatch), false),
        ("exchanged since, so that one more acts", exchanged, &own, None, true),
        ("one more, behind who acted before", put_behind, &own, Some(SealFault::Mismatch), false),
        ("the same, edited", alice(), &edited, Some(SealFault::Signature), false),
    ] {
        let identity =
            HopIdentity::verified(Arc::new(verified), Arc::new(gateway()), arrived(header).as_ref())
                .expect("randomness");
        assert_eq!((identity.assurance(), identity.seal_fault()), (Assurance::Verified, fault), "{name}");
        assert_eq!(identity.reason(), None, "{name}");
        let sent = injected(&propagator(), &remote().with_value(identity)).expect(name);
        let carried = identity_of(&sent);
        checker().check(&carried, TRACE, NOW).expect(name);
        assert_eq!(carried.hop().map(|hop| hop.count), Some(2), "{name}: the count goes on");
        assert_eq!(carried.get("hopseal.txn") == Some("t-1"), same_txn, "{name}");
    }
}

#[test]
fn an_identity_leaves_for_where_it_may_alone() {
    let cx = remote().with_baggage([KeyValue::new("theme", "dark")]).with_value(verified());
    let denying = Propagator::new(ORDERS).clock(now());
    for (name, propagator, cx, goes) in [
        ("nothing said", &denying, cx.clone(), false),
        ("allowed", &denying, cx.with_value(Egress::Allowed), true),
        ("denied", &propagator(), cx.with_value(Egress::Denied), false),
        ("all are ours", &propagator(), cx, true),
    ] {
        let sent = injected(propagator, &cx).expect(name);
        assert_eq!(sent.contains(SUB), goes, "{name}");
        assert!(sent.contains("theme=dark"), "{name}");
    }
}

#[test]
fn nobody_is_sent_for_nobody() {
    let refused = HopIdentity::refused(&Refused::new(Reason::Expired, "long ago"));
    assert_eq!((refused.assurance(), refused.reason()), (Assurance::Refused, Some("expired")));
    for identity in [HopIdentity::anonymous(), HopIdentity::unknown(), refused] {
        assert_eq!(injected(&propagator(), &remote().with_value(identity)), None);
    }
    assert_eq!(propagator().fields().collect::<Vec<_>>(), ["baggage"]);
}

/// Nothing of the identity, the seal least of all, shows when a context is logged.
#[test]
fn debug_shows_no_seal() {
    let seal = sealed().seal().expect("sealed").to_owned();
    for identity in [HopIdentity::asserted(sealed()), verified()] {
        let shown = format!("{identity:?}");
        assert!(!shown.contains(&seal) && !shown.contains("alice"), "{shown}");
    }
}

proptest! {
    /// Through a hop and on to the next, whatever came: no member appears, and what was there is there.
    #[test]
    fn no_member_appears(header in "([a-z.]{1,4}=[a-z%;=, ]{0,6},|%2C|=|;p=|hopseal\\.[a-z]{3}=|[ -~]){0,30}") {
        let first = Baggage::read([header.as_str()]);
        let sent = injected(&propagator(), &extracted(&[&header])).unwrap_or_default();
        let second = Baggage::read([sent.as_str()]);
        prop_assert_eq!(&second.others, &first.others);
        prop_assert!(second.identity.is_ok());
        prop_assert_eq!(second.dropped, 0);
    }

    /// What the application puts in is what the next hop's application gets.
    #[test]
    fn what_goes_in_comes_out(members in proptest::collection::btree_map("[a-z]{1,8}", "\\PC{0,20}", 0..8)) {
        let cx = remote().with_baggage(members.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone())).collect::<Vec<_>>());
        let sent = injected(&propagator(), &cx.with_value(verified())).expect("an identity at least");
        let next = extracted(&[&sent]);
        prop_assert_eq!(next.baggage().len(), members.len());
        for (name, value) in &members {
            prop_assert_eq!(next.baggage().get(name).map(|value| value.as_str()), Some(value.as_str()));
        }
        prop_assert!(next.get::<HopIdentity>().is_some_and(|identity| identity.carried().is_some()));
    }
}

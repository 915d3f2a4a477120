use std::sync::Arc;

use hopseal_identity::attribute::{ACT, EXP, IAT, RESEALED, SUB, TENANT, TXN};
use hopseal_identity::baggage::{Baggage, Carried, Writer};
use hopseal_identity::member::Resealed;
use hopseal_identity::seal::{KeySet, SealFault, SealingKey};
use hopseal_identity::{Actor, Kind};

use super::testing::{
    NOW, TRACE, alice, checker, gateway, jwk, keys, pseudonyms, registry, sealer, sealers, worker,
};
use super::*;
use crate::{Registry, UnixTime, Verified};

const OTHER: [u8; 16] = [7; 16];

fn txn() -> Txn {
    Txn::new("7f3d2c1b0a998877").expect("legal")
}

fn sealed() -> Carried {
    gateway().seal(&alice(), &txn(), TRACE, NOW).expect("seals")
}

#[test]
fn what_was_validated_is_sealed_and_checked_elsewhere() {
    let carried = sealed();
    let found = checker().check(&carried, TRACE, NOW.plus(60)).expect("valid");
    assert_eq!((found.kid(), found.workload()), ("gateway.1", "spiffe://example.org/gateway"));
    assert_eq!(found.carried(), &carried);
    let planner = Actor { kind: Some(Kind::Agent), id: "planner" };
    assert_eq!(
        carried.get(SUB).map(|sub| pseudonyms().is_of(sub, "https://id.example.com", "alice")),
        Some(Some(true))
    );
    assert_eq!(carried.get(ACT).map(str::to_owned), pseudonyms().current().actors([(planner, None)]));
    assert_eq!((carried.get(TENANT), carried.get(TXN)), (Some("acme"), Some("7f3d2c1b0a998877")));
    assert!(carried.as_str().len() < 512, "{}", carried.as_str().len());
    assert!(!carried.as_str().contains("alice"), "the subject itself does not travel");
}

/// What a credential is called is kept with it, by whoever sealed it first; another sealer, with other keys, has names of its own.
#[test]
fn names_that_are_kept_are_those_of_a_sealer() {
    use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};
    let key = PseudonymKey::new("p9", &[9; 32]).expect("key");
    let others = Arc::new(Pseudonyms::new(key, []).expect("keys"));
    let other = Sealer::new(keys(&[jwk("gateway.1", 0, "")]), sealers(), others);
    let (mut verified, gateway) = (alice(), gateway());
    let sub = |sealer: &Sealer, verified: &Verified| {
        let carried = sealer.seal(verified, &txn(), TRACE, NOW).expect("seals");
        carried.get(SUB).expect("a subject").to_owned()
    };
    for _ in 0..2 {
        assert!(sub(&gateway, &verified).starts_with("p1."));
        assert!(sub(&other, &verified).starts_with("p9."));
    }
    let before = sub(&gateway, &verified);
    verified = verified.clone();
    verified.principal.id = "bob".to_owned();
    assert_ne!(sub(&gateway, &verified), before, "of a copy nothing is kept");
}

#[test]
fn only_what_the_rules_name_is_sealed() {
    let with = |edit: fn(&mut Verified)| {
        let mut verified = alice();
        edit(&mut verified);
        verified
    };
    let not_allowed = |kid: &str| Err(SealError::NotAllowed { kid: kid.to_owned() });
    for (name, sealer, verified, expected) in [
        ("as it may", gateway(), alice(), Ok(())),
        (
            "a tenant in other letters",
            gateway(),
            with(|v| v.principal.tenant = Some("Acme & Sons".into())),
            Ok(()),
        ),
        (
            "another tenant",
            gateway(),
            with(|v| v.principal.tenant = Some("umbrella".into())),
            not_allowed("gateway.1"),
        ),
        ("no tenant", gateway(), with(|v| v.principal.tenant = None), not_allowed("gateway.1")),
        ("a service", gateway(), with(|v| v.principal.kind = Kind::Service), not_allowed("gateway.1")),
        (
            "another issuer",
            gateway(),
            with(|v| v.evidence.issuer = "partners".into()),
            not_allowed("gateway.1"),
        ),
        ("a re-sealer", worker(), alice(), not_allowed("worker")),
        ("a service that seals nothing", sealer("idle", 2), alice(), not_allowed("idle")),
        ("a key of nobody", sealer("nobody", 2), alice(), not_allowed("nobody")),
        (
            "no tenant name so long",
            gateway(),
            with(|v| v.principal.tenant = Some("x".repeat(65))),
            Err(SealError::Member(TENANT)),
        ),
        ("an ended credential", gateway(), with(|v| v.principal.expiry = NOW), Err(SealError::Ended)),
        (
            "a key that has not begun",
            Sealer::new(keys(&[jwk("gateway", 0, r#","nbf":9999999999"#)]), sealers(), pseudonyms()),
            alice(),
            Err(SealError::NoKey),
        ),
    ] {
        let made = sealer.seal(&verified, &txn(), TRACE, NOW);
        assert_eq!(made.as_ref().map(|_| ()), expected.as_ref().copied(), "{name}");
        if let Ok(carried) = made {
            checker().check(&carried, TRACE, NOW).expect(name);
        }
    }
}

/// A key that is good by itself does not make its holder the sealer of anything it likes.
#[test]
fn who_may_not_seal_is_found_out_by_others() {
    let everything = MaySeal::issuers(["staff", "partners"]);
    let rogue =
        ["gateway", "worker", "idle"].map(|name| SealRule::new(name, name).may_seal(everything.clone()));
    let rogue = Arc::new(Sealers::new(&registry(), "seals", rogue).expect("rules"));
    for (kid, which, tenant, expected) in [
        ("gateway.1", 0, "acme", Ok(())),
        ("gateway.1", 0, "umbrella", Err(SealFault::Sealer)),
        ("worker", 1, "acme", Err(SealFault::Sealer)),
        ("idle", 2, "acme", Err(SealFault::Sealer)),
        ("idle", 1, "acme", Err(SealFault::Signature)), // the key of another under that name
        ("idle.2", 2, "acme", Err(SealFault::UnknownKey)),
    ] {
        let sealer = Sealer::new(keys(&[jwk(kid, which, "")]), Arc::clone(&rogue), pseudonyms());
        let mut verified = alice();
        verified.principal.tenant = Some(tenant.to_owned());
        let carried = sealer.seal(&verified, &txn(), TRACE, NOW).expect("seals");
        assert_eq!(checker().check(&carried, TRACE, NOW).map(|_| ()), expected, "{kid} {tenant}");
    }
}

#[test]
fn a_seal_ends_with_the_credential_and_holds_in_its_trace_alone() {
    let seconds =
        |carried: &Carried, name| carried.get(name).and_then(|text| text.parse().ok()).map(UnixTime);
    assert_eq!(seconds(&sealed(), EXP), Some(NOW.plus(120)));
    let mut soon = alice();
    soon.principal.expiry = NOW.plus(30);
    let short = gateway().seal(&soon, &txn(), TRACE, NOW).expect("seals");
    assert_eq!((seconds(&short, IAT), seconds(&short, EXP)), (Some(NOW), Some(NOW.plus(30))));
    for (asked, given) in [(1, 60), (200, 200), (100_000, 300)] {
        let carried = gateway().lifetime(asked).seal(&alice(), &txn(), TRACE, NOW).expect("seals");
        assert_eq!(seconds(&carried, EXP), Some(NOW.plus(given)));
    }
    let checker = checker();
    assert_eq!(checker.check(&sealed(), OTHER, NOW), Err(SealFault::Trace));
    assert_eq!(checker.check(&sealed(), TRACE, NOW.plus(126)), Err(SealFault::Expired));
    let bare = Carried::new(&sealed().members(), None, None).expect("legal");
    assert_eq!(checker.check(&bare, TRACE, NOW), Err(SealFault::Missing));
}

#[test]
fn while_the_credential_is_held_the_seal_is_renewed() {
    let held = Held::new(Arc::new(gateway()), Arc::new(alice()), txn());
    let first = held.carried(TRACE, NOW).expect("seals");
    for (after, same) in [(0, true), (59, true), (60, false), (3540, false), (3569, false)] {
        let carried = held.carried(TRACE, NOW.plus(after)).expect("seals");
        assert_eq!(carried == first, same, "{after}");
        checker().check(&carried, TRACE, NOW.plus(after)).expect("valid");
        assert_eq!((carried.get(SUB), carried.get(TXN)), (first.get(SUB), first.get(TXN)));
    }
    assert_eq!(held.carried(TRACE, NOW.plus(3600)), Err(SealError::Ended));

    let held = Held::new(Arc::new(gateway()), Arc::new(alice()), txn());
    let (here, there) = (held.carried(TRACE, NOW).expect("seals"), held.carried(OTHER, NOW).expect("seals"));
    checker().check(&here, TRACE, NOW).expect("valid");
    checker().check(&there, OTHER, NOW).expect("valid");
    assert_eq!(checker().check(&here, OTHER, NOW), Err(SealFault::Trace));
}

#[test]
fn a_registered_service_seals_again_what_it_checked() {
    let first = sealed();
    let again = worker().reseal(&checker(), &first, TRACE, OTHER, NOW.plus(50)).expect("re-seals");
    let found = checker().check(&again, OTHER, NOW.plus(60)).expect("valid");
    assert_eq!(found.workload(), "spiffe://example.org/worker");
    for (name, value) in first.members().iter().filter(|(name, _)| ![IAT, EXP].contains(name)) {
        assert_eq!(again.get(name), Some(value), "{name}");
    }
    let from = again.get(RESEALED).and_then(Resealed::parse).expect("says where it comes from");
    let previous = Resealed::digest(first.seal().expect("sealed"));
    assert_eq!(from, Resealed { count: 1, first: NOW.0, previous });

    let third = worker().reseal(&checker(), &again, OTHER, OTHER, NOW.plus(100)).expect("re-seals");
    let from = third.get(RESEALED).and_then(Resealed::parse).expect("says where it comes from");
    assert_eq!((from.count, from.first), (2, NOW.0));
    assert_eq!(worker().reseal(&checker(), &third, OTHER, OTHER, NOW.plus(110)), Err(ResealError::Spent));
}

#[test]
fn what_is_not_sealed_again() {
    let edited = |name: &str, value: &str| {
        let text = sealed()
            .as_str()
            .replace(&format!("{name}={}", sealed().get(name).expect("there")), &format!("{name}={value}"));
        Baggage::read([text.as_str()]).identity.expect("legal").expect("one")
    };
    let allowed = ResealError::NotAllowed;
    for (name, sealer, carried, from, after, expected) in [
        ("in time", worker(), sealed(), TRACE, 100, None),
        ("after as long as it may wait", worker(), sealed(), TRACE, 720, None),
        ("after longer", worker(), sealed(), TRACE, 726, Some(ResealError::Seal(SealFault::Expired))),
        ("before it was made", worker(), sealed(), TRACE, -10, Some(ResealError::Seal(SealFault::Premature))),
        ("by one that only seals", gateway(), sealed(), TRACE, 10, Some(allowed.clone())),
        ("by nobody", sealer("nobody", 2), sealed(), TRACE, 10, Some(allowed)),
        ("of another trace", worker(), sealed(), OTHER, 10, Some(ResealError::Seal(SealFault::Trace))),
        (
            "a wider tenant",
            worker(),
            edited(TENANT, "umbrella"),
            TRACE,
            10,
            Some(ResealError::Seal(SealFault::Signature)),
        ),
        (
            "lengthened",
            worker(),
            edited(EXP, "1767225900"),
            TRACE,
            10,
            Some(ResealError::Seal(SealFault::Signature)),
        ),
    ] {
        let now = UnixTime(NOW.0.checked_add_signed(after).expect("a time"));
        let made = sealer.reseal(&checker(), &carried, from, OTHER, now);
        assert_eq!(made.err(), expected, "{name}");
    }
    // Over an hour after the first seal, though the last one is fresh.
    let long_wait = Sealer::new(keys(&[jwk("worker", 1, "")]), long_waiting(), pseudonyms());
    assert_eq!(
        long_wait.reseal(&checker(), &sealed(), TRACE, OTHER, NOW.plus(3601)),
        Err(ResealError::Spent)
    );
}

fn long_waiting() -> Arc<Sealers> {
    let bounds = MayReseal { max_count: 2, max_age: 3600, max_wait: 86_400 };
    let worker = SealRule::new("worker", "spiffe://example.org/worker").may_reseal(bounds);
    Arc::new(Sealers::new(&registry(), "seals", [worker]).expect("rules"))
}

/// Two live keys: seals of the old one hold while the new one seals already, and nobody is told by hand.
#[test]
fn keys_are_replaced_without_a_gap() {
    let both = [jwk("gateway.1", 0, ""), jwk("gateway.2", 1, r#","nbf":1767225700"#)];
    let sealer = Sealer::new(keys(&both), sealers(), pseudonyms());
    let (published, _) = KeySet::from_jwks(&public_jwks([sealer.keys()])).expect("key set");
    let checker = SealChecker::new(published, sealers(), 5);
    for (after, kid) in [(0, "gateway.1"), (99, "gateway.1"), (100, "gateway.2")] {
        let carried = sealer.seal(&alice(), &txn(), TRACE, NOW.plus(after)).expect("seals");
        assert_eq!(checker.check(&carried, TRACE, NOW.plus(100)).expect("valid").kid(), kid);
    }
    assert!(!checker.replace_keys(KeySet::default()), "good keys are not given up for none");
    let (without, _) = KeySet::from_jwks(&public_jwks([worker().keys()])).expect("key set");
    assert!(checker.replace_keys(without));
    assert_eq!(checker.check(&sealed(), TRACE, NOW), Err(SealFault::UnknownKey));
}

#[test]
fn keys_are_read_from_a_file_and_not_shown() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("keys.json");
    std::fs::write(&file, format!(r#"{{"keys":[{}]}}"#, jwk("gateway", 0, ""))).expect("writes");
    let read = SealingKeys::from_file(&file).expect("keys");
    assert_eq!(read.kids().collect::<Vec<_>>(), ["gateway"]);
    assert!(!format!("{read:?}").contains("nWGx"));
    let published = String::from_utf8(public_jwks([&read, &read])).expect("UTF-8");
    assert_eq!(published.matches("gateway").count(), 1);
    assert!(!published.contains("nWGx"), "a private key is published");
    let twice = format!("{},{}", jwk("a", 0, ""), jwk("a", 1, ""));
    let many = (0..9).map(|place| jwk(&format!("a{place}"), 0, "")).collect::<Vec<_>>().join(",");
    for (jwks, expected) in [
        (twice, "two keys are called `a`"),
        (many, "a service seals with 1 to 8 keys, not 9"),
        (String::new(), "a service seals with 1 to 8 keys, not 0"),
        (jwk("a", 0, r#","nbf":"soon""#), "no JWK set"),
        (jwk("a b", 0, ""), "key 0 of the set"),
    ] {
        let error = SealingKeys::from_jwks(format!(r#"{{"keys":[{jwks}]}}"#).as_bytes()).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    }
    std::fs::write(&file, " ".repeat(65_537)).expect("writes");
    assert!(matches!(SealingKeys::from_file(&file), Err(SealingKeysError::TooLong)));
    assert!(matches!(
        SealingKeys::from_file(folder.path().join("none").as_path()),
        Err(SealingKeysError::Read(_))
    ));
}

#[test]
fn keys_are_made_and_kept_from_others() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("keys.json");
    let add = |kid: &str, begins| SealingKeys::add_to_file(&file, kid, UnixTime(begins));
    let read = || std::fs::read_to_string(&file).expect("a file");
    assert!(matches!(add("gateway.1", 0), Err(SealingKeysError::Read(_))), "there is none to add to");
    SealingKeys::create_file(&file, "gateway.1").expect("a key");
    let first = read();
    assert!(matches!(SealingKeys::create_file(&file, "gateway.1"), Err(SealingKeysError::Write(_))));
    assert_eq!(read(), first, "never written over");
    std::fs::write(folder.path().join("keys.json.new"), "left behind").expect("written");
    let keys = add("gateway.2", 200).expect("another");
    let at = |now| keys.at(UnixTime(now)).map(SealingKey::kid);
    assert_eq!((at(199), at(200)), (Some("gateway.1"), Some("gateway.2")));
    assert!(read().contains(first.trim_start_matches(r#"{"keys":["#).trim_end_matches("]}")));
    let second = read();
    for (kid, expected) in
        [("gateway.2", "two keys are called `gateway.2`"), ("a b", "could not make a key for sealing")]
    {
        assert_eq!(add(kid, 300).expect_err(kid).to_string(), expected);
        assert_eq!(read(), second, "as it was");
    }
    let again = SealingKeys::from_file(&file).expect("keys");
    assert_eq!(public_jwks([&again]), public_jwks([&keys]));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");
    #[cfg(unix)]
    {
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("a file").permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    let kid = SealingKeys::generate("gateway").expect("a key").kids().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(kid, ["gateway"]);
}

#[test]
fn rules_that_cannot_be_used() {
    let rule = |name: &str, issuer: &str| SealRule::new(name, "w").may_seal(MaySeal::issuers([issuer]));
    for (seals, rules, expected) in [
        ("seals", vec![rule("a", "staff"), rule("b", "partners")], None),
        ("staff", vec![], Some("`staff` is no issuer of the kind `seal`")),
        ("none", vec![], Some("`none` is no issuer of the kind `seal`")),
        (
            "seals",
            vec![rule("a", "nobody")],
            Some("`a` may not seal for `nobody`, which is no issuer of credentials"),
        ),
        (
            "seals",
            vec![rule("a", "seals")],
            Some("`a` may not seal for `seals`, which is no issuer of credentials"),
        ),
        ("seals", vec![rule("a.b", "staff")], Some("`a.b` is no name of a service that seals")),
        ("seals", vec![rule("a", "staff"), rule("a", "staff")], Some("two rules for `a`")),
    ] {
        let made = Sealers::new(&registry(), seals, rules);
        assert_eq!(made.err().map(|error| error.to_string()).as_deref(), expected);
    }
}

#[test]
fn transactions_do_not_repeat() {
    let (one, two) = (Txn::random().expect("random"), Txn::random().expect("random"));
    assert_ne!(one, two);
    assert_eq!(one.as_str().len(), 22);
    assert_eq!(Txn::new("a b").expect("legal").as_str(), "~YSBi");
    assert_eq!(Txn::of(&sealed()), Some(txn()));
}

#[test]
fn the_rules_of_a_registry_are_those_of_code() {
    let registry = Registry::from_yaml(
        "issuers:
  - {name: staff, kind: oidc, issuer: https://id.example.com, audiences: [orders], algorithms: [RS256]}
  - name: seals
    kind: seal
    issuer: example.org
    jwks: '{\"keys\":[]}'
    sealers:
      - {name: gateway, workload: spiffe://example.org/gateway, issuers: [staff], tenants: [acme], kinds: [user]}
      - {name: worker, workload: spiffe://example.org/worker, reseals: {max_wait: 1h}}
",
    )
    .expect("a registry");
    let sealers = Sealers::of(&registry, "seals").expect("rules");
    let what = MaySeal::issuers(["staff"]).tenants(["acme"]).kinds([Kind::User]);
    let gateway = SealRule::new("gateway", "spiffe://example.org/gateway").may_seal(what);
    assert_eq!(sealers.of_kid("gateway.1"), Some(&gateway));
    let bounds = MayReseal { max_wait: 3600, ..MayReseal::default() };
    assert_eq!(sealers.of_kid("worker").and_then(SealRule::reseals), Some(&bounds));
}

/// A checker that has seen it all before says what one says that has not: whatever came, in whatever trace and time, and once keys are
/// replaced.
#[test]
fn what_is_remembered_changes_no_answer() {
    let good = sealed();
    let read = |text: &str| Baggage::read([text]).identity.expect("legal").expect("one");
    let edited = read(&Writer::new(Some(&good)).finish().replace("acme", "evil"));
    let longer = read(
        &Writer::new(Some(&good))
            .finish()
            .replace("hopseal.iat=", "hopseal.resealed=1.1.AAAAAAAAAAAAAAAAAAAAAA,hopseal.iat="),
    );
    let remembers = checker();
    for _ in 0..3 {
        for carried in [&good, &edited, &longer, &good] {
            for trace in [TRACE, OTHER] {
                for at in [NOW, NOW.plus(125), NOW.plus(126), UnixTime(NOW.0 - 5), UnixTime(NOW.0 - 6)] {
                    let fresh = checker().check(carried, trace, at);
                    assert_eq!(remembers.check(carried, trace, at), fresh, "{carried:?} {at}");
                }
            }
        }
    }
    assert!(remembers.check(&good, TRACE, NOW).is_ok());
    let (others, _) = KeySet::from_jwks(&public_jwks([worker().keys()])).expect("a set");
    assert!(remembers.replace_keys(others));
    assert_eq!(remembers.check(&good, TRACE, NOW), Err(SealFault::UnknownKey));
}

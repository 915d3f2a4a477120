use proptest::prelude::*;

use super::*;
use crate::attribute::{ACT, EXP, HOP, IAT, ISS, KIND, RESEALED, SEAL, SUB, TENANT, TXN};
use crate::crossing_count::CrossingCount;
use crate::member::MEMBERS;
use crate::seal::Members;

const IDENTITY: &str = "hopseal.sub=k1.x7Qf,hopseal.kind=user,hopseal.iss=main";

fn others<'h>(read: &Baggage<'h>) -> Vec<&'h str> {
    read.others.iter().map(Entry::as_str).collect()
}

#[test]
fn members_of_ours_are_right_or_refused() {
    let with = |more: &str| format!("{IDENTITY},{more}");
    for (header, expected) in [
        (String::new(), Ok(false)),
        ("theme=dark".to_owned(), Ok(false)),
        (IDENTITY.to_owned(), Ok(true)),
        (IDENTITY.replace(',', " ,\t"), Ok(true)),
        (IDENTITY.replace('=', " = "), Ok(true)),
        (with("hopseal.tenant=acme"), Ok(true)),
        (with(""), Ok(true)),
        ("hopseal.sub=k1.x7Qf,hopseal.kind=user".to_owned(), Err(SealFault::Incomplete)),
        ("hopseal.hop=0.AAAAAAAAAAAAAAAAAAAAAA".to_owned(), Err(SealFault::Incomplete)),
        (with("hopseal.sub=k1.x7Qf"), Err(SealFault::Malformed)), // twice, even alike
        (with("hopseal.scopes=all"), Err(SealFault::Malformed)),
        (with("hopseal.=x"), Err(SealFault::Malformed)),
        (with("Hopseal.tenant=acme"), Err(SealFault::Malformed)),
        (with("hopseal%2etenant=acme"), Err(SealFault::Malformed)),
        (with("hopseal.tenant"), Err(SealFault::Malformed)),
        (with("hopseal.tenant="), Err(SealFault::Malformed)),
        (with("hopseal.tenant=ac\u{e9}me"), Err(SealFault::Malformed)),
        (with("hopseal.tenant=ac me"), Err(SealFault::Malformed)),
        (with("hopseal.tenant=%61cme"), Err(SealFault::Malformed)),
        (with("hopseal.tenant=a=b"), Err(SealFault::Malformed)),
        (with("hopseal.tenant=acme;p=1"), Err(SealFault::Malformed)),
        (with("hopseal.tenant=acme;"), Err(SealFault::Malformed)),
        (with(&format!("hopseal.tenant={}", "x".repeat(65))), Err(SealFault::Malformed)),
        (IDENTITY.replace("user", "root"), Err(SealFault::Malformed)),
        (with("hopseal.hop=1"), Err(SealFault::Malformed)),
    ] {
        let read = Baggage::read([header.as_str()]);
        assert_eq!(read.identity.map(|carried| carried.is_some()), expected, "{header}");
    }
}

/// What `opentelemetry_sdk` 0.33.1 does wrong with each of these headers is said beside it.
#[test]
fn members_of_others_are_read_as_w3c_has_it() {
    let long = "x".repeat(8200);
    for (headers, expected, dropped) in [
        (vec!["tok=YWJj==,k=a=b=c"], vec!["tok=YWJj==", "k=a=b=c"], 0), // cut at the second `=`
        (vec!["user=alice,user=mallory"], vec!["user=alice", "user=mallory"], 0), // the last one wins
        (vec!["u=%FF%FEa,k=v"], vec!["u=%FF%FEa", "k=v"], 0),           // only `k`
        (vec!["a=1", "b=2"], vec!["a=1", "b=2"], 0),                    // only `a`
        (vec!["theme=dark;p=x%2Cuser.id=mallory"], vec!["theme=dark;p=x%2Cuser.id=mallory"], 0), // decoded
        (vec!["a = b ; c = d , e=f"], vec!["a = b ; c = d", "e=f"], 0),
        (vec!["a=b,,\t,"], vec!["a=b"], 0),
        (vec!["a,=b,a b=c,a=b c,a=\"b\",a=b\\c,k=v"], vec!["k=v"], 6),
        (vec!["a=1;p=\u{e9},k=v"], vec!["k=v"], 1),
        (vec!["u=alice,pad=", &long, ",k=v"], vec!["u=alice", "pad=", "k=v"], 1),
    ] {
        let read = Baggage::read(headers.clone());
        assert_eq!((others(&read), read.dropped), (expected, dropped), "{headers:?}");
    }
    assert_eq!(decode("%FF%FEa"), "\u{fffd}\u{fffd}a");
}

/// Members of others past 64 or 8192 bytes are dropped whole; the identity behind them is not.
#[test]
fn nobody_pushes_the_identity_out() {
    let many: Vec<String> = (0..70).map(|place| format!("k{place}=v")).collect();
    let fat = format!("pad={}", "x".repeat(8200));
    for (name, before, kept, dropped) in
        [("many", many.join(","), 64, 6), ("one fat one", format!("{fat},k=v"), 1, 1)]
    {
        let read = Baggage::read([before.as_str(), IDENTITY]);
        assert!(read.identity.expect("legal").is_some(), "{name}");
        assert_eq!((read.others.len(), read.dropped), (kept, dropped), "{name}");
    }
    let flood = "k=v,".repeat(20_000);
    assert_eq!(Baggage::read([flood.as_str(), IDENTITY]).identity, Err(SealFault::Malformed));
}

#[test]
fn what_is_written_stays_within_the_limits_and_names_no_one_else() {
    let carried = Baggage::read([IDENTITY]).identity.expect("legal").expect("one");
    let hop = CrossingCount::START.next("spiffe://example.org/gateway", [1; 8]);
    let mut writer = Writer::new(Some(&carried.with_hop(hop)));
    assert!(writer.add("theme", "dark", "p=1;q"));
    for (name, value, properties) in [
        ("hopseal.tenant", "acme", ""),
        ("HOPSEAL.x", "acme", ""),
        ("user id", "alice", ""),
        ("", "alice", ""),
        ("k", "v", "p=x,hopseal.tenant=acme"),
        ("k", "v", "p=\r\nx"),
        ("pad", &"\u{e9}".repeat(3000), ""), // 18000 bytes encoded
    ] {
        assert!(!writer.add(name, value, properties), "{name}={value:.10};{properties}");
    }
    assert!(writer.add("x", "x%2Cadmin%3Dtrue\r\n", ""));
    assert_eq!(writer.dropped(), 7);
    assert_eq!(
        writer.finish(),
        format!("{IDENTITY},hopseal.hop={hop},theme=dark;p=1;q,x=x%252Cadmin%253Dtrue%0D%0A")
    );

    let mut full = Writer::new(Some(&carried));
    let added = (0..100).filter(|place| full.add(&format!("k{place}"), "v", "")).count();
    assert_eq!((added, full.dropped()), (61, 39));
    let read_again = full.finish();
    assert!(Baggage::read([read_again.as_str()]).identity.expect("legal").is_some());
}

#[test]
fn an_identity_is_put_together_from_what_is_legal_alone() {
    let new = |values: &[(&'static str, &str)], seal| {
        let mut members = Members::default();
        for (name, value) in values {
            members.set(name, value).expect("unreserved");
        }
        Carried::new(&members, seal, None)
    };
    let named = [(SUB, "k1.x"), (KIND, "user"), (ISS, "main")];
    assert_eq!(
        new(&named, None).expect("legal").as_str(),
        "hopseal.sub=k1.x,hopseal.kind=user,hopseal.iss=main"
    );
    assert_eq!(new(&named[..2], None), Err(CarriedError::Incomplete(ISS)));
    assert_eq!(new(&[(KIND, "root")], None), Err(CarriedError::Illegal(KIND)));
    assert_eq!(new(&named, Some("a b")), Err(CarriedError::Illegal(SEAL)));
    let sealed = new(&named, Some("eyJ..AA")).expect("legal");
    assert!(!format!("{sealed:?}").contains("eyJ"), "{sealed:?}");
}

/// A legal identity.
fn any_carried() -> impl Strategy<Value = Carried> {
    let text = "[A-Za-z0-9._~-]{1,32}";
    let optional = || proptest::option::of(text);
    (
        [text, text, text].prop_map(|[sub, iss, txn]| (sub, iss, txn)),
        prop::sample::select(vec!["user", "service", "agent"]),
        (optional(), optional()),
        proptest::option::of(any::<u32>()),
        proptest::option::of((any::<u16>(), any::<[u8; 16]>())),
    )
        .prop_map(|((sub, iss, txn), kind, (tenant, seal), time, hop)| {
            let time = time.map(|time| time.to_string());
            let mut members = Members::default();
            for (name, value) in [
                (SUB, Some(sub.as_str())),
                (ISS, Some(&iss)),
                (KIND, Some(kind)),
                (TXN, Some(&txn)),
                (TENANT, tenant.as_deref()),
                (IAT, time.as_deref()),
                (EXP, time.as_deref()),
                (ACT, time.is_some().then_some("q83vEjRWeJA.q83vEjRWeJA")),
                (RESEALED, time.is_none().then_some("1.7.AAAAAAAAAAAAAAAAAAAAAA")),
            ] {
                if let Some(value) = value {
                    members.set(name, value).expect("legal");
                }
            }
            let hop = hop.map(|(count, hash)| CrossingCount { count, hash });
            Carried::new(&members, seal.as_deref(), hop).expect("legal")
        })
}

proptest! {
    #[test]
    fn what_was_written_is_read(
        carried in proptest::option::of(any_carried()),
        more in proptest::collection::vec(("[a-z!#$&'*+.^_`|~-]{1,8}", "\\PC{0,20}", "([a-z]{1,3}(=[a-z%]{0,3})?)?"), 0..6),
    ) {
        let mut writer = Writer::new(carried.as_ref());
        let added: Vec<_> = more
            .iter()
            .filter(|(name, value, properties)| writer.add(name, value, properties))
            .collect();
        let header = writer.finish();
        let read = Baggage::read([header.as_str()]);
        prop_assert_eq!(read.identity, Ok(carried));
        prop_assert_eq!(read.dropped, 0);
        prop_assert_eq!(read.others.len(), added.len());
        for (entry, (name, value, properties)) in read.others.iter().zip(added) {
            prop_assert_eq!(entry.name(), name);
            prop_assert_eq!(decode(entry.value()), value.as_str());
            prop_assert_eq!(entry.properties(), properties);
        }
    }

    /// Whatever comes is passed on as it came, and is read at the next hop as it was at this one: no member appears.
    #[test]
    fn no_member_appears(header in "([a-z.]{0,4}[=;, %]|hopseal\\.[a-z]{3}=|%2C|%2c|=|;p=|[ -~]|\\PC){0,40}") {
        let read = Baggage::read([header.as_str()]);
        let mut writer = Writer::new(read.identity.as_ref().ok().and_then(Option::as_ref));
        for entry in &read.others {
            prop_assert!(writer.pass_on(entry));
        }
        let header = writer.finish();
        let again = Baggage::read([header.as_str()]);
        prop_assert_eq!(others(&again), others(&read));
        prop_assert_eq!(again.dropped, 0);
        prop_assert_eq!(again.identity, Ok(read.identity.unwrap_or(None)));
    }

    #[test]
    fn values_survive(value in "\\PC{0,40}") {
        let mut encoded = String::new();
        encode(&value, &mut encoded);
        prop_assert_eq!(decode(&encoded), value);
    }
}

#[test]
fn the_order_of_writing_is_that_of_the_list() {
    let names: Vec<&str> = MEMBERS.iter().map(|member| member.name).collect();
    assert_eq!(names, [SUB, KIND, ISS, TENANT, ACT, TXN, RESEALED, IAT, EXP, SEAL, HOP]);
}

//! Each row of the policy, with what is counted.

use super::*;

/// The provider answers, dies for ten minutes, and comes back with another key: what each request is told.
#[tokio::test]
async fn a_provider_is_killed_for_ten_minutes() {
    let settings = KeySettings { soft_age: 60, soft_age_most: 60, max_stale: 300, ..KeySettings::default() };
    let k1 = jwk("k1");
    let lab = Lab::with(Says::Keys(jwks(&[&k1])), settings);
    // After so many seconds a token of this key comes: its status, and what is counted.
    let check = async |after: u64, kid: &str, status: u16, counted: &[&str]| {
        lab.clock.set(START + after);
        assert_eq!(lab.ask(kid).await, status, "after {after} s, key {kid}");
        assert_eq!(lab.seen.take(), counted, "after {after} s, key {kid}");
    };
    // Up.
    check(0, "k1", 200, &["fetched new"]).await;
    check(59, "k1", 200, &[]).await;
    check(60, "k1", 200, &["stale 60", "fetched new"]).await; // refreshed behind
    check(61, "k2", 401, &["fetched new", "unknown fetched"]).await;
    check(62, "k2", 401, &["unknown remembered"]).await;
    // Down from here on. Keys were confirmed at 61.
    lab.idp.says(Says::Nothing);
    check(100, "k1", 200, &[]).await;
    check(121, "k1", 200, &["stale 60", "fetched timeout"]).await;
    check(121, "k1", 200, &["stale 60"]).await; // not again at once
    check(122, "k1", 200, &["stale 61", "fetched timeout"]).await;
    check(130, "k3", 503, &["fetched timeout", "unavailable"]).await; // it may be a new key
    check(131, "k4", 503, &["fetched timeout", "unavailable"]).await;
    check(132, "k5", 401, &["stale 71", "unknown cooldown"]).await;
    check(361, "k1", 200, &["stale 300", "fetched timeout"]).await;
    check(362, "k1", 503, &["unavailable"]).await; // past the hard limit, and it was tried just now
    check(500, "k1", 503, &["fetched timeout", "unavailable"]).await;
    // Back, with another key besides.
    let rotated = jwks(&[&jwk("k6"), &k1]);
    lab.idp.says(Says::Keys(rotated));
    check(661, "k1", 200, &["fetched new"]).await;
    check(661, "k6", 200, &[]).await;
}

#[tokio::test]
async fn an_unknown_key_while_the_provider_is_down_can_be_refused() {
    let settings = KeySettings { unknown_kid_when_down: WhenDown::Refuse, ..KeySettings::default() };
    let lab = Lab::with(Says::Keys(jwks(&[&jwk("k1")])), settings);
    assert_eq!(lab.ask("k1").await, 200);
    lab.idp.says(Says::Status(500));
    lab.clock.forward(10);
    assert_eq!(lab.ask("k2").await, 401);
    assert_eq!(lab.seen.take(), ["fetched new", "fetched status", "unknown fetched"]);
}

/// A rotation right after a stray token is seen by the second fetch of the burst; then the cooldown holds.
#[tokio::test]
async fn a_rotation_after_a_stray_token_is_seen_at_once() {
    let (old, new) = (jwk("k1"), jwk("k2"));
    let lab = Lab::new(Says::Keys(jwks(&[&old])));
    assert_eq!(lab.ask("k1").await, 200);
    lab.clock.forward(100);
    assert_eq!(lab.ask("stray").await, 401);
    lab.idp.says(Says::Keys(jwks(&[&old, &new])));
    assert_eq!(lab.ask("k2").await, 200);
    assert_eq!(lab.idp.asked(), 3);
    for at in 0..29 {
        assert_eq!(lab.ask(&format!("other {at}")).await, 401);
        lab.clock.forward(1);
    }
    assert_eq!(lab.idp.asked(), 3);
    lab.clock.forward(1);
    assert_eq!(lab.ask("last").await, 401);
    assert_eq!(lab.idp.asked(), 4);
}

/// A token without `kid` never makes the issuer be asked.
#[tokio::test]
async fn no_key_id_no_fetch() {
    let lab = Lab::new(Says::Keys(jwks(&[&jwk("k1")])));
    for _ in 0..100 {
        assert!(lab.store.find("idp", None).await.is_ok());
    }
    assert_eq!(lab.idp.asked(), 1);
}

#[tokio::test]
async fn epochs_follow_keys_that_leave_or_change() {
    let (k1, k2) = (jwk("k1"), jwk("k2"));
    let lab = Lab::new(Says::Keys(jwks(&[&k1])));
    let mut epochs = Vec::new();
    for keys in [
        jwks(&[&k1]),
        jwks(&[&k1, &k2]),      // one more
        jwks(&[&k2, &k1]),      // another order
        jwks(&[&k2]),           // one less
        jwks(&[&jwk("k2")]),    // another key under the old id
        jwks(&[]),              // none: not taken
        "<html></html>".into(), // not taken
    ] {
        lab.idp.says(Says::Keys(keys));
        lab.clock.forward(1000);
        assert_ne!(lab.ask("k2").await, 503);
        epochs.push(lab.store.in_hand("idp").expect("keys").epoch);
    }
    let [a, b, c, d, e, f, g] = epochs.try_into().expect("seven");
    assert!(a == b && b == c && c < d && d < e && e == f && f == g);
}

#[tokio::test]
async fn a_bad_fetch_takes_nothing_away() {
    let k1 = jwk("k1");
    let big = format!(r#"{{"keys":[],"x":"{}"}}"#, "x".repeat(1024 * 1024));
    let many = jwks(&vec![k1.as_str(); 101]);
    for (says, word) in [
        (Says::Keys(jwks(&[])), "no_usable_keys"),
        (Says::Keys(jwks(&[&k1, &k1])), "no_usable_keys"),
        (Says::Keys("<html>".to_owned()), "key_set"),
        (Says::Keys(big), "key_set"),
        (Says::Keys(many), "key_set"),
        (Says::Keys(r#"{"keys":[],"keys":[]}"#.to_owned()), "key_set"),
        (Says::Status(302), "status"),
        (Says::Status(304), "status"),
        (Says::Status(500), "status"),
        (Says::Nothing, "timeout"),
    ] {
        let lab = Lab::new(Says::Keys(jwks(&[&k1])));
        assert_eq!(lab.ask("k1").await, 200);
        lab.idp.says(says);
        lab.clock.forward(700);
        assert_eq!(lab.ask("k1").await, 200);
        assert_eq!(lab.seen.take(), ["fetched new", "stale 700", &format!("fetched {word}")]);
        let status = lab.store.status();
        assert_eq!((status[0].keys, status[0].failures), (1, 1));
        assert_eq!(status[0].fault.as_ref().map(FetchFault::as_str), Some(word));
        // And with nothing at hand it makes nothing.
        let cold = Lab::new(lab.idp.says.lock().unwrap().clone());
        assert_eq!(cold.ask("k1").await, 503);
        assert!(cold.store.in_hand("idp").is_none());
    }
}

#[tokio::test]
async fn a_bad_key_is_left_out_and_told() {
    let private = r#"{"kty":"OKP","crv":"Ed25519","kid":"k2","x":"AA","d":"AA"}"#;
    let lab = Lab::new(Says::Keys(jwks(&[&jwk("k1"), private])));
    assert_eq!(lab.ask("k1").await, 200);
    assert_eq!(lab.seen.take(), ["fetched new", "skipped 1"]);
    let status = lab.store.status();
    assert_eq!(status[0].skipped[0].fault, crate::jose::KeyFault::Private);
}

#[tokio::test]
async fn what_has_not_changed_is_not_sent_again() {
    let lab = Lab::new(Says::Tagged(jwks(&[&jwk("k1")]), "\"v1\""));
    assert_eq!(lab.ask("k1").await, 200);
    let epoch = lab.store.in_hand("idp").expect("keys").epoch;
    lab.clock.forward(600);
    assert_eq!(lab.ask("k1").await, 200);
    assert_eq!(lab.seen.take(), ["fetched new", "stale 600", "fetched same"]);
    let status = lab.store.status();
    assert_eq!((status[0].age, status[0].failures), (Some(0), 0));
    assert_eq!(lab.store.in_hand("idp").expect("keys").epoch, epoch);
    lab.idp.says(Says::Tagged(jwks(&[&jwk("k2")]), "\"v2\""));
    lab.clock.forward(600);
    assert_eq!(lab.ask("k1").await, 200); // these serve while they are refreshed
    assert_eq!(lab.ask("k2").await, 200);
}

/// What the issuer says of freshness counts, within bounds.
#[tokio::test]
async fn max_age_counts_within_bounds() {
    for (control, soft) in
        [("max-age=300", 300), ("max-age=1", 60), ("no-store", 60), ("max-age=86400", 1800)]
    {
        let lab = Lab::new(Says::With(jwks(&[&jwk("k1")]), ("cache-control", control)));
        assert_eq!(lab.ask("k1").await, 200);
        lab.clock.forward(soft - 1);
        assert_eq!(lab.ask("k1").await, 200);
        assert_eq!(lab.idp.asked(), 1, "{control}");
        lab.clock.forward(1);
        assert_eq!(lab.ask("k1").await, 200);
        assert_eq!(lab.idp.asked(), 2, "{control}");
    }
}

/// However many ask at once, the issuer is asked once, and each of them is told the same.
#[tokio::test(start_paused = true)]
async fn one_fetch_for_all_who_wait() {
    let lab = Lab::new(Says::Late(Duration::from_secs(1), jwks(&[&jwk("k1")])));
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..1000 {
        let store = lab.store.clone();
        tasks.spawn(async move {
            let kid = if at % 2 == 0 { "k1" } else { "k2" };
            store.find("idp", Some(kid)).await.map(|keys| keys.set.has(kid))
        });
    }
    let found = tasks.join_all().await;
    assert_eq!(found.iter().filter(|found| **found == Ok(true)).count(), 500);
    assert_eq!(found.iter().filter(|found| **found == Ok(false)).count(), 500);
    assert_eq!(lab.idp.asked(), 1);
    // All of another thousand wait for one more fetch, though the burst would allow two.
    let mut tasks = tokio::task::JoinSet::new();
    lab.clock.forward(100);
    for at in 0..1000 {
        let store = lab.store.clone();
        tasks.spawn(async move { store.find("idp", Some(&format!("x{at}"))).await.is_ok() });
    }
    assert!(tasks.join_all().await.into_iter().all(|found| found));
    assert_eq!(lab.idp.asked(), 2);
}

/// Nobody waits longer than it is allowed to; who comes while it is being tried is told as soon as it failed.
#[tokio::test(start_paused = true)]
async fn a_slow_provider_costs_no_more_than_the_wait() {
    let lab = Lab::new(Says::Late(Duration::from_secs(60), jwks(&[&jwk("k1")])));
    let began = tokio::time::Instant::now();
    assert_eq!(lab.ask("k1").await, 503);
    assert_eq!(began.elapsed(), Duration::from_secs(3));
    // The request is gone, and what it began goes on.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(lab.idp.asked(), 1);
    assert!(lab.store.in_hand("idp").is_some());
}

/// What an answer says was so when it was asked for: by the time it is here, the keys may have been withdrawn.
#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_as_old_as_its_question() {
    let lab = Lab::new(Says::Late(Duration::from_secs(1), jwks(&[&jwk("k1")])));
    let (answer, ()) = tokio::join!(lab.ask("k1"), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        lab.clock.forward(700); // past the soft age
    });
    assert_eq!(answer, 200);
    assert_eq!(lab.store.status()[0].age, Some(700));
    lab.idp.says(Says::Keys(jwks(&[&jwk("k2")])));
    assert_eq!(lab.ask("k1").await, 200, "and is refreshed behind");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(lab.ask("k1").await, 401);
}

/// Where nothing runs between requests, the request refreshes, and does not wait long for it.
#[tokio::test(start_paused = true)]
async fn without_a_background_requests_refresh() {
    let refresh = Refresh::Inline(Duration::from_millis(200));
    let settings = KeySettings { refresh, ..KeySettings::default() };
    let keys = jwks(&[&jwk("k1")]);
    let lab = Lab::with(Says::Keys(keys.clone()), settings);
    assert_eq!(lab.ask("k1").await, 200);
    lab.clock.forward(600);
    assert!(lab.store.find("idp", Some("k1")).await.is_ok());
    assert_eq!(lab.store.status()[0].age, Some(0), "refreshed before the answer");
    lab.idp.says(Says::Late(Duration::from_secs(1), keys));
    lab.clock.forward(600);
    let began = tokio::time::Instant::now();
    assert_eq!(lab.ask("k1").await, 200);
    assert_eq!(began.elapsed(), Duration::from_millis(200));
    assert_eq!(lab.store.status()[0].age, Some(600));
}

/// Keys do not get younger when the clock is set back.
#[tokio::test]
async fn a_clock_that_is_set_back() {
    let lab = Lab::new(Says::Keys(jwks(&[&jwk("k1")])));
    assert_eq!(lab.ask("k1").await, 200);
    lab.idp.says(Says::Nothing);
    lab.clock.set(START - 100);
    assert_eq!(lab.ask("k1").await, 200);
    assert_eq!(lab.idp.asked(), 2, "it is asked whether they still hold");
    lab.clock.set(START - 4000);
    assert_eq!(lab.ask("k1").await, 503);
    lab.idp.says(Says::Keys(jwks(&[&jwk("k1")])));
    lab.clock.forward(2);
    assert_eq!(lab.ask("k1").await, 200);
    assert_eq!(lab.ask("k2").await, 401);
}

#[tokio::test]
async fn keys_of_the_registry_are_never_fetched_and_never_old() {
    let issuer = IssuerBuilder::new(IssuerKind::Static, "idp", "dev")
        .jwks(jwks(&[&jwk("k1")]))
        .audiences(["a"])
        .algorithms([Algorithm::EdDsa]);
    let registry = Registry::new([issuer]).expect("a registry");
    let (idp, clock) = (Idp::new(Says::Nothing), Hand::new());
    let store = KeyStore::builder(&registry, idp.clone()).clock(clock.clone()).build().expect("a store");
    clock.forward(1_000_000);
    for kid in [None, Some("k1"), Some("k2")] {
        assert_eq!(store.find("idp", kid).await.map(|keys| keys.set.len()), Ok(1));
    }
    assert!(store.in_hand("idp").is_some());
    assert_eq!(store.status(), []);
    assert_eq!(idp.asked(), 0);
    assert!(store.find("other", None).await.is_err());
    assert_eq!(store.warm().await, []);
}

#[tokio::test]
async fn who_is_without_keys_at_the_start_is_told() {
    let lab = Lab::new(Says::Nothing);
    assert_eq!(lab.store.warm().await, [crate::Undecided::NoKeys { issuer: "idp".to_owned() }]);
    lab.idp.says(Says::Keys(jwks(&[&jwk("k1")])));
    lab.clock.forward(1);
    assert_eq!(lab.store.warm().await, []);
}

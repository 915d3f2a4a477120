use super::*;
use crate::{CacheConfig, Expected, Revocation, Token};

fn cached() -> Validator<FixedKeys> {
    Validator::fixed(&registry()).expect("keys").clock(NOW).cache(CacheConfig::default())
}

fn reason<K: KeySource>(validator: &Validator<K>, token: &Token) -> Option<Reason> {
    let validated = ready(validator.validate(token, Credential::AccessToken)).expect("an answer");
    validated.refused().map(Refused::reason)
}

#[test]
fn logout_reaches_what_is_remembered() {
    let validator = cached();
    let token = Mint::access().set("sid", r#""s1""#).token();
    assert_eq!((reason(&validator, &token), reason(&validator, &token)), (None, None));
    assert_eq!(validator.cache_stats().expect("a cache").hits, 1);
    let issuer = "https://id.example".to_owned();
    let logout = Revocation::Session { issuer, id: "s1".to_owned(), until: NOW.plus(86_400) };
    validator.revocations().revoke(logout, NOW).expect("room");
    assert_eq!(reason(&validator, &token), Some(Reason::Revoked));
}

/// Who is told of each answer: every outcome by its word, and whether it was remembered.
#[test]
fn each_answer_is_told() {
    #[derive(Debug, Clone, Default)]
    struct Told(Arc<std::sync::Mutex<Vec<(&'static str, bool)>>>);
    impl Observer for Told {
        fn observe(&self, observed: &Observed<'_>) {
            let Observed::Validated { credential: Credential::AccessToken, outcome, remembered } = *observed
            else {
                panic!("{observed:?}")
            };
            self.0.lock().expect("no panic").push((outcome, remembered));
        }
    }
    let told = Told::default();
    let validator = cached().observer(told.clone());
    let (good, bad) = (Mint::access().token(), Mint::access().by(9).token());
    for token in [&good, &good, &bad, &bad, &Token::new("x")] {
        let _ = reason(&validator, token);
    }
    validator
        .revocations()
        .revoke(
            Revocation::Token {
                issuer: "https://id.example".to_owned(),
                id: "j1".to_owned(),
                until: NOW.plus(60),
            },
            NOW,
        )
        .expect("room");
    assert_eq!(reason(&validator, &good), Some(Reason::Revoked));
    let expected = [
        ("verified", false),
        ("verified", true),
        ("signature", false),
        ("signature", true),
        ("malformed", false),
        ("revoked", true),
    ];
    assert_eq!(*told.0.lock().expect("no panic"), expected);
}

#[test]
fn attack_5_a_twin_of_a_signature_is_another_token() {
    // Of an ECDSA signature (r, s), (r, n - s) is one too: it is judged by itself, and is no way into what is remembered.
    let validator = cached();
    let svid = Mint::svid().text();
    let twin = crate::testing::high_s_twin(&svid);
    assert_ne!(twin, svid);
    for text in [&svid, &twin] {
        let token = Token::new(text.as_str());
        let validated = ready(validator.validate(&token, Credential::JwtSvid)).expect("an answer");
        assert!(validated.verified().is_some(), "{validated:?}");
    }
    let stats = validator.cache_stats().expect("a cache");
    assert_eq!((stats.hits, stats.misses, stats.entries), (0, 2, 2));
}

#[test]
fn what_is_expected_is_part_of_the_key() {
    let validator = cached();
    let token = Mint::access().set("aud", r#"["orders","billing"]"#).token();
    let access = Expected::from(Credential::AccessToken);
    for (expected, good) in [
        (access, true),
        (access.audience("orders"), true),
        (access.audience("billing"), true),
        (access.audience("other"), false),
        (Expected::from(Credential::IdToken), false),
        (access, true),
    ] {
        let validated = ready(validator.validate(&token, expected)).expect("an answer");
        assert_eq!(validated.verified().is_some(), good, "{expected:?}");
    }
    let id = Mint::id().token();
    for (nonce, good) in [("n1", true), ("n2", false), ("n1", true)] {
        let expected = Expected::from(Credential::IdToken).nonce(nonce);
        let validated = ready(validator.validate(&id, expected)).expect("an answer");
        assert_eq!(validated.verified().is_some(), good, "{nonce}");
    }
    assert_eq!(validator.cache_stats().expect("a cache").hits, 2);
}

#[test]
fn only_wrong_signatures_are_remembered_of_what_is_bad() {
    let validator = cached();
    for (mint, expected, entries) in [
        (Mint::access().by(9), Reason::Signature, 1),
        (Mint::access().header("kid", r#""k9""#), Reason::UnknownKey, 1),
        (Mint::access().set("aud", r#""x""#), Reason::Audience, 1),
        (Mint::access().set("nbf", "1800000100"), Reason::Premature, 1),
        (Mint::access().also("sub", r#""b""#), Reason::Duplicate, 1),
    ] {
        assert_eq!(reason(&validator, &mint.token()), Some(expected));
        assert_eq!(validator.cache_stats().expect("a cache").entries, entries, "{expected}");
    }
}

#[test]
fn memory_is_bounded() {
    let config = CacheConfig { bytes: 200_000, bad_bytes: 50_000, ..CacheConfig::default() };
    let validator = Validator::fixed(&registry()).expect("keys").clock(NOW).cache(config);
    for number in 0..1000 {
        let mint = Mint::access().set("jti", &format!("\"{number}\""));
        assert_eq!(reason(&validator, &mint.token()), None);
        assert_eq!(reason(&validator, &mint.by(9).token()), Some(Reason::Signature));
    }
    let stats = validator.cache_stats().expect("a cache");
    assert!(stats.bytes <= 250_000 && stats.entries > 100, "{stats:?}");
    validator.forget();
    assert_eq!(validator.cache_stats().expect("a cache").entries, 0);
}

/// Lets whoever asks for keys wait until it is told to go on, and counts them.
#[derive(Debug)]
struct Slow {
    keys: FixedKeys,
    asked: std::sync::atomic::AtomicUsize,
    go: tokio::sync::Semaphore,
}

impl KeySource for Slow {
    async fn keys(&self, issuer: &Issuer, kid: Option<&str>) -> Result<Keys, Undecided> {
        self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let permit = self.go.acquire().await;
        drop(permit);
        self.keys.keys(issuer, kid).await
    }
}

#[tokio::test]
async fn one_of_many_verifies_and_the_others_wait_for_it() {
    let registry = registry();
    let slow = Arc::new(Slow {
        keys: FixedKeys::of(&registry).expect("keys"),
        asked: Default::default(),
        go: tokio::sync::Semaphore::new(0),
    });
    let validator =
        Arc::new(Validator::new(&registry, Arc::clone(&slow)).clock(NOW).cache(CacheConfig::default()));
    let text = Mint::access().text();
    let validate = |validator: Arc<Validator<Arc<Slow>>>| {
        let token = Token::new(text.as_str());
        tokio::spawn(async move { validator.validate(&token, Credential::AccessToken).await })
    };
    let first = validate(Arc::clone(&validator));
    tokio::task::yield_now().await;
    let others: Vec<_> = (0..8).map(|_| validate(Arc::clone(&validator))).collect();
    tokio::task::yield_now().await;
    assert_eq!(slow.asked.load(std::sync::atomic::Ordering::Relaxed), 1, "the others wait");
    // The first is called off: another takes over.
    first.abort();
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    slow.go.add_permits(16);
    for other in others {
        let validated = other.await.expect("not called off").expect("an answer");
        assert!(validated.verified().is_some());
    }
    assert_eq!(validator.cache_stats().expect("a cache").entries, 1);
}

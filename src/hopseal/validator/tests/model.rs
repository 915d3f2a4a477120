//! A validator with a cache answers as one without, whatever happened before: random histories, on both.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;
use crate::jose::KeySet;
use crate::testing::Hand;
use crate::{Algorithm, Revocation, UnixTime};

/// Keys that come and go. As a source must, it counts an epoch when a key leaves or changes, and none when one is added.
#[derive(Debug)]
struct Rotating {
    held: Mutex<(Vec<(u8, u8)>, u64)>,
    down: AtomicBool,
}

impl Rotating {
    /// The key that goes by an id, by its seed; none to take it away.
    fn put(&self, kid: u8, seed: Option<u8>) {
        let mut held = self.held.lock().expect("no panic");
        let before = held.0.len();
        if held.0.contains(&(kid, seed.unwrap_or(0))) {
            return;
        }
        held.0.retain(|(other, _)| *other != kid);
        if held.0.len() < before {
            held.1 += 1;
        }
        held.0.extend(seed.map(|seed| (kid, seed)));
    }
}

impl KeySource for Rotating {
    async fn keys(&self, issuer: &Issuer, _: Option<&str>) -> Result<Keys, Undecided> {
        if self.down.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Undecided::NoKeys { issuer: issuer.name().to_owned() });
        }
        let held = self.held.lock().expect("no panic");
        let jwks: Vec<String> =
            held.0.iter().map(|(kid, seed)| crate::testing::jwk(&format!("k{kid}"), *seed)).collect();
        let jwks = format!(r#"{{"keys":[{}]}}"#, jwks.join(","));
        let (set, skipped) = KeySet::from_jwks(jwks.as_bytes(), &[Algorithm::EdDsa]).expect("a set");
        assert!(skipped.is_empty());
        Ok(Keys { set: Arc::new(set), epoch: held.1 })
    }
}

#[derive(Debug, Clone)]
enum Step {
    Validate { token: usize, expected: usize },
    Tick(i64),
    Put { kid: u8, seed: Option<u8> },
    Down(bool),
    Revoke(usize),
    Reload(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        9 => (0..TOKENS, 0..4_usize).prop_map(|(token, expected)| Step::Validate { token, expected }),
        // Those of the first key again and again, as histories need.
        6 => (0..6_usize).prop_map(|token| Step::Validate { token, expected: 0 }),
        3 => prop_oneof![Just(1), Just(5), Just(10), Just(74), Just(120), Just(-1), Just(-74), -700..700_i64].prop_map(Step::Tick),
        2 => (1..3_u8, prop::option::of(1..3_u8)).prop_map(|(kid, seed)| Step::Put { kid, seed }),
        1 => any::<bool>().prop_map(Step::Down),
        1 => (0..8_usize).prop_map(Step::Revoke),
        1 => (0..4_usize).prop_map(Step::Reload),
    ]
}

const TOKENS: usize = 26;

/// Good and bad ones: by each key, named or not, of several lives.
fn tokens() -> Vec<Token> {
    let mut mints: Vec<Mint> = Vec::new();
    for seed in [1, 2, 9] {
        let by = Mint::access().by(seed);
        mints.extend([
            by.clone(),
            by.clone().header("kid", r#""k2""#),
            by.clone().without_header("kid"),
            by.clone().set("exp", "1800000015").set("sid", r#""s1""#),
            by.clone().set("nbf", "1800000065"),
            by.clone().set("aud", r#"["billing","orders"]"#).set("sub", r#""bob""#).set("jti", r#""j2""#),
        ]);
    }
    let plain = Mint::plain().by(1);
    mints.extend([
        plain.clone(),
        plain.clone().without("iat"),
        plain.clone().set("exp", "1800003600"),
        Mint::access().by(1).also("sub", r#""bob""#),
        Mint::access().by(1).header("alg", r#""none""#),
        Mint::access().by(1).set("cnf", r#"{"jkt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#),
        Mint::id().by(1),
        Mint::access().by(1).set("iss", r#""https://other.example""#),
    ]);
    assert_eq!(mints.len(), TOKENS);
    mints.iter().map(Mint::token).collect()
}

fn registry(version: usize) -> Registry {
    let yaml = crate::testing::yaml();
    let (before, after) = [
        ("", ""),
        ("max_lifetime: 1h", "max_lifetime: 5m"),
        ("audiences: [orders, billing]", "audiences: [billing]"),
        ("typ: [at+jwt, JWT]", "skew: 0s"),
    ][version];
    Registry::from_yaml(&yaml.replacen(before, after, usize::from(!before.is_empty()))).expect("good")
}

fn revocation(number: usize, now: UnixTime) -> Revocation {
    let (issuer, until) = ("https://id.example".to_owned(), now.plus(60));
    let id = ["j1", "j2", "s1", "s2", "alice", "bob", "", ""][number].to_owned();
    match number {
        0 | 1 => Revocation::Token { issuer, id, until },
        2 | 3 => Revocation::Session { issuer, id, until },
        4 | 5 => Revocation::Subject { issuer, id, issued_until: now, until },
        6 => Revocation::Issuer { issuer, issued_until: UnixTime(NOW.0 - 1) },
        _ => Revocation::Token { issuer: "https://other.example".to_owned(), id: "j1".to_owned(), until },
    }
}

/// Plays a history and says how often the cache had the answer.
fn play(steps: &[Step], config: CacheConfig) -> Result<CacheStats, TestCaseError> {
    let hand = Hand::default();
    let source = Arc::new(Rotating { held: Mutex::new((vec![(1, 1)], 0)), down: AtomicBool::new(false) });
    let revocations = Arc::new(Revocations::with_capacity(3));
    let new = || {
        Validator::new(&registry(0), Arc::clone(&source))
            .clock(hand.clone())
            .with_revocations(Arc::clone(&revocations))
    };
    let (bare, cached) = (new(), new().cache(config));
    let tokens = tokens();
    for step in steps {
        match step {
            Step::Validate { token, expected } => {
                let access = Expected::from(Credential::AccessToken);
                let expected = match expected {
                    0 | 1 => access,
                    2 => access.audience("orders"),
                    _ => Credential::IdToken.into(),
                };
                let token = &tokens[*token];
                let (without, with) =
                    (ready(bare.validate(token, expected)), ready(cached.validate(token, expected)));
                prop_assert_eq!(without, with);
            }
            Step::Tick(seconds) => {
                let now = hand.now().0.saturating_add_signed(*seconds);
                hand.set(UnixTime(now));
            }
            Step::Put { kid, seed } => source.put(*kid, *seed),
            Step::Down(down) => source.down.store(*down, std::sync::atomic::Ordering::Relaxed),
            Step::Revoke(number) => {
                // Full is an answer too, and the same for both.
                let _ = revocations.revoke(revocation(*number, hand.now()), hand.now());
            }
            Step::Reload(version) => {
                bare.reload(&registry(*version), Arc::clone(&source));
                cached.reload(&registry(*version), Arc::clone(&source));
            }
        }
    }
    Ok(cached.cache_stats().expect("a cache"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn a_cache_never_changes_an_answer(steps in prop::collection::vec(step(), 1..120)) {
        play(&steps, CacheConfig::default())?;
    }

    #[test]
    fn nor_does_one_that_is_too_small(steps in prop::collection::vec(step(), 1..60)) {
        let config = CacheConfig { bytes: 12_000, bad_bytes: 4_000, ..CacheConfig::default() };
        play(&steps, config)?;
    }
}

#[test]
fn histories_are_such_that_the_cache_is_used() {
    // The property would hold of a cache that remembers nothing.
    let validate = |token| Step::Validate { token, expected: 0 };
    let stats = play(
        &[validate(0), validate(0), validate(1), validate(12), validate(12), validate(18)],
        CacheConfig::default(),
    )
    .expect("the same answers");
    assert_eq!((stats.hits, stats.bad_hits, stats.misses, stats.entries), (1, 1, 4, 3));
}

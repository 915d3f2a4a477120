//! An identity provider that is down, rotates, or is flooded: through the front door.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::http::{Answer, Fetch, Fetching, HttpFault, Request};
use crate::keys::KeyStore;
use crate::testing::{Hand, base64url, jwk};
use crate::{CacheConfig, Token, UnixTime};

const REGISTRY: &str = "
issuers:
  - {name: idp, kind: jwks, issuer: 'https://id.example', jwks_uri: 'https://id.example/jwks', audiences: [orders], algorithms: [EdDSA]}
  - {name: op, kind: introspection, issuer: 'https://op.example', endpoint: 'https://op.example/introspect', client_id: orders, client_secret: s, audiences: [orders]}
";

/// A provider: what it publishes, and whether it answers at all.
#[derive(Debug, Clone, Default)]
struct Idp {
    /// Ids of keys, each with the seed of its key.
    keys: Arc<Mutex<Vec<(String, u8)>>>,
    down: Arc<Mutex<bool>>,
    /// Whether it says of opaque tokens that they are over.
    over: Arc<Mutex<bool>>,
    asked: Arc<AtomicU64>,
}

impl Idp {
    fn publishes(&self, keys: &[(&str, u8)]) {
        *self.keys.lock().expect("no panic") =
            keys.iter().map(|(kid, seed)| ((*kid).to_owned(), *seed)).collect();
    }

    fn is_down(&self, down: bool) {
        *self.down.lock().expect("no panic") = down;
    }
}

impl Fetch for Idp {
    fn fetch(&self, request: Request) -> Fetching<'_> {
        if *self.down.lock().expect("no panic") {
            return Box::pin(async { Err(HttpFault::Timeout) });
        }
        let body = if request.body.is_some() && *self.over.lock().expect("no panic") {
            r#"{"active":false}"#.to_owned()
        } else if request.body.is_some() {
            r#"{"active":true,"sub":"ann","iss":"https://op.example","aud":"orders","exp":1800086400,"iat":1800000000}"#
                .to_owned()
        } else {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let keys: Vec<String> =
                self.keys.lock().expect("no panic").iter().map(|(kid, seed)| jwk(kid, *seed)).collect();
            format!(r#"{{"keys":[{}]}}"#, keys.join(","))
        };
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        Box::pin(async move { Ok(Answer { status: 200, headers, body: body.into_bytes().into() }) })
    }
}

struct World {
    idp: Idp,
    clock: Hand,
    keys: KeyStore,
    validator: Validator<KeyStore>,
}

impl World {
    fn new() -> Self {
        let (idp, clock) = (Idp::default(), Hand::default());
        idp.publishes(&[("k1", 1)]);
        let registry = Registry::from_yaml(REGISTRY).expect("a registry");
        let keys = KeyStore::builder(&registry, idp.clone()).clock(clock.clone()).build().expect("a store");
        let asks = Introspector::builder(&registry, idp.clone()).clock(clock.clone()).build();
        let validator = Validator::new(&registry, keys.clone())
            .clock(clock.clone())
            .cache(CacheConfig::default())
            .with_introspector(asks.expect("an introspector"));
        Self { idp, clock, keys, validator }
    }

    async fn judge(&self, token: &Token, credential: Credential) -> &'static str {
        match self.validator.validate(token, credential).await {
            Ok(Validated::Verified(_)) => "good",
            Ok(Validated::Refused(refused)) => refused.reason().as_str(),
            Err(_) => "undecided",
        }
    }
}

/// A token by a key, good for a day from `NOW`.
fn token(kid: &str, seed: u8) -> Token {
    let mint = Mint::access().header("kid", &format!("{kid:?}")).set("exp", "1800086400").by(seed);
    mint.token()
}

/// What a service tells its callers, minute by minute, while the provider is down for ten of them: the policy of failures, row by
/// row. Keys are refreshed after ten minutes and serve for an hour; an answer about an opaque token holds for half a minute.
#[tokio::test]
async fn the_provider_is_down_for_ten_minutes() {
    let world = World::new();
    let (known, seen, opaque) = (token("k1", 1), token("k1", 1), Token::new("opaque"));
    let fresh = |at: u64| {
        Mint::access()
            .header("kid", r#""k1""#)
            .set("exp", "1800086400")
            .set("jti", &format!("\"{at}\""))
            .by(1)
            .token()
    };
    for (at, down, what, token, credential, expected) in [
        (0, false, "a token by a known key", &known, Credential::AccessToken, "good"),
        (0, false, "an opaque one", &opaque, Credential::Opaque, "good"),
        (0, false, "one by a key that nobody knows", &token("k9", 1), Credential::AccessToken, "unknown_key"),
        (570, false, "the last before", &known, Credential::AccessToken, "good"),
        (570, false, "the last before", &opaque, Credential::Opaque, "good"),
        // Down.
        (580, true, "an opaque token whose answer is remembered", &opaque, Credential::Opaque, "good"),
        (601, true, "one whose answer is too old", &opaque, Credential::Opaque, "undecided"),
        (601, true, "another opaque one", &Token::new("other"), Credential::Opaque, "undecided"),
        (601, true, "seen before, keys past their soft age", &seen, Credential::AccessToken, "good"),
        (
            602,
            true,
            "not seen before, keys past their soft age",
            &fresh(602),
            Credential::AccessToken,
            "good",
        ),
        (602, true, "a wrong signature", &token("k1", 2), Credential::AccessToken, "signature"),
        (700, true, "it may be a new key", &token("k8", 1), Credential::AccessToken, "undecided"),
        (701, true, "the second of the burst", &token("k7", 1), Credential::AccessToken, "undecided"),
        (702, true, "within the cooldown", &token("k6", 1), Credential::AccessToken, "unknown_key"),
        (1170, true, "at the end of it", &known, Credential::AccessToken, "good"),
        // Up, and longer down.
        (1180, false, "an opaque one again", &opaque, Credential::Opaque, "good"),
        (1200, false, "a known key again", &known, Credential::AccessToken, "good"),
        (1201, true, "down again", &fresh(1201), Credential::AccessToken, "good"),
        (4800, true, "within the hour for which keys serve", &fresh(4800), Credential::AccessToken, "good"),
        (4801, true, "past it", &fresh(4801), Credential::AccessToken, "undecided"),
        (4801, true, "past it, seen before", &known, Credential::AccessToken, "undecided"),
        (4900, false, "up", &known, Credential::AccessToken, "good"),
    ] {
        world.idp.is_down(down);
        world.clock.set(NOW.plus(at));
        assert_eq!(world.judge(token, credential).await, expected, "after {at} s: {what}");
        for _ in 0..20 {
            tokio::task::yield_now().await; // a refresh goes on behind
        }
    }
}

/// The row of the feed: while nothing is heard of it, keys go on to verify; a route with much to lose sees that it is behind, and asks
/// the issuer about the very same token.
#[cfg(feature = "events")]
#[tokio::test]
async fn the_feed_falls_silent_and_a_session_ends() {
    use crate::events::{FeedSettings, Receiver};
    let world = World::new();
    let registry = Registry::from_yaml(REGISTRY).expect("a registry");
    let feeds = [FeedSettings::new("idp", ["events"]).quiet(60)];
    let revocations = Arc::clone(world.validator.revocations());
    let receiver = Receiver::builder(&registry, world.keys.clone(), revocations, feeds);
    let receiver = receiver.clock(world.clock.clone()).build().expect("a receiver");
    let token = token("k1", 1);
    let careful = async || match receiver.feed("idp").expect("a feed").is_behind {
        true => ("asked", world.judge(&token, Credential::Opaque).await),
        false => ("verified", world.judge(&token, Credential::AccessToken).await),
    };
    assert_eq!(careful().await, ("verified", "good"));
    *world.idp.over.lock().expect("no panic") = true;
    world.clock.set(NOW.plus(60));
    assert_eq!(careful().await, ("verified", "good"));
    world.clock.set(NOW.plus(61));
    assert_eq!(careful().await, ("asked", "inactive"));
    assert_eq!(world.judge(&token, Credential::AccessToken).await, "good", "where less is to lose");
    world.idp.is_down(true);
    world.clock.set(NOW.plus(91));
    assert_eq!(careful().await, ("asked", "undecided"), "never taken for active");
}

/// Scenario: eight clients send tokens by the keys that are published, without a pause, while the provider takes a new key and
/// withdraws an old one, twenty times over.
/// Guarantees: no token by a key that was published all the while is refused; once the store is without a key, none by it is good,
/// remembered or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotation_under_load() {
    let judged = rotation().await;
    assert!(judged > 100, "{judged}");
}

/// The same, and how fast that was.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "slow unless optimised: `cargo xtask bench`"]
#[expect(clippy::disallowed_methods, reason = "it is about how many in a second")]
async fn rotation_at_two_thousand_a_second() {
    let began = std::time::Instant::now();
    let judged = rotation().await;
    let rate = judged as f64 / began.elapsed().as_secs_f64();
    println!(
        "twenty rotations, {judged} tokens, {rate:.0} a second: none refused that was good, none good that was withdrawn"
    );
    assert!(rate > 2000.0, "{rate:.0}");
}

/// How many tokens were judged.
async fn rotation() -> u64 {
    let world = Arc::new(World::new());
    let done = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (world, done) = (Arc::clone(&world), Arc::clone(&done));
            tokio::spawn(async move {
                let mut judged = 0_u64;
                while done.load(Ordering::SeqCst) == 0 {
                    let published = world.idp.keys.lock().expect("no panic").clone();
                    for (kid, seed) in &published {
                        let said = world.judge(&token(kid, *seed), Credential::AccessToken).await;
                        let still =
                            world.idp.keys.lock().expect("no panic").iter().any(|(now, _)| now == kid);
                        assert!(said == "good" || !still, "{kid}: {said}");
                        judged += 1;
                    }
                    tokio::task::yield_now().await;
                }
                judged
            })
        })
        .collect();
    let names: Vec<String> = (1..=21).map(|number| format!("k{number}")).collect();
    for (round, pair) in (1_u8..).zip(names.windows(2)) {
        let (old, new) = ((pair[0].as_str(), round), (pair[1].as_str(), round + 1));
        world.clock.set(NOW.plus(u64::from(round) * 2000));
        world.idp.publishes(&[old, new]);
        assert_eq!(world.judge(&token(new.0, new.1), Credential::AccessToken).await, "good", "{new:?}");
        let epoch = world.keys.in_hand("idp").expect("keys").epoch;
        world.idp.publishes(&[new]);
        world.clock.set(NOW.plus(u64::from(round) * 2000 + 1000)); // past the soft age
        let refreshed = async {
            while world.keys.in_hand("idp").is_none_or(|keys| keys.epoch == epoch) {
                let _ = world.judge(&token(new.0, new.1), Credential::AccessToken).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), refreshed)
            .await
            .expect("keys past their soft age are refreshed");
        assert_eq!(
            world.judge(&token(old.0, old.1), Credential::AccessToken).await,
            "unknown_key",
            "{old:?}"
        );
    }
    done.store(1, Ordering::SeqCst);
    let mut judged = 0;
    for client in clients {
        judged += client.await.expect("no panic");
    }
    judged
}

/// Tokens that are no good, each another, by turns: a key id of its own, a wrong signature of its own, no token at all.
async fn flood(world: &World, count: u64) {
    let good = token("k1", 1);
    for number in 0..count {
        let (token, expected) = match number % 3 {
            0 => (garbage(&format!("x{number}"), "AA"), "unknown_key"),
            1 => (garbage("k1", &base64url([&number.to_le_bytes()[..], &[7; 56]].concat())), "signature"),
            _ => (Token::new(format!("{number}.a.b")), "malformed"),
        };
        assert_eq!(world.judge(&token, Credential::AccessToken).await, expected, "{number}");
        if number % 1000 == 0 {
            assert_eq!(world.judge(&good, Credential::AccessToken).await, "good");
        }
    }
}

fn garbage(kid: &str, signature: &str) -> Token {
    let mint = Mint::access().header("kid", &format!("{kid:?}"));
    Token::new(format!("{}.{}.{signature}", base64url(mint.header_json()), base64url(mint.claims_json())))
}

/// How much this process holds, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("pages") * 4096
}

/// Scenario: twenty thousand tokens that are no good, each another.
/// Guarantees: each is refused for what it is, a good one in between is verified; the provider is asked once more, by the burst once
/// again, and not until the cooldown is over; what is remembered stays within its bounds.
#[tokio::test]
async fn a_flood_of_garbage() {
    let world = World::new();
    for round in 0..3 {
        flood(&world, 20_000).await;
        assert_eq!(world.idp.asked.load(Ordering::SeqCst), 3 + round, "round {round}");
        let stats = world.validator.cache_stats().expect("a cache");
        assert!(stats.bytes <= (16 << 20) + (1 << 20), "{stats:?}");
        world.clock.set(UnixTime(NOW.0 + 30 * (round + 1)));
    }
}

/// The same with a million of them.
#[tokio::test]
#[ignore = "takes minutes unless optimised: `cargo xtask bench`"]
async fn a_flood_of_a_million() {
    let world = World::new();
    flood(&world, 50_000).await; // until what is bounded is full
    let before = resident();
    flood(&world, 1_000_000).await;
    let grown = resident().saturating_sub(before);
    println!("{} MiB before, {} KiB more after a million", before >> 20, grown >> 10);
    assert!(grown < 8 << 20, "{grown} bytes more");
    assert_eq!(world.idp.asked.load(Ordering::SeqCst), 3);
}

/// Scenario: the registry is read anew, with other claims for one issuer, and numbers as they were; its provider is down.
/// Guarantees: the keys that are at hand serve on; what was remembered under the registry before is judged by the new one.
#[tokio::test]
async fn a_registry_that_is_read_anew() {
    let world = World::new();
    let token = token("k1", 1);
    assert_eq!(world.judge(&token, Credential::AccessToken).await, "good");
    world.idp.is_down(true);
    let reload = |yaml: &str| {
        let next = Registry::from_yaml(yaml).expect("a registry");
        let keys = KeyStore::builder(&next, world.idp.clone()).clock(world.clock.clone());
        let keys = keys.taking_over(world.keys.clone()).build().expect("a store");
        world.validator.reload(&next, keys);
    };
    reload(&format!(
        "{REGISTRY}  - {{name: new, kind: jwks, issuer: b, jwks_uri: 'https://b.example/', audiences: [c], algorithms: [RS256]}}"
    ));
    assert_eq!(world.judge(&token, Credential::AccessToken).await, "good", "nothing changed for its issuer");
    reload(&REGISTRY.replacen("[orders]", "[billing]", 1));
    assert_eq!(
        world.judge(&token, Credential::AccessToken).await,
        "undecided",
        "other rules, no keys under them yet"
    );
    world.idp.is_down(false);
    world.clock.set(NOW.plus(2));
    assert_eq!(world.judge(&token, Credential::AccessToken).await, "audience");
    reload(REGISTRY);
    assert_eq!(world.judge(&token, Credential::AccessToken).await, "good");
}

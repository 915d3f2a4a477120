//! Verifications that are remembered, so that a token that comes again costs a look-up and not a signature.
//!
//! What is remembered is the answer of the verifier alone. Everything that can change without the token is looked at again each
//! time: the clock, the keys of the issuer, what is revoked, what the token is bound to. Where any of it could matter, the
//! token is judged anew; so a validator with a cache answers as one without, which is tested against random histories.
//!
//! - The key is HMAC-SHA256, with a key of this process, over the token and all that was expected of it: nothing of the token is
//!   in memory, and nobody can tell or choose where an entry is.
//! - An answer holds for one version of the registry and one epoch of the issuer's keys, and for a time.
//! - Of bad tokens only those with a wrong signature are remembered, for seconds and with room of their own: they are what costs
//!   us much and an attacker little. That a token is malformed is seen sooner than it is looked up; everything else may change.
//! - One of many requests with the same new token verifies it, and the others wait for that.
//!
//! `quick_cache` and not `moka`: it has no clock of its own, no threads or maintenance, and a tenth of the dependencies.

mod flight;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::claims::Expected;
use crate::clock::UnixTime;
use crate::outcome::{Refused, Verified};
use crate::secret::Token;
pub(crate) use flight::{Boarding, Flights};

/// Longest that a good answer may be remembered, in seconds.
const MAX_TTL: u64 = 300;
/// Longest that a bad one may be.
const MAX_BAD_TTL: u64 = 10;

/// How much is remembered, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheConfig {
    /// Bytes for good answers. Default 16 MiB, which is about 15 000.
    pub bytes: u64,
    /// Seconds that a good answer is remembered, at most 300; never past the end of its token. Default 120.
    pub ttl: u64,
    /// Bytes for bad ones. Default 1 MiB.
    pub bad_bytes: u64,
    /// Seconds that a bad answer is remembered, at most 10. Default 10; 0 for not at all.
    pub bad_ttl: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self { bytes: 16 << 20, ttl: 120, bad_bytes: 1 << 20, bad_ttl: MAX_BAD_TTL }
    }
}

/// What a cache did since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Good answers that were remembered.
    pub hits: u64,
    /// Bad ones.
    pub bad_hits: u64,
    /// Tokens that had to be judged.
    pub misses: u64,
    /// Answers held now.
    pub entries: u64,
    /// Their weight in bytes, as reckoned.
    pub bytes: u64,
}

/// Where an answer is.
pub(crate) type Key = [u8; 32];

/// Which keys an answer was given by: their epoch, and how many there were, as a token without `kid` may be good while there is
/// one key and not when there are two.
pub(crate) type KeyedBy = (u64, usize);

/// An answer, and what it was given by.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The version of the registry.
    pub(crate) generation: u64,
    /// The issuer, by its name in the registry.
    pub(crate) issuer: Arc<str>,
    pub(crate) kid: Option<Arc<str>>,
    /// None for keys that stand in the registry.
    pub(crate) keyed_by: Option<KeyedBy>,
    /// When.
    pub(crate) at: UnixTime,
    pub(crate) result: Result<Arc<Verified>, Refused>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Answer> for Weight {
    fn weight(&self, _: &Key, answer: &Answer) -> u64 {
        let result = match &answer.result {
            Ok(verified) => weight(verified),
            Err(refused) => refused.detail().len(),
        };
        let all = size_of::<(Key, Answer)>()
            + answer.issuer.len()
            + answer.kid.as_ref().map_or(0, |kid| kid.len())
            + result;
        // What the table and the allocator take.
        u64::try_from(all).unwrap_or(u64::MAX).saturating_add(96)
    }
}

/// What an answer takes on the heap.
fn weight(verified: &Verified) -> usize {
    /// What the allocator takes for a text.
    const TEXT: usize = size_of::<String>() + 16;
    /// What names and attributes take besides their texts.
    const SHOWN: usize = if cfg!(feature = "seal") { 1536 } else { 0 };
    let (principal, evidence) = (&verified.principal, &verified.evidence);
    let some = |text: &Option<String>| text.as_ref().map_or(0, |text| text.len() + TEXT);
    let all = |texts: &[String]| texts.iter().map(|text| text.len() + TEXT).sum::<usize>();
    let actors: usize =
        principal.actors.iter().map(|actor| actor.id.len() + some(&actor.issuer) + 2 * TEXT).sum();
    let texts = principal.id.len()
        + principal.issuer.len()
        + evidence.issuer.len()
        + evidence.subject.len()
        + 4 * TEXT
        + some(&evidence.audience)
        + some(&evidence.proxy)
        + some(&principal.tenant)
        + some(&principal.client)
        + some(&principal.session)
        + some(&evidence.kid)
        + some(&evidence.token_id)
        + all(&principal.scopes)
        + all(&principal.roles)
        + actors;
    // Once it is shown on a span, each is there once more, as an attribute.
    size_of::<Verified>() + 2 * texts + SHOWN
}

/// The answers of a validator.
pub(crate) struct Answers {
    key: hmac::Key,
    config: CacheConfig,
    good: Cache<Key, Answer, Weight>,
    bad: Cache<Key, Answer, Weight>,
    pub(crate) flights: Flights,
    hits: AtomicU64,
    bad_hits: AtomicU64,
    misses: AtomicU64,
}

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("config", &self.config).field("stats", &self.stats()).finish()
    }
}

impl Answers {
    pub(crate) fn new(mut config: CacheConfig) -> Self {
        config.ttl = config.ttl.min(MAX_TTL);
        config.bad_ttl = config.bad_ttl.min(MAX_BAD_TTL);
        let mut secret = [0; 32];
        // Without randomness nothing that is remembered could be trusted: then nothing is.
        if aws_lc_rs::rand::fill(&mut secret).is_err() {
            (config.ttl, config.bad_ttl) = (0, 0);
        }
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            good: cache(config.bytes),
            bad: cache(config.bad_bytes),
            config,
            flights: Flights::default(),
            hits: AtomicU64::new(0),
            bad_hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Where the answer to a token is, for what is expected of it.
    pub(crate) fn key(&self, token: &Token, expected: &Expected<'_>) -> Key {
        let mut hmac = hmac::Context::with_key(&self.key);
        let mut put = |part: Option<&[u8]>| {
            // Each with its length, so that no two sets of parts are one text.
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            hmac.update(&length.to_le_bytes());
            hmac.update(part.unwrap_or_default());
        };
        put(Some(token.expose().as_bytes()));
        put(Some(expected.credential.as_str().as_bytes()));
        put(expected.audience.map(str::as_bytes));
        put(expected.nonce.map(str::as_bytes));
        put(expected.access_token.map(|token| token.expose().as_bytes()));
        put(Some(expected.assertion));
        let mut key = [0; 32];
        key.copy_from_slice(hmac.sign().as_ref());
        key
    }

    /// An answer that was given under that version of the registry and is not too old. Whether it still holds is for the
    /// caller to see.
    pub(crate) fn get(&self, key: &Key, generation: u64, now: UnixTime) -> Option<Answer> {
        let young = |answer: &Answer, ttl: u64| {
            // A clock that was set back may be behind `nbf` again.
            answer.generation == generation && answer.at <= now && now.since(answer.at) < ttl
        };
        if let Some(answer) = self.good.get(key).filter(|answer| young(answer, self.config.ttl)) {
            return Some(answer);
        }
        self.bad.get(key).filter(|answer| young(answer, self.config.bad_ttl))
    }

    pub(crate) fn put(&self, key: Key, answer: Answer) {
        use crate::Reason;
        match &answer.result {
            Ok(_) if self.config.ttl > 0 => self.good.insert(key, answer),
            Err(refused) if refused.reason() == Reason::Signature && self.config.bad_ttl > 0 => {
                self.bad.insert(key, answer);
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Counts a look.
    pub(crate) fn count(&self, found: Option<&Answer>) {
        let counter = match found.map(|answer| answer.result.is_ok()) {
            Some(true) => &self.hits,
            Some(false) => &self.bad_hits,
            None => &self.misses,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            bad_hits: self.bad_hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: (self.good.len() as u64).saturating_add(self.bad.len() as u64),
            bytes: self.good.weight().saturating_add(self.bad.weight()),
        }
    }

    pub(crate) fn clear(&self) {
        self.good.clear();
        self.bad.clear();
    }
}

fn cache(bytes: u64) -> Cache<Key, Answer, Weight> {
    let answers = usize::try_from(bytes / 1024).unwrap_or(usize::MAX).max(16);
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity(answers).weight_capacity(bytes).shards(8);
    match options.build() {
        Ok(options) => {
            Cache::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default())
        }
        Err(_) => Cache::with_weighter(answers, bytes, Weight), // all that is asked for is given
    }
}

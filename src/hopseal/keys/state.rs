//! What to do about the keys of one issuer, as a machine without clock, network or locks: it is asked, and it is told what
//! came of a fetch. All of the policy is here.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Keys;
use super::settings::{KeySettings, WhenDown};
use crate::clock::UnixTime;
use crate::jose::KeySet;

/// Most ids of keys that are remembered as not known. They get in by a fetch alone, of which there are few.
const MAX_ABSENT: usize = 256;

/// Epochs are never used twice in a process, so that what was kept under one store is not found under its successor.
static EPOCHS: AtomicU64 = AtomicU64::new(1);

fn next_epoch() -> u64 {
    EPOCHS.fetch_add(1, Ordering::Relaxed)
}

/// Keys of an issuer and what is known of their age.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) keys: Keys,
    /// When the provider last said that these are its keys.
    pub(super) confirmed: UnixTime,
    /// When they are to be refreshed.
    pub(super) soft: UnixTime,
}

impl Held {
    /// Whether they may be used at all. A clock that was set back makes nothing young.
    pub(super) fn usable(&self, now: UnixTime, settings: &KeySettings) -> bool {
        now.since(self.confirmed) <= settings.max_stale && self.confirmed.since(now) <= settings.max_stale
    }

    /// Whether they are to be refreshed.
    pub(super) fn is_due(&self, now: UnixTime) -> bool {
        now >= self.soft || now < self.confirmed
    }
}

/// What to do for one request.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Go on with these keys.
    Serve(Serve),
    /// Fetch, or wait for whoever does, and ask again: nothing can be said before.
    Fetch(Why),
    /// Nothing can be said, and it is too early to try again.
    Unavailable,
}

#[derive(Debug, Clone)]
pub(super) struct Serve {
    pub(super) keys: Keys,
    /// Past the soft age, by how many seconds since the provider confirmed them.
    pub(super) stale: Option<u64>,
    /// Whether to begin a refresh.
    pub(super) refresh: bool,
    /// Of a key id that is not among them, why it was not fetched for.
    pub(super) unknown: Option<Unknown>,
}

/// Why something is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Why {
    /// There are no keys.
    Cold,
    /// The keys are too old.
    Expired,
    /// They are to be refreshed.
    Refresh,
    /// There is no key of that id.
    UnknownKid,
}

/// Why a key that is not known is not fetched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Unknown {
    /// A fetch has just been made for this very request, without it.
    Fetched,
    /// The provider was asked for it not long ago, and did not have it.
    Remembered,
    /// The provider was asked for another not long ago.
    Cooldown,
}

/// A fetch that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    /// How many were begun with it.
    number: u64,
    asked: UnixTime,
}

/// What came of a fetch.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// A key set.
    New { set: KeySet, max_age: Option<u64> },
    /// The set that we have is still the provider's.
    Same { max_age: Option<u64> },
    /// None.
    Failed,
}

/// The keys of one issuer over time.
#[derive(Debug)]
pub(super) struct State {
    held: Option<Held>,
    /// When there may be the next attempt after a failed one.
    retry: UnixTime,
    /// How many attempts failed in a row.
    failures: u32,
    /// When the next fetch for a key that is not known would be due if they came evenly (generic cell rate algorithm).
    unknown_due: UnixTime,
    /// Hashes of key ids that the provider does not know, and until when that is believed.
    absent: HashMap<u64, UnixTime>,
    hasher: RandomState,
    /// Fetches begun.
    begun: u64,
    /// The last one that came to an end.
    ended: u64,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            held: None,
            retry: UnixTime(0),
            failures: 0,
            unknown_due: UnixTime(0),
            absent: HashMap::new(),
            hasher: RandomState::new(),
            begun: 0,
            ended: 0,
        }
    }

    /// The keys and their age.
    pub(super) fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// How many attempts failed in a row.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// A mark for [`Self::ask_again`].
    pub(super) const fn mark(&self) -> u64 {
        self.begun
    }

    /// What to do for a request with this key id.
    pub(super) fn ask(&self, now: UnixTime, kid: Option<&str>, settings: &KeySettings) -> Step {
        let Some(held) = &self.held else { return self.must(Why::Cold, now, settings) };
        if !held.usable(now, settings) {
            return self.must(Why::Expired, now, settings);
        }
        let due = held.is_due(now);
        let serve = |unknown| {
            Step::Serve(Serve {
                keys: held.keys.clone(),
                stale: due.then(|| now.since(held.confirmed)),
                refresh: due && self.may_retry(now, settings),
                unknown,
            })
        };
        match kid {
            Some(kid) if !held.keys.set.has(kid) => {
                if self.is_absent(kid, now, settings) {
                    serve(Some(Unknown::Remembered))
                } else if self.may_fetch_unknown(now, settings) {
                    Step::Fetch(Why::UnknownKid)
                } else {
                    serve(Some(Unknown::Cooldown))
                }
            }
            _ => serve(None),
        }
    }

    /// What to do for a request that waited for a fetch. Was one begun and ended since `mark`, that is all that is done
    /// for it.
    pub(super) fn ask_again(
        &mut self,
        now: UnixTime,
        kid: Option<&str>,
        mark: u64,
        settings: &KeySettings,
    ) -> Step {
        let step = self.ask(now, kid, settings);
        let (true, Some(kid)) = (self.ended > mark, kid) else { return step };
        match step {
            Step::Fetch(Why::UnknownKid) | Step::Serve(Serve { unknown: Some(_), .. }) => {
                let down = self.failures > 0;
                if down && settings.unknown_kid_when_down == WhenDown::Undecided {
                    return Step::Unavailable;
                }
                if !down {
                    self.remember_absent(kid, now.plus(settings.unknown_kid_memory), now);
                }
                match self.ask(now, None, settings) {
                    Step::Serve(serve) => Step::Serve(Serve { unknown: Some(Unknown::Fetched), ..serve }),
                    other => other,
                }
            }
            other => other,
        }
    }

    /// A fetch begins. What is returned is for [`Self::end`].
    pub(super) fn begin(&mut self, now: UnixTime, why: Why, settings: &KeySettings) -> Begun {
        if why == Why::UnknownKid {
            self.unknown_due = self.unknown_due(now, settings).plus(settings.unknown_kid_cooldown);
        }
        self.begun += 1;
        Begun { number: self.begun, asked: now }
    }

    /// A fetch that was begun came to an end. Good keys are never replaced by none. Their age counts from when they were asked
    /// for, since a slow answer does not know what changed in between.
    pub(super) fn end(&mut self, now: UnixTime, fetch: Begun, outcome: Outcome, settings: &KeySettings) {
        let Begun { number, asked } = fetch;
        self.ended = self.ended.max(number);
        let soft = |max_age: Option<u64>| {
            let age = max_age.unwrap_or(settings.soft_age);
            asked.plus(age.clamp(settings.soft_age_least, settings.soft_age_most))
        };
        match (outcome, &mut self.held) {
            (Outcome::New { set, max_age }, held) if !set.is_empty() => {
                let epoch = match held {
                    Some(held) if set.retains(&held.keys.set) => held.keys.epoch,
                    _ => next_epoch(),
                };
                let changed = held.as_ref().is_none_or(|held| !held.keys.set.retains(&set));
                if changed {
                    self.absent.clear();
                }
                let keys = Keys { set: Arc::new(set), epoch };
                *held = Some(Held { keys, confirmed: asked, soft: soft(max_age) });
                self.succeeded();
            }
            (Outcome::Same { max_age }, Some(held)) => {
                held.confirmed = asked;
                held.soft = soft(max_age);
                self.succeeded();
            }
            (Outcome::New { .. } | Outcome::Same { .. } | Outcome::Failed, _) => {
                let wait = settings.retry_least.saturating_mul(1 << self.failures.min(16));
                self.retry = now.plus(wait.min(settings.retry_most));
                self.failures = self.failures.saturating_add(1);
            }
        }
    }

    /// Takes keys that were confirmed before this process began. Keys at hand that were confirmed later stay.
    pub(super) fn restore(&mut self, set: KeySet, confirmed: UnixTime, settings: &KeySettings) -> bool {
        if set.is_empty() || self.held.as_ref().is_some_and(|held| held.confirmed >= confirmed) {
            return false;
        }
        let keys = Keys { set: Arc::new(set), epoch: next_epoch() };
        self.held = Some(Held { keys, confirmed, soft: confirmed.plus(settings.soft_age) });
        true
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.retry = UnixTime(0);
    }

    /// Fetches, unless an attempt failed just before.
    fn must(&self, why: Why, now: UnixTime, settings: &KeySettings) -> Step {
        if self.may_retry(now, settings) { Step::Fetch(why) } else { Step::Unavailable }
    }

    // Times ahead count within bounds: a clock that was set back must not stop fetches for long.

    fn may_retry(&self, now: UnixTime, settings: &KeySettings) -> bool {
        now >= self.retry || self.retry.since(now) > settings.retry_most
    }

    fn is_absent(&self, kid: &str, now: UnixTime, settings: &KeySettings) -> bool {
        let until = self.absent.get(&self.hasher.hash_one(kid));
        until.is_some_and(|until| now < *until && until.since(now) <= settings.unknown_kid_memory)
    }

    fn unknown_due(&self, now: UnixTime, settings: &KeySettings) -> UnixTime {
        let latest = now.plus(settings.unknown_kid_cooldown.saturating_mul(settings.unknown_kid_burst));
        self.unknown_due.clamp(now, latest)
    }

    fn may_fetch_unknown(&self, now: UnixTime, settings: &KeySettings) -> bool {
        let ahead = self.unknown_due(now, settings).since(now);
        ahead <= settings.unknown_kid_cooldown.saturating_mul(settings.unknown_kid_burst - 1)
    }

    fn remember_absent(&mut self, kid: &str, until: UnixTime, now: UnixTime) {
        if self.absent.len() >= MAX_ABSENT {
            self.absent.retain(|_, until| now < *until);
        }
        if self.absent.len() < MAX_ABSENT {
            self.absent.insert(self.hasher.hash_one(kid), until);
        }
    }

    #[cfg(test)]
    pub(super) fn absent(&self) -> usize {
        self.absent.len()
    }
}

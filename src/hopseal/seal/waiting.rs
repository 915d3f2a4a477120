//! Spans whose seal is made when they are exported, off the path of their request.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::held::Held;
use crate::clock::UnixTime;

/// Most spans that wait. What they hold is bounded with them: the next is sealed at once.
const CAPACITY: usize = 16 * 1024;
/// Seconds after which a span that waits was lost on its way, where room is needed.
const LOST: u64 = 600;
/// Seconds between two looks for such spans.
const PAUSE: u64 = 10;

/// A span, by the trace and its own id.
pub(crate) type SpanKey = ([u8; 16], [u8; 8]);

/// What has an identity whose credential is at hand.
pub(crate) trait Holds: Send + Sync {
    fn held(&self) -> Option<&Held>;
}

/// What a span waits for.
#[derive(Clone)]
pub(crate) struct Wanted {
    /// Whose identity.
    pub(crate) held: Arc<dyn Holds>,
    /// When it was validated: what the seal vouches for.
    pub(crate) at: UnixTime,
    /// Of the attributes that come with the seal, those to be written.
    pub(crate) names: Names,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted").field("at", &self.at).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    /// By how many exporters.
    by: usize,
}

/// Which of the attributes that come with a seal are written: `iat`, `exp`, the seal itself.
pub(crate) type Names = [bool; 3];

/// The spans of a sealer that wait, if somebody exports them who makes their seals.
#[derive(Debug)]
pub(crate) struct Waiting {
    exporters: AtomicUsize,
    spans: Mutex<Spans>,
}

#[derive(Debug)]
struct Spans {
    wanted: BTreeMap<SpanKey, Entry>,
    looked: UnixTime,
}

impl Waiting {
    pub(super) const fn new() -> Self {
        let spans = Spans { wanted: BTreeMap::new(), looked: UnixTime(0) };
        Self { exporters: AtomicUsize::new(0), spans: Mutex::new(spans) }
    }

    /// Somebody begins to make the seals of spans that are exported.
    pub(crate) fn join(&self) {
        self.exporters.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody stops: once nobody is left, seals are made at once again.
    pub(crate) fn leave(&self) {
        self.exporters.fetch_sub(1, Ordering::Relaxed);
    }

    /// Lets a span wait; whether it may. If not, its seal is made at once.
    pub(crate) fn put(&self, span: SpanKey, wanted: Wanted) -> bool {
        let by = self.exporters.load(Ordering::Relaxed);
        if by == 0 {
            return false;
        }
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let now = wanted.at;
        if spans.wanted.len() >= CAPACITY && now.since(spans.looked) >= PAUSE {
            spans.looked = now;
            spans.wanted.retain(|_, entry| now.since(entry.wanted.at) < LOST);
        }
        let room = spans.wanted.len() < CAPACITY;
        if room {
            spans.wanted.insert(span, Entry { wanted, by });
        }
        room
    }

    /// What a span waits for, if it does: as often as there were exporters when it began.
    pub(crate) fn take(&self, span: &SpanKey) -> Option<Wanted> {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = spans.wanted.get_mut(span)?;
        entry.by -= 1;
        if entry.by > 0 {
            return Some(entry.wanted.clone());
        }
        spans.wanted.remove(span).map(|entry| entry.wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Txn;
    use crate::seal::testing::{NOW, alice, gateway};

    impl Holds for Held {
        fn held(&self) -> Option<&Self> {
            Some(self)
        }
    }

    fn key(place: usize) -> SpanKey {
        let mut span = [0; 8];
        span.copy_from_slice(&(place as u64).to_be_bytes());
        ([1; 16], span)
    }

    /// Nothing waits for nobody; and spans that never came take no room for ever.
    #[test]
    fn a_bounded_number_waits_and_only_for_somebody() {
        let txn = Txn::new("t").expect("legal");
        let held: Arc<dyn Holds> = Arc::new(Held::new(Arc::new(gateway()), Arc::new(alice()), txn));
        let wanted = |at| Wanted { held: Arc::clone(&held), at, names: [true; 3] };
        let waiting = Waiting::new();
        assert!(!waiting.put(key(0), wanted(NOW)), "for nobody");
        waiting.join();
        for place in 0..CAPACITY {
            assert!(waiting.put(key(place), wanted(NOW)), "{place}");
        }
        assert!(!waiting.put(key(CAPACITY), wanted(NOW.plus(LOST - 1))), "full");
        assert!(!waiting.put(key(CAPACITY), wanted(NOW.plus(LOST))), "looked a second ago");
        assert!(waiting.put(key(CAPACITY), wanted(NOW.plus(LOST + PAUSE))), "all others are lost");
        assert!(waiting.take(&key(0)).is_none());
        assert!(waiting.take(&key(CAPACITY)).is_some());
        assert!(waiting.take(&key(CAPACITY)).is_none(), "once");
        waiting.leave();
        assert!(!waiting.put(key(0), wanted(NOW)));
    }
}

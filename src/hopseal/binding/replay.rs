//! Proofs that were seen, for as long as they would be accepted again.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::clock::UnixTime;

/// Remembers ids in two generations of equal length, each as long as a proof can be good. When one is over, the one before it is
/// forgotten as a whole: no entry is looked at twice.
///
/// ```text
///          |--- before ---|--- present ---
///     forgotten        start            now
/// ```
///
/// A clock that is set back makes old proofs look new. What could have been forgotten is therefore not accepted, however new it
/// looks.
pub(super) struct Replays {
    seen: Mutex<Seen>,
    capacity: usize,
    /// How long a generation is.
    window: u64,
    skew: u64,
}

struct Seen {
    present: HashSet<[u8; 16]>,
    before: HashSet<[u8; 16]>,
    /// When the present generation began.
    start: UnixTime,
    /// What came before this moment may be forgotten.
    forgotten: Option<UnixTime>,
}

impl fmt::Debug for Replays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let held = seen.present.len() + seen.before.len();
        f.debug_struct("Replays")
            .field("held", &held)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl Replays {
    /// For so many proofs, which may be `max_age` seconds old and `skew` seconds ahead.
    pub(super) fn new(capacity: usize, max_age: u64, skew: u64) -> Self {
        let seen =
            Seen { present: HashSet::new(), before: HashSet::new(), start: UnixTime(0), forgotten: None };
        // From `skew` before it was made, by our clock, until `max_age` after.
        let window = max_age.saturating_add(skew.saturating_mul(2)).max(1);
        Self { seen: Mutex::new(seen), capacity, window, skew }
    }

    /// Whether this is the first time, for a proof that was made at `issued_at`; `None` where there is no room to remember it.
    pub(super) fn first(&self, id: [u8; 16], issued_at: UnixTime, now: UnixTime) -> Option<bool> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let over = now.since(seen.start);
        if over >= self.window {
            // Whatever came before the generation that now is the one before is gone.
            seen.forgotten = Some(seen.start);
            seen.before = std::mem::take(&mut seen.present);
            if over >= self.window.saturating_mul(2) {
                seen.before = HashSet::new();
                seen.forgotten = Some(UnixTime(now.0.saturating_sub(self.window)));
            }
            seen.start = now;
        }
        if seen.forgotten.is_some_and(|forgotten| issued_at < forgotten.plus(self.skew)) {
            return Some(false);
        }
        if seen.present.contains(&id) || seen.before.contains(&id) {
            return Some(false);
        }
        if seen.present.len() + seen.before.len() >= self.capacity {
            return None;
        }
        seen.present.insert(id);
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn full_is_no_answer_and_ends_with_time() {
        let replays = Replays::new(2, 60, 10);
        let first = |id: u8, now: u64| replays.first([id; 16], UnixTime(now), UnixTime(now));
        assert_eq!((first(1, 1000), first(2, 1000), first(3, 1000)), (Some(true), Some(true), None));
        assert_eq!(first(1, 1000), Some(false), "what is known is known");
        assert_eq!(first(3, 1000 + 80), None, "the generation before still counts");
        assert_eq!(first(3, 1000 + 160), Some(true));
    }

    proptest! {
        /// Whatever the clock does, no proof is accepted twice, and on a clock that runs none is refused the first time.
        #[test]
        fn once_and_no_more(steps in prop::collection::vec((0..20_u8, 0..80_u64, -200..200_i64), 1..80), back in any::<bool>()) {
            let replays = Replays::new(10_000, 60, 10);
            let (mut now, mut accepted) = (100_000_u64, BTreeSet::new());
            for (id, age, tick) in steps {
                now = now.saturating_add_signed(if back { tick } else { tick.abs() });
                let issued_at = now - age + 10;
                if now.saturating_sub(issued_at) > 60 {
                    continue; // too old to be asked for
                }
                // A proof is its id and its time together.
                let proof = (id, issued_at);
                let mut key = [id; 16];
                key[..8].copy_from_slice(&issued_at.to_le_bytes());
                let first = replays.first(key, UnixTime(issued_at), UnixTime(now));
                prop_assert!(first.is_some());
                if first == Some(true) {
                    prop_assert!(accepted.insert(proof), "{proof:?} twice");
                } else if !back {
                    prop_assert!(accepted.contains(&proof), "{proof:?} refused the first time");
                }
            }
        }
    }
}

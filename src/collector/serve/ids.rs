//! Tables by trace id. Ids are the senders' choice: they are hashed with a secret, so that nobody knows which of theirs take one place.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};
use hopseal_correlate::sink::TraceId;

/// What is known by trace.
pub(crate) type IdMap<V> = HashMap<TraceId, V, Secret>;
/// Traces.
pub(crate) type IdSet = HashSet<TraceId, Secret>;

/// Traces that were seen of late: the last so many at least, and no more than twice as many.
///
/// Nothing is taken out one by one. That would leave marks in a table of which half is in use, until it is made anew in twice the room.
#[derive(Debug)]
pub(crate) struct LastIds {
    least: usize,
    young: IdSet,
    old: IdSet,
}

impl LastIds {
    pub(crate) fn new(least: usize) -> Self {
        Self { least, young: IdSet::default(), old: IdSet::default() }
    }

    pub(crate) fn contains(&self, trace_id: TraceId) -> bool {
        self.young.contains(&trace_id) || self.old.contains(&trace_id)
    }

    pub(crate) fn insert(&mut self, trace_id: TraceId) {
        self.young.insert(trace_id);
        if self.young.len() >= self.least {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
    }
}

/// Each one hashes in a way of its own. The secret is of the system's randomness, as that of the standard library, whose hash
/// takes ten times as long: every span asks for its trace.
#[derive(Debug, Clone)]
pub(crate) struct Secret(SeedableRandomState);

impl Default for Secret {
    fn default() -> Self {
        let secret = RandomState::new().hash_one(0_u8);
        Self(SeedableRandomState::with_seed(secret, SharedSeed::global_random()))
    }
}

impl BuildHasher for Secret {
    type Hasher = FoldHasher<'static>;

    #[inline]
    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> TraceId {
        TraceId(std::array::from_fn(|at| number.to_be_bytes()[at % 4]))
    }

    #[test]
    fn the_last_are_known_and_those_long_before_are_not() {
        let mut last = LastIds::new(10);
        for number in 0..1000 {
            last.insert(id(number));
            // Again changes nothing.
            last.insert(id(number));
            let first = (0..=number).find(|other| last.contains(id(*other))).expect("some");
            let known = number + 1 - first;
            assert!((first..=number).all(|other| last.contains(id(other))));
            assert!((10.min(number + 1)..20).contains(&known), "{known} of {number}");
        }
    }

    /// Guarantees: however many come and go, no more room is taken than for the first.
    #[test]
    fn room_for_ids_does_not_grow() {
        const LEAST: usize = 1_000;
        let mut last = LastIds::new(LEAST);
        let room = |last: &LastIds| last.young.capacity() + last.old.capacity();
        (0..3 * LEAST as u32).for_each(|number| last.insert(id(number)));
        let before = room(&last);
        (0..300 * LEAST as u32).for_each(|number| last.insert(id(number)));
        assert_eq!(room(&last), before);
    }

    #[test]
    fn no_two_hash_alike() {
        let id = TraceId([7; 16]);
        let (one, other) = (Secret::default(), Secret::default());
        assert_eq!(one.hash_one(id), one.clone().hash_one(id));
        assert_ne!(one.hash_one(id), other.hash_one(id));
    }
}

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

    #[test]
    fn no_two_hash_alike() {
        let id = TraceId([7; 16]);
        let (one, other) = (Secret::default(), Secret::default());
        assert_eq!(one.hash_one(id), one.clone().hash_one(id));
        assert_ne!(one.hash_one(id), other.hash_one(id));
    }
}

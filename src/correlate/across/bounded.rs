//! State that stays bounded whatever is sent, and the same whatever the order.

use std::collections::BTreeMap;
use std::hash::Hasher as _;

use rustc_hash::{FxHashMap, FxHasher};
use sha2::Digest as _;

use super::stored::Stored;
use crate::same::is_same;

/// 128 bits of SHA-256 over what is counted under.
pub(crate) type Key = u128;

/// The key of parts, each length-prefixed so that no two lists of parts collide.
pub(crate) fn key(parts: &[&[u8]]) -> Key {
    let mut joined = Vec::new();
    join(parts, &mut joined);
    digest(&joined)
}

fn join(parts: &[&[u8]], to: &mut Vec<u8>) {
    for part in parts {
        to.extend_from_slice(&(part.len() as u64).to_le_bytes());
        to.extend_from_slice(part);
    }
}

fn digest(joined: &[u8]) -> Key {
    let digest: [u8; 32] = sha2::Sha256::digest(joined).into();
    Key::from_be_bytes(digest.first_chunk().copied().unwrap_or_default())
}

/// Keys of the parts asked for of late, which mostly are those asked for next. Parts are the senders' choice: those that
/// are chosen to take each other's place gain that the digest is made anew.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    /// None before the first is asked for: most are only merged.
    recent: Box<[Group]>,
}

/// Parts as they are joined, and their key.
type Group = [(Vec<u8>, Key); WAYS];

/// Places that one hash may take.
const WAYS: usize = 4;
/// Groups of places; a power of two.
const GROUPS: usize = 1 << 10;

impl Keys {
    /// The same as [`key`].
    pub(crate) fn of(&mut self, parts: &[&[u8]]) -> Key {
        if self.recent.is_empty() {
            let empty = [(); WAYS].map(|()| (Vec::new(), digest(&[])));
            self.recent = vec![empty; GROUPS].into_boxed_slice();
        }
        let mut hasher = FxHasher::default();
        parts.iter().for_each(|part| hasher.write(part));
        let hash = hasher.finish();
        let group = self.recent.get_mut(hash as usize & (GROUPS - 1));
        let group = group.map_or(&mut [][..], |group| &mut group[..]);
        if let Some((_, key)) = group.iter().find(|(joined, _)| is_joined(parts, joined)) {
            return *key;
        }
        let mut joined = Vec::new();
        join(parts, &mut joined);
        let key = digest(&joined);
        if let Some(place) = group.get_mut((hash >> 32) as usize & (WAYS - 1)) {
            *place = (joined, key);
        }
        key
    }
}

/// Whether that is what [`join`] makes of these parts.
fn is_joined(parts: &[&[u8]], joined: &[u8]) -> bool {
    let mut rest = joined;
    for part in parts {
        let Some((length, after)) = rest.split_first_chunk() else { return false };
        let Some((text, after)) = after.split_at_checked(part.len()) else { return false };
        if u64::from_le_bytes(*length) != part.len() as u64 || !is_same(text, part) {
            return false;
        }
        rest = after;
    }
    // What nothing was remembered of is the key of no parts.
    rest.is_empty()
}

/// A map that keeps the `limit` lowest keys of all it was asked for.
///
/// A key once dropped is never taken again, so what is counted under a kept key is whole, and which keys are kept
/// does not depend on the order they came in.
#[derive(Debug, Clone)]
pub(crate) struct Bounded<V> {
    kept: FxHashMap<Key, V>,
    limit: usize,
    /// Keys above are refused.
    highest: Key,
}

impl<V> Bounded<V> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { kept: FxHashMap::default(), limit, highest: Key::MAX }
    }

    /// What is counted under `key`, made by `new` at first; `None` when there is no room for it.
    pub(crate) fn entry(&mut self, key: Key, new: impl FnOnce() -> V) -> Option<&mut V> {
        if key > self.highest {
            return None;
        }
        // Room for twice as many, so that the cost of dropping is spread.
        if self.kept.len() >= self.limit.saturating_mul(2) && !self.kept.contains_key(&key) {
            self.shrink();
            if key > self.highest {
                return None;
            }
        }
        Some(self.kept.entry(key).or_insert_with(new))
    }

    /// Adds everything of another, `join` where both have a key. What was dropped on either side is dropped.
    pub(crate) fn merge(&mut self, other: Self, join: impl Fn(&mut V, V)) {
        if other.highest < self.highest {
            self.highest = other.highest;
            self.kept.retain(|key, _| *key <= other.highest);
        }
        for (key, value) in other.kept {
            if key > self.highest {
                continue;
            }
            match self.kept.get_mut(&key) {
                Some(known) => join(known, value),
                None => _ = self.kept.insert(key, value),
            }
        }
        if self.kept.len() > self.limit {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        let mut keys: Vec<Key> = self.kept.keys().copied().collect();
        let (_, highest, _) = keys.select_nth_unstable(self.limit.saturating_sub(1));
        let highest = *highest;
        self.highest = highest;
        self.kept.retain(|key, _| *key <= highest);
    }

    /// Everything kept, by key, and whether something was dropped.
    pub(crate) fn into_sorted(mut self) -> (Vec<V>, bool) {
        let overflowed = self.highest != Key::MAX || self.kept.len() > self.limit;
        if self.kept.len() > self.limit {
            self.shrink();
        }
        let mut kept: Vec<(Key, V)> = self.kept.into_iter().collect();
        kept.sort_unstable_by_key(|(key, _)| *key);
        (kept.into_iter().map(|(_, value)| value).collect(), overflowed)
    }
}

impl<V: Stored> Stored for Bounded<V> {
    fn write(&self, to: &mut Vec<u8>) {
        (self.limit as u64, self.highest).write(to);
        // In order, so that the same is written of the same.
        let sorted: BTreeMap<&Key, &V> = self.kept.iter().collect();
        (sorted.len() as u64).write(to);
        for (key, value) in sorted {
            key.write(to);
            value.write(to);
        }
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        let (limit, highest) = <(u64, Key)>::read(at)?;
        let kept = (0..u64::read(at)?).map(|_| <(Key, V)>::read(at)).collect::<Option<_>>()?;
        Some(Self { kept, limit: usize::try_from(limit).ok()?, highest })
    }
}

/// They are only remembered to be quick.
impl Stored for Keys {
    fn write(&self, _to: &mut Vec<u8>) {}

    fn read(_at: &mut &[u8]) -> Option<Self> {
        Some(Self::default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(limit: usize, keys: &[Key]) -> (Vec<(Key, usize)>, bool) {
        let mut bounded = Bounded::new(limit);
        for key in keys {
            if let Some((_, count)) = bounded.entry(*key, || (*key, 0)) {
                *count += 1;
            }
            assert!(bounded.kept.len() <= 2 * limit);
        }
        bounded.into_sorted()
    }

    #[test]
    fn remembered_keys_are_the_same() {
        let mut keys = Keys::default();
        for _ in 0..2 {
            for number in 0..4 * GROUPS {
                let text = number.to_string();
                let parts = [text.as_bytes(), b"GET /"];
                assert_eq!(keys.of(&parts), key(&parts));
            }
        }
        assert_ne!(keys.of(&[b"ab", b"c"]), keys.of(&[b"a", b"bc"]));
        assert_eq!(keys.of(&[]), key(&[]));
    }

    proptest! {
        #[test]
        fn keeps_the_lowest_keys_whole_in_any_order(
            (keys, shuffled) in prop::collection::vec(0_u128..60, 0..200)
                .prop_flat_map(|keys| (Just(keys.clone()), Just(keys).prop_shuffle())),
            limit in 1_usize..20,
        ) {
            let mut whole = BTreeMap::new();
            keys.iter().for_each(|key| *whole.entry(*key).or_insert(0) += 1);
            let expected: Vec<(Key, usize)> = whole.iter().map(|(k, n)| (*k, *n)).take(limit).collect();
            prop_assert_eq!(counted(limit, &keys), (expected, whole.len() > limit));
            prop_assert_eq!(counted(limit, &keys), counted(limit, &shuffled));
        }
    }
}

//! What encoded attributes and names of spans say, so that one that comes again is not read again.
//!
//! Only what became a word is remembered. The table has a fixed number of places and what is in it stays: who fills it
//! gains that attributes are read in full.

use std::hash::Hasher as _;

use rustc_hash::FxHasher;

use crate::field::Field;
use crate::same::is_same;
use crate::words::WordId;

/// Places that one hash may take.
const WAYS: usize = 4;
/// Groups of places; a power of two. With [`WAYS`] and [`LONGEST`] this bounds the table to some 8 MiB.
const GROUPS: usize = 1 << 13;
/// Longest that is remembered, in bytes.
const LONGEST: usize = 256;

/// What is remembered of one; all zero where there is none.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Half of the hash; 0 where empty.
    tag: u32,
    /// Where its bytes begin.
    start: u32,
    len: u16,
    /// The field it says; `None` where it says none that is kept.
    field: Option<Field>,
    word: u32,
    /// The place of the one that came after it the last time.
    next: u32,
}

/// The attributes remembered in one input of one format, or the names of spans.
#[derive(Debug, Default)]
pub(crate) struct Encoded {
    bytes: Vec<u8>,
    /// The places of each group, one group after the other; none before something is remembered.
    places: Box<[Place]>,
    /// The place recalled last: instrumentation sends its attributes in one order, so what came after it will mostly
    /// come again.
    last: usize,
}

/// The first of the places for these bytes, and what marks them there.
#[inline]
fn place(encoded: &[u8]) -> (usize, u32) {
    let mut hasher = FxHasher::default();
    hasher.write(encoded);
    let hash = hasher.finish();
    ((hash as usize & (GROUPS - 1)) * WAYS, (hash >> 32) as u32 | 1)
}

impl Encoded {
    /// What these bytes say, if they are remembered.
    #[inline(always)]
    pub(crate) fn recall(&mut self, encoded: &[u8]) -> Option<(WordId, Option<Field>)> {
        let next = self.places.get(self.last).map_or(0, |last| last.next as usize);
        match self.places.get(next).filter(|place| self.is(place, encoded)) {
            Some(expected) => {
                self.last = next;
                Some((WordId(expected.word), expected.field))
            }
            None => self.recall_other(encoded),
        }
    }

    /// The same for one that did not come here the last time.
    #[inline(never)]
    fn recall_other(&mut self, encoded: &[u8]) -> Option<(WordId, Option<Field>)> {
        let found = self.find(encoded)?;
        if let Some(last) = self.places.get_mut(self.last) {
            last.next = found as u32;
        }
        self.last = found;
        let known = self.places.get(found)?;
        Some((WordId(known.word), known.field))
    }

    #[inline]
    fn is(&self, place: &Place, encoded: &[u8]) -> bool {
        let (start, len) = (place.start as usize, usize::from(place.len));
        len == encoded.len()
            && place.tag != 0
            && self.bytes.get(start..start + len).is_some_and(|known| is_same(known, encoded))
    }

    fn find(&self, encoded: &[u8]) -> Option<usize> {
        if encoded.len() > LONGEST {
            return None;
        }
        let (first, tag) = place(encoded);
        let group = self.places.get(first..first + WAYS)?;
        let way = group.iter().position(|place| place.tag == tag && self.is(place, encoded))?;
        Some(first + way)
    }

    /// Remembers what these bytes say, if there is room.
    pub(crate) fn remember(&mut self, encoded: &[u8], WordId(word): WordId, field: Option<Field>) {
        if encoded.len() > LONGEST {
            return;
        }
        if self.places.is_empty() {
            self.places = vec![Place::default(); WAYS * GROUPS].into_boxed_slice();
        }
        let (first, tag) = place(encoded);
        let group = self.places.get_mut(first..first + WAYS);
        let free = group.and_then(|group| group.iter_mut().find(|place| place.tag == 0));
        if let Some(free) = free
            && let (Ok(start), Ok(len)) = (u32::try_from(self.bytes.len()), u16::try_from(encoded.len()))
        {
            *free = Place { tag, start, len, field, word, next: 0 };
            self.bytes.extend_from_slice(encoded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_recalled() {
        let mut encoded = Encoded::default();
        assert_eq!(encoded.recall(b"ab"), None);
        encoded.remember(b"ab", WordId(7), None);
        encoded.remember(b"abc", WordId(8), Some(Field::Link));
        assert_eq!(encoded.recall(b"ab"), Some((WordId(7), None)));
        assert_eq!(encoded.recall(b"abc"), Some((WordId(8), Some(Field::Link))));
        assert_eq!(encoded.recall(b"a"), None);
    }

    /// Guarantees: what is recalled does not depend on what came before it.
    #[test]
    fn any_may_come_after_any() {
        let mut encoded = Encoded::default();
        for word in 0..6 {
            encoded.remember(&[word; 3], WordId(word.into()), None);
        }
        for at in 0..6 * 6 * 6 {
            let word = [at % 6, at / 6 % 6, at / 36][at % 3] as u8;
            assert_eq!(encoded.recall(&[word; 3]), Some((WordId(word.into()), None)), "{at}");
            assert_eq!(encoded.recall(&[9; 3]), None);
        }
    }

    #[test]
    fn long_ones_and_those_without_room_are_not() {
        let mut encoded = Encoded::default();
        let long = [b'x'; LONGEST + 1];
        encoded.remember(&long, WordId(1), None);
        assert_eq!(encoded.recall(&long), None);
        let all: Vec<String> = (0..4 * WAYS * GROUPS).map(|number| number.to_string()).collect();
        for (text, word) in all.iter().zip(0..) {
            encoded.remember(text.as_bytes(), WordId(word), None);
        }
        let known = all.iter().zip(0..).filter(|(text, word)| match encoded.recall(text.as_bytes()) {
            Some((known, _)) => {
                assert_eq!(known, WordId(*word));
                true
            }
            None => false,
        });
        let known = known.count();
        assert!(known <= WAYS * GROUPS && known > WAYS * GROUPS / 2, "{known}");
    }
}

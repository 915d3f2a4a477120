//! Texts that come again and again, kept once.
//!
//! Most attributes of most spans are word for word those of the span before: methods, routes, hosts, agents. The
//! second time such a pair is seen it becomes a *word*; from the third on it is known by one look, is not looked
//! through for credentials again, and takes four bytes of a record.
//!
//! The table has a fixed number of places, and a word stays. Who sends many different texts fills it, or hits one
//! place of it on purpose, and gains that texts stand in records in full: slower, and the same to every reader.

use std::hash::Hasher as _;

use rustc_hash::FxHasher;

use crate::dialect::KeyId;
use crate::field::Field;
use crate::same::is_same;

/// Places that one hash may take.
const WAYS: usize = 4;
/// Groups of places; a power of two. With [`WAYS`] and [`LONGEST`] this bounds the table to some 20 MiB.
const GROUPS: usize = 1 << 14;
/// Longest pair that may be a word, in bytes.
const LONGEST: usize = 256;

/// Number of a word; it fits 24 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WordId(pub(crate) u32);

/// What may be a word: a text, and the attribute key that it stands under.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pair<'a> {
    /// Empty for [`Form::Own`].
    pub(crate) key: &'a str,
    pub(crate) form: Form<'a>,
}

/// A value as it was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Form<'a> {
    Text(&'a str),
    /// A text that is no attribute: a service, a span's name. Never taken for an attribute, whatever its key.
    Own(&'a str),
    Int(i64),
    Double(f64),
    Bool(bool),
}

impl Form<'_> {
    /// The kind, and what tells two numbers apart; texts are told apart by themselves.
    const fn bits(self) -> (u8, u64) {
        match self {
            Self::Text(_) => (0, 0),
            Self::Int(number) => (1, number.cast_unsigned()),
            Self::Double(number) => (2, number.to_bits()),
            Self::Bool(truth) => (3, truth as u64),
            Self::Own(_) => (4, 0),
        }
    }

    pub(crate) const fn is_number(self) -> bool {
        matches!(self, Self::Int(_) | Self::Double(_) | Self::Bool(_))
    }

    const fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Own(text) => text,
            Self::Int(_) | Self::Double(_) | Self::Bool(_) => "",
        }
    }
}

impl Pair<'_> {
    /// Whether it is too long to be a word, whatever was seen before.
    pub(crate) const fn is_long(&self) -> bool {
        self.key.len() + self.form.text().len() > LONGEST
    }

    fn hash(self) -> u64 {
        let mut hasher = FxHasher::default();
        hasher.write(self.key.as_bytes());
        let (kind, bits) = self.form.bits();
        hasher.write_u8(kind);
        match self.form.is_number() {
            true => hasher.write_u64(bits),
            false => hasher.write(self.form.text().as_bytes()),
        }
        hasher.finish()
    }
}

/// What is known of a pair.
#[derive(Debug)]
struct Word {
    key: Box<str>,
    text: Box<str>,
    bits: (u8, u64),
    /// The fact it says, `None` where it says none.
    means: Option<(Field, KeyId)>,
}

impl Word {
    fn is(&self, pair: Pair<'_>) -> bool {
        self.bits == pair.form.bits()
            && is_same(self.key.as_bytes(), pair.key.as_bytes())
            && (pair.form.is_number() || is_same(self.text.as_bytes(), pair.form.text().as_bytes()))
    }
}

/// A place in the table: empty, for a hash seen once, or for a word.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Half of the hash; 0 where empty.
    tag: u32,
    /// Number of the word and one; 0 where there is none yet.
    word: u32,
}

/// A pair that is no word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Miss(u64);

/// The words of one reading. Records made with it can only be read with it.
#[derive(Debug)]
pub struct Words {
    words: Vec<Word>,
    places: Box<[[Place; WAYS]]>,
}

impl Default for Words {
    fn default() -> Self {
        Self { words: Vec::new(), places: vec![[Place::default(); WAYS]; GROUPS].into_boxed_slice() }
    }
}

/// The group of places for a hash, and what marks it there.
const fn place(hash: u64) -> (usize, u32) {
    (hash as usize & (GROUPS - 1), (hash >> 32) as u32 | 1)
}

impl Words {
    /// The word for a pair and the fact that it says; `None` inside where it says none.
    #[inline]
    pub(crate) fn find(&self, pair: Pair<'_>) -> Result<(WordId, Option<Field>), Option<Miss>> {
        if pair.is_long() {
            return Err(None);
        }
        let hash = pair.hash();
        let (group, tag) = place(hash);
        for place in self.places.get(group).into_iter().flatten().filter(|place| place.tag == tag) {
            let Some(number) = place.word.checked_sub(1) else { continue };
            if let Some(word) = self.words.get(number as usize).filter(|word| word.is(pair)) {
                return Ok((WordId(number), word.means.map(|(field, _)| field)));
            }
        }
        Err(Some(Miss(hash)))
    }

    /// Takes note of a pair that was not found; the second time it becomes a word. `text` is what a record keeps.
    pub(crate) fn note(
        &mut self,
        Miss(hash): Miss,
        pair: Pair<'_>,
        text: &str,
        means: Option<(Field, KeyId)>,
    ) -> Option<WordId> {
        // A number may be written with more letters than a text may have.
        if pair.key.len() + text.len() > LONGEST {
            return None;
        }
        let (group, tag) = place(hash);
        let group = self.places.get_mut(group)?;
        let seen = group.iter().position(|place| place.tag == tag && place.word == 0);
        let Some(seen) = seen.and_then(|seen| group.get_mut(seen)) else {
            // A hash seen once makes room for the next: only words stay.
            let free = group.iter_mut().filter(|place| place.word == 0).min_by_key(|place| place.tag);
            free.into_iter().for_each(|place| place.tag = tag);
            return None;
        };
        let number = u32::try_from(self.words.len()).ok()?;
        seen.word = number + 1;
        self.words.push(Word { key: pair.key.into(), text: text.into(), bits: pair.form.bits(), means });
        Some(WordId(number))
    }

    /// The text of a word; empty for a number that is none.
    pub(crate) fn text(&self, WordId(number): WordId) -> &str {
        self.words.get(number as usize).map_or("", |word| &word.text)
    }

    /// The key under which a word stands.
    pub(crate) fn key(&self, word: WordId) -> KeyId {
        self.means(word).map_or(KeyId(0), |(_, key)| key)
    }

    /// The fact that a word says, and under which key; `None` where it says none.
    pub(crate) fn means(&self, WordId(number): WordId) -> Option<(Field, KeyId)> {
        self.words.get(number as usize).and_then(|word| word.means)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair<'a>(key: &'a str, text: &'a str) -> Pair<'a> {
        Pair { key, form: Form::Text(text) }
    }

    fn see(words: &mut Words, pair: Pair<'_>, text: &str) -> Option<WordId> {
        match words.find(pair) {
            Ok((word, _)) => Some(word),
            Err(miss) => words.note(miss?, pair, text, None),
        }
    }

    #[test]
    fn the_second_time_makes_a_word() {
        let mut words = Words::default();
        let get = pair("http.request.method", "GET");
        assert_eq!(see(&mut words, get, "GET"), None);
        assert_eq!(see(&mut words, get, "GET"), Some(WordId(0)));
        assert_eq!(see(&mut words, get, "GET"), Some(WordId(0)));
        assert_eq!(words.text(WordId(0)), "GET");
        assert_eq!(see(&mut words, pair("http.request.metho", "dGET"), "dGET"), None);
    }

    #[test]
    fn forms_are_told_apart_by_kind_and_value() {
        let mut words = Words::default();
        let forms = [
            Form::Int(1),
            Form::Int(0),
            Form::Bool(true),
            Form::Double(1.0),
            Form::Text("1"),
            Form::Own("1"),
        ];
        for _ in 0..2 {
            for form in forms {
                see(&mut words, Pair { key: "k", form }, "1");
            }
        }
        let found = forms.map(|form| words.find(Pair { key: "k", form }).expect("a word").0.0);
        assert_eq!(found, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_long_text_is_no_word_and_a_full_table_makes_no_more() {
        let mut words = Words::default();
        let long = "x".repeat(LONGEST);
        assert!(matches!(words.find(pair("k", &long)), Err(None)));
        for number in 0..4 * WAYS * GROUPS {
            let text = number.to_string();
            for _ in 0..2 {
                see(&mut words, pair("k", &text), &text);
            }
        }
        assert!(words.words.len() <= WAYS * GROUPS);
        assert!(words.words.len() > WAYS * GROUPS / 2);
    }

    proptest! {
        /// A word is never taken for another.
        #[test]
        fn a_word_says_what_was_noted(pairs in proptest::collection::vec(("[a-c]{0,3}", "[a-c]{0,3}"), 0..200)) {
            let mut words = Words::default();
            for (key, text) in &pairs {
                if let Some(word) = see(&mut words, pair(key, text), text) {
                    prop_assert_eq!(words.text(word), text);
                }
            }
        }
    }
}

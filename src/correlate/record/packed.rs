//! Records that bring the texts of their words along, for a reader that never saw those words: what is kept on disk.
//!
//! ```text
//! fields u16: { number u8, length u8, name } | keys u16: { number u16, length u16, name }
//! words u32: { number u32, key u16, length u16, text } | records, one after the other, as they are in memory
//! ```
//! Fields and keys stand by name, so that another dialect map, or another version of us, reads what was meant.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Body, Cursor, FIXED, RawEntries, peek, put_field, put_text};
use crate::dialect::{Dialects, KeyId};
use crate::field::Field;
use crate::sink::TraceId;
use crate::words::{WordId, Words};

/// Bytes that no [`Packer`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a run of records, or cut short")]
pub struct Broken;

/// Packs records; kept from one run to the next so that nothing is allocated anew.
#[derive(Debug, Default)]
pub struct Packer {
    /// By word: the run in which it was last used.
    used: Vec<u32>,
    run: u32,
    words: Vec<WordId>,
    keys: FxHashSet<u16>,
}

impl Packer {
    /// Appends `records`, one after the other as they were made with `words`, with all that they need to be read.
    pub fn pack(&mut self, records: &[u8], words: &Words, dialects: &Dialects, to: &mut Vec<u8>) {
        self.run = self.run.wrapping_add(1);
        if self.run == 0 {
            self.used.clear();
            self.run = 1;
        }
        self.words.clear();
        self.keys.clear();
        let mut fields = [0; 2];
        let mut rest = records;
        while let Some((record, after)) = split(rest) {
            self.note(record, &mut fields);
            rest = after;
        }
        let [low, high] = fields;
        let fields = u128::from(high) << 64 | u128::from(low);
        self.keys.extend(self.words.iter().map(|word| words.key(*word).0));
        let fields = || Field::ALL.iter().filter(move |field| fields & field.bit() != 0);
        to.extend_from_slice(&count(fields().count()).to_le_bytes());
        for field in fields() {
            let name = field.as_str();
            to.extend_from_slice(&[*field as u8, u8::try_from(name.len()).unwrap_or(0)]);
            to.extend_from_slice(name.as_bytes());
        }
        to.extend_from_slice(&count(self.keys.len()).to_le_bytes());
        for key in &self.keys {
            let name = dialects.name(KeyId(*key));
            to.extend_from_slice(&key.to_le_bytes());
            to.extend_from_slice(&count(name.len()).to_le_bytes());
            to.extend_from_slice(name.as_bytes());
        }
        to.extend_from_slice(&u32::try_from(self.words.len()).unwrap_or(0).to_le_bytes());
        for word in &self.words {
            let text = words.text(*word);
            to.extend_from_slice(&word.0.to_le_bytes());
            to.extend_from_slice(&words.key(*word).0.to_le_bytes());
            to.extend_from_slice(&count(text.len()).to_le_bytes());
            to.extend_from_slice(text.as_bytes());
        }
        to.extend_from_slice(records);
    }

    /// Takes note of the words and keys of one record, and of its fields: a bit each, in two halves, which are quicker to shift than
    /// one whole.
    fn note(&mut self, record: &[u8], fields: &mut [u64; 2]) -> Option<()> {
        let mut at = Cursor(record.get(FIXED..)?);
        at.head()?;
        for _ in 0..TEXTS {
            if let Some(word) = at.raw_text()?.err() {
                self.word(word);
            }
        }
        for entry in RawEntries(at) {
            if let Some(half) = fields.get_mut(usize::from(entry.field >> 6)) {
                *half |= 1 << (entry.field & 63);
            }
            match entry.body {
                Body::Word(word) => self.word(word),
                Body::Full(key, _) => _ = self.keys.insert(key.0),
            }
        }
        Some(())
    }

    fn word(&mut self, word: WordId) {
        let at = word.0 as usize;
        if at >= self.used.len() {
            self.used.resize(at + 1, 0);
        }
        if let Some(run) = self.used.get_mut(at).filter(|run| **run != self.run) {
            *run = self.run;
            self.words.push(word);
        }
    }
}

/// Texts between the fixed part and the fields.
const TEXTS: usize = 5;

fn count(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(0)
}

/// The first record, and what stands behind it.
fn split(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, len) = peek(records)?;
    records.split_at_checked(len)
}

/// Splits records that stand one after the other.
pub fn each(records: &[u8]) -> impl Iterator<Item = (TraceId, &[u8])> {
    let mut rest = records;
    std::iter::from_fn(move || {
        let (trace_id, _) = peek(rest)?;
        let (record, after) = split(rest)?;
        rest = after;
        Some((trace_id, record))
    })
}

/// Calls `visit` with each record of a run, every text of it in full: it can be read with any [`Words`], and is the same
/// span as before.
///
/// # Errors
/// [`Broken`] where the bytes are not what a [`Packer`] wrote. Records before the broken place were visited.
pub fn unpack(
    packed: &[u8],
    dialects: &Dialects,
    mut visit: impl FnMut(TraceId, &[u8]),
) -> Result<(), Broken> {
    let mut at = Cursor(packed);
    let known = Known::read(&mut at, dialects).ok_or(Broken)?;
    let (mut rest, mut out) = (at.0, Vec::new());
    while !rest.is_empty() {
        let (trace_id, _) = peek(rest).ok_or(Broken)?;
        let (record, after) = split(rest).ok_or(Broken)?;
        out.clear();
        known.in_full(record, &mut out).ok_or(Broken)?;
        visit(trace_id, &out);
        rest = after;
    }
    Ok(())
}

/// What the numbers in a run stand for.
struct Known<'p> {
    fields: [Option<Field>; 128],
    keys: FxHashMap<u16, KeyId>,
    words: FxHashMap<u32, (u16, &'p str)>,
}

impl<'p> Known<'p> {
    fn read(at: &mut Cursor<'p>, dialects: &Dialects) -> Option<Self> {
        let mut known = Self { fields: [None; 128], keys: FxHashMap::default(), words: FxHashMap::default() };
        for _ in 0..at.u16()? {
            let [number, len] = at.array()?;
            let name = std::str::from_utf8(at.take(usize::from(len))?).ok()?;
            // A field that this version does not know says nothing to its rules either.
            *known.fields.get_mut(usize::from(number))? =
                Field::ALL.iter().copied().find(|field| field.as_str() == name);
        }
        for _ in 0..at.u16()? {
            let (number, len) = (at.u16()?, at.u16()?);
            let name = std::str::from_utf8(at.take(usize::from(len))?).ok()?;
            known.keys.insert(number, dialects.meaning(name).key);
        }
        for _ in 0..at.u32()? {
            let (number, key, len) = (at.u32()?, at.u16()?, at.u16()?);
            known.words.insert(number, (key, std::str::from_utf8(at.take(usize::from(len))?).ok()?));
        }
        Some(known)
    }

    fn key(&self, number: u16) -> KeyId {
        self.keys.get(&number).copied().unwrap_or(KeyId(0))
    }

    fn in_full(&self, record: &'p [u8], out: &mut Vec<u8>) -> Option<()> {
        let mut at = Cursor(record.get(FIXED..)?);
        at.head()?;
        out.extend_from_slice(record.get(..record.len() - at.0.len())?);
        for _ in 0..TEXTS {
            let text = match at.raw_text()? {
                Ok(text) => std::str::from_utf8(text).ok()?,
                Err(word) => self.words.get(&word.0)?.1,
            };
            put_text(out, text);
        }
        for entry in RawEntries(at) {
            let Some(field) = self.fields.get(usize::from(entry.field)).copied().flatten() else { continue };
            match entry.body {
                Body::Word(word) => {
                    let (key, text) = self.words.get(&word.0)?;
                    put_field(out, field, self.key(*key), &[text]);
                }
                Body::Full(key, raw) => {
                    super::write::put_bytes(out, field, self.key(key.0), [raw]);
                }
            }
        }
        super::close(out, 0);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Span;
    use crate::testing::records;

    const TEXT: &str = "\
gw SERVER GET /orders user.id=alice http.response.status_code=200 @link=7/1
  gw CLIENT GET http.method=GET @dropped=3
    shop/orders@prod SERVER GET /orders hopseal.sub=a hopseal.assurance=verified
gw SERVER GET /orders user.id=alice http.response.status_code=200
gw SERVER GET /orders user.id=alice http.response.status_code=200";

    #[test]
    fn what_is_unpacked_is_the_same_span_with_any_words() {
        let kept = records(TEXT);
        let dialects = Dialects::built_in().expect("shipped map");
        let all: Vec<u8> = kept.traces.values().flatten().flatten().copied().collect();
        let (mut packer, mut packed) = (Packer::default(), Vec::new());
        // The second time nothing is left of the first.
        packer.pack(&all, &kept.words, &dialects, &mut packed);
        packed.clear();
        packer.pack(&all, &kept.words, &dialects, &mut packed);
        let others = Words::default();
        let mut before = each(&all);
        let mut seen = 0;
        unpack(&packed, &dialects, |id, record| {
            let (trace_id, original) = before.next().expect("as many");
            let (_, original) = Span::read(original, &kept.words).expect("a record");
            let (_, span) = Span::read(record, &others).expect("a record");
            assert_eq!(id, trace_id);
            assert_eq!(span.content(), original.content());
            assert_eq!(span.mask(), original.mask());
            assert!(span.entries().map(|entry| entry.key).eq(original.entries().map(|entry| entry.key)));
            seen += 1;
        })
        .expect("whole");
        assert_eq!(seen, 5);
    }

    #[test]
    fn what_is_cut_short_is_broken_and_never_read_as_something_else() {
        let kept = records(TEXT);
        let dialects = Dialects::built_in().expect("shipped map");
        let all: Vec<u8> = kept.traces.values().flatten().flatten().copied().collect();
        let mut packed = Vec::new();
        Packer::default().pack(&all, &kept.words, &dialects, &mut packed);
        let ends: Vec<usize> = each(&all)
            .scan(packed.len() - all.len(), |end, (_, record)| {
                *end += record.len();
                Some(*end)
            })
            .collect();
        for len in 0..packed.len() {
            let whole = ends.contains(&len) || len == packed.len() - all.len();
            let read = unpack(packed.get(..len).expect("shorter"), &dialects, |_, _| {});
            assert_eq!(read.is_ok(), whole, "{len}");
        }
    }
}

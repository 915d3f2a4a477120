//! Records that bring the texts of their words along, for a reader that never saw those words: what is kept on disk.
//!
//! ```text
//! fields u16: { number u8, length u8, name } | keys u16: { number u16, length u16, name }
//! words u32: { number u32, key u16, length u16, text } | records, one after the other, as they are in memory
//! ```
//! Fields and keys stand by name, so that another dialect map, or another version of us, reads what was meant.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Body, Cursor, FIXED, RawEntries, Record, peek, put_field, put_text};
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
    words: Vec<WordId>,
    /// By word: whether it is among them.
    has_word: Vec<bool>,
    /// Fields and keys of what is no word.
    fields: u128,
    keys: FxHashSet<u16>,
    /// The maker noted last.
    maker: u64,
}

impl Packer {
    /// Takes note of what a record of the next run is made of, while its parts are at hand. All that one packer notes is of one
    /// [`Intake`](crate::intake::Intake).
    pub fn note(&mut self, record: &Record<'_>) {
        let Record { maker, name, fields, .. } = record;
        if self.maker != maker.number {
            self.maker = maker.number;
            self.texts(&maker.texts);
            self.entries(&maker.of_resource);
            self.entries(&maker.of_scope);
        }
        self.texts(name);
        self.entries(fields);
    }

    /// Appends `records`, one after the other as they were made with `words`, with all that they need to be read. Each has to have
    /// been [noted](Self::note) since the last run: what was not cannot be read back.
    pub fn pack(&mut self, records: &[u8], words: &Words, dialects: &Dialects, to: &mut Vec<u8>) {
        // Whoever receives a record writes into it who sent it.
        let mut fields = self.fields | Field::Sender.bit();
        for (field, key) in self.words.iter().filter_map(|word| words.means(*word)) {
            fields |= field.bit();
            self.keys.insert(key.0);
        }
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
        self.forget();
    }

    /// Where what was noted so far ends.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.words.len()
    }

    /// Forgets the texts of what was noted since that [`mark`](Self::mark): none of its records is packed.
    pub fn roll_back(&mut self, mark: usize) {
        for word in self.words.drain(mark.min(self.words.len())..) {
            if let Some(has) = self.has_word.get_mut(word.0 as usize) {
                *has = false;
            }
        }
        // The next record of the same maker has to note its texts anew.
        self.maker = 0;
    }

    /// Begins another run.
    fn forget(&mut self) {
        self.roll_back(0);
        self.keys.clear();
        self.fields = 0;
    }

    fn texts(&mut self, texts: &[u8]) {
        let mut at = Cursor(texts);
        while let Some(text) = at.raw_text() {
            if let Err(word) = text {
                self.word(word);
            }
        }
    }

    fn entries(&mut self, fields: &[u8]) {
        for entry in RawEntries(Cursor(fields)) {
            match entry.body {
                Body::Word(word) => self.word(word),
                Body::Full(key, _) => {
                    self.fields |= 1_u128.checked_shl(entry.field.into()).unwrap_or_default();
                    self.keys.insert(key.0);
                }
            }
        }
    }

    #[inline]
    fn word(&mut self, word: WordId) {
        let at = word.0 as usize;
        if at >= self.has_word.len() {
            self.has_word.resize(at + 1, false);
        }
        if let Some(has) = self.has_word.get_mut(at).filter(|has| !**has) {
            *has = true;
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
    /// By number, where it is in the run: the field, where this version knows it.
    fields: [Option<Option<Field>>; 128],
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
                Some(Field::ALL.iter().copied().find(|field| field.as_str() == name));
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
            let known = self.fields.get(usize::from(entry.field)).copied().flatten();
            let Some(field) = known? else { continue };
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
        super::write::close(out, 0);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::{Intake, Records};
    use crate::record::Span;
    use crate::sink::{Position, Sink as _, SpanHead, Value};
    use crate::testing::{Kept, head, records};

    const TEXT: &str = "\
gw SERVER GET /orders user.id=alice http.response.status_code=200 @link=7/1
  gw CLIENT GET http.method=GET @dropped=3
    shop/orders@prod SERVER GET /orders hopseal.sub=a hopseal.assurance=verified
gw SERVER GET /orders user.id=alice http.response.status_code=200 @speaker=mallory
gw SERVER GET /orders user.id=alice http.response.status_code=200 %user.id=carol";

    /// All of `TEXT`, packed, and the records as they were.
    fn packed(dialects: &Dialects) -> (Kept, Vec<u8>, Vec<u8>) {
        let mut kept = records(TEXT);
        let all: Vec<u8> = kept.traces.values().flatten().flatten().copied().collect();
        let mut packed = Vec::new();
        kept.packer.pack(&all, &kept.words, dialects, &mut packed);
        (kept, all, packed)
    }

    #[test]
    fn what_is_unpacked_is_the_same_span_with_any_words() {
        let dialects = Dialects::built_in().expect("shipped map");
        let (kept, all, packed) = packed(&dialects);
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

    /// What was read last, and the packer that noted it.
    #[derive(Default)]
    struct Last(Vec<u8>, Packer);

    impl Records for Last {
        fn record(&mut self, record: &Record<'_>) {
            self.0 = record.to_bytes();
            self.1.note(record);
        }

        fn reject(&mut self, at: Position, reason: &str) {
            panic!("{at}: {reason}");
        }
    }

    /// Guarantees: a run brings along all that its records need, and no word of another run.
    #[test]
    fn each_run_stands_by_itself() {
        let dialects = Dialects::built_in().expect("shipped map");
        let (mut words, others) = (Words::default(), Words::default());
        let mut intake = Intake::new(&dialects, &mut words, Last::default());
        for _ in 0..3 {
            intake.resource();
            intake.resource_attribute("service.name", Value::Str("orders"));
            intake.resource_attribute("user.name", Value::Str("carol"));
        }
        intake.scope();
        intake.scope_attribute("token", Value::Str("8fj3kd93jd83hd93jd83"));
        let mut lengths = Vec::new();
        for user in ["alice", "bob", "alice", "bob", "alice", "bob"] {
            intake.span_start();
            intake.attribute("user.id", Value::Str(user));
            intake.span_end(&SpanHead { name: user, ..head() });
            let Last(record, mut packer) = std::mem::take(intake.get_mut());
            let mut packed = Vec::new();
            packer.pack(&record, intake.words(), &dialects, &mut packed);
            intake.get_mut().1 = packer;
            lengths.push(packed.len());
            let mut read = Vec::new();
            unpack(&packed, &dialects, |_, record| {
                let (_, span) = Span::read(record, &others).expect("a record");
                let field = |field| span.get(field).unwrap_or("");
                let said = [span.service.name, span.name, field(Field::User), field(Field::UserName)];
                read.push((said.map(String::from), span.has(Field::Leak)));
            })
            .expect("whole");
            assert_eq!(read, [(["orders", user, user, "carol"].map(String::from), true)]);
        }
        // By then all are words.
        assert_eq!(lengths[2..4], lengths[4..6]);
    }

    /// Guarantees: of what was rolled back no text is packed, and what comes after it of the same resource can be read.
    #[test]
    fn what_was_rolled_back_is_not_packed() {
        let dialects = Dialects::built_in().expect("shipped map");
        let (mut words, others) = (Words::default(), Words::default());
        let mut intake = Intake::new(&dialects, &mut words, Last::default());
        // After the first rounds all are words.
        for round in 0..8 {
            intake.resource();
            intake.resource_attribute("service.name", Value::Str("orders"));
            intake.resource_attribute("user.name", Value::Str("carol"));
            let mut mark = 0;
            // The resource is noted before what is rolled back, or with it.
            let users = ["bob", "mallory", "alice"];
            for user in users.into_iter().skip(round % 2) {
                match user {
                    "mallory" => mark = intake.get_mut().1.mark(),
                    "alice" => intake.get_mut().1.roll_back(mark),
                    _ => {}
                }
                intake.span_start();
                intake.attribute("user.id", Value::Str(user));
                intake.span_end(&SpanHead { name: user, ..head() });
            }
            let Last(record, mut packer) = std::mem::take(intake.get_mut());
            let mut packed = Vec::new();
            packer.pack(&record, intake.words(), &dialects, &mut packed);
            intake.get_mut().1 = packer;
            assert!(!packed.windows(7).any(|part| part == b"mallory"), "{round}");
            unpack(&packed, &dialects, |_, record| {
                let (_, span) = Span::read(record, &others).expect("a record");
                let said = [span.service.name, span.name, span.get(Field::UserName).unwrap_or("")];
                assert_eq!(said, ["orders", "alice", "carol"], "{round}");
            })
            .expect("whole");
        }
    }

    #[test]
    fn what_is_cut_short_is_broken_and_never_read_as_something_else() {
        let dialects = Dialects::built_in().expect("shipped map");
        let (_, all, packed) = packed(&dialects);
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

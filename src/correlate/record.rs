//! A span as one run of bytes: what is kept between reading and judging.
//!
//! Records can be sorted by trace id, spilled to disk and read back. What stands on many spans is in them as the number
//! of a word, and [`Words`] has the text; everything else is in them in full.
//!
//! ```text
//! 0   trace id 16 | span id 8 | parent 8 (zero: none) | start u64 | end u64 | mask u128 | flags u32
//! 68  dropped u32 | length of all u32 | kind u8 | status u8 | shared u8 | speaker u8
//! 80  namespace, service, environment, instance, name: each length u16, bytes; or 0xffff, word u24
//! ..  fields: field u8, key u16, length u16, bytes; or field + 128 u8, word u24
//! ```
//! Integers are little-endian. The last byte of the fixed part says who spoke: [`Speaker`].

pub mod packed;

use crate::dialect::KeyId;
use crate::field::Field;
use crate::sink::{SpanHead, SpanId, SpanKind, Status, TraceId};
use crate::words::{WordId, Words};

/// Bytes of the fixed part.
pub const FIXED: usize = 80;
/// Longest text kept of one field, in bytes; the rest is cut at a character and marked `...`.
pub(crate) const MAX_TEXT: usize = 4096;
/// Stands for the length of a text that is a word.
const WORD: u16 = u16::MAX;
/// Added to the field of an entry that is a word.
const WORD_FIELD: u8 = 0x80;

/// Cuts text to what a record keeps.
fn bounded(text: &str) -> (&str, &str) {
    if text.len() <= MAX_TEXT {
        return (text, "");
    }
    let cut = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    (text.get(..cut).unwrap_or(""), "...")
}

pub(crate) fn put_text(to: &mut Vec<u8>, text: &str) {
    let (head, mark) = bounded(text);
    let at = to.len();
    to.extend_from_slice(&[0; 2]);
    to.extend_from_slice(head.as_bytes());
    to.extend_from_slice(mark.as_bytes());
    close_length(to, at);
}

/// Appends a text that is a word.
pub(crate) fn put_word(to: &mut Vec<u8>, word: WordId) {
    let [a, b, c, _] = word.0.to_le_bytes();
    let [low, high] = WORD.to_le_bytes();
    to.extend_from_slice(&[low, high, a, b, c]);
}

/// Appends one field whose text is a word.
#[inline]
pub(crate) fn put_word_field(to: &mut Vec<u8>, mask: &mut u128, field: Field, word: WordId) {
    let [a, b, c, _] = word.0.to_le_bytes();
    to.extend_from_slice(&[field as u8 | WORD_FIELD, a, b, c]);
    *mask |= field.bit();
}

/// Appends one field, its text in parts.
pub(crate) fn put_field(to: &mut Vec<u8>, mask: &mut u128, field: Field, key: KeyId, text: &[&str]) {
    let [low, high] = key.0.to_le_bytes();
    to.extend_from_slice(&[field as u8, low, high, 0, 0]);
    let at = to.len() - 2;
    for part in text {
        let (head, mark) = bounded(part);
        to.extend_from_slice(head.as_bytes());
        to.extend_from_slice(mark.as_bytes());
    }
    close_length(to, at);
    *mask |= field.bit();
}

/// Appends a link: its two ids as they are.
pub(crate) fn put_link(to: &mut Vec<u8>, mask: &mut u128, trace_id: TraceId, span_id: SpanId) {
    to.extend_from_slice(&[Field::Link as u8, 0, 0, 0, 0]);
    let at = to.len() - 2;
    to.extend_from_slice(&trace_id.0);
    to.extend_from_slice(&span_id.0);
    close_length(to, at);
    *mask |= Field::Link.bit();
}

/// Appends one field as it stood in another record.
fn put_raw_field(to: &mut Vec<u8>, mask: &mut u128, field: Field, key: KeyId, raw: &[u8]) {
    let [low, high] = key.0.to_le_bytes();
    to.extend_from_slice(&[field as u8, low, high, 0, 0]);
    let at = to.len() - 2;
    to.extend_from_slice(raw);
    close_length(to, at);
    *mask |= field.bit();
}

/// What the sender of a span had proven of itself when it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Speaker {
    /// Nothing.
    #[default]
    Nobody = 0,
    /// It proved that it may speak for the span's service.
    Own = 1,
    /// It proved that it is somebody who may not.
    Foreign = 2,
}

impl Speaker {
    const fn from_u8(number: u8) -> Self {
        match number {
            1 => Self::Own,
            2 => Self::Foreign,
            _ => Self::Nobody,
        }
    }

    /// Whom to believe where two differ: the higher.
    #[must_use]
    pub const fn trust(self) -> u8 {
        match self {
            Self::Foreign => 0,
            Self::Nobody => 1,
            Self::Own => 2,
        }
    }
}

/// Says who sent the record that `to` ends with, from `start` on; a foreign speaker by name.
pub fn spoken_by(to: &mut Vec<u8>, start: usize, speaker: Speaker, name: &str) {
    const SPEAKER: usize = FIXED - 1;
    if to.len() < start + FIXED {
        return;
    }
    if speaker == Speaker::Foreign {
        let mut mask = 0;
        put_field(to, &mut mask, Field::Sender, KeyId(0), &[name]);
        let len = u32::try_from(to.len() - start).unwrap_or(u32::MAX);
        if let Some(slot) = to.get_mut(start + 72..start + 76) {
            slot.copy_from_slice(&len.to_le_bytes());
        }
        let place = to.get_mut(start + 48..start + 64).and_then(|bytes| bytes.first_chunk_mut::<16>());
        if let Some(bytes) = place {
            *bytes = (u128::from_le_bytes(*bytes) | mask).to_le_bytes();
        }
    }
    if let Some(slot) = to.get_mut(start + SPEAKER) {
        *slot = speaker as u8;
    }
}

/// Writes the length of what stands behind the two bytes left for it at `at`. Parts are bounded, so it fits.
fn close_length(to: &mut [u8], at: usize) {
    let len = u16::try_from(to.len() - at - 2).unwrap_or(0);
    if let Some(slot) = to.get_mut(at..at + 2) {
        slot.copy_from_slice(&len.to_le_bytes());
    }
}

/// Writes the fixed part over the room left for it at `start`, once everything else stands behind it.
pub(crate) fn close(to: &mut [u8], start: usize, head: &SpanHead<'_>, mask: u128) {
    let len = u32::try_from(to.len() - start).unwrap_or(u32::MAX);
    let mut fixed = [0_u8; FIXED];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        if let Some(slot) = fixed.get_mut(at..at + bytes.len()) {
            slot.copy_from_slice(bytes);
        }
        at += bytes.len();
    };
    put(&head.trace_id.0);
    put(&head.span_id.0);
    put(&head.parent.map_or([0; 8], |parent| parent.0));
    put(&head.start.to_le_bytes());
    put(&head.end.to_le_bytes());
    put(&mask.to_le_bytes());
    put(&head.flags.to_le_bytes());
    put(&head.dropped.to_le_bytes());
    put(&len.to_le_bytes());
    put(&[head.kind as u8, head.status as u8, u8::from(head.shared), 0]);
    if let Some(slot) = to.get_mut(start..start + FIXED) {
        slot.copy_from_slice(&fixed);
    }
}

/// Who sent a record.
#[must_use]
pub fn speaker(record: &[u8]) -> Speaker {
    Speaker::from_u8(record.get(FIXED - 1).copied().unwrap_or_default())
}

/// The whole length of the record that begins with `fixed`, in bytes.
#[must_use]
pub fn length(fixed: &[u8; FIXED]) -> usize {
    let [.., a, b, c, d, _, _, _, _] = *fixed;
    u32::from_le_bytes([a, b, c, d]) as usize
}

/// The trace id and whole length of the record at the start of `bytes`; `None` when they hold no whole record.
#[must_use]
pub fn peek(bytes: &[u8]) -> Option<(TraceId, usize)> {
    let fixed = bytes.first_chunk::<FIXED>()?;
    let len = length(fixed);
    let trace_id = TraceId(*fixed.first_chunk()?);
    (len >= FIXED && len <= bytes.len()).then_some((trace_id, len))
}

/// Reads one record front to back.
#[derive(Debug, Clone, Copy)]
struct Cursor<'r>(&'r [u8]);

impl<'r> Cursor<'r> {
    fn take(&mut self, len: usize) -> Option<&'r [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn word(&mut self) -> Option<WordId> {
        let [a, b, c] = self.array()?;
        Some(WordId(u32::from_le_bytes([a, b, c, 0])))
    }

    fn text(&mut self, words: &'r Words) -> Option<&'r str> {
        match self.raw_text()? {
            Ok(text) => std::str::from_utf8(text).ok(),
            Err(word) => Some(words.text(word)),
        }
    }

    /// The bytes of a text, or the word that it is.
    #[inline]
    fn raw_text(&mut self) -> Option<Result<&'r [u8], WordId>> {
        Some(match self.u16()? {
            WORD => Err(self.word()?),
            len => Ok(self.take(usize::from(len))?),
        })
    }
}

/// The service that made a span. Another instance of it is the same service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Service<'r> {
    /// `service.name`.
    pub name: &'r str,
    /// `service.namespace`, empty when not sent.
    pub namespace: &'r str,
    /// `deployment.environment.name`, empty when not sent.
    pub environment: &'r str,
}

/// One field of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'r> {
    /// Which fact.
    pub field: Field,
    /// Under which attribute key it was sent.
    pub key: KeyId,
    /// Its text; empty for a link.
    pub text: &'r str,
    raw: &'r [u8],
}

impl Entry<'_> {
    /// The linked span, when this is a link.
    #[must_use]
    pub fn link(&self) -> Option<(TraceId, SpanId)> {
        let (trace_id, span_id) = self.raw.split_first_chunk::<16>()?;
        (self.field == Field::Link).then_some(())?;
        Some((TraceId(*trace_id), SpanId(span_id.try_into().ok()?)))
    }
}

/// One span, read from its record without copying.
#[derive(Debug, Clone, Copy)]
pub struct Span<'r> {
    /// Its id.
    pub id: SpanId,
    /// Its parent.
    pub parent: Option<SpanId>,
    /// Its kind.
    pub kind: SpanKind,
    /// Nanoseconds since the Unix epoch; 0 when not known.
    pub start: u64,
    /// Nanoseconds since the Unix epoch; 0 when not known.
    pub end: u64,
    /// OTLP flags.
    pub flags: u32,
    /// How it ended.
    pub status: Status,
    /// Attributes, events and links dropped by the sender.
    pub dropped: u32,
    /// Zipkin's `shared`.
    pub shared: bool,
    /// Who sent it, as far as that was proven.
    pub speaker: Speaker,
    /// Who made it.
    pub service: Service<'r>,
    /// Which instance of that service, empty when not sent.
    pub instance: &'r str,
    /// Its name.
    pub name: &'r str,
    mask: u128,
    fields: &'r [u8],
    words: &'r Words,
    pub(crate) record: &'r [u8],
}

impl<'r> Span<'r> {
    /// Reads the record at the start of `bytes`, which was made with `words`; `None` when it is not one.
    #[must_use]
    pub fn read(bytes: &'r [u8], words: &'r Words) -> Option<(TraceId, Self)> {
        let (trace_id, len) = peek(bytes)?;
        let record = bytes.get(..len)?;
        let (fixed, rest) = record.split_first_chunk::<FIXED>()?;
        let ([_, _, id, parent, start, end, low, high, numbers, last], []) = fixed.as_chunks::<8>() else {
            return None;
        };
        let (id, parent) = (SpanId(*id), SpanId::new(*parent));
        let (start, end) = (u64::from_le_bytes(*start), u64::from_le_bytes(*end));
        let mask = u128::from(u64::from_le_bytes(*high)) << 64 | u128::from(u64::from_le_bytes(*low));
        let [f0, f1, f2, f3, d0, d1, d2, d3] = *numbers;
        let (flags, dropped) = (u32::from_le_bytes([f0, f1, f2, f3]), u32::from_le_bytes([d0, d1, d2, d3]));
        let [_, _, _, _, kind, status, shared, speaker] = *last;
        let mut at = Cursor(rest);
        let (namespace, name, environment) = (at.text(words)?, at.text(words)?, at.text(words)?);
        let instance = at.text(words)?;
        let span_name = at.text(words)?;
        Some((
            trace_id,
            Self {
                id,
                parent,
                kind: kind_of(kind),
                start,
                end,
                flags,
                status: [Status::Unset, Status::Ok, Status::Error]
                    .get(usize::from(status))
                    .copied()
                    .unwrap_or_default(),
                dropped,
                shared: shared != 0,
                speaker: Speaker::from_u8(speaker),
                service: Service { name, namespace, environment },
                instance,
                name: span_name,
                mask,
                fields: at.0,
                words,
                record,
            },
        ))
    }

    /// A bit for each field that is there.
    pub(crate) const fn mask(&self) -> u128 {
        self.mask
    }

    /// Whether any field of the mask is there.
    pub(crate) fn has_any(&self, mask: u128) -> bool {
        self.mask & mask != 0
    }

    /// Whether that field is there.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        self.mask & field.bit() != 0
    }

    /// Every field, in the order sent.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'r>> + use<'r> {
        let words = self.words;
        RawEntries(Cursor(self.fields)).filter_map(move |entry| entry.read(words))
    }

    /// Every entry of `field`. Only what matches is read, so this is the cheap way to ask.
    pub fn entries_of(&self, field: Field) -> impl Iterator<Item = Entry<'r>> + use<'r> {
        let fields = if self.has(field) { self.fields } else { &[] };
        let wanted = field as u8;
        let words = self.words;
        RawEntries(Cursor(fields))
            .filter(move |entry| entry.field == wanted)
            .filter_map(move |entry| entry.read(words))
    }

    /// Every entry of the fields of a mask, in the order sent.
    pub(crate) fn entries_in(&self, mask: u128) -> impl Iterator<Item = Entry<'r>> + use<'r> {
        let fields = if self.has_any(mask) { self.fields } else { &[] };
        // Two halves are quicker to shift than one whole.
        let (low, high) = (mask as u64, (mask >> 64) as u64);
        let wanted = move |entry: &RawEntry<'_>| {
            let half = if entry.field & 64 == 0 { low } else { high };
            half >> (entry.field & 63) & 1 != 0
        };
        let words = self.words;
        RawEntries(Cursor(fields)).filter(wanted).filter_map(move |entry| entry.read(words))
    }

    /// The record with every word in full: the same for the same span, whichever words there were.
    pub(crate) fn content(&self) -> Vec<u8> {
        let mut content = self.record.get(..FIXED - 8).unwrap_or(&[]).to_vec();
        content.extend_from_slice(&[self.kind as u8, self.status as u8, u8::from(self.shared)]);
        let Service { name, namespace, environment } = self.service;
        for text in [namespace, name, environment, self.instance, self.name] {
            put_text(&mut content, text);
        }
        let mut mask = 0;
        for Entry { field, key, text, raw } in self.entries() {
            put_field(&mut content, &mut mask, field, key, &[text]);
            content.extend_from_slice(raw);
        }
        content
    }

    /// The first entry of `field`.
    #[must_use]
    pub fn entry(&self, field: Field) -> Option<Entry<'r>> {
        self.entries_of(field).next()
    }

    /// The text of the first entry of `field` that is not empty.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&'r str> {
        self.all(field).find(|text| !text.is_empty())
    }

    /// The texts of every entry of `field`.
    pub fn all(&self, field: Field) -> impl Iterator<Item = &'r str> + use<'r> {
        self.entries_of(field).map(|entry| entry.text)
    }

    /// The number in the first entry of `field`.
    #[must_use]
    pub fn number<N: std::str::FromStr>(&self, field: Field) -> Option<N> {
        self.get(field)?.parse().ok()
    }

    /// The linked spans.
    pub fn links(&self) -> impl Iterator<Item = (TraceId, SpanId)> + use<'r> {
        self.entries_of(Field::Link).filter_map(|entry| entry.link())
    }
}

/// A field whose text has not been looked at.
struct RawEntry<'r> {
    field: u8,
    body: Body<'r>,
}

enum Body<'r> {
    Word(WordId),
    Full(KeyId, &'r [u8]),
}

impl<'r> RawEntry<'r> {
    #[inline]
    fn read(self, words: &'r Words) -> Option<Entry<'r>> {
        let field = Field::from_u8(self.field)?;
        Some(match self.body {
            Body::Word(word) => Entry { field, key: words.key(word), text: words.text(word), raw: &[] },
            Body::Full(key, raw) if field == Field::Link => Entry { field, key, text: "", raw },
            Body::Full(key, bytes) => Entry { field, key, text: std::str::from_utf8(bytes).ok()?, raw: &[] },
        })
    }
}

struct RawEntries<'r>(Cursor<'r>);

impl<'r> Iterator for RawEntries<'r> {
    type Item = RawEntry<'r>;

    #[inline]
    fn next(&mut self) -> Option<RawEntry<'r>> {
        let (&[field, a, b, c], rest) = self.0.0.split_first_chunk::<4>()?;
        if field & WORD_FIELD != 0 {
            self.0 = Cursor(rest);
            let word = WordId(u32::from_le_bytes([a, b, c, 0]));
            return Some(RawEntry { field: field & !WORD_FIELD, body: Body::Word(word) });
        }
        let [_field] = self.0.array()?;
        let key = self.0.array().map(u16::from_le_bytes)?;
        let len = self.0.array().map(u16::from_le_bytes)?;
        Some(RawEntry { field, body: Body::Full(KeyId(key), self.0.take(usize::from(len))?) })
    }
}

fn kind_of(number: u8) -> SpanKind {
    match number {
        1 => SpanKind::Internal,
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

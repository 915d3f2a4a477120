//! A span as one run of bytes: what is kept between reading and judging.
//!
//! Records can be sorted by trace id, spilled to disk and read back. What stands on many spans is in them as the number
//! of a word, and [`Words`] has the text; everything else is in them in full.
//!
//! ```text
//! 0   trace id 16 | span id 8 | length of all u32 | kind, 3 bits, status, 2, shared, 1, speaker, 2
//! 29  which of these are there u8 | parent 8 | start u64 | end, less the start | flags | dropped
//! ..  namespace, service, environment, instance, name: each twice its length, bytes; or twice its word and one
//! ..  fields: field u8, key u16, length u16, bytes; or field + 128 u8, word u24
//! ```
//! Integers are little-endian, and as [`number`] has them where no width is given. What stands behind
//! the trace id is the body of a record: all that is kept of it where the trace is known.

pub mod packed;
mod write;

pub(crate) use self::write::{Maker, put_field, put_link, put_text, put_word, put_word_field};
pub use self::write::{Record, spoken_by};

use crate::dialect::KeyId;
use crate::field::Field;
use crate::number;
use crate::same::is_same;
use crate::sink::{SpanId, SpanKind, Status, TraceId};
use crate::words::{WordId, Words};

/// Bytes of the fixed part.
pub const FIXED: usize = BODY + BODY_FIXED;
/// Where the body begins.
const BODY: usize = 16;
/// Bytes of the fixed part of a body.
const BODY_FIXED: usize = 13;
/// Where the length of a record stands.
const LENGTH: usize = 24;
/// Where in the marks what stands, and the bits of a speaker and of a kind.
const STATUS_AT: u8 = 3;
const SHARED_AT: u8 = 5;
const SPEAKER_AT: u8 = 6;
const SPEAKER: u8 = 3;
const KIND: u8 = 7;
/// What is there of a span: a bit each.
const PARENT: u8 = 1;
const START: u8 = 2;
const FLAGS: u8 = 4;
const DROPPED: u8 = 8;
/// Longest text kept of one field, in bytes; the rest is cut at a character and marked `...`.
pub(crate) const MAX_TEXT: usize = 4096;
/// Added to the field of an entry that is a word.
const WORD_FIELD: u8 = 0x80;

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

/// Who sent the span with this body.
#[must_use]
pub fn speaker(body: &[u8]) -> Speaker {
    Speaker::from_u8(body.get(BODY_FIXED - 1).map_or(0, |marks| marks >> SPEAKER_AT & SPEAKER))
}

/// The whole length of the record that begins with `fixed`, in bytes.
#[must_use]
pub fn length(fixed: &[u8; FIXED]) -> usize {
    let [.., a, b, c, d, _] = *fixed;
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

/// What stands behind the trace id of a record.
#[must_use]
pub fn body(record: &[u8]) -> &[u8] {
    record.get(BODY..).unwrap_or(&[])
}

/// Splits bodies of records that stand one after the other.
pub fn bodies(bodies: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bodies;
    std::iter::from_fn(move || {
        let [.., a, b, c, d, _] = *rest.first_chunk::<BODY_FIXED>()?;
        let len = (u32::from_le_bytes([a, b, c, d]) as usize).checked_sub(BODY)?.max(BODY_FIXED);
        let (body, after) = rest.split_at_checked(len)?;
        rest = after;
        Some(body)
    })
}

/// What stands between the fixed part of a record and its texts.
struct Head {
    parent: Option<SpanId>,
    start: u64,
    end: u64,
    flags: u32,
    dropped: u32,
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

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
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
        let number = self.number()?;
        Some(match number & 1 {
            0 => Ok(self.take(usize::try_from(number >> 1).ok()?)?),
            _ => Err(WordId(u32::try_from(number >> 1).ok()?)),
        })
    }

    #[inline]
    fn number(&mut self) -> Option<u64> {
        let (number, rest) = number::take(self.0)?;
        self.0 = rest;
        Some(number)
    }

    #[inline]
    fn head(&mut self) -> Option<Head> {
        let [has] = self.array()?;
        let parent = if has & PARENT == 0 { None } else { SpanId::new(self.array()?) };
        let start = if has & START == 0 { 0 } else { self.u64()? };
        let end = start.wrapping_add(self.number()?);
        let flags = u32::try_from(self.number_if(has, FLAGS)?).ok()?;
        let dropped = u32::try_from(self.number_if(has, DROPPED)?).ok()?;
        Some(Head { parent, start, end, flags, dropped })
    }

    /// A number that is there if the bit is among those of what is.
    fn number_if(&mut self, has: u8, bit: u8) -> Option<u64> {
        if has & bit == 0 { Some(0) } else { self.number() }
    }
}

/// The service that made a span. Another instance of it is the same service.
#[derive(Debug, Clone, Copy, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Service<'r> {
    /// `service.name`.
    pub name: &'r str,
    /// `service.namespace`, empty when not sent.
    pub namespace: &'r str,
    /// `deployment.environment.name`, empty when not sent.
    pub environment: &'r str,
}

impl PartialEq for Service<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        is_same(self.name.as_bytes(), other.name.as_bytes())
            && is_same(self.namespace.as_bytes(), other.namespace.as_bytes())
            && is_same(self.environment.as_bytes(), other.environment.as_bytes())
    }
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
    /// The fields from the first on that says anything of identity: what is asked for most.
    named: &'r [u8],
    words: &'r Words,
    pub(crate) body: &'r [u8],
}

impl<'r> Span<'r> {
    /// Reads the record at the start of `bytes`, which was made with `words`; `None` when it is not one.
    #[must_use]
    pub fn read(bytes: &'r [u8], words: &'r Words) -> Option<(TraceId, Self)> {
        let (trace_id, len) = peek(bytes)?;
        Some((trace_id, Self::of_body(bytes.get(BODY..len)?, words)?))
    }

    /// Reads the body of a record that was made with `words`; `None` when it is not one.
    #[must_use]
    pub fn of_body(body: &'r [u8], words: &'r Words) -> Option<Self> {
        let (fixed, rest) = body.split_first_chunk::<BODY_FIXED>()?;
        let [a, b, c, d, e, f, g, h, .., marks] = *fixed;
        let mut at = Cursor(rest);
        let Head { parent, start, end, flags, dropped } = at.head()?;
        let (namespace, name, environment) = (at.text(words)?, at.text(words)?, at.text(words)?);
        let instance = at.text(words)?;
        let span_name = at.text(words)?;
        let (mask, named) = survey(at);
        Some(Self {
            id: SpanId([a, b, c, d, e, f, g, h]),
            parent,
            kind: kind_of(marks & KIND),
            start,
            end,
            flags,
            status: [Status::Unset, Status::Ok, Status::Error]
                .get(usize::from(marks >> STATUS_AT & 3))
                .copied()
                .unwrap_or_default(),
            dropped,
            shared: marks >> SHARED_AT & 1 != 0,
            speaker: speaker(body),
            service: Service { name, namespace, environment },
            instance,
            name: span_name,
            mask,
            fields: at.0,
            named,
            words,
            body,
        })
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
    #[inline]
    pub fn entries_of(&self, field: Field) -> impl Iterator<Item = Entry<'r>> + use<'r> {
        let fields = if self.has(field) { self.with(field.bit()) } else { &[] };
        let wanted = field as u8;
        let words = self.words;
        RawEntries(Cursor(fields))
            .filter(move |entry| entry.field == wanted)
            .filter_map(move |entry| entry.read(words))
    }

    /// The fields among which all of a mask are.
    #[inline]
    const fn with(&self, mask: u128) -> &'r [u8] {
        if mask & !NAMED == 0 { self.named } else { self.fields }
    }

    /// Every entry of the fields of a mask, in the order sent.
    #[inline]
    pub(crate) fn entries_in(&self, mask: u128) -> impl Iterator<Item = Entry<'r>> + use<'r> {
        let fields = if self.has_any(mask) { self.with(mask) } else { &[] };
        let (mask, words) = (Mask::of(mask), self.words);
        RawEntries(Cursor(fields))
            .filter(move |entry| mask.has(entry.field))
            .filter_map(move |entry| entry.read(words))
    }

    /// The span with every word in full: the same for the same span, whichever words there were, and whoever sent it.
    pub(crate) fn content(&self) -> Vec<u8> {
        let mut content = self.id.0.to_vec();
        content.extend_from_slice(&self.parent.map_or([0; 8], |parent| parent.0));
        content.extend_from_slice(&self.start.to_le_bytes());
        content.extend_from_slice(&self.end.to_le_bytes());
        content.extend_from_slice(&self.flags.to_le_bytes());
        content.extend_from_slice(&self.dropped.to_le_bytes());
        content.extend_from_slice(&[self.kind as u8, self.status as u8, u8::from(self.shared)]);
        let Service { name, namespace, environment } = self.service;
        for text in [namespace, name, environment, self.instance, self.name] {
            put_text(&mut content, text);
        }
        for Entry { field, key, text, raw } in self.entries() {
            put_field(&mut content, field, key, &[text]);
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

/// Bits of the fields that say anything of identity.
pub(crate) const NAMED: u128 = Field::Sub.bit()
    | Field::User.bit()
    | Field::UserPseudonym.bit()
    | Field::Principal.bit()
    | Field::UserName.bit()
    | Field::UserEmail.bit()
    | Field::Client.bit()
    | Field::AuthType.bit()
    | Field::Authenticated.bit()
    | Field::Assurance.bit()
    | Field::SecurityEvent.bit();

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

/// A bit for each field that is there, and the fields from the first of [`NAMED`] on.
#[inline]
fn survey(fields: Cursor<'_>) -> (u128, &[u8]) {
    let (mut mask, mut entries) = (Mask::default(), RawEntries(fields));
    let named = loop {
        let rest = entries.0.0;
        let Some(RawEntry { field, .. }) = entries.next() else { break &[][..] };
        mask.add(field);
        if Mask::NAMED.has(field) {
            break rest;
        }
    };
    entries.for_each(|entry| mask.add(entry.field));
    (u128::from(mask.high) << 64 | u128::from(mask.low), named)
}

/// A bit for each field, in two halves, which are quicker to shift than one whole.
#[derive(Debug, Clone, Copy, Default)]
struct Mask {
    low: u64,
    high: u64,
}

impl Mask {
    const NAMED: Self = Self::of(NAMED);

    const fn of(mask: u128) -> Self {
        Self { low: mask as u64, high: (mask >> 64) as u64 }
    }

    #[inline]
    const fn has(self, field: u8) -> bool {
        let half = if field & 64 == 0 { self.low } else { self.high };
        half >> (field & 63) & 1 != 0
    }

    #[inline]
    const fn add(&mut self, field: u8) {
        let bit = 1 << (field & 63);
        let (low, high) = if field & 64 == 0 { (bit, 0) } else { (0, bit) };
        self.low |= low;
        self.high |= high;
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

#[cfg(test)]
mod tests;

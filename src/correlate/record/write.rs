//! Writes records: [`open`], then five texts, then fields, then [`close`].

use super::{
    BODY, DROPPED, FIXED, FLAGS, LENGTH, MAX_TEXT, PARENT, SHARED_AT, SPEAKER, SPEAKER_AT, START, STATUS_AT,
    Speaker, WORD_FIELD,
};
use crate::dialect::KeyId;
use crate::field::Field;
use crate::number;
use crate::sink::{SpanHead, SpanId, TraceId};
use crate::words::WordId;

/// A span that was read, in the parts that its record is made of.
#[derive(Debug, Clone, Copy)]
pub struct Record<'i> {
    pub(crate) head: &'i SpanHead<'i>,
    pub(crate) maker: &'i Maker,
    /// Its name, as a text of a record.
    pub(crate) name: &'i [u8],
    /// Its own fields.
    pub(crate) fields: &'i [u8],
    /// How many fields were not kept, those of its maker among them.
    pub(crate) over: u32,
}

/// What is the same in every record of one resource and scope.
#[derive(Debug, Default)]
pub(crate) struct Maker {
    /// Another number for each that one intake reads, from 1.
    pub(crate) number: u64,
    /// Namespace, service, environment and instance.
    pub(crate) texts: Vec<u8>,
    pub(crate) of_resource: Vec<u8>,
    pub(crate) of_scope: Vec<u8>,
}

impl Record<'_> {
    /// The trace that the span is of.
    #[must_use]
    pub const fn trace_id(&self) -> TraceId {
        self.head.trace_id
    }

    /// Appends the record.
    #[inline]
    pub fn put(&self, to: &mut Vec<u8>) {
        let start = to.len();
        open(to, &SpanHead { dropped: self.head.dropped.saturating_add(self.over), ..*self.head });
        let Maker { texts, of_resource, of_scope, .. } = self.maker;
        for part in [texts, self.name, of_resource, of_scope, self.fields] {
            to.extend_from_slice(part);
        }
        close(to, start);
    }

    /// The record by itself.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.put(&mut bytes);
        bytes
    }
}

/// Cuts text to what a record keeps.
pub(super) fn bounded(text: &str) -> (&str, &str) {
    if text.len() <= MAX_TEXT {
        return (text, "");
    }
    let cut = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    (text.get(..cut).unwrap_or(""), "...")
}

pub(crate) fn put_text(to: &mut Vec<u8>, text: &str) {
    let (head, mark) = bounded(text);
    number::put(to, 2 * (head.len() + mark.len()) as u64);
    to.extend_from_slice(head.as_bytes());
    to.extend_from_slice(mark.as_bytes());
}

/// Appends a text that is a word.
pub(crate) fn put_word(to: &mut Vec<u8>, word: WordId) {
    number::put(to, 2 * u64::from(word.0) + 1);
}

/// Appends one field whose text is a word.
#[inline]
pub(crate) fn put_word_field(to: &mut Vec<u8>, field: Field, word: WordId) {
    let [a, b, c, _] = word.0.to_le_bytes();
    to.extend_from_slice(&[field as u8 | WORD_FIELD, a, b, c]);
}

/// Appends one field, its text in parts.
pub(crate) fn put_field(to: &mut Vec<u8>, field: Field, key: KeyId, text: &[&str]) {
    let parts = text.iter().map(|part| bounded(part)).flat_map(|(head, mark)| [head, mark]);
    put_bytes(to, field, key, parts.map(str::as_bytes));
}

/// Appends a link: its two ids as they are.
pub(crate) fn put_link(to: &mut Vec<u8>, trace_id: TraceId, span_id: SpanId) {
    put_bytes(to, Field::Link, KeyId(0), [&trace_id.0[..], &span_id.0]);
}

/// Appends one field, its bytes in parts, which together are fewer than a length can say.
pub(super) fn put_bytes<'p>(
    to: &mut Vec<u8>,
    field: Field,
    key: KeyId,
    parts: impl IntoIterator<Item = &'p [u8]>,
) {
    let [low, high] = key.0.to_le_bytes();
    to.extend_from_slice(&[field as u8, low, high, 0, 0]);
    let at = to.len();
    parts.into_iter().for_each(|part| to.extend_from_slice(part));
    let len = u16::try_from(to.len() - at).unwrap_or(0);
    if let Some(slot) = to.get_mut(at - 2..at) {
        slot.copy_from_slice(&len.to_le_bytes());
    }
}

/// Says who sent the record that `to` ends with, from `start` on; a foreign speaker by name.
pub fn spoken_by(to: &mut Vec<u8>, start: usize, speaker: Speaker, name: &str) {
    if to.len() < start + FIXED {
        return;
    }
    if speaker == Speaker::Foreign {
        put_field(to, Field::Sender, KeyId(0), &[name]);
        close(to, start);
    }
    if let Some(marks) = to.get_mut(start + FIXED - 1) {
        *marks = *marks & !(SPEAKER << SPEAKER_AT) | (speaker as u8) << SPEAKER_AT;
    }
}

/// Begins a record at the end of `to`: all of a span but its texts and fields. [`close`] has to follow them.
pub(super) fn open(to: &mut Vec<u8>, head: &SpanHead<'_>) {
    let there = [
        (PARENT, head.parent.is_some()),
        (START, head.start != 0),
        (FLAGS, head.flags != 0),
        (DROPPED, head.dropped != 0),
    ];
    let has = there.iter().fold(0, |has, (bit, there)| has | if *there { *bit } else { 0 });
    let marks = head.kind as u8 | (head.status as u8) << STATUS_AT | u8::from(head.shared) << SHARED_AT;
    // All at once is quicker than one after the other.
    let mut fixed = [0; FIXED + 1];
    fixed[..BODY].copy_from_slice(&head.trace_id.0);
    fixed[BODY..LENGTH].copy_from_slice(&head.span_id.0);
    (fixed[FIXED - 1], fixed[FIXED]) = (marks, has);
    to.extend_from_slice(&fixed);
    if let Some(parent) = head.parent {
        to.extend_from_slice(&parent.0);
    }
    if head.start != 0 {
        to.extend_from_slice(&head.start.to_le_bytes());
    }
    number::put(to, head.end.wrapping_sub(head.start));
    for count in [head.flags, head.dropped] {
        if count != 0 {
            number::put(to, u64::from(count));
        }
    }
}

/// Ends the record that `to` ends with, from `start` on.
pub(super) fn close(to: &mut [u8], start: usize) {
    let len = u32::try_from(to.len() - start).unwrap_or(u32::MAX);
    if let Some(slot) = to.get_mut(start + LENGTH..start + LENGTH + 4) {
        slot.copy_from_slice(&len.to_le_bytes());
    }
}

//! `Span`, its events and links, of `opentelemetry/proto/trace/v1/trace.proto`.

use hopseal_correlate::sink::{Link, Sink, SpanHead, SpanId, SpanKind, Status, TraceId};

use super::value::{ATTRIBUTE, Texts};
use super::{Pass, Whose};
use crate::wire::{CUT, Fields, Reason, WIRE_TYPE, Wire};

/// Tags: a field's number, and how it is written.
const TRACE_ID: u8 = 1 << 3 | 2;
const SPAN_ID: u8 = 2 << 3 | 2;
const PARENT: u8 = 4 << 3 | 2;
const NAME: u8 = 5 << 3 | 2;
const KIND: u8 = 6 << 3;
const START: u8 = 7 << 3 | 1;
const END: u8 = 8 << 3 | 1;

impl<S: Sink + ?Sized> Pass<'_, S> {
    /// Hands on one span, or takes it back and says why.
    pub(super) fn span(&mut self, span: &[u8]) {
        self.sink.span_start();
        match self.fields(span) {
            Ok(head) => self.sink.span_end(&head),
            Err(reason) => {
                self.sink.span_abort();
                self.reject(span, reason);
            }
        }
    }

    fn fields<'a>(&mut self, span: &'a [u8]) -> Result<SpanHead<'a>, Reason> {
        let (mut trace_id, mut span_id, mut parent) = (&[][..], &[][..], &[][..]);
        let (mut name, mut trace_state) = (&[][..], &[][..]);
        let (mut kind, mut status, mut flags) = (SpanKind::Unspecified, Status::Unset, 0);
        let (mut start, mut end) = (0, 0);
        let mut dropped = [0; 3];
        let mut fields = Fields::of(span);
        let mut texts = Texts::default();
        // What most spans begin with, and the quickest way to read it: whatever else is there, or elsewhere, is read below.
        if let Some(bytes) = fields.short(TRACE_ID) {
            trace_id = bytes;
        }
        if let Some(bytes) = fields.short(SPAN_ID) {
            span_id = bytes;
        }
        if let Some(bytes) = fields.short(PARENT) {
            parent = bytes;
        }
        if let Some(bytes) = fields.short(NAME) {
            name = bytes;
        }
        if let Some(number) = fields.small(KIND) {
            kind = self::kind(number);
        }
        if let Some(time) = fields.eight(START) {
            start = time;
        }
        if let Some(time) = fields.eight(END) {
            end = time;
        }
        loop {
            // Most fields of most spans.
            let mut here = fields.rest();
            while let Some(pair) = fields.short(ATTRIBUTE) {
                self.short_attribute(pair, here, &mut texts);
                here = fields.rest();
            }
            let Some(field) = fields.next()? else { break };
            match field {
                (_, Wire::Cut(_)) => return Err(CUT),
                (1, Wire::Bytes(bytes)) => trace_id = bytes,
                (2, Wire::Bytes(bytes)) => span_id = bytes,
                (3, Wire::Bytes(bytes)) => trace_state = bytes,
                (4, Wire::Bytes(bytes)) => parent = bytes,
                (5, Wire::Bytes(bytes)) => name = bytes,
                (6, Wire::Varint(number)) => kind = self::kind(number),
                (7, Wire::Fixed64(time)) => start = time,
                (8, Wire::Fixed64(time)) => end = time,
                (9, Wire::Bytes(pair)) => self.attribute(Whose::Span, pair),
                (10, Wire::Varint(count)) => dropped[0] = count as u32,
                (11, Wire::Bytes(event)) => self.part(event, Self::event),
                (12, Wire::Varint(count)) => dropped[1] = count as u32,
                (13, Wire::Bytes(link)) => self.part(link, Self::link),
                (14, Wire::Varint(count)) => dropped[2] = count as u32,
                (15, Wire::Bytes(message)) => status = self.status(message, status)?,
                (16, Wire::Fixed32(bits)) => flags = bits,
                (1..=16, _) => return Err(WIRE_TYPE),
                _unknown => {}
            }
        }
        Ok(SpanHead {
            trace_id: self::trace_id(trace_id).ok_or("the trace id is not 16 bytes, or all zero")?,
            span_id: self::span_id(span_id).ok_or("the span id is not 8 bytes, or all zero")?,
            parent: self::parent(parent)?,
            name: match self.sink.recall_name(name) {
                true => "",
                false => self.text(name, "the span's name is not UTF-8, left out"),
            },
            kind,
            start,
            end,
            flags,
            status,
            dropped: dropped.iter().fold(0, |sum: u32, &count| sum.saturating_add(count)),
            shared: false,
            trace_state: self.text(trace_state, "the span's trace state is not UTF-8, left out"),
        })
    }

    /// Hands on an event or a link. A bad one is refused and costs nothing else.
    fn part(&mut self, part: &[u8], read: fn(&mut Self, &[u8]) -> Result<(), Reason>) {
        if let Err(reason) = read(self, part) {
            self.reject(part, reason);
        }
    }

    fn event(&mut self, event: &[u8]) -> Result<(), Reason> {
        let (mut time, mut name) = (0, &[][..]);
        let mut fields = Fields::of(event);
        while let Some(field) = fields.next()? {
            match field {
                (_, Wire::Cut(_)) => return Err(CUT),
                (1, Wire::Fixed64(nanos)) => time = nanos,
                (2, Wire::Bytes(bytes)) => name = bytes,
                (3, Wire::Bytes(_)) => {}
                (1..=3, _) => return Err(WIRE_TYPE),
                _other => {}
            }
        }
        let name = self.text(name, "an event's name is not UTF-8, left out");
        self.sink.event(name, time);
        self.attributes(Whose::Event, 3, event)
    }

    fn link(&mut self, link: &[u8]) -> Result<(), Reason> {
        let (mut trace_id, mut span_id) = (&[][..], &[][..]);
        let mut fields = Fields::of(link);
        while let Some(field) = fields.next()? {
            match field {
                (_, Wire::Cut(_)) => return Err(CUT),
                (1, Wire::Bytes(bytes)) => trace_id = bytes,
                (2, Wire::Bytes(bytes)) => span_id = bytes,
                (4, Wire::Bytes(_)) => {}
                (1 | 2 | 4, _) => return Err(WIRE_TYPE),
                _other => {}
            }
        }
        self.sink.link(Link {
            trace_id: self::trace_id(trace_id).ok_or("a link's trace id is not 16 bytes, or all zero")?,
            span_id: self::span_id(span_id).ok_or("a link's span id is not 8 bytes, or all zero")?,
        });
        self.attributes(Whose::Link, 4, link)
    }

    /// Hands on the attributes of a message.
    pub(super) fn attributes(&mut self, whose: Whose, number: u32, message: &[u8]) -> Result<(), Reason> {
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            match field {
                (_, Wire::Cut(_)) => return Err(CUT),
                (found, Wire::Bytes(pair)) if found == number => self.attribute(whose, pair),
                _other => {}
            }
        }
        Ok(())
    }

    /// The code of a `Status`; `before` is what an earlier part of the same span said.
    fn status(&mut self, message: &[u8], before: Status) -> Result<Status, Reason> {
        let mut status = before;
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next()? {
            match field {
                (_, Wire::Cut(_)) => return Err(CUT),
                (3, Wire::Varint(code)) => {
                    status = match code as u32 {
                        1 => Status::Ok,
                        2 => Status::Error,
                        _ => Status::Unset,
                    }
                }
                (2, Wire::Bytes(text)) => {
                    let text = self.text(text, "the message of the span's status is not UTF-8, left out");
                    self.sink.text("status message", text);
                }
                (2 | 3, _) => return Err(WIRE_TYPE),
                _other => {}
            }
        }
        Ok(status)
    }

    /// Text that a span does not stand or fall with.
    fn text<'a>(&mut self, bytes: &'a [u8], reason: Reason) -> &'a str {
        if bytes.is_empty() {
            return "";
        }
        str::from_utf8(bytes).unwrap_or_else(|_| {
            self.reject(bytes, reason);
            ""
        })
    }
}

fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    TraceId::new(bytes.try_into().ok()?)
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    SpanId::new(bytes.try_into().ok()?)
}

/// A root has no parent id; some senders write zeros instead.
fn parent(bytes: &[u8]) -> Result<Option<SpanId>, Reason> {
    if bytes.is_empty() {
        return Ok(None);
    }
    bytes.try_into().map(SpanId::new).map_err(|_| "the parent span id is neither absent nor 8 bytes")
}

/// A number from a later version of the specification reads as if not said.
fn kind(number: u64) -> SpanKind {
    match number as u32 {
        1 => SpanKind::Internal,
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

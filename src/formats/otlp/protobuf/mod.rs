//! OTLP protobuf, read by one pass over its bytes: nothing is copied and nothing is allocated.
//!
//! ```text
//! TracesData = { 1: ResourceSpans }*
//! ResourceSpans = 1: Resource, { 2: ScopeSpans }*      ScopeSpans = 1: InstrumentationScope, { 2: Span }*
//! ```
//!
//! Fields may stand in any order, and Go writes them from the last to the first, so the resource of a
//! `ResourceSpans` and the scope of a `ScopeSpans` are looked for before their spans are read. Unknown fields are stepped over. Of a field that may
//! occur once but occurs again, the last counts, and messages are merged, as the specification asks.
//!
//! A bad attribute, event, link or span is refused by itself. Only where the lengths themselves are wrong does the
//! rest of the message that holds them go too, since nothing says where the next field starts.

mod span;
mod value;

use hopseal_correlate::sink::{Position, Sink};

use super::Framing;
use crate::place;
use crate::wire::{CUT, Fields, Reason, WIRE_TYPE, Wire};

/// Reads a whole `TracesData` or `ExportTraceServiceRequest` that starts at `at`.
///
/// ```
/// # use hopseal_correlate::sink::*;
/// # #[derive(Default)]
/// # struct Names(Vec<String>);
/// # impl Sink for Names {
/// #     fn resource(&mut self) {}
/// #     fn resource_attribute(&mut self, _: &str, _: Value<'_>) {}
/// #     fn span_start(&mut self) {}
/// #     fn attribute(&mut self, _: &str, _: Value<'_>) {}
/// #     fn event(&mut self, _: &str, _: u64) {}
/// #     fn event_attribute(&mut self, _: &str, _: Value<'_>) {}
/// #     fn link(&mut self, _: Link) {}
/// #     fn link_attribute(&mut self, _: &str, _: Value<'_>) {}
/// #     fn span_end(&mut self, head: &SpanHead<'_>) { self.0.push(head.name.to_owned()) }
/// #     fn span_abort(&mut self) {}
/// #     fn reject(&mut self, _: Position, _: &str) {}
/// # }
/// let request = b"\x0a\x27\x12\x25\x12\x23\x0a\x10aaaaaaaaaaaaaaaa\x12\x08bbbbbbbb\x2a\x05hello";
/// let mut names = Names::default();
/// hopseal_formats::otlp::protobuf::message(request, Position::Byte(0), &mut names);
/// assert_eq!(names.0, ["hello"]);
/// ```
pub fn message<S: Sink + ?Sized>(bytes: &[u8], at: Position, sink: &mut S) -> Framing {
    let mut pass = Pass { whole: bytes, at, sink, cut: false, framing: Framing::Whole };
    pass.message(bytes);
    pass.framing
}

/// As [`message`], of a message that goes on where there is no more of it: that is reported once.
pub(crate) fn message_cut_short<S: Sink + ?Sized>(bytes: &[u8], at: Position, sink: &mut S) {
    let mut pass = Pass { whole: bytes, at, sink, cut: false, framing: Framing::Whole };
    pass.message(bytes);
    if !pass.cut {
        pass.reject(bytes.get(bytes.len()..).unwrap_or_default(), CUT);
    }
}

/// Whether a file that begins with `head` can be a `TracesData`: its first field and the first one inside it are
/// there, and fit in each other.
pub(crate) fn begins(head: &[u8]) -> bool {
    let length = |fields: &[u8], tags: &[u8]| -> Option<(u64, usize)> {
        let (tag, rest) = fields.split_first()?;
        let size = 1 + rest.iter().take(9).position(|&byte| byte < 0x80)?;
        let length = rest.iter().take(size).rev().fold(0u64, |sum, &byte| sum << 7 | u64::from(byte & 0x7f));
        tags.contains(tag).then_some((length, 1 + size))
    };
    let Some((outer, begin)) = length(head, &[0x0a]) else { return false };
    let inside = head.get(begin..).unwrap_or_default();
    match length(inside, &[0x0a, 0x12, 0x1a]) {
        Some((inner, size)) => inner.saturating_add(size as u64) <= outer,
        None => outer == 0,
    }
}

/// Whose attribute it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Resource,
    Scope,
    Span,
    Event,
    Link,
}

/// One pass over `whole`, which starts at `at`.
struct Pass<'p, S: ?Sized> {
    whole: &'p [u8],
    at: Position,
    sink: &'p mut S,
    /// Whether what was read last was cut short, and that was said.
    cut: bool,
    framing: Framing,
}

impl<S: Sink + ?Sized> Pass<'_, S> {
    fn message(&mut self, bytes: &[u8]) {
        self.container(bytes, 1, Self::resource_spans, true);
    }

    fn resource_spans(&mut self, bytes: &[u8]) {
        self.sink.resource();
        self.producer(Whose::Resource, 1, bytes);
        self.container(bytes, 2, Self::scope_spans, true);
    }

    fn scope_spans(&mut self, bytes: &[u8]) {
        self.sink.scope();
        self.producer(Whose::Scope, 3, bytes);
        self.container(bytes, 2, Self::span, false);
    }

    /// Reads what field 1 of a message says of all that the message holds, of which field `number` are attributes.
    fn producer(&mut self, whose: Whose, number: u32, bytes: &[u8]) {
        let mut fields = Fields::of(bytes);
        // What is wrong with the message is found again, and said, by the pass over what it holds.
        let mut here = bytes;
        while let Ok(Some(field)) = fields.next() {
            match field {
                (1, Wire::Bytes(producer)) => {
                    if let Err(reason) = self.attributes(whose, number, producer) {
                        self.broken(producer, reason);
                    }
                }
                (_, Wire::Cut(_)) => {}
                (1, _) => self.broken(here, WIRE_TYPE),
                _other => {}
            }
            here = fields.rest();
        }
    }

    /// Has `read` read each field `wanted` of a message. One that is cut short is read as far as it goes, if `parts`
    /// of it are worth it, and that it is so is reported once, by the innermost message in which it shows.
    #[inline]
    fn container(&mut self, bytes: &[u8], wanted: u32, read: impl Fn(&mut Self, &[u8]), parts: bool) {
        let mut fields = Fields::of(bytes);
        loop {
            let here = fields.rest();
            self.cut = false;
            match fields.next() {
                Ok(None) => return,
                Ok(Some((number, Wire::Bytes(part)))) if number == wanted => read(self, part),
                Ok(Some((number, Wire::Cut(part)))) => {
                    if parts && number == wanted {
                        read(self, part);
                    }
                    if !self.cut {
                        self.broken(here, CUT);
                    }
                    self.cut = true;
                    return;
                }
                Ok(Some((number, _))) if number == wanted => self.broken(here, WIRE_TYPE),
                Ok(Some(_other)) => {}
                Err(reason) => {
                    self.broken(here, reason);
                    self.cut = true;
                    return;
                }
            }
        }
    }

    /// Refuses `part`, which is somewhere in the whole.
    #[cold]
    fn reject(&mut self, part: &[u8], reason: Reason) {
        let at = self.place(part);
        self.sink.reject(at, reason);
    }

    /// The same, where it takes with it what nobody knows of.
    #[cold]
    fn broken(&mut self, part: &[u8], reason: Reason) {
        if self.framing == Framing::Whole {
            self.framing = Framing::Broken { at: self.place(part), reason };
        }
        self.reject(part, reason);
    }

    fn place(&self, part: &[u8]) -> Position {
        place(self.at, part.as_ptr().addr().wrapping_sub(self.whole.as_ptr().addr()))
    }
}

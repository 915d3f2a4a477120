//! Zipkin v2 protobuf (<https://github.com/openzipkin/zipkin-api/blob/master/zipkin.proto>): the same spans as in JSON.
//!
//! ```text
//! ListOfSpans = { 1: Span }*
//! Span = 1: trace id, 2: parent id, 3: id, 4: kind, 5: name, 6: timestamp, 7: duration, 8 and 9: Endpoint,
//!        { 10: Annotation }*, { 11: a tag }*, 13: shared
//! ```
//! As in JSON, a span is refused only for its ids, or where its fields cannot be told apart. Any other field that cannot
//! be taken as it stands is read as far as it can be, and the first such field of a span is reported with the place of the span.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use hopseal_correlate::sink::{Position, Sink, SpanHead, SpanId, SpanKind, Status, TraceId};

use super::super::{Endpoint, is_error, peer, resource};
use crate::field::{self, Scalar};
use crate::place;
use crate::wire::{CUT, Fields, Reason, WIRE_TYPE, Wire};

const IS_CUT: Reason = "the span is cut short: a length runs past its end";
const HAS_WRONG_TYPE: Reason = "a field of the span has the wrong wire type";
const BROKEN_ENDPOINT: Reason = "`localEndpoint` or `remoteEndpoint` cannot be read to its end";
const BROKEN_TAG: Reason = "`tags` holds an entry that cannot be read to its end";
const BROKEN_ANNOTATION: Reason = "`annotations` holds one that cannot be read to its end";

/// Reads a `ListOfSpans` that starts at `at`.
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
/// let list = b"\x0a\x1b\x0a\x08aaaaaaaa\x1a\x08bbbbbbbb\x2a\x05hello";
/// let mut names = Names::default();
/// hopseal_formats::zipkin::v2::protobuf::message(list, Position::Byte(0), &mut names);
/// assert_eq!(names.0, ["hello"]);
/// ```
pub fn message<S: Sink + ?Sized>(list: &[u8], at: Position, sink: &mut S) {
    let mut fields = Fields::of(list);
    loop {
        let here = place(at, list.len() - fields.rest().len());
        match fields.next() {
            Ok(None) => return,
            Ok(Some((1, Wire::Bytes(span)))) => {
                if let Err(reason) = read(span, here, sink) {
                    sink.reject(here, reason);
                }
            }
            Ok(Some((_, Wire::Cut(_)))) => return sink.reject(here, CUT),
            Ok(Some((1, _))) => sink.reject(here, WIRE_TYPE),
            Ok(Some(_unknown)) => {}
            Err(reason) => return sink.reject(here, reason),
        }
    }
}

/// The first thing that is wrong with a span that is taken all the same.
#[derive(Default)]
struct Faults(Option<Reason>);

impl Faults {
    fn note(&mut self, reason: Reason) {
        self.0.get_or_insert(reason);
    }

    /// A text; what of it is not UTF-8 is replaced, so that the rest can still be looked through.
    fn text<'a>(&mut self, bytes: &'a [u8], reason: Reason) -> Cow<'a, str> {
        let text = String::from_utf8_lossy(bytes);
        if matches!(text, Cow::Owned(_)) {
            self.note(reason);
        }
        text
    }
}

/// The fields of a span that stand for themselves, each the last of its number.
#[derive(Default)]
struct Span<'a> {
    trace_id: &'a [u8],
    parent: &'a [u8],
    id: &'a [u8],
    kind: u64,
    name: &'a [u8],
    timestamp: u64,
    duration: u64,
    local: Endpoint<'a>,
    remote: Endpoint<'a>,
    shared: bool,
}

fn read<S: Sink + ?Sized>(bytes: &[u8], at: Position, sink: &mut S) -> Result<(), Reason> {
    let mut faults = Faults::default();
    let span = Span::of(bytes, &mut faults)?;
    let trace_id = trace_id(span.trace_id).ok_or("`traceId` is not 8 or 16 bytes, or all zero")?;
    let span_id = span_id(span.id).ok_or("`id` is not 8 bytes, or all zero")?;
    let parent = match span.parent {
        b"" => None,
        parent if parent.len() == 8 => self::span_id(parent),
        _ => return Err("`parentId` is not 8 bytes"),
    };
    let kind = match span.kind {
        0 => SpanKind::Unspecified,
        1 => SpanKind::Client,
        2 => SpanKind::Server,
        3 => SpanKind::Producer,
        4 => SpanKind::Consumer,
        _ => {
            faults.note("`kind` is no kind of span");
            SpanKind::Unspecified
        }
    };
    let name = faults.text(span.name, "`name` holds text that is not UTF-8");
    let start = span.timestamp.saturating_mul(1000);
    // Zipkin says of both that 0 is unknown.
    let duration = (span.duration != 0).then_some(span.duration.saturating_mul(1000));

    resource(&span.local, sink);
    sink.span_start();
    let status = tags(bytes, sink, &mut faults);
    peer(&span.remote, sink);
    annotations(bytes, sink, &mut faults);
    if let Some(reason) = faults.0 {
        sink.reject(at, reason);
    }
    sink.span_end(&SpanHead {
        trace_id,
        span_id,
        parent,
        name: &name,
        kind,
        start,
        end: field::end(start, duration),
        flags: 0,
        status,
        dropped: 0,
        shared: span.shared,
        trace_state: "",
    });
    Ok(())
}

impl<'a> Span<'a> {
    fn of(bytes: &'a [u8], faults: &mut Faults) -> Result<Self, Reason> {
        let mut span = Self::default();
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.next()? {
            match field {
                (_, Wire::Cut(_)) => return Err(IS_CUT),
                (1, Wire::Bytes(bytes)) => span.trace_id = bytes,
                (2, Wire::Bytes(bytes)) => span.parent = bytes,
                (3, Wire::Bytes(bytes)) => span.id = bytes,
                (4, Wire::Varint(number)) => span.kind = number,
                (5, Wire::Bytes(bytes)) => span.name = bytes,
                (6, Wire::Fixed64(micros)) => span.timestamp = micros,
                (7, Wire::Varint(micros)) => span.duration = micros,
                // Messages that come again are merged.
                (8, Wire::Bytes(bytes)) => span.local.take(bytes, faults),
                (9, Wire::Bytes(bytes)) => span.remote.take(bytes, faults),
                (10 | 11, Wire::Bytes(_)) => {}
                (13, Wire::Varint(truth)) => span.shared = truth != 0,
                (1..=3, _) => return Err(HAS_WRONG_TYPE),
                (4..=11 | 13, _) => faults.note(HAS_WRONG_TYPE),
                _unknown => {}
            }
        }
        Ok(span)
    }
}

impl<'a> Endpoint<'a> {
    fn take(&mut self, bytes: &'a [u8], faults: &mut Faults) {
        let read = each(bytes, |field| match field {
            (1, Wire::Bytes(service)) => {
                self.service = faults.text(service, "`serviceName` holds text that is not UTF-8");
            }
            (2 | 3, Wire::Bytes(b"")) => {}
            (2, Wire::Bytes(ip)) => match <[u8; 4]>::try_from(ip) {
                Ok(ip) => self.ip = Ipv4Addr::from(ip).to_string().into(),
                Err(_) => faults.note("`ipv4` is not 4 bytes"),
            },
            (3, Wire::Bytes(ip)) => match <[u8; 16]>::try_from(ip) {
                // As in JSON, the address of version 4 is the one that counts.
                Ok(_) if !self.ip.is_empty() && !self.ip.contains(':') => {}
                Ok(ip) => self.ip = Ipv6Addr::from(ip).to_string().into(),
                Err(_) => faults.note("`ipv6` is not 16 bytes"),
            },
            (4, Wire::Varint(port)) => match u16::try_from(port) {
                Ok(port) => self.port = (port != 0).then_some(port),
                Err(_) => faults.note("`port` is no port"),
            },
            (1..=4, _) => faults.note(HAS_WRONG_TYPE),
            _unknown => {}
        });
        if !read {
            faults.note(BROKEN_ENDPOINT);
        }
    }
}

/// Tags: entries of a map. Where one comes again, both are handed on.
fn tags<S: Sink + ?Sized>(span: &[u8], sink: &mut S, faults: &mut Faults) -> Status {
    let mut status = Status::Unset;
    for entry in messages(span, 11) {
        let (mut key, mut value) = (&[][..], &[][..]);
        let read = each(entry, |field| match field {
            (1, Wire::Bytes(bytes)) => key = bytes,
            (2, Wire::Bytes(bytes)) => value = bytes,
            (1 | 2, _) => faults.note(HAS_WRONG_TYPE),
            _unknown => {}
        });
        if !read {
            faults.note(BROKEN_TAG);
        }
        let key = faults.text(key, "`tags` holds a key that is not UTF-8");
        let value = Scalar::Str(faults.text(value, "`tags` holds text that is not UTF-8"));
        if is_error(&key, &value) {
            status = Status::Error;
        }
        sink.attribute(&key, value.as_value());
    }
    status
}

fn annotations<S: Sink + ?Sized>(span: &[u8], sink: &mut S, faults: &mut Faults) {
    for annotation in messages(span, 10) {
        let (mut micros, mut value) = (0_u64, &[][..]);
        let read = each(annotation, |field| match field {
            (1, Wire::Fixed64(time)) => micros = time,
            (2, Wire::Bytes(bytes)) => value = bytes,
            (1 | 2, _) => faults.note(HAS_WRONG_TYPE),
            _unknown => {}
        });
        if !read {
            faults.note(BROKEN_ANNOTATION);
        }
        let name = faults.text(value, "`annotations` holds text that is not UTF-8");
        if !name.is_empty() {
            sink.event(&name, micros.saturating_mul(1000));
        }
    }
}

/// The messages of this number in a span that was looked through once, and so is known to be whole.
fn messages(span: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    let mut fields = Fields::of(span);
    let all = std::iter::from_fn(move || fields.next().ok().flatten());
    all.filter_map(move |field| match field {
        (found, Wire::Bytes(bytes)) if found == number => Some(bytes),
        _other => None,
    })
}

/// Has `take` look at every field. Whether all could be told from what follows.
fn each<'a>(message: &'a [u8], mut take: impl FnMut((u32, Wire<'a>))) -> bool {
    let mut fields = Fields::of(message);
    loop {
        match fields.next() {
            Ok(None) => return true,
            Ok(Some((_, Wire::Cut(_)))) | Err(_) => return false,
            Ok(Some(field)) => take(field),
        }
    }
}

/// Of 8 bytes are those at the end.
fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    let mut id = [0; 16];
    match bytes.len() {
        8 | 16 => id.get_mut(16 - bytes.len()..)?.copy_from_slice(bytes),
        _ => return None,
    }
    TraceId::new(id)
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    SpanId::new(bytes.try_into().ok()?)
}

#[cfg(test)]
mod tests;

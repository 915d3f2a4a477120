//! Zipkin v2 protobuf (<https://github.com/openzipkin/zipkin-api/blob/master/zipkin.proto>): the same spans as in JSON.
//!
//! ```text
//! ListOfSpans = { 1: Span }*
//! Span = 1: trace id, 2: parent id, 3: id, 4: kind, 5: name, 6: timestamp, 7: duration, 8 and 9: Endpoint,
//!        { 10: Annotation }*, { 11: a tag }*, 13: shared
//! ```
//! As in JSON, a span is refused only for its ids, or where its fields cannot be told apart. Any other field that cannot
//! be taken as it stands is left out, and the first such field of a span is reported with the place of the span.

use std::net::{Ipv4Addr, Ipv6Addr};

use hopseal_correlate::sink::{Position, Sink, SpanHead, SpanId, SpanKind, Status, TraceId, Value};

use super::super::{Endpoint, is_error, peer, resource};
use crate::field::{self, Fault, Faults, Scalar};
use crate::place;
use crate::wire::{CUT, Fields, Reason, WIRE_TYPE, Wire};

const IS_CUT: Reason = "is cut short: a length runs past its end";
const HAS_WRONG_TYPE: Reason = "has a field of the wrong wire type";
const IS_BROKEN: Reason = "is not protobuf";

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
            Ok(Some((1, Wire::Bytes(span)))) => match read(span, sink) {
                Ok(faults) => faults.report(here, sink),
                Err(fault) => fault.report(here, sink),
            },
            Ok(Some((_, Wire::Cut(_)))) => return sink.reject(here, CUT),
            Ok(Some((1, _))) => sink.reject(here, WIRE_TYPE),
            Ok(Some(_unknown)) => {}
            Err(reason) => return sink.reject(here, reason),
        }
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

fn read<S: Sink + ?Sized>(bytes: &[u8], sink: &mut S) -> Result<Faults, Fault> {
    let mut faults = Faults::default();
    let span = Span::of(bytes, &mut faults)?;
    let trace_id = trace_id(span.trace_id).ok_or(fault("traceId", "is not 8 or 16 bytes, or all zero"))?;
    let span_id = span_id(span.id).ok_or(fault("id", "is not 8 bytes, or all zero"))?;
    let parent = match span.parent {
        b"" => None,
        parent if parent.len() == 8 => self::span_id(parent),
        _ => return Err(fault("parentId", "is not 8 bytes")),
    };
    let kind = match span.kind {
        0 => SpanKind::Unspecified,
        1 => SpanKind::Client,
        2 => SpanKind::Server,
        3 => SpanKind::Producer,
        4 => SpanKind::Consumer,
        _ => {
            faults.note(fault("kind", "is no kind of span"));
            SpanKind::Unspecified
        }
    };
    let name = text("name", span.name, &mut faults);
    let start = span.timestamp.saturating_mul(1000);
    // Zipkin says of both that 0 is unknown.
    let duration = (span.duration != 0).then_some(span.duration.saturating_mul(1000));

    resource(&span.local, sink);
    sink.span_start();
    let status = tags(bytes, sink, &mut faults);
    peer(&span.remote, sink);
    annotations(bytes, sink, &mut faults);
    sink.span_end(&SpanHead {
        trace_id,
        span_id,
        parent,
        name,
        kind,
        start,
        end: field::end(start, duration),
        flags: 0,
        status,
        dropped: 0,
        shared: span.shared,
        trace_state: "",
    });
    Ok(faults)
}

impl<'a> Span<'a> {
    fn of(bytes: &'a [u8], faults: &mut Faults) -> Result<Self, Fault> {
        let mut span = Self::default();
        let mut fields = Fields::of(bytes);
        while let Some(field) = fields.next().map_err(|_| fault("span", IS_BROKEN))? {
            match field {
                (_, Wire::Cut(_)) => return Err(fault("span", IS_CUT)),
                (1, Wire::Bytes(bytes)) => span.trace_id = bytes,
                (2, Wire::Bytes(bytes)) => span.parent = bytes,
                (3, Wire::Bytes(bytes)) => span.id = bytes,
                (4, Wire::Varint(number)) => span.kind = number,
                (5, Wire::Bytes(bytes)) => span.name = bytes,
                (6, Wire::Fixed64(micros)) => span.timestamp = micros,
                (7, Wire::Varint(micros)) => span.duration = micros,
                // Messages that come again are merged.
                (8, Wire::Bytes(bytes)) => span.local.take("localEndpoint", bytes, faults),
                (9, Wire::Bytes(bytes)) => span.remote.take("remoteEndpoint", bytes, faults),
                (10 | 11, Wire::Bytes(_)) => {}
                (13, Wire::Varint(truth)) => span.shared = truth != 0,
                (1..=3, _) => return Err(fault("span", HAS_WRONG_TYPE)),
                (4..=11 | 13, _) => faults.note(fault("span", HAS_WRONG_TYPE)),
                _unknown => {}
            }
        }
        Ok(span)
    }
}

impl<'a> Endpoint<'a> {
    fn take(&mut self, name: &'static str, bytes: &'a [u8], faults: &mut Faults) {
        let mut fields = Fields::of(bytes);
        loop {
            let field = match fields.next() {
                Ok(None) => return,
                Ok(Some((_, Wire::Cut(_)))) => return faults.note(fault(name, IS_CUT)),
                Ok(Some(field)) => field,
                Err(_) => return faults.note(fault(name, IS_BROKEN)),
            };
            match field {
                (1, Wire::Bytes(service)) => self.service = text("serviceName", service, faults).into(),
                (2, Wire::Bytes(ip)) => match <[u8; 4]>::try_from(ip) {
                    Ok(ip) => self.ip = Ipv4Addr::from(ip).to_string().into(),
                    Err(_) if ip.is_empty() => {}
                    Err(_) => faults.note(fault("ipv4", "is not 4 bytes")),
                },
                (3, Wire::Bytes(ip)) => match <[u8; 16]>::try_from(ip) {
                    // As in JSON, the address of version 4 is the one that counts.
                    Ok(ip) if self.ip.is_empty() || self.ip.contains(':') => {
                        self.ip = Ipv6Addr::from(ip).to_string().into();
                    }
                    Ok(_) => {}
                    Err(_) if ip.is_empty() => {}
                    Err(_) => faults.note(fault("ipv6", "is not 16 bytes")),
                },
                (4, Wire::Varint(port)) => match u16::try_from(port) {
                    Ok(port) => self.port = (port != 0).then_some(port),
                    Err(_) => faults.note(fault("port", "is no port")),
                },
                (1..=4, _) => faults.note(fault(name, HAS_WRONG_TYPE)),
                _unknown => {}
            }
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
            _other => {}
        });
        if let Err(reason) = read {
            faults.note(fault("tags", reason));
        }
        let Ok(key) = str::from_utf8(key) else {
            faults.note(fault("tags", "holds a key that is not UTF-8"));
            continue;
        };
        let Ok(value) = str::from_utf8(value) else {
            faults.note(fault("tags", "holds a value that is not UTF-8, taken as bytes"));
            sink.attribute(key, Value::Bytes(value));
            continue;
        };
        if is_error(key, &Scalar::Str(value.into())) {
            status = Status::Error;
        }
        sink.attribute(key, Value::Str(value));
    }
    status
}

fn annotations<S: Sink + ?Sized>(span: &[u8], sink: &mut S, faults: &mut Faults) {
    for annotation in messages(span, 10) {
        let (mut micros, mut value) = (0_u64, &[][..]);
        let read = each(annotation, |field| match field {
            (1, Wire::Fixed64(time)) => micros = time,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _other => {}
        });
        if let Err(reason) = read {
            faults.note(fault("annotations", reason));
        }
        let name = text("annotations", value, faults);
        if !name.is_empty() {
            sink.event(name, micros.saturating_mul(1000));
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

/// Has `take` look at every field, up to one that cannot be told from the next.
fn each<'a>(message: &'a [u8], mut take: impl FnMut((u32, Wire<'a>))) -> Result<(), Reason> {
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next().map_err(|_| IS_BROKEN)? {
        match field {
            (_, Wire::Cut(_)) => return Err(IS_CUT),
            field => take(field),
        }
    }
    Ok(())
}

const fn fault(field: &'static str, what: &'static str) -> Fault {
    Fault { field, what, at: 0 }
}

/// A text, empty where it is none.
fn text<'a>(field: &'static str, bytes: &'a [u8], faults: &mut Faults) -> &'a str {
    str::from_utf8(bytes).unwrap_or_else(|_| {
        faults.note(fault(field, "is not UTF-8, left out"));
        ""
    })
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

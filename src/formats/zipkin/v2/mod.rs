//! Zipkin v2 JSON (<https://zipkin.io/zipkin-api/zipkin2-api.yaml>): a list of spans, each of one host.
//!
//! ```json
//! {"traceId": "1e22", "id": "74", "parentId": "bf", "kind": "SERVER", "shared": true, "name": "post",
//!  "timestamp": 1470150004008761, "duration": 93577,
//!  "localEndpoint": {"serviceName": "orders"}, "tags": {"http.path": "/orders"}}
//! ```
//!
//! A server may carry its client's span id (`shared`), and a host may report one span in several parts,
//! some with nothing but tags. All are handed on as they are: joining them takes the whole trace.

pub mod protobuf;

use hopseal_correlate::sink::{Position, Sink, SpanHead, SpanKind, Status};

use super::{Endpoint, is_error, peer, resource};
use crate::field::{self, Fault, Faults};
use crate::raw::Raw;

/// Reads one span that starts at `at`.
pub fn element<S: Sink + ?Sized>(json: &[u8], at: Position, sink: &mut S) {
    if let Err(fault) = read(Raw::first(json), at, sink) {
        fault.report(at, sink);
    }
}

/// The members of a span that are looked at, each the last of its name. `null` is absent.
#[derive(Default)]
struct Span<'a> {
    trace_id: Option<Raw<'a>>,
    id: Option<Raw<'a>>,
    parent_id: Option<Raw<'a>>,
    name: Option<Raw<'a>>,
    kind: Option<Raw<'a>>,
    timestamp: Option<Raw<'a>>,
    duration: Option<Raw<'a>>,
    local: Option<Raw<'a>>,
    remote: Option<Raw<'a>>,
    annotations: Option<Raw<'a>>,
    tags: Option<Raw<'a>>,
    shared: Option<Raw<'a>>,
}

impl<'a> Span<'a> {
    fn of(raw: Raw<'a>) -> Result<Self, Fault> {
        let mut span = Self::default();
        for member in raw.members() {
            let (key, value) = member.map_err(|broken| broken.of("span"))?;
            let place = match &*key {
                "traceId" => &mut span.trace_id,
                "id" => &mut span.id,
                "parentId" => &mut span.parent_id,
                "name" => &mut span.name,
                "kind" => &mut span.kind,
                "timestamp" => &mut span.timestamp,
                "duration" => &mut span.duration,
                "localEndpoint" => &mut span.local,
                "remoteEndpoint" => &mut span.remote,
                "annotations" => &mut span.annotations,
                "tags" => &mut span.tags,
                "shared" => &mut span.shared,
                _ => continue,
            };
            *place = (!value.is_null()).then_some(value);
        }
        Ok(span)
    }
}

fn read<S: Sink + ?Sized>(raw: Raw<'_>, at: Position, sink: &mut S) -> Result<(), Fault> {
    let span = Span::of(raw)?;
    let missing = |field| Fault { field, what: "is missing", at: raw.at };
    let trace_id = field::trace_id("traceId", span.trace_id.ok_or(missing("traceId"))?)?;
    let span_id = field::span_id("id", span.id.ok_or(missing("id"))?)?;
    let parent = field::parent_id("parentId", span.parent_id)?;

    let mut faults = Faults::default();
    let name = faults.text("name", span.name);
    let kind = kind(span.kind, &mut faults);
    let start = faults.micros("timestamp", span.timestamp).unwrap_or(0);
    let duration = faults.micros("duration", span.duration);

    resource(&Endpoint::read("localEndpoint", span.local, &mut faults), sink);
    sink.span_start();
    let status = tags(span.tags, sink, &mut faults);
    peer(&Endpoint::read("remoteEndpoint", span.remote, &mut faults), sink);
    annotations(span.annotations, sink, &mut faults);
    // Before the span is over: it is taken all the same.
    faults.report(at, sink);
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
        shared: span.shared.is_some_and(|shared| shared.json == b"true"),
        trace_state: "",
    });
    Ok(())
}

fn kind(raw: Option<Raw<'_>>, faults: &mut Faults) -> SpanKind {
    let Some(raw) = raw else { return SpanKind::Unspecified };
    match faults.text("kind", Some(raw)).to_ascii_uppercase().as_str() {
        "CLIENT" => SpanKind::Client,
        "SERVER" => SpanKind::Server,
        "PRODUCER" => SpanKind::Producer,
        "CONSUMER" => SpanKind::Consumer,
        "" => SpanKind::Unspecified,
        _ => {
            faults.note(Fault { field: "kind", what: "is no kind of span", at: raw.at });
            SpanKind::Unspecified
        }
    }
}

fn tags<S: Sink + ?Sized>(raw: Option<Raw<'_>>, sink: &mut S, faults: &mut Faults) -> Status {
    let mut status = Status::Unset;
    let Some(raw) = raw else { return status };
    faults.pieces("tags", raw.members(), |faults, (key, value)| {
        let Some(value) = faults.scalar("tags", value) else { return };
        if is_error(&key, &value) {
            status = Status::Error;
        }
        sink.attribute(&key, value.as_value());
    });
    status
}

fn annotations<S: Sink + ?Sized>(raw: Option<Raw<'_>>, sink: &mut S, faults: &mut Faults) {
    let Some(raw) = raw else { return };
    faults.pieces("annotations", raw.items(), |faults, annotation| {
        let (mut time, mut value) = (None, None);
        faults.pieces("annotations", annotation.members(), |_, (key, raw)| match &*key {
            "timestamp" => time = Some(raw),
            "value" => value = Some(raw),
            _ => {}
        });
        if value.is_some() {
            let name = faults.text("annotations", value);
            sink.event(&name, faults.micros("annotations", time).unwrap_or(0));
        }
    });
}

#[cfg(test)]
mod tests;

//! Zipkin v1 JSON (<https://zipkin.io/zipkin-api/zipkin-api.yaml>): a span may hold both of its ends.
//!
//! ```json
//! {"traceId": "1e22", "id": "74", "name": "post",
//!  "annotations": [{"value": "cs", "timestamp": 1, "endpoint": {"serviceName": "shop"}},
//!                  {"value": "sr", "timestamp": 2, "endpoint": {"serviceName": "orders"}}],
//!  "binaryAnnotations": [{"key": "http.path", "value": "/orders", "endpoint": {"serviceName": "orders"}}]}
//! ```
//!
//! The core annotations say which ends there are: `cs` and `cr` a client, `sr` and `ss` a server, `ms` a
//! producer, `mr` a consumer. Each end becomes a span of its own, as Zipkin itself does on upgrade to v2:
//!
//! - The first end keeps the span's `timestamp` and `duration`; the others have the times of their own
//!   annotations. A receiving end beside its sending end is `shared`, and so is one in a span without a
//!   `timestamp`, which in v1 only the end that began the span sets.
//! - Every other annotation goes to the ends of its endpoint's service. With no endpoint, or one of
//!   neither end, it goes to the receiving end, which is the one that is judged.
//! - `sa`, `ca` and `ma` with an endpoint are the address of the other end.
//! - A span without core annotations is of the first service that any annotation names.

mod ends;

use std::borrow::Cow;

use hopseal_correlate::sink::{Position, Sink, SpanHead, Status};

use self::ends::Ends;
use super::{Endpoint, is_error, peer, resource};
use crate::field::{self, Fault, Faults, Scalar};
use crate::raw::Raw;

/// Reads one span that starts at `at`.
pub fn element<S: Sink + ?Sized>(json: &[u8], at: Position, sink: &mut S) {
    match read(Raw::first(json), sink) {
        Ok(faults) => faults.report(at, sink),
        Err(fault) => fault.report(at, sink),
    }
}

/// The members of a span that are looked at, each the last of its name. `null` is absent.
#[derive(Default)]
struct Span<'a> {
    trace_id: Option<Raw<'a>>,
    id: Option<Raw<'a>>,
    parent_id: Option<Raw<'a>>,
    name: Option<Raw<'a>>,
    timestamp: Option<Raw<'a>>,
    duration: Option<Raw<'a>>,
    annotations: Option<Raw<'a>>,
    binary: Option<Raw<'a>>,
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
                "timestamp" => &mut span.timestamp,
                "duration" => &mut span.duration,
                "annotations" => &mut span.annotations,
                "binaryAnnotations" => &mut span.binary,
                _ => continue,
            };
            *place = (!value.is_null()).then_some(value);
        }
        Ok(span)
    }

    fn annotations(&self, faults: &mut Faults, mut each: impl FnMut(Annotation<'a>)) {
        let Some(raw) = self.annotations else { return };
        faults.pieces("annotations", raw.items(), |faults, raw| each(Annotation::read(raw, faults)));
    }

    fn binary_annotations(&self, faults: &mut Faults, mut each: impl FnMut(BinaryAnnotation<'a>)) {
        let Some(raw) = self.binary else { return };
        faults.pieces("binaryAnnotations", raw.items(), |faults, raw| {
            each(BinaryAnnotation::read(raw, faults));
        });
    }
}

fn read<S: Sink + ?Sized>(raw: Raw<'_>, sink: &mut S) -> Result<Faults, Fault> {
    let span = Span::of(raw)?;
    let missing = |field| Fault { field, what: "is missing", at: raw.at };
    let trace_id = field::trace_id("traceId", span.trace_id.ok_or(missing("traceId"))?)?;
    let span_id = field::span_id("id", span.id.ok_or(missing("id"))?)?;
    let parent = field::parent_id("parentId", span.parent_id)?;

    let mut faults = Faults::default();
    let name = faults.text("name", span.name);
    let ends = Ends::of(&span, &mut faults);
    for (place, end) in ends.iter().enumerate() {
        resource(&end.endpoint, sink);
        sink.span_start();
        let status = tags(&span, &ends, place, sink, &mut faults);
        peer(&end.peer, sink);
        span.annotations(&mut faults, |event| {
            if !event.value.is_empty()
                && !ends::is_core(&event.value)
                && ends.has(place, event.endpoint.as_ref())
            {
                sink.event(&event.value, event.time);
            }
        });
        sink.span_end(&SpanHead {
            trace_id,
            span_id,
            parent,
            name: &name,
            kind: end.kind,
            start: end.start,
            end: end.end,
            flags: 0,
            status,
            dropped: 0,
            shared: end.shared,
            trace_state: "",
        });
    }
    Ok(faults)
}

fn tags<S: Sink + ?Sized>(
    span: &Span<'_>,
    ends: &Ends<'_>,
    place: usize,
    sink: &mut S,
    faults: &mut Faults,
) -> Status {
    let mut status = Status::Unset;
    span.binary_annotations(faults, |tag| {
        let Some(value) = &tag.value else { return };
        if tag.is_address() || !ends.has(place, tag.endpoint.as_ref()) {
            return;
        }
        if is_error(&tag.key, value) {
            status = Status::Error;
        }
        sink.attribute(&tag.key, value.as_value());
    });
    status
}

/// Something that happened: a core annotation, or an event.
struct Annotation<'a> {
    time: u64,
    value: Cow<'a, str>,
    endpoint: Option<Endpoint<'a>>,
}

impl<'a> Annotation<'a> {
    fn read(raw: Raw<'a>, faults: &mut Faults) -> Self {
        let (mut time, mut value, mut endpoint) = (None, None, None);
        faults.pieces("annotations", raw.members(), |_, (key, raw)| match &*key {
            "timestamp" => time = Some(raw),
            "value" => value = Some(raw),
            "endpoint" => endpoint = (!raw.is_null()).then_some(raw),
            _ => {}
        });
        Self {
            time: faults.micros("annotations", time).unwrap_or(0),
            value: faults.text("annotations", value),
            endpoint: endpoint.map(|raw| Endpoint::read("annotations", Some(raw), faults)),
        }
    }
}

/// A tag, or the address of an end.
struct BinaryAnnotation<'a> {
    key: Cow<'a, str>,
    value: Option<Scalar<'a>>,
    endpoint: Option<Endpoint<'a>>,
}

impl<'a> BinaryAnnotation<'a> {
    fn read(raw: Raw<'a>, faults: &mut Faults) -> Self {
        const FIELD: &str = "binaryAnnotations";
        let (mut key, mut value, mut endpoint) = (None, None, None);
        faults.pieces(FIELD, raw.members(), |_, (name, raw)| match &*name {
            "key" => key = Some(raw),
            "value" => value = Some(raw),
            "endpoint" => endpoint = (!raw.is_null()).then_some(raw),
            _ => {}
        });
        Self {
            key: faults.text(FIELD, key),
            value: value.and_then(|raw| faults.scalar(FIELD, raw)),
            endpoint: endpoint.map(|raw| Endpoint::read(FIELD, Some(raw), faults)),
        }
    }

    /// Whether it says where an end is, and not what happened there.
    fn is_address(&self) -> bool {
        self.endpoint.is_some() && matches!(&*self.key, "sa" | "ca" | "ma")
    }
}

#[cfg(test)]
mod tests;

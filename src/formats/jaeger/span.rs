//! One span of a Jaeger trace.

use std::borrow::Cow;

use hopseal_correlate::sink::{Sink, SpanHead, SpanId, SpanKind, Status, TraceId};

use super::references::References;
use super::tags::Tag;
use crate::field::{self, Fault, Faults, Scalar};
use crate::raw::Raw;

/// The members of a span that are looked at, each the last of its name. `null` is absent.
#[derive(Default)]
pub(super) struct Span<'a> {
    at: usize,
    trace_id: Option<Raw<'a>>,
    id: Option<Raw<'a>>,
    parent_id: Option<Raw<'a>>,
    references: Option<Raw<'a>>,
    name: Option<Raw<'a>>,
    start: Option<Raw<'a>>,
    duration: Option<Raw<'a>>,
    tags: Option<Raw<'a>>,
    logs: Option<Raw<'a>>,
    pub(super) process_id: Option<Raw<'a>>,
    pub(super) process: Option<Raw<'a>>,
}

impl<'a> Span<'a> {
    pub(super) fn of(raw: Raw<'a>) -> Result<Self, Fault> {
        let mut span = Self { at: raw.at, ..Self::default() };
        for member in raw.members() {
            let (key, value) = member.map_err(|broken| broken.of("span"))?;
            let place = match &*key {
                "traceID" => &mut span.trace_id,
                "spanID" => &mut span.id,
                "parentSpanID" => &mut span.parent_id,
                "references" => &mut span.references,
                "operationName" => &mut span.name,
                "startTime" => &mut span.start,
                "duration" => &mut span.duration,
                "tags" => &mut span.tags,
                "logs" => &mut span.logs,
                "processID" => &mut span.process_id,
                "process" => &mut span.process,
                _ => continue,
            };
            *place = (!value.is_null()).then_some(value);
        }
        Ok(span)
    }

    fn missing(&self, field: &'static str) -> Fault {
        Fault { field, what: "is missing", at: self.at }
    }

    /// The span's ids; `trace` is that of the trace around it.
    pub(super) fn ids(&self, trace: Option<Raw<'a>>) -> Result<(TraceId, SpanId), Fault> {
        let trace_id = self.trace_id.or(trace).ok_or_else(|| self.missing("traceID"))?;
        let span_id = self.id.ok_or_else(|| self.missing("spanID"))?;
        Ok((field::trace_id("traceID", trace_id)?, field::span_id("spanID", span_id)?))
    }

    pub(super) fn read<S: Sink + ?Sized>(
        &self,
        trace: Option<Raw<'a>>,
        has_process: bool,
        sink: &mut S,
    ) -> Result<Faults, Fault> {
        let (trace_id, span_id) = self.ids(trace)?;
        let mut faults = Faults::default();
        let references = References::of(self.references, trace_id, &mut faults)?;
        let parent = match references.child_of {
            Some(parent) => Some(parent),
            None => field::parent_id("parentSpanID", self.parent_id)?.or(references.only_follows),
        };
        if !has_process {
            faults.note(self.missing("process"));
        }
        let name = faults.text("operationName", self.name);
        let start = faults.micros("startTime", self.start).unwrap_or(0);
        let duration = faults.micros("duration", self.duration);

        sink.span_start();
        let facts = Facts::of(self.tags, sink, &mut faults);
        logs(self.logs, sink, &mut faults);
        references.links.iter().for_each(|link| sink.link(*link));
        sink.span_end(&SpanHead {
            trace_id,
            span_id,
            parent,
            name: &name,
            kind: facts.kind,
            start,
            end: field::end(start, duration),
            flags: 0,
            status: facts.status,
            dropped: 0,
            shared: false,
            trace_state: &facts.trace_state,
        });
        Ok(faults)
    }
}

/// What OpenTelemetry keeps outside of attributes and Jaeger inside of tags.
#[derive(Default)]
struct Facts<'a> {
    kind: SpanKind,
    status: Status,
    trace_state: Cow<'a, str>,
}

impl<'a> Facts<'a> {
    /// Hands on the tags as attributes, but for those that the head of a span says as well.
    fn of<S: Sink + ?Sized>(tags: Option<Raw<'a>>, sink: &mut S, faults: &mut Faults) -> Self {
        let mut facts = Self::default();
        Tag::each("tags", tags, faults, |tag| {
            let text = tag.text().unwrap_or_default();
            match &*tag.key {
                "span.kind" => {
                    if let Some(kind) = kind(text) {
                        facts.kind = kind;
                        return;
                    }
                }
                "w3c.tracestate" => {
                    facts.trace_state = text.to_owned().into();
                    return;
                }
                "error" if text == "true" || tag.value == Scalar::Bool(true) => facts.status = Status::Error,
                "otel.status_code" if text == "ERROR" => facts.status = Status::Error,
                "otel.status_code" if text == "OK" && facts.status == Status::Unset => {
                    facts.status = Status::Ok;
                }
                _ => {}
            }
            sink.attribute(&tag.key, tag.value.as_value());
        });
        facts
    }
}

fn kind(text: &str) -> Option<SpanKind> {
    Some(match text.to_ascii_lowercase().as_str() {
        "internal" => SpanKind::Internal,
        "server" => SpanKind::Server,
        "client" => SpanKind::Client,
        "producer" => SpanKind::Producer,
        "consumer" => SpanKind::Consumer,
        _ => return None,
    })
}

/// Logs are events; the field `event`, or else `message`, is the name.
fn logs<S: Sink + ?Sized>(raw: Option<Raw<'_>>, sink: &mut S, faults: &mut Faults) {
    let Some(raw) = raw else { return };
    faults.pieces("logs", raw.items(), |faults, log| {
        let (mut time, mut fields) = (None, None);
        faults.pieces("logs", log.members(), |_, (key, value)| match &*key {
            "timestamp" => time = Some(value),
            "fields" => fields = Some(value),
            _ => {}
        });
        if time.is_none() && fields.is_none() {
            return;
        }
        let (mut event, mut message) = (None, None);
        Tag::each("logs", fields, faults, |tag| match &*tag.key {
            "event" => event = tag.text().map(str::to_owned),
            "message" => message = tag.text().map(str::to_owned),
            _ => {}
        });
        let named_by = if event.is_some() { "event" } else { "message" };
        let time = faults.micros("logs", time).unwrap_or(0);
        sink.event(&event.or(message).unwrap_or_default(), time);
        Tag::each("logs", fields, faults, |tag| {
            if tag.key != named_by || tag.text().is_none() {
                sink.event_attribute(&tag.key, tag.value.as_value());
            }
        });
    });
}

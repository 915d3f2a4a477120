//! Jaeger JSON, as its UI saves and its query API answers: traces of spans, and the processes they ran in.
//!
//! ```json
//! {"traceID": "4a1b", "spans": [
//!    {"traceID": "4a1b", "spanID": "2", "operationName": "GET /cart", "startTime": 1770000000001000,
//!     "duration": 4400, "processID": "p1",
//!     "references": [{"refType": "CHILD_OF", "traceID": "4a1b", "spanID": "1"}],
//!     "tags": [{"key": "span.kind", "type": "string", "value": "server"}], "logs": []}],
//!  "processes": {"p1": {"serviceName": "cart", "tags": []}}}
//! ```
//!
//! How OpenTelemetry's facts are written in it: <https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/jaeger/>.
//! `flags` there are Jaeger's own sampling bits and not those of OTLP, so they are not handed on.

mod references;
mod span;
mod tags;

use std::borrow::Cow;
use std::collections::HashMap;

use hopseal_correlate::sink::{Position, Sink, Value};

use self::span::Span;
use self::tags::Tag;
use crate::field::{Fault, Faults};
use crate::raw::Raw;

/// Reads one trace that starts at `at`. Its spans come out grouped by process, else in file order.
pub fn element<S: Sink + ?Sized>(json: &[u8], at: Position, sink: &mut S) {
    let mut faults = Faults::default();
    let trace = Trace::of(Raw::first(json), &mut faults);
    faults.report(at, sink);

    let mut current = None;
    for (process, span) in trace.order(at, sink) {
        if current != Some(process) {
            current = Some(process);
            resource((process != NOWHERE).then(|| Raw::at(json, process)), sink).report(at, sink);
        }
        let read = Span::of(Raw::at(json, span));
        match read.and_then(|span| span.read(trace.id, process != NOWHERE, sink)) {
            Ok(faults) => faults.report(at, sink),
            Err(fault) => fault.report(at, sink),
        }
    }
}

/// The place of a process that is not there. The trace itself starts here.
const NOWHERE: usize = 0;

/// A trace in pieces.
#[derive(Default)]
struct Trace<'a> {
    id: Option<Raw<'a>>,
    spans: Vec<Raw<'a>>,
    processes: HashMap<Cow<'a, str>, usize>,
}

impl<'a> Trace<'a> {
    fn of(raw: Raw<'a>, faults: &mut Faults) -> Self {
        let mut trace = Self::default();
        faults.pieces("trace", raw.members(), |faults, (key, value)| match &*key {
            "traceID" => trace.id = Some(value),
            "spans" => trace.spans.push(value),
            "processes" => faults.pieces("processes", value.members(), |_, (id, process)| {
                trace.processes.insert(id, process.at);
            }),
            _ => {}
        });
        if trace.spans.is_empty() {
            faults.note(Fault { field: "spans", what: "is missing", at: raw.at });
        }
        trace
    }

    /// The places of the process and of the span itself, for each span that has ids, by process: the tags of
    /// a process may be many, and are handed on at every change. Places alone are kept because a hostile
    /// trace may have many million spans.
    fn order<S: Sink + ?Sized>(&self, at: Position, sink: &mut S) -> Vec<(usize, usize)> {
        let mut order = Vec::new();
        let mut faults = Faults::default();
        for list in &self.spans {
            faults.pieces("spans", list.items(), |_, raw| {
                let span = Span::of(raw).and_then(|span| span.ids(self.id).map(|_| span));
                match span {
                    Ok(span) => order.push((self.process(&span), raw.at)),
                    Err(fault) => fault.report(at, sink),
                }
            });
        }
        faults.report(at, sink);
        order.sort_unstable();
        order
    }

    /// Where the process is that `span` carries itself or names.
    fn process(&self, span: &Span<'a>) -> usize {
        let named = || self.processes.get(&span.process_id?.text()?.0).copied();
        span.process.map(|process| process.at).or_else(named).unwrap_or(NOWHERE)
    }
}

fn resource<S: Sink + ?Sized>(process: Option<Raw<'_>>, sink: &mut S) -> Faults {
    let mut faults = Faults::default();
    let (mut service, mut lists) = (None, None);
    sink.resource();
    let Some(process) = process else { return faults };
    faults.pieces("process", process.members(), |_, (key, value)| match &*key {
        "serviceName" => service = Some(value),
        "tags" => lists = Some(value),
        _ => {}
    });
    let service = faults.text("serviceName", service);
    if !service.is_empty() {
        sink.resource_attribute("service.name", Value::Str(&service));
    }
    Tag::each("process.tags", lists, &mut faults, |tag| {
        // Jaeger shows `serviceName`, so a tag must not change it.
        if tag.key != "service.name" || service.is_empty() {
            sink.resource_attribute(&tag.key, tag.value.as_value());
        }
    });
    faults
}

#[cfg(test)]
mod tests;

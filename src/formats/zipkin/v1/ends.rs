//! The ends of one v1 span, and which of its annotations belong to which.

use hopseal_correlate::sink::SpanKind;

use super::{Annotation, Span};
use crate::field::{self, Faults};
use crate::zipkin::Endpoint;

/// Never empty, at most four, the sending end of a pair first.
#[derive(Debug)]
pub(super) struct Ends<'a>(Vec<End<'a>>);

/// One end of a span. Times in nanoseconds, 0 when not known.
#[derive(Debug, Default)]
pub(super) struct End<'a> {
    pub(super) kind: SpanKind,
    pub(super) endpoint: Endpoint<'a>,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) shared: bool,
    pub(super) peer: Endpoint<'a>,
    seen: bool,
}

const KINDS: [SpanKind; 4] = [SpanKind::Client, SpanKind::Server, SpanKind::Producer, SpanKind::Consumer];

enum Moment {
    Start,
    End,
}

/// Which end a core annotation speaks of, and whether it begins or finishes there.
fn core(value: &str) -> Option<(SpanKind, Moment)> {
    Some(match value {
        "cs" => (SpanKind::Client, Moment::Start),
        "cr" => (SpanKind::Client, Moment::End),
        "sr" => (SpanKind::Server, Moment::Start),
        "ss" => (SpanKind::Server, Moment::End),
        "ms" => (SpanKind::Producer, Moment::Start),
        "mr" => (SpanKind::Consumer, Moment::Start),
        _ => return None,
    })
}

pub(super) fn is_core(annotation: &str) -> bool {
    core(annotation).is_some()
}

impl<'a> Ends<'a> {
    pub(super) fn of(span: &Span<'a>, faults: &mut Faults) -> Self {
        let mut ends = KINDS.map(|kind| End { kind, ..End::default() });
        let mut whole = End::default(); // what the span is without core annotations
        span.annotations(faults, |annotation| match core(&annotation.value) {
            Some((kind, moment)) => {
                ends.iter_mut().filter(|end| end.kind == kind).for_each(|end| end.core(&annotation, &moment));
            }
            None => whole.other(&annotation),
        });
        let mut client = Endpoint::default();
        span.binary_annotations(faults, |tag| {
            let Some(endpoint) = &tag.endpoint else { return };
            if !tag.is_address() {
                return whole.endpoint.fill(endpoint);
            }
            let other_end = |end: &&mut End<'_>| match &*tag.key {
                "sa" => end.kind == SpanKind::Client,
                "ca" => end.kind == SpanKind::Server,
                _ => matches!(end.kind, SpanKind::Producer | SpanKind::Consumer),
            };
            ends.iter_mut().filter(other_end).for_each(|end| end.peer.fill(endpoint));
            let of_whole = if tag.key == "ca" { &mut client } else { &mut whole.peer };
            of_whole.fill(endpoint);
        });
        whole.endpoint.fill(&client);

        let mut ends: Vec<_> = ends.into_iter().filter(|end| end.seen).collect();
        if ends.is_empty() {
            ends.push(whole);
        }
        let timestamp = faults.micros("timestamp", span.timestamp).unwrap_or(0);
        let duration = faults.micros("duration", span.duration);
        let joined = timestamp == 0 || ends.iter().any(|end| !end.receives());
        for end in &mut ends {
            end.shared = joined && end.receives();
        }
        if let Some(first) = ends.first_mut() {
            first.times(timestamp, duration);
        }
        Self(ends)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &End<'a>> {
        self.0.iter()
    }

    /// Whether what `endpoint` reports belongs to the end at `place`.
    pub(super) fn has(&self, place: usize, endpoint: Option<&Endpoint<'_>>) -> bool {
        let reports = |end: &End<'_>| endpoint.is_some_and(|endpoint| end.endpoint.is(endpoint));
        if self.0.iter().any(reports) {
            self.0.get(place).is_some_and(reports)
        } else {
            place == self.0.iter().position(End::receives).unwrap_or(0)
        }
    }
}

impl<'a> End<'a> {
    fn receives(&self) -> bool {
        matches!(self.kind, SpanKind::Server | SpanKind::Consumer)
    }

    fn core(&mut self, annotation: &Annotation<'a>, moment: &Moment) {
        self.seen = true;
        self.endpoint.fill(annotation.endpoint.as_ref().unwrap_or(&Endpoint::default()));
        let time = match moment {
            Moment::Start => &mut self.start,
            Moment::End => &mut self.end,
        };
        if *time == 0 {
            *time = annotation.time;
        }
    }

    fn other(&mut self, annotation: &Annotation<'a>) {
        self.endpoint.fill(annotation.endpoint.as_ref().unwrap_or(&Endpoint::default()));
        if self.start == 0 || annotation.time < self.start {
            self.start = annotation.time;
        }
        self.end = self.end.max(annotation.time);
    }

    /// The times of the span itself go before those of annotations.
    fn times(&mut self, timestamp: u64, duration: Option<u64>) {
        if timestamp != 0 {
            self.start = timestamp;
        }
        if duration.is_some() {
            self.end = field::end(self.start, duration);
        }
    }
}

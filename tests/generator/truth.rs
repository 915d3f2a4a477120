//! What was done on purpose, as it is written down beside the spans.

use std::collections::BTreeSet;

use serde::Serialize;

use super::span::{SpanId, TraceId};

/// What a finding of a rule is about, and so how it is matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// One span of one trace.
    Span,
    /// One trace as a whole.
    Trace,
    /// An operation of a service, over many traces.
    Operation,
}

/// One thing that became true: a rule that has to speak, and where.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Injected {
    /// The rule, by its name in `findings`.
    pub rule: &'static str,
    /// The recipe that did it.
    pub recipe: &'static str,
    /// What the finding is about.
    pub subject: Subject,
    /// The trace it happened in (for [`Subject::Operation`], one of them).
    #[serde(serialize_with = "shown")]
    pub trace_id: TraceId,
    /// The hop: its entry span.
    #[serde(serialize_with = "shown")]
    pub span_id: SpanId,
    /// Other spans a finding may name for the same fault, such as the span inside the hop that carries it.
    #[serde(serialize_with = "all_shown")]
    pub also: Vec<SpanId>,
    /// The service that did it.
    pub service: String,
    /// The operation of that hop.
    pub operation: String,
    /// Spans that must have survived for anybody to be able to tell.
    #[serde(serialize_with = "all_shown")]
    pub evidence: Vec<SpanId>,
    /// Whether a finding has to say so. Some things are true by the letter of a definition, and its column of false
    /// positives asks for no finding: one that speaks is not wrong, one that keeps silent misses nothing.
    pub asked: bool,
}

impl Injected {
    /// Whether a finding is asked for and everything needed to see it is among `spans`.
    #[must_use]
    pub fn decidable(&self, spans: &BTreeSet<SpanId>) -> bool {
        self.asked && self.evidence.iter().all(|id| spans.contains(id))
    }
}

/// Something that looks like a fault and is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NearMiss {
    /// The recipe.
    pub recipe: &'static str,
    /// The rules that must stay silent about it.
    pub guards: &'static [&'static str],
    /// Where it is.
    #[serde(serialize_with = "shown")]
    pub trace_id: TraceId,
    /// The hop: its entry span.
    #[serde(serialize_with = "shown")]
    pub span_id: SpanId,
    /// The service of that hop.
    pub service: String,
    /// The operation of that hop.
    pub operation: String,
    /// The only span that shows why it is none, where a definition names one: the token exchange, the consent.
    /// Without it the definition holds as it is written.
    #[serde(serialize_with = "all_shown")]
    pub excuse: Vec<SpanId>,
}

/// The record of a corpus.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Truth {
    /// The seed it was built from.
    pub seed: u64,
    /// Traces built.
    pub traces: usize,
    /// Traces that hold at least one near miss.
    pub near_miss_traces: usize,
    /// Everything that is true.
    pub injected: Vec<Injected>,
    /// Everything that only looks so.
    pub near_misses: Vec<NearMiss>,
}

impl Truth {
    /// Nothing built yet.
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, traces: 0, near_miss_traces: 0, injected: Vec::new(), near_misses: Vec::new() }
    }
}

fn shown<S: serde::Serializer>(id: &impl std::fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(id)
}

fn all_shown<S: serde::Serializer>(ids: &[SpanId], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(ids.iter().map(ToString::to_string))
}

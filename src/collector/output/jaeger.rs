//! Answers in the shapes of Jaeger's query API, as its user interface and Grafana's data source read them
//! (<https://www.jaegertracing.io/docs/1.76/architecture/apis/>; Jaeger's `internal/uimodel`). Times are microseconds.

use std::collections::BTreeMap;

use serde::Serialize;

/// What every answer is wrapped in.
#[derive(Debug, Serialize)]
pub(crate) struct AnswerShape<T> {
    /// None where there are only errors.
    pub(crate) data: Option<Vec<T>>,
    /// How many there are; 0 for traces and dependencies, as of Jaeger.
    pub(crate) total: usize,
    /// Always 0.
    pub(crate) limit: usize,
    /// Always 0.
    pub(crate) offset: usize,
    /// What is wrong, if anything is.
    pub(crate) errors: Option<Vec<ErrorShape>>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorShape {
    /// A status of HTTP; none where there is an answer all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<u16>,
    /// For people.
    pub(crate) msg: String,
    /// The trace that it is about.
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
}

/// An operation, by name.
#[derive(Debug, Serialize)]
pub(crate) struct OperationShape {
    pub(crate) name: String,
    /// Empty: `server` or `consumer`, it is not known which.
    #[serde(rename = "spanKind")]
    pub(crate) span_kind: &'static str,
}

/// Calls of one service by another.
#[derive(Debug, Serialize)]
pub(crate) struct DependencyShape {
    pub(crate) parent: String,
    pub(crate) child: String,
    #[serde(rename = "callCount")]
    pub(crate) call_count: u64,
}

/// A trace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TraceShape {
    #[serde(rename = "traceID")]
    pub(crate) trace_id: String,
    /// One a hop.
    pub(crate) spans: Vec<SpanShape>,
    /// By [`SpanShape::process_id`].
    pub(crate) processes: BTreeMap<String, ProcessShape>,
    /// What is wrong with the trace as a whole.
    pub(crate) warnings: Option<Vec<String>>,
}

/// A hop as a span: its entry span, and the calling hop's as its parent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SpanShape {
    #[serde(rename = "traceID")]
    pub(crate) trace_id: String,
    #[serde(rename = "spanID")]
    pub(crate) span_id: String,
    pub(crate) flags: u32,
    pub(crate) operation_name: String,
    pub(crate) references: Vec<ReferenceShape>,
    /// Microseconds since the Unix epoch.
    pub(crate) start_time: u64,
    /// Microseconds.
    pub(crate) duration: u64,
    pub(crate) tags: Vec<TagShape>,
    /// Always empty: events are not kept.
    pub(crate) logs: [(); 0],
    #[serde(rename = "processID")]
    pub(crate) process_id: String,
    /// Findings, a sentence each.
    pub(crate) warnings: Option<Vec<String>>,
}

/// How a span hangs on another.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReferenceShape {
    pub(crate) ref_type: &'static str,
    #[serde(rename = "traceID")]
    pub(crate) trace_id: String,
    #[serde(rename = "spanID")]
    pub(crate) span_id: String,
}

/// A service in a trace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProcessShape {
    pub(crate) service_name: String,
    pub(crate) tags: Vec<TagShape>,
}

/// A tag with its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct TagShape {
    pub(crate) key: &'static str,
    #[serde(flatten)]
    pub(crate) value: ValueShape,
}

/// What a tag says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "value", rename_all = "lowercase")]
pub(crate) enum ValueShape {
    String(String),
    Bool(bool),
}

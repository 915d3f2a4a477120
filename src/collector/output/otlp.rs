//! Spans as OTLP writes them in JSON
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>), and what Jaeger's query API v3 wraps them in
//! (<https://github.com/jaegertracing/jaeger-idl/blob/main/proto/api_v3/query_service.proto>).

use serde::Serialize;

/// Spans, wrapped.
#[derive(Debug, Serialize)]
pub(crate) struct ResultShape {
    pub(crate) result: TracesShape,
}

/// Why there are none.
#[derive(Debug, Serialize)]
pub(crate) struct WrongShape {
    pub(crate) error: DetailsShape,
}

/// See [`WrongShape`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DetailsShape {
    pub(crate) http_code: u16,
    pub(crate) message: String,
}

/// Names of services.
#[derive(Debug, Serialize)]
pub(crate) struct ServicesShape {
    pub(crate) services: Vec<String>,
}

/// Operations of a service.
#[derive(Debug, Serialize)]
pub(crate) struct OperationsShape {
    pub(crate) operations: Vec<super::jaeger::OperationShape>,
}

/// Which services called which.
#[derive(Debug, Serialize)]
pub(crate) struct DependenciesShape {
    pub(crate) dependencies: Vec<CallsShape>,
}

/// Calls of one service by another.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallsShape {
    pub(crate) parent: String,
    pub(crate) child: String,
    /// A number as text, as protobuf has large ones in JSON.
    pub(crate) call_count: String,
}

/// Traces in few words.
#[derive(Debug, Serialize)]
pub(crate) struct SummariesShape {
    pub(crate) summaries: Vec<SummaryShape>,
    /// None where there are no more.
    #[serde(rename = "nextPageToken", skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// A trace in few words.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SummaryShape {
    pub(crate) trace_id: String,
    pub(crate) root_service_name: String,
    pub(crate) root_operation_name: String,
    pub(crate) min_start_time_unix_nano: String,
    pub(crate) max_end_time_unix_nano: String,
    pub(crate) span_count: usize,
    pub(crate) error_span_count: usize,
    /// Spans whose parent never arrived.
    pub(crate) orphan_span_count: u32,
    pub(crate) services: Vec<ServiceShape>,
}

/// A service of a trace.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServiceShape {
    pub(crate) name: String,
    pub(crate) span_count: usize,
    pub(crate) error_span_count: usize,
}

/// `TracesData`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TracesShape {
    /// One a service of a trace; those of a trace stand together.
    pub(crate) resource_spans: Vec<ResourceSpansShape>,
}

/// Spans of one service.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResourceSpansShape {
    pub(crate) resource: ResourceShape,
    pub(crate) scope_spans: [ScopeSpansShape; 1],
}

/// A service.
#[derive(Debug, Serialize)]
pub(crate) struct ResourceShape {
    pub(crate) attributes: Vec<AttributeShape>,
}

/// Spans of one scope.
#[derive(Debug, Serialize)]
pub(crate) struct ScopeSpansShape {
    pub(crate) scope: ScopeShape,
    pub(crate) spans: Vec<SpanShape>,
}

/// Who says so.
#[derive(Debug, Serialize)]
pub(crate) struct ScopeShape {
    pub(crate) name: &'static str,
}

/// A hop as a span: its entry span, and the calling hop's as its parent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SpanShape {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_span_id: Option<String>,
    pub(crate) name: String,
    /// 2 is a server, 5 a consumer.
    pub(crate) kind: u8,
    pub(crate) start_time_unix_nano: String,
    pub(crate) end_time_unix_nano: String,
    pub(crate) attributes: Vec<AttributeShape>,
    pub(crate) status: StatusShape,
}

/// How it ended: of all errors, those of identities alone are told.
#[derive(Debug, Serialize)]
pub(crate) struct StatusShape {
    /// 2 is an error; left out where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
}

/// A key and its value.
#[derive(Debug, Serialize)]
pub(crate) struct AttributeShape {
    pub(crate) key: &'static str,
    pub(crate) value: AnyShape,
}

/// A value.
#[derive(Debug, Serialize)]
pub(crate) enum AnyShape {
    #[serde(rename = "stringValue")]
    String(String),
    #[serde(rename = "boolValue")]
    Bool(bool),
    #[serde(rename = "arrayValue")]
    Array(ArrayShape),
}

/// Several values.
#[derive(Debug, Serialize)]
pub(crate) struct ArrayShape {
    pub(crate) values: Vec<AnyShape>,
}

//! What is said to a client of OTLP, in the encoding of its request.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use prost::Message;

use super::delivery::Accepted;
use super::refusal::Refusal;

/// Longest message, in bytes. It keeps every response far below the 4 MiB that OTLP asks for.
const MAX_MESSAGE: usize = 2048;
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

/// How a request is encoded, and so its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Protobuf,
    Json,
}

impl Wire {
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(crate) retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Delay {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

/// `google.rpc.BadRequest`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    pub(crate) field_violations: Vec<FieldViolation>,
}

/// `google.rpc.BadRequest.FieldViolation`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FieldViolation {
    #[prost(string, tag = "2")]
    pub(crate) description: String,
}

/// `ExportTraceServiceResponse`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Response {
    #[prost(message, optional, tag = "1")]
    pub(crate) partial_success: Option<PartialSuccess>,
}

/// `ExportTracePartialSuccess`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(crate) rejected_spans: i64,
    #[prost(string, tag = "2")]
    pub(crate) error_message: String,
}

impl Status {
    pub(crate) fn of(refusal: &Refusal) -> Self {
        let retry = |delay: Duration| Any {
            type_url: RETRY_INFO.to_owned(),
            value: RetryInfo { retry_delay: Some(delay.into()) }.encode_to_vec().into(),
        };
        let bad = |description: String| Any {
            type_url: BAD_REQUEST.to_owned(),
            value: BadRequest { field_violations: vec![FieldViolation { description }] }
                .encode_to_vec()
                .into(),
        };
        let message = cut(&refusal.message()).to_owned();
        let details = [refusal.retry_after().map(retry), is_bad(refusal).then(|| bad(message.clone()))];
        Self { code: refusal.code() as i32, message, details: details.into_iter().flatten().collect() }
    }
}

/// Whether it is the request that is wrong, and not only for now.
fn is_bad(refusal: &Refusal) -> bool {
    refusal.http() == StatusCode::BAD_REQUEST
}

impl From<Duration> for Delay {
    fn from(delay: Duration) -> Self {
        let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
        Self { seconds, nanos: i32::try_from(delay.subsec_nanos()).unwrap_or(0) }
    }
}

/// The body of a response that says no.
pub(crate) fn refused(wire: Wire, refusal: &Refusal) -> Bytes {
    match wire {
        Wire::Protobuf => Status::of(refusal).encode_to_vec().into(),
        Wire::Json => {
            let message = refusal.message();
            let message = cut(&message);
            let bad = is_bad(refusal).then(
                || serde_json::json!({"@type": BAD_REQUEST, "fieldViolations": [{"description": message}]}),
            );
            let details: Vec<_> = refusal.retry_after().map(retry_json).into_iter().chain(bad).collect();
            let code = refusal.code() as i32;
            let status = serde_json::json!({"code": code, "message": message, "details": details});
            status.to_string().into()
        }
    }
}

/// `RetryInfo` as the JSON mapping of protobuf has it: a duration is seconds with a fraction and an `s`.
fn retry_json(delay: Duration) -> serde_json::Value {
    let fraction = match delay.subsec_nanos() {
        0 => String::new(),
        nanos => format!(".{nanos:09}"),
    };
    serde_json::json!({"@type": RETRY_INFO, "retryDelay": format!("{}{fraction}s", delay.as_secs())})
}

/// The body of a response that says yes. `partial_success` is unset unless there is something to say.
pub(crate) fn accepted(wire: Wire, accepted: &Accepted) -> Bytes {
    let partial = partial(accepted);
    match (wire, partial) {
        (Wire::Protobuf, partial_success) => Response { partial_success }.encode_to_vec().into(),
        (Wire::Json, None) => Bytes::from_static(b"{}"),
        // 64 bits are text in the JSON mapping of protobuf.
        (Wire::Json, Some(partial)) => serde_json::json!({"partialSuccess": {
            "rejectedSpans": partial.rejected_spans.to_string(),
            "errorMessage": partial.error_message,
        }})
        .to_string()
        .into(),
    }
}

fn partial(accepted: &Accepted) -> Option<PartialSuccess> {
    let message = match (&accepted.reason, accepted.rejected) {
        (Some(reason), _) => reason.as_str(),
        (None, 0) => return None,
        (None, _) => "some spans could not be read",
    };
    let rejected_spans = i64::try_from(accepted.rejected).unwrap_or(i64::MAX);
    Some(PartialSuccess { rejected_spans, error_message: cut(message).to_owned() })
}

/// As much of a message as is sent.
pub(crate) fn cut(message: &str) -> &str {
    message.get(..message.floor_char_boundary(MAX_MESSAGE)).unwrap_or(message)
}

//! OTLP JSON.

use hopseal_correlate::sink::{Position, Sink};

/// Reads a whole message that starts at `at`.
pub fn message<S: Sink + ?Sized>(_json: &[u8], at: Position, sink: &mut S) {
    sink.reject(at, "OTLP JSON is not read by this build");
}

/// Reads one `ResourceSpans` that starts at `at`.
pub(crate) fn resource_spans<S: Sink + ?Sized>(_json: &[u8], at: Position, sink: &mut S) {
    sink.reject(at, "OTLP JSON is not read by this build");
}

//! Jaeger JSON, as its UI saves and its query API answers.

use hopseal_correlate::sink::{Position, Sink};

/// Reads one trace that starts at `at`.
pub(crate) fn element<S: Sink + ?Sized>(_json: &[u8], at: Position, sink: &mut S) {
    sink.reject(at, "Jaeger JSON is not read by this build");
}

//! OTLP, the OpenTelemetry protocol: `TracesData` and `ExportTraceServiceRequest`, which are the same on the wire.
//!
//! <https://opentelemetry.io/docs/specs/otlp/>, message definitions in `opentelemetry/proto/trace/v1/trace.proto`.

pub mod json;
pub mod protobuf;

/// How deep lists and maps may stand in each other in an attribute's value. What is deeper is refused. The
/// specification sets no limit; no instrumentation known to us goes beyond 4.
const DEPTH: u32 = 32;

#[cfg(test)]
mod tests;

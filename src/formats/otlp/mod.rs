//! OTLP, the OpenTelemetry protocol: `TracesData` and `ExportTraceServiceRequest`, which are the same on the wire.
//!
//! <https://opentelemetry.io/docs/specs/otlp/>, message definitions in `opentelemetry/proto/trace/v1/trace.proto`.

pub mod json;
pub mod protobuf;

use hopseal_correlate::sink::Position;

/// Whether the spans of a message could be told apart to its end. Where they could not, nobody can say how many it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Each span was handed on, or refused by itself.
    Whole,
    /// Something that holds spans is cut short, or is not what it should be. What could be read was handed on all the same.
    Broken {
        /// The first place where it shows.
        at: Position,
        /// What is wrong there, for people.
        reason: &'static str,
    },
}

/// How deep lists and maps may stand in each other in an attribute's value. What is deeper is refused. The
/// specification sets no limit; no instrumentation known to us goes beyond 4.
const DEPTH: u32 = 32;

#[cfg(test)]
mod tests;

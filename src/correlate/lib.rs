//! Spans to traces to hops to findings, without I/O, clock or format.
#![doc = "```text"]
#![doc = "bytes -formats-> Sink (intake) -> records -> Trace -> hops -> assurance -> rules -> suppression -> findings"]
#![doc = "```"]

pub mod sink;

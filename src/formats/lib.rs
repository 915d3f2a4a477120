//! Trace files of every common format, read into spans.
//!
//! [`read`] takes any [`Read`](std::io::Read), inflates it, finds out what it holds by looking at it, and calls
//! a [`Sink`](hopseal_correlate::sink::Sink) for everything in it, element by element, so that a file may be
//! larger than memory. What is bad is reported with its place, and everything else is still read.
//!
//! Each module names only those to its left:
//!
//! ```text
//! boundary -> raw -> field, wire -> otlp, jaeger, zipkin -> source
//! ```

mod boundary;
mod field;
pub mod jaeger;
pub mod otlp;
mod raw;
mod source;
#[cfg(test)]
mod testing;
mod wire;
pub mod zipkin;

pub use source::{Format, Limits, ReadError, Summary, read};

use hopseal_correlate::sink::Position;

/// The place `inside` bytes after `start`. A line stays that line.
pub(crate) fn place(start: Position, inside: usize) -> Position {
    match start {
        Position::Byte(at) => Position::Byte(at.saturating_add(inside as u64)),
        line @ Position::Line(_) => line,
    }
}

//! From a file to the elements in it.
//!
//! ```text
//! Read - inflate -> Input - detect -> { protobuf: a ResourceSpans | json: a ResourceSpans, a trace, a span }
//! ```
//!
//! Only one element is in memory at a time, and it has a largest size, so that neither a file larger than
//! memory nor a hostile one takes more.

mod detect;
mod inflate;
mod input;
mod json;
mod keys;
mod lines;
mod protobuf;

use std::fmt;
use std::io::{self, Read};

use hopseal_correlate::sink::{Position, Sink};

use self::detect::Shape;
use self::inflate::Inflated;
use self::input::Input;

/// How far an input may go. What goes beyond is refused, and said so.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Largest element, in bytes: an OTLP `ResourceSpans`, a Jaeger trace, a Zipkin span, a line. Up to two times
    /// this is held in memory. Default 256 MiB.
    pub element: usize,
    /// Most bytes that a compressed input may inflate to. Default 1 TiB.
    pub inflated: u64,
    /// Most bytes that one compressed byte may inflate to. Default 500; the densest traces seen reach 60.
    pub ratio: u64,
    /// Inflated bytes that are free of [`Limits::ratio`]. Default 256 MiB.
    pub ratio_from: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { element: 256 << 20, inflated: 1 << 40, ratio: 500, ratio_from: 256 << 20 }
    }
}

/// What an input turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Traces as the Jaeger UI and query API give them.
    JaegerJson,
    /// OTLP as JSON, in one or more objects.
    OtlpJson,
    /// OTLP as protobuf.
    OtlpProtobuf,
    /// OTLP messages, each after its length, as the OpenTelemetry Collector's file exporter writes them.
    OtlpFramed,
    /// Zipkin's first JSON: annotations and binary annotations.
    ZipkinV1,
    /// Zipkin's second JSON: kinds and tags.
    ZipkinV2,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::JaegerJson => "Jaeger JSON",
            Self::OtlpJson => "OTLP JSON",
            Self::OtlpProtobuf => "OTLP protobuf",
            Self::OtlpFramed => "OTLP, length-prefixed",
            Self::ZipkinV1 => "Zipkin v1 JSON",
            Self::ZipkinV2 => "Zipkin v2 JSON",
        })
    }
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// What the input turned out to be; of a mixture, the first.
    pub format: Format,
    /// Bytes taken from the input itself.
    pub taken: u64,
    /// Bytes read after inflating; the same as `taken` when nothing was compressed.
    pub inflated: u64,
}

/// Nothing of an input could be read. What is bad inside one is a [`Sink::reject`] instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is nothing in it.
    #[error("the input is empty")]
    Empty,
    /// The first bytes could not be read or inflated.
    #[error("reading failed before anything was read")]
    Io(#[source] io::Error),
    /// It begins like none of the formats, or has no spans where they have them.
    #[error("neither OTLP, Jaeger JSON nor Zipkin JSON")]
    UnknownFormat,
}

/// Reads an input to its end and calls `sink` for what is in it.
///
/// `progress` is told how many bytes were taken from `input` so far, each time that it is read from.
///
/// # Errors
/// [`ReadError`] if nothing at all could be read. A file that breaks off later is no error: what was whole was
/// handed on, and the rest was refused, with its place.
pub fn read<S: Sink + ?Sized>(
    input: impl Read,
    limits: &Limits,
    sink: &mut S,
    progress: &mut dyn FnMut(u64),
) -> Result<Summary, ReadError> {
    let Inflated { stream, taken } = inflate::inflate(input, limits, progress).map_err(ReadError::Io)?;
    let mut input = Input::new(stream);
    let empty = input.is_spent();
    let head = input.head(detect::HEAD);
    let mut shape = detect::shape(head);
    if shape.is_none() && detect::is_text(head) {
        // The first lines may be long as well as damaged.
        shape = detect::shape(input.head(lines::FIRST_LINE));
    }
    let format = match shape {
        Some(Shape::Protobuf) => {
            protobuf::read(&mut input, limits, sink);
            Some(Format::OtlpProtobuf)
        }
        Some(Shape::Framed) => {
            protobuf::read_framed(&mut input, limits, sink);
            Some(Format::OtlpFramed)
        }
        Some(Shape::Json) => json::read(&mut input, limits, sink),
        None => None,
    };
    let fault = input.fault();
    let Some(format) = format else {
        return Err(match fault {
            Some(error) => ReadError::Io(error),
            None if empty => ReadError::Empty,
            None => ReadError::UnknownFormat,
        });
    };
    let inflated = input.offset();
    if let Some(error) = fault {
        sink.reject(Position::Byte(inflated), &format!("nothing more could be read: {error}"));
    }
    Ok(Summary { format, taken: taken.get(), inflated })
}

#[cfg(test)]
mod tests;

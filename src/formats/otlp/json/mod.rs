//! OTLP JSON: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.
//!
//! One pass over the text, without an object tree. The spellings in use are all taken: ids in hexadecimal or base64,
//! enumerations by number or name, 64-bit integers as number or string, names in camel or snake case, `null` for
//! nothing; the lists of `ResourceSpans` of Jaeger's (`result`) and Grafana Tempo's (`trace`, `batches`) APIs; and
//! `instrumentationLibrarySpans`, as `scopeSpans` were called before 2022.
//!
//! A bad attribute, event, link or span is refused by itself: its end is found by counting brackets.

mod escape;
mod reader;
mod scalar;
mod span;
mod value;

use std::borrow::Cow;

use hopseal_correlate::sink::{Position, Sink};

use self::reader::{Fault, Reader, Reason};
use super::Framing;
use crate::place;

/// How deep objects may stand in each other around the list of `ResourceSpans`.
const WRAPPERS: u32 = 3;

const NOT_TEXT: Reason = "not UTF-8: read with U+FFFD in place of the bytes that are not";

/// Reads a whole `TracesData` or `ExportTraceServiceRequest` that starts at `at`.
///
/// ```
/// # use hopseal_correlate::sink::*;
/// # #[derive(Default)]
/// # struct Names(Vec<String>);
/// # impl Sink for Names {
/// #     fn resource(&mut self) {}
/// #     fn resource_attribute(&mut self, _: &str, _: Value<'_>) {}
/// #     fn span_start(&mut self) {}
/// #     fn attribute(&mut self, _: &str, _: Value<'_>) {}
/// #     fn event(&mut self, _: &str, _: u64) {}
/// #     fn event_attribute(&mut self, _: &str, _: Value<'_>) {}
/// #     fn link(&mut self, _: Link) {}
/// #     fn link_attribute(&mut self, _: &str, _: Value<'_>) {}
/// #     fn span_end(&mut self, head: &SpanHead<'_>) { self.0.push(head.name.to_owned()) }
/// #     fn span_abort(&mut self) {}
/// #     fn reject(&mut self, _: Position, _: &str) {}
/// # }
/// let request = br#"{"resourceSpans": [{"scopeSpans": [{"spans": [
///     {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "hello"}
/// ]}]}]}"#;
/// let mut names = Names::default();
/// hopseal_formats::otlp::json::message(request, Position::Byte(0), &mut names);
/// assert_eq!(names.0, ["hello"]);
/// ```
pub fn message<S: Sink + ?Sized>(json: &[u8], at: Position, sink: &mut S) -> Framing {
    read(json, at, sink, |pass, reader| pass.message(reader, WRAPPERS))
}

/// Reads one `ResourceSpans` that starts at `at`, or as much of it as there is.
pub(crate) fn resource_spans<S: Sink + ?Sized>(json: &[u8], at: Position, sink: &mut S) {
    let _as_far_as_it_goes = read(json, at, sink, |pass, reader| pass.resource_spans(reader));
}

fn read<'s, S: Sink + ?Sized>(
    json: &[u8],
    at: Position,
    sink: &'s mut S,
    read: impl FnOnce(&mut Pass<'s, S>, &mut Reader<'_>) -> Result<(), Fault>,
) -> Framing {
    let mut pass = Pass { at, sink, framing: Framing::Whole };
    let json = match str::from_utf8(json) {
        Ok(text) => Cow::Borrowed(text),
        Err(error) => {
            pass.reject(Fault { at: error.valid_up_to(), reason: NOT_TEXT });
            String::from_utf8_lossy(json)
        }
    };
    let mut reader = Reader::new(&json);
    let fault = match read(&mut pass, &mut reader) {
        Err(fault) => Some(fault),
        Ok(()) => reader.peek().map(|_| reader.fault("something follows the JSON value")),
    };
    if let Some(fault) = fault {
        pass.broken(fault);
        pass.reject(fault);
    }
    pass.framing
}

/// Whose attribute it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Resource,
    Scope,
    Span,
    Event,
    Link,
}

/// One pass over a text that starts at `at`.
struct Pass<'s, S: ?Sized> {
    at: Position,
    sink: &'s mut S,
    framing: Framing,
}

impl<S: Sink + ?Sized> Pass<'_, S> {
    fn message(&mut self, reader: &mut Reader<'_>, depth: u32) -> Result<(), Fault> {
        reader.object(|reader, member| match member {
            "resourceSpans" | "resource_spans" | "batches" => {
                self.each(reader, |pass, reader| pass.framed(reader, Self::resource_spans))
            }
            "result" | "trace" if depth > 0 => self.message(reader, depth - 1),
            _ => reader.skip(),
        })
    }

    fn resource_spans(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        if reader.peek() != Some(b'{') {
            return Err(reader.fault("not an object"));
        }
        let mut ahead = Some(*reader);
        self.sink.resource();
        reader.object(|reader, member| match member {
            "resource" if ahead.take().is_some() => self.producer(Whose::Resource, reader),
            "scopeSpans" | "scope_spans" | "instrumentationLibrarySpans" => {
                if let Some(ahead) = ahead.take() {
                    self.producer_ahead(Whose::Resource, &["resource"], ahead);
                }
                self.each(reader, |pass, reader| pass.framed(reader, Self::scope_spans))
            }
            _ => reader.skip(),
        })
    }

    fn scope_spans(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        const SCOPE: [&str; 2] = ["scope", "instrumentationLibrary"];
        let mut ahead = Some(*reader);
        self.sink.scope();
        reader.object(|reader, member| match member {
            member if SCOPE.contains(&member) && ahead.take().is_some() => {
                self.producer(Whose::Scope, reader)
            }
            "spans" => {
                if let Some(ahead) = ahead.take() {
                    self.producer_ahead(Whose::Scope, &SCOPE, ahead);
                }
                self.each(reader, Self::span)
            }
            _ => reader.skip(),
        })
    }

    /// Reads what is said of all that an object holds: its resource or scope.
    fn producer(&mut self, whose: Whose, reader: &mut Reader<'_>) -> Result<(), Fault> {
        self.or_skip(reader, |pass, reader| {
            pass.framed(reader, |pass, reader| {
                reader.object(|reader, member| match member {
                    "attributes" => pass.attributes(whose, reader),
                    _ => reader.skip(),
                })
            })
        })
    }

    /// Has `read` read something that is no span and no part of one: where that fails, nobody knows what was in it.
    fn framed<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        read: impl FnOnce(&mut Self, &mut Reader<'a>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        read(self, reader).inspect_err(|fault| self.broken(*fault))
    }

    #[cold]
    fn broken(&mut self, fault: Fault) {
        if self.framing == Framing::Whole {
            self.framing = Framing::Broken { at: place(self.at, fault.at), reason: fault.reason };
        }
    }

    /// The same, where it stands behind the spans, under one of `names`. What is wrong around it is found again, and said, when
    /// the spans were read.
    fn producer_ahead(&mut self, whose: Whose, names: &[&str], mut reader: Reader<'_>) {
        let mut found = false;
        let _said_later = reader.object(|reader, member| match member {
            member if names.contains(&member) && !std::mem::replace(&mut found, true) => {
                self.producer(whose, reader)
            }
            _ => reader.skip(),
        });
    }

    /// Has `read` read each item of a list. One that is bad is refused, and the next one is read.
    #[inline(always)]
    fn each<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        read: impl Fn(&mut Self, &mut Reader<'a>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        reader.list(|reader| self.or_skip(reader, &read))
    }

    /// Has `read` read a value; steps over it if it is bad. When its end cannot be found either, all that holds it is
    /// bad, and for the same reason.
    #[inline(always)]
    fn or_skip<'a>(
        &mut self,
        reader: &mut Reader<'a>,
        read: impl FnOnce(&mut Self, &mut Reader<'a>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let start = *reader;
        let Err(fault) = read(self, reader) else { return Ok(()) };
        *reader = start;
        if reader.skip().is_err() {
            return Err(fault);
        }
        self.reject(fault);
        Ok(())
    }

    #[cold]
    fn reject(&mut self, fault: Fault) {
        self.sink.reject(place(self.at, fault.at), fault.reason);
    }
}

//! `Span`, its events and links, in JSON.

use hopseal_correlate::sink::{Link, Sink, SpanHead, SpanId, SpanKind, Status, TraceId};

use super::reader::{Fault, Reader, Text};
use super::{Pass, Whose, scalar};

const KINDS: [(&str, SpanKind); 6] = [
    ("UNSPECIFIED", SpanKind::Unspecified),
    ("INTERNAL", SpanKind::Internal),
    ("SERVER", SpanKind::Server),
    ("CLIENT", SpanKind::Client),
    ("PRODUCER", SpanKind::Producer),
    ("CONSUMER", SpanKind::Consumer),
];
const STATUSES: [(&str, Status); 3] =
    [("UNSET", Status::Unset), ("OK", Status::Ok), ("ERROR", Status::Error)];

/// The members of a span that are handed on at its end.
#[derive(Default)]
struct Head<'a> {
    trace_id: Text<'a>,
    span_id: Text<'a>,
    parent: Text<'a>,
    name: Text<'a>,
    trace_state: Text<'a>,
    kind: SpanKind,
    status: Status,
    start: u64,
    end: u64,
    flags: u32,
    dropped: [u32; 3],
}

impl<S: Sink + ?Sized> Pass<'_, S> {
    /// Hands on one span, or takes it back.
    pub(super) fn span(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        self.sink.span_start();
        let ended = self.whole_span(reader);
        if ended.is_err() {
            self.sink.span_abort();
        }
        ended
    }

    fn whole_span(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        let start = *reader;
        let mut head = Head::default();
        reader.object(|reader, member| {
            // What is wrong with one member, other than with an id, does not make the span wrong.
            self.or_skip(reader, |pass, reader| pass.member(&mut head, member, reader))
        })?;
        let (name, trace_state) = (head.name.decode(), head.trace_state.decode());
        let head = SpanHead {
            trace_id: trace_id(head.trace_id)
                .ok_or_else(|| start.fault("the trace id is not 16 bytes, or all zero"))?,
            span_id: span_id(head.span_id)
                .ok_or_else(|| start.fault("the span id is not 8 bytes, or all zero"))?,
            parent: parent(head.parent)
                .map_err(|()| start.fault("the parent span id is neither absent nor 8 bytes"))?,
            name: &name,
            kind: head.kind,
            start: head.start,
            end: head.end,
            flags: head.flags,
            status: head.status,
            dropped: head.dropped.iter().fold(0, |sum, &count| sum.saturating_add(count)),
            shared: false,
            trace_state: &trace_state,
        };
        self.sink.span_end(&head);
        Ok(())
    }

    #[inline(always)]
    fn member<'a>(
        &mut self,
        head: &mut Head<'a>,
        member: &str,
        reader: &mut Reader<'a>,
    ) -> Result<(), Fault> {
        match member {
            "attributes" => self.attributes(Whose::Span, reader)?,
            "traceId" | "trace_id" => head.trace_id = string(reader)?,
            "spanId" | "span_id" => head.span_id = string(reader)?,
            "parentSpanId" | "parent_span_id" => head.parent = string(reader)?,
            "name" => head.name = string(reader)?,
            "kind" => head.kind = named(reader, "SPAN_KIND_", &KINDS)?,
            "startTimeUnixNano" | "start_time_unix_nano" => head.start = unsigned(reader)?,
            "endTimeUnixNano" | "end_time_unix_nano" => head.end = unsigned(reader)?,
            "status" => {
                return reader.object(|reader, member| match member {
                    "code" => {
                        head.status = named(reader, "STATUS_CODE_", &STATUSES)?;
                        Ok(())
                    }
                    "message" => {
                        self.sink.text("status message", &string(reader)?.decode());
                        Ok(())
                    }
                    _ => reader.skip(),
                });
            }
            "events" => self.each(reader, Self::event)?,
            "links" => self.each(reader, Self::link)?,
            "flags" => head.flags = count(reader)?,
            "traceState" | "trace_state" => head.trace_state = string(reader)?,
            "droppedAttributesCount" | "dropped_attributes_count" => head.dropped[0] = count(reader)?,
            "droppedEventsCount" | "dropped_events_count" => head.dropped[1] = count(reader)?,
            "droppedLinksCount" | "dropped_links_count" => head.dropped[2] = count(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn event(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        let (mut name, mut time, mut attributes) = (Text::default(), 0, None);
        reader.object(|reader, member| match member {
            "timeUnixNano" | "time_unix_nano" => {
                time = unsigned(reader)?;
                Ok(())
            }
            "name" => {
                name = string(reader)?;
                Ok(())
            }
            "attributes" => {
                attributes = Some(*reader);
                reader.skip()
            }
            _ => reader.skip(),
        })?;
        self.sink.event(&name.decode(), time);
        attributes.map_or(Ok(()), |mut reader| self.attributes(Whose::Event, &mut reader))
    }

    fn link(&mut self, reader: &mut Reader<'_>) -> Result<(), Fault> {
        let start = *reader;
        let (mut trace, mut span, mut attributes) = (Text::default(), Text::default(), None);
        reader.object(|reader, member| match member {
            "traceId" | "trace_id" => {
                trace = string(reader)?;
                Ok(())
            }
            "spanId" | "span_id" => {
                span = string(reader)?;
                Ok(())
            }
            "attributes" => {
                attributes = Some(*reader);
                reader.skip()
            }
            _ => reader.skip(),
        })?;
        self.sink.link(Link {
            trace_id: trace_id(trace)
                .ok_or_else(|| start.fault("a link's trace id is not 16 bytes, or all zero"))?,
            span_id: span_id(span)
                .ok_or_else(|| start.fault("a link's span id is not 8 bytes, or all zero"))?,
        });
        attributes.map_or(Ok(()), |mut reader| self.attributes(Whose::Link, &mut reader))
    }
}

/// A string; `null` is an empty one.
#[inline(always)]
fn string<'a>(reader: &mut Reader<'a>) -> Result<Text<'a>, Fault> {
    if reader.null() { Ok(Text::default()) } else { reader.string() }
}

#[inline(always)]
fn unsigned(reader: &mut Reader<'_>) -> Result<u64, Fault> {
    let start = *reader;
    scalar::unsigned(reader.number()?)
        .ok_or_else(|| start.fault("not a number of 64 bits that is not negative"))
}

fn count(reader: &mut Reader<'_>) -> Result<u32, Fault> {
    let start = *reader;
    u32::try_from(unsigned(reader)?).map_err(|_| start.fault("not a number of 32 bits that is not negative"))
}

/// An enumeration's value, as its number or its name.
#[inline(always)]
fn named<T: Copy + Default>(reader: &mut Reader<'_>, prefix: &str, names: &[(&str, T)]) -> Result<T, Fault> {
    let start = *reader;
    let text = reader.number()?;
    if let Some(number) = scalar::signed(text) {
        // A number beyond the names is from a later version of the specification: as if not said.
        let known = usize::try_from(number).ok().and_then(|number| names.get(number));
        return Ok(known.map_or_else(T::default, |&(_, value)| value));
    }
    let name = text.strip_prefix(prefix).unwrap_or(text);
    let known = names.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    known.map(|&(_, value)| value).ok_or_else(|| start.fault("neither a number nor a name that is known"))
}

fn trace_id(text: Text<'_>) -> Option<TraceId> {
    TraceId::new(scalar::id(&text.decode())?)
}

fn span_id(text: Text<'_>) -> Option<SpanId> {
    SpanId::new(scalar::id(&text.decode())?)
}

/// A root has no parent id; some senders write zeros instead.
fn parent(text: Text<'_>) -> Result<Option<SpanId>, ()> {
    let text = text.decode();
    if text.is_empty() {
        return Ok(None);
    }
    scalar::id(&text).map(SpanId::new).ok_or(())
}

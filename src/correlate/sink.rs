//! What a parser calls as it walks bytes: the only thing `formats` knows of this crate.
//!
//! Calls come in this order, and no parser has to buffer a span to keep to it:
//!
//! ```text
//! resource  resource_attribute*
//!   (scope  scope_attribute*)?
//!   span_start  (attribute | event | event_attribute | link | link_attribute)*  recall_name?  span_end | span_abort
//!   ...
//! resource ...
//! ```
//!
//! A span's attributes come before its [`SpanHead`], because a protobuf message may carry its fields in any
//! order and a JSON object does.

/// One scalar. A list gives one call an element under the same key; a map gives one call an entry under the
/// outer key, but see [`Sink::names_secret`]. Parsers bound the depth they follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Text, valid UTF-8.
    Str(&'a str),
    /// A signed 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// Bytes without meaning to us; only looked through for credentials.
    Bytes(&'a [u8]),
}

/// A trace id: 16 bytes, not all zero. 64-bit ids of older systems stand in the last 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TraceId(pub [u8; 16]);

impl std::hash::Hash for TraceId {
    #[inline]
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // All are of one length, which need not be hashed.
        state.write_u128(u128::from_ne_bytes(self.0));
    }
}

/// A span id: 8 bytes, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub [u8; 8]);

impl TraceId {
    /// The id, unless it is all zero, which no specification allows.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }
}

impl SpanId {
    /// The id, unless it is all zero, which no specification allows.
    #[must_use]
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }
}

fn hex(bytes: &[u8], f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        hex(&self.0, f)
    }
}

impl std::fmt::Display for SpanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        hex(&self.0, f)
    }
}

/// `SpanKind` of OTLP (`opentelemetry/proto/trace/v1/trace.proto`), same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum SpanKind {
    /// Not said.
    #[default]
    Unspecified = 0,
    /// Work inside a service.
    Internal = 1,
    /// The receiving side of a call.
    Server = 2,
    /// The sending side of a call.
    Client = 3,
    /// The sending side of a message.
    Producer = 4,
    /// The receiving side of a message.
    Consumer = 5,
}

/// `StatusCode` of OTLP, same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Status {
    /// Not said.
    #[default]
    Unset = 0,
    /// Said to be a success.
    Ok = 1,
    /// Said to be an error.
    Error = 2,
}

/// The fixed part of a span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpanHead<'a> {
    /// Which trace.
    pub trace_id: TraceId,
    /// Which span.
    pub span_id: SpanId,
    /// The parent span, if any. An all-zero parent is none.
    pub parent: Option<SpanId>,
    /// The span's name; not looked at where [`Sink::recall_name`] said that it is known.
    pub name: &'a str,
    /// Which side of which crossing.
    pub kind: SpanKind,
    /// Nanoseconds since the Unix epoch; 0 when not known.
    pub start: u64,
    /// Nanoseconds since the Unix epoch; 0 when not known.
    pub end: u64,
    /// OTLP `Span.flags`: 0x100 says whether 0x200 (the parent is remote) can be read. 0 when not sent.
    pub flags: u32,
    /// How it ended.
    pub status: Status,
    /// Attributes, events and links that the sender says it dropped, added up.
    pub dropped: u32,
    /// Zipkin's `shared`: this SERVER span carries its client's span id.
    pub shared: bool,
    /// W3C `tracestate`, empty when not sent.
    pub trace_state: &'a str,
}

/// One span link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The linked trace.
    pub trace_id: TraceId,
    /// The linked span.
    pub span_id: SpanId,
}

/// Where in its file something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Offset from the start of the (inflated) file.
    Byte(u64),
    /// Line, from 1.
    Line(u64),
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Byte(at) => write!(f, "byte {at}"),
            Self::Line(at) => write!(f, "line {at}"),
        }
    }
}

/// Receives what a parser finds. See the [module](self) for the order of calls.
pub trait Sink {
    /// A new resource: what follows up to the next call was produced by it.
    fn resource(&mut self);
    /// An attribute of the current resource. All of them come before its first span.
    fn resource_attribute(&mut self, key: &str, value: Value<'_>);
    /// A new instrumentation scope of the current resource: what follows up to the next call was produced by it.
    fn scope(&mut self) {}
    /// An attribute of the current scope: only looked through for credentials. All of them come before its first span.
    fn scope_attribute(&mut self, _key: &str, _value: Value<'_>) {}
    /// A span begins.
    fn span_start(&mut self);
    /// An attribute of the open span.
    fn attribute(&mut self, key: &str, value: Value<'_>);
    /// Comes before an attribute of the open span is read, with its bytes as the format encodes it: whether the sink knows
    /// from before what they say, and has taken note of it. Then they are stepped over.
    fn recall(&mut self, _encoded: &[u8]) -> bool {
        false
    }
    /// The calls of [`attribute`](Self::attribute) since the last [`recall`](Self::recall), which came before them with these
    /// bytes, are all that they say, and nothing in them was refused.
    fn remember(&mut self, _encoded: &[u8]) {}
    /// Comes before the end of the open span, with the bytes of its name: whether the sink knows from before that they are text, and
    /// has taken note of it. Then the name in [`SpanHead`] is not looked at.
    fn recall_name(&mut self, _name: &[u8]) -> bool {
        false
    }
    /// Whether the key of an entry in a map names a secret: then the entry is an attribute under its own key, and not under
    /// that of the map.
    fn names_secret(&mut self, _key: &str) -> bool {
        false
    }
    /// Text of the open span that is no attribute and says nothing of a hop, such as the message of its status: only looked
    /// through for credentials. `place` says where it stood.
    fn text(&mut self, _place: &str, _text: &str) {}
    /// An event of the open span, at nanoseconds since the Unix epoch (0: not known).
    fn event(&mut self, name: &str, time: u64);
    /// An attribute of the last event.
    fn event_attribute(&mut self, key: &str, value: Value<'_>);
    /// A link of the open span.
    fn link(&mut self, link: Link);
    /// An attribute of the last link.
    fn link_attribute(&mut self, key: &str, value: Value<'_>);
    /// The open span is whole.
    fn span_end(&mut self, head: &SpanHead<'_>);
    /// The open span was found bad after it began: nothing of it counts. [`Sink::reject`] says why.
    fn span_abort(&mut self);
    /// Something could not be read: a span, a line, an element. The rest is read on.
    fn reject(&mut self, at: Position, reason: &str);
}

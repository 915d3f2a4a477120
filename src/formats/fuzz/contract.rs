//! A sink that holds every parser to what `hopseal_correlate::sink` promises, whatever the bytes were.

use std::hash::{DefaultHasher, Hash, Hasher};

use hopseal_correlate::sink::{Link, Position, Sink, SpanHead, Value};

/// Panics on a call out of order, and keeps count.
#[derive(Default)]
pub struct Contract {
    resource: bool,
    after_resource: bool,
    after_scope: bool,
    span: bool,
    event: bool,
    link: bool,
    /// Bytes of text handed on, and one for each call.
    weight: usize,
    calls: DefaultHasher,
    /// Spans handed on whole.
    pub spans: u64,
}

impl Contract {
    /// To be called when the parser is done with `input` bytes: no span may be open, and what was handed on
    /// must be in proportion, or a small file could cost much time.
    pub fn done(&self, input: usize) {
        self.finished();
        assert!(self.weight <= 64 * (input + 64), "{} bytes became {}", input, self.weight);
    }

    /// A digest of all calls. Panics if a span is open.
    pub fn finished(&self) -> u64 {
        assert!(!self.span, "a span was left open");
        self.calls.finish()
    }

    fn call(&mut self, what: &str, text: &str) {
        self.weight += 1 + text.len();
        (what, text).hash(&mut self.calls);
    }

    fn value(&mut self, what: &str, key: &str, value: Value<'_>) {
        self.call(what, key);
        match value {
            Value::Str(text) => self.call("text", text),
            Value::Bytes(bytes) => {
                self.weight += bytes.len();
                bytes.hash(&mut self.calls);
            }
            Value::Int(number) => number.hash(&mut self.calls),
            Value::Double(number) => number.to_bits().hash(&mut self.calls),
            Value::Bool(truth) => truth.hash(&mut self.calls),
        }
    }
}

impl Sink for Contract {
    fn resource(&mut self) {
        assert!(!self.span, "a resource inside a span");
        (self.resource, self.after_resource, self.after_scope) = (true, true, false);
        self.call("resource", "");
    }

    fn resource_attribute(&mut self, key: &str, value: Value<'_>) {
        assert!(self.after_resource, "a resource attribute after a span or before a resource");
        self.value("resource attribute", key, value);
    }

    fn scope(&mut self) {
        assert!(self.resource && !self.span, "a scope inside a span, or before a resource");
        (self.after_resource, self.after_scope) = (false, true);
        self.call("scope", "");
    }

    fn scope_attribute(&mut self, key: &str, value: Value<'_>) {
        assert!(self.after_scope, "a scope attribute after a span or before a scope");
        self.value("scope attribute", key, value);
    }

    fn span_start(&mut self) {
        assert!(self.resource && !self.span, "a span inside a span, or before a resource");
        (self.after_resource, self.after_scope, self.span, self.event, self.link) = (false, false, true, false, false);
        self.call("span", "");
    }

    fn attribute(&mut self, key: &str, value: Value<'_>) {
        assert!(self.span, "an attribute outside of a span");
        self.value("attribute", key, value);
    }

    fn event(&mut self, name: &str, time: u64) {
        assert!(self.span, "an event outside of a span");
        self.event = true;
        self.call("event", name);
        time.hash(&mut self.calls);
    }

    fn event_attribute(&mut self, key: &str, value: Value<'_>) {
        assert!(self.event, "an event attribute before an event");
        self.value("event attribute", key, value);
    }

    fn link(&mut self, link: Link) {
        assert!(self.span, "a link outside of a span");
        assert!(link.trace_id.0 != [0; 16] && link.span_id.0 != [0; 8], "a link to no span");
        self.link = true;
        self.call("link", "");
        (link.trace_id, link.span_id).hash(&mut self.calls);
    }

    fn link_attribute(&mut self, key: &str, value: Value<'_>) {
        assert!(self.link, "a link attribute before a link");
        self.value("link attribute", key, value);
    }

    fn span_end(&mut self, head: &SpanHead<'_>) {
        assert!(self.span, "an end without a span");
        assert!(head.trace_id.0 != [0; 16] && head.span_id.0 != [0; 8], "a span without ids");
        assert!(head.parent.is_none_or(|parent| parent.0 != [0; 8]), "a parent that is none");
        (self.span, self.event, self.link) = (false, false, false);
        self.spans += 1;
        self.call(head.name, head.trace_state);
        (head.trace_id, head.span_id, head.parent, head.kind, head.start, head.end).hash(&mut self.calls);
        (head.flags, head.status as u8, head.dropped, head.shared).hash(&mut self.calls);
    }

    fn span_abort(&mut self) {
        assert!(self.span, "an end without a span");
        (self.span, self.event, self.link) = (false, false, false);
        self.call("abort", "");
    }

    fn reject(&mut self, at: Position, reason: &str) {
        assert!(!reason.is_empty(), "no reason given");
        self.call("reject", reason);
        match at {
            Position::Byte(at) | Position::Line(at) => at.hash(&mut self.calls),
        }
    }
}

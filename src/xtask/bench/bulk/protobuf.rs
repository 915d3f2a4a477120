//! A block as OTLP protobuf. Field numbers: `opentelemetry/proto/trace/v1/trace.proto` and its imports.

use super::shop::{self, Span, Value};
use super::{Fragment, What, times};

/// Wire types of protobuf.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

impl Fragment {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn tag(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn string(&mut self, field: u64, text: &str) {
        self.tag(field, BYTES);
        self.varint(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn id(&mut self, field: u64, trace: u64, what: What, length: usize) {
        self.tag(field, BYTES);
        self.varint(length as u64);
        self.slot(trace, what, length);
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.tag(field, BYTES);
        self.varint(message.bytes.len() as u64);
        self.append(message);
    }
}

/// Fields of a `TracesData`.
pub(super) fn block(traces: &[Vec<Span>]) -> Fragment {
    let mut block = Fragment::default();
    for service in 0..shop::SERVICES.len() {
        let mut resource = Fragment::default();
        shop::resource(service).iter().for_each(|pair| attribute(&mut resource, 1, 0, pair));
        let mut scope = Fragment::default();
        scope.string(1, "shop/http");
        scope.string(2, "0.61.0");
        let mut scope_spans = Fragment::default();
        scope_spans.message(1, &scope);
        for (trace, spans) in (0..).zip(traces) {
            for (index, span) in (0..).zip(spans).filter(|(_, span)| span.service == service) {
                scope_spans.message(2, &encode(trace, index, span));
            }
        }
        let mut resource_spans = Fragment::default();
        resource_spans.message(1, &resource);
        resource_spans.message(2, &scope_spans);
        block.message(1, &resource_spans);
    }
    block
}

fn encode(trace: u64, index: u64, span: &Span) -> Fragment {
    let (start, end) = times(index);
    let mut message = Fragment::default();
    message.id(1, trace, What::TraceId, 16);
    message.id(2, trace, What::SpanId(index), 8);
    if let Some(parent) = span.parent {
        message.id(4, trace, What::SpanId(parent as u64), 8);
    }
    message.string(5, &span.name);
    message.tag(6, VARINT);
    message.varint(span.kind.into());
    for (field, time) in [(7, start), (8, end)] {
        message.tag(field, FIXED64);
        message.slot(trace, What::Time(time), 8);
    }
    span.attributes.iter().for_each(|pair| attribute(&mut message, 9, trace, pair));
    message.tag(16, FIXED32);
    let remote: u32 = if span.kind == shop::SERVER && span.parent.is_some() { 0x301 } else { 0x101 };
    message.bytes.extend_from_slice(&remote.to_le_bytes());
    message
}

fn attribute(message: &mut Fragment, field: u64, trace: u64, (key, value): &(&str, Value)) {
    let mut any = Fragment::default();
    match value {
        Value::Text(text) => any.string(1, text),
        Value::Int(number) => {
            any.tag(3, VARINT);
            any.varint(number.cast_unsigned());
        }
        Value::User => {
            any.string(1, "user-000000");
            any.bytes.truncate(any.bytes.len() - 6);
            any.slot(trace, What::User, 6);
        }
    }
    let mut pair = Fragment::default();
    pair.string(1, key);
    pair.message(2, &any);
    message.message(field, &pair);
}

//! A block as a line of OTLP JSON.

use super::shop::{self, Span, Value};
use super::{Fragment, What, times};

impl Fragment {
    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Writes `items` with commas between.
    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.text(",");
            }
            write(self, item);
        }
    }
}

/// `{"resourceSpans":[..]}` and a line feed.
pub(super) fn block(traces: &[Vec<Span>]) -> Fragment {
    let mut line = Fragment::default();
    line.text(r#"{"resourceSpans":["#);
    line.list(0..shop::SERVICES.len(), |line, service| {
        line.text(r#"{"resource":{"attributes":["#);
        line.list(&shop::resource(service), |line, pair| attribute(line, 0, pair));
        line.text(r#"]},"scopeSpans":[{"scope":{"name":"shop/http","version":"0.61.0"},"spans":["#);
        let spans =
            (0..).zip(traces).flat_map(|(trace, spans)| (0..).zip(spans).map(move |span| (trace, span)));
        line.list(spans.filter(|(_, (_, span))| span.service == service), |line, (trace, (index, span))| {
            encode(line, trace, index, span);
        });
        line.text("]}]}");
    });
    line.text("]}\n");
    line
}

fn encode(line: &mut Fragment, trace: u64, index: u64, span: &Span) {
    let (start, end) = times(index);
    line.text(r#"{"traceId":""#);
    line.slot(trace, What::TraceId, 32);
    line.text(r#"","spanId":""#);
    line.slot(trace, What::SpanId(index), 16);
    if let Some(parent) = span.parent {
        line.text(r#"","parentSpanId":""#);
        line.slot(trace, What::SpanId(parent as u64), 16);
    }
    let remote = if span.kind == shop::SERVER && span.parent.is_some() { 0x301 } else { 0x101 };
    line.text(&format!(
        r#"","flags":{remote},"name":"{}","kind":{},"startTimeUnixNano":""#,
        span.name, span.kind
    ));
    line.slot(trace, What::Time(start), 19);
    line.text(r#"","endTimeUnixNano":""#);
    line.slot(trace, What::Time(end), 19);
    line.text(r#"","attributes":["#);
    line.list(&span.attributes, |line, pair| attribute(line, trace, pair));
    line.text(r#"],"status":{}}"#);
}

fn attribute(line: &mut Fragment, trace: u64, (key, value): &(&str, Value)) {
    line.text(&format!(r#"{{"key":"{key}","value":"#));
    match value {
        Value::Text(text) => line.text(&format!(r#"{{"stringValue":"{text}"}}"#)),
        Value::Int(number) => line.text(&format!(r#"{{"intValue":"{number}"}}"#)),
        Value::User => {
            line.text(r#"{"stringValue":"user-"#);
            line.slot(trace, What::User, 6);
            line.text(r#""}"#);
        }
    }
    line.text("}");
}

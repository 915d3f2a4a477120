//! What a span costs from a parser's calls to its record, and how much of that is the search for credentials.
//!
//! The second bench cuts every text to eleven bytes, which are too few to be looked through: the difference is what
//! the search costs, with a little copying.

use hopseal_correlate::dialect::Dialects;
use hopseal_correlate::intake::{Intake, Records};
use hopseal_correlate::record::Record;
use hopseal_correlate::sink::{Position, Sink, SpanHead, SpanId, SpanKind, Status, TraceId, Value};
use hopseal_correlate::words::Words;

fn main() {
    divan::main();
}

struct Nowhere(Vec<u8>);

impl Records for Nowhere {
    fn record(&mut self, record: &Record<'_>) {
        self.0.clear();
        record.put(&mut self.0);
        divan::black_box(&self.0);
    }
    fn reject(&mut self, _at: Position, _reason: &str) {}
}

/// Twelve attributes of a server span, as instrumentation libraries send them.
const ATTRIBUTES: [(&str, Value<'_>); 12] = [
    ("http.request.method", Value::Str("GET")),
    ("http.route", Value::Str("/api/v1/orders/{orderId}")),
    ("http.response.status_code", Value::Int(200)),
    ("url.path", Value::Str("/api/v1/orders/81c2d4f0")),
    ("url.scheme", Value::Str("http")),
    ("server.address", Value::Str("orders.shop.svc.cluster.local")),
    ("server.port", Value::Int(8080)),
    ("client.address", Value::Str("10.244.1.17")),
    ("network.protocol.version", Value::Str("1.1")),
    (
        "user_agent.original",
        Value::Str("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"),
    ),
    ("db.query.text", Value::Str("SELECT id, total FROM orders WHERE customer = ? LIMIT 20")),
    ("thread.name", Value::Str("http-nio-8080-exec-7")),
];

const SPANS: u64 = 1000;

fn span(bencher: divan::Bencher<'_, '_>, attributes: &[(&str, Value<'_>)]) {
    let Ok(dialects) = Dialects::built_in() else { return };
    let mut words = Words::default();
    let mut intake = Intake::new(&dialects, &mut words, Nowhere(Vec::new()));
    intake.resource();
    intake.resource_attribute("service.name", Value::Str("orders"));
    let head = SpanHead {
        trace_id: TraceId([7; 16]),
        span_id: SpanId([7; 8]),
        parent: Some(SpanId([3; 8])),
        name: "GET /api/v1/orders/{orderId}",
        kind: SpanKind::Server,
        start: 1,
        end: 2,
        flags: 0x101,
        status: Status::Unset,
        dropped: 0,
        shared: false,
        trace_state: "",
    };
    bencher.counter(SPANS).bench_local(|| {
        for _ in 0..SPANS {
            intake.span_start();
            for (key, value) in divan::black_box(attributes) {
                intake.attribute(key, *value);
            }
            intake.span_end(divan::black_box(&head));
        }
    });
}

#[divan::bench]
fn texts(bencher: divan::Bencher<'_, '_>) {
    span(bencher, &ATTRIBUTES);
}

#[divan::bench]
fn short_texts(bencher: divan::Bencher<'_, '_>) {
    span(
        bencher,
        &ATTRIBUTES.map(|(key, value)| match value {
            Value::Str(text) => (key, Value::Str(text.get(..11).unwrap_or(text))),
            value => (key, value),
        }),
    );
}

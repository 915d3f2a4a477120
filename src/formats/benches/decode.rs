//! What reading OTLP costs a span, beside what prost and serde_json take to decode the same bytes and free them again.
//!
//! The batches are alike to what a Java shop sends through a gateway: 1000 spans, 20 a trace, over ten services, 12
//! attributes a span; about 550 bytes of protobuf and 1.3 KB of JSON each. `cargo bench -p hopseal-formats`; items are
//! spans.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a bench stops at what it did not expect"
)]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a bench reads the clock and says what it saw"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use hopseal_correlate::sink::{Link, Position, Sink, SpanHead, Value};
use hopseal_formats::{Limits, otlp};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData, span};
use prost::Message as _;

const SPANS: usize = 1000;
const TRACE: usize = 20;
const SERVICES: [&str; 10] = [
    "edge",
    "login",
    "storefront",
    "catalog",
    "basket",
    "checkout",
    "payments",
    "shipping",
    "mail",
    "ledger",
];

/// What reading may cost at most, as a part of what prost takes for the same bytes.
const LIMIT: f64 = 1.0 / 8.0;

fn main() {
    divan::main();
    // `cargo test` and `--list` measure nothing.
    if !std::env::args().any(|arg| ["--test", "--list"].contains(&&*arg)) && part_of_prost() > LIMIT {
        std::process::exit(1);
    }
}

/// Our cost over that of prost, each the least of many runs that take turns: what else the machine does only adds. Of two runs the
/// second is timed: the first would pay for what the other's objects left in the caches.
fn part_of_prost() -> f64 {
    let bytes = batch().encode_to_vec();
    let least = |least: &mut Duration, run: &dyn Fn()| {
        run();
        let start = Instant::now();
        run();
        *least = (*least).min(start.elapsed());
    };
    let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
    for _ in 0..500 {
        least(&mut ours, &|| {
            let mut sum = Sum::default();
            otlp::protobuf::message(black_box(&bytes), Position::Byte(0), &mut sum);
            sum.spans();
        });
        least(&mut theirs, &|| drop(black_box(TracesData::decode(black_box(&*bytes)).unwrap())));
    }
    let per_span = |time: Duration| time.as_nanos() as f64 / SPANS as f64;
    let part = ours.as_secs_f64() / theirs.as_secs_f64();
    println!(
        "protobuf: {:.0} ns a span, prost {:.0} ns, 1 : {:.1} (limit 1 : {:.0})",
        per_span(ours),
        per_span(theirs),
        1.0 / part,
        1.0 / LIMIT
    );
    part
}

#[divan::bench_group(sample_count = 200)]
mod protobuf {
    use super::*;

    #[divan::bench]
    fn hopseal(bencher: Bencher<'_, '_>) {
        let bytes = batch().encode_to_vec();
        counted(bencher, bytes.len()).bench_local(|| {
            let mut sum = Sum::default();
            otlp::protobuf::message(black_box(&bytes), Position::Byte(0), &mut sum);
            sum.spans()
        });
    }

    #[divan::bench]
    fn hopseal_from_file(bencher: Bencher<'_, '_>) {
        let bytes = batch().encode_to_vec();
        counted(bencher, bytes.len()).bench_local(|| file(&bytes));
    }

    #[divan::bench]
    fn prost(bencher: Bencher<'_, '_>) {
        let bytes = batch().encode_to_vec();
        counted(bencher, bytes.len())
            .bench_local(|| drop(black_box(TracesData::decode(black_box(&*bytes)).unwrap())));
    }
}

#[divan::bench_group(sample_count = 200)]
mod json {
    use super::*;

    #[divan::bench]
    fn hopseal(bencher: Bencher<'_, '_>) {
        let bytes = serde_json::to_vec(&batch()).unwrap();
        counted(bencher, bytes.len()).bench_local(|| {
            let mut sum = Sum::default();
            otlp::json::message(black_box(&bytes), Position::Byte(0), &mut sum);
            sum.spans()
        });
    }

    #[divan::bench]
    fn hopseal_from_file(bencher: Bencher<'_, '_>) {
        let bytes = serde_json::to_vec(&batch()).unwrap();
        counted(bencher, bytes.len()).bench_local(|| file(&bytes));
    }

    #[divan::bench]
    fn hopseal_from_lines(bencher: Bencher<'_, '_>) {
        let line = [serde_json::to_vec(&batch()).unwrap(), b"\n".to_vec()].concat();
        let bytes = line.repeat(2);
        bencher
            .counter(ItemsCount::new(2 * SPANS))
            .counter(BytesCount::new(bytes.len()))
            .bench_local(|| file(&bytes));
    }

    #[divan::bench]
    fn serde_json(bencher: Bencher<'_, '_>) {
        let bytes = serde_json::to_vec(&batch()).unwrap();
        counted(bencher, bytes.len()).bench_local(|| {
            drop(black_box(serde_json::from_slice::<TracesData>(black_box(&bytes)).unwrap()))
        });
    }
}

fn counted<'a, 'b>(bencher: Bencher<'a, 'b>, bytes: usize) -> Bencher<'a, 'b> {
    bencher.counter(ItemsCount::new(SPANS)).counter(BytesCount::new(bytes))
}

fn file(bytes: &[u8]) -> u64 {
    let mut sum = Sum::default();
    hopseal_formats::read(black_box(bytes), &Limits::default(), &mut sum, &mut |_| {}).unwrap();
    sum.spans()
}

/// Touches everything that it is told, and keeps nothing.
#[derive(Default)]
struct Sum {
    spans: u64,
    bytes: u64,
}

impl Sum {
    fn spans(&self) -> u64 {
        black_box(self.bytes);
        self.spans
    }

    fn add(&mut self, key: &str, value: Value<'_>) {
        self.bytes ^= key.len() as u64;
        self.bytes ^= match value {
            Value::Str(text) => text.len() as u64,
            Value::Bytes(bytes) => bytes.len() as u64,
            Value::Int(_) | Value::Double(_) | Value::Bool(_) => 8,
        };
    }
}

impl Sink for Sum {
    fn resource(&mut self) {}
    fn resource_attribute(&mut self, key: &str, value: Value<'_>) {
        self.add(key, value);
    }
    fn span_start(&mut self) {}
    fn attribute(&mut self, key: &str, value: Value<'_>) {
        self.add(key, value);
    }
    fn event(&mut self, name: &str, _time: u64) {
        self.bytes ^= name.len() as u64;
    }
    fn event_attribute(&mut self, key: &str, value: Value<'_>) {
        self.add(key, value);
    }
    fn link(&mut self, _link: Link) {}
    fn link_attribute(&mut self, key: &str, value: Value<'_>) {
        self.add(key, value);
    }
    fn span_end(&mut self, head: &SpanHead<'_>) {
        self.bytes ^= head.start ^ u64::from(head.trace_id.0[3]) ^ u64::from(head.span_id.0[3]);
        self.spans += 1;
    }
    fn span_abort(&mut self) {}
    fn reject(&mut self, at: Position, reason: &str) {
        panic!("{at}: {reason}");
    }
}

fn batch() -> TracesData {
    TracesData { resource_spans: (0..SERVICES.len()).map(resource_spans).collect() }
}

fn resource_spans(service: usize) -> ResourceSpans {
    let spans = (0..SPANS / TRACE)
        .flat_map(|trace| [span(trace, service, true), span(trace, service, false)])
        .collect();
    let attributes = vec![
        text("service.name", SERVICES[service]),
        text("service.namespace", "shop"),
        text("service.version", "3.1.4"),
        text("service.instance.id", &format!("{:032x}", mix(service as u64))),
        text("deployment.environment.name", "production"),
        text("telemetry.sdk.language", "java"),
        text("telemetry.sdk.version", "1.49.0"),
        text("k8s.namespace.name", "shop-prod"),
        text("k8s.pod.name", &format!("{}-7c9f4d8b6d-x2x7q", SERVICES[service])),
    ];
    let scope = InstrumentationScope {
        name: "io.opentelemetry.spring-webmvc-6.0".to_owned(),
        version: "2.15.0-alpha".to_owned(),
        ..Default::default()
    };
    ResourceSpans {
        resource: Some(Resource { attributes, ..Default::default() }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }],
        schema_url: "https://opentelemetry.io/schemas/1.34.0".to_owned(),
    }
}

/// The SERVER span of a service in a trace, or the CLIENT span of its call to the next.
fn span(trace: usize, service: usize, server: bool) -> Span {
    let random = mix((trace * TRACE + service * 2 + usize::from(server)) as u64);
    let host = SERVICES[(service + usize::from(!server)) % SERVICES.len()];
    let id = |service: usize, server: bool| {
        mix((trace * TRACE + service * 2 + usize::from(server) + 1_000_000) as u64).to_be_bytes().to_vec()
    };
    let parent = match (server, service) {
        (true, 0) => Vec::new(),
        (true, _) => id(service - 1, false),
        (false, _) => id(service, true),
    };
    let failed = random.is_multiple_of(50);
    let start = 1_790_000_000_000_000_000 + random % 1_000_000_000;
    let mut attributes = vec![
        text("http.request.method", "POST"),
        number("http.response.status_code", if failed { 500 } else { 200 }),
        text("server.address", &format!("{host}.shop-prod.svc")),
        number("server.port", 8443),
        text(
            "network.peer.address",
            &format!("10.{}.{}.{}", random & 31, random >> 8 & 255, random >> 16 & 255),
        ),
        text("network.protocol.version", "1.1"),
        text("user.id", &format!("u-{:08}", random % 100_000_000)),
        text("tenant.id", &format!("tenant-{:04}", random % 500)),
    ];
    if server {
        attributes.extend([
            text("http.route", &format!("/{host}/items/{{itemId}}")),
            text("url.path", &format!("/{host}/items/{:010x}", random & 0xff_ffff_ffff)),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
            text("session.id", &format!("{random:032x}")),
        ]);
    } else {
        attributes.extend([
            text(
                "url.full",
                &format!("https://{host}.shop-prod.svc:8443/{host}/items/{:08x}", random as u32),
            ),
            text("peer.service", host),
            text("code.function.name", "com.shop.client.HttpGateway.exchange"),
            number("thread.id", (random % 200).cast_signed()),
        ]);
    }
    let exception = span::Event {
        time_unix_nano: start,
        name: "exception".to_owned(),
        attributes: vec![
            text("exception.type", "java.net.SocketTimeoutException"),
            text("exception.message", "Read timed out after 2000 ms"),
        ],
        ..Default::default()
    };
    Span {
        trace_id: [mix(trace as u64).to_be_bytes(), mix(!(trace as u64)).to_be_bytes()].concat(),
        span_id: id(service, server),
        parent_span_id: parent,
        name: format!("POST /{host}/items/{{itemId}}"),
        kind: if server { 2 } else { 3 },
        start_time_unix_nano: start,
        end_time_unix_nano: start + random % 15_000_000,
        attributes,
        events: if failed { vec![exception] } else { Vec::new() },
        status: failed.then(|| Status { code: 2, ..Default::default() }),
        flags: 0x101,
        ..Default::default()
    }
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, any_value::Value::IntValue(value))
}

/// splitmix64 (Steele, Lea, Flood 2014): numbers that look random and are the same in each run.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

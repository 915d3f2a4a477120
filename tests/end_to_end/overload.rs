//! More is sent than the service may hold.

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use futures_util::{StreamExt as _, stream};
use hyper::client::conn::http2::SendRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tonic_types::StatusExt as _;

use crate::alerts::{port, until};
use crate::grpc::{connect, export, prefix};
use crate::serve::Serving;

/// Requests at once, and the bytes of each: five times what the service may hold.
const REQUESTS: usize = 24;
const BYTES: usize = 900_000;
/// So many of them fit into its memory.
const FIT: usize = 4;
/// What the process may grow by meanwhile, in KiB: what it may hold, and as much again for buffers of connections.
const GROWTH: u64 = 40 << 10;

fn trace_id(request: usize) -> String {
    format!("{:032x}", request + 1)
}

/// A way to send.
trait Way: Clone + 'static {
    /// As our metrics call it.
    const PROTOCOL: &'static str;

    /// Sends all of a request but the last byte, and that once it is told to. If it was not taken, when to come again.
    async fn send(self, request: usize, go: watch::Receiver<bool>) -> Result<(), Duration>;
}

/// Over HTTP, each request on a connection of its own.
#[derive(Clone)]
struct Http(String);

impl Way for Http {
    const PROTOCOL: &'static str = "otlp_http";

    async fn send(self, request: usize, mut go: watch::Receiver<bool>) -> Result<(), Duration> {
        let span = format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"gateway"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{}","spanId":"00000000000000aa","name":"GET /","kind":2,"startTimeUnixNano":"1767225600000000000","endTimeUnixNano":"1767225600001000000"}}]}}]}}]}}"#,
            trace_id(request)
        );
        let mut body = span.into_bytes();
        body.resize(BYTES, b' ');
        let mut stream = TcpStream::connect(self.0).await.expect("a connection");
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: hopseal\r\ncontent-type: application/json\r\ncontent-length: {BYTES}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let (last, rest) = body.split_last().expect("some");
        stream.write_all(rest).await.expect("sent");
        go.wait_for(|go| *go).await.expect("told");
        stream.write_all(&[*last]).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let status = answer.split(' ').nth(1).expect("a status");
        let mut headers = answer.lines().filter_map(|line| line.split_once(": "));
        let retry = headers.find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
        let retry = retry.map(|(_, seconds)| Duration::from_secs(seconds.parse().expect("seconds")));
        match (status, retry) {
            ("200", None) => Ok(()),
            ("429", Some(delay)) => Err(delay),
            _ => panic!("{answer}"),
        }
    }
}

/// Over gRPC, all of them on one connection.
#[derive(Clone)]
struct Grpc(SendRequest<Body>);

impl Way for Grpc {
    const PROTOCOL: &'static str = "otlp_grpc";

    async fn send(self, request: usize, mut go: watch::Receiver<bool>) -> Result<(), Duration> {
        let trace = u128::from_str_radix(&trace_id(request), 16).expect("digits").to_be_bytes();
        let name = AnyValue { value: Some(Value::StringValue("gateway".to_owned())) };
        let name = KeyValue { key: "service.name".to_owned(), value: Some(name), ..Default::default() };
        let span = Span {
            trace_id: trace.to_vec(),
            span_id: vec![0xaa; 8],
            name: "GET /".to_owned(),
            kind: 2,
            start_time_unix_nano: 1_767_225_600_000_000_000,
            end_time_unix_nano: 1_767_225_600_001_000_000,
            ..Default::default()
        };
        let of_scope = ScopeSpans { spans: vec![span], ..Default::default() };
        let resource = Resource { attributes: vec![name], ..Default::default() };
        let of_resource =
            ResourceSpans { resource: Some(resource), scope_spans: vec![of_scope], ..Default::default() };
        let mut body = ExportTraceServiceRequest { resource_spans: vec![of_resource] }.encode_to_vec();
        // A field that nobody knows, as long as is wanted.
        encode_key(15, WireType::LengthDelimited, &mut body);
        let left = BYTES - body.len() - 3;
        encode_varint(left as u64, &mut body);
        body.resize(BYTES, 0);
        let mut pieces = vec![prefix(body.len())];
        pieces.extend(body.chunks(16_384).map(<[u8]>::to_vec));
        let last = pieces.last_mut().and_then(Vec::pop).expect("some");
        let last = stream::once(async move {
            go.wait_for(|go| *go).await.expect("told");
            vec![last]
        });
        let answer = export(self.0, stream::iter(pieces).chain(last)).await;
        let Err(refused) = answer else { return Ok(()) };
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted, "{refused:?}");
        let retry = refused.get_details_retry_info().and_then(|info| info.retry_delay);
        Err(retry.expect("a delay: else it would not be sent again"))
    }
}

/// The number that a line of metrics ends with; 0 without one.
async fn counted(serving: &Serving, line: &str) -> usize {
    let metrics = serving.get(&serving.admin, "/metrics").await;
    let line = metrics.lines().find_map(|found| found.strip_prefix(line));
    line.map_or(0, |number| number.trim().parse().expect("a number"))
}

/// Scenario: clients begin requests of five times the size of the memory for requests, and end none until the service has
/// refused all that it cannot hold; who was refused comes again.
/// Guarantees: whoever is not taken is told so, and when to come again; what is held is bounded; afterwards all is taken again; what is
/// stored is exactly what was not refused.
async fn what_cannot_be_held_is_refused_and_nothing_is_dropped<W: Way>(
    connect: impl AsyncFnOnce(&Serving, &str) -> W,
) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("hopseal.yaml");
    let grpc = format!("127.0.0.1:{}", port());
    let text = format!(
        "listen: {{otlp_grpc: '{grpc}', otlp_http: 127.0.0.1:0, zipkin: null, api: 127.0.0.1:0, admin: 127.0.0.1:0}}
limits: {{request: 1M, memory: 4M, receive: 10m}}
windows: {{settle: 100ms}}
store: {{folder: '{}', alarm_under: '1', refuse_under: '1'}}
",
        folder.path().join("data").display()
    );
    std::fs::write(&config, text).expect("written");
    let serving = Serving::start(Path::new(&config));
    let sending = connect(&serving, &grpc).await;
    let before = serving.peak();

    let (go, told) = watch::channel(false);
    let mut requests = JoinSet::new();
    for request in 0..REQUESTS {
        let sent = sending.clone().send(request, told.clone());
        requests.spawn_local(async move { (request, sent.await) });
    }
    let refused =
        format!("hopseal_receive_requests_total{{protocol=\"{}\",result=\"no_room\"}} ", W::PROTOCOL);
    until("requests that are refused", async || counted(&serving, &refused).await >= REQUESTS - FIT).await;
    go.send(true).expect("heard");
    let mut later = Vec::new();
    for (number, answer) in requests.join_all().await {
        if let Err(delay) = answer {
            assert!(!delay.is_zero());
            later.push(number);
        }
    }
    assert!(later.len() >= REQUESTS - FIT, "{} were refused", later.len());
    let spans = format!("hopseal_receive_spans_total{{protocol=\"{}\"}} ", W::PROTOCOL);
    assert_eq!(counted(&serving, &spans).await, REQUESTS - later.len());
    let grown = serving.peak() - before;
    assert!(grown < GROWTH, "{grown} KiB");

    for number in later {
        assert_eq!(sending.clone().send(number, told.clone()).await, Ok(()));
    }
    assert_eq!(counted(&serving, &spans).await, REQUESTS);
    for number in 0..REQUESTS {
        let path = format!("http://{}/api/v1/traces/{}", serving.api, trace_id(number));
        until("the trace", async || reqwest::get(&path).await.expect("an answer").status() == 200).await;
    }
    serving.stop();
}

#[tokio::test]
async fn what_cannot_be_held_is_refused_over_http_and_nothing_is_dropped() {
    let test = what_cannot_be_held_is_refused_and_nothing_is_dropped(async |serving: &Serving, _: &str| {
        Http(serving.spans.clone())
    });
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn what_cannot_be_held_is_refused_over_grpc_and_nothing_is_dropped() {
    let test = what_cannot_be_held_is_refused_and_nothing_is_dropped(async |_: &Serving, grpc: &str| {
        Grpc(connect(grpc).await)
    });
    LocalSet::new().run_until(test).await;
}

//! The service and its keeper together, over real sockets, by each protocol and in each encoding.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::{Request, header};
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message as _;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::Answer;
use crate::serve::api::{self, Api};
use crate::serve::clock::{Clock, TestClock};
use crate::serve::config::Config;
use crate::serve::disk::{Disk, FileSystem};
use crate::serve::keep::Keeper;
use crate::serve::listen::Port;
use crate::serve::live::Live;
use crate::serve::metrics::Metrics;
use crate::serve::receiver::Protocol;
use crate::serve::service::Service;
use crate::serve::status::{Response, RetryInfo, Status};
use crate::serve::store::{HopQuery, HopRecord};

/// 2026-01-01T00:00:00Z.
const NOW: u64 = 1_767_225_600_000_000_000;
const EXPORT: &str = "http://x/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// How spans are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Protobuf,
    Json,
    Grpc,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Protobuf, Self::Json, Self::Grpc];

    pub(super) fn encode(self, traces: &TracesData) -> Vec<u8> {
        match self {
            Self::Protobuf | Self::Grpc => traces.encode_to_vec(),
            Self::Json => serde_json::to_vec(traces).expect("JSON"),
        }
    }

    /// The status of HTTP: of gRPC always 200.
    pub(super) fn status(self, by_http: u16) -> u16 {
        if self == Self::Grpc { 200 } else { by_http }
    }

    pub(super) const fn protocol(self) -> Protocol {
        match self {
            Self::Protobuf | Self::Json => Protocol::OtlpHttp,
            Self::Grpc => Protocol::OtlpGrpc,
        }
    }
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Taken {
        rejected: i64,
        message: String,
    },
    Refused {
        /// Of HTTP.
        status: u16,
        /// `google.rpc.Code`.
        code: i32,
        /// When to send it again, by the header of HTTP, and by what gRPC has for it.
        seconds: Option<u64>,
    },
}

impl Said {
    pub(super) fn all_taken() -> Self {
        Self::Taken { rejected: 0, message: String::new() }
    }

    fn of(way: Way, answer: &Answer) -> Self {
        let status = answer.status.as_u16();
        let code = answer.headers.get("grpc-status").or_else(|| answer.trailers.get("grpc-status"));
        let is_taken = match way {
            Way::Grpc => code.expect("a status") == "0",
            Way::Protobuf | Way::Json => status == 200,
        };
        if is_taken {
            return Self::taken(way, &answer.body);
        }
        let (code, info) = match way {
            Way::Grpc => {
                let (code, status) = super::grpc::refused(answer);
                (code, retry_info(&status))
            }
            Way::Protobuf => {
                let status = Status::decode(answer.body.clone()).expect("a status");
                (status.code, retry_info(&status))
            }
            Way::Json => {
                let status: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
                let delay = status["details"][0]["retryDelay"].as_str();
                let delay = delay.map(|delay| delay.trim_end_matches('s').parse().expect("whole seconds"));
                (status["code"].as_i64().expect("a code") as i32, delay)
            }
        };
        let header = answer.header("retry-after").map(|seconds| seconds.parse().expect("seconds"));
        if way != Way::Grpc {
            assert_eq!(header, info, "both say the same");
        }
        Self::Refused { status, code, seconds: info }
    }

    fn taken(way: Way, body: &[u8]) -> Self {
        let response = match way {
            Way::Json => {
                let said: serde_json::Value = serde_json::from_slice(body).expect("JSON");
                let partial = &said["partialSuccess"];
                let rejected =
                    partial["rejectedSpans"].as_str().map_or(0, |count| count.parse().expect("a number"));
                let message = partial["errorMessage"].as_str().unwrap_or("").to_owned();
                return Self::Taken { rejected, message };
            }
            Way::Protobuf => Response::decode(body),
            Way::Grpc => Response::decode(&body[5..]),
        };
        match response.expect("a response").partial_success {
            Some(partial) => Self::Taken { rejected: partial.rejected_spans, message: partial.error_message },
            None => Self::all_taken(),
        }
    }
}

fn retry_info(status: &Status) -> Option<u64> {
    let info = status.details.iter().find(|any| any.type_url.ends_with("RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.clone()).expect("a hint").retry_delay.expect("set");
    Some(u64::try_from(delay.seconds).expect("a delay"))
}

/// A service with a keeper.
pub(super) struct Whole {
    pub(super) keeper: Arc<Keeper>,
    pub(super) metrics: Arc<Metrics>,
    clock: Arc<TestClock>,
    addresses: Vec<(Port, SocketAddr)>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
    _folder: TempDir,
}

impl Whole {
    /// By a configuration, without ports.
    pub(super) async fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::start_on(folder, Arc::new(FileSystem), text, |_| {}).await
    }

    pub(super) async fn start_on(
        folder: TempDir,
        disk: Arc<dyn Disk>,
        text: &str,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let path = folder.path().join("hopseal.yaml");
        let listen = "listen: {otlp_grpc: 127.0.0.1:0, otlp_http: 127.0.0.1:0, zipkin: null, api: 127.0.0.1:0, admin: null}";
        std::fs::write(&path, format!("{listen}\n{text}\n")).expect("written");
        let mut config = Config::load(Some(&path)).expect("a configuration");
        config.keep.folder = folder.path().join("data");
        change(&mut config);
        let live = Live::load(&config).expect("files");
        let (clock, metrics) = (TestClock::at(NOW), Arc::new(Metrics::new()));
        let told: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let keep = config.keep.clone();
        let keeper = Keeper::start_on(
            disk,
            keep,
            Arc::clone(&live.rules),
            None,
            Arc::clone(&told),
            Arc::clone(&metrics),
        );
        let keeper = Arc::new(keeper.expect("a keeper"));
        let api = api::router(Api { store: keeper.store(), clock: told, people: None });
        let service = Service::bind(config, live, Arc::clone(&keeper), Arc::clone(&metrics), api).await;
        let service = service.expect("ports");
        let addresses = service.addresses().collect();
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(service.run(stopped, Arc::<Notify>::default()));
        Self { keeper, metrics, clock, addresses, stop, running, _folder: folder }
    }

    async fn tcp(&self, port: Port) -> TokioIo<TcpStream> {
        let (_, address) = self.addresses.iter().find(|(bound, _)| *bound == port).expect("bound");
        TokioIo::new(TcpStream::connect(address).await.expect("connects"))
    }

    /// One request over HTTP/1.1, on a connection of its own.
    pub(super) async fn http(&self, port: Port, mut request: Request<Full<Bytes>>) -> Answer {
        request.headers_mut().insert(header::HOST, "localhost".parse().expect("a name"));
        let io = self.tcp(port).await;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("connects");
        tokio::spawn(connection);
        Answer::of(sender.send_request(request).await.expect("answered")).await
    }

    /// Sends spans as they are written in that way.
    pub(super) async fn send(&self, way: Way, body: Vec<u8>) -> Said {
        Said::of(way, &self.send_with(way, body, None).await)
    }

    /// The same, with a token.
    pub(super) async fn send_with(&self, way: Way, body: Vec<u8>, token: Option<&str>) -> Answer {
        let (to, media_type, body) = match way {
            Way::Protobuf => ("/v1/traces", "application/x-protobuf", body),
            Way::Json => ("/v1/traces", "application/json", body),
            Way::Grpc => (EXPORT, "application/grpc", super::grpc::framed(false, &body)),
        };
        let mut request = Request::post(to).header("content-type", media_type);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(Bytes::from(body))).expect("a request");
        let port = Port::Spans(way.protocol());
        if way != Way::Grpc {
            return self.http(port, request).await;
        }
        let io = self.tcp(port).await;
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("connects");
        tokio::spawn(connection);
        Answer::of(sender.send_request(request).await.expect("answered")).await
    }

    /// Has every trace settle, be judged and be kept.
    pub(super) fn settle(&self) {
        self.clock.advance(Duration::from_secs(11));
        for _ in 0..4 {
            self.keeper.turn().expect("kept");
        }
    }

    /// The hops that are stored of these traces.
    pub(super) fn hops(&self, traces: &TracesData) -> Vec<HopRecord> {
        let ids: Vec<_> = spans(traces).map(|span| span.trace_id.clone()).collect();
        let hops = self.keeper.store().hops(&HopQuery::any(1_000_000)).expect("hops");
        hops.into_iter().filter(|hop| ids.iter().any(|id| hop.trace_id.0[..] == id[..])).collect()
    }

    /// A number of its metrics.
    pub(super) fn counted(&self, name: &str) -> u64 {
        let text = self.metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        // What was never counted is not there.
        line.map_or(0, |number| number.parse().expect("a number"))
    }

    /// Spans that were taken by that way's protocol.
    pub(super) fn taken(&self, way: Way) -> u64 {
        self.counted(&format!("hopseal_receive_spans_total{{protocol=\"{}\"}}", way.protocol().label()))
    }

    pub(super) async fn end(self) {
        self.stop.send_replace(true);
        self.running.await.expect("ends well");
        self.keeper.stop().expect("stopped");
    }
}

fn spans(traces: &TracesData) -> impl Iterator<Item = &Span> {
    traces.resource_spans.iter().flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans)
}

/// Spans in [`traces`] for each trace, and hops.
pub(super) const SPANS: u64 = 3;
pub(super) const HOPS: usize = 2;

/// So many traces, of ids that begin with these bytes: `gateway` is called and calls `orders`.
pub(super) fn traces(begin: [u8; 2], count: u8) -> TracesData {
    let span = |trace: u8, id: u8, parent: u8, kind: i32, name: &str| Span {
        trace_id: [&begin[..], &[7; 13], &[trace]].concat(),
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: name.to_owned(),
        kind,
        start_time_unix_nano: NOW + u64::from(id),
        end_time_unix_nano: NOW + 1000 - u64::from(id),
        ..Span::default()
    };
    let gateway =
        (0..count).flat_map(|trace| [span(trace, 1, 0, 2, "GET /orders"), span(trace, 2, 1, 3, "GET")]);
    let orders = (0..count).map(|trace| span(trace, 3, 2, 2, "GET /orders"));
    TracesData { resource_spans: vec![of("gateway", gateway.collect()), of("orders", orders.collect())] }
}

/// Spans of a service.
pub(super) fn of(service: &str, spans: Vec<Span>) -> ResourceSpans {
    let resource = Resource { attributes: vec![text("service.name", service)], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

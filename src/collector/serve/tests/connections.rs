//! Real connections: HTTP/1.1 and HTTP/2, pipelining, chunks, limits of time and number, the end.

use std::sync::Arc;
use std::time::Duration;

use ::http::Request;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{Kept, Lab, SPANS};
use crate::serve::admin::Admin;
use crate::serve::listen::{ConnectionLimits, Port, Server};
use crate::serve::proof::Peer;
use crate::serve::receiver::Protocol;

const HTTP: Port = Port::Spans(Protocol::OtlpHttp);
const GRPC: Port = Port::Spans(Protocol::OtlpGrpc);
const EXPORT: &str = "http://x/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The other side of a connection, and what answers it.
struct Connected {
    client: DuplexStream,
    kept: Arc<Kept>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

fn connect(port: Port) -> Connected {
    connect_to(port, axum::Router::new())
}

fn connect_to(port: Port, api: axum::Router) -> Connected {
    let lab = Lab::new();
    let limits = ConnectionLimits { open: 1, idle: Duration::from_secs(120), age: Duration::from_secs(3600) };
    let server = Arc::new(Server {
        receiver: lab.receiver,
        api,
        admin: Admin::new(Arc::clone(&lab.metrics)),
        metrics: lab.metrics,
        limits,
        places: Arc::new(Semaphore::new(1)),
        tls: None,
        tls_for_api: false,
    });
    let (client, end) = duplex(1 << 20);
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(async move { server.serve(end, Peer::default(), port, stopped).await });
    Connected { client, kept: lab.kept, stop, serving }
}

impl Connected {
    async fn write(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.expect("written");
    }

    /// What comes until the other side closes.
    async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        self.client.read_to_end(&mut rest).await.expect("read");
        String::from_utf8(rest).expect("text")
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.kept.deliveries.lock().expect("held").iter().map(|delivery| delivery.body.clone()).collect()
    }
}

const POST: &str = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";

#[tokio::test]
async fn pipelined_and_chunked_requests_are_answered_in_order() {
    let mut connected = connect(HTTP);
    connected.write(&format!("{POST}content-length: 2\r\n\r\n{{}}")).await;
    connected
        .write(&format!("{POST}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n1\r\n}}\r\n0\r\n\r\n"))
        .await;
    connected.write("GET /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let answers = connected.rest().await;
    let statuses: Vec<&str> =
        answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    assert_eq!(statuses, ["200", "200", "405"]);
    assert_eq!(connected.bodies(), [Bytes::from_static(b"{}"), Bytes::from_static(b"{}")]);
}

/// Scenario: a request is refused before its body is read, and the client sends all of it before it reads the answer.
/// Guarantees: the answer is there, and the connection is good for the next.
#[tokio::test]
async fn a_refused_request_leaves_the_connection_good() {
    let mut connected = connect(HTTP);
    let large = " ".repeat(500_000);
    let text = "POST /v1/nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 500000\r\n\r\n";
    connected.write(&format!("{text}{large}")).await;
    connected.write(&format!("{POST}connection: close\r\ncontent-length: 2\r\n\r\n{{}}")).await;
    let answers = connected.rest().await;
    let statuses: Vec<&str> =
        answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    assert_eq!(statuses, ["404", "200"]);
}

#[tokio::test]
async fn who_waits_to_be_told_to_go_on_is_not_when_refused() {
    let mut connected = connect(HTTP);
    let expecting = format!("{POST}expect: 100-continue\r\ncontent-length: 5000000\r\n\r\n");
    connected.write(&expecting).await;
    assert!(connected.rest().await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test(start_paused = true)]
async fn headers_that_do_not_come_end_the_connection() {
    for sent in ["", "POST /v1/tra", "PRI * HTTP/2.0\r\n"] {
        for port in [HTTP, Port::Admin, GRPC] {
            let mut connected = connect(port);
            connected.write(sent).await;
            let began = Instant::now();
            timeout(Duration::from_secs(600), connected.serving).await.expect("ends").expect("ends well");
            assert!(began.elapsed() <= Duration::from_secs(240), "{sent} {port:?}");
        }
    }
}

/// Scenario: an answer goes on for longer than a connection may be idle, with nothing said for as long.
/// Guarantees: it is heard to its end.
#[tokio::test(start_paused = true)]
async fn an_answer_that_goes_on_is_not_idle() {
    let told = || {
        futures_util::stream::unfold(0, async |number: u32| {
            tokio::time::sleep(Duration::from_secs(500)).await;
            (number < 3).then(|| (Ok::<_, std::convert::Infallible>(format!("told {number}")), number + 1))
        })
    };
    let api = axum::Router::new()
        .route("/", axum::routing::get(async move || axum::body::Body::from_stream(told())));
    let mut connected = connect_to(Port::Api, api);
    connected.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = connected.rest().await;
    assert!((0..3).all(|number| answer.contains(&format!("told {number}"))), "{answer}");
    assert!(answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
    connected.serving.await.expect("ends well");
}

async fn call(
    sender: &mut hyper::client::conn::http2::SendRequest<Full<Bytes>>,
) -> (u16, Bytes, ::http::HeaderMap) {
    let body = [&[0, 0, 0, 0, 8][..], SPANS].concat();
    let request = Request::post(EXPORT).header("content-type", "application/grpc");
    let request = request.body(Full::new(Bytes::from(body))).expect("a request");
    let answer = sender.send_request(request).await.expect("answered");
    let status = answer.status().as_u16();
    let collected = answer.into_body().collect().await.expect("read");
    let trailers = collected.trailers().cloned().unwrap_or_default();
    (status, collected.to_bytes(), trailers)
}

#[tokio::test]
async fn grpc_over_a_real_connection_must_accept_concurrent_calls() {
    let connected = connect(GRPC);
    let io = TokioIo::new(connected.client);
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("connects");
    tokio::spawn(connection);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut sender = sender.clone();
        calls.spawn(async move { call(&mut sender).await });
    }
    while let Some(answer) = calls.join_next().await {
        let (status, body, trailers) = answer.expect("answered");
        assert_eq!((status, body.as_ref()), (200, &[0; 5][..]));
        assert_eq!(trailers.get("grpc-status").map(|value| value.as_bytes()), Some(&b"0"[..]));
    }
    assert_eq!(connected.kept.deliveries.lock().expect("held").len(), 20);
}

#[tokio::test]
async fn otlp_over_http_2() {
    let connected = connect(HTTP);
    let io = TokioIo::new(connected.client);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("connects");
    tokio::spawn(connection);
    for _ in 0..2 {
        let request = Request::post("http://x/v1/traces").header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from_static(b"{}"))).expect("a request");
        let answer = sender.send_request(request).await.expect("answered");
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.into_body().collect().await.expect("read").to_bytes(), "{}");
    }
    assert_eq!(connected.kept.deliveries.lock().expect("held").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_and_one_that_is_used_grows_old() {
    let connected = connect(GRPC);
    let io = TokioIo::new(connected.client);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("connects");
    tokio::spawn(connection);
    let began = Instant::now();
    while sender.ready().await.is_ok() && began.elapsed() < Duration::from_secs(7200) {
        call(&mut sender).await;
        tokio::time::sleep(Duration::from_secs(61)).await;
    }
    let age = began.elapsed();
    assert!((Duration::from_secs(3590)..Duration::from_secs(3700)).contains(&age), "{age:?}");
    connected.serving.await.expect("ends well");

    let connected = connect(GRPC);
    let io = TokioIo::new(connected.client);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("connects");
    tokio::spawn(connection);
    call(&mut sender).await;
    let began = Instant::now();
    connected.serving.await.expect("ends well");
    assert!(began.elapsed() <= Duration::from_secs(240), "{:?}", began.elapsed());
}

/// Scenario: the signal to stop comes while a request is being kept.
/// Guarantees: it is answered, and then the connection ends.
#[tokio::test]
async fn a_request_under_way_is_answered_before_the_end() {
    let mut connected = connect(HTTP);
    let go = Arc::new(Notify::new());
    *connected.kept.wait_for.lock().expect("held") = Some(Arc::clone(&go));
    connected.write(&format!("{POST}content-length: 2\r\n\r\n{{}}")).await;
    while connected.bodies().is_empty() {
        tokio::task::yield_now().await;
    }
    connected.stop.send_replace(true);
    tokio::task::yield_now().await;
    assert!(!connected.serving.is_finished());
    go.notify_one();
    let answer = connected.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("connection: close"), "{answer}");
    connected.serving.await.expect("ends well");
}

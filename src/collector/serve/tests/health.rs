//! What a service says of how it is, over a socket.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::service::{HTTP, POST, Running, ask};
use crate::serve::Background;
use crate::serve::health::Unready;
use crate::serve::listen::Port;

/// The status of an answer, and its body.
fn read(answer: &str) -> (u16, String) {
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

/// Scenario: whoever keeps spans has reasons to take none, and none any more; then the service ends while somebody waits for an answer.
/// Guarantees: it is said to be ready only while nothing speaks against it, with the reasons if not; and alive until a thread is lost.
#[tokio::test]
async fn it_is_ready_unless_something_speaks_against_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("hopseal.yaml");
    let listen =
        "listen: {otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, api: null, admin: 127.0.0.1:0}";
    std::fs::write(&config, listen).expect("written");
    let running = Running::start(&config).await;
    let admin = async |path: &str| read(&ask(running.tcp(Port::Admin).await, &get(path)).await);
    let (ready, alive) = (r#"{"status":"ready"}"#, r#"{"status":"alive"}"#);
    for (unready, expected, health) in [
        (vec![], (200, ready), (200, alive)),
        (vec![Unready::DiskFull], (503, r#"{"status":"not_ready","reasons":["disk_full"]}"#), (200, alive)),
        (
            vec![Unready::StoreBehind, Unready::JournalFailing],
            (503, r#"{"status":"not_ready","reasons":["store_behind","journal_failing"]}"#),
            (200, alive),
        ),
        (
            vec![Unready::ThreadLost],
            (503, r#"{"status":"not_ready","reasons":["thread_lost"]}"#),
            (503, r#"{"status":"broken","reasons":["thread_lost"]}"#),
        ),
        (vec![], (200, ready), (200, alive)),
    ] {
        running.kept.unready.lock().expect("held").clone_from(&unready);
        let of = |(status, body): (u16, &str)| (status, body.to_owned());
        assert_eq!(admin("/readyz").await, of(expected), "{unready:?}");
        assert_eq!(admin("/healthz").await, of(health), "{unready:?}");
    }

    let go = Arc::new(Notify::new());
    *running.kept.wait_for.lock().expect("held") = Some(Arc::clone(&go));
    let waiting = tokio::spawn(ask(running.tcp(HTTP).await, POST));
    while running.senders().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Though nobody asked before.
    let shown = admin("/metrics").await.1;
    assert!(shown.contains("hopseal_receive_in_flight_bytes "), "{shown}");
    assert!(!shown.contains("hopseal_receive_in_flight_bytes 0\n"), "{shown}");
    running.stop.send_replace(true);
    let stopping = (503, r#"{"status":"not_ready","reasons":["stopping"]}"#.to_owned());
    while admin("/readyz").await != stopping {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(admin("/healthz").await, (200, alive.to_owned()));
    go.notify_one();
    assert_eq!(read(&waiting.await.expect("ends well")).0, 200);
    running.running.await.expect("ends well");
}

async fn asked(service: &Background, port: Port, request: &str) -> (u16, String) {
    let address = service.address(port).expect("bound");
    read(&ask(TcpStream::connect(address).await.expect("connects"), request).await)
}

fn service(folder: &Path, store: &str) -> Background {
    let config = folder.join("hopseal.yaml");
    let text = format!(
        "listen: {{otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, api: 127.0.0.1:0, admin: 127.0.0.1:0}}
store: {{folder: '{}', {store}}}
",
        folder.join("data").display()
    );
    std::fs::write(&config, text).expect("written");
    Background::start(&config).expect("started")
}

/// Scenario: a whole service, on a disk with less room than it may have, and with enough.
/// Guarantees: what is not taken is what it says it is not ready for; metrics say the same, what it is, and what it was asked.
#[tokio::test]
async fn what_is_refused_and_what_is_said_agree() {
    for (store, ready, taken) in [
        ("refuse_under: 8000000G, alarm_under: 8000000G", (503, r#"["disk_full"]"#), false),
        ("refuse_under: '1', alarm_under: '1'", (200, r#""ready""#), true),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let service = service(folder.path(), store);
        let mut answer = asked(&service, Port::Admin, &get("/readyz")).await;
        while answer.1.contains("starting") {
            answer = asked(&service, Port::Admin, &get("/readyz")).await;
        }
        let (status, body) = answer;
        assert!(status == ready.0 && body.contains(ready.1), "{status} {body}");
        assert_eq!(asked(&service, HTTP, POST).await.0 == 200, taken);
        assert_eq!(asked(&service, Port::Api, &get("/api/v1/traces/alice")).await.0, 400);
        let line = format!("hopseal_unready{{reason=\"disk_full\"}} {}", u8::from(!taken));
        let mut text = String::new();
        // With the next turn.
        while !text.lines().any(|found| found == line) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            text = asked(&service, Port::Admin, &get("/metrics")).await.1;
        }
        for line in [
            "hopseal_api_requests_total{route=\"/api/v1/traces/{trace_id}\",status=\"4xx\"} 1",
            "hopseal_api_request_seconds_count{route=\"/api/v1/traces/{trace_id}\"} 1",
            concat!("hopseal_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\","),
        ] {
            assert!(text.lines().any(|found| found.starts_with(line)), "{line} in {text}");
        }
        assert!(!text.contains("alice"), "{text}");
        service.stop().expect("stopped");
    }
}

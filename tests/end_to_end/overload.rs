//! More is sent than the service may hold.

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::alerts::until;
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

/// A request of one span, as long as all others.
fn body(request: usize) -> Vec<u8> {
    let span = format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"gateway"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{}","spanId":"00000000000000aa","name":"GET /","kind":2,"startTimeUnixNano":"1767225600000000000","endTimeUnixNano":"1767225600001000000"}}]}}]}}]}}"#,
        trace_id(request)
    );
    let mut body = span.into_bytes();
    body.resize(BYTES, b' ');
    body
}

/// Sends all of a request but the last byte, and that once it is told to. The status, and when to come again.
async fn send(to: String, request: usize, mut go: watch::Receiver<bool>) -> (u16, Option<u64>) {
    let mut stream = TcpStream::connect(to).await.expect("a connection");
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: hopseal\r\ncontent-type: application/json\r\ncontent-length: {BYTES}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let body = body(request);
    let (last, rest) = body.split_last().expect("some");
    stream.write_all(rest).await.expect("sent");
    go.wait_for(|go| *go).await.expect("told");
    stream.write_all(&[*last]).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let mut headers = answer.lines().filter_map(|line| line.split_once(": "));
    let retry = headers.find(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
    (status, retry.map(|(_, seconds)| seconds.parse().expect("seconds")))
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
#[tokio::test]
async fn what_cannot_be_held_is_refused_and_nothing_is_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("hopseal.yaml");
    let text = format!(
        "listen: {{otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, api: 127.0.0.1:0, admin: 127.0.0.1:0}}
limits: {{request: 1M, memory: 4M, receive: 10m}}
windows: {{settle: 100ms}}
store: {{folder: '{}', alarm_under: '1', refuse_under: '1'}}
",
        folder.path().join("data").display()
    );
    std::fs::write(&config, text).expect("written");
    let serving = Serving::start(Path::new(&config));
    let before = serving.peak();

    let (go, told) = watch::channel(false);
    let requests =
        (0..REQUESTS).map(|request| tokio::spawn(send(serving.spans.clone(), request, told.clone())));
    let requests: Vec<_> = requests.collect();
    let refused = "hopseal_receive_requests_total{protocol=\"otlp_http\",result=\"no_room\"} ";
    until("requests that are refused", async || counted(&serving, refused).await >= REQUESTS - FIT).await;
    go.send(true).expect("heard");
    let mut later = Vec::new();
    for (number, request) in requests.into_iter().enumerate() {
        match request.await.expect("no panic") {
            (200, None) => {}
            (429, Some(seconds)) if seconds > 0 => later.push(number),
            other => panic!("{other:?}"),
        }
    }
    assert!(later.len() >= REQUESTS - FIT, "{} were refused", later.len());
    let spans = "hopseal_receive_spans_total{protocol=\"otlp_http\"} ";
    assert_eq!(counted(&serving, spans).await, REQUESTS - later.len());
    let grown = serving.peak() - before;
    assert!(grown < GROWTH, "{grown} KiB");

    for number in later {
        assert_eq!(send(serving.spans.clone(), number, told.clone()).await, (200, None));
    }
    assert_eq!(counted(&serving, spans).await, REQUESTS);
    for number in 0..REQUESTS {
        let path = format!("http://{}/api/v1/traces/{}", serving.api, trace_id(number));
        until("the trace", async || reqwest::get(&path).await.expect("an answer").status() == 200).await;
    }
    serving.stop();
}

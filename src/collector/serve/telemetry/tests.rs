use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use opentelemetry::logs::{AnyValue, Severity};
use opentelemetry_sdk::logs::InMemoryLogExporter;

use super::*;
use crate::serve::metrics::Alone;

/// Scenario: something goes wrong here, in what sends, and nothing does.
/// Guarantees: what should be looked at is sent with its fields; what is only to be known is not, nor what those say who send.
#[test]
fn warnings_and_errors_of_ours_are_sent() {
    let exporter = InMemoryLogExporter::default();
    let provider = SdkLoggerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let subscriber = tracing_subscriber::registry().with(Sent::to(provider.logger(SERVICE)));
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("listening");
        tracing::warn!(count = 7_u64, error = %std::fmt::Error, "could not be sent");
        tracing::error!(target: "hopseal::keys", what = "rules", is_last = true, "cannot be used");
        tracing::error!(target: "opentelemetry_sdk", "nobody takes it");
        tracing::warn!(target: "hyper_util::client", "connection refused");
    });
    let logs = exporter.get_emitted_logs().expect("logs");
    let said = |at: usize| {
        let record = &logs[at].record;
        let fields = record.attributes_iter().map(|(key, value)| (key.as_str().to_owned(), value.clone()));
        (record.severity_number(), record.body().cloned(), fields.collect::<Vec<_>>())
    };
    let text = |text: &'static str| AnyValue::from(text);
    assert_eq!(logs.len(), 2);
    let error = AnyValue::from(std::fmt::Error.to_string());
    let fields = vec![("count".to_owned(), AnyValue::Int(7)), ("error".to_owned(), error)];
    assert_eq!(said(0), (Some(Severity::Warn), Some(text("could not be sent")), fields));
    let fields = vec![("what".to_owned(), text("rules")), ("is_last".to_owned(), AnyValue::Boolean(true))];
    assert_eq!(said(1), (Some(Severity::Error), Some(text("cannot be used")), fields));
}

/// Takes so many requests, and returns their first lines, each with its body.
fn taken(listener: &TcpListener, count: usize) -> Vec<(String, Vec<u8>)> {
    let take = |_| {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            let head = read.windows(4).position(|end| end == b"\r\n\r\n");
            if let Some(head) = head {
                let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
                let length = text.split("content-length: ").nth(1).expect("a length");
                let length: usize = length.lines().next().expect("a line").parse().expect("a number");
                if read.len() == head + 4 + length {
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                        .expect("written");
                    let line = text.lines().next().expect("a line").to_owned();
                    return (line, read.split_off(head + 4));
                }
            }
            let length = stream.read(&mut buffer).expect("a request");
            assert!(length > 0, "it ended early");
            read.extend_from_slice(&buffer[..length]);
        }
    };
    (0..count).map(take).collect()
}

/// Scenario: metrics are sent to somebody who takes them.
/// Guarantees: they come with times, what the program is, and which process of it this is.
#[test]
fn metrics_come_with_who_they_are_of() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hopseal.yaml");
    let address = listener.local_addr().expect("an address");
    std::fs::write(&path, format!("telemetry: {{otlp_endpoint: 'http://{address}'}}")).expect("written");
    let config = Config::load(Some(&path)).expect("a configuration");
    let (metrics, mut telemetry) = (Arc::new(Metrics::new()), Telemetry::start(&config).expect("started"));
    telemetry.export(&config, &metrics).expect("started");
    metrics.accepting.observe(&Alone, Duration::from_millis(3));
    let taking = std::thread::spawn(move || taken(&listener, 1));
    drop(telemetry);
    let [(line, body)] = &taking.join().expect("no panic")[..] else { panic!("one") };
    assert_eq!(line, "post /v1/metrics http/1.1");
    let has = |text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
    let (version, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    for text in [
        "service.version",
        version,
        "service.instance.id",
        "hopseal.receive.accept",
        "hopseal.build.info",
        arch,
    ] {
        assert!(has(text), "{text}");
    }
}

#[test]
fn each_process_is_told_apart() {
    let id = || resource().get(&INSTANCE).expect("an id").to_string();
    let (one, other) = (id(), id());
    assert_ne!(one, other);
    for id in [one, other] {
        let parts: Vec<&str> = id.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
        assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
    }
}

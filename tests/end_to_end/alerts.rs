//! Real Prometheus and Alertmanager, by the configuration that is shipped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use serde_json::Value;

use crate::program::hopseal;
use crate::serve::{EXAMPLE, Serving};

/// How to get what these tests start.
const INSTALL: &str = "apt-get install prometheus prometheus-alertmanager";

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../collector-config")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(shipped().join(name)).expect("shipped")
}

/// Guarantees: Prometheus takes the configuration and the rules, each alert fires when its test says so and no sooner, and
/// Alertmanager takes what is for it.
#[test]
fn rules_do_what_their_tests_say() {
    for (program, arguments) in [
        ("promtool", ["check", "config", "prometheus.yaml"].as_slice()),
        ("promtool", &["test", "rules", "prometheus-rules-test.yaml"]),
        ("amtool", &["check-config", "alertmanager.yaml"]),
    ] {
        let run = Command::new(program).args(arguments).current_dir(shipped()).output();
        let run = run.unwrap_or_else(|error| panic!("{program}, {INSTALL}: {error}"));
        let said = [run.stdout, run.stderr].concat();
        assert!(run.status.success(), "{program}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn every_alert_has_a_test_and_a_runbook() {
    let (rules, tests) = (read("prometheus-rules.yaml"), read("prometheus-rules-test.yaml"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 8, "{alerts:?}");
    assert_eq!(rules.matches("runbook: ").count(), alerts.len());
    for alert in alerts {
        assert!(tests.contains(&format!("alertname: {alert}")), "{alert}");
    }
}

/// A program that ends with the test.
pub(crate) struct Started(pub(crate) Child);

impl Started {
    pub(crate) fn new(program: &str, folder: &Path, arguments: &[String]) -> Self {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{program}, {INSTALL}: {error}")))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that was free a moment ago.
pub(crate) fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Alerts as they come: name and state.
type Woken = Arc<Mutex<Vec<(String, String)>>>;

/// Takes what Alertmanager sends.
async fn on_call(woken: Woken) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let router = Router::new().fallback(post(async move |body: String| {
        let told: Value = serde_json::from_str(&body).expect("JSON");
        for alert in told["alerts"].as_array().expect("alerts") {
            let text = |place: &str| alert.pointer(place).and_then(Value::as_str).expect("text").to_owned();
            woken.lock().expect("no panic").push((text("/labels/alertname"), text("/status")));
        }
    }));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
    port
}

/// The configuration that is shipped, with who is on call at that port, and no waits.
fn alertmanager(on_call: u16) -> String {
    read("alertmanager.yaml")
        .replace("127.0.0.1:9095", &format!("127.0.0.1:{on_call}"))
        .replace("group_wait: 30s", "group_wait: 0s")
        .replace("group_interval: 5m", "group_interval: 1s")
}

/// An Alertmanager by the configuration in that folder.
fn manager(folder: &Path, port: u16) -> Started {
    let arguments = [
        "--config.file=alertmanager.yaml".to_owned(),
        "--storage.path=alerts".to_owned(),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=".to_owned(),
    ];
    Started::new("prometheus-alertmanager", folder, &arguments)
}

/// Somebody says that each finding is resolved.
async fn resolve_all(serving: &Serving) {
    for id in serving.findings().await {
        let url = format!("http://{}/api/v1/findings/{id}", serving.api);
        let said = reqwest::Client::new()
            .patch(url)
            .header("content-type", "application/json")
            .body(r#"{"state": "resolved", "note": "mended"}"#);
        assert!(said.send().await.expect("an answer").status().is_success());
    }
}

pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never: {what}");
}

/// Scenario: Prometheus with the shipped rules asks a real service; spans with a dropped identity come; somebody says that each
/// finding is resolved.
/// Guarantees: whoever is on call is told of the dropped identity, and the ticket of open findings ends once none is open.
#[tokio::test]
async fn a_dropped_identity_wakes_somebody() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let catalogue = at("catalogue.json");
    hopseal(&["check", "--write-catalogue", catalogue.to_str().expect("text"), EXAMPLE]);
    let text = format!(
        "listen: {{otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, api: 127.0.0.1:0, admin: 127.0.0.1:0}}
windows: {{settle: 100ms}}
judging: {{catalogue: catalogue.json}}
store: {{folder: '{}', alarm_under: '1', refuse_under: '1'}}
",
        at("data").display()
    );
    std::fs::write(at("hopseal.yaml"), text).expect("written");
    let serving = Serving::start(&at("hopseal.yaml"));

    // As shipped, but for addresses and waits.
    let (woken, managed, asked) = (Woken::default(), port(), port());
    let on_call = on_call(Arc::clone(&woken)).await;
    let prometheus = read("prometheus.yaml")
        .replace("15s", "1s")
        .replace("127.0.0.1:9093", &format!("127.0.0.1:{managed}"))
        .replace("127.0.0.1:9464", &serving.admin);
    let rules = read("prometheus-rules.yaml").replace("for: 1d", "for: 0s");
    for (name, text) in [
        ("prometheus.yaml", prometheus),
        ("alertmanager.yaml", alertmanager(on_call)),
        ("prometheus-rules.yaml", rules),
    ] {
        std::fs::write(at(name), text).expect("written");
    }
    let _manager = manager(folder.path(), managed);
    let _prometheus = Started::new(
        "prometheus",
        folder.path(),
        &[
            "--config.file=prometheus.yaml".to_owned(),
            "--storage.tsdb.path=metrics".to_owned(),
            "--enable-feature=exemplar-storage".to_owned(),
            format!("--web.listen-address=127.0.0.1:{asked}"),
        ],
    );
    let query = async |expression: &str| {
        let url = format!("http://127.0.0.1:{asked}/api/v1/query");
        let url = reqwest::Url::parse_with_params(&url, [("query", expression)]).expect("a URL");
        let answer = reqwest::get(url).await.ok()?.text().await.ok()?;
        let answer: Value = serde_json::from_str(&answer).ok()?;
        answer.pointer("/data/result/0/value/1")?.as_str()?.parse::<f64>().ok()
    };
    // Twice at least, so that what comes is an increase.
    let scraped = "count_over_time(hopseal_findings_total{rule=\"identity_dropped\"}[1m])";
    until("two looks at the metrics", async || query(scraped).await >= Some(2.0)).await;

    serving.post("application/json", std::fs::read(EXAMPLE).expect("the example")).await;
    let is_told = |name: &str, state: &str| {
        let told = woken.lock().expect("no panic");
        told.iter().any(|(alert, now)| (alert.as_str(), now.as_str()) == (name, state))
    };
    until("the page", async || is_told("HopsealIdentityDropped", "firing")).await;
    until("the ticket", async || is_told("HopsealOpenFindings", "firing")).await;
    assert!(!is_told("HopsealOpenFindings", "resolved"));
    assert!(query("sum(hopseal_hops_total)").await >= Some(7.0));
    let url = format!("http://127.0.0.1:{asked}/api/v1/query_exemplars");
    let period = [("start", "2020-01-01T00:00:00Z"), ("end", "2100-01-01T00:00:00Z")];
    let url =
        reqwest::Url::parse_with_params(&url, [("query", "hopseal_findings_total")].iter().chain(&period));
    let exemplars = reqwest::get(url.expect("a URL")).await.expect("an answer").text().await.expect("text");
    assert!(exemplars.contains("\"trace_id\":\"fb450e28d3afa623cb286238a74cee36\""), "{exemplars}");

    resolve_all(&serving).await;
    until("the end of the ticket", async || is_told("HopsealOpenFindings", "resolved")).await;
    serving.stop();
}

/// Scenario: a real service is told of an Alertmanager that is not there yet, and of a receiver of events; spans with a dropped
/// identity come; the Alertmanager starts; somebody says that each finding is resolved.
/// Guarantees: whoever is on call is told of the finding by way of the Alertmanager, and of its end; the other is told of both as
/// events, and a backend for logs of a record of the trace; spans are sent on as they came.
#[tokio::test]
async fn findings_wake_somebody_without_prometheus() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let catalogue = at("catalogue.json");
    hopseal(&["check", "--write-catalogue", catalogue.to_str().expect("text"), EXAMPLE]);
    let (woken, managed) = (Woken::default(), port());
    let on_call = on_call(Arc::clone(&woken)).await;
    std::fs::write(at("alertmanager.yaml"), alertmanager(on_call)).expect("written");

    let events = Arc::<Mutex<Vec<Value>>>::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let hook = listener.local_addr().expect("an address");
    let noted = Arc::clone(&events);
    let records = Arc::<Mutex<Vec<LogRecord>>>::default();
    let logged = Arc::clone(&records);
    let logs = async move |body: Bytes| {
        let sent = ExportLogsServiceRequest::decode(body).expect("log records");
        let of_scopes = sent.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
        logged.lock().expect("no panic").extend(of_scopes.flat_map(|scope| scope.log_records));
    };
    let forwarded = Arc::<Mutex<Vec<Bytes>>>::default();
    let came = Arc::clone(&forwarded);
    let traces = async move |body: Bytes| came.lock().expect("no panic").push(body);
    let router = Router::new().route("/v1/logs", post(logs)).route("/v1/traces", post(traces)).fallback(
        post(async move |body: String| {
            noted.lock().expect("no panic").push(serde_json::from_str(&body).expect("JSON"));
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
    let text = format!(
        "listen: {{otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, api: 127.0.0.1:0, admin: 127.0.0.1:0}}
windows: {{settle: 100ms}}
judging: {{catalogue: catalogue.json}}
store: {{folder: '{}', alarm_under: '1', refuse_under: '1'}}
alerts:
  receivers:
    - {{name: on-call, alertmanager: 'http://127.0.0.1:{managed}'}}
    - {{name: tickets, webhook: 'http://{hook}/'}}
telemetry: {{finding_events_endpoint: 'http://{hook}'}}
forward: {{endpoint: 'http://{hook}'}}
",
        at("data").display()
    );
    std::fs::write(at("hopseal.yaml"), text).expect("written");
    let serving = Serving::start(&at("hopseal.yaml"));
    serving.post("application/json", std::fs::read(EXAMPLE).expect("the example")).await;
    let events_of = |word: &str| {
        let events = events.lock().expect("no panic");
        let word = format!("hopseal.finding.{word}");
        events.iter().filter(|event| event["type"] == word.as_str()).count()
    };
    until("the spans", async || !forwarded.lock().expect("no panic").is_empty()).await;
    assert_eq!(forwarded.lock().expect("no panic")[0], std::fs::read(EXAMPLE).expect("the example"));
    until("the event", async || events_of("opened") == 1).await;
    until("the log record", async || records.lock().expect("no panic").len() == 1).await;
    let record = records.lock().expect("no panic").remove(0);
    assert_eq!(
        (record.event_name.as_str(), record.severity_text.as_str()),
        ("hopseal.finding.opened", "high")
    );
    let trace_id: String = record.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(events.lock().expect("no panic")[0]["data"]["trace_id"], trace_id);

    let _manager = manager(folder.path(), managed);
    let is_told = |state: &str| {
        let told = woken.lock().expect("no panic");
        told.iter().any(|(alert, now)| (alert.as_str(), now.as_str()) == ("HopsealFinding", state))
    };
    until("the alert", async || is_told("firing")).await;
    assert!(!is_told("resolved"));
    resolve_all(&serving).await;
    until("the end of the alert", async || is_told("resolved")).await;
    until("the end as an event", async || events_of("resolved") == 1).await;
    let metrics = serving.get(&serving.admin, "/metrics").await;
    assert!(metrics.contains("hopseal_alerts_total{to=\"webhook\",result=\"sent\"} 2"), "{metrics}");
    serving.stop();
}

//! A real Jaeger that is told of findings, behind a real OpenTelemetry Collector.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::alerts::{Started, port, until};
use crate::collector::{Collector, serving};
use crate::program::{hopseal, report};
use crate::serve::{EXAMPLE, ids};

/// Names the program.
const PROGRAM: &str = "HOPSEAL_JAEGER";

/// A Jaeger that keeps spans in memory.
struct Jaeger {
    _process: Started,
    otlp_grpc: u16,
    otlp_http: u16,
    query: u16,
}

impl Jaeger {
    fn start(folder: &Path) -> Self {
        let program = std::env::var_os(PROGRAM).expect("the program: `cargo xtask e2e jaeger`");
        let (otlp_grpc, otlp_http, query, query_grpc) = (port(), port(), port(), port());
        let text = format!(
            "service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines: {{traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}}}
  telemetry: {{metrics: {{level: none}}}}
extensions:
  jaeger_storage: {{backends: {{memory: {{memory: {{max_traces: 1000}}}}}}}}
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: '127.0.0.1:{query}'}}
    grpc: {{endpoint: '127.0.0.1:{query_grpc}'}}
receivers:
  otlp:
    protocols: {{grpc: {{endpoint: '127.0.0.1:{otlp_grpc}'}}, http: {{endpoint: '127.0.0.1:{otlp_http}'}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
"
        );
        let config = folder.join("jaeger.yaml");
        std::fs::write(&config, text).expect("written");
        let mut jaeger = Command::new(program);
        jaeger.arg("--config").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        Self { _process: Started(jaeger.spawn().expect("a Jaeger")), otlp_grpc, otlp_http, query }
    }

    /// Traces with a span of the service that has the tag, by its query API; none while it does not answer.
    async fn traces(&self, service: &str, tag: &str, value: &str) -> Vec<Value> {
        let tags = serde_json::json!({ tag: value }).to_string();
        let query = [
            ("service", service),
            ("tags", &tags),
            ("start", "0"),
            ("end", "4102444800000000"),
            ("limit", "20"),
        ];
        let at = format!("http://127.0.0.1:{}/api/traces", self.query);
        let at = reqwest::Url::parse_with_params(&at, &query).expect("an address");
        let Ok(answer) = reqwest::get(at).await else { return Vec::new() };
        let answer: Value = serde_json::from_str(&answer.text().await.expect("text")).expect("JSON");
        answer["data"].as_array().cloned().unwrap_or_default()
    }
}

/// Scenario: an application posts the example to a Collector, which sends it on to Jaeger and to the service; the service sends what
/// it finds to Jaeger.
/// Guarantees: asked for spans of that rule, Jaeger answers with the trace that lost the identity, in which the finding is a child of
/// the very hop, and an error.
#[tokio::test]
#[ignore = "takes an OpenTelemetry Collector and Jaeger: `cargo xtask e2e jaeger`"]
async fn jaeger_shows_findings_where_they_happened() {
    let folder = tempfile::tempdir().expect("a folder");
    let catalogue = folder.path().join("catalogue.json");
    let catalogue = catalogue.to_str().expect("text");
    hopseal(&["check", "--write-catalogue", catalogue, EXAMPLE]);
    let checked = report(&["check", "--catalogue", catalogue, "--format", "json", EXAMPLE]);
    let of_rule = |finding: &&Value| finding["rule"] == "identity_dropped";
    let expected = checked["findings"].as_array().expect("a list").iter().find(of_rule).expect("the finding");

    let jaeger = Jaeger::start(folder.path());
    let ours = port();
    let more = format!("telemetry: {{findings_endpoint: 'http://127.0.0.1:{}'}}", jaeger.otlp_http);
    let serving = serving(folder.path(), "hopseal", ours, &more);
    let collector = Collector::start(ours, jaeger.otlp_grpc);
    let example = std::fs::read_to_string(EXAMPLE).expect("the example");
    until("a Collector that takes spans", async || collector.post(example.clone()).await).await;
    until("the findings", async || serving.findings().await == ids(&checked, "/id")).await;
    let found = async || jaeger.traces("hopseal", "hopseal.finding.rule", "identity_dropped").await;
    until("Jaeger that knows them", async || !found().await.is_empty()).await;
    // The Collector may be slower than the service.
    until("Jaeger that knows the hop", async || {
        found().await.iter().any(|trace| span(trace, &expected["span_id"]).is_some())
    })
    .await;

    let [trace] = &found().await[..] else { panic!("one trace") };
    assert_eq!(trace["traceID"], expected["trace_id"]);
    let hop = span(trace, &expected["span_id"]).expect("the hop");
    assert_eq!(trace["processes"][hop["processID"].as_str().expect("a name")]["serviceName"], "payments");
    let named = |span: &&Value| span["operationName"] == "finding identity_dropped";
    let findings: Vec<&Value> = trace["spans"].as_array().expect("spans").iter().filter(named).collect();
    let [finding] = findings[..] else { panic!("one span: {findings:?}") };
    assert_eq!(finding["references"][0]["refType"], "CHILD_OF");
    assert_eq!(finding["references"][0]["spanID"], hop["spanID"]);
    for (key, value) in [("error", Value::Bool(true)), ("hopseal.finding.id", expected["id"].clone())] {
        let tag = finding["tags"].as_array().expect("tags").iter().find(|tag| tag["key"] == key);
        assert_eq!(tag.map(|tag| &tag["value"]), Some(&value), "{key}");
    }
    serving.stop();
}

/// The span of a trace with this id.
fn span<'t>(trace: &'t Value, id: &Value) -> Option<&'t Value> {
    trace["spans"].as_array()?.iter().find(|span| span["spanID"] == *id)
}

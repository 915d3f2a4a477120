//! A real OpenTelemetry Collector in front of real services, by the configuration that is shipped.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::alerts::{Started, port, until};
use crate::program::{hopseal, report};
use crate::serve::{EXAMPLE, Serving, ids};

/// Names the program.
const PROGRAM: &str = "HOPSEAL_OTELCOL";

/// A service that takes spans at this port, in that folder; `more` of its configuration.
pub(crate) fn serving(folder: &Path, name: &str, grpc: u16, more: &str) -> Serving {
    let config = folder.join(format!("{name}.yaml"));
    let text = format!(
        "listen: {{otlp_grpc: 127.0.0.1:{grpc}, otlp_http: 127.0.0.1:0, zipkin: null, api: 127.0.0.1:0, admin: 127.0.0.1:0}}
windows: {{settle: 100ms}}
judging: {{catalogue: catalogue.json}}
store: {{folder: '{}', alarm_under: '1', refuse_under: '1'}}
{more}
",
        folder.join(name).display()
    );
    std::fs::write(&config, text).expect("written");
    Serving::start(&config)
}

/// A Collector by the shipped configuration, which sends what it gets to these two ports.
pub(crate) struct Collector {
    _process: Started,
    http: u16,
}

impl Collector {
    pub(crate) fn start(hopseal: u16, jaeger: u16) -> Self {
        let program = std::env::var_os(PROGRAM).expect("the program: `cargo xtask e2e collector`");
        let (grpc, http) = (port(), port());
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../collector-config/otel-collector.yaml");
        let process = Command::new(program)
            .arg("--config")
            .arg(config)
            .env("OTLP_GRPC", format!("127.0.0.1:{grpc}"))
            .env("OTLP_HTTP", format!("127.0.0.1:{http}"))
            .env("HOPSEAL", format!("127.0.0.1:{hopseal}"))
            .env("JAEGER", format!("127.0.0.1:{jaeger}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a Collector");
        Self { _process: Started(process), http }
    }

    /// Posts spans as an application would; whether they were taken.
    pub(crate) async fn post(&self, body: String) -> bool {
        let request = reqwest::Client::new().post(format!("http://127.0.0.1:{}/v1/traces", self.http));
        let sent = request.header("content-type", "application/json").body(body).send().await;
        sent.is_ok_and(|answer| answer.status() == 200)
    }
}

/// Scenario: an application posts the example to a Collector, which sends it to two services, one in the place of Jaeger; then the
/// service is stopped, the example comes again in another trace, and the service is started again.
/// Guarantees: both find what `hopseal check` finds in the file; what came while the service was away is judged once it is back.
#[tokio::test]
#[ignore = "takes an OpenTelemetry Collector: `cargo xtask e2e collector`"]
async fn a_collector_sends_on_and_sends_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let catalogue = folder.path().join("catalogue.json");
    let catalogue = catalogue.to_str().expect("text");
    hopseal(&["check", "--write-catalogue", catalogue, EXAMPLE]);
    let checked = report(&["check", "--catalogue", catalogue, "--format", "json", EXAMPLE]);
    let expected = ids(&checked, "/id");
    assert!(!expected.is_empty());

    let (ours, theirs) = (port(), port());
    let first = serving(folder.path(), "hopseal", ours, "");
    let second = serving(folder.path(), "jaeger", theirs, "");
    let collector = Collector::start(ours, theirs);
    let example = std::fs::read_to_string(EXAMPLE).expect("the example");
    until("a Collector that takes spans", async || collector.post(example.clone()).await).await;
    until("the findings", async || first.findings().await == expected).await;
    until("the findings of the other", async || second.findings().await == expected).await;

    first.stop();
    let id = checked["traces"][0]["trace_id"].as_str().expect("an id");
    let other = format!("e{}", id.get(1..).expect("digits"));
    assert!(collector.post(example.replace(id, &other)).await);
    let again = serving(folder.path(), "hopseal", ours, "");
    until("the trace that came meanwhile", async || {
        let answer = reqwest::get(format!("http://{}/api/v1/traces/{other}", again.api)).await;
        match answer.expect("an answer").text().await.ok().and_then(|text| serde_json::from_str(&text).ok()) {
            Some(Value::Object(trace)) => trace.contains_key("hops"),
            _ => false,
        }
    })
    .await;
    again.stop();
    second.stop();
}

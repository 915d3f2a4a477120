//! The service, in a process of its own.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::alerts::until;
use crate::program::{hopseal, report};

/// Tells the process that is started where its configuration is.
const CONFIG: &str = "HOPSEAL_TEST_CONFIG";
pub(crate) const EXAMPLE: &str = "examples/checkout.otlp.json";

/// What is started.
#[test]
#[ignore = "run by the test beside it, in a process of its own"]
fn serving() {
    let config = std::env::var(CONFIG).expect("told");
    let run = hopseal(&["serve", "--config", &config]);
    assert_eq!((run.status, run.err.as_str()), (0, ""));
}

/// A service, and where it listens.
pub(crate) struct Serving {
    process: Child,
    pub(crate) spans: String,
    pub(crate) api: String,
    pub(crate) admin: String,
}

impl Serving {
    pub(crate) fn start(config: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "serve::serving", "--ignored", "--nocapture"])
            .env(CONFIG, config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let mut address = |of: &str| loop {
            let line = lines.next().expect("it listens").expect("a line");
            if line.contains(&format!("listening for {of}")) {
                break line.split("address=").nth(1).expect("an address").trim().to_owned();
            }
        };
        let (spans, api, admin) = (address("otlp_http"), address("api"), address("admin"));
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, spans, api, admin }
    }

    /// The most memory that it ever took, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    pub(crate) async fn get(&self, at: &str, path: &str) -> String {
        let response = reqwest::get(format!("http://{at}{path}")).await.expect("an answer");
        assert!(response.status().is_success(), "{path}: {}", response.status());
        response.text().await.expect("text")
    }

    /// Posts spans, which have to be taken.
    pub(crate) async fn post(&self, kind: &str, body: Vec<u8>) {
        let request = reqwest::Client::new()
            .post(format!("http://{}/v1/traces", self.spans))
            .header("content-type", kind)
            .body(body);
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    }

    pub(crate) async fn findings(&self) -> BTreeSet<String> {
        let text = self.get(&self.api, "/api/v1/findings?limit=1000").await;
        ids(&serde_json::from_str(&text).expect("JSON"), "/finding/id")
    }

    /// The signal to stop, and its end.
    pub(crate) fn stop(mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("sent").success());
        assert!(self.process.wait().expect("ended").success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let _ = self.process.kill();
    }
}

/// The ids of findings, each at this place of its entry.
pub(crate) fn ids(findings: &Value, place: &str) -> BTreeSet<String> {
    let id = |entry: &Value| entry.pointer(place).and_then(Value::as_str).expect("an id").to_owned();
    findings["findings"].as_array().expect("a list").iter().map(id).collect()
}

/// Scenario: the example is posted to a running service, twice; then the signal to stop, and a second process in its place.
/// Guarantees: it says whether it is ready; `hopseal top` shows what it found; the findings are those of `hopseal check` with the same catalogue, the trail has every hop once, metrics count
/// what was received, and both outlive the process.
#[tokio::test]
async fn what_is_received_is_judged_as_check_does_and_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (config, catalogue, data) = (at("hopseal.yaml"), at("catalogue.json"), at("data"));
    hopseal(&["check", "--write-catalogue", &catalogue, EXAMPLE]);
    let checked = report(&["check", "--catalogue", &catalogue, "--format", "json", EXAMPLE]);
    let expected = ids(&checked, "/id");
    assert!(!expected.is_empty());
    let text = format!(
        "listen: {{otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, api: 127.0.0.1:0, admin: 127.0.0.1:0}}
windows: {{settle: 100ms}}
judging: {{catalogue: catalogue.json}}
store: {{folder: '{data}', alarm_under: '1', refuse_under: '1'}}
"
    );
    std::fs::write(&config, text).expect("written");

    let serving = Serving::start(Path::new(&config));
    let body = std::fs::read(EXAMPLE).expect("the example");
    for _ in 0..2 {
        serving.post("application/json", body.clone()).await;
    }
    let mut found = BTreeSet::new();
    for _ in 0..600 {
        found = serving.findings().await;
        if found.len() >= expected.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(found, expected);
    let metrics = serving.get(&serving.admin, "/metrics").await;
    let spans = 2 * checked["input"]["spans"].as_u64().expect("a number");
    let counted = format!("hopseal_receive_spans_total{{protocol=\"otlp_http\"}} {spans}");
    assert!(metrics.lines().any(|line| line == counted), "{counted} in {metrics}");
    let asked = at("asked.yaml");
    std::fs::write(&asked, format!("listen: {{admin: '{}'}}", serving.admin)).expect("written");
    let ready = || hopseal(&["serve", "--config", &asked, "--ready"]);
    assert_eq!((ready().status, ready().err.as_str()), (0, ""));
    let top = |api: &str, since: &str| {
        let (url, since) = (format!("http://{api}"), since.to_owned());
        tokio::task::spawn_blocking(move || hopseal(&["top", "--url", &url, "--period", &since]))
    };
    let shown = top(&serving.api, "24h").await.expect("no panic");
    assert_eq!((shown.status, shown.err.as_str()), (0, ""));
    assert!(shown.out.contains("identity_dropped") && shown.out.contains("hops/min"), "{}", shown.out);
    let api = serving.api.clone();
    serving.stop();
    assert_eq!(top(&api, "15m").await.expect("no panic").status, 3);
    let gone = ready();
    assert_eq!(gone.status, 1);
    assert!(gone.err.contains("is not ready"), "{}", gone.err);

    let serving = Serving::start(Path::new(&config));
    assert_eq!(serving.findings().await, expected);
    for trace in checked["traces"].as_array().expect("traces") {
        let id = trace["trace_id"].as_str().expect("an id");
        let kept = hopseal(&["trail", "trace", id, "--data", &data, "--format", "json"]);
        let kept: Value = serde_json::from_str(&kept.out).expect("JSON");
        let hops = |of: &Value| -> Vec<(Value, Value)> {
            let hops = of["hops"].as_array().expect("hops");
            hops.iter().map(|hop| (hop["span_id"].clone(), hop["assurance"].clone())).collect()
        };
        assert_eq!(hops(&kept), hops(trace), "{id}");
    }
    serving.stop();
}

/// Scenario: findings are sent out as spans to a backend that answers 503 at first, and that sends what it takes back to the service.
/// Guarantees: the finding arrives in its trace; what comes back is taken and changes nothing.
#[tokio::test]
async fn findings_are_sent_out_and_may_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (config, catalogue, data) = (at("hopseal.yaml"), at("catalogue.json"), at("data"));
    hopseal(&["check", "--write-catalogue", &catalogue, EXAMPLE]);
    let taken = Arc::new(Mutex::new((0, Vec::<Vec<u8>>::new())));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let backend = listener.local_addr().expect("an address");
    let router = {
        let taken = Arc::clone(&taken);
        axum::Router::new().fallback(async move |body: axum::body::Bytes| {
            let mut taken = taken.lock().expect("no panic");
            taken.0 += 1;
            if taken.0 == 1 {
                return http::StatusCode::SERVICE_UNAVAILABLE;
            }
            taken.1.push(body.to_vec());
            http::StatusCode::OK
        })
    };
    tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
    let text = format!(
        "listen: {{otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, api: 127.0.0.1:0, admin: 127.0.0.1:0}}
windows: {{settle: 100ms}}
judging: {{catalogue: catalogue.json}}
telemetry: {{findings_endpoint: 'http://{backend}'}}
store: {{folder: '{data}', alarm_under: '1', refuse_under: '1'}}
"
    );
    std::fs::write(&config, text).expect("written");
    let serving = Serving::start(Path::new(&config));
    serving.post("application/json", std::fs::read(EXAMPLE).expect("the example")).await;
    let sent = || taken.lock().expect("no panic").1.clone();
    until("findings", async || !sent().is_empty()).await;
    let [body] = &sent()[..] else { panic!("{} requests", sent().len()) };
    let has = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
    let trace_id = 0xfb45_0e28_d3af_a623_cb28_6238_a74c_ee36_u128.to_be_bytes();
    for part in [&trace_id[..], b"finding identity_dropped", b"hopseal.finding.id", b"payments"] {
        assert!(has(part), "{}", String::from_utf8_lossy(part));
    }
    assert!(!has(b"alice"), "no principal leaves");

    let before = serving.get(&serving.api, "/api/v1/traces/fb450e28d3afa623cb286238a74cee36").await;
    serving.post("application/x-protobuf", body.clone()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = serving.get(&serving.api, "/api/v1/traces/fb450e28d3afa623cb286238a74cee36").await;
    assert_eq!(before, after);
    assert_eq!(sent().len(), 1, "nothing is told twice");
    serving.stop();
}

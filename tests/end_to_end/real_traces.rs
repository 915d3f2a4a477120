//! Traces that others recorded, in the folder of the variable `HOPSEAL_TRACES`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt as _, stream};
use serde_json::Value;

use crate::alerts::{port, until};
use crate::grpc::{connect, export, prefix};
use crate::program::{hopseal, report};
use crate::serve::{Serving, ids};

/// A file that is too big to be kept here, in the folder that a variable names. `None` where the variable is not set, which is
/// said on the terminal though the test passes; a folder that is named has to be there.
fn published(variable: &str, name: &str) -> Option<std::path::PathBuf> {
    let Some(folder) = std::env::var_os(variable).map(std::path::PathBuf::from) else {
        // Not by `eprintln!`, which is not seen of tests that pass.
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let _ =
            writeln!(std::io::stderr(), "SKIPPED {test}: {variable} does not name the folder of `{name}`");
        return None;
    };
    assert!(folder.is_dir(), "{variable} names {}, which is no folder", folder.display());
    Some(folder.join(name))
}

/// The report on a real trace; `None`, said so, where the folder is not at hand.
fn real(name: &str) -> Option<Value> {
    let path = published("HOPSEAL_TRACES", name)?;
    Some(report(&["check", "--format", "json", path.to_str().unwrap()]))
}

/// Findings counted by `severity confidence rule service`.
fn counted(report: &Value) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for finding in report["findings"].as_array().unwrap() {
        let word = |key: &str| finding[key].as_str().unwrap();
        let line =
            format!("{} {} {} {}", word("severity"), word("confidence"), word("rule"), word("service"));
        *counts.entry(line).or_default() += 1;
    }
    counts
}

/// Scenario: one request of a smart-home installation, 1 041 Zipkin spans of fourteen services.
/// Guarantees: each entry is a hop, each identity is seen, what was dropped is found, static files are set aside.
#[test]
fn a_mobile_installation() {
    let Some(report) = real("smartthings-install.zipkin-v2.json") else { return };
    assert_eq!(report["coverage"]["hops"], 326);
    assert_eq!(report["coverage"]["identified"], 104);
    assert_eq!(report["coverage"]["uncovered"], 196);
    let hops = report["traces"][0]["hops"].as_array().unwrap();
    let services = hops.iter().filter(|hop| hop["principal"]["kind"] == "service").count();
    assert_eq!(services, 16);
    let counts = counted(&report);
    assert_eq!(counts.get("high likely identity_dropped coreSrv"), Some(&13));
    assert_eq!(counts.get("high likely identity_dropped strongman"), Some(&1));
    let dropped: u64 =
        counts.iter().filter(|(line, _)| line.contains("identity_dropped")).map(|(_, n)| n).sum();
    assert_eq!(dropped, 14);
    assert!(
        !counts.keys().any(|line| line.contains("identity_swapped") && !line.contains("hint")),
        "{counts:?}"
    );
    let suppressed: Vec<(&str, &str, u64)> = report["suppressed"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["rule"] == "identity_dropped")
        .map(|it| {
            (it["reason"].as_str().unwrap(), it["service"].as_str().unwrap(), it["count"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(suppressed, [("static", "stLogin", 8), ("static", "strongman", 4)]);
}

/// Scenario: two traces without any identity, one with skewed clocks, one through a broker.
/// Guarantees: what nobody was asked to show is no finding that anybody has to act on.
#[test]
fn nothing_to_act_on() {
    for name in ["clock-skew.zipkin-v2.json", "messaging-kafka.zipkin-v2.json"] {
        let Some(report) = real(name) else { return };
        let grave: Vec<String> = counted(&report)
            .into_keys()
            .filter(|line| line.starts_with("high") || line.starts_with("medium"))
            .collect();
        assert_eq!(grave, [""; 0], "{name}");
    }
}

/// Scenario: a service passes a login token on in the path of a URL, and its spans carry it.
/// Guarantees: it is found, and no output of any format shows it.
#[test]
fn a_login_token_in_urls() {
    let name = "train-ticket-login.zipkin-v1.json";
    let (Some(path), Some(report)) = (published("HOPSEAL_TRACES", name), real(name)) else { return };
    let found = report["findings"].as_array().unwrap();
    assert!(found.iter().any(|finding| finding["rule"] == "credential_in_telemetry"), "{found:?}");
    for format in ["table", "json", "jsonl", "sarif", "junit", "ocsf"] {
        for hops in ["findings", "all"] {
            let run = hopseal(&["check", "--format", format, "--hops", hops, path.to_str().unwrap()]);
            let shown = run.out.to_lowercase();
            // The token, and as much of it as a span name cut short still holds.
            assert!(!shown.contains("2aaa7d4d-faf0"), "{format} shows the token");
        }
    }
}

/// Scenario: an assistant calls agents and tools, and no span names a user.
/// Guarantees: every agent and every tool call through the gateway is recognised.
#[test]
fn agents_and_tools() {
    let Some(report) = real("genai-agents.jaeger.json") else { return };
    let mut services: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["rule"] == "agent_without_principal")
        .map(|finding| finding["service"].as_str().unwrap())
        .collect();
    services.sort_unstable();
    services.dedup();
    assert_eq!(services, ["coding-agent", "mcp-gateway", "summarizer-agent"]);
}

/// Scenario: one trace of Python and Node services, as OTLP JSON and as protobuf.
/// Guarantees: both give the same report, word for word.
#[test]
fn two_encodings_of_one_trace() {
    let Some(json) = real("trace-python-flask-node-fastapi.otlp.json") else { return };
    let Some(protobuf) = real("trace-python-flask-node-fastapi.otlp.pb") else { return };
    assert_eq!(json, protobuf);
    assert_eq!(json["coverage"]["identified"], 3);
}

/// A way in which a recorded body is sent.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// To this path, as this media type, and compressed if so.
    Http(&'static str, &'static str, bool),
    Grpc,
    Zipkin(bool),
}

/// Sends it to a service, and asks until all is there that `check` found. The hops and findings that are there then.
async fn live(way: Way, body: Vec<u8>, catalogue: &str, checked: &Value) -> (Vec<Value>, BTreeSet<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("hopseal.yaml");
    let (grpc, zipkin) = (format!("127.0.0.1:{}", port()), format!("127.0.0.1:{}", port()));
    let text = format!(
        "listen: {{otlp_grpc: '{grpc}', otlp_http: 127.0.0.1:0, zipkin: '{zipkin}', api: 127.0.0.1:0, admin: 127.0.0.1:0}}
# Rules over many traces are asked when their hour, of years ago, was quiet for as long.
windows: {{settle: 100ms, max_age: 1s}}
judging: {{catalogue: '{catalogue}'}}
store: {{folder: '{}', alarm_under: '1', refuse_under: '1'}}
",
        folder.path().join("data").display()
    );
    std::fs::write(&config, text).expect("written");
    let serving = Serving::start(Path::new(&config));
    let (address, path, media_type, gzip) = match way {
        Way::Http(path, media_type, gzip) => (serving.spans.clone(), path, media_type, gzip),
        Way::Zipkin(gzip) => (zipkin, "/api/v2/spans", "application/json", gzip),
        Way::Grpc => {
            // Large bodies come in many pieces.
            let pieces: Vec<Vec<u8>> = body.chunks(16_384).map(<[u8]>::to_vec).collect();
            let pieces = stream::iter([prefix(body.len())]).chain(stream::iter(pieces));
            export(connect(&grpc).await, pieces).await.expect("taken");
            return judged(serving, checked).await;
        }
    };
    let request = reqwest::Client::new().post(format!("http://{address}{path}"));
    let request = request.header("content-type", media_type);
    let request = if gzip {
        let mut to = GzEncoder::new(Vec::new(), Compression::fast());
        to.write_all(&body).expect("compressed");
        request.header("content-encoding", "gzip").body(to.finish().expect("compressed"))
    } else {
        request.body(body)
    };
    let answer = request.send().await.expect("an answer");
    assert!(answer.status().is_success(), "{way:?}: {}", answer.status());
    judged(serving, checked).await
}

/// What of a hop has to be the same.
fn of_hop(hop: &Value) -> Value {
    let keys = ["span_id", "service", "operation", "kind", "assurance", "basis", "uncovered", "principal"];
    let mut same: BTreeMap<&str, Value> = keys.into_iter().map(|key| (key, hop[key].clone())).collect();
    for key in ["start_unix_nano", "end_unix_nano"] {
        same.insert(key, hop[key].clone());
    }
    // The trail names no issuers of actors.
    for actor in same.get_mut("principal").and_then(|it| it["actors"].as_array_mut()).into_iter().flatten() {
        actor.as_object_mut().expect("an object").remove("issuer");
    }
    serde_json::to_value(same).expect("JSON")
}

async fn judged(serving: Serving, checked: &Value) -> (Vec<Value>, BTreeSet<String>) {
    let mut hops = Vec::new();
    for trace in checked["traces"].as_array().expect("traces") {
        let path =
            format!("http://{}/api/v1/traces/{}", serving.api, trace["trace_id"].as_str().expect("an id"));
        let mut found = Value::Null;
        until("the trace", async || {
            let answer = reqwest::get(&path).await.expect("an answer").text().await.expect("text");
            found = serde_json::from_str(&answer).expect("JSON");
            found["hops"].is_array()
        })
        .await;
        hops.extend(found["hops"].as_array().expect("hops").iter().map(of_hop));
    }
    let expected = ids(checked, "/id");
    until("the findings", async || serving.findings().await.is_superset(&expected)).await;
    let found = serving.findings().await;
    serving.stop();
    (hops, found)
}

/// Scenario: what SDKs and tracers really sent, recorded, is posted to a running service by each protocol that it fits.
/// Guarantees: it is taken, and the hops and the findings are those of `hopseal check` in the same file with the same catalogue.
#[tokio::test]
async fn what_was_recorded_is_judged_live_as_from_a_file() {
    let json = |gzip| Way::Http("/v1/traces", "application/json", gzip);
    let protobuf = |gzip| Way::Http("/v1/traces", "application/x-protobuf", gzip);
    for (name, ways) in [
        ("trace-python-flask-node-fastapi.otlp.json", &[json(false), json(true)][..]),
        ("trace-python-flask-node-fastapi.otlp.pb", &[protobuf(false), protobuf(true), Way::Grpc]),
        ("clock-skew.zipkin-v2.json", &[Way::Zipkin(false), Way::Zipkin(true)]),
        ("messaging-kafka.zipkin-v2.json", &[Way::Zipkin(false)]),
        ("smartthings-install.zipkin-v2.json", &[Way::Zipkin(false), Way::Zipkin(true)]),
    ] {
        let Some(path) = published("HOPSEAL_TRACES", name) else { return };
        let folder = tempfile::tempdir().expect("a folder");
        let catalogue = folder.path().join("catalogue.json");
        let (path, catalogue) = (path.to_str().expect("text"), catalogue.to_str().expect("text"));
        hopseal(&["check", "--write-catalogue", catalogue, path]);
        let checked = report(&["check", "--catalogue", catalogue, "--format", "json", "--hops", "all", path]);
        let traces = checked["traces"].as_array().expect("traces");
        let expected: Vec<Value> =
            traces.iter().flat_map(|trace| trace["hops"].as_array().expect("hops")).map(of_hop).collect();
        assert!(!expected.is_empty(), "{name}");
        for way in ways {
            let body = std::fs::read(path).expect("a recorded body");
            let (hops, findings) = live(*way, body, catalogue, &checked).await;
            assert_eq!(hops, expected, "{name} {way:?}");
            assert_eq!(findings, ids(&checked, "/id"), "{name} {way:?}");
        }
    }
}

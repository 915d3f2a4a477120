//! Traces that others recorded, in the folder of the variable `HOPSEAL_TRACES`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::program::{hopseal, report};

/// A file that is too big to be kept here, in the folder that a variable names. `None` where the variable is not set, which is
/// said on the terminal though the test passes; a folder that is named has to be there.
fn published(variable: &str, name: &str) -> Option<std::path::PathBuf> {
    use std::io::Write as _;

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

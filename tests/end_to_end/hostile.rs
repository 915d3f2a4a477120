//! Input made to do harm: bounded time and memory, a clear message, and nothing good lost.

use std::fmt::Write as _;
use std::io::Write as _;

use serde_json::{Value, json};

use crate::program::{hopseal, report};

/// One OTLP span of service `gw`; ids are numbers.
fn span(trace: u64, id: u64, parent: u64, extra: Value) -> Value {
    let mut span = json!({
        "traceId": format!("{trace:032x}"),
        "spanId": format!("{id:016x}"),
        "parentSpanId": if parent == 0 { String::new() } else { format!("{parent:016x}") },
        "name": "GET /",
        "kind": 2,
        "startTimeUnixNano": (1_767_225_600_000_000_000 + id).to_string(),
        "endTimeUnixNano": (1_767_225_600_000_100_000 + id).to_string(),
        "attributes": [],
    });
    for (key, value) in extra.as_object().unwrap() {
        span[key] = value.clone();
    }
    span
}

fn service(name: &str, spans: Vec<Value>) -> Value {
    let attributes = json!([{"key": "service.name", "value": {"stringValue": name}}]);
    json!({"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [{"spans": spans}]}]})
}

fn file(text: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    file
}

fn checked(text: &str) -> Value {
    report(&["check", "--format", "json", file(text.as_bytes()).path().to_str().unwrap()])
}

/// Scenario: spans that are their own parents, parents of one another, and under ids that no span may have.
/// Guarantees: cycles are cut and said, bad ids are refused with their place, and the good span is judged.
#[test]
fn cycles_and_bad_ids() {
    let spans = vec![
        span(1, 1, 1, json!({})),
        span(1, 2, 3, json!({})),
        span(1, 3, 2, json!({})),
        span(2, 9, 0, json!({"traceId": "00000000000000000000000000000000"})),
        span(2, 9, 0, json!({"spanId": "0000000000000000"})),
        span(2, 9, 0, json!({"spanId": "abc"})),
        span(2, 7, 0, json!({"attributes": [{"key": "user.id", "value": {"stringValue": "alice"}}]})),
    ];
    let report = checked(&service("gw", spans).to_string());
    assert_eq!(report["input"]["spans"], 4);
    assert_eq!(report["input"]["rejected"], 3);
    assert_eq!(report["coverage"]["identified"], 1);
    assert_eq!(report["traces"][0]["complete"], false);
    for rejection in report["input"]["rejections"].as_array().unwrap() {
        assert!(rejection["at"].as_str().unwrap().starts_with("byte "), "{rejection}");
        assert!(!rejection["reason"].as_str().unwrap().is_empty());
    }
}

/// Scenario: a call chain of twenty thousand hops.
/// Guarantees: it is walked without recursion, and every hop is there.
#[test]
fn a_deep_chain() {
    const DEPTH: u64 = 20_000;
    let mut lines = String::new();
    for id in 1..=DEPTH {
        let name = if id % 2 == 0 { "even" } else { "odd" };
        writeln!(lines, "{}", service(name, vec![span(1, id, id - 1, json!({}))])).unwrap();
    }
    let file = file(lines.as_bytes());
    let report = report(&["check", "--format", "json", "--hops", "none", file.path().to_str().unwrap()]);
    assert_eq!(report["coverage"]["hops"], DEPTH);
}

/// Scenario: lines of a file are cut off, are no JSON, are no UTF-8, or hold a value of ten megabytes.
/// Guarantees: each is refused with its line, and the lines beside it count.
#[test]
fn broken_lines() {
    let good = |id| service("gw", vec![span(id, id, 0, json!({}))]).to_string();
    let long = json!([{"key": "x", "value": {"stringValue": "A".repeat(10_000_000)}}]);
    let mut text = format!("{}\n{{\"resourceSpans\": [\n{}\nnot json\n", good(1), good(2)).into_bytes();
    text.extend_from_slice(b"\xff\xfe\n");
    text.extend_from_slice(
        service("gw", vec![span(3, 3, 0, json!({"attributes": long}))]).to_string().as_bytes(),
    );
    text.extend_from_slice(format!("\n{}\n", good(4)).as_bytes());
    let file = file(&text);
    let path = file.path().to_str().unwrap();
    let report = report(&["check", "--format", "json", path]);
    assert_eq!(report["coverage"]["hops"], 4, "{}", report["input"]);
    assert!(report["input"]["rejected"].as_u64().unwrap() >= 3, "{}", report["input"]);
    assert_eq!(hopseal(&["check", path]).status, 0);
    assert_eq!(hopseal(&["check", "--strict", path]).status, 3);
}

/// Scenario: files that are missing, empty, of no known format, a folder; beside one that is good.
/// Guarantees: status 3, each is named with a reason, and the good one is judged all the same.
#[test]
fn files_that_cannot_be_read() {
    let good = file(service("gw", vec![span(1, 1, 0, json!({}))]).to_string().as_bytes());
    let (empty, noise) = (file(b""), file(b"PK\x03\x04 this is no trace"));
    let folder = tempfile::tempdir().unwrap();
    for bad in [
        "no/such/file.json",
        empty.path().to_str().unwrap(),
        noise.path().to_str().unwrap(),
        folder.path().to_str().unwrap(),
    ] {
        let run = hopseal(&["check", "--format", "json", bad, good.path().to_str().unwrap()]);
        assert_eq!(run.status, 3, "{bad}");
        assert!(run.err.contains(bad), "{}", run.err);
        let report: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(report["coverage"]["hops"], 1, "{bad}");
        assert_eq!(report["input"]["rejections"][0]["file"], bad);
    }
}

/// Scenario: the same spans in another order, delivered twice, and sorted on disk for want of memory.
/// Guarantees: the same findings under the same ids.
#[test]
fn neither_order_nor_memory_changes_the_result() {
    let mut lines = Vec::new();
    for trace in 1..=600 {
        let user = json!([{"key": "user.id", "value": {"stringValue": format!("u{trace}")}}]);
        // Values that make the whole larger than the memory given below.
        let bulk = json!([{"key": "url.full", "value": {"stringValue": "/".repeat(4000)}}]);
        lines.push(service("gw", vec![span(trace, 1, 0, json!({"attributes": user}))]).to_string());
        let client = span(trace, 2, 1, json!({"kind": 3, "attributes": bulk}));
        lines.push(service("gw", vec![client]).to_string());
        let shows = if trace % 3 == 0 { json!([]) } else { user.clone() };
        lines.push(service("orders", vec![span(trace, 3, 2, json!({"attributes": shows}))]).to_string());
    }
    let whole = |lines: &[String], memory: &str| {
        let file = file(lines.join("\n").as_bytes());
        let path = file.path().to_str().unwrap();
        let mut report = report(&["check", "--format", "json", "--memory", memory, path]);
        report.as_object_mut().unwrap().remove("input");
        report
    };
    let once = whole(&lines, "1G");
    assert_eq!(
        once["findings"].as_array().unwrap().iter().filter(|it| it["rule"] == "identity_dropped").count(),
        200
    );
    let mut shuffled: Vec<String> = lines.iter().chain(&lines).cloned().collect();
    shuffled.sort_by_key(|line| line.bytes().rev().map(u64::from).take(400).sum::<u64>());
    assert_eq!(whole(&shuffled, "1G"), once, "shuffled and delivered twice");
    assert_eq!(whole(&shuffled, "1M"), once, "sorted on disk");
}

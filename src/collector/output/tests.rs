//! Every format of one small report, as files that people can read.

use hopseal_correlate::finding::{Confidence, Finding, Subject, Who};
use hopseal_correlate::judge::Verdict;
use hopseal_correlate::report::{Coverage, Input, ListHops, Rejection, Report, SuppressedRow, Tally};
use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_correlate::suppress::Reason;
use hopseal_identity::Kind;

use super::*;
use crate::check::{Baseline, Exit, FailOn};

const GATE: Gate = Gate { fail_on: FailOn::High, min_coverage: None, min_proven: None, strict: false };

fn checked() -> Checked {
    let span = |id| Subject::Span { trace_id: TraceId([7; 16]), span_id: SpanId([id; 8]), server: true };
    let finding = |rule, id, service: &str, confidence| {
        let mut finding = Finding::new(rule, span(id), "")
            .message(format!("`gateway` acted for a user, `{service}` received no identity"))
            .evidence("last_identified_service", "gateway")
            .unsure(confidence, "this operation has never shown an identity");
        finding.caller = Some("gateway".to_owned());
        finding.service = service.to_owned();
        finding.operation = "GET /items?<script>".to_owned();
        finding.at = 1_767_225_600_000_000_000;
        finding.before = Some(Who {
            id: "alice@example.org".to_owned(),
            kind: Kind::User,
            issuer: Some("idp".to_owned()),
            tenant: None,
            actors: Vec::new(),
        });
        finding.grouped()
    };
    let mut tally = Tally::new(ListHops::None);
    tally.add_findings(Verdict {
        findings: vec![
            finding(Rule::IdentityDropped, 1, "catalog", Confidence::Likely),
            finding(Rule::NeverEstablished, 2, "cart", Confidence::Hint),
        ],
        ..Verdict::default()
    });
    let input = Input {
        files: 1,
        spans: 9,
        rejected: 1,
        rejections: vec![Rejection {
            file: "a.json".into(),
            at: "line 3".into(),
            reason: "no span id".into(),
        }],
        ..Input::default()
    };
    let mut report: Report = tally.finish(input);
    report.coverage = Coverage { hops: 4, identified: 2, proven: 0, uncovered: 1 };
    let files = vec!["out/a b.json".into(), "c.json".into()];
    Checked { report, baseline: None, unreadable: Vec::new(), files, unsaved: None }
}

fn written(format: Format) -> String {
    said(format, &checked(), &GATE)
}

fn said(format: Format, checked: &Checked, gate: &Gate) -> String {
    let mut out = Vec::new();
    write(format, false, checked, gate, &mut out).expect("a vector takes everything");
    String::from_utf8(out).expect("text")
}

/// Two credentials of one group, of which an earlier run knew the first.
fn one_known() -> Checked {
    let credential = |class, key: &str, id| {
        let subject = Subject::Span { trace_id: TraceId([7; 16]), span_id: SpanId([id; 8]), server: true };
        let mut finding = Finding::new(Rule::CredentialInTelemetry, subject, class)
            .message(format!("`shop` sent a credential ({class}) in `{key}`"))
            .evidence("class", class)
            .evidence("key", key);
        finding.service = "shop".to_owned();
        finding.operation = "GET /o".to_owned();
        finding.grouped()
    };
    let findings = vec![credential("jwt", "x", 1), credential("private_key", "y", 2)];
    let baseline = Some(Baseline::of(&findings[..1]));
    let mut tally = Tally::new(ListHops::None);
    tally.add_findings(Verdict { findings, ..Verdict::default() });
    Checked { report: tally.finish(Input::default()), baseline, ..checked() }
}

/// Each format names every credential of a group, and says which are new.
#[test]
fn what_is_new_is_told_from_what_is_known() {
    for (format, new, known) in [
        (
            Format::Table,
            "high  credential_in_telemetry  shop  GET /o  x2  certain  new\n      `shop` sent a credential (private_key)",
            "      and x1, known: `shop` sent a credential (jwt) in `x`",
        ),
        (Format::Junit, "(private_key) in `y` (high, x1, new)", "(jwt) in `x` (high, x1, known)"),
    ] {
        let text = said(format, &one_known(), &GATE);
        assert!(text.contains(new) && text.contains(known), "{text}");
        let text = said(format, &Checked { baseline: None, ..one_known() }, &GATE);
        assert!(text.contains("(jwt)") && text.contains("(private_key)"), "{text}");
        assert!(!text.contains(", known"), "{text}");
    }
    for (format, results, state, new, known) in [
        (Format::Json, "/findings", "/new", "true", "false"),
        (Format::Sarif, "/runs/0/results", "/baselineState", "\"new\"", "\"unchanged\""),
    ] {
        let value: serde_json::Value =
            serde_json::from_str(&said(format, &one_known(), &GATE)).expect("json");
        let results = value.pointer(results).and_then(serde_json::Value::as_array).expect("a list");
        let mut states: Vec<String> =
            results.iter().map(|it| it.pointer(state).expect("a state").to_string()).collect();
        states.sort_unstable();
        let mut expected = [new, known];
        expected.sort_unstable();
        assert_eq!(states, expected, "{format:?}");
    }
    let value: serde_json::Value =
        serde_json::from_str(&said(Format::Json, &one_known(), &GATE)).expect("json");
    assert_eq!(value["groups"][0]["new"], true);
    for line in said(Format::Ocsf, &one_known(), &GATE).lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("json");
        assert_eq!(event["unmapped"]["new"], event["unmapped"]["evidence"]["class"] == "private_key");
    }
}

/// What fails a run besides findings stands in each format that has a place for it.
#[test]
fn a_minimum_missed_and_a_file_unread_are_said() {
    let gate = Gate { min_coverage: Some(0.9), min_proven: Some(0.0), ..GATE };
    let unread = Rejection { file: "b.json".into(), at: String::new(), reason: "the input is empty".into() };
    let checked = Checked { unreadable: vec![unread], ..checked() };
    let missed = "--min-coverage 0.9: 2 of 4 hops are identified (50.0 %)";
    for format in [Format::Table, Format::Sarif, Format::Junit] {
        let text = said(format, &checked, &gate);
        assert!(text.contains(missed) && text.contains("the input is empty"), "{text}");
        assert!(!text.contains("--min-proven 0"), "{text}");
    }
    let sarif: serde_json::Value = serde_json::from_str(&said(Format::Sarif, &checked, &gate)).expect("json");
    assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], false);
    let junit =
        quick_junit::Report::deserialize_from_str(&said(Format::Junit, &checked, &gate)).expect("JUnit");
    assert_eq!((junit.errors, junit.failures), (1, 2));
    let json: serde_json::Value = serde_json::from_str(&said(Format::Json, &checked, &gate)).expect("json");
    assert_eq!(json["input"]["unreadable"], 1);
    assert_eq!(
        json["missed"],
        serde_json::json!([{"minimum": "coverage", "least": 0.9, "reached": 2, "hops": 4}])
    );
}

/// XML has no U+FFFE and U+FFFF, not even escaped.
#[test]
fn junit_holds_only_what_xml_can() {
    let mut checked = checked();
    for text in ["\u{fffe}", "\u{ffff}", "\u{8}"] {
        checked.report.groups[0].service.push_str(text);
        checked.report.groups[0].operation.push_str(text);
        checked.report.findings[0].message.push_str(text);
        checked.report.findings[0].evidence.insert("key", text.to_owned());
    }
    let text = said(Format::Junit, &checked, &GATE);
    let is_xml = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    assert!(text.chars().all(is_xml), "{text}");
    assert!(quick_junit::Report::deserialize_from_str(&text).is_ok());
}

/// Takes nothing.
struct Closed(std::io::ErrorKind);

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// In every format a closed pipe is told from a full disk, and neither is an unreadable file.
#[test]
fn output_that_cannot_be_written() {
    for format in [Format::Table, Format::Json, Format::Jsonl, Format::Sarif, Format::Junit, Format::Ocsf] {
        for (kind, closed) in
            [(std::io::ErrorKind::BrokenPipe, true), (std::io::ErrorKind::StorageFull, false)]
        {
            let error = write(format, false, &checked(), &GATE, &mut Closed(kind)).expect_err("it fails");
            assert_eq!((error.is_closed_pipe(), error.exit()), (closed, Exit::Usage), "{format:?}");
        }
    }
}

/// The most frequent are listed, the others counted.
#[test]
fn quieted_operations_are_named() {
    let mut checked = checked();
    let operations = (0..23).map(|number| (format!("GET /{number:02}"), 100 - number)).collect();
    let row = SuppressedRow { count: 2047, expires: None, operations };
    checked.report.suppressed.insert((Rule::NeverEstablished, Reason::Static, "web".to_owned()), row);
    let json: serde_json::Value = serde_json::from_str(&said(Format::Json, &checked, &GATE)).expect("json");
    let row = &json["suppressed"][0];
    assert_eq!(row["operations"].as_array().map(Vec::len), Some(20));
    assert_eq!(row["operations"][0], serde_json::json!({"operation": "GET /00", "count": 100}));
    assert_eq!(row["more_operations"], 3);
    let table = said(Format::Table, &checked, &GATE);
    assert!(table.contains("x2047  GET /00, GET /01, GET /02, 20 more"), "{table}");
}

#[test]
fn json_as_the_contract_says() {
    insta::assert_snapshot!(written(Format::Json));
}

#[test]
fn one_line_each() {
    let lines = written(Format::Jsonl);
    assert_eq!(lines.lines().count(), 2);
    for line in lines.lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("json");
        assert_eq!(value["type"], "finding");
    }
}

#[test]
fn sarif_is_read_back_by_others() {
    let log: serde_sarif::sarif::Sarif = serde_json::from_str(&written(Format::Sarif)).expect("SARIF");
    let results = log.runs[0].results.as_ref().expect("results");
    assert_eq!(results.len(), 2);
    assert_eq!(results[0].rule_id.as_deref(), Some("identity_dropped"));
    for result in results {
        let place =
            result.locations.as_ref().and_then(|all| all[0].physical_location.as_ref()).expect("a place");
        let file = place.artifact_location.as_ref().and_then(|file| file.uri.as_deref());
        assert_eq!(
            (file, place.region.as_ref().and_then(|it| it.start_line)),
            (Some("out/a%20b.json"), Some(1))
        );
    }
    let mut value: serde_json::Value = serde_json::from_str(&written(Format::Sarif)).expect("json");
    // The rules' texts have their own tests; here they would hide the shape.
    value["runs"][0]["tool"]["driver"]["rules"].as_array_mut().expect("rules").truncate(1);
    value["runs"][0]["tool"]["driver"]["semanticVersion"] = "x.y.z".into();
    insta::assert_json_snapshot!(value);
}

#[test]
fn junit_is_read_back_by_others() {
    let text = written(Format::Junit);
    let report = quick_junit::Report::deserialize_from_str(&text).expect("JUnit");
    assert_eq!((report.test_suites.len(), report.failures), (Rule::ALL.len() + 1, 1), "a hint fails no case");
    let shown: Vec<&str> = text
        .split("<testsuite ")
        .skip(1)
        .filter(|suite| !suite.contains("no findings") && !suite.contains("could be read"))
        .collect();
    insta::assert_snapshot!(shown.join("<testsuite "));
}

#[test]
fn ocsf_events() {
    let text = written(Format::Ocsf).replace(env!("CARGO_PKG_VERSION"), "x.y.z");
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
    assert_eq!(events.len(), 2);
    insta::assert_json_snapshot!(events[0]);
}

#[test]
fn what_leaves_the_machine_names_nobody() {
    for format in [Format::Sarif, Format::Junit, Format::Ocsf] {
        assert!(!written(format).contains("alice"), "{format:?}");
    }
}

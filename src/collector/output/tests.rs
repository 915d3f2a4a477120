//! Every format of one small report, as files that people can read.

use hopseal_correlate::finding::{Confidence, Finding, Subject, Who};
use hopseal_correlate::judge::Verdict;
use hopseal_correlate::report::{Coverage, Input, ListHops, Rejection, Report, Tally};
use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_identity::Kind;

use super::*;
use crate::check::FailOn;

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
    Checked { report, baseline: None, unreadable: 0 }
}

fn written(format: Format) -> String {
    let mut out = Vec::new();
    write(format, false, &checked(), &GATE, &mut out).expect("a vector takes everything");
    String::from_utf8(out).expect("text")
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
    assert_eq!((report.test_suites.len(), report.failures), (Rule::ALL.len(), 1), "a hint fails no case");
    let shown: Vec<&str> =
        text.split("<testsuite ").skip(1).filter(|suite| !suite.contains("no findings")).collect();
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

use hopseal_correlate::finding::Severity;
use hopseal_correlate::hop::HopKind;
use hopseal_correlate::policy::{Allowance, PolicyFile};
use hopseal_correlate::record::Service;
use hopseal_correlate::report::ListHops;

use super::*;
use crate::check::{self, Settings};

/// Spans of two traces as OTLP JSON: id, parent, service, kind, name and attributes.
type Line =
    (&'static str, &'static str, &'static str, u8, &'static str, &'static [(&'static str, &'static str)]);

fn trace(number: u8, lines: &[Line]) -> String {
    let spans: Vec<String> = lines
        .iter()
        .map(|(id, parent, service, kind, name, attributes)| {
            let attributes: Vec<String> = attributes
                .iter()
                .map(|(key, value)| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#))
                .collect();
            format!(
                r#"{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{number:032x}","spanId":"{id:0>16}","parentSpanId":"{parent}","name":"{name}","kind":{kind},"startTimeUnixNano":"1767225600000000000","endTimeUnixNano":"1767225601000000000","attributes":[{}]}}]}}]}}"#,
                attributes.join(",")
            )
        })
        .collect();
    format!(r#"{{"resourceSpans":[{}]}}"#, spans.join(","))
}

fn report(traces: &[String], policy: Option<&str>) -> Report {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("traces.json");
    std::fs::write(&file, traces.join("\n")).expect("written");
    let mut settings = Settings::of(vec![file]);
    settings.list = ListHops::All;
    if let Some(policy) = policy {
        let path = dir.path().join("policy.yaml");
        std::fs::write(&path, policy).expect("written");
        settings.policy = Some(path);
    }
    check::run(&settings, &mut Vec::new()).expect("a report").report
}

fn proposal(report: &Report) -> String {
    let mut text = Vec::new();
    propose(report, &mut text).expect("memory");
    String::from_utf8(text).expect("text")
}

const ROUTE: &str = "http.route";
const METHOD: &str = "http.request.method";

/// A shop with a public offer, a cron job, a lost identity and a service that shows nothing.
fn shop() -> Vec<String> {
    vec![
        trace(
            1,
            &[
                ("1", "", "shop", 2, "GET /offers", &[(ROUTE, "/offers"), (METHOD, "GET")]),
                ("2", "", "shop", 2, "GET /api/status", &[(ROUTE, "/api/status"), (METHOD, "GET")]),
            ],
        ),
        trace(
            2,
            &[("3", "", "shop", 2, "GET /mine", &[(ROUTE, "/mine"), (METHOD, "GET"), ("user.id", "bob")])],
        ),
        trace(
            3,
            &[
                ("4", "", "shop", 2, "GET /mine", &[(ROUTE, "/mine"), (METHOD, "GET"), ("user.id", "bob")]),
                ("5", "0000000000000004", "shop", 3, "GET", &[]),
                ("6", "0000000000000005", "billing", 2, "charge", &[("oauth.client_id", "nightly")]),
                ("7", "0000000000000004", "shop", 3, "GET", &[]),
                ("8", "0000000000000007", "orders", 2, "validate \\\"it\\\"", &[]),
                ("9", "0000000000000004", "shop", 3, "GET", &[]),
                ("a", "0000000000000009", "geo", 2, "GET /geo", &[]),
            ],
        ),
        trace(4, &[("b", "", "orders", 2, "list", &[("user.id", "ann")])]),
        trace(
            5,
            &[
                (
                    "c",
                    "",
                    "shop",
                    2,
                    "POST /orders",
                    &[(ROUTE, "/orders"), (METHOD, "POST"), ("enduser.id", "anonymous")],
                ),
                (
                    "d",
                    "000000000000000c",
                    "shop",
                    3,
                    "INSERT",
                    &[("db.system.name", "postgresql"), ("db.operation.name", "INSERT")],
                ),
            ],
        ),
    ]
}

#[test]
fn a_proposal_for_people() {
    insta::assert_snapshot!(proposal(&report(&shop(), None)));
}

/// Scenario: the proposal is used as it is.
/// Guarantees: it is a valid policy, quiets what it says, and no high finding.
#[test]
fn a_proposal_is_a_policy_and_quiets_nothing_grave() {
    let before = report(&shop(), None);
    let after = report(&shop(), Some(&proposal(&before)));
    let grave = |report: &Report| {
        let high = report.findings.iter().filter(|it| it.severity == Severity::High);
        high.map(|it| it.id).collect::<Vec<_>>()
    };
    assert_eq!(grave(&after), grave(&before));
    assert!(after.findings.len() < before.findings.len());
    let again = proposal(&after);
    assert!(!again.contains("/offers"), "what is declared is not proposed again:\n{again}");
}

#[test]
fn names_cannot_break_out_of_their_place() {
    let mut report = Report::default();
    let mut hop = before_hop();
    hop.via = vec!["a\nrules: {identity_dropped: {enabled: false}}".to_owned()];
    hop.service = "x/y\n- @z: \"\u{2028}".to_owned();
    report.traces.push(hopseal_correlate::report::TraceRow {
        trace_id: hopseal_correlate::sink::TraceId([1; 16]),
        grade: Default::default(),
        hops: vec![hop],
    });
    let text = proposal(&report);
    let file = PolicyFile::parse(&text).expect("a policy");
    assert!(file.rules.is_empty(), "{text}");
    let policy = file.resolve().expect("a policy");
    let service = Service { name: "x/y\n- @z: \"\u{2028}", ..Service::default() };
    assert!(matches!(policy.client("batch", None, service, 1), Allowance::Holds(_)), "{text}");
}

/// Scenario: a client, a service or a route is named by what a policy takes for a wildcard.
/// Guarantees: it is shown as a comment only.
#[test]
fn a_star_that_was_seen_is_no_wildcard() {
    for (client, service) in [("*", "job"), ("batch", "jo*")] {
        let mut report = Report::default();
        let mut hop = before_hop();
        hop.service = service.to_owned();
        hop.principal.as_mut().expect("a client").id = client.to_owned();
        report.traces.push(hopseal_correlate::report::TraceRow {
            trace_id: hopseal_correlate::sink::TraceId([1; 16]),
            grade: Default::default(),
            hops: vec![hop],
        });
        let text = proposal(&report);
        assert!(text.contains("CAREFUL"), "{text}");
        let policy = PolicyFile::parse(&text).and_then(|file| file.resolve()).expect("a policy");
        let called = Service { name: service, ..Service::default() };
        assert_eq!(policy.client(client, None, called, 1), Allowance::None, "{text}");
    }
    let lines: &[Line] = &[("1", "", "shop", 2, "GET /**", &[(ROUTE, "/**"), (METHOD, "GET")])];
    let known: &[Line] =
        &[("2", "", "shop", 2, "GET /mine", &[(ROUTE, "/mine"), (METHOD, "GET"), ("user.id", "bob")])];
    let text = proposal(&report(&[trace(1, lines), trace(2, known)], None));
    assert!(text.contains("CAREFUL"), "{text}");
    let policy = PolicyFile::parse(&text).and_then(|file| file.resolve()).expect("a policy");
    let shop = Service { name: "shop", ..Service::default() };
    assert_eq!(policy.public(shop, Some("GET"), "/admin", 1), Allowance::None, "{text}");
}

fn before_hop() -> hopseal_correlate::report::HopRow {
    let report = report(&[trace(1, &[("1", "", "job", 2, "run", &[("oauth.client_id", "batch")])])], None);
    let hop = report.traces[0].hops[0].clone();
    assert_eq!(hop.kind, HopKind::Entry);
    hop
}

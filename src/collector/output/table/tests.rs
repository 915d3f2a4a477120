use hopseal_correlate::finding::{Confidence, Subject};
use hopseal_correlate::hop::HopKind;
use hopseal_correlate::report::{Coverage, Input, Rejection, ServiceRow, SuppressedRow};
use hopseal_correlate::rule::Rule;
use hopseal_correlate::suppress::Reason;
use hopseal_correlate::trace::Grade;
use hopseal_identity::Kind;

use super::*;
use crate::check::FailOn;

fn hop(parent: Option<usize>, span: u8, service: &str, operation: &str, who: Option<&str>) -> HopRow {
    HopRow {
        span_id: SpanId([span; 8]),
        parent_span_id: None,
        parent,
        caller: None,
        service: service.to_owned(),
        namespace: None,
        environment: None,
        operation: operation.to_owned(),
        kind: HopKind::Rpc,
        via: Vec::new(),
        start: 0,
        end: 0,
        assurance: if who.is_some() { Assurance::Asserted } else { Assurance::Unknown },
        basis: Basis::Claimed,
        method: None,
        uncovered: false,
        links: Vec::new(),
        principal: who.map(|id| Who {
            id: id.to_owned(),
            kind: Kind::User,
            issuer: None,
            tenant: Some("acme".to_owned()),
            actors: Vec::new(),
        }),
    }
}

fn report() -> Report {
    let trace_id = TraceId([7; 16]);
    let subject = Subject::Span { trace_id, span_id: SpanId([3; 8]), server: true };
    let mut finding = Finding::new(Rule::IdentityDropped, subject, "")
        .message("`orders` acted for a user, `payments\u{1b}[2J` received no identity")
        .evidence("last_identified_service", "orders")
        .unsure(Confidence::Likely, "this operation has never shown an identity");
    finding.caller = Some("orders".to_owned());
    finding.service = "payments\u{1b}[2J".to_owned();
    finding.operation = "POST /charge".to_owned();
    let mut hops = vec![
        hop(None, 1, "gateway", "GET /checkout", Some("alice")),
        hop(Some(0), 2, "orders", "POST /orders", Some("alice")),
        hop(Some(0), 4, "catalog", "GET /items", None),
        hop(Some(1), 3, "payments\u{1b}[2J", "POST /charge", None),
    ];
    hops[0].assurance = Assurance::Verified;
    (hops[1].assurance, hops[1].basis) = (Assurance::Sealed, Basis::Reverified);
    let mut report = Report {
        traces: vec![TraceRow { trace_id, grade: Grade { missing_parents: 1, ..Grade::default() }, hops }],
        groups: vec![Group {
            id: finding.group_id,
            rule: finding.rule,
            severity: finding.severity,
            confidence: finding.confidence,
            caller: finding.caller.clone(),
            service: finding.service.clone(),
            operation: finding.operation.clone(),
            count: 1,
            first: 0,
            last: 0,
            fix: finding.fix.clone(),
        }],
        findings: vec![finding],
        services: vec![
            ServiceRow {
                name: "gateway".to_owned(),
                capable: true,
                hops: 1,
                by_assurance: [0, 0, 0, 1, 0, 0],
            },
            ServiceRow {
                name: "catalog".to_owned(),
                capable: false,
                hops: 1,
                by_assurance: [1, 0, 0, 0, 0, 0],
            },
        ],
        coverage: Coverage { hops: 4, identified: 2, proven: 0, uncovered: 1 },
        ..Report::default()
    };
    report.suppressed.insert(
        (Rule::IdentityDropped, Reason::Static, "web".to_owned()),
        SuppressedRow {
            count: 12,
            expires: None,
            operations: [("GET /a.js", 3), ("GET /b.js", 6), ("GET /c.js", 2), ("GET /d.js", 1)]
                .map(|(name, count)| (name.to_owned(), count))
                .into(),
        },
    );
    report.input = Input {
        rejected: 1,
        rejections: vec![Rejection {
            file: "a.json".into(),
            at: "line 3".into(),
            reason: "no span id".into(),
        }],
        ..Input::default()
    };
    report
}

const GATE: Gate =
    Gate { fail_on: FailOn::High, min_coverage: Some(0.9), min_proven: Some(0.0), strict: false };

fn checked() -> Checked {
    let unreadable =
        Rejection { file: "b.json".into(), at: String::new(), reason: "the input is empty".into() };
    Checked {
        report: report(),
        baseline: None,
        unreadable: vec![unreadable],
        files: Vec::new(),
        unsaved: None,
    }
}

fn page(colour: bool) -> String {
    let mut out = Vec::new();
    write(&checked(), &GATE, colour, &mut out).expect("a vector takes everything");
    String::from_utf8(out).expect("text")
}

#[test]
fn a_page() {
    insta::assert_snapshot!(page(false));
}

#[test]
fn colour_only_when_asked_and_never_from_the_input() {
    assert!(!page(false).contains('\u{1b}'));
    assert!(page(true).contains("\u{1b}[1m"));
    assert!(!page(true).contains("\u{1b}[2J"), "a trace must not clear the screen");
}

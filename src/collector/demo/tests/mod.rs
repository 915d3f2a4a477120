//! That a demo whose stories do not find what they promise fails.

mod authority;

use std::cell::Cell;

use hopseal_correlate::finding::{Finding, Subject};
use hopseal_correlate::hop::HopKind;
use hopseal_correlate::report::{HopRow, TraceRow};
use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_correlate::trace::Grade;
use hopseal_identity::{Assurance, Basis};

use super::*;

fn hop(service: &str) -> HopRow {
    HopRow {
        span_id: SpanId([1; 8]),
        parent_span_id: None,
        parent: None,
        caller: None,
        service: service.to_owned(),
        namespace: None,
        environment: None,
        operation: "GET /".to_owned(),
        kind: HopKind::Entry,
        via: Vec::new(),
        start: 1,
        end: 2,
        assurance: Assurance::Anonymous,
        basis: Basis::Claimed,
        method: None,
        uncovered: false,
        links: Vec::new(),
        principal: None,
    }
}

/// One trace of so many hops, and these findings in it.
fn report(hops: usize, grade: Grade, found: &[(Rule, &str)]) -> Report {
    let trace_id = TraceId([2; 16]);
    let finding = |(rule, service): &(Rule, &str)| {
        let mut finding = Finding::new(*rule, Subject::Trace(trace_id), service);
        finding.service = (*service).to_owned();
        finding
    };
    Report {
        traces: vec![TraceRow { trace_id, grade, hops: vec![hop("a"); hops] }],
        findings: found.iter().map(finding).collect(),
        ..Report::default()
    }
}

fn dropped() -> &'static Story {
    STORIES.iter().find(|story| story.promised == [(Rule::IdentityDropped, "payments")]).expect("a story")
}

#[test]
fn a_promise_is_kept_to_the_letter() {
    let (story, whole) = (dropped(), Grade::default());
    let promised = (Rule::IdentityDropped, "payments");
    for (name, report, said) in [
        ("kept", report(3, whole, &[promised]), None),
        ("nothing", report(3, whole, &[]), Some("`identity_dropped` at payments was promised and not found")),
        (
            "twice",
            report(3, whole, &[promised, promised]),
            Some("`identity_dropped` at payments was found and not promised"),
        ),
        (
            "one beside it",
            report(3, whole, &[promised, (Rule::BlindHop, "orders")]),
            Some("`blind_hop` at orders was found and not promised"),
        ),
        ("a hop too few", report(2, whole, &[promised]), Some("2 hops were seen, not 3")),
        (
            "not all of it",
            report(3, Grade { missing_parents: 1, ..whole }, &[promised]),
            Some("trace 02020202020202020202020202020202 is incomplete"),
        ),
    ] {
        assert_eq!(broken(story, &report), Vec::from_iter(said.map(str::to_owned)), "{name}");
    }
    let elsewhere = report(3, whole, &[(Rule::IdentityDropped, "orders")]);
    assert_eq!(broken(story, &elsewhere).len(), 2);
    // Where nothing is promised, nothing may be found.
    let clean = STORIES.iter().find(|story| story.promised.is_empty()).expect("a story");
    assert_eq!(broken(clean, &report(clean.hops, whole, &[])), [""; 0]);
    assert_eq!(broken(clean, &report(clean.hops, whole, &[promised])).len(), 1);
}

/// Scenario: what a story promises is found at the third look; and never.
/// Guarantees: it is waited for, patience ends, and a broken promise is told and fails the demo.
#[tokio::test(start_paused = true)]
async fn a_finding_that_does_not_come_fails_the_demo() {
    let (story, looks) = (dropped(), Cell::new(0));
    for (comes, exit) in [(true, Exit::Clean), (false, Exit::Findings)] {
        looks.set(0);
        let read = || {
            looks.set(looks.get() + 1);
            let found = [(Rule::IdentityDropped, "payments")];
            let found = if comes && looks.get() >= 3 { &found[..] } else { &[] };
            Ok(report(3, Grade::default(), found))
        };
        let read = awaited(story, read).await.expect("read");
        let (mut out, api) = (Vec::new(), ([127, 0, 0, 1], 1).into());
        let mut teller = Teller { out: &mut out, colour: false, api };
        teller.end(story, &read).expect("told");
        let kept = usize::from(broken(story, &read).is_empty());
        assert_eq!(teller.verdict(kept, 1).expect("told"), exit);
        assert_eq!(String::from_utf8_lossy(&out).contains("NOT AS PROMISED: `identity_dropped`"), !comes);
        assert_eq!(looks.get() > 3, !comes);
    }
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(Folder::new(Some(folder.path())).is_ok());
    std::fs::write(folder.path().join("hopseal.yaml"), "listen: {}").expect("written");
    let refused = Folder::new(Some(folder.path())).map(drop).expect_err("not empty");
    assert!(matches!(refused, DemoError::NotEmpty(_)), "{refused}");
    assert_eq!(refused.exit(), Exit::Usage);
}

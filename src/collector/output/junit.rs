//! JUnit XML, so that any CI shows findings as failed tests: one suite a rule, one case a group; before them, whether the
//! input could be read and the minimums were reached.
//!
//! It leaves the machine, so it names no principal of its own accord. An operation is what the service called it: ids and
//! addresses of mail in it are masked, a word is not told from a name.

use std::io::{self, Write};

use hopseal_correlate::finding::Confidence;
use hopseal_correlate::report::Group;
use hopseal_correlate::rule::Rule;
use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::{Alike, by_group};
use crate::check::{Checked, Gate};

/// A group fails its case where it fails the run; the others are shown as passed with what they say.
pub(super) fn write(checked: &Checked, gate: &Gate, out: &mut dyn Write) -> io::Result<()> {
    let report = &checked.report;
    let groups = by_group(report, &|finding| checked.is_new(finding));
    let mut junit = Junit::new("hopseal check");
    junit.add_test_suite(input(checked, gate));
    let mut minimums = TestSuite::new("minimums");
    for minimum in gate.minimums(report) {
        let status = match minimum.is_missed() {
            true => no(NonSuccessKind::Failure, "missed", &minimum.to_string()),
            false => TestCaseStatus::success(),
        };
        minimums.add_test_case(TestCase::new(format!("--min-{}", minimum.name), status));
    }
    if !minimums.test_cases.is_empty() {
        junit.add_test_suite(minimums);
    }
    for rule in Rule::ALL {
        let mut suite = TestSuite::new(rule.as_str());
        for group in report.groups.iter().filter(|group| group.rule == *rule) {
            let fails = report.findings.iter().any(|finding| {
                finding.group_id == group.id && gate.fails_on(finding, checked.baseline.as_ref())
            });
            suite.add_test_case(case(group, groups.get(&group.id).map_or(&[], Vec::as_slice), fails));
        }
        if suite.test_cases.is_empty() {
            suite.add_test_case(TestCase::new("no findings", TestCaseStatus::success()));
        }
        junit.add_test_suite(suite);
    }
    // Its own errors would hide that a pipe is closed.
    let mut text = Vec::new();
    junit.serialize(&mut text).map_err(io::Error::other)?;
    out.write_all(&text)?;
    writeln!(out)
}

/// Text from a trace as XML may hold it. Control characters are left out by the writer; these two are no characters either.
fn clean(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

fn no(kind: NonSuccessKind, word: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(word);
    status.set_message(clean(text));
    status
}

fn input(checked: &Checked, gate: &Gate) -> TestSuite {
    let mut suite = TestSuite::new("input");
    for file in &checked.unreadable {
        let status = no(NonSuccessKind::Error, "unreadable", &file.reason);
        suite.add_test_case(TestCase::new(clean(&file.file), status));
    }
    if checked.unreadable.is_empty() {
        suite.add_test_case(TestCase::new("every file could be read", TestCaseStatus::success()));
    }
    let rejected = checked.report.input.rejected;
    if gate.strict && rejected > 0 {
        let status = no(NonSuccessKind::Error, "rejected", &format!("{rejected} of the input were rejected"));
        suite.add_test_case(TestCase::new("--strict", status));
    }
    suite
}

fn case(group: &Group, alike: &[Alike<'_>], fails: bool) -> TestCase {
    let edge = match &group.caller {
        Some(caller) => format!("{caller} -> {}", group.service),
        None => group.service.clone(),
    };
    let text = alike.iter().map(|alike| explain(group, alike)).collect::<Vec<_>>().join("\n\n");
    let text = clean(&text);
    let status = match fails {
        true => {
            let message = alike.first().map_or("", |alike| alike.example.message.as_str());
            let mut status = no(NonSuccessKind::Failure, group.severity.as_str(), message);
            status.set_description(&text);
            status
        }
        false => TestCaseStatus::success(),
    };
    let mut case = TestCase::new(clean(&format!("{edge} {}", group.operation)), status);
    case.set_classname(clean(&group.service));
    if !fails {
        case.set_system_out(text);
    }
    case
}

fn explain(group: &Group, alike: &Alike<'_>) -> String {
    let Alike { example: finding, count, is_new } = alike;
    let known = match is_new {
        None => "",
        Some(true) => ", new",
        Some(false) => ", known",
    };
    let mut lines = vec![
        format!("{} ({}, x{count}{known})", finding.message, group.severity.as_str()),
        format!("confidence: {}", finding.confidence.as_str()),
    ];
    if finding.confidence < Confidence::Certain {
        lines.extend(finding.why_not_sure.iter().map(|why| format!("not sure: {why}")));
    }
    lines.extend(finding.trace_id.map(|id| format!("trace: {id}")));
    lines.extend(finding.evidence.iter().map(|(name, fact)| format!("{name}: {fact}")));
    lines.push(format!("fix: {}", finding.fix));
    lines.join("\n")
}

//! JUnit XML, so that any CI shows findings as failed tests: one suite a rule, one case a group.
//!
//! It leaves the machine, so it never names a principal.

use std::collections::BTreeMap;
use std::io::{self, Write};

use hopseal_correlate::finding::{Confidence, Finding, FindingId};
use hopseal_correlate::report::{Group, Report};
use hopseal_correlate::rule::Rule;
use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use crate::check::{Baseline, Gate};

/// A group fails its case where it fails the run; the others are shown as passed with what they say.
pub(super) fn write(
    report: &Report,
    gate: &Gate,
    baseline: Option<&Baseline>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut examples: BTreeMap<FindingId, &Finding> = BTreeMap::new();
    for finding in &report.findings {
        let example = examples.entry(finding.group_id).or_insert(finding);
        if finding.confidence > example.confidence {
            *example = finding;
        }
    }
    let mut junit = Junit::new("hopseal check");
    for rule in Rule::ALL {
        let mut suite = TestSuite::new(rule.as_str());
        for group in report.groups.iter().filter(|group| group.rule == *rule) {
            let fails = report
                .findings
                .iter()
                .any(|finding| finding.group_id == group.id && gate.fails_on(finding, baseline));
            suite.add_test_case(case(group, examples.get(&group.id).copied(), fails));
        }
        if suite.test_cases.is_empty() {
            suite.add_test_case(TestCase::new("no findings", TestCaseStatus::success()));
        }
        junit.add_test_suite(suite);
    }
    junit.serialize(&mut *out).map_err(io::Error::other)?;
    writeln!(out)
}

fn case(group: &Group, example: Option<&Finding>, fails: bool) -> TestCase {
    let edge = match &group.caller {
        Some(caller) => format!("{caller} -> {}", group.service),
        None => group.service.clone(),
    };
    let text = example.map_or_else(String::new, |finding| explain(group, finding));
    let status = match fails {
        true => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(group.severity.as_str());
            status.set_message(example.map_or("", |finding| finding.message.as_str()));
            status.set_description(&text);
            status
        }
        false => TestCaseStatus::success(),
    };
    let mut case = TestCase::new(format!("{edge} {}", group.operation), status);
    case.set_classname(group.service.as_str());
    if !fails {
        case.set_system_out(text);
    }
    case
}

fn explain(group: &Group, finding: &Finding) -> String {
    let mut lines = vec![
        format!("{} ({}, x{})", finding.message, group.severity.as_str(), group.count),
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

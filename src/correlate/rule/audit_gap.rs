//! F36: parts of a trace are known to be lost, and with them what could have been found there.

use super::{Check, Cx, Needs, Rule, Spec};
use crate::finding::{Finding, Severity, Subject};
use crate::trace::Grade;

pub(super) const SPEC: Spec = Spec {
    number: "F36",
    severity: Severity::Info,
    needs: Needs::Spans,
    meaning: "Spans, attributes or links of this trace were lost: parents that never arrived, counts of what senders \
              dropped, two bodies under one id, parents in a circle; or it was judged before all of it had time to \
              arrive.",
    fix: "Raise the limits of the SDK that drops, and look at the exporters and samplers of the services named.",
    quieting: "None: what else is said of the trace has to be read beside it.",
    maps: &["CWE-223", "CWE-778", "T1562"],
    quiet: &[],
    check: Check::Trace(check),
};

/// Evidence of how often spans of a trace came: the one that depends on what was delivered twice.
pub const DUPLICATES: &str = "duplicates";

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    let grade = cx.trace.grade;
    if grade.is_complete() {
        return;
    }
    let Some(first) = cx.trace.spans().first() else { return };
    let Grade { missing_parents, dropped, duplicates, conflicts, cycles, closed_early, crowded: _ } = grade;
    let mut finding = Finding::new(Rule::AuditGap, Subject::Trace(cx.trace.id), "");
    let mut lost = Vec::new();
    for (name, count, words) in [
        ("missing_parents", missing_parents, "spans whose parent never arrived"),
        ("dropped", dropped, "attributes, events and links dropped by senders"),
        ("conflicts", conflicts, "spans with another body under their id"),
        ("cycles", cycles, "spans in a circle of parents"),
    ] {
        if count > 0 {
            finding = finding.evidence(name, count.to_string());
            lost.push(format!("{count} {words}"));
        }
    }
    if closed_early {
        finding = finding.evidence("closed_early", "true");
        lost.push("what may have been on the way when it was judged".to_owned());
    }
    if duplicates > 0 {
        finding = finding.evidence(DUPLICATES, duplicates.to_string());
    }
    first.service.name.clone_into(&mut finding.service);
    first.name.clone_into(&mut finding.operation);
    finding.at = first.start;
    found.push(finding.message(format!("not all of this trace is there: {}", lost.join(", "))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::judge;

    #[test]
    fn table() {
        for (name, trace, expected) in [
            ("whole", "gw SERVER GET /", None),
            ("a missing parent", "gw SERVER GET / @parent=9", Some("1 spans whose parent never arrived")),
            (
                "dropped",
                "gw SERVER GET / @dropped=3",
                Some("3 attributes, events and links dropped by senders"),
            ),
            (
                "one id twice",
                "gw SERVER GET / @id=1\ngw SERVER GET /other @id=1",
                Some("1 spans with another body under their id"),
            ),
            ("delivered twice", "gw SERVER GET / @id=1\ngw SERVER GET / @id=1", None),
            ("its own parent", "gw SERVER GET / @id=1 @parent=1", Some("1 spans in a circle of parents")),
        ] {
            let findings = judge(trace, &Default::default()).findings;
            let gap = findings.iter().find(|finding| finding.rule == Rule::AuditGap);
            let message = expected.map(|lost| format!("not all of this trace is there: {lost}"));
            assert_eq!(gap.map(|gap| gap.message.clone()), message, "{name}");
        }
    }
}

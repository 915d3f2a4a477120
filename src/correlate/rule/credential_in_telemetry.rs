//! F18: a credential stands in a span.

use super::{Check, Cx, Needs, Rule, Spec};
use crate::field::Field;
use crate::finding::{Finding, Severity};

pub(super) const SPEC: Spec = Spec {
    number: "F18",
    severity: Severity::High,
    needs: Needs::Spans,
    meaning: "An attribute, event, URL, statement or name of a span holds a token, password or key.",
    fix: "Remove the value where the span is made, or redact it in the pipeline, and revoke the credential.",
    quieting: "Name the attribute key under `not_credentials` if its values only look like one.",
    maps: &["CWE-532", "CWE-598", "CWE-522", "T1552"],
    quiet: &[],
    check: Check::Trace(check),
};

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    for ix in cx.trace.indices() {
        let span = cx.trace.span(ix);
        for leak in span.all(Field::Leak) {
            let mut parts = leak.splitn(3, '\0');
            let (Some(class), Some(key), Some(masked)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            found.push(
                cx.finding_at(Rule::CredentialInTelemetry, ix, &format!("{class} {key}"))
                    .evidence("class", class)
                    .evidence("key", key)
                    .evidence("masked", masked)
                    .message(format!("`{}` sent a credential ({class}) in `{key}`", span.service.name)),
            );
        }
    }
}

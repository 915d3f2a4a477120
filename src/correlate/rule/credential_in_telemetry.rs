//! F18: a credential stands in a span.

use super::{Check, Cx, DECLARED, Needs, Quiet, Rule, Spec};
use crate::across::{Found, ResourceLeak, View};
use crate::credential::{Ground, Leak, Origin};
use crate::field::Field;
use crate::finding::{Finding, Severity, Subject};
use crate::hop::operation_of;
use crate::suppress::{Quieted, Reason};

pub(super) const SPEC: Spec = Spec {
    number: "F18",
    severity: Severity::High,
    needs: Needs::Spans,
    meaning: "An attribute, event, URL, statement or name of a span holds a token, password or key.",
    fix: "Remove the value where the span is made, or redact it in the pipeline, and revoke the credential.",
    quieting: "Name the attribute key under `not_credentials` if its values only look like one.",
    maps: &["CWE-532", "CWE-598", "CWE-522", "T1552"],
    quiet: &[Quiet::Declared],
    check: Check::Both(check, check_resources),
};

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    for ix in cx.trace.indices() {
        let span = cx.trace.span(ix);
        for leak in span.all(Field::Leak).filter_map(Leak::read) {
            if leak.origin == Origin::Resource {
                continue;
            }
            let finding =
                cx.finding_at(Rule::CredentialInTelemetry, ix, &format!("{} {}", leak.class, leak.key));
            let mut finding = describe(finding, &leak);
            // Names that differ in the credential alone are one operation.
            finding.operation = operation_of(span).into_owned();
            if let Some(expires_at) = leak.expires_at.filter(|_| span.start > 0) {
                let valid = span.start / 1_000_000_000 < expires_at;
                finding = finding.evidence("still_valid", if valid { "yes" } else { "no" });
            }
            if cx.policy.is_not_credential(leak.key) {
                finding = finding.evidence(DECLARED, "not_credentials");
            }
            found.push(finding);
        }
    }
}

/// A resource is sent with every span of a service: one finding says it.
fn check_resources(view: &View<'_>, found: &mut Vec<Found>) {
    for ResourceLeak { service, text, at, .. } in &view.resource_leaks {
        let Some(leak) = Leak::read(text) else { continue };
        let subject = Subject::Operation { service: service.as_service(), operation: "", window: 0 };
        let discriminator = format!("{} {}", leak.class, leak.key);
        let mut finding = Finding::new(Rule::CredentialInTelemetry, subject, &discriminator);
        finding.service.clone_from(&service.name);
        finding.at = *at;
        let declared = view.policy.is_not_credential(leak.key);
        let quieted = declared.then_some(Quieted { reason: Reason::Declared, expires: None });
        found.push((describe(finding, &leak).evidence("origin", "resource"), quieted));
    }
}

fn describe(mut finding: Finding, leak: &Leak<'_>) -> Finding {
    let why = match leak.ground {
        Ground::Form | Ground::Name => None,
        Ground::Cut => Some("cut short or changed in case: perhaps of no use any more"),
        Ground::Place => Some("random text in a telling place; it may be an id of something public"),
        Ground::Example => Some("it is one that documentation uses"),
    };
    if let Some(why) = why {
        finding = finding.unsure(leak.ground.confidence(), why);
    }
    let message = format!("`{}` sent a credential ({}) in `{}`", finding.service, leak.class, leak.key);
    finding
        .evidence("class", leak.class)
        .evidence("key", leak.key)
        .evidence("masked", leak.masked)
        .message(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::testing::judge;

    /// Findings as `span key class confidence still_valid`.
    fn found(text: &str) -> Vec<String> {
        let mut lines: Vec<String> = judge(text, &Policy::default())
            .findings
            .iter()
            .filter(|finding| finding.rule == Rule::CredentialInTelemetry)
            .map(|finding| {
                let fact = |name| finding.evidence.get(name).map_or("-", String::as_str);
                let span = finding.span_id.map_or(0, |id| u64::from_be_bytes(id.0));
                let sure = finding.confidence.as_str();
                format!("{span} {} {} {sure} {}", fact("key"), fact("class"), fact("still_valid"))
            })
            .collect();
        lines.sort();
        lines
    }

    // {"alg":"HS256"} {"sub":"a","exp":1767225660}: a minute after the tests' time.
    const TOKEN: &str =
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIiwiZXhwIjoxNzY3MjI1NjYwfQ.c2lnbmF0dXJlLW9mLXNvcnRz";

    #[test]
    fn table() {
        for (name, trace, expected) in [
            ("in an attribute", format!("gw SERVER GET / x={TOKEN}"), &["1 x jwt certain yes"][..]),
            ("ended by then", format!("gw SERVER GET / x={TOKEN} @start=90000"), &["1 x jwt certain no"]),
            ("in an event", format!("gw SERVER GET / @event={TOKEN}"), &["1 event name jwt certain yes"]),
            ("in the name", format!("gw SERVER {TOKEN}"), &["1 span name jwt certain yes"]),
            (
                "in a key, whatever the value",
                format!("gw SERVER GET / a.{TOKEN}=x"),
                &["1 attribute key jwt certain yes"],
            ),
            (
                "a login token",
                "sso SERVER GET http.url=http://sso/verifyLoginToken/2aaa7d4d-faf0-4dea-bdbe-568df6c1f92d"
                    .to_owned(),
                &["1 http.url login_token likely -"],
            ),
            (
                "two in one value, and on both sides",
                format!("gw CLIENT GET x={TOKEN},password=hunter2\n  sso SERVER GET x=password=hunter2"),
                &["1 x jwt certain yes", "1 x password certain -", "2 x password certain -"],
            ),
            (
                "a resource, once for all spans and traces",
                "gw SERVER GET / %app.password=hunter2\n  gw CLIENT GET %app.password=hunter2\n\
                 gw SERVER GET / %app.password=hunter2 @trace=2"
                    .to_owned(),
                &["0 app.password password certain -"],
            ),
            ("masked", "gw SERVER GET / password=****".to_owned(), &[]),
        ] {
            assert_eq!(found(&trace), expected, "{name}");
        }
    }

    #[test]
    fn nothing_of_it_is_kept() {
        let findings =
            judge(&format!("gw SERVER {TOKEN} x={TOKEN} a.{TOKEN}=y"), &Policy::default()).findings;
        assert!(!findings.is_empty());
        assert!(!format!("{findings:?}").contains("c2lnbmF0dXJl"));
    }
}

//! F29: something was changed for nobody.

use hopseal_identity::Assurance;

use super::{Check, Cx, Needs, Quiet, Rule, Spec, writes};
use crate::catalogue::Capability;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, HopKind, Outcome};
use crate::trace::SpanIx;

pub(super) const SPEC: Spec = Spec {
    number: "F29",
    severity: Severity::High,
    needs: Needs::Spans,
    meaning: "A hop without an identity wrote to a database, sent a message or changed something at a third party, \
              itself or through hops below it that have no identity either.",
    fix: "Require an identity on every route that changes something.",
    quieting: "Declare the route under `public` where strangers may write by design. Sign-up, `/cart` and telemetry \
               are known.",
    maps: &["OWASP API5:2023", "OWASP API6:2023", "CWE-862"],
    quiet: &[Quiet::Public, Quiet::OpenWrite, Quiet::Retry, Quiet::Incomplete],
    check: Check::Trace(check),
};

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    if !cx.hops.iter().any(is_nobodys) {
        return;
    }
    let writes = writes_of_nobody(cx);
    for (hop, write) in cx.hops.all().iter().zip(writes) {
        if let Some(write) = write
            && hop.kind != HopKind::Origin
        {
            found.extend(finding(cx, hop, write));
        }
    }
}

fn is_nobodys(hop: &Hop<'_>) -> bool {
    matches!(hop.identity.assurance, Assurance::Unknown | Assurance::Anonymous)
}

/// For each hop without an identity the first write in its frame or below it, down to hops that have one.
fn writes_of_nobody(cx: &Cx<'_>) -> Vec<Option<SpanIx>> {
    let mut firsts: Vec<Option<SpanIx>> = vec![None; cx.hops.all().len()];
    for ix in cx.trace.indices() {
        if !writes::is_write(cx, ix) {
            continue;
        }
        let mut at = cx.hops.of_span(ix);
        while let Some(hop) = at.map(|at| cx.hops.get(at)).filter(|hop| is_nobodys(hop)) {
            match firsts.get_mut(hop.ix.get()) {
                Some(first @ None) => *first = Some(ix),
                // What is above is marked as well.
                _ => break,
            }
            at = hop.caller;
        }
    }
    firsts
}

fn finding(cx: &Cx<'_>, hop: &Hop<'_>, write: SpanIx) -> Option<Finding> {
    let capability = cx.capability(hop);
    let is_unknown = hop.identity.assurance == Assurance::Unknown;
    // A service that never shows an identity may well have one: that is a gap of coverage.
    if (capability == Capability::Never && is_unknown) || writes::was_turned_away(cx, hop) {
        return None;
    }
    let span = cx.trace.span(write);
    let mut finding = cx
        .finding(Rule::AnonymousWrite, hop)
        .evidence("assurance", hop.identity.assurance.as_str())
        .evidence("write", writes::what(span))
        .evidence("write_service", span.service.name)
        .evidence("write_span", span.id.to_string())
        .message(format!("`{}` changed something for nobody", hop.service.name));
    if hop.outcome == Outcome::Rejected {
        finding = finding.unsure(Confidence::Likely, writes::REJECTED_YET_CHANGED);
    }
    if capability != Capability::Operation && is_unknown {
        finding = finding.unsure(
            Confidence::Likely,
            "this operation has never shown an identity, only others of the service have",
        );
    }
    if cx.hops.of_span(write) != Some(hop.ix) {
        finding = finding.unsure(
            Confidence::Likely,
            "the write is further down, at a service that may have an identity and not show it",
        );
    }
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn table() {
        const KNOWN: &str = "\ngw SERVER POST /x user.id=u-9 @trace=2\na SERVER POST /a user.id=u-9 @trace=3";
        const INSERT: &str = "db.operation.name=INSERT";
        for (name, trace, expected) in [
            (
                "a statement",
                format!("gw SERVER POST /x\n  gw CLIENT INSERT {INSERT}"),
                &["1: high certain"][..],
            ),
            ("a message", "gw SERVER POST /x\n  gw PRODUCER publish orders".into(), &["1: high certain"]),
            (
                "a third party",
                "gw SERVER POST /x\n  gw CLIENT POST http.request.method=POST server.address=api.example.com"
                    .into(),
                &["1: high certain"],
            ),
            ("a query", "gw SERVER POST /x\n  gw CLIENT SELECT db.operation.name=SELECT".into(), &[]),
            ("for someone", format!("gw SERVER POST /x user.id=u-1\n  gw CLIENT INSERT {INSERT}"), &[]),
            (
                "further down, for nobody all the way",
                format!(
                    "gw SERVER POST /x\n  gw CLIENT POST\n    a SERVER POST /a\n      a CLIENT INSERT {INSERT}"
                ),
                &["1: high likely", "3: high certain"],
            ),
            (
                "further down, through a service that never shows anybody",
                format!(
                    "gw SERVER POST /x\n  gw CLIENT POST\n    db SERVER POST /q\n      db CLIENT INSERT {INSERT}"
                ),
                &["1: high likely"],
            ),
            (
                "further down, for someone",
                format!(
                    "gw SERVER POST /x\n  gw CLIENT POST\n    a SERVER POST /a user.id=u-1\n      a CLIENT INSERT {INSERT}"
                ),
                &[],
            ),
            (
                "only other operations show an identity",
                format!("gw SERVER POST /y\n  gw CLIENT INSERT {INSERT}"),
                &["1: high likely"],
            ),
            ("a service that never shows one", format!("x SERVER POST /x\n  x CLIENT INSERT {INSERT}"), &[]),
            (
                "a service that says that there was none",
                format!(
                    "x SERVER POST /x spring.security.authentication.type=AnonymousAuthenticationToken\n  x CLIENT INSERT {INSERT}"
                ),
                &["1: high certain"],
            ),
            (
                "refused",
                format!("gw SERVER POST /x hopseal.assurance=refused\n  gw CLIENT INSERT {INSERT}"),
                &[],
            ),
            (
                "turned away",
                format!("gw SERVER POST /x http.response.status_code=403\n  gw CLIENT INSERT {INSERT}"),
                &[],
            ),
            (
                "a sign-up",
                format!("gw SERVER POST /signup http.route=/signup\n  gw CLIENT INSERT {INSERT}"),
                &[],
            ),
            (
                "a cart of whoever asks",
                format!("gw SERVER POST /cart http.route=/cart\n  gw CLIENT INSERT {INSERT}"),
                &[],
            ),
            (
                "a cart by its id",
                format!("gw SERVER POST /carts/x http.route=/carts/{{id}}\n  gw CLIENT INSERT {INSERT}"),
                &["1: high likely"],
            ),
            ("work that no request began", format!("gw INTERNAL nightly\n  gw CLIENT INSERT {INSERT}"), &[]),
        ] {
            assert_eq!(found(Rule::AnonymousWrite, &format!("{trace}{KNOWN}")), expected, "{name}");
        }
    }
}

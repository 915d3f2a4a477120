//! F37: a credential was found bad, and the request was served all the same.

use hopseal_identity::Assurance;

use super::{Check, Cx, Needs, Rule, Spec, writes};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, Outcome};
use crate::trace::SpanIx;

pub(super) const SPEC: Spec = Spec {
    number: "F37",
    severity: Severity::High,
    needs: Needs::Crate,
    meaning: "The credential at this hop was refused, and the hop still succeeded, or something below it was written. \
              Medium where the service only observes and never rejects.",
    fix: "Put the layer that rejects in front of the handler (`require()`), or end the roll-out of `observe()`.",
    quieting: "Nothing quiets it; `rules` can lower its severity while a roll-out lasts.",
    maps: &["OWASP API2:2023", "CWE-287", "CWE-754"],
    quiet: &[],
    check: Check::Trace(check),
};

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    let refused = |hop: &Hop<'_>| hop.identity.assurance == Assurance::Refused;
    if !cx.hops.iter().any(refused) {
        return;
    }
    let writes = writes_below(cx);
    for hop in cx.hops.iter().filter(|hop| refused(hop)) {
        let write = writes.get(hop.ix.get()).copied().flatten();
        if !hop.outcome.may_have_succeeded() && write.is_none() {
            continue;
        }
        let observes = cx.frame(hop).any(|span| span.get(Field::Observe) == Some("true"));
        let mut finding = cx.finding(Rule::RefusedButServed, hop);
        if let Some(reason) = hop.identity.reason {
            finding = finding.evidence("reason", reason);
        }
        if let Some(status) = cx.entry(hop).get(Field::HttpStatus) {
            finding = finding.evidence("status", status);
        }
        if let Some(write) = write {
            let span = cx.trace.span(write);
            finding =
                finding.evidence("write", writes::what(span)).evidence("write_span", span.id.to_string());
        }
        let what = match (hop.outcome.may_have_succeeded(), write) {
            (true, _) => "served the request",
            (false, _) => "still let something be written",
        };
        let observing = if observes { "; it only observes" } else { "" };
        let name = hop.service.name;
        finding = finding.message(format!("`{name}` refused the credential and {what}{observing}"));
        if observes {
            finding = finding.severity(Severity::Medium).evidence("observe", "true");
        }
        if hop.outcome == Outcome::Unknown && write.is_none() {
            finding = finding.unsure(Confidence::Likely, "the span does not say how the call ended");
        }
        found.push(finding);
    }
}

/// The first write in or below each hop. Callees come after callers, so one walk from the end sees each hop once.
fn writes_below(cx: &Cx<'_>) -> Vec<Option<SpanIx>> {
    let mut below: Vec<Option<SpanIx>> = cx.hops.all().iter().map(|hop| writes::in_frame(cx, hop)).collect();
    for hop in cx.hops.all().iter().rev() {
        let write = below.get(hop.ix.get()).copied().flatten();
        if let (Some(write), Some(above)) = (write, hop.caller.and_then(|caller| below.get_mut(caller.get())))
        {
            *above = Some(above.map_or(write, |known| known.min(write)));
        }
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn table() {
        let refused = "orders SERVER /orders hopseal.assurance=refused hopseal.reason=signature";
        let insert = "\n  orders CLIENT INSERT db.operation.name=INSERT";
        let below =
            "\n  orders CLIENT call\n    stock SERVER /\n      stock CLIENT DELETE db.operation.name=DELETE";
        for (name, trace, expected) in [
            ("served", format!("{refused} http.response.status_code=200"), &["1: high certain"][..]),
            ("turned away", format!("{refused} http.response.status_code=401"), &[]),
            ("failed", format!("{refused} http.response.status_code=500"), &[]),
            ("no status", refused.to_owned(), &["1: high likely"]),
            ("no status, and written", format!("{refused}{insert}"), &["1: high certain"]),
            (
                "written before it was turned away",
                format!("{refused} http.response.status_code=401{insert}"),
                &["1: high certain"],
            ),
            (
                "written further down",
                format!("{refused} http.response.status_code=401{below}"),
                &["1: high certain"],
            ),
            (
                "observing",
                format!("{refused} http.response.status_code=200 hopseal.observe=true"),
                &["1: medium certain"],
            ),
            ("verified", "orders SERVER / hopseal.sub=p1 hopseal.assurance=verified".to_owned(), &[]),
        ] {
            assert_eq!(found(Rule::RefusedButServed, &trace), expected, "{name}");
        }
    }

    #[test]
    fn a_write_beside_is_not_below() {
        let trace = "gw SERVER /
             gw CLIENT call
               orders SERVER /orders hopseal.assurance=refused http.response.status_code=401
             gw CLIENT INSERT db.operation.name=INSERT";
        assert_eq!(found(Rule::RefusedButServed, trace), Vec::<String>::new());
    }
}

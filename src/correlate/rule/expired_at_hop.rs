//! F10: a credential or seal had ended when the hop that relied on it began.

use super::{Check, Cx, Needs, Rule, Spec};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, HopKind, Outcome};
use crate::record::Span;
use crate::skew::Skew;

pub(super) const SPEC: Spec = Spec {
    number: "F10",
    severity: Severity::High,
    needs: Needs::Crate,
    meaning: "The credential or seal of this hop had ended before the hop began, by more than clocks may differ, and \
              the hop was served. Of a message: medium, for a queue may take its time.",
    fix: "Check the expiry at every hop, on cached verifications too; for long work, exchange the token or renew the \
          seal.",
    quieting: "Raise `thresholds.skew` if clocks differ more than that here.",
    maps: &["OWASP API2:2023", "CWE-613", "T1550.001"],
    quiet: &[],
    check: Check::Trace(check),
};

/// Times at which something ends, and what.
const ENDS: [(Field, &str); 2] = [(Field::ExpiresAt, "credential"), (Field::SealExp, "seal")];

const SECOND: u64 = 1_000_000_000;

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    let mut skew = None;
    for hop in cx.hops.iter() {
        let Some((span, start)) = relied(cx, hop) else { continue };
        let allowed = cx.policy.thresholds.skew;
        let ends = ENDS.iter().filter_map(|(field, what)| Some((span.number::<u64>(*field)?, *what)));
        let Some((end, what)) = ends.min() else { continue };
        let latest = end.saturating_mul(SECOND).saturating_add(allowed);
        if start <= latest {
            continue;
        }
        let skew: &Skew<'_> = skew.get_or_insert_with(|| Skew::of(cx));
        let earliest = *skew.beginnings(cx, hop).start();
        if earliest <= latest {
            continue;
        }
        let late = earliest.saturating_sub(end.saturating_mul(SECOND)) / SECOND;
        let mut finding = cx
            .finding(Rule::ExpiredAtHop, hop)
            .evidence("what", what)
            .evidence("expired_at", end.to_string())
            .evidence("hop_began_at", (start / SECOND).to_string())
            .evidence("seconds_late", late.to_string())
            .evidence("depth", hop.depth.to_string())
            .message(format!("`{}` served a {what} that had ended {late} s before", hop.service.name));
        if hop.kind == HopKind::Messaging {
            finding = finding.severity(Severity::Medium);
        }
        if hop.outcome == Outcome::Unknown && hop.kind != HopKind::Messaging {
            finding = finding.unsure(Confidence::Likely, "the span does not say how the call ended");
        }
        if skew.clocks_differ() {
            finding = finding.unsure(
                Confidence::Likely,
                "clocks in this trace differ, and nothing tells which of them are right",
            );
        }
        if hop.caller_missing {
            finding = finding
                .unsure(Confidence::Likely, "its clock may be wrong, and its caller's span is missing");
        }
        found.push(finding);
    }
}

/// The span that says when what the hop relied on ends, and when the hop began, if it was served.
fn relied<'a>(cx: &Cx<'a>, hop: &Hop<'_>) -> Option<(&'a Span<'a>, u64)> {
    const ENDS: u128 = Field::ExpiresAt.bit() | Field::SealExp.bit();
    let start = cx.entry(hop).start;
    if start == 0 || !hop.identity.assurance.is_identified() || !hop.outcome.may_have_succeeded() {
        return None;
    }
    Some((cx.first_with(hop, ENDS)?, start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    /// A hop that began at 2026-01-01T00:00:00Z with these attributes.
    fn at_hop(attributes: &str) -> Vec<String> {
        found(
            Rule::ExpiredAtHop,
            &format!("orders SERVER GET /orders hopseal.sub=p1 http.response.status_code=200 {attributes}"),
        )
    }

    #[test]
    fn table() {
        // The trace begins at 1767225600 s; 60 s are allowed for clocks.
        for (attributes, expected) in [
            ("hopseal.assurance=verified hopseal.expires_at=1767225000", &["1: high certain"][..]),
            ("hopseal.assurance=verified hopseal.expires_at=1767225539", &["1: high certain"]),
            ("hopseal.assurance=verified hopseal.expires_at=1767225540", &[]),
            ("hopseal.assurance=verified hopseal.expires_at=1767226000", &[]),
            ("hopseal.assurance=asserted hopseal.expires_at=1767225000", &["1: high certain"]),
            ("hopseal.assurance=sealed hopseal.exp=1767225000", &["1: high certain"]),
            (
                "hopseal.assurance=sealed hopseal.exp=1767226000 hopseal.expires_at=1767225000",
                &["1: high certain"],
            ),
            ("hopseal.assurance=refused hopseal.expires_at=1767225000", &[]),
            ("hopseal.assurance=verified hopseal.expires_at=never", &[]),
            ("hopseal.assurance=verified", &[]),
        ] {
            assert_eq!(at_hop(attributes), expected, "{attributes}");
        }
    }

    #[test]
    fn only_what_was_served_and_only_if_both_clocks_say_so() {
        let expired = "hopseal.sub=p1 hopseal.assurance=verified hopseal.expires_at=1767225000";
        for (name, trace, expected) in [
            ("turned away", format!("a SERVER / {expired} http.response.status_code=401"), &[][..]),
            ("no status", format!("a SERVER / {expired}"), &["1: high likely"]),
            (
                "no caller to hold its clock against",
                format!("a SERVER / @parent=99 {expired} http.response.status_code=200"),
                &["1: high likely"],
            ),
            (
                "a message",
                format!("a SERVER /\n  a PRODUCER send\n    b CONSUMER take {expired}"),
                &["3: medium certain"],
            ),
            (
                "its caller's clock is ten seconds ahead of its own",
                format!(
                    "a SERVER / @start=10000 @end=11000\n  a CLIENT call @start=10001 @end=10900\n    b SERVER / \
                     @start=10 @end=100 {expired} http.response.status_code=200"
                ),
                &["3: high likely"],
            ),
            (
                "its clock is 20 minutes ahead of its caller's",
                "a SERVER / @start=0 @end=1000\n  a CLIENT call @start=1 @end=900\n    b SERVER / @start=1200010 \
                     @end=1200100 hopseal.sub=p1 hopseal.assurance=verified hopseal.expires_at=1767226000 \
                     http.response.status_code=200"
                    .to_owned(),
                &[],
            ),
        ] {
            assert_eq!(found(Rule::ExpiredAtHop, &trace), expected, "{name}");
        }
    }
}

//! F11: a credential or seal was used before it began.

use super::{Check, Cx, Needs, Rule, Spec};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::Outcome;
use crate::skew::Skew;

pub(super) const SPEC: Spec = Spec {
    number: "F11",
    severity: Severity::Low,
    needs: Needs::Crate,
    meaning: "The credential or seal of this hop was issued, or begins to be valid, later than the hop began, by more \
              than clocks may differ.",
    fix: "Set the clocks of issuer and service by the same source; refuse a credential before its `nbf`.",
    quieting: "Raise `thresholds.skew` if clocks differ more than that here.",
    maps: &["CWE-613"],
    quiet: &[],
    check: Check::Trace(check),
};

/// Times at which something begins, and what.
const BEGINS: [(Field, &str); 3] =
    [(Field::IssuedAt, "issued_at"), (Field::NotBefore, "not_before"), (Field::SealIat, "sealed_at")];
const ANY: u128 = Field::IssuedAt.bit() | Field::NotBefore.bit() | Field::SealIat.bit();

const SECOND: u64 = 1_000_000_000;

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    let mut skew = None;
    for hop in cx.hops.iter() {
        let entry = cx.entry(hop);
        if entry.start == 0 || hop.outcome == Outcome::Rejected || !hop.identity.assurance.is_identified() {
            continue;
        }
        let Some(span) = cx.first_with(hop, ANY) else { continue };
        let begins = BEGINS.iter().filter_map(|(field, what)| Some((span.number::<u64>(*field)?, *what)));
        let Some((begin, what)) = begins.max() else { continue };
        let allowed = cx.policy.thresholds.skew;
        let too_early = |reading: u64| reading.saturating_add(allowed) < begin.saturating_mul(SECOND);
        if !too_early(entry.start) {
            continue;
        }
        let skew: &Skew<'_> = skew.get_or_insert_with(|| Skew::of(cx));
        let latest = *skew.beginnings(cx, hop).end();
        if !too_early(latest) {
            continue;
        }
        let early = begin.saturating_sub(latest / SECOND);
        let mut finding = cx
            .finding(Rule::PrematureOrFuture, hop)
            .evidence(what, begin.to_string())
            .evidence("hop_began_at", (entry.start / SECOND).to_string())
            .evidence("seconds_early", early.to_string())
            .message(format!("`{}` accepted a credential that begins {early} s later", hop.service.name));
        if hop.caller_missing {
            finding = finding
                .unsure(Confidence::Likely, "its clock may be wrong, and its caller's span is missing");
        }
        found.push(finding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn table() {
        // The hop begins at 1767225600 s; 60 s are allowed for clocks.
        for (attributes, expected) in [
            ("hopseal.assurance=verified hopseal.issued_at=1767226200", &["1: low certain"][..]),
            ("hopseal.assurance=verified hopseal.not_before=1767225661", &["1: low certain"]),
            ("hopseal.assurance=verified hopseal.not_before=1767225660", &[]),
            ("hopseal.assurance=sealed hopseal.iat=1767226200", &["1: low certain"]),
            ("hopseal.assurance=sealed hopseal.iat=1767225590", &[]),
            ("hopseal.assurance=verified hopseal.issued_at=1767226200 http.response.status_code=401", &[]),
            ("hopseal.assurance=refused hopseal.issued_at=1767226200", &[]),
            ("hopseal.assurance=verified", &[]),
        ] {
            let trace = format!("a SERVER / hopseal.sub=p1 {attributes}");
            assert_eq!(found(Rule::PrematureOrFuture, &trace), expected, "{attributes}");
        }
    }

    #[test]
    fn a_clock_that_is_behind_its_callers_explains_it() {
        let trace = "a SERVER / @start=2000000 @end=2001000
             a CLIENT call @start=2000001 @end=2000900
               b SERVER / @start=10 @end=100 hopseal.sub=p1 hopseal.assurance=verified \
             hopseal.issued_at=1767227590";
        assert_eq!(found(Rule::PrematureOrFuture, trace), Vec::<String>::new());
    }
}

//! F08: what the seal vouches for is not what arrived.

use hopseal_identity::Assurance;
use hopseal_identity::seal::SealFault;

use super::{Check, Cx, Needs, Rule, Spec};
use crate::field::{Field, SEALED};
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::Hop;
use crate::record::Span;
use crate::who::SealVerdict;

pub(super) const SPEC: Spec = Spec {
    number: "F08",
    severity: Severity::High,
    needs: Needs::Crate,
    meaning: "The seal at this hop is missing, broken, or vouches for other values than those that arrived: the \
              identity in baggage was edited on the way. A seal of another trace is F14; one that has ended, F10.",
    fix: "Find what writes `hopseal.*` baggage between the last good hop and this one, and let this hop refuse what \
          the seal does not cover.",
    quieting: "Publish new keys before they are used, and keep old ones until their seals have ended.",
    maps: &["CWE-345", "CWE-353", "CWE-472"],
    quiet: &[],
    check: Check::Hop(check),
};

/// Signs that a seal was there, or should have been.
const ANY: u128 = Field::Assurance.bit() | Field::Seal.bit() | Field::SealError.bit();

/// What is wrong, and who says so.
struct Fault {
    word: &'static str,
    seen_by: &'static str,
    member: Option<&'static str>,
}

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    let Some(span) = cx.first_with(hop, ANY) else { return };
    let Some(fault) = fault(cx, hop, span) else { return };
    let message = match (fault.member, fault.word) {
        (Some(member), _) => format!("`{member}` changed under one seal before `{}`", hop.service.name),
        (None, "missing") => format!("an identity came to `{}` without its seal", hop.service.name),
        (None, word) => format!("the seal at `{}` does not hold: {word}", hop.service.name),
    };
    let caller = cx.caller(hop);
    let mut finding = cx
        .finding(Rule::BaggageTampered, hop)
        .evidence("seal_error", fault.word)
        .evidence("seen_by", fault.seen_by)
        .message(message);
    if let Some(member) = fault.member {
        finding = finding.evidence("member", member);
    }
    if let Some(caller) = caller {
        finding = finding
            .evidence("caller_assurance", caller.identity.assurance.as_str())
            .evidence("caller_span", cx.entry(caller).id.to_string());
        if !cx.entry(caller).has_any(ANY) {
            finding = finding.unsure(
                Confidence::Likely,
                "the caller does not use seals and may have re-encoded the baggage",
            );
        }
    }
    if fault.word == SealFault::UnknownKey.as_str() {
        finding = finding.unsure(Confidence::Likely, "a key that is being replaced looks the same");
    }
    if span.dropped > 0 {
        finding = finding.unsure(Confidence::Likely, "the span says that attributes of it were dropped");
    }
    found.push(finding);
}

fn fault(cx: &Cx<'_>, hop: &Hop<'_>, span: &Span<'_>) -> Option<Fault> {
    if let Some(SealVerdict::Broken(fault)) = hop.identity.seal {
        // The seal of a message is of the trace that it came from, in which only the hop could check it.
        let by_hop = span.get(Field::SealError).and_then(SealFault::parse).filter(|fault| told_here(*fault));
        if let (SealFault::Trace, Some(fault)) = (fault, by_hop) {
            return Some(Fault { word: fault.as_str(), seen_by: "the hop", member: None });
        }
        return told_here(fault).then(|| Fault { word: fault.as_str(), seen_by: "this check", member: None });
    }
    let reverified = matches!(hop.identity.seal, Some(SealVerdict::Valid { .. }));
    if let Some(word) = span.get(Field::SealError) {
        let fault = SealFault::parse(word);
        // What was valid all along can only have been beside the wrong credential, or by the wrong service.
        let beside = matches!(fault, Some(SealFault::Mismatch | SealFault::Sealer));
        let holds = if reverified { beside } else { fault.is_none_or(told_here) };
        let word = fault.map_or("other", SealFault::as_str);
        return holds.then_some(Fault { word, seen_by: "the hop", member: None });
    }
    if reverified {
        return None;
    }
    let Some(seal) = span.get(Field::Seal) else {
        let missing = hop.identity.assurance == Assurance::Sealed;
        let word = SealFault::Missing.as_str();
        return missing.then_some(Fault { word, seen_by: "this check", member: None });
    };
    let above = cx.entry(cx.caller(hop)?);
    if above.get(Field::Seal) != Some(seal) {
        return None;
    }
    let (_, member) = SEALED.into_iter().find(|(field, _)| above.get(*field) != span.get(*field))?;
    let word = SealFault::Mismatch.as_str();
    Some(Fault { word, seen_by: "this check", member: Some(member) })
}

/// Whether a fault is a tampering: the others are told by the rules of their own.
fn told_here(fault: SealFault) -> bool {
    !matches!(fault, SealFault::Trace | SealFault::Expired | SealFault::Premature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn one_hop() {
        for (attributes, expected) in [
            ("hopseal.assurance=sealed hopseal.seal=s1", &[][..]),
            ("hopseal.assurance=sealed", &["1: high certain"]),
            ("hopseal.assurance=sealed @dropped=2", &["1: high likely"]),
            ("hopseal.assurance=verified", &[]),
            ("hopseal.assurance=asserted hopseal.seal_error=signature", &["1: high certain"]),
            ("hopseal.assurance=asserted hopseal.seal_error=mismatch", &["1: high certain"]),
            ("hopseal.assurance=asserted hopseal.seal_error=missing", &["1: high certain"]),
            ("hopseal.assurance=asserted hopseal.seal=valid hopseal.seal_error=sealer", &["1: high certain"]),
            ("hopseal.assurance=refused hopseal.seal_error=signature", &["1: high certain"]),
            ("hopseal.assurance=asserted hopseal.seal_error=unknown__key", &["1: high likely"]),
            ("hopseal.assurance=asserted hopseal.seal_error=trace", &[]),
            ("hopseal.assurance=asserted hopseal.seal_error=expired", &[]),
            ("hopseal.assurance=sealed hopseal.seal=broken-signature", &["1: high certain"]),
            ("hopseal.assurance=verified hopseal.seal=broken-incomplete", &["1: high certain"]),
            ("hopseal.assurance=sealed hopseal.seal=broken-unknown__key", &["1: high likely"]),
            ("hopseal.assurance=sealed hopseal.seal=broken-expired", &[]),
            ("hopseal.assurance=sealed hopseal.seal=broken-trace", &[]),
            ("hopseal.assurance=asserted hopseal.seal=broken-trace hopseal.seal_error=trace", &[]),
            (
                "hopseal.assurance=asserted hopseal.seal=broken-trace hopseal.seal_error=signature",
                &["1: high certain"],
            ),
            ("hopseal.assurance=asserted hopseal.seal=valid hopseal.seal_error=unknown__key", &[]),
            (
                "hopseal.assurance=asserted hopseal.seal=valid hopseal.seal_error=mismatch",
                &["1: high certain"],
            ),
        ] {
            let trace = format!("orders SERVER GET /orders hopseal.sub=p1 {attributes}");
            assert_eq!(found(Rule::BaggageTampered, &trace), expected, "{attributes}");
        }
    }

    #[test]
    fn one_seal_has_one_set_of_members() {
        const SEALED: &str =
            "hopseal.assurance=sealed hopseal.sub=p1 hopseal.tenant=acme hopseal.exp=1767225900";
        for (name, caller, callee, expected) in [
            ("carried", format!("{SEALED} hopseal.seal=s1"), format!("{SEALED} hopseal.seal=s1"), &[][..]),
            (
                "another tenant",
                format!("{SEALED} hopseal.seal=s1"),
                format!("{SEALED} hopseal.seal=s1").replace("acme", "umbrella"),
                &["3: high certain"],
            ),
            (
                "a longer life",
                format!("{SEALED} hopseal.seal=s1"),
                format!("{SEALED} hopseal.seal=s1").replace("1767225900", "1767229900"),
                &["3: high certain"],
            ),
            (
                "a member that was not sealed",
                format!("{SEALED} hopseal.seal=s1"),
                format!("{SEALED} hopseal.act=AAAA hopseal.seal=s1"),
                &["3: high certain"],
            ),
            (
                "sealed anew",
                format!("{SEALED} hopseal.seal=s1"),
                format!("{SEALED} hopseal.seal=s2").replace("acme", "umbrella"),
                &[],
            ),
            (
                "a caller without seals",
                "user.id=p1".to_owned(),
                "hopseal.assurance=asserted hopseal.seal_error=signature".to_owned(),
                &["3: high likely"],
            ),
        ] {
            let trace = format!("a SERVER / {caller}\n  a CLIENT call\n    b SERVER / {callee}");
            assert_eq!(found(Rule::BaggageTampered, &trace), expected, "{name}");
        }
    }
}

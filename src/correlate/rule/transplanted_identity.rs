//! F14: a seal arrived in a trace that it was not made for.

use std::collections::BTreeSet;

use hopseal_identity::seal::{SealFault, trace_prefix};

use super::named::MOST;
use super::{Check, Cx, Needs, Rule, Spec};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::Hop;
use crate::record::Span;
use crate::who::SealVerdict;

pub(super) const SPEC: Spec = Spec {
    number: "F14",
    severity: Severity::High,
    needs: Needs::Crate,
    meaning: "The seal at this hop was made for another trace, and nothing links the two: somebody carried an \
              identity over.",
    fix: "Refuse seals of other traces. Where a trace is begun anew on purpose, link it to the old one and seal again.",
    quieting: "Send a span link to the trace that the seal was made for.",
    maps: &["CWE-294", "CWE-345"],
    quiet: &[],
    check: Check::Trace(check),
};

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    const ANY: u128 = Field::Seal.bit() | Field::SealError.bit();
    let mut linked = None;
    for hop in cx.hops.iter() {
        let Some(span) = cx.first_with(hop, ANY) else { continue };
        let Some(origin) = foreign(cx, hop, span) else { continue };
        if travelled_here(cx, hop, span) {
            continue;
        }
        let linked: &Links = linked.get_or_insert_with(|| Links::of(cx));
        if linked.lead_to(origin) {
            continue;
        }
        let mut finding = cx
            .finding(Rule::TransplantedIdentity, hop)
            .evidence("trace", cx.trace.id.to_string())
            .message(format!("`{}` received a seal that was made for another trace", hop.service.name));
        if hop.caller_missing || cx.ancestors(hop).take(MOST).any(|above| above.caller_missing) {
            finding = finding.unsure(
                Confidence::Likely,
                "a span on the way is missing, and with it perhaps the link to the other trace",
            );
        }
        if span.dropped > 0 {
            finding = finding.unsure(Confidence::Likely, "the span says that attributes of it were dropped");
        }
        if let Some(prefix) = origin {
            finding = finding.evidence("sealed_for_trace", format!("{:016x}...", u64::from_be_bytes(prefix)));
        }
        found.push(finding);
    }
}

/// The beginning of the trace id that the seal on `span` was made for, if that is not this one: `Some(None)` when
/// only a check of the seal told, here or at the hop.
fn foreign(cx: &Cx<'_>, hop: &Hop<'_>, span: &Span<'_>) -> Option<Option<[u8; 8]>> {
    let origin = span.get(Field::Seal).and_then(trace_prefix);
    if origin.is_some_and(|origin| !cx.trace.id.0.starts_with(&origin)) {
        return Some(origin);
    }
    let told = hop.identity.seal == Some(SealVerdict::Broken(SealFault::Trace))
        || span.get(Field::SealError) == Some(SealFault::Trace.as_str());
    (told && origin.is_none()).then_some(None)
}

/// Whether the same seal was at the caller already: then it is told there.
fn travelled_here(cx: &Cx<'_>, hop: &Hop<'_>, span: &Span<'_>) -> bool {
    let above = cx.caller(hop).map(|caller| cx.entry(caller));
    above.is_some_and(|above| above.has(Field::Seal) && above.get(Field::Seal) == span.get(Field::Seal))
}

/// The traces that this one is linked to, by the first half of their ids.
#[derive(Debug)]
struct Links(BTreeSet<[u8; 8]>);

impl Links {
    fn of(cx: &Cx<'_>) -> Self {
        let links = cx.trace.spans().iter().flat_map(Span::links);
        Self(links.filter_map(|(trace_id, _)| trace_id.0.first_chunk().copied()).collect())
    }

    /// Whether they lead to the trace of a seal; of one that cannot be told, whether there are any.
    fn lead_to(&self, origin: Option<[u8; 8]>) -> bool {
        match origin {
            Some(prefix) => self.0.contains(&prefix),
            None => !self.0.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    /// `{"alg":"EdDSA","kid":"k1","tid":"0000000000000000","typ":"hopseal"}`: traces of these tests begin so.
    const HERE: &str =
        "eyJhbGciOiJFZERTQSIsImtpZCI6ImsxIiwidGlkIjoiMDAwMDAwMDAwMDAwMDAwMCIsInR5cCI6ImhvcHNlYWwifQ";
    /// The same with `"tid":"0af7651916cd43dd"`.
    const ELSEWHERE: &str =
        "eyJhbGciOiJFZERTQSIsImtpZCI6ImsxIiwidGlkIjoiMGFmNzY1MTkxNmNkNDNkZCIsInR5cCI6ImhvcHNlYWwifQ";

    #[test]
    fn table() {
        let signature = "A".repeat(86);
        let (here, elsewhere) = (format!("{HERE}..{signature}"), format!("{ELSEWHERE}..{signature}"));
        let hop = |attributes: &str| format!("b SERVER / hopseal.sub=p1 {attributes}");
        for (name, trace, expected) in [
            ("its own", hop(&format!("hopseal.assurance=sealed hopseal.seal={here}")), &[][..]),
            (
                "another's",
                hop(&format!("hopseal.assurance=sealed hopseal.seal={elsewhere}")),
                &["1: high certain"],
            ),
            (
                "another's, seen by the hop",
                hop(&format!("hopseal.assurance=asserted hopseal.seal={elsewhere} hopseal.seal_error=trace")),
                &["1: high certain"],
            ),
            (
                "the hop's word alone",
                hop("hopseal.assurance=asserted hopseal.seal_error=trace"),
                &["1: high certain"],
            ),
            ("no seal at all", hop("hopseal.assurance=sealed hopseal.seal=e30..AA"), &[]),
            ("another fault", hop("hopseal.assurance=asserted hopseal.seal_error=signature"), &[]),
            (
                "linked to the old trace",
                hop(&format!(
                    "hopseal.assurance=sealed hopseal.seal={elsewhere} \
                     @link=0af7651916cd43dd8448eb211c80319c/5"
                )),
                &[],
            ),
            (
                "linked to a third",
                hop(&format!("hopseal.assurance=sealed hopseal.seal={elsewhere} @link=9/5")),
                &["1: high certain"],
            ),
            (
                "a caller that is missing may hold the link",
                format!("{} @parent=99", hop(&format!("hopseal.assurance=sealed hopseal.seal={elsewhere}"))),
                &["1: high likely"],
            ),
            (
                "links may have been dropped",
                format!("{} @dropped=1", hop(&format!("hopseal.assurance=sealed hopseal.seal={elsewhere}"))),
                &["1: high likely"],
            ),
            (
                "told where it came in, not again below",
                format!(
                    "a SERVER / hopseal.sub=p1 hopseal.assurance=sealed hopseal.seal={elsewhere}\n  a CLIENT call\n    \
                     b SERVER / hopseal.sub=p1 hopseal.assurance=sealed hopseal.seal={elsewhere}"
                ),
                &["1: high certain"],
            ),
        ] {
            assert_eq!(found(Rule::TransplantedIdentity, &trace), expected, "{name}");
        }
    }
}

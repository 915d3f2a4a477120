//! F34: a span speaks for a service that its sender may not speak for.

use super::{Check, Cx, Needs, Rule, Spec};
use crate::field::Field;
use crate::finding::{Finding, Severity};
use crate::hop::Hop;
use crate::record::Speaker;

pub(super) const SPEC: Spec = Spec {
    number: "F34",
    severity: Severity::High,
    needs: Needs::Crate,
    meaning: "The span says that it is of one service, and whoever sent it proved, by certificate or token, to be somebody \
              who may not speak for that service.",
    fix: "Find out who holds that certificate or token. Where it is a collector that sends for others, list the services \
          that it sends for.",
    quieting: "List the services that a shared collector may speak for with the sender, in the configuration.",
    maps: &["CWE-345", "CWE-290", "T1562"],
    quiet: &[],
    check: Check::Hop(check),
};

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    let entry = cx.entry(hop);
    if entry.speaker != Speaker::Foreign {
        return;
    }
    let sender = entry.get(Field::Sender).unwrap_or_default();
    found.push(
        cx.finding(Rule::SourceSpoof, hop)
            .evidence("sender", sender)
            .message(format!("spans of `{}` came from a sender that may not speak for it", hop.service.name)),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{found, with_hops};
    use hopseal_identity::Basis;

    #[test]
    fn table() {
        for (trace, expected) in [
            ("gw SERVER GET / user.id=al", &[][..]),
            ("gw SERVER GET / user.id=al @speaker=own", &[]),
            ("gw SERVER GET / user.id=al @speaker=mallory", &["1: high certain"]),
        ] {
            assert_eq!(found(Rule::SourceSpoof, trace), expected, "{trace}");
        }
    }

    #[test]
    fn only_who_may_speak_proves_anything() {
        for (speaker, basis) in [
            ("", Basis::Claimed),
            ("@speaker=own", Basis::AuthenticatedSender),
            ("@speaker=mallory", Basis::Claimed),
        ] {
            let trace = format!("gw SERVER GET / user.id=al {speaker}");
            let seen = with_hops(&trace, |_, hops| hops.iter().next().expect("a hop").identity.basis);
            assert_eq!(seen, basis, "{speaker}");
        }
    }

    /// Whoever may not speak for a service takes nothing from what the service itself said.
    #[test]
    fn the_most_trusted_body_is_kept() {
        let text = "gw SERVER GET / @id=1 user.id=al @speaker=own\ngw SERVER GET / @id=1 user.id=bo @speaker=mallory\n\
                    gw SERVER GET / @id=1 user.id=cy";
        with_hops(text, |trace, hops| {
            let hop = hops.iter().next().expect("a hop");
            assert_eq!(hop.identity.principal.as_ref().map(|principal| principal.id), Some("al"));
            assert_eq!(trace.grade.conflicts, 2);
        });
    }
}

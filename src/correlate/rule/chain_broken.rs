//! F06: the chain of actors, or the count of crossings, does not follow from the hop before.

use hopseal_identity::{Actor, CrossingCount};

use super::{Check, Cx, Needs, Rule, Spec};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::Hop;
use crate::who::Principal;

pub(super) const SPEC: Spec = Spec {
    number: "F06",
    severity: Severity::High,
    needs: Needs::Crate,
    meaning: "The actors at this hop are not those of its caller, with the caller itself in front where the token was \
              exchanged: a link is missing, out of order, or there are more than the policy allows. Or the running \
              count of crossings does not go on where the caller left it.",
    fix: "Exchange tokens so that `act` nests the one before (RFC 8693 section 4.1), and forward baggage unchanged.",
    quieting: "Raise `thresholds.max_actors` for longer chains; switch the rule off where the authorization server \
               flattens `act`.",
    maps: &["CWE-441", "CWE-345", "RFC 8693 section 4.1"],
    quiet: &[],
    check: Check::Hop(check),
};

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    actors(cx, hop, found);
    crossings(cx, hop, found);
}

/// What happened to a chain of actors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Break {
    /// A link of the caller's chain is gone, or was replaced.
    LinkMissing,
    /// All of its links are there, in another order.
    Reordered,
    /// More links were added than the caller.
    Unseen,
    /// A new token, and the caller is not in its chain.
    CallerLeftOut,
    /// The newest link is not the caller.
    NotTheCaller,
}

impl Break {
    const fn as_str(self) -> &'static str {
        match self {
            Self::LinkMissing => "link_missing",
            Self::Reordered => "reordered",
            Self::Unseen => "unseen_links",
            Self::CallerLeftOut => "caller_left_out",
            Self::NotTheCaller => "newest_is_not_the_caller",
        }
    }

    /// What else could explain it.
    const fn doubt(self) -> Option<&'static str> {
        match self {
            Self::Unseen => Some("the links may stem from an exchange in another domain"),
            Self::CallerLeftOut => Some("the caller may have been given a renewed token of the same chain"),
            Self::LinkMissing | Self::Reordered | Self::NotTheCaller => None,
        }
    }
}

fn actors(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    let Some(principal) = &hop.identity.principal else { return };
    let caller = cx.caller(hop);
    let above = caller.and_then(|caller| caller.identity.principal.as_ref());
    let before = above.map_or(&[][..], |above| above.actors.as_slice());
    if principal.actors.is_empty() && before.is_empty() || !cx.entry(hop).has(Field::Assurance) {
        return;
    }
    let most = cx.policy.thresholds.max_actors;
    if principal.actors.len() > most && before.len() <= most {
        found.push(
            cx.finding_of(Rule::ChainBroken, hop, "depth")
                .evidence("actors", principal.actors.len().to_string())
                .evidence("allowed", most.to_string())
                .message(format!("more actors stand behind the call to `{}` than allowed", hop.service.name)),
        );
    }
    let (Some(caller), Some(above)) = (caller, above) else { return };
    let Some(how) = broken(cx, caller, above, hop, principal) else { return };
    let mut finding = cx
        .finding_of(Rule::ChainBroken, hop, "actors")
        .evidence("break", how.as_str())
        .evidence("actors_before", before.len().to_string())
        .evidence("actors_here", principal.actors.len().to_string())
        .message(format!(
            "the chain of actors at `{}` does not follow from that of `{}`",
            hop.service.name, caller.service.name
        ));
    if let Some(doubt) = how.doubt() {
        finding = finding.unsure(Confidence::Likely, doubt);
    }
    if principal.actors.is_empty() {
        finding = finding.unsure(Confidence::Likely, "the authorization server may flatten `act`");
    }
    if cx.entry(hop).dropped > 0 || cx.entry(caller).dropped > 0 {
        finding = finding.unsure(Confidence::Likely, "a span says that attributes of it were dropped");
    }
    found.push(finding);
}

/// Holds the chain of a hop against its caller's.
fn broken(
    cx: &Cx<'_>,
    caller: &Hop<'_>,
    above: &Principal<'_>,
    hop: &Hop<'_>,
    principal: &Principal<'_>,
) -> Option<Break> {
    let (entry, caller_entry) = (cx.entry(hop), cx.entry(caller));
    // Another principal is the business of other rules; a seal carries digests of actors in place of their ids.
    let same = (principal.id, principal.issuer) == (above.id, above.issuer);
    let digests = !entry.has(Field::Actors) && entry.has(Field::Act);
    if !same || digests || !caller_entry.has(Field::Assurance) {
        return None;
    }
    if ids(&above.actors).eq(ids(&principal.actors)) {
        let [here, before] = [entry, caller_entry].map(|span| span.get(Field::TokenFingerprint));
        return (here.is_some() && before.is_some() && here != before).then_some(Break::CallerLeftOut);
    }
    let (before, here): (Vec<_>, Vec<_>) = (ids(&above.actors).collect(), ids(&principal.actors).collect());
    if let Some(added) = here.strip_suffix(before.as_slice()) {
        return match added {
            [newest] => is_another(cx, hop, caller, newest).then_some(Break::NotTheCaller),
            _ => Some(Break::Unseen),
        };
    }
    let all_there = before.iter().all(|id| here.contains(id));
    Some(if all_there { Break::Reordered } else { Break::LinkMissing })
}

fn ids<'t>(actors: &[Actor<'t>]) -> impl Iterator<Item = &'t str> {
    actors.iter().map(|actor| actor.id)
}

/// Whether an actor is certainly not the caller. Only names of one kind can be compared: workload ids.
fn is_another(cx: &Cx<'_>, hop: &Hop<'_>, caller: &Hop<'_>, actor: &str) -> bool {
    let exit = hop.exit.map(|exit| cx.trace.span(exit));
    let workload = cx.entry(caller).get(Field::Workload).or_else(|| exit?.get(Field::Workload));
    let is_workload = |id: &&str| id.starts_with("spiffe://");
    hop.via.is_empty() && is_workload(&actor) && workload.filter(is_workload).is_some_and(|own| own != actor)
}

/// Holds the count that arrived against the one that left, and that against what came to the caller.
fn crossings(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    let entry = cx.entry(hop);
    let Some(exit) = hop.exit.map(|exit| cx.trace.span(exit)) else { return };
    let Some(left) = exit.get(Field::HopAfter) else { return };
    let left = CrossingCount::parse(left);
    let mut report = |what: &str, likely: Option<&str>| {
        let message = format!("the count of crossings does not lead on to `{}`", hop.service.name);
        let mut finding =
            cx.finding_of(Rule::ChainBroken, hop, "crossings").evidence("break", what).message(message);
        if let Some(why) = likely {
            finding = finding.unsure(Confidence::Likely, why);
        }
        found.push(finding);
    };
    if let Some(arrived) = entry.get(Field::HopBefore) {
        match (left, CrossingCount::parse(arrived)) {
            (Some(left), Some(arrived)) if left == arrived => {}
            (Some(left), Some(arrived)) if arrived.count > left.count => {
                let why = "a hop in between may have lost its span";
                return report(
                    &format!("{} crossings without a span", arrived.count - left.count),
                    Some(why),
                );
            }
            _ => return report("not what the caller sent", None),
        }
    }
    let Some(caller) = cx.caller(hop).map(|caller| cx.entry(caller)) else { return };
    let Some(workload) = caller.get(Field::Workload) else { return };
    let arrived = caller.get(Field::HopBefore).map_or(Some(CrossingCount::START), CrossingCount::parse);
    let expected = arrived.map(|arrived| arrived.next(workload, exit.id.0));
    if expected.is_none() || left != expected {
        report("not what the caller received", None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    const A: &str = "spiffe://example.org/a";

    fn at_b(caller: &str, callee: &str) -> Vec<String> {
        found(
            Rule::ChainBroken,
            &format!(
                "a SERVER / hopseal.sub=p1 hopseal.assurance=verified hopseal.workload={A} {caller}\n  a CLIENT call\n    \
                 b SERVER / hopseal.sub=p1 hopseal.assurance=verified {callee}"
            ),
        )
    }

    #[test]
    fn actors_follow() {
        let (gw, me) =
            ("hopseal.actors=service:spiffe://example.org/gw", format!("hopseal.actors=service:{A}"));
        let other = "hopseal.actors=service:spiffe://example.org/other";
        for (name, caller, callee, expected) in [
            ("nobody acts", String::new(), String::new(), &[][..]),
            ("passed on", gw.to_owned(), gw.to_owned(), &[]),
            ("the caller joins", gw.to_owned(), format!("{me} {gw}"), &[]),
            ("the first to join", String::new(), me.clone(), &[]),
            ("by the name of an OAuth client", gw.to_owned(), format!("hopseal.actors=orders-app {gw}"), &[]),
            ("another joins", gw.to_owned(), format!("{other} {gw}"), &["3: high certain"]),
            ("the beginning is gone", gw.to_owned(), me.clone(), &["3: high certain"]),
            ("all gone", gw.to_owned(), String::new(), &["3: high likely"]),
            ("out of order", gw.to_owned(), format!("{gw} {me}"), &["3: high certain"]),
            ("two join", gw.to_owned(), format!("{other} {me} {gw}"), &["3: high likely"]),
            (
                "a new token without the caller",
                format!("{gw} hopseal.token_fingerprint=f1"),
                format!("{gw} hopseal.token_fingerprint=f2"),
                &["3: high likely"],
            ),
            (
                "the same token",
                format!("{gw} hopseal.token_fingerprint=f1"),
                format!("{gw} hopseal.token_fingerprint=f1"),
                &[],
            ),
            ("digests in a seal", gw.to_owned(), "hopseal.act=AAAAAAAAAAA".to_owned(), &[]),
            ("an attribute was dropped", gw.to_owned(), format!("{me} @dropped=1"), &["3: high likely"]),
        ] {
            assert_eq!(at_b(&caller, &callee), expected, "{name}");
        }
    }

    #[test]
    fn another_principal_or_a_hop_without_the_crate_is_no_break() {
        let gw = "hopseal.actors=service:gw";
        for callee in [
            "b SERVER / hopseal.sub=p2 hopseal.assurance=verified",
            "b SERVER / user.id=p1",
            "b SERVER / hopseal.assurance=anonymous",
        ] {
            let trace = format!(
                "a SERVER / hopseal.sub=p1 hopseal.assurance=verified {gw}\n  a CLIENT call\n    {callee}"
            );
            assert_eq!(found(Rule::ChainBroken, &trace), Vec::<String>::new(), "{callee}");
        }
    }

    #[test]
    fn a_chain_is_too_long_once() {
        let five = "hopseal.actors=a,b,c,d,e";
        assert_eq!(at_b(five, five), ["1: high certain"]);
        assert_eq!(at_b("hopseal.actors=a,b,c,d", "hopseal.actors=a,b,c,d"), Vec::<String>::new());
    }

    #[test]
    fn crossings_follow() {
        let start = CrossingCount::START;
        let came = start.next("spiffe://example.org/gw", [9; 8]);
        let left = came.next(A, [0, 0, 0, 0, 0, 0, 0, 2]);
        let past = left.next("spiffe://example.org/silent", [7; 8]);
        let first = start.next(A, [0, 0, 0, 0, 0, 0, 0, 2]);
        let other = came.next(A, [1; 8]);
        let text =
            |key: &str, count: CrossingCount| format!("{key}={}", count.to_string().replace('_', "__"));
        for (name, before, after, arrived, expected) in [
            ("as it left", Some(came), Some(left), Some(left), &[][..]),
            ("the first call", None, Some(first), Some(first), &[]),
            ("a hop that sent no span", Some(came), Some(left), Some(past), &["3: high likely"]),
            ("of an earlier call", Some(came), Some(left), Some(came), &["3: high certain"]),
            ("another way", Some(came), Some(left), Some(other), &["3: high certain"]),
            ("not from what came", Some(came), Some(other), Some(other), &["3: high certain"]),
            ("not shown by the callee", Some(came), Some(left), None, &[]),
            ("not shown by the caller", Some(came), None, Some(left), &[]),
        ] {
            let show = |key: &str, count: Option<CrossingCount>| {
                count.map_or_else(String::new, |count| text(key, count))
            };
            let trace = format!(
                "a SERVER / hopseal.workload={A} {}\n  a CLIENT call {}\n    b SERVER / {}",
                show("hopseal.hop_before", before),
                show("hopseal.hop_after", after),
                show("hopseal.hop_before", arrived),
            );
            assert_eq!(found(Rule::ChainBroken, &trace), expected, "{name}");
        }
    }
}

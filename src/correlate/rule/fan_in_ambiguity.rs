//! F23: one consumer works on the messages of several users, as one of them or as nobody.

use super::id_shape::IdShape;
use super::named::MOST;
use super::{Check, Cx, DECLARED, Needs, Quiet, Rule, Spec, writes};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, HopKind};
use crate::sink::SpanKind;
use crate::survey::Known;
use crate::trace::SpanIx;

pub(super) const SPEC: Spec = Spec {
    number: "F23",
    severity: Severity::Medium,
    needs: Needs::Identity,
    meaning: "A consumer's span links to messages sent for two users or more, and what it writes or calls is done for \
              one of them or for nobody.",
    fix: "Start a span for each message and restore its sender's identity on it, as the messaging conventions suggest.",
    quieting: "Declare the topic under `aggregated_topics` if the consumer only adds up.",
    maps: &["CWE-441", "CWE-863"],
    quiet: &[Quiet::Public, Quiet::SystemTopic, Quiet::Declared],
    check: Check::Hop(check),
};

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    if hop.kind != HopKind::Messaging || hop.links.len() < 2 {
        return;
    }
    let users = users(cx, hop);
    if users.len() < 2 {
        return;
    }
    let Some(work) = work(cx, hop) else { return };
    let mut finding = cx
        .finding(Rule::FanInAmbiguity, hop)
        .evidence("links", hop.links.len().to_string())
        .evidence("principals", users.len().to_string())
        .evidence("acted_as", if hop.identity.principal.is_some() { "one" } else { "nobody" })
        .evidence("work", work)
        .message(format!(
            "`{}` worked on messages of {} users in one go, as {}",
            hop.service.name,
            users.len(),
            if hop.identity.principal.is_some() { "one of them" } else { "nobody" }
        ));
    let sender = hop.links.first().and_then(|link| cx.sender(link));
    finding.before = users.first().map(Known::to_who);
    finding.caller = sender.map(|sender| sender.service.to_owned());
    if cx.frame_get(hop, Field::MessagingDestination).is_some_and(|topic| cx.policy.aggregates(topic)) {
        finding = finding.evidence(DECLARED, "aggregated_topics");
    }
    if hop.links.len() > MOST {
        finding = finding.evidence("links_looked_at", MOST.to_string());
    }
    if hop.identity.principal.is_none() && !hop.identity.assurance.is_identified() {
        finding =
            finding.unsure(Confidence::Likely, "the consumer may act for each in turn and not record it");
    }
    found.push(finding);
}

/// The users that the linked messages were sent for, each once. Two ids spelled in two ways may be one user.
fn users<'a>(cx: &Cx<'a>, hop: &Hop<'_>) -> Vec<Known<'a>> {
    const MANY: usize = 64;
    let mut users: Vec<Known<'a>> = Vec::new();
    for link in hop.links.iter().take(MOST) {
        let Some(user) = cx.sender(link).and_then(|sender| sender.principal).filter(Known::is_user) else {
            continue;
        };
        if users.len() < MANY && users.iter().all(|known| are_two(known, &user)) {
            users.push(user);
        }
    }
    users
}

fn are_two(a: &Known<'_>, b: &Known<'_>) -> bool {
    let ((issuer_a, tenant_a, a), (issuer_b, tenant_b, b)) = (a.key(), b.key());
    let (shape_a, shape_b) = (IdShape::of(a), IdShape::of(b));
    let apart = |a: Option<&str>, b: Option<&str>| a.is_some() && b.is_some() && a != b;
    apart(issuer_a, issuer_b)
        || apart(tenant_a, tenant_b)
        || (shape_a.is_alike(&shape_b) && !shape_a.may_be(&shape_b))
}

/// What was done: a write, or a call; reading and adding up is neither.
fn work(cx: &Cx<'_>, hop: &Hop<'_>) -> Option<String> {
    if let Some(ix) = writes::in_frame(cx, hop) {
        return Some(writes::what(cx.trace.span(ix)));
    }
    let answers = |ix: &&SpanIx| cx.trace.span(**ix).kind == SpanKind::Client && writes::answers(cx, **ix);
    let call = cx.hops.frame(hop.ix).iter().take(MOST).find(answers)?;
    Some(format!(
        "called `{}`",
        cx.trace.children(*call).first().map_or("", |child| cx.trace.span(*child).service.name)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn table() {
        let sent = "shop PRODUCER publish user.id=alice @trace=2\nshop PRODUCER publish user.id=bob @trace=2\n\
                    shop PRODUCER publish user.id=alice @trace=2\nshop PRODUCER publish @trace=2\n";
        let write = "\n  billing CLIENT q db.operation=UPDATE";
        for (name, consumer, below, expected) in [
            ("as one of two", "user.id=alice @link=2/1 @link=2/2", write, &["5: medium certain"][..]),
            ("as nobody", "@link=2/1 @link=2/2", write, &["5: medium likely"]),
            ("of one user", "user.id=alice @link=2/1 @link=2/3", write, &[]),
            ("of one user and nobody", "user.id=alice @link=2/1 @link=2/4", write, &[]),
            ("only adds up", "@link=2/1 @link=2/2", "\n  billing CLIENT q db.operation=SELECT", &[]),
            ("one message", "user.id=alice @link=2/1", write, &[]),
            (
                "calls another service",
                "user.id=alice @link=2/1 @link=2/2",
                "\n  billing CLIENT GET\n    stock SERVER GET /",
                &["5: medium certain"],
            ),
        ] {
            let trace = format!("{sent}billing CONSUMER process {consumer}{below}");
            assert_eq!(found(Rule::FanInAmbiguity, &trace), expected, "{name}");
        }
    }
}

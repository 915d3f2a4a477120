//! F22: a message was sent for a user and worked on for nobody, or for a user whose time was up.

use hopseal_identity::Assurance;

use super::named::MOST;
use super::{Check, Cx, Needs, Quiet, Rule, Spec};
use crate::catalogue::Capability;
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, HopKind};
use crate::survey::{Known, Sender};

pub(super) const SPEC: Spec = Spec {
    number: "F22",
    severity: Severity::Medium,
    needs: Needs::Identity,
    meaning: "The producer of a message acted for a user; the consumer, called or linked, shows no identity, or the \
              user's credential ended while the message was queued.",
    fix: "Send the sealed identity with the message, and re-seal where messages wait longer than a seal lasts.",
    quieting: "Declare the topic under `public` if nothing in it belongs to anybody.",
    maps: &["OWASP API2:2023", "CWE-306", "CWE-613"],
    quiet: &[Quiet::Public, Quiet::Rejected, Quiet::SystemTopic, Quiet::Incomplete],
    check: Check::Hop(check),
};

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    if hop.kind != HopKind::Messaging {
        return;
    }
    let nobody = matches!(hop.identity.assurance, Assurance::Unknown | Assurance::Anonymous);
    if !nobody && !hop.identity.assurance.is_identified() {
        return;
    }
    let Some((sender, principal)) = senders(cx, hop).find(|(sender, _)| nobody || is_over(cx, hop, sender))
    else {
        return;
    };
    let topic = topic(cx, hop);
    let capability = cx.capability(hop);
    if nobody && capability == Capability::Never && hop.identity.assurance == Assurance::Unknown {
        return;
    }
    let mut finding = cx
        .finding(Rule::AsyncIdentityGap, hop)
        .evidence("topic", topic)
        .evidence("sender", sender.service)
        .evidence("reason", if nobody { "no_identity" } else { "expired_in_queue" });
    finding.before = Some(principal.to_who());
    finding.caller = Some(sender.service.to_owned());
    let start = cx.entry(hop).start;
    if sender.at > 0 && start >= sender.at {
        finding = finding.evidence("queue_delay_ms", ((start - sender.at) / 1_000_000).to_string());
    }
    if nobody && capability != Capability::Operation && hop.identity.assurance == Assurance::Unknown {
        finding = finding.unsure(
            Confidence::Likely,
            "this consumer has never shown an identity, only others of the service have",
        );
    }
    let what = if nobody { "received no identity" } else { "worked on it after the credential had ended" };
    found.push(
        finding.message(format!(
            "`{}` sent a message for a user, `{}` {what}",
            sender.service, hop.service.name
        )),
    );
}

/// Who sent what the hop works on, for a user: its caller, or those it links to.
fn senders<'a>(cx: &Cx<'a>, hop: &'a Hop<'a>) -> impl Iterator<Item = (Sender<'a>, Known<'a>)> {
    let cx = *cx;
    let caller = cx.caller(hop).map(|caller| {
        let principal = caller.identity.principal.as_ref();
        Sender {
            service: caller.service.name,
            at: hop.exit.map_or(0, |exit| cx.trace.span(exit).start),
            expires_at: principal.and_then(|principal| principal.expires_at),
            principal: principal.map(Known::Here),
            whole: cx.trace.grade.is_complete(),
        }
    });
    let linked = hop.links.iter().take(MOST).filter_map(move |link| cx.sender(link));
    caller
        .into_iter()
        .chain(linked)
        .filter_map(|sender| Some((sender, sender.principal.filter(Known::is_user)?)))
}

/// Whether the sender's credential was good when the message was sent and had ended when it was worked on. Where the
/// consumer says itself when its credential ends, that is judged as any other.
fn is_over(cx: &Cx<'_>, hop: &Hop<'_>, sender: &Sender<'_>) -> bool {
    const ENDS: u128 = Field::ExpiresAt.bit() | Field::SealExp.bit();
    let Some(end) = sender.expires_at.map(|seconds| seconds.saturating_mul(1_000_000_000)) else {
        return false;
    };
    let latest = end.saturating_add(cx.policy.thresholds.skew);
    sender.at <= end && cx.entry(hop).start > latest && !cx.frame(hop).any(|span| span.has_any(ENDS))
}

fn topic<'a>(cx: &Cx<'a>, hop: &Hop<'_>) -> &'a str {
    let exit = || cx.trace.span(hop.exit?).get(Field::MessagingDestination);
    cx.entry(hop).get(Field::MessagingDestination).or_else(exit).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn table() {
        let capable = "\nbilling CONSUMER process messaging.destination.name=orders user.id=bob @trace=2";
        for (name, trace, expected) in [
            (
                "by parent",
                "shop PRODUCER publish user.id=alice\n  billing CONSUMER process messaging.destination.name=orders",
                &["2: medium certain"][..],
            ),
            (
                "by link, in another trace",
                "shop PRODUCER publish user.id=alice @trace=3\nbilling CONSUMER process messaging.destination.name=orders @link=3/1",
                &["2: medium certain"],
            ),
            (
                "carried",
                "shop PRODUCER publish user.id=alice\n  billing CONSUMER process messaging.destination.name=orders user.id=alice",
                &[],
            ),
            (
                "sent by a service for itself",
                "shop PRODUCER publish oauth.client_id=batch\n  billing CONSUMER process messaging.destination.name=orders",
                &[],
            ),
            (
                "another topic of the service",
                "shop PRODUCER publish user.id=alice\n  billing CONSUMER process messaging.destination.name=refunds",
                &["2: medium likely"],
            ),
            (
                "a service that never shows one",
                "shop PRODUCER publish user.id=alice\n  mailer CONSUMER process messaging.destination.name=orders",
                &[],
            ),
            (
                "a system topic",
                "shop PRODUCER publish user.id=alice\n  billing CONSUMER process messaging.destination.name=____consumer__offsets",
                &[],
            ),
            (
                "ended in the queue",
                // A minute after the tests' time, and worked on five minutes after it.
                "shop PRODUCER publish user.id=alice hopseal.expires_at=1767225660\n  billing CONSUMER process @start=300000 user.id=alice",
                &["2: medium certain"],
            ),
            (
                "still good",
                "shop PRODUCER publish user.id=alice hopseal.expires_at=1767225660\n  billing CONSUMER process @start=90000 user.id=alice",
                &[],
            ),
            ("a call", "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    billing SERVER GET /", &[]),
        ] {
            assert_eq!(found(Rule::AsyncIdentityGap, &format!("{trace}{capable}")), expected, "{name}");
        }
    }
}

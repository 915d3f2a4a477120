//! F04: the caller's user became another user.

use hopseal_identity::Actor;

use super::id_shape::IdShape;
use super::named::{self, MOST, Named};
use super::{Check, Cx, EXPLAINED, Needs, Quiet, Rule, Spec, sign_in};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, HopKind};
use crate::survey::Sent;
use crate::who::Principal;

pub(super) const SPEC: Spec = Spec {
    number: "F04",
    severity: Severity::High,
    needs: Needs::Identity,
    meaning: "A hop acts for another user than the hop that called it, the chain of actors does not say that one \
              acts for the other, and no login or token exchange stands between them. Ids are compared only where \
              both hops spell them alike; where they do not, the finding is a hint at most.",
    fix: "Take the user from the credential that was received, not from a request field or a cache. Where one user \
          lawfully acts for another, exchange the token so that `act` says so (RFC 8693 section 4.1).",
    quieting: "List ids that are one person under `aliases`, each with its issuer.",
    maps: &["OWASP API1:2023", "OWASP API2:2023", "CWE-287", "CWE-863", "T1134"],
    quiet: &[Quiet::Explained],
    check: Check::Hop(check),
};

const OTHER_SPACE: &str =
    "one key, and ids that differ in what stands in front: of two kinds of ids, or spelled in two ways";

/// What two hops say of one another.
enum Compared {
    /// They name one user, or may well do.
    Same,
    /// They name two, as sure as the spelling allows.
    Differ(Confidence, Option<&'static str>),
    /// Their ids tell nothing: other facts, spelled otherwise.
    Incomparable,
}

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    let Some(here) = hop.identity.principal.as_ref().filter(|here| here.is_user()) else { return };
    let mut differing = None;
    for above in cx.ancestors(hop).take(MOST) {
        let Some(before) = &above.identity.principal else { continue };
        if !before.is_user() {
            break;
        }
        if is_torn(above) {
            continue;
        }
        if before.id == here.id && differing.is_none() {
            return;
        }
        match compared(cx, above, hop) {
            Compared::Same => return,
            // A hop further up may spell ids as this one does, and then says more.
            Compared::Differ(Confidence::Hint, why) => {
                differing = differing.or(Some((above, Confidence::Hint, why)));
            }
            Compared::Differ(confidence, why) => {
                differing = Some((above, confidence, why));
                break;
            }
            Compared::Incomparable => {}
        }
    }
    let Some((above, confidence, why)) = differing else {
        found.extend(by_link(cx, hop, here));
        return;
    };
    let entry = cx.entry(hop);
    let mut finding = cx
        .finding(Rule::IdentitySwapped, hop)
        .before(above.identity.principal.as_ref())
        .evidence("before_service", above.service.name)
        .evidence("before_span", cx.entry(above).id.to_string())
        .evidence("before_key", keys(cx, above))
        .evidence("here_key", keys(cx, hop))
        .message(format!(
            "`{}` acted for one user, `{}` acts for another",
            above.service.name, hop.service.name
        ));
    if let Some(why) = why {
        finding = finding.unsure(confidence, why);
    }
    if let Some(what) = explained(cx, above, hop) {
        finding = finding.evidence(EXPLAINED, what);
    }
    if cx.trace.grade.conflicts > 0 {
        finding = finding
            .unsure(Confidence::Likely, "spans of this trace arrived with different contents under one id");
    }
    if hop.caller != Some(above.ix) {
        finding = finding.unsure(
            Confidence::Likely,
            "services between the two hops, which may have logged another user in, show no comparable identity",
        );
    }
    if entry.has(Field::Act) && !entry.has(Field::Actors) {
        finding = finding.unsure(
            Confidence::Likely,
            "actors travelled as digests, which do not tell whether they name the user",
        );
    }
    found.push(finding);
}

/// What in the trace makes it lawful that another user acts here.
fn explained(cx: &Cx<'_>, above: &Hop<'_>, hop: &Hop<'_>) -> Option<&'static str> {
    if named::at(cx, above).any(|id| named::has_actor(hop, &id.shape())) {
        return Some("actor");
    }
    if comes_by_link(cx, hop) {
        return Some("linked message");
    }
    sign_in::between(cx, above, hop, sign_in::signs_in).then_some("login or token exchange")
}

/// A message that was sent for one user, and is worked on for another.
fn by_link(cx: &Cx<'_>, hop: &Hop<'_>, here: &Principal<'_>) -> Option<Finding> {
    if hop.kind != HopKind::Messaging || hop.links.is_empty() || cx.nearest_identified(hop).is_some() {
        return None;
    }
    let mut sent_for = None;
    for link in hop.links.iter().take(MOST) {
        let sender = cx.sender(link)?;
        let principal = sender.principal.filter(|principal| principal.is_user())?;
        let (issuer, _, id) = principal.key();
        if named::at(cx, hop).any(|here| are_one(cx, hop, id, here.id)) {
            return None;
        }
        // Of two users that a sender names, it may have sent it for either.
        let names_one = match link.hop {
            Some(sender) => named::is_one(cx.frame(cx.hops.get(sender))),
            None => cx.linked.sent(link.trace_id, link.span_id).is_some_and(Sent::names_one),
        };
        if !names_one {
            return None;
        }
        sent_for = Some((sender, principal, issuer, id));
    }
    let (sender, principal, issuer, id) = sent_for?;
    let mut finding = cx
        .finding(Rule::IdentitySwapped, hop)
        .evidence("before_service", sender.service)
        .evidence("here_key", keys(cx, hop))
        .message(format!(
            "`{}` sent the message for one user, `{}` works on it for another",
            sender.service, hop.service.name
        ))
        .unsure(
            Confidence::Likely,
            "the two hops are joined by a link, which says that one led to the other, not how",
        );
    finding.before = Some(principal.to_who());
    if issuer != here.issuer {
        finding = finding.unsure(
            Confidence::Hint,
            "the ids may be from two issuers, which may know one user under two ids",
        );
    } else if !IdShape::of(id).is_alike(&IdShape::of(here.id)) {
        finding = finding.unsure(Confidence::Hint, "the two hops spell ids differently");
    }
    let is_actor = |actor: &Actor<'_>| IdShape::of(actor.id).may_be(&IdShape::of(id));
    if here.actors.iter().any(is_actor) {
        finding = finding.evidence(EXPLAINED, "actor");
    }
    Some(finding)
}

/// Whether the span that began the frame is missing: what its inner spans name may be whose data it is.
fn is_torn(hop: &Hop<'_>) -> bool {
    hop.kind == HopKind::Origin && hop.caller_missing
}

/// Compares whom two hops name.
fn compared(cx: &Cx<'_>, above: &Hop<'_>, hop: &Hop<'_>) -> Compared {
    let mut best: Option<(Confidence, Option<&'static str>)> = None;
    for before in named::at(cx, above).take(MOST) {
        for here in named::at(cx, hop).take(MOST) {
            if are_one(cx, hop, before.id, here.id) {
                let is_alias = cx.policy.is_alias(issuer(hop).unwrap_or(""), before.id, here.id);
                if before.key != here.key || is_alias || !before.shape().is_in_another_space(&here.shape()) {
                    return Compared::Same;
                }
                best = best.or(Some((Confidence::Hint, Some(OTHER_SPACE))));
                continue;
            }
            if let Some(differ) = differ(before, here)
                && best.is_none_or(|best| differ.0 > best.0)
            {
                best = Some(differ);
            }
        }
    }
    match (best, issuer(above), issuer(hop)) {
        (None, ..) => Compared::Incomparable,
        (Some(_), Some(before), Some(here)) if before != here => Compared::Differ(
            Confidence::Hint,
            Some("the ids are from two issuers, which may know one user under two ids"),
        ),
        (Some((Confidence::Certain, _)), Some(_), None) | (Some((Confidence::Certain, _)), None, Some(_)) => {
            Compared::Differ(Confidence::Likely, Some("only one of the two hops names the issuer of its id"))
        }
        (Some((confidence, why)), ..) => Compared::Differ(confidence, why),
    }
}

fn issuer<'t>(hop: &Hop<'t>) -> Option<&'t str> {
    hop.identity.principal.as_ref()?.issuer
}

fn are_one(cx: &Cx<'_>, hop: &Hop<'_>, before: &str, here: &str) -> bool {
    before == here
        || IdShape::of(before).may_be(&IdShape::of(here))
        || cx.policy.is_alias(issuer(hop).unwrap_or(""), before, here)
}

/// How sure two ids that are not one tell two users apart; `None` where they tell nothing.
fn differ(before: Named<'_>, here: Named<'_>) -> Option<(Confidence, Option<&'static str>)> {
    let (one, other) = (before.shape(), here.shape());
    // The crate's pseudonyms are all made alike, whatever their letters look like.
    let alike = one.is_alike(&other) || (before.field == Field::Sub && here.field == Field::Sub);
    match (before.key == here.key, alike) {
        (true, true) => Some((Confidence::Certain, None)),
        (true, false) => Some((Confidence::Hint, Some("the two hops spell ids differently"))),
        (false, true) if one.names_its_space() => {
            Some((Confidence::Likely, Some("the two ids are spelled alike, but stand under different keys")))
        }
        (false, true) => Some((
            Confidence::Hint,
            Some("the two ids stand under different keys, and may be of different kinds"),
        )),
        (false, false) => None,
    }
}

/// Whether the identity may have come with one of the linked messages rather than from the parent.
fn comes_by_link(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    hop.links.iter().take(MOST).any(|link| match cx.sender(link) {
        None => true,
        Some(sender) => sender.principal.is_some_and(|sender| {
            let (.., sent) = sender.key();
            named::at(cx, hop).any(|here| are_one(cx, hop, sent, here.id))
        }),
    })
}

/// The attribute keys under which a hop names its user.
fn keys(cx: &Cx<'_>, hop: &Hop<'_>) -> String {
    let mut keys: Vec<&str> = named::at(cx, hop).take(MOST).map(|id| cx.dialects.name(id.key)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{found, found_by};

    /// `gw` as written, and `orders` called by it.
    fn pair(gw: &str, orders: &str) -> String {
        format!("gw SERVER GET / {gw}\n  gw CLIENT GET\n    orders SERVER GET /orders {orders}")
    }

    #[test]
    fn two_hops() {
        const UUID: &str = "ed7d0ad1-4211-4e9c-8278-0123456789ab";
        const OTHER: &str = "11111111-4211-4e9c-8278-0123456789ab";
        for (gw, orders, expected) in [
            ("user.id=alice", "user.id=bob", &["3: high certain"][..]),
            ("user.id=alice", "user.id=alice", &[]),
            ("user.id=alice", "user.id=ALICE", &[]),
            // One user, spelled twice.
            ("user.id=alice", "enduser.id=alice@example.com", &[]),
            ("user.id=u-10001", "enduser.id=acct-10001", &[]),
            (&format!("user.id={UUID}"), &format!("user.username=user_uuid:{UUID}"), &[]),
            // Nothing to compare.
            ("user.id=42", "user.name=alice", &[]),
            ("user.id=42", &format!("enduser.id={UUID}"), &[]),
            // Perhaps two users.
            ("user.id=acme|10001", "user.id=globex|10001", &["3: high hint"]),
            ("user.id=user:1234", "user.id=admin:1234", &["3: high hint"]),
            ("user.id=alice", "user.id=undefined", &[]),
            ("user.id=42", "user.id=alice", &["3: high hint"]),
            ("user.id=alice", "enduser.id=bob", &["3: high hint"]),
            (&format!("user.uuid={UUID}"), &format!("user.id={OTHER}"), &["3: high hint"]),
            (
                "oauth.additionalInfo.principal=user_uuid:ed7d",
                "oauth.additionalInfo.principal=app:86ee",
                &["3: high hint"],
            ),
            // The spelling says that both ids are from one space.
            ("user.id=u-10001", "enduser.id=u-10002", &["3: high likely"]),
            ("user.email=a@example.com", "enduser.id=b@example.com", &["3: high likely"]),
            // Any id in common settles it.
            ("user.id=42 user.email=a@example.com", "user.id=43 user.email=a@example.com", &[]),
            // Issuers.
            (
                "hopseal.sub=aa hopseal.iss=main hopseal.assurance=verified",
                "hopseal.sub=bb hopseal.iss=main hopseal.assurance=verified",
                &["3: high certain"],
            ),
            (
                "hopseal.sub=aa hopseal.iss=main hopseal.assurance=verified",
                "hopseal.sub=bb hopseal.iss=other hopseal.assurance=verified",
                &["3: high hint"],
            ),
            (
                "hopseal.sub=aa hopseal.iss=main hopseal.assurance=verified",
                "hopseal.sub=bb hopseal.assurance=verified",
                &["3: high likely"],
            ),
            // Lawful: support acts for the customer, and says so.
            (
                "hopseal.sub=aa hopseal.assurance=verified",
                "hopseal.sub=bb hopseal.assurance=verified hopseal.actors=user:aa",
                &[],
            ),
            (
                "hopseal.sub=aa hopseal.assurance=verified",
                "hopseal.sub=bb hopseal.assurance=verified hopseal.actors=user:cc",
                &["3: high certain"],
            ),
            (
                "hopseal.sub=aa hopseal.assurance=sealed",
                "hopseal.sub=bb hopseal.assurance=sealed hopseal.act=q83vEjRWeJA",
                &["3: high likely"],
            ),
            // Those are other rules, or none.
            ("user.id=alice", "oauth.client_id=batch", &[]),
            ("oauth.client_id=batch", "oauth.client_id=other", &[]),
            ("oauth.client_id=batch", "user.id=bob", &[]),
            ("user.id=alice", "user.id=anonymous", &[]),
        ] {
            assert_eq!(found(Rule::IdentitySwapped, &pair(gw, orders)), expected, "{gw} -> {orders}");
        }
    }

    #[test]
    fn a_message_that_is_linked_to() {
        for (sent, worked, expected) in [
            ("user.id=alice", "user.id=mallory", &["3: high likely"][..]),
            ("user.id=alice", "user.id=Alice", &[]),
            ("user.id=alice enduser.id=carol", "user.id=mallory", &[]),
            ("user.id=alice", "", &[]),
            ("", "user.id=mallory", &[]),
            ("user.id=alice", "user.id=5f7c8ec7c33c6c004bba", &["3: high hint"]),
            ("user.id=alice", "user.id=mallory hopseal.actors=user:alice", &[]),
        ] {
            let trace = format!(
                "gw SERVER GET / {sent}\n  gw PRODUCER publish a\nw CONSUMER process a {worked} @link=2"
            );
            assert_eq!(found(Rule::IdentitySwapped, &trace), expected, "{sent} {worked}");
        }
    }

    #[test]
    fn what_explains_it_is_listed() {
        let trace = |between: &str| {
            format!(
                "gw SERVER GET / user.id=u-1\n{between}  gw CLIENT GET @start=9\n    orders SERVER GET /orders user.id=u-2"
            )
        };
        for (between, expected) in [
            ("", None),
            ("  gw INTERNAL validate token\n", None),
            ("  gw INTERNAL middleware - authenticate\n", None),
            ("  gw CLIENT GET http.request.method=GET url.full=https://a.example.org/users/7/token\n", None),
            (
                "  gw CLIENT POST http.request.method=POST url.full=https://idp.example.org/oauth2/token\n",
                Some("login or token exchange"),
            ),
        ] {
            let verdict = crate::testing::judge(&trace(between), &Default::default());
            let mut quieted =
                verdict.suppressed.iter().filter(|quieted| quieted.finding.rule == Rule::IdentitySwapped);
            let why = quieted
                .next()
                .and_then(|quieted| quieted.finding.evidence.get(EXPLAINED).map(String::as_str));
            assert_eq!(why, expected, "{between}");
            let stands = verdict.findings.iter().any(|finding| finding.rule == Rule::IdentitySwapped);
            assert_eq!(stands, expected.is_none(), "{between}");
        }
    }

    #[test]
    fn whole_traces() {
        for (name, trace, expected) in [
            (
                "a token exchange before the call",
                "gw SERVER GET / user.id=u-1\n  gw CLIENT POST url.full=https://idp.example.org/oauth2/token\n  gw CLIENT GET @start=9\n    orders SERVER GET /orders user.id=u-2",
                &[][..],
            ),
            (
                "a token exchange after the call",
                "gw SERVER GET / user.id=u-1\n  gw CLIENT GET @start=5\n    orders SERVER GET /orders user.id=u-2\n  gw CLIENT POST url.full=https://idp.example.org/oauth2/token @start=9",
                &["3: high certain"],
            ),
            (
                "a token exchange of which only the server's side is there",
                "gw SERVER GET / user.id=u-1\n  idp SERVER POST /oauth2/token http.route=/oauth2/token\n  gw CLIENT GET @start=9\n    orders SERVER GET /orders user.id=u-2",
                &[],
            ),
            (
                "a login",
                "gw SERVER GET / user.id=u-1\n  gw CLIENT POST\n    accounts SERVER POST /login http.route=/login user.id=u-2",
                &[],
            ),
            (
                "an opaque service between",
                "gw SERVER GET / user.id=u-1\n  gw CLIENT GET\n    bff SERVER GET /b\n      bff CLIENT GET\n        orders SERVER GET /orders user.id=u-2",
                &["5: high likely"],
            ),
            (
                "once, not again at the hops below",
                "gw SERVER GET / user.id=u-1\n  gw CLIENT GET\n    a SERVER GET /a user.id=u-2\n      a CLIENT GET\n        b SERVER GET /b user.id=u-2",
                &["3: high certain"],
            ),
            (
                "the hop above spells ids its own way, the one above that does not",
                "gw SERVER GET / user.id=u-10001\n  gw CLIENT GET\n    a SERVER GET /a user.id=acct-10001\n      a CLIENT GET\n        b SERVER GET /b user.id=u-10002",
                &["3: high hint", "5: high likely"],
            ),
            (
                "an inner span names whose data it is",
                "gw SERVER GET / user.id=u-1\n  gw INTERNAL load user.id=u-2\n  gw CLIENT GET\n    a SERVER GET /a user.id=u-1\n      a INTERNAL load user.id=u-3",
                &[],
            ),
            (
                "the entry span above is missing",
                "gw INTERNAL load user.id=u-2 @parent=99\n  gw CLIENT GET\n    a SERVER GET /a user.id=u-1",
                &[],
            ),
            (
                "work that began without a request",
                "gw INTERNAL nightly user.id=u-2\n  gw CLIENT GET\n    a SERVER GET /a user.id=u-1",
                &["3: high certain"],
            ),
            (
                "a batch works for one of the senders it links to",
                "gw SERVER GET / user.id=u-1\n  gw PRODUCER publish a\nb SERVER GET / user.id=u-2 @parent=1\n  b PRODUCER publish a\nw CONSUMER process a user.id=u-2 @parent=2 @link=2 @link=4",
                &["3: high certain"],
            ),
            (
                "a message of another trace",
                "gw SERVER GET / user.id=u-1\n  gw PRODUCER publish a\n    w CONSUMER process a user.id=u-2 @link=9/7",
                &[],
            ),
        ] {
            assert_eq!(found(Rule::IdentitySwapped, trace), expected, "{name}");
        }
    }

    #[test]
    fn two_ids_of_one_person_by_policy() {
        const POLICY: &str = "aliases: [{ids: [alice, a.smith]}]";
        for (id, expected) in [("a.smith", &[][..]), ("bob", &["3: high certain"])] {
            let trace = pair("user.id=alice", &format!("user.id={id}"));
            assert_eq!(found_by(Rule::IdentitySwapped, &trace, POLICY), expected, "{id}");
        }
    }

    #[test]
    fn says_where_and_never_whom() {
        let verdict = crate::testing::judge(&pair("user.id=alice", "user.id=bob"), &Default::default());
        let finding =
            verdict.findings.iter().find(|finding| finding.rule == Rule::IdentitySwapped).expect("one");
        let said = format!("{} {:?} {:?}", finding.message, finding.evidence, finding.why_not_sure);
        assert!(!said.contains("alice") && !said.contains("bob"), "{said}");
        assert_eq!(finding.evidence["here_key"], "user.id");
        let ids = [&finding.before, &finding.here].map(|who| who.as_ref().map(|who| who.id.as_str()));
        assert_eq!(ids, [Some("alice"), Some("bob")]);
    }
}

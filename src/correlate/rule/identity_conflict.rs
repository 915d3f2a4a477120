//! F09: one frame names two users.

use super::named::{self, MOST, Named};
use super::{Check, Cx, Needs, Rule, Spec, baggage, sign_in};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::Hop;
use crate::same::is_same;

pub(super) const SPEC: Spec = Spec {
    number: "F09",
    severity: Severity::Medium,
    needs: Needs::Identity,
    meaning: "Within one service, two attributes (or an attribute and the baggage that arrived) name different users \
              for one request. One of them decides what is allowed, and it may be the wrong one.",
    fix: "Set the identity once, from the validated credential, and derive every attribute from that.",
    quieting: "Map a key that says whose data it is, not who asks, to `ignore` under `dialects`; list ids that are \
               one person under `aliases`.",
    maps: &["CWE-287", "CWE-290"],
    quiet: &[],
    check: Check::Hop(check),
};

/// Everything that can name a user, or bring one.
const NAMES: u128 = named::IDS | Field::SentBaggage.bit();

/// Two ids of one fact: where the second stands, how sure they differ, and why no surer.
struct Conflict<'t> {
    first: &'t str,
    second: &'t str,
    place: &'static str,
    confidence: Confidence,
    why: Option<&'static str>,
}

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    let entry = cx.entry(hop);
    if !entry.has_any(NAMES) || (!entry.has(Field::SentBaggage) && has_one_id(cx, hop)) {
        return;
    }
    let mut worst: Option<Conflict<'_>> = None;
    for first in named::on(entry).filter(|id| fact(id.field).is_some()) {
        for conflict in conflicts(cx, hop, first) {
            if worst.as_ref().is_none_or(|worst| conflict.confidence > worst.confidence) {
                worst = Some(conflict);
            }
        }
    }
    let Some(worst) = worst else { return };
    let mut finding = cx
        .finding(Rule::IdentityConflict, hop)
        .evidence("first_key", worst.first)
        .evidence("second_key", worst.second)
        .evidence("second_place", worst.place)
        .message(format!("`{}` names two users for one request", hop.service.name));
    if let Some(why) = worst.why {
        finding = finding.unsure(worst.confidence, why);
    }
    if cx.frame(hop).take(MOST).any(sign_in::is_sign_in) {
        finding = finding
            .unsure(Confidence::Hint, "a login or token exchange in the same frame may have changed it");
    }
    found.push(finding);
}

/// Whether one id alone is in the frame of a hop. It mostly is: then there is nothing to compare.
fn has_one_id(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    let mut first = None;
    for span in cx.frame(hop).filter(|span| span.has_any(named::IDS)) {
        for Named { id, .. } in named::on(span) {
            if !is_same(first.get_or_insert(id).as_bytes(), id.as_bytes()) {
                return false;
            }
        }
    }
    true
}

/// What a field says, as far as two of it can be compared. A name of a user has too many spellings, and whoever is
/// called principal may be an app.
fn fact(field: Field) -> Option<u8> {
    match field {
        Field::User | Field::UserPseudonym => Some(0),
        Field::UserEmail => Some(1),
        Field::Sub => Some(2),
        _ => None,
    }
}

/// What in the frame of `hop` contradicts an id on its entry span.
fn conflicts<'a>(
    cx: &Cx<'a>,
    hop: &'a Hop<'a>,
    first: Named<'a>,
) -> impl Iterator<Item = Conflict<'a>> + use<'a> {
    let cx = *cx;
    let differs = move |other: &Named<'_>| {
        fact(first.field) == fact(other.field) && other.id != first.id && are_two(&cx, hop, &first, other)
    };
    let inside = cx.frame(hop).take(MOST).enumerate().flat_map(move |(place, span)| {
        named::on(span).filter(differs).filter_map(move |other| conflict(&cx, first, other, place))
    });
    let arrived = baggage::members(cx.entry(hop)).filter_map(move |(key, value)| {
        let meaning = cx.dialects.meaning(key);
        let other = Named { field: meaning.field?, key: meaning.key, id: value };
        let alike = differs(&other) && first.shape().is_alike(&other.shape());
        alike.then(|| Conflict {
            first: cx.dialects.name(first.key),
            second: cx.dialects.name(other.key),
            place: "baggage",
            confidence: Confidence::Likely,
            why: Some("the baggage may be older than the login at this hop"),
        })
    });
    inside.chain(arrived)
}

/// Whether two ids are not one in two spellings, nor one that acts for the other.
fn are_two(cx: &Cx<'_>, hop: &Hop<'_>, first: &Named<'_>, other: &Named<'_>) -> bool {
    let (one, two) = (first.shape(), other.shape());
    !one.may_be(&two)
        && !cx.policy.is_alias("", first.id, other.id)
        && !named::has_actor(hop, &one)
        && !named::has_actor(hop, &two)
}

fn conflict<'a>(cx: &Cx<'a>, first: Named<'_>, other: Named<'_>, place: usize) -> Option<Conflict<'a>> {
    let alike = first.shape().is_alike(&other.shape());
    let (confidence, why) = match (alike, place) {
        // A pseudonym beside an id is no second user.
        (false, _) if first.field != other.field || first.key == other.key => return None,
        (false, _) => (Confidence::Hint, Some("the two keys spell ids differently and may name one user")),
        (true, 0) if first.key == other.key => return None,
        (true, 0) => (Confidence::Certain, None),
        (true, _) => (Confidence::Likely, Some("an inner span may say whose data it is, not who asks")),
    };
    Some(Conflict {
        first: cx.dialects.name(first.key),
        second: cx.dialects.name(other.key),
        place: if place == 0 { "entry span" } else { "inner span" },
        confidence,
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn table() {
        for (trace, expected) in [
            ("a SERVER GET / user.id=u-1 enduser.id=u-2", &["1: medium certain"][..]),
            ("a SERVER GET / user.id=u-1 enduser.id=u-1", &[]),
            ("a SERVER GET / user.id=u-10001 usr.id=acct-10001", &[]),
            ("a SERVER GET / http.request.header.x-user-id=u-2 user.id=u-1", &["1: medium certain"]),
            ("a SERVER GET / user.email=a@example.com usr.email=b@example.com", &["1: medium certain"]),
            // Not the same fact.
            ("a SERVER GET / user.id=u-1 user.name=u-2", &[]),
            ("a SERVER GET / user.username=u-1 authorize.principal=installedapp:2", &[]),
            ("a SERVER GET / user.id=u-1 oauth.client_id=u-2", &[]),
            ("a SERVER GET / user.id=alice user.email=b@example.com", &[]),
            ("a SERVER GET / user.id=42 user.hash=8287458823facb8ff918dbfabcd22ccb", &[]),
            ("a SERVER GET / user.id=u-1\n  a CLIENT SELECT db.user=u-2 process.user.name=u-3", &[]),
            ("a SERVER GET / user.id=u-1 app.customer.id=u-2", &[]),
            // Two spellings that may be one user.
            ("a SERVER GET / user.id=42 enduser.id=alice", &["1: medium hint"]),
            // Inner spans.
            ("a SERVER GET / user.id=u-1\n  a INTERNAL load enduser.id=u-2", &["1: medium likely"]),
            ("a SERVER GET / enduser.id=u-1\n  a INTERNAL load enduser.id=u-2", &["1: medium likely"]),
            ("a SERVER GET / enduser.pseudo.id=u-1\n  a INTERNAL load enduser.id=u-2", &["1: medium likely"]),
            ("a SERVER GET /\n  a INTERNAL one user.id=u-1\n  a INTERNAL two user.id=u-2", &[]),
            // Baggage that arrived.
            (
                "a SERVER GET / user.id=u-1 http.request.header.baggage=region=eu,user.id=u-2",
                &["1: medium likely"],
            ),
            ("a SERVER GET / user.id=u-1 http.request.header.baggage=user.id=u-1;p=1", &[]),
            // Lawful.
            (
                "a SERVER GET / user.id=u-1 enduser.id=u-2 hopseal.assurance=verified hopseal.actors=user:u-2",
                &[],
            ),
            ("a SERVER POST /login http.route=/login user.id=u-1 enduser.id=u-2", &["1: medium hint"]),
        ] {
            assert_eq!(found(Rule::IdentityConflict, trace), expected, "{trace}");
        }
    }
}

//! F19: people are named by what they are called, where the policy asks for pseudonyms.

use super::id_shape::IdShape;
use super::named::{self, MOST, Named};
use super::{Check, Cx, Needs, Rule, Spec};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::Hop;

pub(super) const SPEC: Spec = Spec {
    number: "F19",
    severity: Severity::Medium,
    needs: Needs::Identity,
    meaning: "The policy asks for pseudonyms, and an identity attribute holds an e-mail address, a phone number or a \
              person's name. Asked of no service that the policy does not name.",
    fix: "Send a keyed pseudonym (`enduser.pseudo.id`, `hopseal.sub`), and keep the key where the spans do not go.",
    quieting: "Take the service from `pseudonymous`, or map the key to `ignore` under `dialects`.",
    maps: &["CWE-359", "GDPR Art. 32"],
    quiet: &[],
    check: Check::Hop(check),
};

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    if !hop.identity.principal.as_ref().is_some_and(|here| here.is_user())
        || !cx.policy.is_pseudonymous(hop.service)
    {
        return;
    }
    let mut seen: Vec<(&str, &str)> = named::at(cx, hop)
        .take(MOST)
        .filter_map(|id| Some((class(&id)?, cx.dialects.name(id.key))))
        .collect();
    if seen.is_empty() {
        return;
    }
    seen.sort_unstable();
    seen.dedup();
    let (classes, mut keys): (Vec<&str>, Vec<&str>) = seen.into_iter().unzip();
    keys.dedup();
    let sure = classes.iter().any(|class| *class != NAME);
    let mut finding = cx
        .finding(Rule::RawPiiIdentity, hop)
        .evidence("keys", keys.join(", "))
        .evidence("classes", unique(classes).join(", "))
        .message(format!("`{}` names a person by more than a pseudonym", hop.service.name));
    if !sure {
        finding = finding.unsure(Confidence::Likely, "a login name need not be a person's name");
    }
    found.push(finding);
}

const EMAIL: &str = "email";
const NAME: &str = "name";
const PHONE: &str = "phone";

/// What an id gives away of a person; `None` for a pseudonym.
fn class(id: &Named<'_>) -> Option<&'static str> {
    match id.field {
        _ if IdShape::of(id.id).is_email() => (!is_mailbox_of_a_service(id.id)).then_some(EMAIL),
        _ if is_phone(id.id) => Some(PHONE),
        Field::UserName => Some(NAME),
        _ if is_full_name(id.id) => Some(NAME),
        _ => None,
    }
}

fn unique(mut words: Vec<&str>) -> Vec<&str> {
    words.sort_unstable();
    words.dedup();
    words
}

/// A number in international notation (ITU-T E.164: up to 15 digits after `+`).
fn is_phone(id: &str) -> bool {
    let Some(rest) = id.trim().trim_start_matches("tel:").strip_prefix('+') else { return false };
    let digits = rest.bytes().filter(u8::is_ascii_digit).count();
    (8..=15).contains(&digits) && rest.bytes().all(|byte| byte.is_ascii_digit() || b" -.()".contains(&byte))
}

/// Two words or more, of letters.
fn is_full_name(id: &str) -> bool {
    let mut words = id.split_whitespace();
    let is_word = |word: &str| word.chars().all(|c| c.is_alphabetic() || matches!(c, '-' | '\'' | '.'));
    id.trim().contains(' ') && words.all(is_word)
}

/// Addresses of programs and offices, not of a person.
fn is_mailbox_of_a_service(address: &str) -> bool {
    const OFFICES: [&str; 9] =
        ["admin", "billing", "help", "info", "no-reply", "noreply", "postmaster", "root", "support"];
    const PREFIXES: [&str; 4] = ["bot-", "robot-", "service-", "svc-"];
    let lower = address.to_ascii_lowercase();
    let (local, domain) = lower.split_once('@').unwrap_or((&lower, ""));
    OFFICES.contains(&local)
        || PREFIXES.iter().any(|prefix| local.starts_with(prefix))
        || domain.ends_with(".gserviceaccount.com")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::KeyId;
    use crate::testing::{found, found_by};

    #[test]
    fn classes() {
        for (field, id, expected) in [
            (Field::User, "ann@example.com", Some(EMAIL)),
            (Field::User, "user:ann@example.com", Some(EMAIL)),
            (Field::UserEmail, "noreply@example.com", None),
            (Field::User, "svc-mailer@example.com", None),
            (Field::User, "deploy@shop.iam.gserviceaccount.com", None),
            (Field::User, "+49 170 1234567", Some(PHONE)),
            (Field::User, "491701234567", None),
            (Field::User, "Ann O'Neil", Some(NAME)),
            (Field::UserName, "ann", Some(NAME)),
            (Field::User, "ann", None),
            (Field::UserPseudonym, "8287458823facb8ff918dbfabcd22ccb", None),
        ] {
            assert_eq!(class(&Named { field, key: KeyId(0), id }), expected, "{id}");
        }
    }

    #[test]
    fn asked_only_where_the_policy_says() {
        const POLICY: &str = "pseudonymous: [shop]";
        for (span, expected) in [
            ("shop SERVER GET / user.id=ann@example.com", &["1: medium certain"][..]),
            ("shop SERVER GET / enduser.pseudo.id=x user.email=ann@example.com", &["1: medium certain"]),
            ("shop SERVER GET / enduser.id=x user.name=ann", &["1: medium likely"]),
            ("shop SERVER GET / enduser.pseudo.id=x", &[]),
            ("shop SERVER GET / oauth.client_id=ann@example.com", &[]),
            ("shop SERVER GET / user.email=noreply@example.com", &[]),
            ("other SERVER GET / user.id=ann@example.com", &[]),
        ] {
            assert_eq!(found_by(Rule::RawPiiIdentity, span, POLICY), expected, "{span}");
            assert_eq!(found(Rule::RawPiiIdentity, span), [""; 0], "{span}, nothing asked for");
        }
    }
}

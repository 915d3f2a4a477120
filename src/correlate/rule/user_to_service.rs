//! F05: the caller worked for a user, the callee works for a service.

use hopseal_identity::Kind;

use super::id_shape::IdShape;
use super::{Check, Cx, Needs, Quiet, Rule, Spec, writes};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::Hop;
use crate::who::Principal;

pub(super) const SPEC: Spec = Spec {
    number: "F05",
    severity: Severity::Low,
    needs: Needs::Identity,
    meaning: "The hop above worked for a user, this one has a service principal, and nothing says on whose behalf. \
              Whatever is checked or recorded from here on is about the service. Medium where the hop writes.",
    fix: "Exchange the user's token for one of the service that keeps the user as subject and the service as actor \
          (RFC 8693), or pass the sealed identity on beside the client credentials.",
    quieting: "Declare the client under `service_principals` with the edge it is for and a date of expiry.",
    maps: &["CWE-441", "CWE-269"],
    quiet: &[Quiet::ServicePrincipal],
    check: Check::Hop(check),
};

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    let Some(here) = hop.identity.principal.as_ref().filter(|here| here.kind == Kind::Service) else {
        return;
    };
    let Some(above) = cx.nearest_identified(hop) else { return };
    let Some(before) = above.identity.principal.as_ref().filter(|before| before.is_user()) else { return };
    // The user's own token, of which this hop shows no more than the client.
    if before.client == Some(here.id) || acts_for_user(here, before) {
        return;
    }
    let mut finding = cx
        .finding(Rule::UserToService, hop)
        .before(Some(before))
        .evidence("last_user_service", above.service.name)
        .evidence("last_user_span", cx.entry(above).id.to_string())
        .message(format!(
            "`{}` worked for a user, `{}` works for a service principal that names nobody behind it",
            above.service.name, hop.service.name
        ));
    if !here.scopes.is_empty() {
        finding = finding.evidence("scopes", here.scopes.join(" "));
    }
    if let Some(write) = writes::in_frame(cx, hop) {
        finding = finding.severity(Severity::Medium).evidence("write", writes::what(cx.trace.span(write)));
    }
    if here.field == Field::Client {
        finding = finding.unsure(
            Confidence::Likely,
            "only a client id is shown, which the token of a user carries as well",
        );
    }
    if hop.caller != Some(above.ix) {
        finding = finding.unsure(
            Confidence::Likely,
            "services between the two hops show no identity, so that the change may be further up",
        );
    }
    found.push(finding);
}

/// Whether the chain of actors of a service principal names the user, or any user.
pub(super) fn acts_for_user(here: &Principal<'_>, before: &Principal<'_>) -> bool {
    let user = IdShape::of(before.id);
    here.actors.iter().any(|actor| actor.kind == Some(Kind::User) || IdShape::of(actor.id).may_be(&user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{found, found_by};

    #[test]
    fn table() {
        const SERVICE: &str = "hopseal.sub=nightly hopseal.kind=service hopseal.assurance=verified";
        for (name, trace, expected) in [
            (
                "client credentials under a user",
                format!("gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    a SERVER GET /a {SERVICE}"),
                &["3: low certain"][..],
            ),
            (
                "and it writes",
                format!("gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    a SERVER GET /a {SERVICE}\n      a CLIENT INSERT db.operation.name=INSERT"),
                &["3: medium certain"],
            ),
            (
                "only a client id is shown",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    a SERVER GET /a oauth.client_id=batch".into(),
                &["3: low likely"],
            ),
            (
                "the client that the user came through",
                "gw SERVER GET / user.id=alice oauth.client_id=web\n  gw CLIENT GET\n    a SERVER GET /a oauth.client_id=web".into(),
                &[],
            ),
            (
                "on behalf of the user",
                format!("gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    a SERVER GET /a {SERVICE} hopseal.actors=user:alice"),
                &[],
            ),
            (
                "its actor is another service",
                format!("gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    a SERVER GET /a {SERVICE} hopseal.actors=service:gw"),
                &["3: low certain"],
            ),
            (
                "a service all the way",
                format!("gw SERVER GET / {SERVICE}\n  gw CLIENT GET\n    a SERVER GET /a {SERVICE}"),
                &[],
            ),
            (
                "once, not again below",
                format!("gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    a SERVER GET /a {SERVICE}\n      a CLIENT GET\n        b SERVER GET /b {SERVICE}"),
                &["3: low certain"],
            ),
            (
                "an opaque service between",
                format!("gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    x SERVER GET /x\n      x CLIENT GET\n        a SERVER GET /a {SERVICE}"),
                &["5: low likely"],
            ),
            (
                "a database user is nobody who acts",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    a SERVER GET /a user.id=alice\n      a CLIENT SELECT db.user=orders_rw".into(),
                &[],
            ),
        ] {
            assert_eq!(found(Rule::UserToService, &trace), expected, "{name}");
        }
    }

    #[test]
    fn clients_that_may_act_for_themselves() {
        const POLICY: &str =
            "service_principals: [{client: nightly, caller: gw, service: a, expires: 2026-12-31}]";
        for (client, service, expected) in [
            ("nightly", "a", &[][..]),
            ("nightly", "b", &["3: low likely"]),
            ("other", "a", &["3: low likely"]),
        ] {
            let trace = format!(
                "gw SERVER GET / user.id=u-1\n  gw CLIENT GET\n    {service} SERVER GET /a oauth.client_id={client}"
            );
            assert_eq!(found_by(Rule::UserToService, &trace, POLICY), expected, "{client} to {service}");
        }
    }
}

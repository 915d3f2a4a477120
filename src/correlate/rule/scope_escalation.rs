//! F16: the same principal may do more than it might further up.

use super::named::MOST;
use super::{Check, Cx, Needs, Rule, Spec, granted, sign_in};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::Hop;

pub(super) const SPEC: Spec = Spec {
    number: "F16",
    severity: Severity::High,
    needs: Needs::Crate,
    meaning: "A user has OAuth scopes or roles at this hop that the nearest hop above which shows any for the same \
              user does not have, and no token exchange or step-up stands between them.",
    fix: "Find out where the wider credential comes from: a cached token, a default of the client library, another \
          issuer. Ask for more only by a step-up or token exchange that the identity provider records.",
    quieting: "Instrument the token request, so that its span shows where the scopes come from.",
    maps: &["OWASP API5:2023", "CWE-269", "CWE-863", "T1548"],
    quiet: &[],
    check: Check::Hop(check),
};

/// What may be listed, the surest first, and the name of the evidence.
const LISTS: [(Field, &str); 3] =
    [(Field::Scopes, "added_scopes"), (Field::Scope, "added_scopes"), (Field::Role, "added_roles")];

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    let Some(here) = hop.identity.principal.as_ref().filter(|here| here.is_user()) else { return };
    if here.scopes.is_empty() && here.roles.is_empty() {
        return;
    }
    found.extend(LISTS.into_iter().find_map(|(field, name)| escalation(cx, hop, field, name)));
}

fn escalation(cx: &Cx<'_>, hop: &Hop<'_>, field: Field, name: &'static str) -> Option<Finding> {
    let key = granted::key(cx, hop, field)?;
    let lists_too = |above: &Hop<'_>| {
        granted::is_same_principal(above, hop) && granted::key(cx, above, field) == Some(key)
    };
    let mut lists = cx.ancestors(hop).take(MOST).filter(|above| lists_too(above));
    let above = lists.next()?;
    let added = granted::added(cx, above, hop, field);
    if added.is_empty()
        || sign_in::between(cx, above, hop, |span| sign_in::is_sign_in(span) || sign_in::is_consent(span))
    {
        return None;
    }
    let mut finding = cx
        .finding(Rule::ScopeEscalation, hop)
        .before(above.identity.principal.as_ref())
        .evidence(name, added.join(" "))
        .evidence("before_service", above.service.name)
        .evidence("before_span", cx.entry(above).id.to_string())
        .message(format!("a user may do more at `{}` than at `{}`", hop.service.name, above.service.name));
    if field != Field::Scopes {
        finding = finding
            .unsure(Confidence::Likely, "each service may show only the scopes or roles that it looks for");
    }
    if lists.any(|far| granted::added(cx, far, hop, field).is_empty()) {
        finding = finding.unsure(
            Confidence::Likely,
            "a hop further up may do all of it: the token between them may have been narrowed by design",
        );
    }
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    const CRATE: &str = "hopseal.sub=u-1 hopseal.assurance=verified";

    fn pair(gw: &str, orders: &str) -> String {
        format!("gw SERVER GET / {gw}\n  gw CLIENT GET\n    orders SERVER GET /orders {orders}")
    }

    #[test]
    fn from_hop_to_hop() {
        for (gw, orders, expected) in [
            ("hopseal.scopes=read", "hopseal.scopes=read_write", &["3: high certain"][..]),
            ("hopseal.scopes=read_write", "hopseal.scopes=read", &[]),
            ("hopseal.scopes=read_write", "hopseal.scopes=write_read", &[]),
            ("hopseal.scopes=read", "hopseal.scopes=read hopseal.scopes=write", &["3: high certain"]),
            ("", "hopseal.scopes=write", &[]),
            ("hopseal.scopes=read", "", &[]),
            // Another principal: other rules.
            ("hopseal.scopes=read", "hopseal.scopes=write hopseal.sub=svc hopseal.kind=service", &[]),
            ("enduser.scope=read", "enduser.scope=read_write", &["3: high likely"]),
            ("user.roles=clerk", "user.roles=clerk user.roles=admin", &["3: high likely"]),
            // Two vocabularies.
            ("enduser.role=clerk", "spring.security.authentication.authorities=ROLE_admin", &[]),
            ("enduser.scope=read", "hopseal.scopes=write", &[]),
        ] {
            let here =
                if orders.contains("hopseal.sub") { orders.into() } else { format!("{CRATE} {orders}") };
            let trace = pair(&format!("{CRATE} {gw}"), &here);
            assert_eq!(found(Rule::ScopeEscalation, &trace), expected, "{gw} -> {orders}");
        }
    }

    #[test]
    fn whole_traces() {
        for (name, between, expected) in [
            ("nothing", "", &["4: high certain"][..]),
            ("a token exchange", "gw CLIENT POST url.full=https://idp.example.org/oauth2/token", &[]),
            ("a step-up", "gw CLIENT POST url.full=https://idp.example.org/step-up", &[]),
            (
                "a validation",
                "gw CLIENT GET url.full=https://idp.example.org/oauth2/validate",
                &["4: high certain"],
            ),
        ] {
            let between = if between.is_empty() { "gw INTERNAL work" } else { between };
            let trace = format!(
                "gw SERVER GET / {CRATE} hopseal.scopes=read\n  {between}\n  gw CLIENT GET @start=9\n    a SERVER GET /a {CRATE} hopseal.scopes=write"
            );
            assert_eq!(found(Rule::ScopeEscalation, &trace), expected, "{name}");
        }
        let narrowed = format!(
            "gw SERVER GET / {CRATE} hopseal.scopes=read_write\n  gw CLIENT GET\n    a SERVER GET /a {CRATE} hopseal.scopes=read\n      a CLIENT GET\n        b SERVER GET /b {CRATE} hopseal.scopes=read_write"
        );
        assert_eq!(found(Rule::ScopeEscalation, &narrowed), ["5: high likely"], "narrowed, then wide again");
    }
}

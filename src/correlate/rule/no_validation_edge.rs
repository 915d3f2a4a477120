//! F28: a user is named where a request comes in, and nothing shows that anybody asked whether that is so.

use hopseal_identity::Assurance;

use super::named::MOST;
use super::{Check, Cx, Needs, Quiet, Rule, Spec, sign_in};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, HopKind};
use crate::suppress::unless_busy;
use crate::validation;

pub(super) const SPEC: Spec = Spec {
    number: "F28",
    severity: Severity::Info,
    needs: Needs::Spans,
    meaning: "The first hop that names a user shows no validation, in its frame or above it: neither evidence of the \
              crate, a proxy or a framework, nor a call to an issuer or a validating endpoint, though other hops of the \
              service do or the policy expects it.",
    fix: "Validate the credential at every request, and let the crate or the proxy record it.",
    quieting: "Nothing to do where tokens are validated offline, which leaves no span. Services under `introspecting` \
               are held to it: medium.",
    maps: &["OWASP API2:2023", "CWE-306"],
    quiet: &[Quiet::Static, Quiet::Health, Quiet::Public, Quiet::Rejected],
    check: Check::Hop(check),
};

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    // Who asked may be on its way.
    if cx.trace.grade.crowded
        || hop.identity.assurance != Assurance::Asserted
        || hop.kind == HopKind::Messaging
        || hop.caller_missing
        || !hop.outcome.may_have_succeeded()
        || !validation::establishes_user(hop)
    {
        return;
    }
    let expected = cx.policy.introspects(hop.service);
    // A service that never shows a validation may well do it offline: that is a gap of coverage.
    if !expected && !cx.validating.has(hop.service) {
        return;
    }
    if names_evidence(cx, hop)
        || sign_in::is_sign_in(cx.entry(hop))
        || validation::is_shown(cx.trace, cx.hops, hop)
        || cx.ancestors(hop).any(|above| above.caller_missing)
        || validation::may_be_shown(cx.trace, cx.hops, hop)
    {
        return;
    }
    let mut chain: Vec<&str> = cx.ancestors(hop).take(MOST).map(|above| above.service.name).collect();
    chain.reverse();
    chain.push(hop.service.name);
    let mut finding = cx
        .finding(Rule::NoValidationEdge, hop)
        .evidence("no_validation_at", chain.join(" -> "))
        .message(format!(
            "`{}` names a user, and nothing shows that the credential was validated",
            hop.service.name
        ));
    if expected {
        finding = finding.severity(Severity::Medium);
    } else {
        finding =
            finding.unsure(Confidence::Hint, "a token validated offline, or from a cache, leaves no span");
    }
    found.push(unless_busy(cx, finding));
}

/// Whether the crate or a framework had its say in the frame.
fn names_evidence(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    const SAID: u128 = Field::Assurance.bit()
        | Field::AuthType.bit()
        | Field::Authenticated.bit()
        | Field::AuthDecision.bit();
    cx.frame(hop).take(MOST).any(|span| span.has_any(SAID))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicyFile;
    use crate::testing::{found, found_under};

    #[test]
    fn table() {
        // `gw` is seen to ask, in trace 2.
        const ASKS: &str = "\ngw SERVER GET /b user.id=bo @trace=2\n  gw CLIENT POST url.full=https://idp/oauth2/introspect @trace=2";
        for (name, trace, expected) in [
            ("named and not asked", "gw SERVER GET / user.id=al", &["1: info hint"][..]),
            (
                "further down nothing is new",
                "gw SERVER GET / user.id=al\n  gw CLIENT GET\n    orders SERVER GET / user.id=al",
                &["1: info hint"],
            ),
            ("a service that never asks", "shop SERVER GET / user.id=al", &[]),
            (
                "asked",
                "gw SERVER GET / user.id=al\n  gw CLIENT POST url.full=https://idp/oauth2/introspect",
                &[],
            ),
            ("asked by RPC", "gw SERVER GET / user.id=al\n  gw CLIENT x rpc.method=ValidateToken", &[]),
            (
                "asked above",
                "edge SERVER GET /\n  edge CLIENT x rpc.method=ValidateToken\n  edge CLIENT GET\n    gw SERVER GET / user.id=al",
                &[],
            ),
            (
                "asked by a span that lost its place",
                "gw SERVER GET / user.id=al\ngw CLIENT POST url.full=https://idp/oauth2/introspect @parent=99",
                &[],
            ),
            (
                "asked by another service's",
                "gw SERVER GET / user.id=al\nb CLIENT POST url.full=https://idp/oauth2/introspect @parent=99",
                &["1: info hint"],
            ),
            ("verified by the crate", "gw SERVER GET / hopseal.sub=a hopseal.assurance=verified", &[]),
            ("a framework said so", "gw SERVER GET / user.id=al aspnetcore.user.is_authenticated=true", &[]),
            ("nobody named", "gw SERVER GET /", &[]),
            ("a service", "gw SERVER GET / oauth.client_id=batch", &[]),
            ("turned away", "gw SERVER GET / user.id=al http.status_code=401", &[]),
            ("a login", "gw SERVER POST /login http.method=POST url.path=/login user.id=al", &[]),
        ] {
            assert_eq!(found(Rule::NoValidationEdge, &format!("{trace}{ASKS}")), expected, "{name}");
        }
    }

    #[test]
    fn where_the_policy_expects_it() {
        let policy =
            PolicyFile::parse("introspecting: [shop]").and_then(|file| file.resolve()).expect("a policy");
        let found = found_under(Rule::NoValidationEdge, "shop SERVER GET / user.id=al", &policy);
        assert_eq!(found, ["1: medium certain"]);
    }
}

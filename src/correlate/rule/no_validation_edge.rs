//! F28: a user is named where a request comes in, and nothing shows that anybody asked whether that is so.

use hopseal_identity::Assurance;

use super::named::MOST;
use super::{Check, Cx, Needs, Quiet, Rule, Spec, sign_in};
use crate::field::Field;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, HopKind, path};
use crate::record::Span;
use crate::trace::SpanIx;

pub(super) const SPEC: Spec = Spec {
    number: "F28",
    severity: Severity::Info,
    needs: Needs::Spans,
    meaning: "The first hop that names a user shows no validation: neither the crate's or a proxy's evidence, nor a call \
              to an identity provider, an introspection or a validating endpoint, there or at its gateway.",
    fix: "Validate the credential at the edge and let the crate or the proxy record it.",
    quieting: "Nothing to do where tokens are validated offline, which leaves no span; declare under \
               `required_assurance` what a route needs and it is judged by that.",
    maps: &["OWASP API2:2023", "CWE-306"],
    quiet: &[Quiet::Static, Quiet::Health, Quiet::Public, Quiet::Rejected],
    check: Check::Trace(check),
};

fn check(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    let mut firsts = cx.hops.iter().filter(|hop| is_first_asserted(cx, hop)).peekable();
    if firsts.peek().is_none() || cx.trace.spans().iter().any(validates) {
        // A validation anywhere in the trace is given the benefit: gateways ask a sibling.
        return;
    }
    let silent: Vec<&str> = {
        let mut names: Vec<&str> = cx.hops.iter().take(MOST).map(|hop| hop.service.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    for hop in firsts.take(MOST) {
        let mut finding = cx
            .finding(Rule::NoValidationEdge, hop)
            .evidence("no_validation_at", silent.join(", "))
            .message(format!(
                "`{}` names a user, and nothing shows that the credential was validated",
                hop.service.name
            ));
        if cx.policy.introspects(hop.service) {
            finding = finding.severity(Severity::Medium);
        } else {
            finding = finding.unsure(Confidence::Hint, "a token validated offline leaves no span");
        }
        found.push(finding);
    }
}

/// Whether a hop names a user without proof and no hop above it does.
fn is_first_asserted(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    hop.kind != HopKind::Messaging
        && hop.identity.assurance == Assurance::Asserted
        && hop.identity.principal.as_ref().is_some_and(|principal| principal.is_user())
        && !hop.caller_missing
        && hop.outcome.may_have_succeeded()
        && !sign_in::is_sign_in(cx.entry(hop))
        && cx.nearest_identified(hop).is_none()
        && !names_evidence(cx.hops.frame(hop.ix), cx)
}

/// Whether the crate or a framework had its say in the frame.
fn names_evidence(frame: &[SpanIx], cx: &Cx<'_>) -> bool {
    const SAID: u128 = Field::Assurance.bit()
        | Field::AuthType.bit()
        | Field::Authenticated.bit()
        | Field::AuthDecision.bit();
    frame.iter().take(MOST).any(|ix| cx.trace.span(*ix).has_any(SAID))
}

/// Whether a span asks somebody whether a credential is good, or is where that is answered.
fn validates(span: &Span<'_>) -> bool {
    const WORDS: [&str; 12] = [
        "introspect",
        "userinfo",
        "jwks",
        "tokeninfo",
        "validate",
        "verify",
        "authenticate",
        "authorize",
        "ext_authz",
        "authz",
        "checktoken",
        "check_token",
    ];
    let asked = path(span).or_else(|| span.get(Field::RpcMethod)).unwrap_or(span.name);
    if asked.len() > 512 {
        return false;
    }
    let lower = asked.to_ascii_lowercase();
    WORDS.iter().any(|word| lower.contains(word)) || sign_in::is_sign_in(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn table() {
        for (name, trace, expected) in [
            ("named and not asked", "gw SERVER GET / user.id=al", &["1: info hint"][..]),
            (
                "further down nothing is new",
                "gw SERVER GET / user.id=al\n  gw CLIENT GET\n    orders SERVER GET / user.id=al",
                &["1: info hint"],
            ),
            (
                "introspected",
                "gw SERVER GET / user.id=al\n  gw CLIENT POST url.full=https://idp/oauth2/introspect",
                &[],
            ),
            ("asked by RPC", "gw SERVER GET / user.id=al\n  gw CLIENT x rpc.method=ValidateToken", &[]),
            ("verified by the crate", "gw SERVER GET / hopseal.sub=a hopseal.assurance=verified", &[]),
            ("a framework said so", "gw SERVER GET / user.id=al aspnetcore.user.is_authenticated=true", &[]),
            ("nobody named", "gw SERVER GET /", &[]),
            ("a service", "gw SERVER GET / oauth.client_id=batch", &[]),
            ("turned away", "gw SERVER GET / user.id=al http.status_code=401", &[]),
            ("a login", "gw SERVER POST /login http.method=POST url.path=/login user.id=al", &[]),
        ] {
            assert_eq!(found(Rule::NoValidationEdge, trace), expected, "{name}");
        }
    }
}

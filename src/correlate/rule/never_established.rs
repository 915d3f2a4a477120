//! F02: a request from outside was served without anyone being identified.

use hopseal_identity::Assurance;

use super::{Check, Cx, Needs, Quiet, Rule, Spec};
use crate::catalogue::Capability;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, HopKind, is_own_work};

pub(super) const SPEC: Spec = Spec {
    number: "F02",
    severity: Severity::Medium,
    needs: Needs::Identity,
    meaning: "The first hop of a trace shows no identity and was served.",
    fix: "Validate a credential at the edge, or declare the route public.",
    quieting: "Declare the route under `public`, or import an OpenAPI description whose operations carry `security: []`.",
    maps: &["OWASP API2:2023", "OWASP API9:2023", "CWE-306", "T1190"],
    quiet: &[Quiet::Static, Quiet::Health, Quiet::Public, Quiet::Retry, Quiet::Incomplete],
    check: Check::Hop(check),
};

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    if hop.kind != HopKind::Entry
        || !matches!(hop.identity.assurance, Assurance::Unknown | Assurance::Anonymous)
        || !hop.outcome.may_have_succeeded()
    {
        return;
    }
    if is_own_work(cx.entry(hop)) {
        return;
    }
    let capability = cx.capability(hop);
    if capability == Capability::Never && hop.identity.assurance == Assurance::Unknown {
        return;
    }
    let mut finding = cx
        .finding(Rule::NeverEstablished, hop)
        .evidence("assurance", hop.identity.assurance.as_str())
        .message(format!("`{}` served a request from outside without an identity", hop.service.name));
    if capability != Capability::Operation {
        finding = finding.unsure(Confidence::Likely, "this operation has never shown an identity");
    }
    found.push(finding);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn table() {
        let capable =
            "\nshop SERVER GET /orders user.id=bob @trace=2\nshop INTERNAL nightly user.id=bob @trace=3";
        for (name, trace, expected) in [
            ("let in without anyone", "shop SERVER GET /orders", &["1: medium certain"][..]),
            ("somebody", "shop SERVER GET /orders user.id=alice", &[]),
            ("turned away", "shop SERVER GET /orders http.response.status_code=401", &[]),
            ("another operation", "shop SERVER GET /news", &["1: medium likely"]),
            ("never shows one", "blog SERVER GET /news", &[]),
            ("work that it began by itself", "shop INTERNAL nightly", &[]),
            (
                "a request that was recorded as inner work",
                "shop INTERNAL nightly http.request.method=GET url.path=/nightly",
                &["1: medium certain"],
            ),
            (
                "further in",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    shop SERVER GET /orders",
                &[],
            ),
        ] {
            assert_eq!(found(Rule::NeverEstablished, &format!("{trace}{capable}")), expected, "{name}");
        }
    }
}

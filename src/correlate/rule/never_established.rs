//! F02: a request from outside was served without anyone being identified.

use hopseal_identity::Assurance;

use super::{Check, Cx, Needs, Quiet, Rule, Spec};
use crate::catalogue::Capability;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, HopKind};

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

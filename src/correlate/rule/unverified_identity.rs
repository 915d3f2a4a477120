//! F07: a name was enough where the policy wants a proof.

use hopseal_identity::Assurance;

use super::{Check, Cx, Needs, Quiet, Rule, Spec};
use crate::finding::{Finding, Severity};
use crate::hop::Hop;

pub(super) const SPEC: Spec = Spec {
    number: "F07",
    severity: Severity::Medium,
    needs: Needs::Identity,
    meaning: "The policy asks for a verified or sealed identity at this operation, and all there is is a name that \
              anyone on the way could have written.",
    fix: "Validate a credential at this hop, or check the seal that came with the baggage.",
    quieting: "Declare the proxy that validates in front of the service under `trusted_proxies`, with the attributes \
               it may vouch for; or ask for less under `required_assurance`.",
    maps: &["OWASP API2:2023", "CWE-345", "CWE-290", "CWE-347", "T1606"],
    quiet: &[Quiet::Rejected],
    check: Check::Hop(check),
};

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    if hop.identity.assurance != Assurance::Asserted {
        return;
    }
    let Some(required) = cx.policy.required_assurance(hop.service, &hop.operation) else { return };
    if required <= Assurance::Asserted {
        return;
    }
    let key = hop.identity.principal.as_ref().map_or("", |principal| cx.dialects.name(principal.key));
    let mut finding = cx
        .finding(Rule::UnverifiedIdentity, hop)
        .evidence("required", required.as_str())
        .evidence("key", key)
        .evidence("could_be_set_by", could_be_set_by(key))
        .message(format!(
            "`{}` must see a {} identity and saw one that is only asserted",
            hop.service.name,
            required.as_str()
        ));
    if let Some(reason) = hop.identity.reason {
        finding = finding.evidence("reason", reason);
    }
    found.push(finding);
}

/// Who could have written what stands under an attribute key.
fn could_be_set_by(key: &str) -> &'static str {
    if key.starts_with("http.request.header.") {
        "whoever can send the service a request header"
    } else if key.starts_with("hopseal.") {
        "whoever can send the service baggage"
    } else {
        "the service itself, from whatever it read it"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{found, found_by};

    #[test]
    fn table() {
        const POLICY: &str = "required_assurance:\n  - {service: pay, operation: GET /charge, assurance: verified}\n  - {service: pay, assurance: sealed}\ntrusted_proxies:\n  - {service: pay, attributes: [http.request.header.x-forwarded-user]}";
        const CRATE: &str = "hopseal.sub=u-1 hopseal.assurance";
        for (span, expected) in [
            ("pay SERVER GET /charge user.id=u-1".into(), &["1: medium certain"][..]),
            ("pay SERVER GET /other user.id=u-1".into(), &["1: medium certain"]),
            (format!("pay SERVER GET /charge {CRATE}=asserted"), &["1: medium certain"]),
            (format!("pay SERVER GET /charge {CRATE}=verified"), &[]),
            (format!("pay SERVER GET /charge {CRATE}=sealed"), &[]),
            ("pay SERVER GET /charge http.request.header.x-forwarded-user=u-1".into(), &[]),
            ("pay SERVER GET /charge user.id=u-1 http.response.status_code=401".into(), &[]),
            ("pay SERVER GET /charge".into(), &[]),
            ("orders SERVER GET /charge user.id=u-1".into(), &[]),
        ] {
            assert_eq!(found_by(Rule::UnverifiedIdentity, &span, POLICY), expected, "{span}");
            assert_eq!(found(Rule::UnverifiedIdentity, &span), [""; 0], "{span}, nothing asked for");
        }
    }

    #[test]
    fn who_could_have_set_it() {
        for (key, expected) in [
            ("http.request.header.x-user-id", "whoever can send the service a request header"),
            ("hopseal.sub", "whoever can send the service baggage"),
            ("user.id", "the service itself, from whatever it read it"),
        ] {
            assert_eq!(could_be_set_by(key), expected, "{key}");
        }
    }
}

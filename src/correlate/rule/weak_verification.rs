//! F12: a credential counts as verified, and was not verified well.

use hopseal_identity::{Assurance, Reason};

use super::{Check, Cx, Needs, Rule, Spec};
use crate::field::Field;
use crate::finding::{Finding, Severity};
use crate::hop::Hop;
use crate::record::Span;

pub(super) const SPEC: Spec = Spec {
    number: "F12",
    severity: Severity::High,
    needs: Needs::Crate,
    meaning: "The hop calls its identity verified or sealed, but the algorithm is `none` or not allowed, the audience \
              is not this service, or the hop itself says that the signature, key, issuer or audience was not in \
              order.",
    fix: "Fix the issuer's algorithms, keys and this service's audience in the trust registry, and let the service \
          refuse everything else.",
    quieting: "Name the algorithm under `algorithms`, or the audience under `audiences`, where it is meant to be.",
    maps: &["OWASP API2:2023", "OWASP API8:2023", "CWE-347", "CWE-327", "CWE-295"],
    quiet: &[],
    check: Check::Hop(check),
};

/// What speaks of how a credential was verified.
const ANY: u128 = Field::Alg.bit() | Field::Reason.bit() | Field::Audience.bit();

/// Reasons that go with no verified identity, and what each says.
const REASONS: [(Reason, &str); 6] = [
    (Reason::Algorithm, "an algorithm that is not allowed"),
    (Reason::Audience, "a credential for another audience"),
    (Reason::Issuer, "a credential of an issuer that is not trusted"),
    (Reason::Signature, "a credential whose signature is wrong"),
    (Reason::SignatureSkipped, "a credential whose signature was not checked"),
    (Reason::UnknownKey, "a credential whose key is not known"),
];

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    if !matches!(hop.identity.assurance, Assurance::Verified | Assurance::Sealed) {
        return;
    }
    let Some(span) = cx.first_with(hop, ANY) else { return };
    let mut report = |weakness: &str, what: &str| {
        let message = format!("`{}` took {what} for {}", hop.service.name, hop.identity.assurance.as_str());
        let mut finding = cx
            .finding_of(Rule::WeakVerification, hop, weakness)
            .evidence("weakness", weakness)
            .message(message);
        for (name, field) in [("alg", Field::Alg), ("kid", Field::Kid), ("iss", Field::Iss)] {
            if let Some(text) = span.get(field) {
                finding = finding.evidence(name, text);
            }
        }
        if let Some(audiences) = audiences(span) {
            finding = finding.evidence("aud", audiences);
        }
        found.push(finding);
    };
    if span.get(Field::Alg).is_some_and(|alg| !cx.policy.allows_algorithm(alg)) {
        report("algorithm", "a credential of an algorithm that is not allowed");
    }
    if let Some(accepted) = cx.policy.audiences(hop.service)
        && span.has(Field::Audience)
        && !span.all(Field::Audience).any(|audience| accepted.iter().any(|known| known == audience))
    {
        report("audience", "a credential for another audience");
    }
    let reason = span.get(Field::Reason).and_then(Reason::parse);
    if let Some((reason, what)) = REASONS.into_iter().find(|(known, _)| reason == Some(*known)) {
        report(reason.as_str(), what);
    }
}

/// The audiences of the credential, as they were sent.
fn audiences(span: &Span<'_>) -> Option<String> {
    let all: Vec<&str> = span.all(Field::Audience).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn table() {
        for (attributes, expected) in [
            ("hopseal.assurance=verified hopseal.alg=EdDSA", &[][..]),
            ("hopseal.assurance=verified hopseal.alg=RS256", &[]),
            ("hopseal.assurance=verified hopseal.alg=none", &["1: high certain"]),
            ("hopseal.assurance=verified hopseal.alg=rs256", &["1: high certain"]),
            ("hopseal.assurance=sealed hopseal.alg=none", &["1: high certain"]),
            ("hopseal.assurance=sealed hopseal.alg=HS256", &["1: high certain"]),
            ("hopseal.assurance=asserted hopseal.alg=none", &[]),
            ("hopseal.assurance=refused hopseal.reason=signature", &[]),
            ("hopseal.assurance=verified hopseal.reason=signature__skipped", &["1: high certain"]),
            ("hopseal.assurance=verified hopseal.reason=issuer hopseal.alg=none", &["1: high certain"; 2]),
            ("hopseal.assurance=verified hopseal.reason=seal__expired", &[]),
            ("hopseal.assurance=verified hopseal.audience=elsewhere", &[]), // no audiences are declared
            ("hopseal.assurance=verified", &[]),
        ] {
            let trace = format!("orders SERVER GET /orders hopseal.sub=p1 {attributes}");
            assert_eq!(found(Rule::WeakVerification, &trace), expected, "{attributes}");
        }
    }
}

//! F01: the caller's user did not arrive.

use hopseal_identity::Assurance;

use super::{Check, Cx, Needs, Quiet, Rule, Spec, writes};
use crate::catalogue::Capability;
use crate::finding::{Confidence, Finding, Severity};
use crate::hop::{Hop, HopKind, Outcome};

pub(super) const SPEC: Spec = Spec {
    number: "F01",
    severity: Severity::High,
    needs: Needs::Identity,
    meaning: "A hop further up acted for a user, this service can show identities, and this hop shows none.",
    fix: "Pass the identity on at the caller: forward the token, exchange it, or send the sealed baggage.",
    quieting: "Declare the route under `public` if it serves everyone alike, or the edge under `service_principals` \
               if the caller acts for itself there.",
    maps: &["OWASP API2:2023", "CWE-306", "CWE-778"],
    quiet: &[
        Quiet::Static,
        Quiet::Health,
        Quiet::Public,
        Quiet::Retry,
        Quiet::SystemTopic,
        Quiet::Incomplete,
    ],
    check: Check::Hop(check),
};

/// Services named between the one that had the identity and the one that lacks it.
const MOST_BETWEEN: usize = 16;

fn check(cx: &Cx<'_>, hop: &Hop<'_>, found: &mut Vec<Finding>) {
    if !matches!(hop.identity.assurance, Assurance::Unknown | Assurance::Anonymous)
        || writes::was_turned_away(cx, hop)
    {
        return;
    }
    let Some(above) = cx.nearest_identified(hop) else { return };
    if !above.identity.principal.as_ref().is_some_and(|principal| principal.is_user()) {
        return;
    }
    // Lost between a message's sender and its consumer: `async_identity_gap` says so.
    if hop.kind == HopKind::Messaging && cx.caller(hop).is_some_and(|caller| caller.ix == above.ix) {
        return;
    }
    let capability = cx.capability(hop);
    if capability == Capability::Never {
        return;
    }
    let segment: Vec<&str> = cx
        .ancestors(hop)
        .take_while(|between| between.ix != above.ix)
        .take(MOST_BETWEEN)
        .map(|hop| hop.service.name)
        .collect();
    let message = match segment.last() {
        None => {
            format!("`{}` acted for a user, `{}` received no identity", above.service.name, hop.service.name)
        }
        Some(_) => format!(
            "`{}` acted for a user, `{}` received no identity; lost after `{}`",
            above.service.name, hop.service.name, above.service.name
        ),
    };
    let mut finding = cx
        .finding(Rule::IdentityDropped, hop)
        .before(above.identity.principal.as_ref())
        .evidence("last_identified_service", above.service.name)
        .evidence("last_identified_span", cx.entry(above).id.to_string())
        .message(message);
    if !segment.is_empty() {
        let through: Vec<&str> = segment.into_iter().rev().collect();
        finding = finding.evidence("services_between", through.join(" -> "));
    }
    if capability == Capability::Service {
        finding = finding.unsure(
            Confidence::Likely,
            "this operation has never shown an identity, only others of the service have",
        );
    }
    if hop.outcome == Outcome::Rejected {
        finding = finding.unsure(Confidence::Likely, writes::REJECTED_YET_CHANGED);
    }
    if hop.outcome == Outcome::Failed {
        // Its retry may be lost without a trace of it, so that only the attempt is left to see.
        finding = finding.unsure(
            Confidence::Likely,
            "the call failed, and may have done so before anybody looked who called",
        );
    }
    found.push(finding);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::found;

    #[test]
    fn table() {
        // `orders` has shown an identity on this operation in trace 2.
        let capable = "\norders SERVER GET /orders user.id=bob @trace=2";
        for (name, trace, expected) in [
            (
                "dropped at the callee",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    orders SERVER GET /orders",
                &["3: high certain"][..],
            ),
            (
                "carried",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    orders SERVER GET /orders user.id=alice",
                &[],
            ),
            (
                "an opaque segment between",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    bff SERVER GET /b\n      bff CLIENT GET\n        orders SERVER GET /orders",
                &["5: high certain"],
            ),
            (
                "turned away",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    orders SERVER GET /orders http.response.status_code=401",
                &[],
            ),
            (
                "not found, and yet something was changed",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    orders SERVER GET /orders http.response.status_code=404\n      orders CLIENT q db.operation.name=INSERT",
                &["3: high likely"],
            ),
            (
                "turned away, which was written down",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    orders SERVER GET /orders http.response.status_code=403\n      orders CLIENT q db.operation.name=INSERT",
                &[],
            ),
            (
                "failed, perhaps before anybody looked",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    orders SERVER GET /orders http.response.status_code=503",
                &["3: high likely"],
            ),
            (
                "only other operations of the service show one",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    orders SERVER GET /other",
                &["3: high likely"],
            ),
            (
                "a service that never shows one",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    geo SERVER GET /geo",
                &[],
            ),
            (
                "the caller acts for itself",
                "gw SERVER GET / oauth.client_id=batch\n  gw CLIENT GET\n    orders SERVER GET /orders",
                &[],
            ),
            (
                "lost in a queue, which is another rule's",
                "gw SERVER GET / user.id=alice\n  gw PRODUCER publish\n    orders CONSUMER GET /orders",
                &[],
            ),
            (
                "lost before a queue",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    bff SERVER GET /b\n      bff PRODUCER publish\n        orders CONSUMER GET /orders",
                &["5: high certain"],
            ),
            (
                "a static file",
                "gw SERVER GET / user.id=alice\n  gw CLIENT GET\n    orders SERVER GET /app.js http.request.method=GET url.path=/app.js",
                &[],
            ),
        ] {
            assert_eq!(found(Rule::IdentityDropped, &format!("{trace}{capable}")), expected, "{name}");
        }
    }
}

//! F25: an endpoint that serves the same call with and without an identity.

use super::{Check, Needs, Rule, Spec};
use crate::across::{Endpoint, Found, View};
use crate::finding::{Confidence, Severity};

pub(super) const SPEC: Spec = Spec {
    number: "F25",
    severity: Severity::High,
    needs: Needs::Identity,
    meaning: "Within a window the same operation was served both with an identity and to callers without one.",
    fix: "Refuse the call without a credential, or declare the route public if it is one page for everyone.",
    quieting: "Declare the route under `public`. `thresholds.min_requests` is how often it has to be served in all.",
    maps: &["OWASP API2:2023", "CWE-306", "CWE-1390"],
    quiet: &[],
    check: Check::Across(check),
};

/// A call without identity below a hop that had one is a dropped identity, not an optional one.
fn is_optional(endpoint: &Endpoint, enough: u64) -> bool {
    endpoint.with > 0 && endpoint.nobody_above > 0 && endpoint.with + endpoint.nobody_above >= enough
}

fn check(view: &View<'_>, found: &mut Vec<Found>) {
    let enough = view.policy.thresholds.min_requests.max(2);
    for endpoint in view.endpoints.iter().filter(|endpoint| is_optional(endpoint, enough)) {
        let without = endpoint.nobody_above;
        let mut finding = endpoint
            .finding(Rule::OptionalAuthEndpoint)
            .evidence("served_with_identity", endpoint.with.to_string())
            .evidence("served_without_identity", without.to_string())
            .evidence("callers", endpoint.callers())
            .message(format!(
                "`{}` served `{}` {} times with an identity and {without} times without",
                endpoint.service().name,
                endpoint.operation,
                endpoint.with
            ));
        if endpoint.nobody_said == 0 {
            finding = finding.unsure(
                Confidence::Likely,
                "no call says that nobody was logged in; the service may only not have recorded the identity",
            );
        }
        let is_open = endpoint.quiet >= without;
        found.push((finding, endpoint.quieted.filter(|_| is_open)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{found_across, traces};

    #[test]
    fn table() {
        const WITH: &str = "orders SERVER GET /orders user.id=bob";
        const BARE: &str = "orders SERVER GET /orders";
        for (name, with, trace, without, expected) in [
            ("both", 4, BARE, 1, &["GET /orders: high likely"][..]),
            ("too few in all", 3, BARE, 1, &[]),
            ("never without", 9, BARE, 0, &[]),
            ("never with", 0, BARE, 9, &[]),
            (
                "anonymous by its own word",
                5,
                "orders SERVER GET /orders spring.security.authentication.type=AnonymousAuthenticationToken",
                1,
                &["GET /orders: high certain"],
            ),
            ("the call without was turned away", 5, "orders SERVER GET /orders http.status_code=401", 5, &[]),
            (
                "dropped on the way",
                5,
                "gw SERVER GET / user.id=al\n  gw CLIENT GET\n    orders SERVER GET /orders",
                3,
                &[],
            ),
        ] {
            let (with, without) =
                (traces(with, WITH), traces(without, trace).replace("@trace=", "@trace=1000"));
            assert_eq!(
                found_across(Rule::OptionalAuthEndpoint, &format!("{with}{without}")),
                expected,
                "{name}"
            );
        }
    }
}

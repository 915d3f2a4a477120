//! F24: an endpoint that answers anybody.

use super::{Check, Needs, Rule, Spec};
use crate::across::{Found, View};
use crate::catalogue::Capability;
use crate::finding::{Confidence, Severity};

pub(super) const SPEC: Spec = Spec {
    number: "F24",
    severity: Severity::Medium,
    needs: Needs::Identity,
    meaning: "Within a window this operation was served again and again, never with an identity, on a service \
              that can show one.",
    fix: "Require a credential on this route, or declare it public.",
    quieting: "Declare the route under `public`, or import an OpenAPI description whose operations carry `security: []`. \
               `thresholds.min_requests` is how often it has to be served.",
    maps: &["OWASP API2:2023", "OWASP API5:2023", "OWASP API9:2023", "CWE-306", "CWE-862", "T1190"],
    quiet: &[],
    check: Check::Across(check),
};

fn check(view: &View<'_>, found: &mut Vec<Found>) {
    let enough = view.policy.thresholds.min_requests.max(1);
    for endpoint in &view.endpoints {
        if endpoint.identified > 0 || endpoint.without < enough || endpoint.capability == Capability::Never {
            continue;
        }
        let mut finding = endpoint
            .finding(Rule::UnauthenticatedEndpoint)
            .evidence("served_without_identity", endpoint.without.to_string())
            .evidence("callers", endpoint.callers())
            .message(format!(
                "`{}` served `{}` {} times, never with an identity",
                endpoint.service().name,
                endpoint.operation,
                endpoint.without
            ));
        if let Some(write) = &endpoint.write {
            finding = finding
                .severity(Severity::High)
                .evidence("writes", endpoint.writes.to_string())
                .evidence("write", write.as_str());
        }
        if endpoint.anonymous < endpoint.without {
            finding = finding.unsure(
                Confidence::Likely,
                "other operations of the service show identities, this one may only not record them",
            );
        }
        let is_open = endpoint.without - endpoint.quiet < enough;
        found.push((finding, endpoint.quieted.filter(|_| is_open)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{found_across, traces};

    #[test]
    fn table() {
        const CAPABLE: &str = "orders SERVER GET /mine http.method=GET user.id=bob";
        for (name, times, trace, expected) in [
            ("reads", 5, "orders SERVER GET /orders http.method=GET", &["GET /orders: medium likely"][..]),
            ("too few", 4, "orders SERVER GET /orders http.method=GET", &[]),
            ("writes", 5, "orders SERVER POST /orders http.method=POST", &["POST /orders: high likely"]),
            (
                "anonymous by its own word",
                5,
                "orders SERVER GET /orders spring.security.authentication.type=AnonymousAuthenticationToken",
                &["GET /orders: medium certain"],
            ),
            (
                "a write below",
                5,
                "orders SERVER GET /orders http.method=GET\n  orders CLIENT db db.operation=INSERT",
                &["GET /orders: high likely"],
            ),
            ("turned away", 5, "orders SERVER GET /orders http.response.status_code=401", &[]),
            ("health", 9, "orders SERVER GET /healthz http.method=GET url.path=/healthz", &[]),
            ("login", 9, "orders SERVER POST /login http.method=POST url.path=/login", &[]),
            ("a service that never shows one", 9, "geo SERVER GET /geo", &[]),
            ("also called with one", 9, "orders SERVER GET /mine http.method=GET", &[]),
        ] {
            let text = format!("{}{CAPABLE} @trace=999", traces(times, trace));
            assert_eq!(found_across(Rule::UnauthenticatedEndpoint, &text), expected, "{name}");
        }
    }
}

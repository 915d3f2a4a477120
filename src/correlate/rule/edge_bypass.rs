//! F26: a service behind a gateway is reached past it.

use super::{Check, Needs, Rule, Spec};
use crate::across::{Found, Reach, Unverified, View, Way};
use crate::finding::{Confidence, Finding, Severity, Subject};

pub(super) const SPEC: Spec = Spec {
    number: "F26",
    severity: Severity::High,
    needs: Needs::Spans,
    meaning: "Nearly all requests reach this service through one gateway; some came past it and were served without a \
              verified identity.",
    fix: "Let the network and the service itself refuse what does not come through the gateway.",
    quieting: "Let the caller authenticate, so that the hop is verified; a canary, a job or a port-forward that does \
               not is worth knowing.",
    maps: &["OWASP API8:2023", "CWE-288", "T1190", "T1021"],
    quiet: &[],
    check: Check::Across(check),
};

/// Requests from which on a way is the usual one, at this share.
const ENOUGH: u64 = 20;
const USUAL: f64 = 0.9;

fn check(view: &View<'_>, found: &mut Vec<Found>) {
    for reach in &view.reaches {
        let all: u64 = reach.ways.values().map(|came| came.hops).sum();
        let usual = reach.ways.iter().find(|(_, came)| came.hops as f64 >= USUAL * all as f64);
        let Some((Way::Through(gateway), by_gateway)) = usual.filter(|_| all >= ENOUGH) else { continue };
        for (way, came) in reach.ways.iter().filter(|(way, _)| **way != Way::Through(gateway.clone())) {
            for (operation, unverified) in &came.unverified {
                let is_open = unverified.quiet == unverified.hops;
                let finding = finding(reach, (gateway, by_gateway.hops), way, operation, unverified);
                found.push((finding, unverified.quieted.filter(|_| is_open)));
            }
        }
    }
}

fn finding(
    reach: &Reach,
    usual: (&str, u64),
    way: &Way,
    operation: &str,
    unverified: &Unverified,
) -> Finding {
    let service = reach.service.as_service();
    let (gateway, through_gateway) = usual;
    let (caller, past) = match way {
        Way::Through(name) => (Some(name), format!("through `{name}`")),
        Way::Directly(Some(name)) => (Some(name), format!("directly by `{name}`")),
        Way::Directly(None) => (None, "directly from outside".to_owned()),
    };
    let subject = Subject::Operation { service, operation, window: reach.window };
    let mut finding = Finding::new(Rule::EdgeBypass, subject, &past)
        .evidence("gateway", gateway)
        .evidence("through_gateway", through_gateway.to_string())
        .evidence("past_gateway", unverified.hops.to_string())
        .evidence("example_trace", unverified.example.trace_id.to_string())
        .evidence("example_span", unverified.example.span_id.to_string())
        .unsure(Confidence::Likely, "a canary, a job or a port-forward looks the same")
        .message(format!(
            "`{}` is reached through `{gateway}`, and was called {past} without a verified identity",
            service.name
        ));
    service.name.clone_into(&mut finding.service);
    operation.clone_into(&mut finding.operation);
    finding.caller = caller.cloned();
    finding.at = unverified.example.at;
    if let Some(address) = &unverified.address {
        finding = finding.evidence("source_address", address.as_str());
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;
    use crate::testing::{judge, traces};

    fn found(text: &str) -> Vec<String> {
        let findings = judge(text, &Policy::default()).findings;
        let of_rule = findings.iter().filter(|finding| finding.rule == Rule::EdgeBypass);
        of_rule.map(|finding| format!("{} {:?}", finding.service, finding.caller.as_deref())).collect()
    }

    #[test]
    fn table() {
        const USUAL: &str = "gw SERVER GET /\n  gw CLIENT GET\n    orders SERVER GET /orders";
        for (name, times, odd, expected) in [
            ("as root", 20, "orders SERVER GET /orders", &["orders None"][..]),
            (
                "by a client without entry",
                20,
                "cron CLIENT GET\n  orders SERVER GET /orders",
                &["orders Some(\"cron\")"],
            ),
            (
                "through another edge",
                20,
                "admin SERVER GET /\n  admin CLIENT GET\n    orders SERVER GET /orders",
                &["orders Some(\"admin\")"],
            ),
            (
                "by another service behind the gateway",
                20,
                "gw SERVER GET /\n  gw CLIENT GET\n    bff SERVER GET /\n      bff CLIENT GET\n        orders SERVER GET /orders",
                &[],
            ),
            ("verified", 20, "orders SERVER GET /orders hopseal.sub=a hopseal.assurance=verified", &[]),
            ("turned away", 20, "orders SERVER GET /orders http.status_code=401", &[]),
            ("health", 20, "orders SERVER GET /healthz http.method=GET url.path=/healthz", &[]),
            ("caller missing", 20, "orders SERVER GET /orders @parent=77777", &[]),
            ("a message", 20, "orders CONSUMER process", &[]),
            ("work of its own", 20, "orders INTERNAL nightly", &[]),
            ("too few to know", 10, "orders SERVER GET /orders", &[]),
        ] {
            let odd: String = odd.lines().map(|line| format!("{line} @trace=5000\n")).collect();
            assert_eq!(found(&(traces(times, USUAL) + &odd)), expected, "{name}");
        }
    }

    #[test]
    fn two_ways_are_both_usual() {
        let through =
            |edge: &str| format!("{edge} SERVER GET /\n  {edge} CLIENT GET\n    orders SERVER GET /orders");
        let text =
            traces(20, &through("gw")) + &traces(20, &through("gw2")).replace("@trace=", "@trace=1000");
        assert_eq!(found(&text), [""; 0]);
    }
}

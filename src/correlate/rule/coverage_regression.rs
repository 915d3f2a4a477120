//! F35: an operation shows identities less often than it did.

use super::{Check, Needs, Rule, Spec};
use crate::across::{Found, View};
use crate::finding::{Confidence, Severity};

pub(super) const SPEC: Spec = Spec {
    number: "F35",
    severity: Severity::Medium,
    needs: Needs::Identity,
    meaning: "The share of an operation's hops with an identity fell, against the catalogue given, by more than chance \
              explains.",
    fix: "Look for what was rolled out in between: a proxy that strips headers, a middleware that was dropped.",
    quieting: "Give a newer catalogue once the change is wanted. `thresholds.coverage_drop` is the fall allowed.",
    maps: &["CWE-778"],
    quiet: &[],
    check: Check::Across(check),
};

/// The standard normal quantile of a 95 % interval.
const Z: f64 = 1.96;

/// The Wilson score interval of a share seen as `part` of `whole`.
fn wilson(part: u64, whole: u64) -> (f64, f64) {
    let (n, share) = (whole.max(1) as f64, part as f64 / whole.max(1) as f64);
    let middle = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    ((middle - half) / scale, (middle + half) / scale)
}

fn check(view: &View<'_>, found: &mut Vec<Found>) {
    let Some(baseline) = view.baseline else { return };
    for endpoint in &view.endpoints {
        let Some(before) = baseline.shown(endpoint.service(), &endpoint.operation) else { continue };
        let (low_before, _) = wilson(before.identified, before.hops);
        let (_, high_now) = wilson(endpoint.identified, endpoint.hops);
        if low_before - high_now <= view.policy.thresholds.coverage_drop {
            continue;
        }
        let share =
            |part: u64, whole: u64| format!("{:.0} % of {whole}", 100.0 * part as f64 / whole.max(1) as f64);
        let (was, is) = (share(before.identified, before.hops), share(endpoint.identified, endpoint.hops));
        let finding = endpoint
            .finding(Rule::CoverageRegression)
            .evidence("identified_before", was.as_str())
            .evidence("identified_now", is.as_str())
            .unsure(Confidence::Likely, "a change of sampling or of who calls looks the same")
            .message(format!(
                "`{}` showed an identity on {was} hops of `{}`, now on {is}",
                endpoint.service().name,
                endpoint.operation
            ));
        found.push((finding, None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::across::Across;
    use crate::catalogue::{Catalogue, Shown};
    use crate::policy::Policy;
    use crate::record::Service;
    use crate::testing::{each, traces};

    #[test]
    fn the_interval_is_wilsons() {
        // E. B. Wilson, JASA 22 (1927); 95 % of 0 in 10, 5 in 10 and 10 in 10.
        for (part, low, high) in [(0, 0.0, 0.2775), (5, 0.2366, 0.7634), (10, 0.7225, 1.0)] {
            let (l, h) = wilson(part, 10);
            assert!((l - low).abs() < 1e-4 && (h - high).abs() < 1e-4, "{part}: {l} {h}");
        }
    }

    #[test]
    fn table() {
        for (name, before, with, without, expected) in [
            ("all gone", Some((100, 100)), 0, 20, true),
            ("half gone", Some((100, 100)), 10, 10, true),
            ("as before", Some((100, 50)), 10, 10, false),
            ("better", Some((100, 50)), 20, 0, false),
            ("too few to say", Some((100, 100)), 2, 1, false),
            ("too few before", Some((2, 2)), 5, 5, false),
            ("never seen before", None, 0, 20, false),
        ] {
            let orders = Service { name: "orders", ..Service::default() };
            let mut baseline = Catalogue::default();
            if let Some((hops, identified)) = before {
                baseline.add(orders, "GET /orders", Shown { hops, identified });
            }
            let text = traces(with, "orders SERVER GET /orders user.id=bob")
                + &traces(without, "orders SERVER GET /orders").replace("@trace=", "@trace=1000");
            let (policy, mut across) = (Policy::default(), Across::default());
            each(&text, &policy, |_, cx| across.observe(cx));
            let found = across.finish(&policy, Some(&baseline)).findings;
            let found = found.iter().any(|finding| finding.rule == Rule::CoverageRegression);
            assert_eq!(found, expected, "{name}");
        }
    }
}

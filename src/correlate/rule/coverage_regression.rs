//! F35: an operation shows identities less often than it did.

use super::{Check, Needs, Rule, Spec};
use crate::across::{Found, View};
use crate::catalogue::Catalogue;
use crate::finding::{Confidence, Severity};

pub(super) const SPEC: Spec = Spec {
    number: "F35",
    severity: Severity::Medium,
    needs: Needs::Identity,
    meaning: "The share of an operation's hops with an identity fell, against the catalogue given or with another version \
              of the service, by more than chance explains.",
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

/// Whether the share fell by more than is allowed and than chance explains.
fn fell((before, of_before): (u64, u64), (now, of_now): (u64, u64), allowed: f64) -> bool {
    wilson(before, of_before).0 - wilson(now, of_now).1 > allowed
}

fn check(view: &View<'_>, found: &mut Vec<Found>) {
    let allowed = view.policy.thresholds.coverage_drop;
    for endpoint in &view.endpoints {
        let shown = |baseline: &Catalogue| baseline.shown(endpoint.service(), &endpoint.operation);
        let before = view.baseline.and_then(shown).map(|before| (before.identified, before.hops));
        let now = (endpoint.identified, endpoint.hops);
        let share = |(part, whole): (u64, u64)| {
            format!("{:.0} % of {whole}", 100.0 * part as f64 / whole.max(1) as f64)
        };
        let versions = endpoint.versions();
        let fell_with = versions.windows(2).find_map(|pair| match pair {
            [before, after] if fell(before.shown(), after.shown(), allowed) => Some([*before, *after]),
            _ => None,
        });
        let name = &endpoint.service().name;
        let operation = &endpoint.operation;
        let (before, now, message) = match (before, fell_with) {
            (Some(before), _) if fell(before, now, allowed) => {
                let (was, is) = (share(before), share(now));
                let message =
                    format!("`{name}` showed an identity on {was} hops of `{operation}`, now on {is}");
                (before, now, message)
            }
            (_, Some([before, after])) => {
                let (was, is) = (share(before.shown()), share(after.shown()));
                let message = format!(
                    "version {} of `{name}` showed an identity on {was} hops of `{operation}`, version {} on {is}",
                    before.name, after.name
                );
                (before.shown(), after.shown(), message)
            }
            _ => continue,
        };
        let mut finding = endpoint
            .finding(Rule::CoverageRegression)
            .evidence("identified_before", share(before))
            .evidence("identified_now", share(now))
            .unsure(Confidence::Likely, "a change of sampling or of who calls looks the same")
            .message(message);
        if let Some([before, after]) = fell_with {
            finding = finding
                .evidence("version_before", before.name.as_str())
                .evidence("version_now", after.name.as_str());
        }
        found.push((finding, None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::across::Across;
    use crate::catalogue::Shown;
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
    #[test]
    fn versions() {
        let of = |version: &str, with: u64, without: u64, at: u64| {
            let line =
                |who: &str| format!("orders SERVER GET /orders %service.version={version} @start={at} {who}");
            let number = |text: String, from: u64| text.replace("@trace=", &format!("@trace={from}{at}"));
            number(traces(with, &line("user.id=bob")), 1) + &number(traces(without, &line("")), 2)
        };
        for (name, text, expected) in [
            ("fell", of("1", 40, 0, 10) + &of("2", 10, 30, 20), Some(("1", "2"))),
            ("names are in no order", of("9", 40, 0, 10) + &of("10", 10, 30, 20), Some(("9", "10"))),
            ("rose", of("1", 10, 30, 10) + &of("2", 40, 0, 20), None),
            ("the same", of("1", 20, 20, 10) + &of("2", 20, 20, 20), None),
            ("too few to say", of("1", 40, 0, 10) + &of("2", 1, 1, 20), None),
            (
                "the second of three",
                of("1", 40, 0, 10) + &of("2", 0, 40, 20) + &of("3", 0, 40, 30),
                Some(("1", "2")),
            ),
            ("no versions", of("", 40, 0, 10) + &of("", 10, 30, 20), None),
        ] {
            let (policy, mut across) = (Policy::default(), Across::default());
            each(&text, &policy, |_, cx| across.observe(cx));
            let found = across.finish(&policy, None).findings;
            let found = found.iter().find(|finding| finding.rule == Rule::CoverageRegression);
            let said =
                found.map(|found| (&*found.evidence["version_before"], &*found.evidence["version_now"]));
            assert_eq!(said, expected, "{name}");
        }
    }
}

//! What a report says of endpoints and edges, added up.

use std::collections::BTreeMap;

use hopseal_correlate::finding::{Confidence, Finding, Severity};
use hopseal_correlate::policy::Date;
use hopseal_correlate::report::{HopRow, Report};
use hopseal_correlate::rule::{Quiet, Rule};
use hopseal_identity::Kind;

/// Last words of routes that are mostly probed.
const PROBED: [&str; 8] = ["status", "up", "version", "info", "heartbeat", "alive", "hc", "ping"];

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Operations, by service and name.
    pub(super) endpoints: Vec<Endpoint>,
    /// Edges on which a service acted for itself: how often, and what allowing it would quiet.
    pub(super) edges: BTreeMap<Edge, (u64, Quieted)>,
    /// Proxies passed, and how often.
    pub(super) proxies: BTreeMap<String, u64>,
    /// Services that never show an identity, with their hops.
    pub(super) uncovered: Vec<(String, u64)>,
    /// Times of the first and last hop.
    times: Option<(u64, u64)>,
}

/// One operation of a service at which nobody was ever identified.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) service: String,
    pub(super) operation: String,
    /// Calls of it, and those with an identity.
    hops: u64,
    identified: u64,
    /// What declaring it public would quiet.
    pub(super) quieted: Quieted,
}

/// An edge and who acts on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) service: String,
    pub(super) caller: Option<String>,
    pub(super) client: String,
}

/// Findings that an entry would quiet, by rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Quieted(BTreeMap<Rule, Findings>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Findings {
    all: u64,
    high: u64,
    /// Of the high ones.
    certain: u64,
}

impl Quieted {
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Whether a high finding is among them.
    pub(super) fn is_grave(&self) -> bool {
        self.0.values().any(|findings| findings.high > 0)
    }

    /// The same for each rule alone.
    pub(super) fn by_rule(&self) -> impl Iterator<Item = (Rule, Self)> {
        self.0.iter().map(|(rule, findings)| (*rule, Self([(*rule, *findings)].into())))
    }

    fn add(&mut self, finding: &Finding) {
        let findings = self.0.entry(finding.rule).or_default();
        findings.all += 1;
        let is_high = finding.severity == Severity::High;
        findings.high += u64::from(is_high);
        findings.certain += u64::from(is_high && finding.confidence == Confidence::Certain);
    }
}

impl std::fmt::Display for Quieted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing yet");
        }
        for (at, (rule, findings)) in self.0.iter().enumerate() {
            let lead = if at == 0 { "" } else { ", " };
            write!(f, "{lead}{} {}", findings.all, rule.as_str())?;
            match (findings.high, findings.certain) {
                (0, _) => {}
                (high, 0) => write!(f, " ({high} HIGH)")?,
                (high, certain) => write!(f, " ({high} HIGH, {certain} CERTAIN)")?,
            }
        }
        Ok(())
    }
}

impl Endpoint {
    /// Whether its name is one that probes ask for.
    pub(super) fn is_health(&self) -> bool {
        let last = self.operation.trim_end_matches('/').rsplit('/').next().unwrap_or("");
        PROBED.contains(&last)
    }

    /// Whether its name holds a `*` that would match more than this operation: any in the service, or all paths.
    pub(super) fn is_wide(&self) -> bool {
        self.service.contains('*') || self.operation.ends_with("/**")
    }

    pub(super) fn why(&self) -> String {
        format!("no identity on {}", calls(self.hops))
    }
}

/// `1 call`, `2 calls`.
pub(super) fn calls(count: u64) -> String {
    if count == 1 { "1 call".to_owned() } else { format!("{count} calls") }
}

/// Rules over many traces that a public route quiets: they ask the policy themselves.
const OVER_MANY: [&str; 2] = ["unauthenticated_endpoint", "optional_auth_endpoint"];

fn is_quieted_by_route(rule: Rule) -> bool {
    rule.spec().quiet.contains(&Quiet::Public) || OVER_MANY.contains(&rule.as_str())
}

impl Seen {
    pub(super) fn of(report: &Report) -> Self {
        let mut endpoints: BTreeMap<(&str, &str), Endpoint> = BTreeMap::new();
        let mut seen = Self::default();
        for hop in report.traces.iter().flat_map(|trace| &trace.hops) {
            let endpoint = endpoints.entry((&hop.service, &hop.operation)).or_insert_with(|| Endpoint {
                service: hop.service.clone(),
                operation: hop.operation.clone(),
                hops: 0,
                identified: 0,
                quieted: Quieted::default(),
            });
            endpoint.hops += 1;
            endpoint.identified += u64::from(hop.assurance.is_identified());
            seen.hop(hop);
        }
        for finding in &report.findings {
            if is_quieted_by_route(finding.rule)
                && let Some(endpoint) = endpoints.get_mut(&(&*finding.service, &*finding.operation))
            {
                endpoint.quieted.add(finding);
            }
            if finding.rule.spec().quiet.contains(&Quiet::ServicePrincipal)
                && let Some(here) = &finding.here
            {
                let edge = Edge {
                    service: finding.service.clone(),
                    caller: finding.caller.clone(),
                    client: here.id.clone(),
                };
                if let Some((_, quieted)) = seen.edges.get_mut(&edge) {
                    quieted.add(finding);
                }
            }
        }
        seen.endpoints = endpoints.into_values().filter(|endpoint| endpoint.identified == 0).collect();
        seen.uncovered = report
            .services
            .iter()
            .filter(|row| !row.capable)
            .map(|row| (row.name.clone(), row.hops))
            .collect();
        seen
    }

    fn hop(&mut self, hop: &HopRow) {
        for proxy in &hop.via {
            *self.proxies.entry(proxy.clone()).or_default() += 1;
        }
        if let Some(who) = hop.principal.as_ref().filter(|who| who.kind == Kind::Service) {
            let edge =
                Edge { service: hop.service.clone(), caller: hop.caller.clone(), client: who.id.clone() };
            self.edges.entry(edge).or_default().0 += 1;
        }
        if hop.start > 0 {
            let (first, last) = self.times.unwrap_or((hop.start, hop.start));
            self.times = Some((first.min(hop.start), last.max(hop.start)));
        }
    }

    /// The days of the first and last hop; `None` where no hop has a time.
    pub(super) fn days(&self) -> Option<(Date, Date)> {
        self.times.map(|(first, last)| (Date::of(first), Date::of(last)))
    }
}

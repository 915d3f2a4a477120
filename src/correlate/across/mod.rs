//! What rules over many traces rest on: counts gathered hop by hop, in bounded state, the same for any order of
//! traces.
//!
//! ```text
//! trace --observe--> endpoints, sessions, ..  --finish--> View --rule--> findings
//! ```
//! Gathering is done once for all rules; a rule over many traces is a pure function of the [`View`] and stands
//! with the others in [`rule`](crate::rule). Windows are of event time: a hop counts where its entry span begins.
//!
//! Kept are 100 000 endpoints, sessions and credentials each, 20 000 services and edges each, and 10 000 credentials in resources, over
//! all windows together. Past a bound the ones with the lowest hashes are kept, counted whole, and every finding says
//! in `counted_in_part` what was not counted in full.

mod bounded;
mod client;
mod endpoint;
mod once;
mod reach;
mod recent;
mod resource;
mod session;
mod stored;
mod wire;

pub(crate) use endpoint::Endpoint;
pub(crate) use once::{Kind as OnceKind, Seen};
pub(crate) use reach::{Reach, Unverified, Way};
pub use recent::{News, Recent};
pub(crate) use resource::{OwnedService, ResourceLeak};
pub(crate) use session::Session;
pub(crate) use wire::Wire;

use stored::{Stored, stored};

use crate::catalogue::Catalogue;
use crate::field::Field;
use crate::finding::Finding;
use crate::judge::Verdict;
use crate::policy::Policy;
use crate::rule::{Check, Cx, Rule};
use crate::sink::{SpanId, TraceId};
use crate::suppress::{self, Quieted};

/// Gathers what rules over many traces need. Ask it of every trace once, then [`finish`](Self::finish).
#[derive(Debug, Clone, Default)]
pub struct Across {
    endpoints: endpoint::Endpoints,
    sightings: once::Sightings,
    reaches: reach::Reaches,
    resource_leaks: resource::ResourceLeaks,
    sessions: session::Sessions,
    wires: wire::Wires,
}

/// What was gathered, in a fixed order.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) policy: &'a Policy,
    /// What is known of services from elsewhere: the catalogue given with the traces, if one was.
    pub(crate) baseline: Option<&'a Catalogue>,
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) reaches: Vec<Reach>,
    pub(crate) resource_leaks: Vec<ResourceLeak>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) wires: Vec<Wire>,
}

/// One hop to show for many: the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Example {
    pub(crate) at: u64,
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
}

stored!(Example { at, trace_id, span_id });
stored!(Across { endpoints, sightings, reaches, resource_leaks, sessions, wires });

/// What [`Across::write`] writes.
const FORM: u32 = 2;

impl Across {
    /// Appends what was gathered as bytes, for [`read`](Self::read) alone.
    pub fn write(&self, to: &mut Vec<u8>) {
        FORM.write(to);
        Stored::write(self, to);
    }

    /// Reads what [`write`](Self::write) wrote; `None` for anything else, what another version wrote included.
    #[must_use]
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        (u32::read(&mut bytes)? == FORM).then_some(())?;
        let read = Stored::read(&mut bytes)?;
        bytes.is_empty().then_some(read)
    }

    /// Counts one trace.
    pub fn observe(&mut self, cx: &Cx<'_>) {
        let cut_off = cut_off(cx);
        for hop in cx.hops.iter() {
            let window = window_of(cx.entry(hop).start, cx.policy);
            let is_cut_off = cut_off.get(hop.ix.get()).copied().unwrap_or(false);
            self.endpoints.observe(cx, hop, window, is_cut_off);
            self.sessions.observe(cx, hop, window);
        }
        self.sightings.observe(cx);
        self.reaches.observe(cx, |at| window_of(at, cx.policy));
        self.wires.observe(cx, |at| window_of(at, cx.policy));
        let leaking = cx.trace.spans().iter().filter(|span| span.has(Field::Leak));
        leaking.for_each(|span| self.resource_leaks.observe(span));
    }

    /// Gathers what may be known better now of a trace that was observed before: who sent what it links to, and late spans that show
    /// credentials. Adding it again changes nothing. `None` where that is of no
    /// account.
    #[must_use]
    pub fn again(cx: &Cx<'_>) -> Option<Self> {
        once::Sightings::is_asked(cx).then(|| {
            let mut again = Self::default();
            again.sightings.observe(cx);
            again
        })
    }

    /// Adds what was gathered from other traces: the same as if one had observed them all.
    pub fn merge(&mut self, other: Self) {
        self.endpoints.merge(other.endpoints);
        self.sightings.merge(other.sightings);
        self.reaches.merge(other.reaches);
        self.resource_leaks.merge(other.resource_leaks);
        self.sessions.merge(other.sessions);
        self.wires.merge(other.wires);
    }

    /// The same as [`finish`](Self::finish) for one window alone: that which begins at `window`. What is of no window is told of
    /// with any; who asks of one window after the other takes it out before ([`Recent`]).
    #[must_use]
    pub fn finish_window(self, window: u64, policy: &Policy, baseline: Option<&Catalogue>) -> Verdict {
        self.ask(policy, baseline, |view| {
            view.endpoints.retain(|endpoint| endpoint.window == window);
            view.reaches.retain(|reach| reach.window == window);
            view.sessions.retain(|session| session.window == window);
            view.wires.retain(|wire| wire.window == window);
        })
    }

    /// Asks every rule over many traces. `baseline` is the catalogue given with the traces, `None` when it was
    /// made from them: nothing can fall behind itself.
    #[must_use]
    pub fn finish(self, policy: &Policy, baseline: Option<&Catalogue>) -> Verdict {
        self.ask(policy, baseline, |_| {})
    }

    fn ask(self, policy: &Policy, baseline: Option<&Catalogue>, only: impl FnOnce(&mut View<'_>)) -> Verdict {
        let (endpoints, endpoints_full) = self.endpoints.finish();
        let (resource_leaks, leaks_full) = self.resource_leaks.finish();
        let (reaches, reaches_full) = self.reaches.finish();
        let (seen, seen_full) = self.sightings.finish();
        let (sessions, sessions_full) = self.sessions.finish();
        let (wires, wires_full) = self.wires.finish();
        let full = [
            ("credentials and transactions", seen_full),
            ("edges", wires_full),
            ("endpoints", endpoints_full),
            ("resource credentials", leaks_full),
            ("services", reaches_full),
            ("sessions", sessions_full),
        ];
        let full: Vec<&str> = full.iter().filter(|(_, full)| *full).map(|(what, _)| *what).collect();
        let mut view = View { policy, baseline, endpoints, reaches, resource_leaks, seen, sessions, wires };
        only(&mut view);
        judged(&view, &full)
    }
}

/// Asks every rule over many traces. `full`: what was not counted in full.
fn judged(view: &View<'_>, full: &[&str]) -> Verdict {
    let mut found = Vec::new();
    for rule in Rule::ALL.iter().filter(|rule| !view.policy.is_off(**rule)) {
        if let Check::Across(check) | Check::Both(_, check) = rule.spec().check {
            check(view, &mut found);
        }
    }
    let mut verdict = Verdict::default();
    for (mut finding, quieted) in found {
        finding.severity = view.policy.severity(finding.rule, finding.severity);
        if !full.is_empty() {
            finding = finding.evidence("counted_in_part", full.join(", "));
        }
        let mut finding = finding.grouped();
        let notes = &mut verdict.unevaluated;
        let quieted = quieted.or_else(|| suppress::declared(view.policy, None, &mut finding, notes));
        verdict.add(finding, quieted);
    }
    verdict.in_order()
}

/// By hop, whether its caller or one further up is missing; empty where none is.
fn cut_off(cx: &Cx<'_>) -> Vec<bool> {
    if cx.trace.grade.missing_parents == 0 {
        return Vec::new();
    }
    // Callers come before callees.
    let mut cut_off: Vec<bool> = Vec::with_capacity(cx.hops.all().len());
    for hop in cx.hops.all() {
        let above = hop.caller.and_then(|caller| cut_off.get(caller.get()).copied());
        cut_off.push(hop.caller_missing || above.unwrap_or(false));
    }
    cut_off
}

/// A finding of a rule over many traces, and why it is quieted, if it is.
pub(crate) type Found = (Finding, Option<Quieted>);

/// The start of the window that `at` falls into.
#[must_use]
pub fn window_of(at: u64, policy: &Policy) -> u64 {
    at - at % policy.thresholds.window.max(1)
}

/// Adds to one name's count, for at most `limit` names: the first by spelling, so that order does not matter.
fn count(names: &mut std::collections::BTreeMap<String, u64>, name: &str, limit: usize) {
    if let Some(count) = names.get_mut(name) {
        *count += 1;
        return;
    }
    if names.len() >= limit && names.last_key_value().is_some_and(|(last, _)| last.as_str() < name) {
        return;
    }
    names.insert(name.to_owned(), 1);
    if names.len() > limit {
        names.pop_last();
    }
}

/// Adds counts by name, for at most `limit` names in all: the first by spelling.
fn add_counts(
    names: &mut std::collections::BTreeMap<String, u64>,
    more: std::collections::BTreeMap<String, u64>,
    limit: usize,
) {
    for (name, count) in more {
        *names.entry(name).or_default() += count;
    }
    while names.len() > limit {
        names.pop_last();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{each_in_order, traces};

    /// Traces with something for every rule over many traces.
    fn text() -> String {
        let numbered = |from: &str, text: String| text.replace("@trace=", &format!("@trace={from}"));
        let usual =
            "gw SERVER GET / user.id=al session.id=s1\n  gw CLIENT GET\n    orders SERVER GET /o user.id=al";
        let once =
            "hopseal.sub=a hopseal.assurance=verified hopseal.token_fingerprint=f hopseal.one_time=true";
        [
            traces(200, usual),
            numbered(
                "1000",
                traces(3, "gw SERVER GET / @start=7 user.id=bo session.id=s1 %app.password=hunter2"),
            ),
            numbered("2000", traces(6, "gw SERVER POST /import http.method=POST")),
            numbered("3000", traces(6, "gw SERVER GET / client.address=2.2.2.2")),
            numbered("4000", traces(2, &format!("orders SERVER GET /o {once}"))),
            numbered("5000", traces(2, "orders SERVER GET /o client.address=2.2.2.2")),
        ]
        .concat()
    }

    fn findings(sort: impl FnOnce(&mut Vec<crate::trace::Trace<'_>>)) -> Vec<Finding> {
        let (policy, mut across) = (Policy::default(), Across::default());
        each_in_order(&text(), &policy, sort, |_, cx| across.observe(cx));
        let mut verdict = across.finish(&policy, None);
        verdict.findings.extend(verdict.suppressed.into_iter().map(|suppressed| suppressed.finding));
        verdict.findings
    }

    /// Several that saw some of the traces each say together what one says that saw them all.
    #[test]
    fn what_is_merged_is_as_if_one_had_seen_it_all() {
        let policy = Policy::default();
        let whole = findings(|_| {});
        for parts in [2, 5] {
            let mut across: Vec<Across> = (0..parts).map(|_| Across::default()).collect();
            let mut number = 0;
            each_in_order(
                &text(),
                &policy,
                |_| {},
                |_, cx| {
                    number += 1;
                    across[number * 7 % parts].observe(cx);
                },
            );
            let mut all = Across::default();
            across.into_iter().rev().for_each(|part| all.merge(part));
            let mut verdict = all.clone().finish(&policy, None);
            verdict.findings.extend(verdict.suppressed.into_iter().map(|suppressed| suppressed.finding));
            assert_eq!(verdict.findings, whole);
            let mut bytes = Vec::new();
            all.write(&mut bytes);
            let mut verdict = Across::read(&bytes).expect("as written").finish(&policy, None);
            verdict.findings.extend(verdict.suppressed.into_iter().map(|suppressed| suppressed.finding));
            assert_eq!(verdict.findings, whole);
            for len in (0..bytes.len()).step_by(97) {
                assert!(Across::read(bytes.get(..len).expect("shorter")).is_none(), "{len}");
            }
            let window = window_of(crate::testing::EPOCH, &policy);
            assert!(all.clone().finish_window(window, &policy, None).findings.len() > 3);
            // Only what is of no window is told of in any.
            let other = all.finish_window(window + 1, &policy, None);
            assert!(other.findings.iter().all(|finding| finding.rule.as_str() != "edge_bypass"));
        }
    }

    #[test]
    fn the_order_of_traces_does_not_matter() {
        let found = findings(|_| {});
        let mut rules: Vec<&str> = found.iter().map(|finding| finding.rule.as_str()).collect();
        rules.sort_unstable();
        rules.dedup();
        let expected = [
            "credential_in_telemetry",
            "edge_bypass",
            "optional_auth_endpoint",
            "replay_across_traces",
            "session_multi_principal",
            "unauthenticated_endpoint",
        ];
        assert_eq!(rules, expected);
        assert_eq!(findings(|traces| traces.reverse()), found);
        assert_eq!(findings(|traces| traces.rotate_left(17)), found);
        assert_eq!(findings(|traces| traces.sort_by_key(|trace| trace.id.0[15])), found);
    }
}

//! One trace in, its verdict out.

use crate::dialect::{Dialects, KeyId};
use crate::finding::Finding;
use crate::hop::Hops;
use crate::policy::{Date, Policy, Unevaluated};
use crate::record::Span;
use crate::rule::{self, Cx, Rule};
use crate::sink::TraceId;
use crate::suppress::{self, Doubt, Quieted, Reason};
use crate::survey::Survey;
use crate::trace::Trace;
use crate::who::{Judges, SealVerdict};

/// What a trace is judged by.
pub struct Judge<'a> {
    /// What attribute keys mean.
    pub dialects: &'a Dialects,
    /// What the user has declared.
    pub policy: &'a Policy,
    /// Checks the seal on a span again; `None` where there is none or no key is at hand.
    pub seal: &'a dyn Fn(TraceId, &Span<'_>) -> Option<SealVerdict>,
}

/// A quieted finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppressed {
    /// The finding.
    pub finding: Finding,
    /// Why it was quieted.
    pub reason: Reason,
    /// The last day of the declaration that quieted it, if it has one.
    pub expires: Option<Date>,
}

/// What is said of one trace.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Findings that stand, by id.
    pub findings: Vec<Finding>,
    /// Findings quieted.
    pub suppressed: Vec<Suppressed>,
    /// Conditions of the policy that could not be evaluated, each once.
    pub unevaluated: Vec<Unevaluated>,
}

impl std::fmt::Debug for Judge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge").field("policy", self.policy).finish_non_exhaustive()
    }
}

impl Judge<'_> {
    /// Works out the hops of a trace and the identity at each.
    #[must_use]
    pub fn hops<'t>(&self, trace: &Trace<'t>) -> Hops<'t> {
        let proxy = |span: &Span<'_>, key: KeyId| self.policy.trusts_proxy(span, self.dialects.name(key));
        let seal = |span: &Span<'_>| (self.seal)(trace.id, span);
        let header = |key: KeyId| self.dialects.name(key).starts_with("http.request.header.");
        let is_proxy = |span: &Span<'_>| self.policy.is_proxy(span);
        Hops::of(trace, &Judges { is_proxy: &is_proxy, proxy: &proxy, header: &header, seal: &seal })
    }

    /// What rules look at: a trace, its hops, and the survey of all traces.
    #[must_use]
    pub fn cx<'a>(&'a self, trace: &'a Trace<'a>, hops: &'a Hops<'a>, survey: &'a Survey) -> Cx<'a> {
        let Survey { catalogue, linked, validating } = survey;
        Cx { trace, hops, catalogue, linked, validating, policy: self.policy, dialects: self.dialects }
    }

    /// Asks every rule about one trace. Rules over many traces are asked by
    /// [`Across::finish`](crate::across::Across::finish).
    #[must_use]
    pub fn verdict(&self, cx: &Cx<'_>) -> Verdict {
        let mut found = Vec::new();
        rule::ask(cx, &mut found);
        let mut verdict = Verdict::default();
        let mut doubt = Doubt::default();
        for mut finding in found {
            finding.severity = self.policy.severity(finding.rule, finding.severity);
            let mut finding = finding.grouped();
            let about = finding.span_id.and_then(|span_id| cx.hops.of_span(cx.trace.find(span_id)?));
            let about = about.map(|hop| cx.hops.get(hop));
            let quieted = suppress::settle(cx, about, &mut finding, &mut doubt, &mut verdict.unevaluated);
            verdict.add(finding, quieted);
        }
        verdict.in_order()
    }
}

impl Verdict {
    /// Files a finding where it belongs.
    pub(crate) fn add(&mut self, finding: Finding, quieted: Option<Quieted>) {
        match quieted {
            Some(Quieted { reason, expires }) => {
                self.suppressed.push(Suppressed { finding, reason, expires });
            }
            None => self.findings.push(finding),
        }
    }

    /// What it says of one rule.
    #[must_use]
    pub fn of_rule(mut self, rule: Rule) -> Self {
        self.findings.retain(|finding| finding.rule == rule);
        self.suppressed.retain(|suppressed| suppressed.finding.rule == rule);
        self
    }

    /// The same, in the order of ids, each thing once.
    pub(crate) fn in_order(mut self) -> Self {
        self.findings.sort_by_key(|finding| finding.id);
        self.findings.dedup_by_key(|finding| finding.id);
        self.unevaluated.sort();
        self.unevaluated.dedup_by_key(|note| note.at);
        self
    }
}

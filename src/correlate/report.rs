//! Everything `check` has to say, owned and in its final order: what each output format prints.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hopseal_identity::{Assurance, Basis};

use crate::catalogue::{Capability, Catalogue};
use crate::finding::{Confidence, Finding, FindingId, Severity, Who};
use crate::hop::{Hop, HopIx, HopKind, Hops};
use crate::judge::Verdict;
use crate::policy::{Date, Place};
use crate::record::Service;
use crate::rule::Rule;
use crate::sink::{SpanId, TraceId};
use crate::suppress::Reason;
use crate::survey::Survey;
use crate::trace::{Grade, Trace};

/// One hop as it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HopRow {
    /// Its entry span.
    pub span_id: SpanId,
    /// The parent that the entry span names.
    pub parent_span_id: Option<SpanId>,
    /// Place of the calling hop in [`TraceRow::hops`]; `None` for a root, or where the caller is no hop.
    pub parent: Option<usize>,
    /// The calling service.
    pub caller: Option<String>,
    /// The service called.
    pub service: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its environment.
    pub environment: Option<String>,
    /// The operation called.
    pub operation: String,
    /// How the crossing was made; never [`HopKind::Origin`].
    pub kind: HopKind,
    /// Proxies passed on the way.
    pub via: Vec<String>,
    /// Nanoseconds since the Unix epoch; 0 when not known.
    pub start: u64,
    /// Nanoseconds since the Unix epoch; 0 when not known.
    pub end: u64,
    /// How sure.
    pub assurance: Assurance,
    /// Why that is believed.
    pub basis: Basis,
    /// How it was established.
    pub method: Option<String>,
    /// Whether the service never shows identity.
    pub uncovered: bool,
    /// Producers linked to.
    pub links: Vec<LinkRow>,
    /// Who.
    pub principal: Option<Who>,
}

/// One link of a hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkRow {
    /// The linked trace.
    pub trace_id: TraceId,
    /// The linked span.
    pub span_id: SpanId,
    /// Who sent it, when known.
    pub principal: Option<Who>,
}

/// One trace as it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceRow {
    /// Its id.
    pub trace_id: TraceId,
    /// How complete it is.
    pub grade: Grade,
    /// Its hops, callers before callees.
    pub hops: Vec<HopRow>,
}

/// Findings of one kind on one edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its id.
    pub id: FindingId,
    /// The rule.
    pub rule: Rule,
    /// The gravest severity among them.
    pub severity: Severity,
    /// The surest confidence among them.
    pub confidence: Confidence,
    /// The calling service.
    pub caller: Option<String>,
    /// The service.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// How many.
    pub count: u64,
    /// Time of the first, nanoseconds since the Unix epoch.
    pub first: u64,
    /// Time of the last, nanoseconds since the Unix epoch.
    pub last: u64,
    /// What to do.
    pub fix: String,
}

/// Hops of one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceRow {
    /// Its name.
    pub name: String,
    /// Whether it ever shows an identity.
    pub capable: bool,
    /// All hops.
    pub hops: u64,
    /// Hops by assurance, in the order of [`Assurance::ALL`].
    pub by_assurance: [u64; 6],
}

impl ServiceRow {
    /// Hops of one assurance.
    #[must_use]
    pub fn count(&self, assurance: Assurance) -> u64 {
        self.by_assurance.get(assurance as usize).copied().unwrap_or(0)
    }
}

/// Findings quieted for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SuppressedRow {
    /// How many.
    pub count: u64,
    /// The first day on which one of the declarations that quieted them ends, if any does.
    pub expires: Option<Date>,
    /// How many of each operation: of at most [`MAX_OPERATIONS`](Self::MAX_OPERATIONS), the first by spelling.
    pub operations: BTreeMap<String, u64>,
}

impl SuppressedRow {
    /// Operations counted one by one; names of spans are the sender's choice.
    pub const MAX_OPERATIONS: usize = 1_000;

    /// Counts one. Which are kept, and their counts, do not depend on the order.
    fn add(&mut self, operation: String) {
        *self.operations.entry(operation).or_default() += 1;
        if self.operations.len() > Self::MAX_OPERATIONS {
            self.operations.pop_last();
        }
    }

    /// The operations, the most frequent first.
    #[must_use]
    pub fn by_count(&self) -> Vec<(&str, u64)> {
        let mut operations: Vec<_> = self.operations.iter().map(|(name, count)| (&**name, *count)).collect();
        operations.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        operations
    }
}

/// How much of everything is covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// All hops.
    pub hops: u64,
    /// Hops with a principal: verified, sealed or asserted.
    pub identified: u64,
    /// Hops whose assurance somebody other than the span vouches for.
    pub proven: u64,
    /// Hops of services that never show identity.
    pub uncovered: u64,
}

/// What could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejection {
    /// The file.
    pub file: String,
    /// Line or byte.
    pub at: String,
    /// Why.
    pub reason: String,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Input {
    /// Files named.
    pub files: u64,
    /// Spans read, duplicates included.
    pub spans: u64,
    /// Spans delivered more than once.
    pub duplicates: u64,
    /// Spans, lines and elements that could not be read.
    pub rejected: u64,
    /// The first of them, up to a limit.
    pub rejections: Vec<Rejection>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What was read.
    pub input: Input,
    /// Traces asked for, by id.
    pub traces: Vec<TraceRow>,
    /// Findings, gravest first, then by time, then id.
    pub findings: Vec<Finding>,
    /// Their groups, gravest first, then most frequent.
    pub groups: Vec<Group>,
    /// Findings quieted, by rule, reason and service.
    pub suppressed: BTreeMap<(Rule, Reason, String), SuppressedRow>,
    /// Conditions of the policy that could not be evaluated for some finding, by their place, with why.
    pub unevaluated: BTreeMap<Place, String>,
    /// Every service, by name.
    pub services: Vec<ServiceRow>,
    /// How much of everything is covered.
    pub coverage: Coverage,
}

/// Which traces a report lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListHops {
    /// None.
    None,
    /// Those with a finding.
    Findings,
    /// All.
    All,
}

/// Adds up a report, trace by trace.
#[derive(Debug)]
pub struct Tally {
    list: ListHops,
    report: Report,
    /// By name, namespace and environment; reported by name.
    services: BTreeMap<String, ServiceRow>,
}

impl Tally {
    /// An empty report that will list those traces.
    #[must_use]
    pub fn new(list: ListHops) -> Self {
        Self { list, report: Report::default(), services: BTreeMap::new() }
    }

    /// Adds one trace and its verdict.
    pub fn add(&mut self, trace: &Trace<'_>, hops: &Hops<'_>, verdict: Verdict, survey: &Survey) {
        self.report.input.duplicates += u64::from(trace.grade.duplicates) + u64::from(trace.grade.conflicts);
        for hop in hops.iter() {
            self.count(hop, &survey.catalogue);
        }
        let listed = match self.list {
            ListHops::None => false,
            ListHops::Findings => !verdict.findings.is_empty(),
            ListHops::All => true,
        };
        if listed {
            self.report.traces.push(trace_row(trace, hops, survey));
        }
        self.add_findings(verdict);
    }

    /// Adds what was found out of a trace after it was added.
    pub fn add_later(&mut self, trace: &Trace<'_>, hops: &Hops<'_>, verdict: Verdict, survey: &Survey) {
        if self.list == ListHops::Findings && !verdict.findings.is_empty() {
            self.report.traces.push(trace_row(trace, hops, survey));
        }
        self.add_findings(verdict);
    }

    /// Adds findings that are about no single trace.
    pub fn add_findings(&mut self, verdict: Verdict) {
        self.report.findings.extend(verdict.findings);
        for note in verdict.unevaluated {
            let known = self.report.unevaluated.entry(note.at).or_insert_with(|| note.reason.clone());
            *known = std::mem::take(known).min(note.reason);
        }
        for suppressed in verdict.suppressed {
            let key = (suppressed.finding.rule, suppressed.reason, suppressed.finding.service);
            let row = self.report.suppressed.entry(key).or_default();
            row.count += 1;
            row.expires = row.expires.into_iter().chain(suppressed.expires).min();
            row.add(suppressed.finding.operation);
        }
    }

    fn count(&mut self, hop: &Hop<'_>, catalogue: &Catalogue) {
        let assurance = hop.identity.assurance;
        let uncovered = is_uncovered(hop, catalogue);
        let coverage = &mut self.report.coverage;
        coverage.hops += 1;
        coverage.identified += u64::from(assurance.is_identified());
        coverage.proven += u64::from(assurance.is_identified() && hop.identity.basis.is_proven());
        coverage.uncovered += u64::from(uncovered);
        let row = match self.services.get_mut(hop.service.name) {
            Some(row) => row,
            None => self
                .services
                .entry(hop.service.name.to_owned())
                .or_insert_with(|| ServiceRow { name: hop.service.name.to_owned(), ..ServiceRow::default() }),
        };
        row.hops += 1;
        row.capable |= assurance.is_identified()
            || catalogue.capability(hop.service, &hop.operation) != Capability::Never;
        if let Some(count) = row.by_assurance.get_mut(assurance as usize) {
            *count += 1;
        }
    }

    /// The report, in its final order.
    #[must_use]
    pub fn finish(mut self, input: Input) -> Report {
        let duplicates = self.report.input.duplicates;
        self.report.input = Input { duplicates, ..input };
        self.report.traces.sort_unstable_by_key(|trace| trace.trace_id);
        self.report.traces.dedup_by_key(|trace| trace.trace_id);
        self.report.services = self.services.into_values().collect();
        self.report
            .findings
            .sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| (a.at, a.id).cmp(&(b.at, b.id))));
        self.report.findings.dedup_by_key(|finding| finding.id);
        self.report.groups = groups(&self.report.findings);
        self.report
    }
}

fn is_uncovered(hop: &Hop<'_>, catalogue: &Catalogue) -> bool {
    hop.identity.assurance == Assurance::Unknown
        && catalogue.capability(hop.service, &hop.operation) == Capability::Never
}

fn groups(findings: &[Finding]) -> Vec<Group> {
    let mut groups: BTreeMap<FindingId, Group> = BTreeMap::new();
    for finding in findings {
        let group = groups.entry(finding.group_id).or_insert_with(|| Group {
            id: finding.group_id,
            rule: finding.rule,
            severity: finding.severity,
            confidence: finding.confidence,
            caller: finding.caller.clone(),
            service: finding.service.clone(),
            operation: finding.operation.clone(),
            count: 0,
            first: finding.at,
            last: finding.at,
            fix: finding.fix.clone(),
        });
        group.severity = group.severity.max(finding.severity);
        group.confidence = group.confidence.max(finding.confidence);
        group.count += 1;
        group.first = group.first.min(finding.at);
        group.last = group.last.max(finding.at);
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by(|a, b| {
        b.severity
            .cmp(&a.severity)
            .then(b.count.cmp(&a.count))
            .then(a.rule.cmp(&b.rule))
            .then(a.id.cmp(&b.id))
    });
    groups
}

fn named(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn trace_row(trace: &Trace<'_>, hops: &Hops<'_>, survey: &Survey) -> TraceRow {
    // Origins are no hops: their places in the list are skipped.
    let mut places: BTreeMap<HopIx, usize> = BTreeMap::new();
    let rows = hops.iter().enumerate().map(|(place, hop)| {
        places.insert(hop.ix, place);
        let entry = trace.span(hop.entry);
        let Service { name, namespace, environment } = hop.service;
        let exit_service = hop.exit.map(|exit| trace.span(exit).service.name);
        HopRow {
            span_id: entry.id,
            parent_span_id: entry.parent,
            parent: hop.caller.and_then(|caller| places.get(&caller).copied()),
            caller: exit_service.and_then(named),
            service: name.to_owned(),
            namespace: named(namespace),
            environment: named(environment),
            operation: Cow::clone(&hop.operation).into_owned(),
            kind: hop.kind,
            via: hop.via.iter().map(|name| (*name).to_owned()).collect(),
            start: entry.start,
            end: entry.end,
            assurance: hop.identity.assurance,
            basis: hop.identity.basis,
            method: hop.identity.method.map(str::to_owned),
            uncovered: is_uncovered(hop, &survey.catalogue),
            links: hop
                .links
                .iter()
                .map(|link| LinkRow {
                    trace_id: link.trace_id,
                    span_id: link.span_id,
                    principal: survey
                        .linked
                        .sender(trace, hops, link)
                        .and_then(|sender| Some(sender.principal?.to_who())),
                })
                .collect(),
            principal: hop.identity.principal.as_ref().map(Who::from),
        }
    });
    TraceRow { trace_id: trace.id, grade: trace.grade, hops: rows.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_what_is_quieted_are_bounded() {
        let most = SuppressedRow::MAX_OPERATIONS;
        let names: Vec<String> = (0..2 * most).map(|number| format!("GET /{number:06}")).collect();
        let counted = |names: &mut dyn Iterator<Item = &String>| {
            let mut row = SuppressedRow::default();
            names.for_each(|name| row.add(name.clone()));
            row
        };
        let there = counted(&mut names.iter().chain(&names));
        assert_eq!(there, counted(&mut names.iter().rev().chain(names.iter().rev())));
        assert!(
            there
                .operations
                .iter()
                .map(|(name, count)| (name, *count))
                .eq(names.iter().take(most).map(|name| (name, 2)))
        );
    }
}

//! Which traces have a hop of which all is so that is asked for.

use std::collections::HashSet;

use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::TraceId;
use hopseal_identity::{Assurance, attribute};

use super::ask::Search;
use super::not_read;
use super::shape::{self, ERROR, PRINCIPAL, RULE};
use crate::output::jaeger::{TraceShape, ValueShape};
use crate::serve::store::{Cursor, FindingQuery, HopQuery, HopRecord, Store, StoreError, TraceRecord};

/// Hops, or findings, that are asked of the store at once; and at most, as are spans of an answer.
const PAGE: usize = 1_000;
pub(super) const MOST: usize = 50_000;

/// What was found.
pub(super) struct Found {
    /// The newest first.
    pub(super) traces: Vec<TraceShape>,
    /// Whether all was looked at that there is to find.
    pub(super) is_whole: bool,
}

/// Looks for traces. `principals`: the ids that the principal asked for stands under.
pub(super) fn find(store: &dyn Store, search: &Search, principals: Vec<String>) -> Result<Found, StoreError> {
    let mut looking =
        Looking { store, search, principals, seen: HashSet::new(), traces: Vec::new(), spans: 0 };
    let tag = |key| search.tags.get(key).map(String::as_str);
    let assurance = tag(attribute::ASSURANCE).map(Assurance::parse);
    let rule = tag(RULE).map(Rule::parse);
    let is_whole = match (assurance, rule, tag(ERROR)) {
        // A word that nothing is called.
        (Some(None), ..) | (_, Some(None), _) => true,
        (_, _, Some(error)) if error != "true" => true,
        _ if search.principal() == Some("") => true,
        (assurance, None, None) => looking.by_hops(assurance.flatten())?,
        (_, rule, _) => looking.by_findings(rule.flatten())?,
    };
    Ok(Found { traces: looking.traces, is_whole })
}

struct Looking<'s> {
    store: &'s dyn Store,
    search: &'s Search,
    principals: Vec<String>,
    seen: HashSet<TraceId>,
    traces: Vec<TraceShape>,
    /// Of those traces.
    spans: usize,
}

impl Looking<'_> {
    fn is_full(&self) -> bool {
        self.traces.len() >= self.search.limit
    }

    /// Whether it is enough, or too much for one answer.
    fn is_over(&self) -> bool {
        self.is_full() || self.spans >= MOST
    }

    /// Looks at hops, the newest first. Whether there are no more, or enough.
    fn by_hops(&mut self, assurance: Option<Assurance>) -> Result<bool, StoreError> {
        let Search { service, operation, interval, lasting, .. } = self.search;
        let mut query = HopQuery {
            principals: self.principals.clone(),
            service: service.clone(),
            operation: operation.clone(),
            assurance,
            interval: *interval,
            lasting: *lasting,
            ..HopQuery::any(PAGE)
        };
        for _ in 0..MOST / PAGE {
            let page = self.store.hops(&query)?;
            for hop in &page {
                if self.is_tagged(hop, &[]) {
                    self.add(hop.trace_id, |_, _| Ok(true))?;
                }
                if self.is_over() {
                    return Ok(self.is_full());
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => query.after = Some(last.cursor()),
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Looks at findings, the newest first, and at the hops that they are of.
    fn by_findings(&mut self, rule: Option<Rule>) -> Result<bool, StoreError> {
        let end = Cursor { at: self.search.interval.to, id: [0; 16], place: 0, span: [0; 8] };
        let mut query = FindingQuery { rule, after: Some(end), limit: PAGE, ..FindingQuery::default() };
        for _ in 0..MOST / PAGE {
            let page = self.store.findings(&query)?;
            for finding in &page {
                if finding.at < self.search.interval.from {
                    return Ok(true);
                }
                if let Some(trace_id) = finding.trace_id {
                    self.add(trace_id, Self::has_hop)?;
                }
                if self.is_over() {
                    return Ok(self.is_full());
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => query.after = Some(last.cursor()),
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Adds a trace that was not looked at yet, if `is_asked` says so.
    fn add(
        &mut self,
        trace_id: TraceId,
        is_asked: impl FnOnce(&Self, &TraceRecord) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        if self.seen.insert(trace_id)
            && let Some(trace) = self.store.trace(trace_id)?
            && is_asked(self, &trace)?
        {
            self.spans += trace.hops.len();
            self.traces.push(shape::trace(trace).map_err(not_read)?);
        }
        Ok(())
    }

    fn has_hop(&self, trace: &TraceRecord) -> Result<bool, StoreError> {
        let findings = shape::read(trace.findings.clone()).map_err(not_read)?;
        Ok(trace.hops.iter().any(|hop| self.is(hop, &shape::of_hop(hop, &findings))))
    }

    /// Whether all of it is so of a hop.
    fn is(&self, hop: &HopRecord, findings: &[&shape::Found]) -> bool {
        let Search { service, operation, interval, lasting, .. } = self.search;
        service.as_ref().is_none_or(|service| *service == hop.service)
            && operation.as_ref().is_none_or(|operation| *operation == hop.operation)
            && interval.has(hop.start)
            && lasting.has(hop.end.saturating_sub(hop.start))
            && self.is_of_principal(hop)
            && self.is_tagged(hop, findings)
    }

    fn is_of_principal(&self, hop: &HopRecord) -> bool {
        self.principals.is_empty()
            || hop.principal.as_ref().is_some_and(|who| self.principals.contains(&who.id))
    }

    /// Whether it has the tags; whose it is has more than one spelling, and is asked elsewhere.
    fn is_tagged(&self, hop: &HopRecord, findings: &[&shape::Found]) -> bool {
        let mut wanted = self.search.tags.iter().filter(|(key, _)| *key != PRINCIPAL).peekable();
        if wanted.peek().is_none() {
            return true;
        }
        let tags = shape::tags(hop, findings);
        wanted.all(|(key, value)| {
            tags.iter().any(|tag| {
                tag.key == key
                    && match &tag.value {
                        ValueShape::String(text) => text == value,
                        ValueShape::Bool(truth) => truth.to_string() == *value,
                    }
            })
        })
    }
}

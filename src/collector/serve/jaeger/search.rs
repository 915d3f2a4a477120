//! Which traces have a hop of which all is so that is asked for.

use std::collections::HashSet;
use std::ops::ControlFlow;

use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::TraceId;
use hopseal_identity::{Assurance, attribute};

use super::ask::Search;
use super::not_read;
use super::shape::{self, ERROR, PRINCIPAL, RULE};
use crate::output::jaeger::ValueShape;
use crate::serve::store::{
    Cursor, FindingQuery, FindingRecord, HopQuery, HopRecord, Interval, Store, StoreError, TraceRecord,
};

/// Hops, or findings, that are asked of the store at once; and at most, as are spans of an answer.
const PAGE: usize = 1_000;
pub(super) const MOST: usize = 50_000;

/// What was found.
pub(super) struct Found {
    /// The newest first.
    pub(super) traces: Vec<TraceRecord>,
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
    traces: Vec<TraceRecord>,
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
        let query = HopQuery {
            principals: self.principals.clone(),
            service: service.clone(),
            operation: operation.clone(),
            assurance,
            interval: *interval,
            lasting: *lasting,
            ..HopQuery::any(PAGE)
        };
        let ask = |store: &dyn Store, after| store.hops(&HopQuery { after, ..query.clone() });
        self.each(None, ask, HopRecord::cursor, |looking, hop| {
            if looking.is_tagged(hop, &[]) {
                looking.add(hop.trace_id, |_, _| Ok(true))?;
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Looks at findings, the newest first, and at the hops that they are of.
    fn by_findings(&mut self, rule: Option<Rule>) -> Result<bool, StoreError> {
        let Interval { from, to } = self.search.interval;
        let end = Cursor { at: to, id: [0; 16], place: 0, span: [0; 8] };
        let query = FindingQuery { rule, limit: PAGE, ..FindingQuery::default() };
        let ask = |store: &dyn Store, after| store.findings(&FindingQuery { after, ..query.clone() });
        self.each(Some(end), ask, FindingRecord::cursor, |looking, finding| {
            if finding.at < from {
                return Ok(ControlFlow::Break(()));
            }
            if let Some(trace_id) = finding.trace_id {
                looking.add(trace_id, Self::has_hop)?;
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Looks at one after the other, page by page, from a place on. Whether there are no more, or enough.
    fn each<T>(
        &mut self,
        mut after: Option<Cursor>,
        ask: impl Fn(&dyn Store, Option<Cursor>) -> Result<Vec<T>, StoreError>,
        place: impl Fn(&T) -> Cursor,
        look: impl Fn(&mut Self, &T) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<bool, StoreError> {
        for _ in 0..MOST / PAGE {
            let page = ask(self.store, after)?;
            for one in &page {
                if look(self, one)?.is_break() {
                    return Ok(true);
                }
                if self.is_over() {
                    return Ok(self.is_full());
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(place(last)),
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
            self.traces.push(trace);
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

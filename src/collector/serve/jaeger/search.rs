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

/// Hops, or findings, that are asked of the store at once: of the first page fewer, which mostly are enough.
const PAGE: usize = 1_000;
const FIRST: usize = 50;
/// Of those, and of spans of an answer, no more.
pub(super) const MOST: usize = 50_000;
/// Traces that are asked of the store at once.
const AT_ONCE: usize = 100;

/// What was found.
pub(super) struct Found {
    /// The newest first.
    pub(super) traces: Vec<TraceRecord>,
    /// Whether all was looked at that there is to find.
    pub(super) is_whole: bool,
    /// Where to go on, unless there is no more.
    pub(super) next: Option<Cursor>,
}

/// Looks for traces. `principals`: the ids that the principal asked for stands under.
pub(super) fn find(store: &dyn Store, search: &Search, principals: Vec<String>) -> Result<Found, StoreError> {
    let mut looking =
        Looking { store, search, principals, seen: HashSet::new(), traces: Vec::new(), spans: 0, next: None };
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
    Ok(Found { traces: looking.traces, is_whole, next: looking.next })
}

struct Looking<'s> {
    store: &'s dyn Store,
    search: &'s Search,
    principals: Vec<String>,
    seen: HashSet<TraceId>,
    traces: Vec<TraceRecord>,
    /// Of those traces.
    spans: usize,
    /// The place of what was looked at last, if there may be more.
    next: Option<Cursor>,
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
        let Search { service, operation, interval, lasting, after: search_after, .. } = self.search;
        let search_after = *search_after;
        let query = HopQuery {
            principals: self.principals.clone(),
            service: service.clone(),
            operation: operation.clone(),
            assurance,
            interval: *interval,
            lasting: *lasting,
            ..HopQuery::any(PAGE)
        };
        let ask = |store: &dyn Store, after, limit| store.hops(&HopQuery { after, limit, ..query.clone() });
        let trace_of = |looking: &Self, hop: &HopRecord| {
            ControlFlow::Continue(looking.is_tagged(hop, &[]).then_some(hop.trace_id))
        };
        let is_asked = |looking: &Self, trace: &TraceRecord| {
            let Some(after) = search_after else { return Ok(true) };
            // One of a page before is on no other.
            Ok(!looking.has_hop(trace, |hop| hop.cursor() >= after)?)
        };
        self.each(search_after, ask, HopRecord::cursor, trace_of, is_asked)
    }

    /// Looks at findings, the newest first, and at the hops that they are of.
    fn by_findings(&mut self, rule: Option<Rule>) -> Result<bool, StoreError> {
        let Interval { from, to } = self.search.interval;
        let end = Cursor { at: to, id: [0; 16], place: 0, span: [0; 8] };
        let search_after = self.search.after;
        let query = FindingQuery { rule, ..FindingQuery::default() };
        let ask =
            |store: &dyn Store, after, limit| store.findings(&FindingQuery { after, limit, ..query.clone() });
        let trace_of = |_: &Self, finding: &FindingRecord| match finding.at < from {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(finding.trace_id),
        };
        let is_asked = |looking: &Self, trace: &TraceRecord| {
            let of_rule =
                |finding: &FindingRecord| rule.is_none_or(|rule| finding.rule == rule) && finding.at < to;
            let was_there = |after| trace.findings.iter().any(|it| of_rule(it) && it.cursor() >= after);
            Ok(!search_after.is_some_and(was_there) && looking.has_hop(trace, |_| true)?)
        };
        self.each(Some(search_after.unwrap_or(end)), ask, FindingRecord::cursor, trace_of, is_asked)
    }

    /// Looks at one after the other, page by page, from a place on, and adds the traces that they name if `is_asked` says so. Whether
    /// there are no more, or enough.
    fn each<T>(
        &mut self,
        mut after: Option<Cursor>,
        ask: impl Fn(&dyn Store, Option<Cursor>, usize) -> Result<Vec<T>, StoreError>,
        place: impl Fn(&T) -> Cursor,
        trace_of: impl Fn(&Self, &T) -> ControlFlow<(), Option<TraceId>>,
        is_asked: impl Fn(&Self, &TraceRecord) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let (mut looked_at, mut size) = (0, self.search.limit.clamp(FIRST, PAGE));
        while looked_at < MOST {
            let page = ask(self.store, after, size)?;
            let each = page.iter().map_while(|one| Some((trace_of(self, one).continue_value()?, place(one))));
            let each: Vec<_> = each.collect();
            let is_last = each.len() < size;
            self.next = each.last().map(|(_, place)| *place).filter(|_| !is_last);
            self.add(each, &is_asked)?;
            if self.is_over() {
                return Ok(self.is_full());
            }
            if is_last {
                return Ok(true);
            }
            looked_at += page.len();
            (after, size) = (page.last().map(&place), PAGE);
        }
        Ok(false)
    }

    /// Adds traces that were not looked at yet, if `is_asked` says so, until it is enough.
    fn add(
        &mut self,
        each: Vec<(Option<TraceId>, Cursor)>,
        is_asked: impl Fn(&Self, &TraceRecord) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let named = each.into_iter().filter_map(|(trace_id, place)| Some((trace_id?, place)));
        let new: Vec<(TraceId, Cursor)> = named.filter(|(id, _)| self.seen.insert(*id)).collect();
        let mut left = new.as_slice();
        while !left.is_empty() && !self.is_over() {
            let wanted = self.search.limit.saturating_sub(self.traces.len());
            let (some, others) = left.split_at(wanted.clamp(1, AT_ONCE).min(left.len()));
            left = others;
            let ids: Vec<TraceId> = some.iter().map(|(id, _)| *id).collect();
            for trace in self.store.traces(&ids)? {
                if self.is_over() || !is_asked(self, &trace)? {
                    continue;
                }
                if self.traces.len() + 1 == self.search.limit || self.spans + trace.hops.len() >= MOST {
                    let place = new.iter().find(|(id, _)| *id == trace.judged.trace_id);
                    self.next = place.map(|(_, place)| *place);
                }
                self.spans += trace.hops.len();
                self.traces.push(trace);
            }
        }
        Ok(())
    }

    /// Whether one of these hops has all that is asked for.
    fn has_hop(&self, trace: &TraceRecord, of: impl Fn(&HopRecord) -> bool) -> Result<bool, StoreError> {
        let findings = shape::read(trace.findings.clone()).map_err(not_read)?;
        Ok(trace.hops.iter().any(|hop| of(hop) && self.is(hop, &shape::of_hop(hop, &findings))))
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

//! The store as it is meant: everything in memory, every question answered by looking at all of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hopseal_correlate::catalogue::Catalogue;
use hopseal_correlate::finding::{Finding, FindingId, Severity, Who};
use hopseal_correlate::hop::Outcome;
use hopseal_correlate::sink::TraceId;
use hopseal_correlate::validation::Services;

use super::block::{Block, Hop, Judged};
use super::query::{
    Change, Changes, CoveragePoint, Cursor, EdgeQuery, EdgeRow, FindingQuery, FindingRecord, HopQuery,
    HopRecord, Interval, OpenRow, Remembered, Said, State, TraceRecord, top,
};
use super::touched::{Touched, TouchedBy, WAYS, Way};
use super::{Again, Batch, Changed, Learned, MINUTE, Store, StoreError, Tended};

#[derive(Debug, Default)]
struct Kept {
    blocks: Vec<Block>,
    findings: BTreeMap<FindingId, FindingRecord>,
    shown: Catalogue,
    validating: Services,
    windows: Vec<(u64, Vec<u8>)>,
    said: Vec<(FindingId, Said)>,
    /// The last finding of each series, and when it was.
    series: BTreeMap<FindingId, (FindingId, u64)>,
    /// By name: the last change that they know.
    receivers: BTreeMap<String, u64>,
    /// When, whose and what; the first is number 1.
    changes: Vec<(u64, FindingId, State)>,
}

/// See the [module](self). Keeps for ever.
#[derive(Debug, Default)]
pub(crate) struct Model(Mutex<Kept>);

impl Model {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hops that match, whatever was given already.
    fn matching(&self, query: &HopQuery) -> Vec<HopRecord> {
        let kept = self.kept();
        let all =
            kept.hops().map(|(block, judged, hop, place)| HopRecord::of(&block.texts, judged, hop, place));
        all.filter(|hop| {
            let who = hop.principal.as_ref();
            let is = |wanted: &Option<String>, name: Option<&str>| {
                wanted.as_deref().is_none_or(|wanted| name == Some(wanted))
            };
            (query.principals.is_empty() || who.is_some_and(|who| query.principals.contains(&who.id)))
                && is(&query.issuer, who.and_then(|who| who.issuer.as_deref()))
                && is(&query.tenant, who.and_then(|who| who.tenant.as_deref()))
                && is(&query.service, Some(&hop.service))
                && is(&query.caller, hop.caller.as_deref())
                && is(&query.operation, Some(&hop.operation))
                && query.via.as_ref().is_none_or(|via| hop.via.contains(via))
                && query.assurance.is_none_or(|assurance| assurance == hop.assurance)
                && query.basis.is_none_or(|basis| basis == hop.basis)
                && query.interval.has(hop.start)
                && query.lasting.has(hop.end.saturating_sub(hop.start))
        })
        .collect()
    }

    /// The edges of some minutes.
    fn edges_of(&self, interval: Interval, at: u64, edges: &mut Vec<EdgeRow>) {
        let kept = self.kept();
        let mut found: BTreeMap<(String, String, usize, usize), EdgeRow> = BTreeMap::new();
        for (block, _, hop, _) in
            kept.hops().filter(|(_, _, hop, _)| interval.has(hop.start / MINUTE * MINUTE))
        {
            let text = |text| block.texts.get(text).to_owned();
            let (caller, service) = (text(hop.texts.caller), text(hop.texts.service));
            let key = (caller.clone(), service.clone(), hop.assurance as usize, hop.basis as usize);
            let edge = found.entry(key).or_insert_with(|| EdgeRow {
                at,
                caller,
                service,
                assurance: hop.assurance,
                basis: hop.basis,
                hops: 0,
                failed: 0,
                uncovered: 0,
            });
            edge.hops += 1;
            edge.failed += u64::from(matches!(hop.outcome, Outcome::Failed | Outcome::Rejected));
            edge.uncovered += u64::from(hop.uncovered);
        }
        edges.extend(found.into_values());
    }

    fn points(&self, interval: Interval, minutes: u64, of: impl Fn(&str) -> bool) -> Vec<CoveragePoint> {
        let kept = self.kept();
        let mut points: BTreeMap<u64, CoveragePoint> = BTreeMap::new();
        for (block, _, hop, _) in
            kept.hops().filter(|(_, _, hop, _)| interval.has(hop.start / MINUTE * MINUTE))
        {
            if !of(block.texts.get(hop.texts.service)) {
                continue;
            }
            let at = hop.start / MINUTE / minutes.max(1) * minutes.max(1) * MINUTE;
            let point = points.entry(at).or_insert(CoveragePoint { at, ..CoveragePoint::default() });
            let identified = hop.assurance.is_identified();
            point.hops += 1;
            point.identified += u64::from(identified);
            point.proven += u64::from(identified && hop.basis.is_proven());
            point.uncovered += u64::from(hop.uncovered);
        }
        points.into_values().collect()
    }
}

impl Kept {
    fn note(&mut self, at: u64, id: FindingId, state: State) {
        if !self.receivers.is_empty() {
            self.changes.push((at, id, state));
        }
    }

    fn last(&self, trace_id: TraceId) -> Option<Judged> {
        let all = self.blocks.iter().flat_map(|block| &block.traces);
        all.filter(|judged| judged.trace_id == trace_id && judged.version > 0)
            .max_by_key(|judged| judged.version)
            .copied()
    }

    /// What was said of the finding before of a series, where that holds for the next.
    fn said_before(&self, finding: &Finding) -> Option<Said> {
        let (before, at) = self.series.get(&finding.series?)?;
        let state = self.findings.get(before)?.state;
        let holds = *at <= finding.at && [State::Acknowledged, State::Suppressed].contains(&state);
        let last = self.said.iter().rev().find(|(id, _)| id == before).filter(|_| holds);
        last.map(|(_, said)| said.clone())
    }

    /// Hops of the last version of each trace, and what came when it was gone.
    fn hops(&self) -> impl Iterator<Item = (&Block, &Judged, &Hop, u32)> {
        self.blocks
            .iter()
            .flat_map(|block| {
                block.each().flat_map(move |(judged, hops)| {
                    hops.iter().zip(0..).map(move |(hop, place)| (block, judged, hop, place))
                })
            })
            .filter(|(_, judged, ..)| judged.version == 0 || self.last(judged.trace_id) == Some(**judged))
    }
}

/// What somebody said of a finding stays said; only what was taken back on its own comes back on its own.
fn raised_again(state: State) -> State {
    if state == State::Retracted { State::Open } else { state }
}

/// The state once later spans showed that it was none.
fn taken_back(state: State) -> State {
    if [State::Open, State::Acknowledged].contains(&state) { State::Retracted } else { state }
}

fn said(body: &str, key: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).expect("a finding");
    body[key].as_str().unwrap_or_default().to_owned()
}

/// Whether it is about somebody of these.
fn names(body: &str, ids: &[String]) -> bool {
    let body: serde_json::Value = serde_json::from_str(body).expect("a finding");
    let id = |at: &str| body["principals"][at]["id"].as_str().map(str::to_owned);
    ["before", "here"].into_iter().filter_map(id).any(|id| ids.contains(&id))
}

impl Store for Model {
    fn commit(&self, batch: &Batch) -> Result<Changed, StoreError> {
        let mut changed = Changed::default();
        let (mut kept, mut again) = (self.kept(), Again::default());
        for given in &batch.blocks {
            for (judged, all) in given.each() {
                let is_known = kept.last(judged.trace_id).is_some_and(|last| last.version >= judged.version);
                if judged.version > 0 && is_known {
                    continue;
                }
                // What comes late and is there already is kept once.
                let is_there = |hop: &Hop| {
                    kept.hops().any(|(_, of, other, _)| {
                        (of.trace_id, other.span_id) == (judged.trace_id, hop.span_id)
                    })
                };
                let hops: Vec<Hop> =
                    all.iter().filter(|hop| judged.version > 0 || !is_there(hop)).copied().collect();
                if judged.version == 0 {
                    again.add(judged.trace_id, all, !hops.is_empty());
                }
                if judged.version > 0 || !hops.is_empty() {
                    let judged = Judged { hops: hops.len() as u32, ..*judged };
                    kept.blocks.push(Block { texts: given.texts.clone(), traces: vec![judged], hops });
                }
            }
        }
        batch.blocks.iter().for_each(|block| again.add_whole(block));
        for finding in &batch.raised {
            if again.explains(finding, kept.findings.contains_key(&finding.id)) {
                continue;
            }
            let is_new = !kept.findings.contains_key(&finding.id);
            let said = kept.said_before(finding).filter(|_| is_new);
            let new = FindingRecord {
                id: finding.id,
                rule: finding.rule,
                severity: finding.severity,
                service: finding.service.clone(),
                trace_id: finding.trace_id,
                at: finding.at,
                state: said.as_ref().map_or(State::Open, |said| said.state),
                note: said.as_ref().map_or(String::new(), |said| said.note.clone()),
                raised: batch.at,
                changed: batch.at,
                body: crate::output::finding(finding).expect("a finding"),
            };
            let before = kept.findings.get(&finding.id).map(|known| known.state);
            if [None, Some(State::Retracted)].contains(&before) {
                changed.opened.extend(Some(finding.id).filter(|_| said.is_none()));
                kept.note(batch.at, finding.id, new.state);
            }
            if let Some(said) = said {
                kept.said.push((finding.id, Said { at: batch.at, ..said }));
            }
            if let Some(series) = finding.series {
                let now = (finding.id, finding.at);
                let last = kept.series.entry(series).or_insert(now);
                if last.1 <= finding.at {
                    *last = now;
                }
            }
            let known = kept.findings.entry(finding.id).or_insert_with(|| new.clone());
            let is_graver = known.state == State::Open && known.severity < new.severity;
            if raised_again(known.state) != known.state || is_graver {
                known.changed = batch.at;
            }
            let FindingRecord { state, note, raised, changed, .. } = known.clone();
            *known = FindingRecord { state: raised_again(state), note, raised, changed, ..new };
            if is_graver {
                kept.note(batch.at, finding.id, State::Open);
            }
        }
        for id in &batch.retracted {
            if let Some(known) = kept.findings.get_mut(id)
                && taken_back(known.state) != known.state
            {
                (known.state, known.changed) = (taken_back(known.state), batch.at);
                kept.note(batch.at, *id, State::Retracted);
                changed.retracted.push(*id);
            }
        }
        kept.shown.merge(&batch.shown);
        batch.validating.iter().for_each(|service| kept.validating.add(service));
        if batch.gathered.whole {
            kept.windows.clear();
        }
        kept.windows.extend(batch.gathered.parts.iter().cloned());
        kept.windows.sort_by_key(|(begin, _)| *begin);
        Ok(changed)
    }

    fn learned(&self, _now: u64) -> Result<Learned, StoreError> {
        let kept = self.kept();
        Ok(Learned {
            catalogue: kept.shown.clone(),
            validating: kept.validating.clone(),
            windows: kept.windows.clone(),
        })
    }

    fn catalogue(&self, now: u64) -> Result<Catalogue, StoreError> {
        Ok(self.learned(now)?.catalogue)
    }

    fn remembered(&self, traces: &HashSet<TraceId>) -> Result<Vec<Remembered>, StoreError> {
        let mut all = Vec::new();
        for trace_id in traces {
            let last = self.kept().last(*trace_id);
            let (Some(judged), Some(trace)) = (last, self.trace(*trace_id)?) else {
                continue;
            };
            all.push(Remembered {
                judged,
                spans: trace.hops.iter().map(|hop| hop.span_id).collect(),
                findings: trace.findings.iter().map(|finding| finding.id).collect(),
            });
        }
        all.sort_by_key(|remembered| remembered.judged.trace_id);
        Ok(all)
    }

    fn traces(&self, trace_ids: &[TraceId]) -> Result<Vec<TraceRecord>, StoreError> {
        let mut once = HashSet::new();
        let each = trace_ids.iter().filter(|trace_id| once.insert(**trace_id));
        each.filter_map(|trace_id| self.trace(*trace_id).transpose()).collect()
    }

    fn trace(&self, trace_id: TraceId) -> Result<Option<TraceRecord>, StoreError> {
        let kept = self.kept();
        let of_trace = kept.hops().filter(|(_, judged, ..)| judged.trace_id == trace_id);
        let mut hops: Vec<(u32, HopRecord)> = of_trace
            .map(|(block, judged, hop, place)| {
                (judged.version, HopRecord::of(&block.texts, judged, hop, place))
            })
            .collect();
        hops.sort_by_key(|(version, hop)| {
            (Reverse(*version), (*version == 0).then_some((hop.start, hop.span_id)))
        });
        let mut once: Vec<HopRecord> = Vec::new();
        for (_, hop) in hops {
            if !once.iter().any(|known| known.span_id == hop.span_id) {
                once.push(hop);
            }
        }
        let query = FindingQuery { trace_id: Some(trace_id), limit: usize::MAX, ..FindingQuery::default() };
        let judged = kept.last(trace_id);
        drop(kept);
        let findings = self.findings(&query)?;
        Ok(judged.map(|judged| TraceRecord { judged, hops: once, findings }))
    }

    fn hops(&self, query: &HopQuery) -> Result<Vec<HopRecord>, StoreError> {
        let mut found = self.matching(query);
        found.retain(|hop| query.after.is_none_or(|after| hop.cursor() < after));
        top(&mut found, query.limit);
        Ok(found)
    }

    fn touched(&self, query: &HopQuery) -> Result<Touched, StoreError> {
        let mut all: Vec<(Who, Vec<HopRecord>)> = Vec::new();
        for hop in self.matching(query) {
            let Some(who) = hop.principal.clone() else { continue };
            let who = Who { actors: Vec::new(), ..who };
            match all.iter_mut().find(|(known, _)| *known == who) {
                Some((_, hops)) => hops.push(hop),
                None => all.push((who, vec![hop])),
            }
        }
        let newest = |hops: &[HopRecord], before: Option<Cursor>| {
            let places = hops.iter().map(HopRecord::cursor);
            places.filter(|place| before.is_none_or(|before| *place < before)).max()
        };
        all.retain(|(_, hops)| newest(hops, query.after).is_some());
        all.sort_by_key(|(_, hops)| Reverse(newest(hops, query.after)));
        all.truncate(query.limit);
        let last = all.get(query.limit.saturating_sub(1));
        let next = last.and_then(|(_, hops)| newest(hops, query.after));
        all.retain(|(_, hops)| newest(hops, None) == newest(hops, query.after));
        let by = all.into_iter().map(|(who, hops)| {
            let mut ways: Vec<Way> = Vec::new();
            for hop in &hops {
                let actors = hop.principal.as_ref().map(|who| who.actors.clone()).unwrap_or_default();
                let (caller, first, last) = (hop.caller.clone(), hop.start, hop.start);
                match ways.iter_mut().find(|way| (&way.caller, &way.actors) == (&caller, &actors)) {
                    Some(way) => {
                        way.hops += 1;
                        (way.first, way.last) = (way.first.min(first), way.last.max(last));
                    }
                    None => ways.push(Way { caller, actors, hops: 1, first, last }),
                }
            }
            let actors = |way: &Way| -> Vec<String> {
                way.actors.iter().map(|actor| format!("{}:{}", actor.kind.as_str(), actor.id)).collect()
            };
            ways.sort_by_key(|way| (way.caller.clone(), actors(way)));
            let more_ways = ways.len() > WAYS;
            ways.truncate(WAYS);
            TouchedBy {
                who,
                hops: hops.len() as u64,
                proven: hops.iter().filter(|hop| hop.basis.is_proven()).count() as u64,
                first: hops.iter().map(|hop| hop.start).min().expect("a hop"),
                newest: newest(&hops, None).expect("a hop"),
                ways,
                more_ways,
            }
        });
        Ok(Touched { by: by.collect(), next })
    }

    fn findings(&self, query: &FindingQuery) -> Result<Vec<FindingRecord>, StoreError> {
        let kept = self.kept();
        let mut found: Vec<FindingRecord> = kept
            .findings
            .values()
            .filter(|finding| {
                query.state.is_none_or(|state| state == finding.state)
                    && query.rule.is_none_or(|rule| rule == finding.rule)
                    && query.severity.is_none_or(|severity| severity == finding.severity)
                    && query.service.as_ref().is_none_or(|service| *service == finding.service)
                    && query.caller.as_ref().is_none_or(|caller| *caller == said(&finding.body, "caller"))
                    && query.trace_id.is_none_or(|trace_id| finding.trace_id == Some(trace_id))
                    && query.group.is_none_or(|group| group.to_string() == said(&finding.body, "group_id"))
                    && (query.principals.is_empty() || names(&finding.body, &query.principals))
                    && query.interval.has(finding.at)
                    && query.after.is_none_or(|after| finding.cursor() < after)
            })
            .cloned()
            .collect();
        found.sort_by_key(|finding| Reverse(finding.cursor()));
        found.truncate(query.limit);
        Ok(found)
    }

    fn finding(&self, id: FindingId) -> Result<Option<FindingRecord>, StoreError> {
        Ok(self.kept().findings.get(&id).cloned())
    }

    fn set_state(&self, id: FindingId, said: &Said) -> Result<bool, StoreError> {
        let mut kept = self.kept();
        let Some(finding) = kept.findings.get_mut(&id) else { return Ok(false) };
        let before = std::mem::replace(&mut finding.state, said.state);
        (finding.note, finding.changed) = (said.note.clone(), said.at);
        if before != said.state {
            kept.note(said.at, id, said.state);
        }
        kept.said.push((id, said.clone()));
        Ok(true)
    }

    fn said(&self, id: FindingId, limit: usize) -> Result<Vec<Said>, StoreError> {
        let kept = self.kept();
        let of = kept.said.iter().rev().filter(|(finding, _)| *finding == id);
        Ok(of.map(|(_, said)| said.clone()).take(limit).collect())
    }

    fn edges(&self, query: &EdgeQuery) -> Result<Vec<EdgeRow>, StoreError> {
        let mut edges = Vec::new();
        match query.minutes {
            None => self.edges_of(query.interval, 0, &mut edges),
            Some(minutes) => {
                let step = minutes.max(1) * MINUTE;
                let starts: BTreeSet<u64> = {
                    let kept = self.kept();
                    kept.hops().map(|(_, _, hop, _)| hop.start / step * step).collect()
                };
                for at in starts {
                    let Interval { from, to } = query.interval;
                    let interval = Interval { from: from.max(at), to: to.min(at + step) };
                    self.edges_of(interval, at, &mut edges);
                }
            }
        }
        edges.retain(|edge| {
            let is_asked =
                |name: &String| edge.service == *name || (edge.caller == *name && !name.is_empty());
            query.service.as_ref().is_none_or(is_asked)
                && query.after.as_ref().is_none_or(|after| edge.cursor() > *after)
        });
        edges.truncate(query.limit);
        Ok(edges)
    }

    fn services(&self) -> Result<Vec<String>, StoreError> {
        let kept = self.kept();
        let names: BTreeSet<String> =
            kept.hops().map(|(block, _, hop, _)| block.texts.get(hop.texts.service).to_owned()).collect();
        Ok(names.into_iter().collect())
    }

    fn operations(&self, service: &str) -> Result<Vec<String>, StoreError> {
        let kept = self.kept();
        let of_service = kept.shown.services().filter(|(known, _)| known.name == service);
        let names: BTreeSet<&String> = of_service.flat_map(|(_, operations)| operations.keys()).collect();
        Ok(names.into_iter().filter(|name| !name.is_empty()).cloned().collect())
    }

    fn coverage(
        &self,
        interval: Interval,
        service: Option<&str>,
        minutes: u64,
        limit: usize,
    ) -> Result<Vec<CoveragePoint>, StoreError> {
        let mut points = self.points(interval, minutes, |name| service.is_none_or(|wanted| wanted == name));
        points.truncate(limit);
        Ok(points)
    }

    fn coverage_by_service(
        &self,
        interval: Interval,
        minutes: u64,
    ) -> Result<Vec<(String, CoveragePoint)>, StoreError> {
        let services: BTreeSet<String> = {
            let kept = self.kept();
            kept.hops().map(|(block, _, hop, _)| block.texts.get(hop.texts.service).to_owned()).collect()
        };
        let each = services.into_iter().flat_map(|service| {
            let points = self.points(interval, minutes, |name| name == service);
            points.into_iter().map(move |point| (service.clone(), point))
        });
        Ok(each.collect())
    }

    fn open_findings(&self) -> Result<Vec<OpenRow>, StoreError> {
        let mut counts: BTreeMap<(Reverse<Severity>, String), u64> = BTreeMap::new();
        for finding in self.kept().findings.values().filter(|finding| finding.state == State::Open) {
            *counts.entry((Reverse(finding.severity), finding.service.clone())).or_default() += 1;
        }
        let row = |((severity, service), count): ((Reverse<Severity>, String), u64)| OpenRow {
            severity: severity.0,
            service,
            count,
        };
        Ok(counts.into_iter().map(row).collect())
    }

    fn receivers(&self, names: &[&str]) -> Result<(), StoreError> {
        let mut kept = self.kept();
        let last = kept.changes.len() as u64;
        kept.receivers.retain(|name, _| names.contains(&name.as_str()));
        for name in names {
            kept.receivers.entry((*name).to_owned()).or_insert(last);
        }
        Ok(())
    }

    fn changes(&self, receiver: &str, limit: usize) -> Result<Changes, StoreError> {
        let kept = self.kept();
        let Some(told) = kept.receivers.get(receiver) else { return Ok(Changes::default()) };
        let unknown = (1..).zip(&kept.changes).skip(usize::try_from(*told).expect("a number")).take(limit);
        let mut found = Changes { up_to: *told, ..Changes::default() };
        for (seq, (at, id, state)) in unknown {
            found.up_to = seq;
            let finding = kept.findings.get(id).expect("kept for ever").clone();
            found.changes.push(Change { seq, at: *at, state: *state, finding });
        }
        Ok(found)
    }

    fn told(&self, receiver: &str, seq: u64) -> Result<(), StoreError> {
        if let Some(told) = self.kept().receivers.get_mut(receiver) {
            *told = seq.max(*told);
        }
        Ok(())
    }

    fn tend(&self, _now: u64) -> Result<Tended, StoreError> {
        Ok(Tended::default())
    }

    fn merge(&self, _now: u64, _is_over: &dyn Fn() -> bool) -> Result<super::Merged, StoreError> {
        Ok(super::Merged::default())
    }

    fn segments(&self) -> u64 {
        0
    }

    fn unclosed(&self) -> u64 {
        0
    }
}

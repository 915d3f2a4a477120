//! One trace of a shard judged: first all that may go wrong, then what is noted of it.

use std::collections::HashSet;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use hopseal_correlate::finding::{Finding, FindingId};
use hopseal_correlate::hop::HopKind;
use hopseal_correlate::intake::Intake;
use hopseal_correlate::judge::Verdict;
use hopseal_correlate::record::{Service, bodies};
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_correlate::survey::{unasked, unlearned};
use hopseal_correlate::trace::Trace;

use super::super::judging::{forget_last, least_trusted, trust};
use super::super::over_time;
use super::super::reading::Stage;
use super::super::windows::{Due, Last, Stood};
use super::{OwnedService, Shard, ToShard};
use crate::serve::guard::guarded;
use crate::serve::pool::emptied;

/// What was found of a trace. Its hops are in the last block.
#[derive(Debug, Default)]
struct Examined {
    next: Last,
    straggling: bool,
    has_copies: bool,
    /// What is to be kept: nothing where it is as it was.
    verdict: Verdict,
    retracted: Vec<FindingId>,
    /// Services that send spans and that nobody is seen to call.
    origins: Vec<String>,
    /// What this trace has more to say of, should it come to be known.
    asked_by: Vec<OwnedService>,
    lessons: Vec<u64>,
    /// Spans that others link to and of which it is news who sent them.
    news: Vec<SpanId>,
}

impl Shard {
    /// Judges a trace that is due. One of which something panics is let go, with all that was written of it.
    pub(super) fn judge(&mut self, intake: &Intake<'_, Stage>, trace_id: TraceId, due: Due, now: u64) {
        let Some(kept) = self.windows.get(trace_id) else { return };
        let last = kept.last.clone();
        if self.broken.contains(trace_id) {
            return self.windows.settle(trace_id, Due::Quiet, last, now);
        }
        let block = self.batch.block_mut();
        let (traces, first) = (block.traces.len(), block.hops.len());
        // It writes to three places. The block is cut back; texts of no hop do no harm there. What the survey notes are facts, each whole
        // by itself, which stay true. And what it gathers for rules over many traces it gathers last: what it did by then is as if the
        // trace had fewer hops, as where late ones come, and nothing is there by half.
        match guarded(|| self.examine(intake, trace_id, due, now, &last)) {
            Ok(examined) => self.conclude(trace_id, due, now, (last.version, first), examined),
            Err(panicked) => {
                if let Some(block) = self.batch.blocks.last_mut().map(Arc::make_mut) {
                    block.traces.truncate(traces);
                    block.hops.truncate(first);
                }
                self.give_up(trace_id, &panicked);
                self.windows.settle(trace_id, Due::Quiet, last, now);
            }
        }
        self.tell_validating();
    }

    /// All that depends on what is in the trace.
    fn examine(
        &mut self,
        intake: &Intake<'_, Stage>,
        trace_id: TraceId,
        due: Due,
        now: u64,
        last: &Last,
    ) -> Examined {
        let rules = self.parts.rules.load_full();
        let Some(kept) = self.windows.get(trace_id) else { return Examined::default() };
        let mut records = std::mem::take(&mut self.records);
        self.windows.read(kept, &mut records);
        let mut trace = Trace::from_bodies(trace_id, bodies(&records), intake.words());
        let times = trace.spans().iter().map(|span| span.start);
        let straggling =
            kept.straggling || (kept.last.version == 0 && self.parts.earlier.has(trace_id, times));
        // Told again meanwhile, it still had no time to be whole. One that was open again since has.
        let is_crowded = due == Due::Crowded || (kept.early && due == Due::Again);
        let is_early = is_crowded || due == Due::Old || straggling || kept.over;
        if is_crowded {
            trace = trace.crowded();
        } else if is_early {
            trace = trace.closed_early();
        }
        // It counts as it is: there will be no other time.
        let is_last = self.windows.outlived(kept, now) && !straggling;
        let has_copies = trace.grade.duplicates > 0;
        let mut found = Examined { next: last.clone(), straggling, has_copies, ..Examined::default() };
        rules.with_judge(|judge| {
            let hops = judge.hops(&trace);
            if last.version == 0 {
                let origins = hops.all().iter().filter(|hop| hop.kind == HopKind::Origin);
                found.origins.extend(origins.map(|origin| origin.service.name.to_owned()));
            }
            let survey = &mut self.parts.survey;
            found.news = survey.linked.observe(&trace, &hops);
            survey.validating.observe(&trace, &hops);
            found.asked_by.extend(unasked(&hops, &survey.validating).map(OwnedService::from));
            if self.parts.learns {
                let missing = unlearned(&trace, &hops, &survey.catalogue);
                found.lessons.extend(missing.map(|lesson| self.hasher.hash_one(lesson)));
            }
            let cx = judge.cx(&trace, &hops, survey);
            #[cfg(test)]
            super::faults::judge(&hops, super::faults::JUDGE);
            let verdict = judge.verdict(&cx);
            let version = if straggling { 0 } else { last.version + 1 };
            let block = self.batch.block_mut();
            let digest = self.recorder.record(&cx, &verdict, version, block);
            #[cfg(test)]
            super::faults::judge(&hops, super::faults::RECORD);
            let stood =
                |finding: &Finding| Stood { id: finding.id, span_id: finding.span_id, within: records.len() };
            found.next.findings = verdict.findings.iter().map(stood).collect();
            let stands: HashSet<_> = match last.findings.is_empty() {
                true => HashSet::new(),
                false => verdict.findings.iter().map(|finding| finding.id).collect(),
            };
            // Most of them were found in the same spans.
            let mut least = (usize::MAX, u8::MAX);
            for stood in last.findings.iter().filter(|stood| !stands.contains(&stood.id)) {
                if !is_early && least.0 != stood.within {
                    least = (stood.within, least_trusted(records.get(stood.within..).unwrap_or(&[])));
                }
                // Nobody takes back what rests on the word of somebody more to be trusted, nor while more may be on the way.
                match !is_early && least.1 >= trust(&trace, stood.span_id) {
                    true => found.retracted.push(stood.id),
                    false => found.next.findings.push(*stood),
                }
            }
            if last.version > 0 && digest == last.digest {
                forget_last(block);
            } else {
                (found.next.version, found.next.digest) = (last.version + 1, digest);
                found.verdict = verdict;
            }
            // Once, when all of it is there: what is counted cannot be taken back.
            if (!is_early || is_last) && !last.counted {
                found.next.counted = true;
                self.windows.counts.ahead += u64::from(!over_time::observe(&mut self.across, &cx, now));
            } else if !is_early {
                over_time::observe_again(&mut self.across, &cx, now);
            }
        });
        drop(trace);
        emptied(&mut records);
        self.records = records;
        found
    }

    /// Notes what was found of a trace: its hops are those of the last block from `first` on, and `version` was the last before.
    fn conclude(
        &mut self,
        trace_id: TraceId,
        due: Due,
        now: u64,
        (version, first): (u32, usize),
        found: Examined,
    ) {
        let Examined { next, straggling, has_copies, verdict, retracted, .. } = found;
        found.origins.iter().for_each(|service| self.batch.shown.sends(service));
        if version == 0
            && let Some(block) = self.batch.blocks.last()
        {
            block.hops.iter().skip(first).for_each(|hop| self.tally.count(hop));
        }
        self.batch.retracted.extend(retracted);
        self.batch.raise(verdict.findings);
        for suppressed in verdict.suppressed {
            let key = (suppressed.finding.rule, suppressed.reason, suppressed.finding.service);
            *self.batch.quieted.entry(key).or_default() += u64::from(version == 0);
        }
        if self.batch.blocks.last().is_some_and(|block| block.is_full()) {
            self.tell_shown();
        }
        self.windows.settle(trace_id, due, next, now);
        if straggling {
            self.windows.straggles(trace_id);
        }
        if has_copies {
            self.windows.without_copies(trace_id);
        }
        if !found.news.is_empty() {
            self.answer(trace_id, &found.news);
        }
        found.asked_by.into_iter().for_each(|service| self.unasked.add(service, trace_id));
        found.lessons.into_iter().for_each(|lesson| self.unlearned.add(lesson, trace_id));
    }

    /// Tells everybody of services that were seen to have credentials validated.
    fn tell_validating(&mut self) {
        let known = &self.parts.survey.validating;
        if known.len() <= self.told.len() {
            return;
        }
        let is_new = |service: &Service<'_>| !self.told.contains(&OwnedService::from(*service));
        let new: Vec<OwnedService> = known.iter().filter(is_new).map(OwnedService::from).collect();
        for service in new {
            self.batch.validating.add(service.as_service());
            self.told.insert(service.clone());
            self.unasked.end(&service, &mut self.windows);
            let service = Arc::new(service);
            for (shard, at) in self.parts.shards.iter().zip(0..) {
                if at != self.parts.share.own() {
                    let _ = shard.send(ToShard::Validating(Arc::clone(&service)));
                }
            }
        }
    }
}

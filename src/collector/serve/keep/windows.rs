//! Traces while their spans arrive, and for a while after they were judged.
//!
//! ```text
//! add --> open --quiet--> judged --late span--> open ..
//!                            '--after a while--> gone, but for its id
//! ```
//! A state machine without clock or thread: the time is an argument, so that a test is its master. Which trace is next
//! does not depend on hash order, and everything in it is bounded by [`WindowSettings`].

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use hopseal_correlate::finding::FindingId;
use hopseal_correlate::record::{bodies, body};
use hopseal_correlate::sink::{SpanId, TraceId};

use super::settings::WindowSettings;
use super::slab::{Chain, Slab};
use crate::serve::clock::nanos;
use crate::serve::ids::{IdMap, LastIds};

/// Width of a step in which traces fall due, in nanoseconds.
const STEP: u64 = 50_000_000;
/// Bytes of a trace besides its records: what is kept of it, its entry in a table that is half empty at worst, and its place in a queue.
const TRACE_BYTES: usize =
    size_of::<Kept>() + 2 * (size_of::<(TraceId, Box<Kept>)>() + size_of::<(u64, TraceId)>());
/// Traces remembered once they are gone, at least: just as many as a table of this size has room for.
const GONE: usize = 900_000;

/// How a trace was judged last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Last {
    /// 0 before it was first judged.
    pub(crate) version: u32,
    pub(crate) digest: u64,
    /// Whether it counts for the rules over many traces.
    pub(crate) counted: bool,
    /// Findings that stood.
    pub(crate) findings: Vec<Stood>,
}

/// A finding that stands until it is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stood {
    pub(crate) id: FindingId,
    /// The span that it is about.
    pub(crate) span_id: Option<SpanId>,
    /// The bytes of records that it was found in last: what came behind them explains it, should it be found no more.
    pub(crate) within: usize,
}

/// A trace.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The bodies of its records, one after the other.
    records: Chain,
    pub(crate) last: Last,
    /// Whether the rest of it was gone when these spans came.
    pub(crate) straggling: bool,
    /// Whether there was no room for all of it.
    pub(crate) over: bool,
    /// The first run of the journal that holds some of it.
    first_run: u64,
    /// When that began to be kept.
    born: u64,
    /// When its first span since it was judged came, and its last.
    since: u64,
    newest: u64,
    open: bool,
    /// Whether it was judged because its room was needed, and may be whole all the same.
    pub(crate) early: bool,
    /// Whether it waits to be judged again.
    again: bool,
    /// When it was judged; tells places in the queue apart.
    judged_at: u64,
}

impl Kept {
    /// Bytes of memory: what is there, not what is filled.
    const fn bytes(&self) -> usize {
        self.records.room() + TRACE_BYTES
    }

    /// Whether it was kept for so long.
    fn has_lived(&self, life: Duration, now: u64) -> bool {
        self.born.saturating_add(nanos(life)) <= now
    }

    /// Bytes of its records.
    pub(crate) const fn length(&self) -> usize {
        self.records.len()
    }
}

/// Why a trace is to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// It was quiet for long enough.
    Quiet,
    /// It is never quiet. It stays open.
    Old,
    /// Its room is needed. More of it may be on the way.
    Crowded,
    /// Something was found out elsewhere that it rests on.
    Again,
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Traces judged early because their room was needed.
    pub(crate) crowded: u64,
    /// Traces judged while spans were still coming.
    pub(crate) old: u64,
    /// Judged traces that late spans opened again.
    pub(crate) reopened: u64,
    /// Spans whose trace was gone.
    pub(crate) stragglers: u64,
    /// Spans beyond what is judged of one trace.
    pub(crate) left_out: u64,
    /// Traces that begin so far ahead, by their own time, that no rule over time counts them.
    pub(crate) ahead: u64,
}

impl Counts {
    /// Adds what another shard counted.
    pub(crate) const fn add(&mut self, other: Self) {
        self.crowded += other.crowded;
        self.old += other.old;
        self.reopened += other.reopened;
        self.stragglers += other.stragglers;
        self.left_out += other.left_out;
        self.ahead += other.ahead;
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Windows {
    settings: WindowSettings,
    /// What is kept stands elsewhere: a table has room for twice as many.
    traces: IdMap<Box<Kept>>,
    slab: Slab,
    /// Open traces by the step in which they may fall due.
    steps: BTreeMap<u64, Vec<TraceId>>,
    again: VecDeque<TraceId>,
    /// Traces that were judged early, by when they are quiet if nothing more comes.
    early: VecDeque<(u64, TraceId)>,
    /// Judged traces in that order.
    judged: VecDeque<(u64, TraceId)>,
    /// Judged traces that were kept for as long as any is.
    outlived: Vec<TraceId>,
    gone: LastIds,
    /// Traces whose first record is in that run of the journal.
    runs: BTreeMap<u64, usize>,
    open: usize,
    open_bytes: usize,
    judged_bytes: usize,
    pub(crate) counts: Counts,
}

impl Windows {
    pub(crate) fn new(settings: WindowSettings) -> Self {
        Self {
            settings,
            traces: IdMap::default(),
            slab: Slab::default(),
            steps: BTreeMap::new(),
            again: VecDeque::new(),
            early: VecDeque::new(),
            judged: VecDeque::new(),
            outlived: Vec::new(),
            gone: LastIds::new(GONE),
            runs: BTreeMap::new(),
            open: 0,
            open_bytes: 0,
            judged_bytes: 0,
            counts: Counts::default(),
        }
    }

    /// Adds a record that came now, and is in that run of the journal.
    pub(crate) fn add(&mut self, trace_id: TraceId, record: &[u8], run: u64, now: u64) {
        let settle = nanos(self.settings.settle);
        let kept = match self.traces.get_mut(&trace_id) {
            Some(kept) => kept,
            None => {
                let straggling = self.gone.contains(trace_id);
                self.counts.stragglers += u64::from(straggling);
                self.steps.entry(step(now.saturating_add(settle))).or_default().push(trace_id);
                *self.runs.entry(run).or_default() += 1;
                self.open += 1;
                self.open_bytes += TRACE_BYTES;
                self.traces.entry(trace_id).or_insert_with(|| {
                    Box::new(Kept {
                        records: Chain::default(),
                        last: Last::default(),
                        straggling,
                        over: false,
                        first_run: run,
                        born: now,
                        since: now,
                        newest: now,
                        open: true,
                        early: false,
                        again: false,
                        judged_at: 0,
                    })
                })
            }
        };
        if !kept.open {
            kept.open = true;
            kept.since = now;
            self.open += 1;
            self.counts.reopened += 1;
            self.judged_bytes -= kept.bytes();
            self.open_bytes += kept.bytes();
            self.steps.entry(step(now.saturating_add(settle))).or_default().push(trace_id);
        }
        kept.newest = kept.newest.max(now);
        let body = body(record);
        if kept.records.len() + body.len() > self.settings.trace_bytes {
            kept.over = true;
            self.counts.left_out += 1;
            return;
        }
        self.open_bytes -= kept.bytes();
        self.slab.append(&mut kept.records, body);
        self.open_bytes += kept.bytes();
    }

    /// Says that the rest of a trace was gone when the spans came that are there.
    pub(crate) fn straggles(&mut self, trace_id: TraceId) {
        if let Some(kept) = self.traces.get_mut(&trace_id) {
            kept.straggling = true;
        }
    }

    /// Says how a trace was judged by an earlier process.
    pub(crate) fn recall(&mut self, trace_id: TraceId, last: Last) {
        if let Some(kept) = self.traces.get_mut(&trace_id) {
            kept.last = last;
        }
    }

    /// Traces that are kept.
    pub(crate) fn ids(&self) -> impl Iterator<Item = TraceId> {
        self.traces.keys().copied()
    }

    /// The trace, open or judged.
    pub(crate) fn get(&self, trace_id: TraceId) -> Option<&Kept> {
        self.traces.get(&trace_id).map(|kept| &**kept)
    }

    /// Whether a trace is let go once it was judged now, whatever more may come of it.
    pub(crate) fn outlived(&self, kept: &Kept, now: u64) -> bool {
        kept.has_lived(self.settings.max_life, now)
    }

    /// Puts the bodies of the records of a trace into `to`, in place of what is there.
    pub(crate) fn read(&self, kept: &Kept, to: &mut Vec<u8>) {
        self.slab.read(&kept.records, to);
    }

    /// Has a judged trace judged again: what it rests on elsewhere has changed. An open one will be anyway.
    pub(crate) fn again(&mut self, trace_id: TraceId) {
        if let Some(kept) = self.traces.get_mut(&trace_id).filter(|kept| !kept.open && !kept.again) {
            kept.again = true;
            self.again.push_back(trace_id);
        }
    }

    /// The next trace to judge, if any is due. It has to be followed by [`settle`](Self::settle).
    pub(crate) fn due(&mut self, now: u64) -> Option<(TraceId, Due)> {
        while let Some(trace_id) = self.again.pop_front() {
            let Some(kept) = self.traces.get_mut(&trace_id) else { continue };
            kept.again = false;
            // Spans came meanwhile: it is judged with them.
            if !kept.open {
                return Some((trace_id, Due::Again));
            }
        }
        while let Some((_, trace_id)) = self.early.pop_front_if(|(quiet, _)| *quiet <= now) {
            // Where more came since it has another place in the queue, behind this one.
            let is_quiet = |kept: &&mut Box<Kept>| {
                kept.early && !kept.open && kept.newest.saturating_add(nanos(self.settings.settle)) <= now
            };
            if let Some(kept) = self.traces.get_mut(&trace_id).filter(is_quiet) {
                kept.early = false;
                return Some((trace_id, Due::Again));
            }
        }
        let crowded = self.open_bytes > self.settings.open_bytes;
        loop {
            let mut first = self.steps.first_entry()?;
            if !crowded && *first.key() > step(now) {
                return None;
            }
            let trace_id = first.get_mut().pop();
            if first.get().is_empty() {
                first.remove();
            }
            let Some(trace_id) = trace_id else { continue };
            let Some(kept) = self.traces.get_mut(&trace_id).filter(|kept| kept.open) else { continue };
            let quiet = kept.newest.saturating_add(nanos(self.settings.settle));
            let old = kept.since.saturating_add(nanos(self.settings.max_age));
            if quiet <= now {
                return Some((trace_id, Due::Quiet));
            }
            if old <= now {
                kept.since = now;
                self.counts.old += 1;
                let next = step(quiet.min(now.saturating_add(nanos(self.settings.max_age))));
                self.steps.entry(next).or_default().push(trace_id);
                return Some((trace_id, Due::Old));
            }
            if crowded {
                self.counts.crowded += 1;
                return Some((trace_id, Due::Crowded));
            }
            self.steps.entry(step(quiet.min(old)).max(step(now) + 1)).or_default().push(trace_id);
        }
    }

    /// Takes note of how a trace that was due has been judged.
    pub(crate) fn settle(&mut self, trace_id: TraceId, due: Due, last: Last, now: u64) {
        let Some(kept) = self.traces.get_mut(&trace_id) else { return };
        kept.last = last;
        let outlived = kept.has_lived(self.settings.max_life, now);
        if (due == Due::Old && !outlived) || !kept.open {
            return;
        }
        kept.open = false;
        self.open -= 1;
        kept.early = due == Due::Crowded;
        if kept.early {
            self.early.push_back((now.saturating_add(nanos(self.settings.settle)), trace_id));
        }
        kept.judged_at = now;
        self.open_bytes -= kept.bytes();
        self.judged_bytes += kept.bytes();
        match outlived {
            true => self.outlived.push(trace_id),
            false => self.judged.push_back((now, trace_id)),
        }
    }

    /// Keeps each span of a trace once.
    pub(crate) fn without_copies(&mut self, trace_id: TraceId) {
        let Some(kept) = self.traces.get_mut(&trace_id) else { return };
        let total = if kept.open { &mut self.open_bytes } else { &mut self.judged_bytes };
        *total -= kept.bytes();
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        self.slab.read(&kept.records, &mut all);
        self.slab.clear(&mut kept.records);
        // Where each record ended, and where it ends now.
        let (mut end, mut ends) = (0, Vec::new());
        for body in bodies(&all) {
            if seen.insert(body) {
                self.slab.append(&mut kept.records, body);
            }
            end += body.len();
            ends.push((end, kept.records.len()));
        }
        for stood in &mut kept.last.findings {
            let before = ends.partition_point(|(end, _)| *end <= stood.within).checked_sub(1);
            stood.within = before.and_then(|last| ends.get(last)).map_or(0, |(_, now)| *now);
        }
        *total += kept.bytes();
    }

    /// Remembers a trace that was let go.
    pub(crate) fn remember(&mut self, trace_id: TraceId) {
        self.gone.insert(trace_id);
    }

    /// Lets judged traces go that were kept for long enough, or whose room is needed. Returns those that went.
    pub(crate) fn let_go(&mut self, now: u64) -> Vec<TraceId> {
        let late = nanos(self.settings.late);
        let mut went = Vec::new();
        for trace_id in std::mem::take(&mut self.outlived) {
            // More of it may have come since.
            if self.traces.get(&trace_id).is_some_and(|kept| !kept.open) {
                self.end(trace_id);
                went.push(trace_id);
            }
        }
        while let Some((at, trace_id)) = self.judged.front().copied() {
            if at.saturating_add(late) > now && self.judged_bytes <= self.settings.judged_bytes {
                break;
            }
            self.judged.pop_front();
            // It may be open again, or have been judged since.
            if self.traces.get(&trace_id).is_some_and(|kept| !kept.open && kept.judged_at == at) {
                self.end(trace_id);
                went.push(trace_id);
            }
        }
        went
    }

    /// Lets a judged trace go.
    fn end(&mut self, trace_id: TraceId) {
        let Some(mut kept) = self.traces.remove(&trace_id) else { return };
        self.judged_bytes -= kept.bytes();
        self.slab.clear(&mut kept.records);
        if let Entry::Occupied(mut first) = self.runs.entry(kept.first_run) {
            *first.get_mut() -= 1;
            if *first.get() == 0 {
                first.remove();
            }
        }
        self.remember(trace_id);
    }

    /// The first run of the journal that is still needed; `None` when none is.
    pub(crate) fn first_run(&self) -> Option<u64> {
        self.runs.first_key_value().map(|(run, _)| *run)
    }

    /// Open traces, and the bytes of memory that they take.
    pub(crate) fn open(&self) -> (usize, usize) {
        (self.open, self.open_bytes)
    }
}

const fn step(at: u64) -> u64 {
    at / STEP
}

#[cfg(test)]
mod tests;

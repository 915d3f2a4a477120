//! What was found, on the disk: hops, findings and their states, counts by the minute, and what services have shown.
//!
//! ```text
//! Batch --commit--> catalog.sqlite (blocks, findings, counts) --tend--> hops/day=../*.parquet
//! ```

mod block;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod long_trail;
#[cfg(test)]
mod model;
mod query;
mod segment;
mod settings;
mod sqlite;
#[cfg(test)]
pub(crate) mod testing;
mod touched;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hopseal_correlate::catalogue::Catalogue;
use hopseal_correlate::finding::{Finding, FindingId};
use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_correlate::suppress::Reason;
use hopseal_correlate::validation::Services;

pub(crate) use block::{Block, Hop, HopTexts, Judged, Text, Texts};
#[cfg(test)]
pub(crate) use model::Model;
pub(crate) use query::{
    Change, Changes, CoveragePoint, Cursor, EdgeCursor, EdgeQuery, EdgeRow, FindingQuery, FindingRecord,
    HopQuery, HopRecord, Interval, OpenRow, Remembered, Said, State, TraceRecord,
};
pub(crate) use settings::StoreSettings;
pub(crate) use sqlite::{Earlier, SqliteStore};
pub(crate) use touched::{Touched, TouchedBy, Way};

/// Something could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StoreError {
    /// The data base did not do what it was asked.
    #[error("catalog")]
    Sqlite(#[from] rusqlite::Error),
    /// A file could not be written, read or removed.
    #[error("`{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A segment is not what was written.
    #[error("segment `{}`", path.display())]
    Segment {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// What is in the catalog is not what was put there.
    #[error("the catalog holds something else than {0}")]
    Broken(&'static str),
    /// What it holds is of another form.
    #[error(
        "`{}` is of another version of hopseal, which this one does not read: begin in another folder, and ask this one by that version",
        path.display()
    )]
    OtherVersion {
        /// Which.
        path: PathBuf,
    },
    /// It was to end before it was done; nothing came of it.
    #[error("stopped before it was done")]
    Stopped,
}

/// Hops that take as much room as a finding: its texts are its own.
const FINDING_HOPS: usize = 8;
/// Hops past which a block is followed by another.
const BLOCK_HOPS: usize = 1 << 14;

/// What was found since the batch before.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// When, nanoseconds since the Unix epoch.
    pub(crate) at: u64,
    /// Traces judged, and their hops. Shared with the readers of a store once they are kept.
    pub(crate) blocks: Vec<Arc<Block>>,
    /// Findings that stand, also those that stood before.
    pub(crate) raised: Vec<Finding>,
    /// Findings that stand no more.
    pub(crate) retracted: BTreeSet<FindingId>,
    /// Findings set aside.
    pub(crate) quieted: BTreeMap<(Rule, Reason, String), u64>,
    /// What services have shown.
    pub(crate) shown: Catalogue,
    /// Services that were seen to have credentials validated.
    pub(crate) validating: Services,
    /// What rules over many traces rest on.
    pub(crate) gathered: Gathered,
}

/// What rules over many traces rest on, in parts by when their window begins. What a process that starts has is all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Gathered {
    /// Whether these are in place of all that were kept before.
    pub(crate) whole: bool,
    pub(crate) parts: Vec<(u64, Vec<u8>)>,
}

impl Gathered {
    /// Adds what came after.
    pub(crate) fn append(&mut self, mut other: Self) {
        if other.whole {
            *self = other;
        } else {
            self.parts.append(&mut other.parts);
        }
    }

    fn is_empty(&self) -> bool {
        !self.whole && self.parts.is_empty()
    }
}

impl Batch {
    /// How much room it takes in memory, in hops.
    pub(crate) fn room(&self) -> usize {
        let blocks: usize = self.blocks.iter().map(|block| block.hops.len() + block.traces.len()).sum();
        blocks + self.raised.len() * FINDING_HOPS + self.retracted.len()
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.iter().all(|block| block.traces.is_empty())
            && self.raised.is_empty()
            && self.retracted.is_empty()
            && self.quieted.is_empty()
            && self.shown.is_empty()
            && self.validating.is_empty()
            && self.gathered.is_empty()
    }

    /// The block that the next trace goes into. Blocks are of a bounded size, so that whatever is done with one needs little
    /// memory, and the same each time.
    pub(crate) fn block_mut(&mut self) -> &mut Block {
        let last = self.blocks.pop_if(|block| !block.is_full());
        // Room for all that it will hold: growing step by step costs more than the hops.
        let last = last.unwrap_or_else(|| {
            Arc::new(Block { hops: Vec::with_capacity(BLOCK_HOPS + BLOCK_HOPS / 8), ..Block::default() })
        });
        Arc::make_mut(self.blocks.push_mut(last))
    }

    /// Takes all, in no more room than it needs.
    pub(crate) fn take(&mut self) -> Self {
        if let Some(last) = self.blocks.last_mut().and_then(Arc::get_mut) {
            last.hops.shrink_to_fit();
        }
        std::mem::take(self)
    }

    /// Adds findings that stand, whatever was said of them before.
    pub(crate) fn raise(&mut self, mut findings: Vec<Finding>) {
        findings.iter().for_each(|finding| _ = self.retracted.remove(&finding.id));
        self.raised.append(&mut findings);
    }

    /// Adds everything of another, which came after.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.blocks.append(&mut other.blocks);
        self.raise(other.raised);
        self.retracted.append(&mut other.retracted);
        for (key, count) in other.quieted {
            *self.quieted.entry(key).or_default() += count;
        }
        self.shown.merge(&other.shown);
        other.validating.iter().for_each(|service| self.validating.add(service));
        self.gathered.append(other.gathered);
    }
}

/// Spans of a batch that came again when their trace was gone, and are all there: a part of it judged by itself.
#[derive(Debug, Default)]
struct Again {
    parts: HashMap<TraceId, HashSet<SpanId>>,
    /// Traces of which the batch says something new.
    new: HashSet<TraceId>,
}

impl Again {
    /// Notes a part, and whether some of its hops are new.
    fn add(&mut self, trace_id: TraceId, hops: &[Hop], is_new: bool) {
        if is_new {
            self.new.insert(trace_id);
        } else if !hops.is_empty() {
            self.parts.entry(trace_id).or_default().extend(hops.iter().map(|hop| hop.span_id));
        }
    }

    /// Notes what is judged whole.
    fn add_whole(&mut self, block: &Block) {
        let whole = block.traces.iter().filter(|judged| judged.version > 0);
        self.new.extend(whole.map(|judged| judged.trace_id));
    }

    /// Whether a finding says no more than that: more is known of these spans by their whole trace, and what it said of them stands.
    fn explains(&self, finding: &Finding, is_known: bool) -> bool {
        let is_of_part = |spans: &HashSet<SpanId>| finding.span_id.is_none_or(|id| spans.contains(&id));
        let of_trace = finding.trace_id.filter(|trace_id| !self.new.contains(trace_id));
        let spans = of_trace.and_then(|trace_id| self.parts.get(&trace_id));
        spans.is_some_and(|spans| is_known || is_of_part(spans))
    }
}

/// What a batch changed of findings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Changed {
    /// Those that did not stand before.
    pub(crate) opened: Vec<FindingId>,
    /// Those that stood before, and do no more.
    pub(crate) retracted: Vec<FindingId>,
}

/// What a process that starts has to know of those before it.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    /// What services have shown of late.
    pub(crate) catalogue: Catalogue,
    /// Services that were seen to have credentials validated.
    pub(crate) validating: Services,
    /// What rules over many traces rest on: parts by when their window begins, of one window as they came.
    pub(crate) windows: Vec<(u64, Vec<u8>)>,
}

/// What was done to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tended {
    /// Hops that went into a segment.
    pub(crate) sealed: u64,
    /// Segments removed because they were too old, or took too much room.
    pub(crate) removed: u64,
}

/// What was merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Merged {
    /// Segments that became one; 0 where there was nothing to merge.
    pub(crate) segments: u64,
    /// Hops of that.
    pub(crate) hops: u64,
    /// Bytes of it.
    pub(crate) bytes: u64,
}

/// The home of what was found. One writer, any number of readers.
///
/// Every implementation passes [`conformance`]: [`commit`](Self::commit) is all or nothing and durable when it returns,
/// and whatever is asked after it returned knows of it. The same batch twice changes nothing but counts of what was set
/// aside or shown. Calls block; none of them is made from a thread that must not.
pub(crate) trait Store: Send + Sync {
    /// Keeps a batch. A trace that is there already with a lower version is replaced: its hops are no longer found, and
    /// counts by the minute no longer hold them.
    fn commit(&self, batch: &Batch) -> Result<Changed, StoreError>;

    /// What a process that starts has to know. `now`: nanoseconds since the Unix epoch.
    fn learned(&self, now: u64) -> Result<Learned, StoreError>;

    /// The catalogue of that alone.
    fn catalogue(&self, now: u64) -> Result<Catalogue, StoreError>;

    /// What there is of these traces, where they were judged whole.
    fn remembered(&self, traces: &HashSet<TraceId>) -> Result<Vec<Remembered>, StoreError>;

    /// A trace with its hops and findings, callers before callees.
    fn trace(&self, trace_id: TraceId) -> Result<Option<TraceRecord>, StoreError> {
        Ok(self.traces(&[trace_id])?.pop())
    }

    /// The same of many, in this order; each once; those that are not there are left out. Hardly dearer than one.
    fn traces(&self, trace_ids: &[TraceId]) -> Result<Vec<TraceRecord>, StoreError>;

    /// Hops that match, the newest first, at most as many as asked for.
    fn hops(&self, query: &HopQuery) -> Result<Vec<HopRecord>, StoreError>;

    /// Findings that match, the newest first, at most as many as asked for.
    fn findings(&self, query: &FindingQuery) -> Result<Vec<FindingRecord>, StoreError>;

    /// One finding.
    fn finding(&self, id: FindingId) -> Result<Option<FindingRecord>, StoreError>;

    /// Sets the state of a finding, and keeps who said so. `false` when there is no such finding.
    fn set_state(&self, id: FindingId, said: &Said) -> Result<bool, StoreError>;

    /// What was said of a finding, the last first, at most so much.
    fn said(&self, id: FindingId, limit: usize) -> Result<Vec<Said>, StoreError>;

    /// Whose the matching hops are, and through what they came, those who were there last first. `after` and `limit` are of principals:
    /// at most so many, none of whom was there after the hop that `after` names. A page may have fewer though there are more.
    fn touched(&self, query: &HopQuery) -> Result<Touched, StoreError>;

    /// Hops by caller, service, assurance and basis, in minutes that begin within the interval; in order, at most as many as asked
    /// for.
    fn edges(&self, query: &EdgeQuery) -> Result<Vec<EdgeRow>, StoreError>;

    /// Names of services of which there are hops, in order.
    fn services(&self) -> Result<Vec<String>, StoreError>;

    /// Operations that a service by that name has shown, in order. What was shown outlives the hops.
    fn operations(&self, service: &str) -> Result<Vec<String>, StoreError>;

    /// Coverage in steps of so many minutes, in order, at most `limit` of them; steps without hops are left out.
    fn coverage(
        &self,
        interval: Interval,
        service: Option<&str>,
        minutes: u64,
        limit: usize,
    ) -> Result<Vec<CoveragePoint>, StoreError>;

    /// The same for each service called, by its name.
    fn coverage_by_service(
        &self,
        interval: Interval,
        minutes: u64,
    ) -> Result<Vec<(String, CoveragePoint)>, StoreError>;

    /// How many findings are open, by severity, the gravest first, and service.
    fn open_findings(&self) -> Result<Vec<OpenRow>, StoreError>;

    /// From now on notes what becomes of findings for these, and for nobody else. Who is new here is told of what comes after.
    fn receivers(&self, names: &[&str]) -> Result<(), StoreError>;

    /// What became of findings since that receiver was [told](Self::told), at most so many changes; none where nothing is noted for
    /// it. Of somebody who is never told, no more than the last 100 000 are known.
    fn changes(&self, receiver: &str, limit: usize) -> Result<Changes, StoreError>;

    /// That receiver knows of all changes up to this one, in this process and the next.
    fn told(&self, receiver: &str, seq: u64) -> Result<(), StoreError>;

    /// Closes a segment if it is time, and removes what is kept no longer.
    fn tend(&self, now: u64) -> Result<Tended, StoreError>;

    /// Merges small segments into one, where there are enough of them. It takes seconds, and nobody has to wait for it: whatever
    /// else is asked and kept meanwhile. Ends with [`StoreError::Stopped`] soon after `is_over`.
    fn merge(&self, now: u64, is_over: &dyn Fn() -> bool) -> Result<Merged, StoreError>;

    /// How many segments there are.
    fn segments(&self) -> u64;

    /// How many hops are in no segment yet.
    fn unclosed(&self) -> u64;
}

/// Nanoseconds of a minute.
pub(crate) const MINUTE: u64 = 60_000_000_000;
/// Nanoseconds of a day.
pub(crate) const DAY: u64 = 24 * 60 * MINUTE;

#[cfg(test)]
mod tests {
    use hopseal_correlate::finding::Subject;
    use hopseal_correlate::sink::TraceId;

    use super::*;

    /// Guarantees: of batches that could not be kept and wait for each other, what was said last of a finding holds.
    #[test]
    fn what_was_said_last_holds() {
        let finding = Finding::new(Rule::AuditGap, Subject::Trace(TraceId([1; 16])), "");
        let raised = || Batch { raised: vec![finding.clone()], ..Batch::default() };
        let retracted = || Batch { retracted: [finding.id].into(), ..Batch::default() };
        let mut batch = Batch::default();
        for (other, stands) in
            [(raised(), true), (retracted(), false), (retracted(), false), (raised(), true)]
        {
            batch.append(other);
            let store = Model::default();
            store.commit(&batch).expect("kept");
            let kept = store.finding(finding.id).expect("asked").expect("there");
            assert_eq!(kept.state == State::Open, stands);
        }
    }
}

//! What readers look at: hops that are in no segment yet, in memory, and the segments.
//!
//! Readers take a snapshot and let go of the lock, so that a long look holds nobody up.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use hopseal_correlate::sink::TraceId;
use rusqlite::Connection;

use super::super::StoreError;
use super::super::block::{Block, Judged};
use super::super::query::{HopQuery, HopRecord, top};
use super::super::segment::{Segment, Segments};
use super::super::touched::{Latest, Step, Touched, of_block};
use super::revised::{self, Revised};
use super::{Version, listed, uint};
use crate::serve::ids::IdMap;

/// A block as it is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) seq: u64,
    pub(super) at: u64,
    pub(super) block: Arc<Block>,
    /// Where the hops of each trace begin.
    starts: Vec<u32>,
}

/// Where a trace is.
#[derive(Debug, Clone, Copy)]
struct Place {
    seq: u64,
    trace: u32,
    version: u32,
}

/// What is there of a judged trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing, or lower versions.
    New,
    /// The same, or a later version of it.
    Same,
    /// Perhaps some of its spans: the rest was gone when these came.
    Late,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// By number.
    blocks: Vec<Arc<Held>>,
    /// The last version of each trace in them.
    traces: IdMap<Place>,
    /// Spans that came when the rest of their trace was gone.
    stragglers: IdMap<Vec<Place>>,
    /// Traces of which older versions may be in files.
    revised: Arc<Revised>,
    /// Those with the latest hops first.
    segments: Arc<Segments>,
}

/// What a reader looks at.
#[derive(Debug)]
pub(super) struct Snapshot {
    blocks: Vec<Arc<Held>>,
    revised: Arc<Revised>,
    segments: Arc<Segments>,
}

impl Recent {
    /// What an earlier process left.
    pub(super) fn load(connection: &Connection, folder: &Path) -> Result<Self, StoreError> {
        // All of one moment: another process may be the one that writes.
        let connection = connection.unchecked_transaction()?;
        let mut recent = Self::default();
        recent.set_revised(revised::read(&connection)?);
        let mut statement = connection.prepare("SELECT seq, at, body FROM block ORDER BY seq")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let body: Vec<u8> = row.get(2)?;
            let block = Block::decode(&body).map_err(|_| StoreError::Broken("blocks of hops"))?;
            recent.add(uint(row.get(0)?), uint(row.get(1)?), Arc::new(block));
        }
        recent.set_segments(listed::read(&connection, folder)?);
        Ok(recent)
    }

    /// Adds a block that is durable.
    pub(super) fn add(&mut self, seq: u64, at: u64, block: Arc<Block>) {
        let mut starts = Vec::with_capacity(block.traces.len());
        let mut start = 0;
        for (judged, trace) in block.traces.iter().zip(0..) {
            starts.push(start);
            start += judged.hops;
            let place = Place { seq, trace, version: judged.version };
            if judged.version == 0 {
                self.stragglers.entry(judged.trace_id).or_default().push(place);
                continue;
            }
            let last = self.traces.entry(judged.trace_id).or_insert(place);
            if last.version < place.version {
                *last = place;
            }
            if judged.version > 1 {
                let last = Arc::make_mut(&mut self.revised).entry(judged.trace_id).or_default();
                *last = judged.version.max(*last);
            }
        }
        self.blocks.push(Arc::new(Held { seq, at, block, starts }));
    }

    /// What is there of a judged trace.
    pub(super) fn known(&self, judged: &Judged) -> Known {
        match judged.version {
            0 => Known::Late,
            version => match self.traces.get(&judged.trace_id) {
                Some(place) if place.version >= version => Known::Same,
                _ => Known::New,
            },
        }
    }

    /// Traces that were judged whole.
    pub(super) fn traces(&self) -> impl Iterator<Item = TraceId> {
        self.traces.keys().copied()
    }

    fn held(&self, place: Place) -> Option<&Arc<Held>> {
        let at = self.blocks.binary_search_by_key(&place.seq, |held| held.seq).ok()?;
        self.blocks.get(at)
    }

    pub(super) fn segments(&self) -> Arc<Segments> {
        Arc::clone(&self.segments)
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            blocks: self.blocks.clone(),
            revised: Arc::clone(&self.revised),
            segments: Arc::clone(&self.segments),
        }
    }

    /// The blocks that a segment is made of if it is time: those of one day, from the first on.
    pub(super) fn ripe(&self, hops: usize, before: u64, day_of: impl Fn(u64) -> u64) -> Vec<Arc<Held>> {
        let Some(first) = self.blocks.first() else { return Vec::new() };
        let of_day: Vec<_> =
            self.blocks.iter().take_while(|held| day_of(held.at) == day_of(first.at)).cloned().collect();
        let count: usize = of_day.iter().map(|held| held.block.hops.len()).sum();
        let is_over = of_day.len() < self.blocks.len();
        if count >= hops || first.at <= before || is_over { of_day } else { Vec::new() }
    }

    /// Hops that are in no segment yet.
    pub(super) fn unclosed(&self) -> u64 {
        self.blocks.iter().map(|held| held.block.hops.len() as u64).sum()
    }

    /// Replaces the blocks up to `seq` by the segment that they went into.
    pub(super) fn seal(&mut self, seq: u64, segment: Option<Segment>) {
        self.blocks.retain(|held| held.seq > seq);
        self.traces.retain(|_, place| place.seq > seq);
        self.stragglers.retain(|_, places| {
            places.retain(|place| place.seq > seq);
            !places.is_empty()
        });
        if let Some(segment) = segment {
            let mut segments = self.segments.to_vec();
            segments.push(Arc::new(segment));
            self.set_segments(segments);
        }
    }

    pub(super) fn set_segments(&mut self, mut segments: Segments) {
        segments.sort_by(|a, b| (b.last, &b.path).cmp(&(a.last, &a.path)));
        self.segments = Arc::new(segments);
    }

    /// Takes over what the catalog says of traces that were judged again.
    pub(super) fn set_revised(&mut self, revised: Revised) {
        self.revised = Arc::new(revised);
    }

    /// Those of these traces that were not judged again since.
    pub(super) fn still(&self, mut settled: Vec<(TraceId, u32)>) -> Vec<(TraceId, u32)> {
        settled.retain(|(trace_id, version)| self.revised.get(trace_id) == Some(version));
        settled
    }

    /// Strikes out traces of which one version alone is left.
    pub(super) fn strike(&mut self, settled: &[(TraceId, u32)]) {
        if !settled.is_empty() {
            let revised = Arc::make_mut(&mut self.revised);
            settled.iter().for_each(|(trace_id, _)| _ = revised.remove(trace_id));
        }
    }

    /// The last version of a trace, if it is in no segment: its block, and its hops among those.
    pub(super) fn last(&self, trace_id: TraceId) -> Option<(Arc<Block>, Range<usize>)> {
        let place = self.traces.get(&trace_id)?;
        let held = self.held(*place)?;
        Some((Arc::clone(&held.block), held.hops(place.trace)?))
    }

    /// The versions of a trace that are in no segment: the last one, and what came when it was gone.
    pub(super) fn versions_of(&self, trace_id: TraceId) -> impl Iterator<Item = (Arc<Held>, u32)> {
        let last = self.traces.get(&trace_id).into_iter();
        let places = last.chain(self.stragglers.get(&trace_id).into_iter().flatten());
        places.filter_map(|place| Some((Arc::clone(self.held(*place)?), place.trace)))
    }

    /// The same, each as a block of its own.
    pub(super) fn blocks_of(&self, trace_id: TraceId) -> impl Iterator<Item = Block> {
        self.versions_of(trace_id).filter_map(|(held, trace)| held.alone(trace))
    }
}

impl Held {
    fn alone(&self, trace: u32) -> Option<Block> {
        let (block, judged, hops) = self.version(trace)?;
        Some(block.alone(*judged, hops))
    }

    /// One of its traces, with its hops.
    pub(super) fn version(&self, trace: u32) -> Option<Version<'_>> {
        let judged = self.block.traces.get(trace as usize)?;
        Some((&self.block, judged, self.block.hops.get(self.hops(trace)?)?))
    }

    /// Where the hops of a trace are.
    fn hops(&self, trace: u32) -> Option<Range<usize>> {
        let start = *self.starts.get(trace as usize)? as usize;
        Some(start..start + self.block.traces.get(trace as usize)?.hops as usize)
    }
}

impl Snapshot {
    /// Without hops that are in no segment: they need not stay for who does not look at them.
    pub(super) fn of_segments(self) -> Self {
        Self { blocks: Vec::new(), ..self }
    }

    /// Whether a judged trace is the last version of it, or what came when the rest was gone.
    pub(super) fn is_current(&self, judged: &Judged) -> bool {
        self.counts(judged.trace_id, judged.version)
    }

    pub(super) fn segments(&self) -> &Segments {
        &self.segments
    }

    pub(super) fn revised(&self) -> &Revised {
        &self.revised
    }

    /// The versions of traces in segments: each is looked through once, for all of them.
    pub(super) fn in_segments(&self, traces: &HashSet<TraceId>) -> Result<Vec<Block>, StoreError> {
        if traces.is_empty() {
            return Ok(Vec::new());
        }
        self.segments.iter().map(|segment| segment.traces(traces)).collect()
    }

    /// The same, in those segments alone that have hops from these times.
    pub(super) fn in_segments_of(
        &self,
        traces: &HashSet<TraceId>,
        starts: &[u64],
    ) -> Result<Vec<Block>, StoreError> {
        let has = |segment: &&Arc<Segment>| {
            starts.iter().any(|start| (segment.first..=segment.last).contains(start))
        };
        self.segments.iter().filter(has).map(|segment| segment.traces(traces)).collect()
    }

    /// The same of a version by its number.
    fn counts(&self, trace_id: TraceId, version: u32) -> bool {
        version == 0 || self.revised.get(&trace_id).is_none_or(|last| *last == version)
    }

    /// Who touched what is asked for. See [`Store::touched`](super::super::Store::touched).
    pub(super) fn touched(&self, query: &HopQuery) -> Result<Touched, StoreError> {
        let mut latest = Latest::new(query.limit);
        self.each(query, &mut latest)?;
        let mut sums = latest.sums();
        let principals = sums.ids();
        if !principals.is_empty() {
            self.each(&HopQuery { principals, after: None, ..query.clone() }, &mut sums)?;
        }
        Ok(sums.finish(query.after))
    }

    /// Has a step take the hops that match.
    fn each(&self, query: &HopQuery, step: &mut dyn Step) -> Result<(), StoreError> {
        for held in self.blocks.iter().rev() {
            let found = of_block(query, &held.block, |judged| self.is_current(judged));
            step.take(&held.block.texts, &found);
        }
        // Those with the latest hops first: what is not newer than all that was found is not opened.
        let counts = |trace_id, version| self.counts(trace_id, version);
        self.segments.iter().try_for_each(|segment| segment.touch(query, counts, step))
    }

    /// Adds what matches to `found`.
    pub(super) fn look(&self, query: &HopQuery, found: &mut Vec<HopRecord>) -> Result<(), StoreError> {
        for held in self.blocks.iter().rev() {
            query.look(&held.block, |judged| self.is_current(judged), found);
        }
        for segment in self.segments.iter() {
            top(found, query.limit);
            // What is in the segments left began earlier than all that was found.
            let is_enough =
                found.len() == query.limit && found.last().is_some_and(|hop| hop.start > segment.last);
            if is_enough {
                return Ok(());
            }
            segment.look(query, |judged| self.is_current(judged), found)?;
        }
        Ok(())
    }
}

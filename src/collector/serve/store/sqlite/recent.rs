//! Hops that are in no segment yet, in memory, and the segments: what readers look at.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use hopseal_correlate::sink::TraceId;
use rusqlite::Connection;

use super::super::StoreError;
use super::super::block::{Block, Judged};
use super::super::query::{HopQuery, HopRecord};
use super::uint;

/// A block as it is held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) seq: u64,
    pub(super) at: u64,
    pub(super) block: Block,
    /// Where the hops of each trace begin.
    starts: Vec<u32>,
}

/// Where a trace is. Ids are the senders' choice, so they are hashed with a secret.
#[derive(Debug, Clone, Copy)]
struct Place {
    seq: u64,
    trace: u32,
    version: u32,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// By number.
    blocks: Vec<Arc<Held>>,
    /// The last version of each trace.
    traces: HashMap<TraceId, Place>,
    /// Spans that came when the rest of their trace was gone.
    stragglers: HashMap<TraceId, Vec<Place>>,
    /// The last version of each trace that was ever changed.
    revised: HashMap<TraceId, u32>,
}

impl Recent {
    /// What an earlier process left.
    pub(super) fn load(connection: &Connection, _folder: &Path) -> Result<Self, StoreError> {
        let mut recent = Self::default();
        let mut statement = connection.prepare("SELECT trace, version FROM revised")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            recent.revised.insert(TraceId(row.get(0)?), row.get(1)?);
        }
        let mut statement = connection.prepare("SELECT seq, at, body FROM block ORDER BY seq")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let body: Vec<u8> = row.get(2)?;
            let broken = StoreError::Broken("blocks of hops");
            let Ok(body) = lz4_flex::decompress_size_prepended(&body) else { return Err(broken) };
            let Ok(block) = Block::decode(&body) else { return Err(broken) };
            recent.add(uint(row.get(0)?), uint(row.get(1)?), block);
        }
        Ok(recent)
    }

    /// Adds a block that is durable.
    pub(super) fn add(&mut self, seq: u64, at: u64, block: Block) {
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
                let last = self.revised.entry(judged.trace_id).or_default();
                *last = judged.version.max(*last);
            }
        }
        self.blocks.push(Arc::new(Held { seq, at, block, starts }));
    }

    /// Whether a trace is there in that version or a later one.
    pub(super) fn has(&self, judged: &Judged) -> bool {
        judged.version > 0
            && self.traces.get(&judged.trace_id).is_some_and(|place| place.version >= judged.version)
    }

    fn is_current(&self, judged: &Judged) -> bool {
        judged.version == 0
            || self.revised.get(&judged.trace_id).is_none_or(|version| *version == judged.version)
    }

    /// One trace alone.
    fn alone(&self, place: Place) -> Option<Block> {
        let at = self.blocks.binary_search_by_key(&place.seq, |held| held.seq).ok()?;
        let held = self.blocks.get(at)?;
        let judged = *held.block.traces.get(place.trace as usize)?;
        let start = *held.starts.get(place.trace as usize)? as usize;
        let hops = held.block.hops.get(start..start + judged.hops as usize)?;
        Some(Block { texts: held.block.texts.clone(), traces: vec![judged], hops: hops.to_vec() })
    }

    /// The last version of a trace, alone.
    pub(super) fn block_of(&self, trace_id: TraceId) -> Result<Option<Block>, StoreError> {
        Ok(self.traces.get(&trace_id).and_then(|place| self.alone(*place)))
    }

    /// The last version of a trace, and what came when that was gone.
    pub(super) fn blocks_of(&self, trace_id: TraceId) -> Result<Vec<Block>, StoreError> {
        let mut blocks: Vec<Block> = self.block_of(trace_id)?.into_iter().collect();
        let stragglers = self.stragglers.get(&trace_id).into_iter().flatten();
        blocks.extend(stragglers.filter_map(|place| self.alone(*place)));
        Ok(blocks)
    }

    /// Adds what matches to `found`.
    pub(super) fn look(&self, query: &HopQuery, found: &mut Vec<HopRecord>) -> Result<(), StoreError> {
        for held in self.blocks.iter().rev() {
            query.look(&held.block, |judged| self.is_current(judged), found);
        }
        Ok(())
    }
}

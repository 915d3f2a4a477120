//! Closed segments: hops in Parquet, sorted by subject and time, readable by anything that reads Parquet.
//!
//! A segment is written once and never changed. It is sorted by `(subject, start, trace_id, place)`, so that what one
//! principal did is one run of rows; hops without a principal are under the subject of zeros. An index in its file says where the
//! rows of a trace and of a principal are. Small ones are merged into one: read side by side, and written in the same order.

mod arrays;
mod columns;
mod file;
#[cfg(test)]
mod foreign;
mod index;
mod merge;
mod read;
mod touched;
mod write;

use std::collections::HashMap;

use hopseal_correlate::sink::TraceId;
use sha2::Digest as _;

pub(super) use index::Index;
pub(super) use merge::merge;
pub(super) use read::{Segment, Segments};
pub(super) use write::{Written, write};

use super::block::{Block, Hop, Judged, Text};

/// Whether row groups and pages are small, so that tests have many; not in those that measure, which are built as a release.
const SMALL: bool = cfg!(all(test, debug_assertions));
/// Rows of one row group.
const GROUP: usize = if SMALL { 1 << 5 } else { 1 << 16 };
/// Rows of a page of a column: what is decompressed for the sake of one row.
const PAGE: usize = if SMALL { 1 << 3 } else { 1 << 13 };

/// What rows of one principal are sorted under: the same for the same id, and zeros for none.
fn subject(principal: &str) -> [u8; 16] {
    if principal.is_empty() {
        return [0; 16];
    }
    let digest: [u8; 32] = sha2::Sha256::digest(principal).into();
    digest.first_chunk().copied().unwrap_or_default()
}

/// A hop with what it needs of its trace.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) judged: Judged,
    pub(super) place: u32,
    pub(super) hop: Hop,
}

/// A hop that goes into a segment, by where it is: many are sorted.
#[derive(Debug, Clone, Copy)]
struct Line {
    start: u64,
    /// The place of its subject among all of them, which are in order.
    subject: u32,
    /// Which block it is of.
    block: u32,
    /// Its trace and itself there.
    trace: u32,
    hop: u32,
    /// Its place in its trace.
    place: u32,
}

/// The hops of some blocks, in the order of a segment.
#[derive(Debug)]
pub(super) struct Rows<'b> {
    blocks: Vec<&'b Block>,
    subjects: Vec<[u8; 16]>,
    lines: Vec<Line>,
}

/// What a line stands for.
#[derive(Debug, Clone, Copy)]
struct Full<'b> {
    subject: &'b [u8; 16],
    block: u32,
    place: u32,
    judged: &'b Judged,
    hop: &'b Hop,
}

impl<'b> Rows<'b> {
    /// The hops of the traces that are wanted.
    pub(super) fn of(
        blocks: impl IntoIterator<Item = &'b Block>,
        mut wanted: impl FnMut(&Judged) -> bool,
    ) -> Self {
        let blocks: Vec<&Block> = blocks.into_iter().collect();
        let mut lines = Vec::with_capacity(blocks.iter().map(|block| block.hops.len()).sum());
        // The first is that of nobody.
        let (mut subjects, mut numbers) = (vec![[0; 16]], HashMap::from([([0; 16], 0)]));
        for (block, number) in blocks.iter().zip(0..) {
            let mut known: Vec<Option<u32>> = vec![None; block.texts.len()];
            let mut number_of = |text: Text| {
                let subject = || {
                    let subject = subject(block.texts.get(text));
                    *numbers.entry(subject).or_insert_with(|| {
                        subjects.push(subject);
                        subjects.len() as u32 - 1
                    })
                };
                known.get_mut(text.0 as usize).map_or(0, |known| *known.get_or_insert_with(subject))
            };
            let mut first = 0;
            for (judged, trace) in block.traces.iter().zip(0..) {
                let end = first + judged.hops;
                if wanted(judged) {
                    let own = block.hops.get(first as usize..end as usize).unwrap_or(&[]);
                    lines.extend(own.iter().zip(first..).map(|(hop, at)| Line {
                        start: hop.start,
                        subject: number_of(hop.texts.principal),
                        block: number,
                        trace,
                        hop: at,
                        place: at - first,
                    }));
                }
                first = end;
            }
        }
        let mut order: Vec<u32> = (0..subjects.len() as u32).collect();
        order.sort_unstable_by_key(|number| subjects.get(*number as usize));
        let mut places = vec![0; order.len()];
        for (number, place) in order.iter().zip(0..) {
            if let Some(slot) = places.get_mut(*number as usize) {
                *slot = place;
            }
        }
        for line in &mut lines {
            line.subject = places.get(line.subject as usize).copied().unwrap_or_default();
        }
        subjects.sort_unstable();
        let mut rows = Self { blocks, subjects, lines: Vec::new() };
        lines.sort_unstable_by(|one, other| {
            // The rest is seldom needed, and stands elsewhere.
            let rest =
                |line: &Line| (rows.full(line).map(|full| full.judged.trace_id), line.place, line.block);
            let first = (one.subject, one.start).cmp(&(other.subject, other.start));
            first.then_with(|| rest(one).cmp(&rest(other)))
        });
        rows.lines = lines;
        rows
    }

    /// What a line of these stands for.
    fn full(&self, line: &Line) -> Option<Full<'_>> {
        let block = self.blocks.get(line.block as usize)?;
        Some(Full {
            subject: self.subjects.get(line.subject as usize)?,
            block: line.block,
            place: line.place,
            judged: block.traces.get(line.trace as usize)?,
            hop: block.hops.get(line.hop as usize)?,
        })
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// Rows of single traces as a block: each trace whole, its hops in their places.
fn traces(rows: &mut [Row], texts: super::block::Texts) -> Block {
    rows.sort_by_key(|row| (row.judged.trace_id, row.judged.version, row.place));
    let key = |row: &Row| -> (TraceId, u32) { (row.judged.trace_id, row.judged.version) };
    let mut block = Block { texts, ..Block::default() };
    for trace in rows.chunk_by(|a, b| key(a) == key(b)) {
        let Some(first) = trace.first() else { continue };
        block.traces.push(Judged { hops: u32::try_from(trace.len()).unwrap_or(u32::MAX), ..first.judged });
        block.hops.extend(trace.iter().map(|row| row.hop));
    }
    block
}

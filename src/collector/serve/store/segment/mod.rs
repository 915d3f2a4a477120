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
mod write;

use hopseal_correlate::sink::TraceId;
use sha2::Digest as _;

pub(super) use index::Index;
pub(super) use merge::merge;
pub(super) use read::{Segment, Segments};
pub(super) use write::{Written, write};

use super::block::{Block, Hop, Judged, Text};

/// Rows of one row group; fewer in tests, so that they have many.
const GROUP: usize = if cfg!(test) { 1 << 5 } else { 1 << 16 };
/// Rows of a page of a column: what is decompressed for the sake of one row.
const PAGE: usize = if cfg!(test) { 1 << 3 } else { 1 << 13 };

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

/// A hop that goes into a segment.
#[derive(Debug, Clone, Copy)]
struct Line<'b> {
    /// As a number: quicker to compare, in the same order.
    subject: u128,
    start: u64,
    /// Which block it is of.
    block: u32,
    place: u32,
    judged: &'b Judged,
    hop: &'b Hop,
}

/// The hops of some blocks, in the order of a segment.
#[derive(Debug)]
pub(super) struct Rows<'b> {
    blocks: Vec<&'b Block>,
    lines: Vec<Line<'b>>,
}

impl<'b> Rows<'b> {
    /// The hops of the traces that are wanted.
    pub(super) fn of(blocks: impl IntoIterator<Item = &'b Block>, wanted: impl Fn(&Judged) -> bool) -> Self {
        let blocks: Vec<&Block> = blocks.into_iter().collect();
        let mut lines = Vec::with_capacity(blocks.iter().map(|block| block.hops.len()).sum());
        for (block, number) in blocks.iter().zip(0..) {
            let mut subjects: Vec<Option<[u8; 16]>> = vec![None; block.texts.len()];
            let mut subject_of = |text: Text| match subjects.get_mut(text.0 as usize) {
                Some(known) => *known.get_or_insert_with(|| subject(block.texts.get(text))),
                None => [0; 16],
            };
            for (judged, hops) in block.each().filter(|(judged, _)| wanted(judged)) {
                for (hop, place) in hops.iter().zip(0..) {
                    let subject = subject_of(hop.texts.principal);
                    lines.push(Line {
                        subject: u128::from_be_bytes(subject),
                        start: hop.start,
                        block: number,
                        place,
                        judged,
                        hop,
                    });
                }
            }
        }
        lines.sort_unstable_by(|one, other| {
            // The rest is seldom needed, and stands elsewhere.
            let rest = |line: &Line<'_>| (line.judged.trace_id, line.place, line.block);
            let first = (one.subject, one.start).cmp(&(other.subject, other.start));
            first.then_with(|| rest(one).cmp(&rest(other)))
        });
        Self { blocks, lines }
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

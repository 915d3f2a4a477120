//! Records between reading and judging: in memory up to a budget, past it sorted and spilled to disk.
//!
//! A record begins with its trace id and span id, so its first 24 bytes are its sort key. Runs on disk are records
//! one after the other in key order; visiting merges them with what is still in memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};

use hopseal_correlate::record;
use hopseal_correlate::sink::TraceId;

/// Bytes of one arena chunk. A larger record gets a chunk of its own.
const CHUNK: usize = 4 << 20;
/// Runs on disk before they are merged into one: bounds open files and read buffers.
const MAX_RUNS: usize = 64;
/// Read buffer of one run.
const BUFFER: usize = 128 << 10;
/// Spans judged of one trace; the ones with the highest ids beyond it are left out and counted.
pub const MAX_SPANS: usize = 2_000_000;
/// Bytes of the records judged of one trace; in the same way.
pub const MAX_TRACE_BYTES: usize = 1 << 30;

/// First 24 bytes of a record: trace id, span id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key([u64; 3]);

impl Key {
    fn of(record: &[u8]) -> Self {
        let (words, _) = record.as_chunks::<8>();
        let mut key = [0; 3];
        key.iter_mut().zip(words).for_each(|(to, word)| *to = u64::from_be_bytes(*word));
        Self(key)
    }

    fn trace(self) -> TraceId {
        let Self([high, low, _]) = self;
        TraceId((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    }
}

/// Where a record is in memory. There are as many as spans, so only the first part of the key is at hand: it tells most
/// traces apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    high: u64,
    chunk: u32,
    offset: u32,
}

/// The records of a chunk, from the one at `place` on.
fn from<'c>(chunks: &'c [Vec<u8>], place: &Place) -> &'c [u8] {
    let chunk = chunks.get(place.chunk as usize).map_or(&[][..], Vec::as_slice);
    chunk.get(place.offset as usize..).unwrap_or(&[])
}

/// The records of a whole input.
#[derive(Debug)]
pub struct Store {
    budget: usize,
    chunks: Vec<Vec<u8>>,
    /// Chunks that were spilled, to be filled again: pages that the system has to clear anew cost more than their filling.
    spare: Vec<Vec<u8>>,
    held: usize,
    places: Vec<Place>,
    runs: Vec<File>,
    records: u64,
    /// Spans left out of traces over [`MAX_SPANS`].
    left_out: u64,
}

impl Store {
    /// A store that holds about `budget` bytes in memory.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        Self {
            budget: budget.max(CHUNK),
            chunks: Vec::new(),
            spare: Vec::new(),
            held: 0,
            places: Vec::new(),
            runs: Vec::new(),
            records: 0,
            left_out: 0,
        }
    }

    /// Records added.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Spans left out of traces over [`MAX_SPANS`], as of the last visit.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When the budget is reached and the run cannot be written.
    pub fn add(&mut self, record: &[u8]) -> io::Result<()> {
        if self.held + record.len() + self.places.len() * size_of::<Place>() > self.budget {
            self.spill()?;
        }
        let fits = |chunk: &Vec<u8>| chunk.len() + record.len() <= chunk.capacity();
        if !self.chunks.last().is_some_and(fits) {
            let spare = if record.len() <= CHUNK { self.spare.pop() } else { None };
            self.chunks.push(spare.unwrap_or_else(|| Vec::with_capacity(CHUNK.max(record.len()))));
        }
        let index = self.chunks.len() - 1;
        if let Some(chunk) = self.chunks.last_mut() {
            let Key([high, ..]) = Key::of(record);
            self.places.push(Place {
                high,
                chunk: u32::try_from(index).map_err(io::Error::other)?,
                offset: u32::try_from(chunk.len()).map_err(io::Error::other)?,
            });
            chunk.extend_from_slice(record);
            self.held += record.len();
            self.records += 1;
        }
        Ok(())
    }

    fn at(&self, place: &Place) -> &[u8] {
        let rest = from(&self.chunks, place);
        let len = record::peek(rest).map_or(0, |(_, len)| len);
        rest.get(..len).unwrap_or(&[])
    }

    /// Sorts the places by the whole keys of their records.
    fn sort(&mut self) {
        let Self { places, chunks, .. } = self;
        places.sort_unstable_by_key(|place| place.high);
        let mut keyed: Vec<(Key, Place)> = Vec::new();
        for group in places.chunk_by_mut(|a, b| a.high == b.high) {
            keyed.clear();
            keyed.extend(group.iter().map(|place| (Key::of(from(chunks, place)), *place)));
            keyed.sort_unstable();
            group.iter_mut().zip(&keyed).for_each(|(to, (_, place))| *to = *place);
        }
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.places.is_empty() {
            return Ok(());
        }
        if self.runs.len() >= MAX_RUNS {
            self.merge_runs()?;
        }
        self.sort();
        let mut out = BufWriter::with_capacity(1 << 20, tempfile::tempfile()?);
        for place in &self.places {
            out.write_all(self.at(place))?;
        }
        self.runs.push(out.into_inner().map_err(io::IntoInnerError::into_error)?);
        self.places.clear();
        self.chunks.iter_mut().for_each(Vec::clear);
        self.chunks.retain(|chunk| chunk.capacity() == CHUNK);
        self.spare.append(&mut self.chunks);
        self.held = 0;
        Ok(())
    }

    fn merge_runs(&mut self) -> io::Result<()> {
        let mut heads = self.open_runs()?;
        let mut out = BufWriter::with_capacity(1 << 20, tempfile::tempfile()?);
        while let Some(head) =
            heads.iter_mut().filter(|head| head.key().is_some()).min_by_key(|head| head.key())
        {
            out.write_all(&head.record)?;
            head.advance()?;
        }
        drop(heads);
        self.runs = vec![out.into_inner().map_err(io::IntoInnerError::into_error)?];
        Ok(())
    }

    fn open_runs(&mut self) -> io::Result<Vec<Head<'_>>> {
        self.runs.iter_mut().map(Head::open).collect()
    }

    /// Calls `visit` with every trace, by id, and its records in the order of their span ids.
    ///
    /// # Errors
    /// When a run cannot be read back, or `visit` fails.
    pub fn visit<E: From<io::Error>>(
        &mut self,
        mut visit: impl FnMut(TraceId, &[&[u8]]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.sort();
        self.left_out = 0;
        if !self.runs.is_empty() {
            // One sorted source is simpler than two, and the tail is at most one budget.
            self.spill()?;
            self.spare = Vec::new();
            return self.visit_runs(visit);
        }
        let mut records: Vec<&[u8]> = Vec::new();
        let mut left_out = 0;
        let trace_of = |place: &Place| Key::of(from(&self.chunks, place)).trace();
        for group in self.places.chunk_by(|a, b| a.high == b.high && trace_of(a) == trace_of(b)) {
            let Some(first) = group.first() else { continue };
            records.clear();
            let mut room = MAX_TRACE_BYTES;
            records.extend(group.iter().take(MAX_SPANS).map(|place| self.at(place)).take_while(|record| {
                room = room.saturating_sub(record.len());
                room > 0
            }));
            left_out += group.len().saturating_sub(records.len()) as u64;
            visit(trace_of(first), &records)?;
        }
        self.left_out = left_out;
        Ok(())
    }

    fn visit_runs<E: From<io::Error>>(
        &mut self,
        mut visit: impl FnMut(TraceId, &[&[u8]]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut left_out = 0;
        let mut heads = self.open_runs()?;
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        while let Some(next) = heads.iter().filter_map(|head| head.key()).min() {
            bytes.clear();
            ends.clear();
            let mut room = MAX_TRACE_BYTES;
            // Runs are merged by whole key, so that which spans are left out does not depend on the input's order.
            while let Some(head) = heads
                .iter_mut()
                .filter(|head| head.key().is_some_and(|key| key.trace() == next.trace()))
                .min_by_key(|head| head.key())
            {
                room = room.saturating_sub(head.record.len());
                if ends.len() < MAX_SPANS && room > 0 {
                    bytes.extend_from_slice(&head.record);
                    ends.push(bytes.len());
                } else {
                    left_out += 1;
                }
                head.advance()?;
            }
            let mut start = 0;
            let records: Vec<&[u8]> = ends
                .iter()
                .map(|end| bytes.get(std::mem::replace(&mut start, *end)..*end).unwrap_or(&[]))
                .collect();
            visit(next.trace(), &records)?;
        }
        drop(heads);
        self.left_out = left_out;
        Ok(())
    }
}

/// The next record of a run.
struct Head<'f> {
    from: BufReader<&'f mut File>,
    record: Vec<u8>,
}

impl<'f> Head<'f> {
    fn open(file: &'f mut File) -> io::Result<Self> {
        file.rewind()?;
        let mut head = Self { from: BufReader::with_capacity(BUFFER, file), record: Vec::new() };
        head.advance()?;
        Ok(head)
    }

    /// `None` at the end of the run.
    fn key(&self) -> Option<Key> {
        (!self.record.is_empty()).then(|| Key::of(&self.record))
    }

    fn advance(&mut self) -> io::Result<()> {
        self.record.clear();
        // Nearly all are in the buffer as a whole.
        let at_hand = self.from.fill_buf()?;
        if let Some(fixed) = at_hand.first_chunk::<{ record::FIXED }>()
            && let len = record::length(fixed).max(record::FIXED)
            && let Some(record) = at_hand.get(..len)
        {
            self.record.extend_from_slice(record);
            self.from.consume(len);
            return Ok(());
        }
        let mut fixed = [0; record::FIXED];
        let mut filled = 0;
        while let Some(rest) = fixed.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.from.read(rest)? {
                0 if filled == 0 => return Ok(()),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        let len = record::length(&fixed);
        self.record.extend_from_slice(&fixed);
        self.record.resize(len.max(record::FIXED), 0);
        if let Some(rest) = self.record.get_mut(record::FIXED..) {
            self.from.read_exact(rest)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of a span, with as many bytes behind its fixed part.
    fn record(trace: u64, span: u64, more: usize) -> Vec<u8> {
        let mut record = vec![0; record::FIXED + more];
        record[..8].copy_from_slice(&trace.to_be_bytes());
        record[16..24].copy_from_slice(&span.to_be_bytes());
        let length = u32::try_from(record.len()).unwrap();
        record[record::FIXED - 5..record::FIXED - 1].copy_from_slice(&length.to_le_bytes());
        record
    }

    /// Guarantees: what is visited, and in which order, does not depend on what was spilled; records of any length come
    /// back whole, those too that are longer than a chunk or a read buffer.
    #[test]
    fn spilled_or_not() {
        let mut records: Vec<Vec<u8>> = (0..12_000_u64)
            .map(|n| {
                let scattered = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let more = if n % 3_000 == 7 { CHUNK + BUFFER } else { (scattered >> 53) as usize };
                record(scattered % 999, n, more)
            })
            .collect();
        let visited = |budget: usize| {
            let mut store = Store::new(budget);
            records.iter().for_each(|record| store.add(record).unwrap());
            let runs = store.runs.len();
            let mut seen = Vec::new();
            let twice: Vec<Vec<Vec<u8>>> = (0..2)
                .map(|_| {
                    let visit = store.visit::<io::Error>(|id, records| {
                        assert!(records.iter().all(|record| Key::of(record).trace() == id));
                        seen.extend(records.iter().map(|record| record.to_vec()));
                        Ok(())
                    });
                    visit.unwrap();
                    std::mem::take(&mut seen)
                })
                .collect();
            assert!(twice.iter().all(|seen| *seen == twice[0]), "{budget}");
            (runs, twice.into_iter().next().unwrap())
        };
        let (runs, in_memory) = visited(usize::MAX);
        assert_eq!(runs, 0);
        let (runs, spilled) = visited(CHUNK);
        assert!(runs > 3, "{runs}");
        records.sort_by_key(|record| Key::of(record));
        assert!(in_memory == records, "in memory");
        assert!(spilled == records, "spilled");
    }
}

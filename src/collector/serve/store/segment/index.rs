//! Where in a segment the rows of a trace and of a principal are, so that nothing else of it has to be read.
//!
//! ```text
//! traces:   { key u32, row u24, rows u8 } by key and row: a run of rows of one trace
//! subjects: { key u32, row u32 } by row: where the rows of the next subjects begin
//! ```
//! Both stand in the segment's file, behind its rows: who reads Parquet does not see them. Integers are little-endian. A key is
//! the front of a digest, so keys are spread evenly, whatever ids senders choose; that two ids have the same is possible, and what
//! is found has to be looked at.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use hopseal_correlate::sink::TraceId;
use sha2::Digest as _;

/// Bytes of an entry.
const ENTRY: usize = 8;
/// Entries read at once.
const WINDOW: u32 = 512;
/// Entries read at once where all are.
const SWEEP: u32 = 1 << 13;
/// Rows of a segment that has an index.
const ROWS: u32 = 1 << 24;

/// The place of the index in its file, and how large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Index {
    /// Where it begins.
    pub(in super::super) at: u64,
    /// Entries for traces, and then for subjects.
    pub(in super::super) traces: u32,
    pub(in super::super) subjects: u32,
}

fn trace_key(trace_id: TraceId) -> u32 {
    let digest: [u8; 32] = sha2::Sha256::digest(trace_id.0).into();
    digest.first_chunk().copied().map_or(0, u32::from_be_bytes)
}

/// A subject is a digest already.
fn subject_key(subject: &[u8; 16]) -> u32 {
    subject.first_chunk().copied().map_or(0, u32::from_be_bytes)
}

/// Gathers it from the rows in their order.
#[derive(Debug, Default)]
pub(super) struct Builder {
    rows: u32,
    /// The run that goes on: whose, where it begins, and how long it is.
    run: Option<(TraceId, u32, u32)>,
    traces: Vec<(u32, u32)>,
    subject: Option<[u8; 16]>,
    subjects: Vec<(u32, u32)>,
}

impl Builder {
    /// The next row.
    pub(super) fn add(&mut self, subject: &[u8; 16], trace_id: TraceId) {
        let row = self.rows;
        self.rows = self.rows.saturating_add(1);
        if row >= ROWS {
            return;
        }
        match &mut self.run {
            Some((last, _, rows)) if *last == trace_id && *rows < 255 => *rows += 1,
            _ => {
                self.end();
                self.run = Some((trace_id, row, 1));
            }
        }
        if self.subject.as_ref() != Some(subject) {
            self.subject = Some(*subject);
            self.subjects.push((subject_key(subject), row));
        }
    }

    fn end(&mut self) {
        if let Some((trace_id, first, rows)) = self.run.take() {
            self.traces.push((trace_key(trace_id), first << 8 | rows));
        }
    }

    /// The bytes of it, and what they are, once they are written at `at`; `None` where there are too many rows.
    pub(super) fn finish(mut self, at: u64) -> Option<(Vec<u8>, Index)> {
        if self.rows > ROWS {
            return None;
        }
        self.end();
        self.traces.sort_unstable();
        let mut bytes = Vec::with_capacity((self.traces.len() + self.subjects.len()) * ENTRY);
        for (key, value) in self.traces.iter().chain(&self.subjects) {
            bytes.extend_from_slice(&key.to_le_bytes());
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        let count = |entries: &[_]| u32::try_from(entries.len()).ok();
        Some((bytes, Index { at, traces: count(&self.traces)?, subjects: count(&self.subjects)? }))
    }
}

/// One of the two, in its file.
struct Table<'f> {
    file: &'f File,
    at: u64,
    count: u32,
}

impl Table<'_> {
    fn read(&self, entries: Range<u32>) -> io::Result<Vec<(u32, u32)>> {
        let mut bytes = vec![0; entries.len() * ENTRY];
        self.file.read_exact_at(&mut bytes, self.at + u64::from(entries.start) * ENTRY as u64)?;
        let (all, _) = bytes.as_chunks::<ENTRY>();
        Ok(all
            .iter()
            .map(|[a, b, c, d, e, f, g, h]| {
                (u32::from_le_bytes([*a, *b, *c, *d]), u32::from_le_bytes([*e, *f, *g, *h]))
            })
            .collect())
    }

    /// Calls `found` with the entries of that key, and then with the one behind them, if there is one, until it has enough.
    fn find(&self, key: u32, mut found: impl FnMut(u32, u32) -> bool) -> io::Result<()> {
        let (mut low, mut high) = (0, self.count);
        // Keys are spread evenly: this is mostly where it is.
        let mut guess = (u64::from(key) * u64::from(self.count)) >> 32;
        let mut entries = Vec::new();
        let mut start = 0;
        while low < high {
            start = u32::try_from(guess).unwrap_or(0).saturating_sub(WINDOW / 2).clamp(low, high - 1);
            let end = start.saturating_add(WINDOW).min(high);
            entries = self.read(start..end)?;
            let is_before = entries.last().is_some_and(|(last, _)| *last < key);
            let is_behind = entries.first().is_some_and(|(first, _)| *first >= key);
            if is_behind && start > low {
                high = start;
            } else if is_before && end < high {
                low = end;
            } else {
                let within = entries.partition_point(|(other, _)| *other < key);
                low = start + u32::try_from(within).unwrap_or(0);
                break;
            }
            guess = u64::from(low) + u64::from(high - low) / 2;
        }
        let mut at = low;
        loop {
            let within = at.checked_sub(start).and_then(|at| entries.get(at as usize));
            let entry = match within {
                Some(entry) => *entry,
                None if at >= self.count => return Ok(()),
                None => {
                    start = at;
                    entries = self.read(at..at.saturating_add(WINDOW).min(self.count))?;
                    continue;
                }
            };
            if !found(entry.0, entry.1) {
                return Ok(());
            }
            at += 1;
        }
    }
}

impl Index {
    fn traces<'f>(&self, file: &'f File) -> Table<'f> {
        Table { file, at: self.at, count: self.traces }
    }

    fn subjects<'f>(&self, file: &'f File) -> Table<'f> {
        Table { file, at: self.at + u64::from(self.traces) * ENTRY as u64, count: self.subjects }
    }

    /// Rows that may be of these traces, in order and apart.
    pub(super) fn rows_of_traces(
        &self,
        file: &File,
        wanted: &mut dyn ExactSizeIterator<Item = TraceId>,
    ) -> io::Result<Vec<Range<usize>>> {
        let table = self.traces(file);
        let mut rows = Vec::new();
        let mut run = |value: u32| {
            let first = (value >> 8) as usize;
            rows.push(first..first + (value & 0xff) as usize);
        };
        // To read all of it takes no longer than to find so many.
        if wanted.len() > (table.count / SWEEP) as usize * 8 + 8 {
            let mut keys: Vec<u32> = wanted.map(trace_key).collect();
            keys.sort_unstable();
            let mut from = 0;
            while from < table.count {
                let to = from.saturating_add(SWEEP).min(table.count);
                let entries = table.read(from..to)?;
                entries
                    .iter()
                    .filter(|(key, _)| keys.binary_search(key).is_ok())
                    .for_each(|(_, value)| run(*value));
                from = to;
            }
        } else {
            for key in wanted.map(trace_key) {
                table.find(key, |other, value| {
                    if other == key {
                        run(value);
                    }
                    other == key
                })?;
            }
        }
        Ok(apart(rows))
    }

    /// Rows that may be of these subjects, in order and apart. `rows`: how many the segment has.
    pub(super) fn rows_of_subjects(
        &self,
        file: &File,
        wanted: &[[u8; 16]],
        rows: usize,
    ) -> io::Result<Vec<Range<usize>>> {
        let table = self.subjects(file);
        let mut found = Vec::new();
        for key in wanted.iter().map(subject_key) {
            let (mut first, mut end) = (None, rows);
            table.find(key, |other, row| {
                if other == key {
                    first = first.or(Some(row as usize));
                } else {
                    end = row as usize;
                }
                other == key
            })?;
            found.extend(first.map(|first| first..end));
        }
        Ok(apart(found))
    }
}

/// The same rows in order, none twice.
fn apart(mut runs: Vec<Range<usize>>) -> Vec<Range<usize>> {
    runs.sort_unstable_by_key(|run| (run.start, run.end));
    let mut all: Vec<Range<usize>> = Vec::with_capacity(runs.len());
    for run in runs {
        match all.last_mut() {
            Some(last) if run.start <= last.end => last.end = last.end.max(run.end),
            _ => all.push(run),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// Rows as they stand in a segment: by subject.
    fn rows() -> impl Strategy<Value = Vec<([u8; 16], TraceId)>> {
        let row = (0_u8..6, 0_u128..40);
        let many = prop_oneof![0_usize..30, 700_usize..3000];
        many.prop_flat_map(move |count| prop::collection::vec(row.clone(), count)).prop_map(|rows| {
            let mut rows: Vec<_> = rows
                .into_iter()
                // Of two of them the front is the same.
                .map(|(subject, trace)| {
                    let mut id = [0; 16];
                    id[0] = subject / 2 * 80;
                    id[15] = subject;
                    (id, TraceId(trace.to_be_bytes()))
                })
                .collect();
            rows.sort_by_key(|(subject, _)| *subject);
            rows
        })
    }

    fn index(rows: &[([u8; 16], TraceId)]) -> (File, Index) {
        let mut builder = Builder::default();
        rows.iter().for_each(|(subject, trace_id)| builder.add(subject, *trace_id));
        let (bytes, index) = builder.finish(3).expect("few rows");
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"abc").and_then(|()| file.write_all(&bytes)).expect("written");
        (file, index)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_row_is_found(rows in rows(), count in 1_usize..60) {
            let (file, index) = index(&rows);
            let wanted: Vec<TraceId> = (0..count as u128).map(|number| TraceId((number + 20).to_be_bytes())).collect();
            let found = index.rows_of_traces(&file, &mut wanted.iter().copied()).expect("read");
            let places: Vec<usize> = found.into_iter().flatten().collect();
            let meant: Vec<usize> = (0..rows.len()).filter(|at| wanted.contains(&rows[*at].1)).collect();
            prop_assert_eq!(places, meant);
            for subject in [0, 80, 160, 250_u8] {
                let mut id = [0; 16];
                id[0] = subject;
                let found = index.rows_of_subjects(&file, &[id], rows.len()).expect("read");
                let places: Vec<usize> = found.into_iter().flatten().collect();
                let meant: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].0[0] == subject).collect();
                prop_assert_eq!(places, meant);
            }
        }
    }

    /// Keys are as they come, so that what is searched for lies anywhere, and many have the same.
    #[test]
    fn keys_that_are_not_spread_are_found() {
        let entries: Vec<(u32, u32)> = (0..5000).map(|number| (number / 900 * 3, number)).collect();
        let mut file = tempfile::tempfile().expect("a file");
        for (key, value) in &entries {
            file.write_all(&[key.to_le_bytes(), value.to_le_bytes()].concat()).expect("written");
        }
        let table = Table { file: &file, at: 0, count: 5000 };
        for key in 0..20 {
            let mut found = Vec::new();
            table
                .find(key, |other, value| {
                    found.push((other, value));
                    other == key
                })
                .expect("read");
            let first = entries.partition_point(|(other, _)| *other < key);
            let end = (entries.partition_point(|(other, _)| *other <= key) + 1).min(entries.len());
            assert_eq!(found, entries[first..end], "{key}");
        }
    }
}

//! Merges segments: their rows side by side, in the order of a segment, without those of versions that were replaced.
//!
//! What is held of each is a few thousand rows of the columns that the order hangs on, then, of one column after the other, the rows
//! of one row group, and of each row of the new one its place in the index: some 16 bytes a hop.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use hopseal_correlate::sink::TraceId;
use parquet::basic::Type;
use parquet::data_type::{BoolType, ByteArrayType, DataType, FixedLenByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedRowGroupWriter;

use super::super::StoreError;
use super::columns::{Column, TEXTS, WORDS};
use super::file::{Parquet, rows_of};
use super::read::{Reading, Segment, within};
use super::write::{Paced, Writer, Written, whole};
use super::{GROUP, PAGE};
use crate::serve::disk::Disk;

/// What rows are in order by, and the version of their trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    subject: [u8; 16],
    start: u64,
    trace_id: TraceId,
    place: u32,
    version: u32,
}

/// A segment that is read.
struct Part {
    parquet: Parquet,
    rows: usize,
    /// Keys that were read and not taken, the next one last.
    keys: Vec<Key>,
    /// Rows of which keys were read.
    read: usize,
    /// Rows that were written, or dropped.
    done: usize,
}

impl Part {
    fn open(segment: &Segment) -> Result<Self, StoreError> {
        let parquet = Parquet::open(&segment.path)?;
        let rows = parquet.rows();
        Ok(Self { parquet, rows, keys: Vec::new(), read: 0, done: 0 })
    }

    /// Whether it tells the least and the most of a column, as it does where all rows have the same.
    fn tells(&self, column: Column) -> bool {
        self.parquet.columns(column).all(|column| column.statistics().is_some())
    }

    fn next(&mut self) -> Result<Option<Key>, StoreError> {
        if self.keys.is_empty() && self.read < self.rows {
            let to = (self.read + PAGE).min(self.rows);
            let mut keys = Vec::with_capacity(PAGE);
            self.each(self.read..to, |reading| {
                let subjects = reading.ids::<16>(Column::Subject)?.into_iter();
                let starts = reading.required::<Int64Type>(Column::Start)?.into_iter();
                let traces = reading.ids::<16>(Column::TraceId)?.into_iter();
                let places = reading.required::<Int32Type>(Column::Place)?.into_iter();
                let versions = reading.required::<Int32Type>(Column::Version)?.into_iter();
                let rows = subjects.zip(starts).zip(traces).zip(places).zip(versions);
                keys.extend(rows.map(|((((subject, start), trace_id), place), version)| Key {
                    subject,
                    start: start.cast_unsigned(),
                    trace_id: TraceId(trace_id),
                    place: place.cast_unsigned(),
                    version: version.cast_unsigned(),
                }));
                Ok(())
            })?;
            keys.reverse();
            (self.keys, self.read) = (keys, to);
        }
        Ok(self.keys.pop())
    }

    /// Calls `look` with these rows, row group by row group.
    fn each(
        &self,
        rows: Range<usize>,
        mut look: impl FnMut(Reading<'_, '_>) -> Result<(), ParquetError>,
    ) -> Result<(), StoreError> {
        let read = self.parquet.each(|group, first| {
            let runs = within(std::slice::from_ref(&rows), first..first + rows_of(group));
            if runs.is_empty() { Ok(()) } else { look(Reading { group, runs: &runs }) }
        });
        read.map_err(|source| self.parquet.broken(source))
    }

    /// The values of a column in these rows.
    fn column<T: DataType>(
        &self,
        column: usize,
        rows: Range<usize>,
    ) -> Result<Vec<Option<T::T>>, StoreError> {
        let mut values = Vec::with_capacity(rows.len());
        self.each(rows, |reading| {
            values.append(&mut reading.nth::<T>(column)?);
            Ok(())
        })?;
        Ok(values)
    }
}

/// Rows in order: of which part the next one is, and whether it stays.
type Order = Vec<(u8, bool)>;

/// Merges `parts`, at most 256, into a segment at `path`; `current` says which version of a trace is the last one. Ends with
/// [`StoreError::Stopped`] once `is_over`.
pub(in super::super) fn merge(
    disk: &dyn Disk,
    path: &Path,
    parts: &[Arc<Segment>],
    current: impl Fn(TraceId, u32) -> bool,
    is_over: &dyn Fn() -> bool,
) -> Result<Written, StoreError> {
    let mut parts = parts.iter().map(|part| Part::open(part)).collect::<Result<Vec<_>, _>>()?;
    let mut next = BinaryHeap::new();
    for (part, number) in parts.iter_mut().zip(0_u8..) {
        next.extend(part.next()?.map(|key| Reverse((key, number))));
    }
    let (mut hops, mut first, mut last) = (0, u64::MAX, 0);
    let alike: Vec<Column> = TEXTS
        .into_iter()
        .chain(WORDS)
        .filter(|column| parts.iter().all(|part| part.tells(*column)))
        .collect();
    let ((), index, bytes) = whole(disk, path, &alike, |writer, index| {
        let mut order: Order = Vec::with_capacity(GROUP);
        let mut kept = 0;
        while let Some(mut least) = next.peek_mut() {
            let Reverse((key, number)) = *least;
            let stays = current(key.trace_id, key.version);
            order.push((number, stays));
            if stays {
                index.add(&key.subject, key.trace_id);
                (first, last) = (key.start.min(first), key.start.max(last));
                kept += 1;
            }
            let after = parts.get_mut(usize::from(number)).map_or(Ok(None), Part::next);
            match after? {
                Some(key) => least.0.0 = key,
                None => _ = PeekMut::pop(least),
            }
            if kept == GROUP || order.len() == 2 * GROUP {
                hops += write(writer, path, &mut parts, &mut order, kept)?;
                kept = 0;
                if is_over() {
                    return Err(StoreError::Stopped);
                }
            }
        }
        hops += write(writer, path, &mut parts, &mut order, kept)?;
        if is_over() { Err(StoreError::Stopped) } else { Ok(()) }
    })?;
    Ok(Written { hops, bytes, first: first.min(last), last, index })
}

/// Writes a row group of the segment at `path`. Returns its rows.
fn write(
    writer: &mut Writer,
    path: &Path,
    parts: &mut [Part],
    order: &mut Order,
    kept: usize,
) -> Result<u64, StoreError> {
    let broken = |source: ParquetError| StoreError::Segment { path: path.to_owned(), source };
    let mut ends: Vec<usize> = parts.iter().map(|part| part.done).collect();
    for (number, _) in order.iter() {
        if let Some(end) = ends.get_mut(usize::from(*number)) {
            *end += 1;
        }
    }
    if kept > 0 {
        let columns = writer.schema_descr().columns().to_vec();
        let mut group = writer.next_row_group().map_err(broken)?;
        for (column, number) in columns.iter().zip(0..) {
            let mut copy = Copy { to: &mut group, path, parts, ends: &ends, order, column: number, kept };
            let is_optional = column.max_def_level() > 0;
            match column.physical_type() {
                Type::BOOLEAN => copy.typed::<BoolType>(is_optional)?,
                Type::INT32 => copy.typed::<Int32Type>(is_optional)?,
                Type::INT64 => copy.typed::<Int64Type>(is_optional)?,
                Type::BYTE_ARRAY => copy.typed::<ByteArrayType>(is_optional)?,
                Type::FIXED_LEN_BYTE_ARRAY => copy.typed::<FixedLenByteArrayType>(is_optional)?,
                _ => return Err(broken(ParquetError::General("a column of another type".to_owned()))),
            }
        }
        group.close().map_err(broken)?;
    }
    parts.iter_mut().zip(ends).for_each(|(part, end)| part.done = end);
    order.clear();
    Ok(kept as u64)
}

struct Copy<'c, 'w> {
    to: &'c mut SerializedRowGroupWriter<'w, Paced>,
    path: &'c Path,
    parts: &'c [Part],
    /// Up to which row of each.
    ends: &'c [usize],
    order: &'c Order,
    column: usize,
    kept: usize,
}

impl Copy<'_, '_> {
    fn typed<T: DataType>(&mut self, is_optional: bool) -> Result<(), StoreError> {
        let broken = |source: ParquetError| StoreError::Segment { path: self.path.to_owned(), source };
        let missing = || broken(ParquetError::General("a column too few".to_owned()));
        let mut from = Vec::with_capacity(self.parts.len());
        for (part, end) in self.parts.iter().zip(self.ends) {
            from.push(part.column::<T>(self.column, part.done..*end)?.into_iter());
        }
        let mut values = Vec::with_capacity(self.kept);
        let mut there = Vec::with_capacity(if is_optional { self.kept } else { 0 });
        for (number, stays) in self.order {
            let value = from.get_mut(usize::from(*number)).and_then(Iterator::next).ok_or_else(missing)?;
            if *stays {
                if is_optional {
                    there.push(i16::from(value.is_some()));
                }
                values.extend(value);
            }
        }
        let mut column = self.to.next_column().map_err(broken)?.ok_or_else(missing)?;
        let written = column.typed::<T>().write_batch(&values, is_optional.then_some(&there[..]), None);
        written.and_then(|_| column.close()).map_err(broken)
    }
}

//! Merges segments: their rows side by side, in the order of a segment, without those of versions that were replaced.
//!
//! What is held of each is a few thousand rows of the columns that the order hangs on, then, of one column after the other, the rows
//! of one row group and the texts that they may have, and of each row of the new one its place in the index: some 16 bytes a hop.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::UInt32Type;
use arrow_array::{Array, cast::AsArray as _};
use arrow_schema::SchemaRef;
use arrow_select::interleave::interleave;
use hopseal_correlate::sink::TraceId;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::data_type::{ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;

use super::super::StoreError;
use super::columns::{self, Column, TEXTS, WORDS};
use super::file::{Arrays, Parquet, rows_of};
use super::read::{Reading, Segment, only, within};
use super::write::{Stay, Writer, Written, at_once, put, whole};
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
    arrays: Arrays,
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
        let arrays = parquet.arrays().map_err(|source| parquet.broken(source))?;
        let rows = parquet.rows();
        Ok(Self { parquet, arrays, rows, keys: Vec::new(), read: 0, done: 0 })
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
}

/// Whether all rows have the same in a column, as far as that is told.
fn are_alike(parts: &[Part], column: Column) -> bool {
    let mut told = parts.iter().flat_map(|part| part.parquet.columns(column)).map(only::<ByteArrayType>);
    let first = told.next().flatten();
    first.is_some() && told.all(|other| other == first)
}

/// Rows in order: of which part the next one is, and whether it stays.
type Order = Vec<(u8, bool)>;

/// Merges `parts`, at most 256, into a segment at `path`; `current` says which version of a trace is the last one. Ends with
/// [`StoreError::Stopped`] once `is_over`.
pub(in super::super) fn merge(
    disk: &dyn Disk,
    path: &Path,
    parts: &[Arc<Segment>],
    mut current: impl FnMut(TraceId, u32) -> bool,
    is_over: &dyn Fn() -> bool,
) -> Result<Written, StoreError> {
    let mut parts = parts.iter().map(|part| Part::open(part)).collect::<Result<Vec<_>, _>>()?;
    let mut next = BinaryHeap::new();
    for (part, number) in parts.iter_mut().zip(0_u8..) {
        next.extend(part.next()?.map(|key| Reverse((key, number))));
    }
    let (mut hops, mut first, mut last) = (0, u64::MAX, 0);
    let alike: Vec<Column> =
        TEXTS.into_iter().chain(WORDS).filter(|column| are_alike(&parts, *column)).collect();
    let ((), index, bytes) = whole(disk, path, Stay::Long, &alike, |writer, index| {
        let schema = columns::arrow(writer.schema_descr())
            .map_err(|source| StoreError::Segment { path: path.to_owned(), source })?;
        let columns = ArrowRowGroupWriterFactory::new(writer, Arc::clone(&schema));
        let mut merging = Merging { path, parts, schema, columns, order: Vec::with_capacity(GROUP), kept: 0 };
        while let Some(mut least) = next.peek_mut() {
            let Reverse((key, number)) = *least;
            let stays = current(key.trace_id, key.version);
            merging.order.push((number, stays));
            if stays {
                index.add(&key.subject, key.trace_id);
                (first, last) = (key.start.min(first), key.start.max(last));
                merging.kept += 1;
            }
            let after = merging.parts.get_mut(usize::from(number)).map_or(Ok(None), Part::next);
            match after? {
                Some(key) => least.0.0 = key,
                None => _ = PeekMut::pop(least),
            }
            if merging.kept == GROUP || merging.order.len() == 2 * GROUP {
                hops += merging.write(writer)?;
                if is_over() {
                    return Err(StoreError::Stopped);
                }
            }
        }
        hops += merging.write(writer)?;
        if is_over() { Err(StoreError::Stopped) } else { Ok(()) }
    })?;
    Ok(Written { hops, bytes, first: first.min(last), last, index })
}

/// Rows that are put in order, and where they go.
struct Merging<'m> {
    path: &'m Path,
    parts: Vec<Part>,
    schema: SchemaRef,
    columns: ArrowRowGroupWriterFactory,
    /// The rows after those that were written.
    order: Order,
    /// How many of them stay.
    kept: usize,
}

impl Merging<'_> {
    /// Writes a row group of those in order. Returns its rows.
    fn write(&mut self, writer: &mut Writer) -> Result<u64, StoreError> {
        let path = self.path;
        let broken = |source: ParquetError| StoreError::Segment { path: path.to_owned(), source };
        let missing = || broken(ParquetError::General("a row too few".to_owned()));
        let mut ends: Vec<usize> = self.parts.iter().map(|part| part.done).collect();
        for (number, _) in &self.order {
            if let Some(end) = ends.get_mut(usize::from(*number)) {
                *end += 1;
            }
        }
        if self.kept > 0 {
            // The rows of each part, and as which rows of which array they are read.
            let (mut arrays, mut places) = (Vec::new(), Vec::with_capacity(self.parts.len()));
            for (part, end) in self.parts.iter().zip(&ends) {
                let mut own = Vec::new();
                for (group, rows) in part.arrays.split(&(part.done..*end)) {
                    let number = arrays.len();
                    own.push((0..rows.len()).map(move |row| (number, row)));
                    arrays.push((part, group, rows));
                }
                places.push(own.into_iter().flatten());
            }
            let mut order = Vec::with_capacity(self.kept);
            for (number, stays) in &self.order {
                let place = places.get_mut(usize::from(*number)).and_then(Iterator::next);
                order.extend(Some(place.ok_or_else(missing)?).filter(|_| *stays));
            }
            let number = writer.flushed_row_groups().len();
            let columns = self.columns.create_column_writers(number).map_err(broken)?;
            let mut group = writer.next_row_group().map_err(broken)?;
            for ((number, mut column), field) in columns.into_iter().enumerate().zip(self.schema.fields()) {
                let read = arrays.iter().map(|(part, group, rows)| {
                    let array = part.arrays.column(number, *group, rows);
                    array.map_err(|source| part.parquet.broken(source))
                });
                let read = read.collect::<Result<Vec<_>, _>>()?;
                let read: Vec<&dyn Array> = read.iter().map(|array| &**array).collect();
                let merged = interleave(&read, &order).map_err(|source| broken(source.into()))?;
                let texts = merged.as_dictionary_opt::<UInt32Type>();
                let texts = texts.and_then(|texts| texts.values().as_string_opt::<i64>());
                let at_once = texts.map_or(PAGE, at_once);
                for at in (0..merged.len()).step_by(at_once) {
                    let rows = merged.slice(at, at_once.min(merged.len() - at));
                    put(&mut column, field, &rows).map_err(broken)?;
                }
                let written = column.close().and_then(|column| column.append_to_row_group(&mut group));
                written.map_err(broken)?;
            }
            group.close().map_err(broken)?;
        }
        self.parts.iter_mut().zip(ends).for_each(|(part, end)| part.done = end);
        self.order.clear();
        Ok(std::mem::take(&mut self.kept) as u64)
    }
}

//! Writes a segment: whole and on the disk before it has its name.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hopseal_correlate::hop::Outcome;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type,
    Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::ColumnPath;

use super::super::StoreError;
use super::super::block::Block;
use super::columns::{self, Column, TEXTS};
use super::index::{Builder, Index};
use super::{GROUP, Line, PAGE, Rows, Text};
use crate::serve::disk::{Disk, DiskFile};

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Written {
    pub(in super::super) hops: u64,
    pub(in super::super) bytes: u64,
    /// When the first hop began, and the last.
    pub(in super::super) first: u64,
    pub(in super::super) last: u64,
    pub(in super::super) index: Option<Index>,
}

fn properties() -> Result<WriterPropertiesPtr, ParquetError> {
    let sorted =
        |column: Column| SortingColumn { column_idx: column as i32, descending: false, nulls_first: false };
    let by = [Column::Subject, Column::Start, Column::TraceId, Column::Place];
    let ids = [("trace_id", true), ("span_id", false), ("parent_span_id", false)];
    // Of these one differs little from the next, or not at all; a dictionary of them costs more than they take.
    let numbers = ["start", "end", "version", "place", "caller_place", "trace_missing_parents"];
    // The least and the most of what is as good as random, or mostly alike in every row group, tell hardly anything.
    let random = ["span_id", "parent_span_id", "place", "caller_place", "trace_digest"];
    let alike = ["caller", "service", "operation", "principal"];
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_row_count_limit(PAGE)
        .set_sorting_columns(Some(by.map(sorted).to_vec()))
        .set_created_by(concat!("hopseal ", env!("CARGO_PKG_VERSION")).to_owned());
    for (name, is_sought) in ids {
        let path = ColumnPath::from(name);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), is_sought)
            .set_column_bloom_filter_enabled(path, is_sought);
    }
    for path in numbers.map(ColumnPath::from) {
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    for path in random.into_iter().chain(alike).map(ColumnPath::from) {
        properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    Ok(Arc::new(properties.build()))
}

/// A file that is being written.
pub(super) type Writer = SerializedFileWriter<Paced>;

/// Bytes written at most that the disk was not asked to take.
const UNSYNCED: usize = 2 << 20;

/// A file that goes to the disk bit by bit. All at once, it would hold up whoever syncs another file meanwhile: the journal, and
/// with it those who wait for an answer.
pub(super) struct Paced {
    file: Box<dyn DiskFile>,
    unsynced: usize,
}

impl Write for Paced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= UNSYNCED {
            self.unsynced = 0;
            self.file.sync()?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a segment to `path`, by way of a file beside it, and sees to it that the disk has both the file and its name. `fill` writes
/// the rows, and says what they are. Returns that, where the index is, and the size of the file.
pub(super) fn whole<T>(
    disk: &dyn Disk,
    path: &Path,
    fill: impl FnOnce(&mut Writer, &mut Builder) -> Result<T, StoreError>,
) -> Result<(T, Option<Index>, u64), StoreError> {
    let failed = |source: io::Error| StoreError::File { path: path.to_owned(), source };
    let broken = |source: ParquetError| StoreError::Segment { path: path.to_owned(), source };
    let folder = path.parent().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    disk.create_folder(folder).map_err(failed)?;
    let beside = path.with_extension("tmp");
    let written: Result<_, StoreError> = (|| {
        let file = Paced { file: disk.create(&beside).map_err(failed)?, unsynced: 0 };
        let schema = columns::schema().map_err(broken)?;
        let mut writer =
            SerializedFileWriter::new(file, schema, properties().map_err(broken)?).map_err(broken)?;
        let mut index = Builder::default();
        let filled = fill(&mut writer, &mut index)?;
        let index = index.finish(writer.bytes_written() as u64);
        if let Some((bytes, _)) = &index {
            writer.write_all(bytes).map_err(failed)?;
        }
        writer.into_inner().map_err(broken)?.file.sync().map_err(failed)?;
        let bytes = std::fs::metadata(&beside).map_err(failed)?.len();
        disk.rename(&beside, path).map_err(failed)?;
        Ok((filled, index.map(|(_, index)| index), bytes))
    })();
    if written.is_err() {
        // The room may be what is missing. What cannot be removed is at the next start.
        let _ = disk.remove(&beside);
    }
    let written = written?;
    disk.sync_folder(folder).map_err(failed)?;
    Ok(written)
}

/// Writes rows to `path`.
pub(in super::super) fn write(disk: &dyn Disk, path: &Path, rows: &Rows<'_>) -> Result<Written, StoreError> {
    let broken = |source: ParquetError| StoreError::Segment { path: path.to_owned(), source };
    let texts: Vec<Texts> = rows.blocks.iter().map(|block| Texts::of(block)).collect();
    let ((), index, bytes) = whole(disk, path, |writer, index| {
        let mut values = Vec::new();
        for group in rows.lines.chunks(GROUP) {
            group.iter().for_each(|line| index.add(&line.subject.to_be_bytes(), line.judged.trace_id));
            let mut row_group = writer.next_row_group().map_err(broken)?;
            Group { to: &mut row_group, texts: &texts, values: &mut values }.write(group).map_err(broken)?;
            row_group.close().map_err(broken)?;
        }
        Ok(())
    })?;
    let starts = || rows.lines.iter().map(|line| line.start);
    Ok(Written {
        hops: rows.len() as u64,
        bytes,
        first: starts().min().unwrap_or(0),
        last: starts().max().unwrap_or(0),
        index,
    })
}

/// Texts as Parquet has them, each made once.
struct Texts {
    all: Vec<ByteArray>,
}

impl Texts {
    fn of(block: &Block) -> Self {
        let texts = (0..block.texts.len()).map(|number| {
            let number = u32::try_from(number).unwrap_or(0);
            ByteArray::from(block.texts.get(Text(number)).as_bytes().to_vec())
        });
        Self { all: texts.collect() }
    }
}

/// Some rows, column by column: rows are in an order of their own, so that what is read of one is read once.
#[derive(Default)]
struct Columns {
    subjects: Vec<u8>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    trace_ids: Vec<u8>,
    versions: Vec<i32>,
    places: Vec<i32>,
    span_ids: Vec<u8>,
    parents: Optional<u8>,
    callers: Optional<i32>,
    blocks: Vec<u32>,
    texts: [Vec<Text>; TEXTS.len()],
    kinds: Vec<&'static str>,
    assurances: Vec<&'static str>,
    bases: Vec<&'static str>,
    outcomes: Vec<&'static str>,
    principal_kinds: Optional<&'static str>,
    uncovered: Vec<bool>,
    complete: Vec<bool>,
    closed_early: Vec<bool>,
    missing_parents: Vec<i32>,
    digests: Vec<i64>,
}

/// What is there, and of which rows.
#[derive(Default)]
struct Optional<T> {
    values: Vec<T>,
    there: Vec<i16>,
}

impl<T> Optional<T> {
    fn push(&mut self, values: Option<impl IntoIterator<Item = T>>) {
        self.there.push(i16::from(values.is_some()));
        self.values.extend(values.into_iter().flatten());
    }
}

impl Columns {
    fn of(rows: &[Line<'_>]) -> Self {
        let mut columns = Self::default();
        for row in rows {
            let Line { subject, block, place, judged, hop, start: _ } = row;
            columns.subjects.extend_from_slice(&subject.to_be_bytes());
            columns.starts.push(hop.start.cast_signed());
            columns.ends.push(hop.end.cast_signed());
            columns.trace_ids.extend_from_slice(&judged.trace_id.0);
            columns.versions.push(judged.version.cast_signed());
            columns.places.push(place.cast_signed());
            columns.span_ids.extend_from_slice(&hop.span_id.0);
            columns.parents.push(hop.parent.map(|parent| parent.0));
            columns.callers.push(hop.caller.map(|caller| [caller.cast_signed()]));
            columns.blocks.push(*block);
            columns.texts.iter_mut().zip(hop.texts.to_array()).for_each(|(texts, text)| texts.push(text));
            columns.kinds.push(hop.kind.as_str());
            columns.assurances.push(hop.assurance.as_str());
            columns.bases.push(hop.basis.as_str());
            columns.outcomes.push(outcome(hop.outcome));
            let is_named = hop.texts.principal != Text::default();
            columns.principal_kinds.push(is_named.then(|| [hop.principal_kind.as_str()]));
            columns.uncovered.push(hop.uncovered);
            columns.complete.push(judged.complete);
            columns.closed_early.push(judged.closed_early);
            columns.missing_parents.push(judged.missing_parents.cast_signed());
            columns.digests.push(judged.digest.cast_signed());
        }
        columns
    }
}

struct Group<'g, 'w> {
    to: &'g mut SerializedRowGroupWriter<'w, Paced>,
    /// By block.
    texts: &'g [Texts],
    /// Room for the texts of a column.
    values: &'g mut Vec<ByteArray>,
}

impl Group<'_, '_> {
    fn write(&mut self, rows: &[Line<'_>]) -> Result<(), ParquetError> {
        let columns = Columns::of(rows);
        self.ids::<16>(columns.subjects, None)?;
        self.column::<Int64Type>(&columns.starts, None)?;
        self.column::<Int64Type>(&columns.ends, None)?;
        self.ids::<16>(columns.trace_ids, None)?;
        self.column::<Int32Type>(&columns.versions, None)?;
        self.column::<Int32Type>(&columns.places, None)?;
        self.ids::<8>(columns.span_ids, None)?;
        self.ids::<8>(columns.parents.values, Some(&columns.parents.there))?;
        self.column::<Int32Type>(&columns.callers.values, Some(&columns.callers.there))?;
        for texts in &columns.texts {
            self.texts(&columns.blocks, texts)?;
        }
        self.words(&columns.kinds, None)?;
        self.words(&columns.assurances, None)?;
        self.words(&columns.bases, None)?;
        self.words(&columns.outcomes, None)?;
        self.words(&columns.principal_kinds.values, Some(&columns.principal_kinds.there))?;
        self.column::<BoolType>(&columns.uncovered, None)?;
        self.column::<BoolType>(&columns.complete, None)?;
        self.column::<BoolType>(&columns.closed_early, None)?;
        self.column::<Int32Type>(&columns.missing_parents, None)?;
        self.column::<Int64Type>(&columns.digests, None)
    }

    fn column<T: DataType>(&mut self, values: &[T::T], there: Option<&[i16]>) -> Result<(), ParquetError> {
        let missing = || ParquetError::General("a column too many".to_owned());
        let mut column = self.to.next_column()?.ok_or_else(missing)?;
        column.typed::<T>().write_batch(values, there, None)?;
        column.close()
    }

    /// Ids of that length, one after the other.
    fn ids<const N: usize>(&mut self, ids: Vec<u8>, there: Option<&[i16]>) -> Result<(), ParquetError> {
        let all = Bytes::from(ids);
        let values: Vec<FixedLenByteArray> = (0..all.len() / N)
            .map(|at| FixedLenByteArray::from(ByteArray::from(all.slice(at * N..(at + 1) * N))))
            .collect();
        self.column::<FixedLenByteArrayType>(&values, there)
    }

    /// A column of texts; an empty text is none.
    fn texts(&mut self, blocks: &[u32], texts: &[Text]) -> Result<(), ParquetError> {
        let there: Vec<i16> = texts.iter().map(|text| i16::from(text.0 != 0)).collect();
        let mut values = std::mem::take(self.values);
        let of = |(block, text): (&u32, &Text)| self.texts.get(*block as usize)?.all.get(text.0 as usize);
        values.extend(blocks.iter().zip(texts).filter(|(_, text)| text.0 != 0).filter_map(of).cloned());
        let written = self.column::<ByteArrayType>(&values, Some(&there));
        values.clear();
        *self.values = values;
        written
    }

    fn words(&mut self, words: &[&'static str], there: Option<&[i16]>) -> Result<(), ParquetError> {
        let mut values = std::mem::take(self.values);
        let word = |word: &&'static str| ByteArray::from(Bytes::from_static(word.as_bytes()));
        values.extend(words.iter().map(word));
        let written = self.column::<ByteArrayType>(&values, there);
        values.clear();
        *self.values = values;
        written
    }
}

/// The word for how a crossing ended.
pub(super) const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Rejected => "rejected",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    }
}

//! Writes a segment: whole and on the disk before it has its name.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use hopseal_correlate::hop::Outcome;
use parquet::basic::{Compression, ZstdLevel};
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
use super::{GROUP, Line, PAGE, Rows};
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
    Ok(Arc::new(properties.build()))
}

/// A file that is being written.
pub(super) type Writer = SerializedFileWriter<Box<dyn DiskFile>>;

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
        let file = disk.create(&beside).map_err(failed)?;
        let schema = columns::schema().map_err(broken)?;
        let mut writer =
            SerializedFileWriter::new(file, schema, properties().map_err(broken)?).map_err(broken)?;
        let mut index = Builder::default();
        let filled = fill(&mut writer, &mut index)?;
        let index = index.finish(writer.bytes_written() as u64);
        if let Some((bytes, _)) = &index {
            writer.write_all(bytes).map_err(failed)?;
        }
        writer.into_inner().map_err(broken)?.sync().map_err(failed)?;
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
            group.iter().for_each(|line| index.add(&line.subject, line.judged.trace_id));
            let mut row_group = writer.next_row_group().map_err(broken)?;
            Group { to: &mut row_group, rows: group, texts: &texts, values: &mut values }
                .write()
                .map_err(broken)?;
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
            ByteArray::from(block.texts.get(super::Text(number)).as_bytes().to_vec())
        });
        Self { all: texts.collect() }
    }
}

struct Group<'g, 'w> {
    to: &'g mut SerializedRowGroupWriter<'w, Box<dyn DiskFile>>,
    rows: &'g [Line<'g>],
    /// By block.
    texts: &'g [Texts],
    /// Room for the texts of a column.
    values: &'g mut Vec<ByteArray>,
}

impl Group<'_, '_> {
    fn write(&mut self) -> Result<(), ParquetError> {
        let rows = self.rows;
        self.ids(rows.iter().map(|row| Some(row.subject)), None)?;
        self.numbers::<Int64Type>(|row| row.hop.start.cast_signed())?;
        self.numbers::<Int64Type>(|row| row.hop.end.cast_signed())?;
        self.ids(rows.iter().map(|row| Some(row.judged.trace_id.0)), None)?;
        self.numbers::<Int32Type>(|row| row.judged.version.cast_signed())?;
        self.numbers::<Int32Type>(|row| row.place.cast_signed())?;
        self.ids(rows.iter().map(|row| Some(row.hop.span_id.0)), None)?;
        let parents = || rows.iter().map(|row| row.hop.parent.map(|parent| parent.0));
        let there: Vec<i16> = parents().map(|parent| i16::from(parent.is_some())).collect();
        self.ids(parents(), Some(&there))?;
        let callers = || rows.iter().map(|row| row.hop.caller);
        let there: Vec<i16> = callers().map(|caller| i16::from(caller.is_some())).collect();
        let callers: Vec<i32> = callers().flatten().map(u32::cast_signed).collect();
        self.column::<Int32Type>(&callers, Some(&there))?;
        for place in 0..TEXTS.len() {
            self.texts(place)?;
        }
        self.words(|row| Some(row.hop.kind.as_str()), false)?;
        self.words(|row| Some(row.hop.assurance.as_str()), false)?;
        self.words(|row| Some(row.hop.basis.as_str()), false)?;
        self.words(|row| Some(outcome(row.hop.outcome)), false)?;
        let named = |row: &Line<'_>| row.hop.texts.principal != super::Text::default();
        self.words(|row| named(row).then(|| row.hop.principal_kind.as_str()), true)?;
        self.numbers::<BoolType>(|row| row.hop.uncovered)?;
        self.numbers::<BoolType>(|row| row.judged.complete)?;
        self.numbers::<BoolType>(|row| row.judged.closed_early)?;
        self.numbers::<Int32Type>(|row| row.judged.missing_parents.cast_signed())?;
        self.numbers::<Int64Type>(|row| row.judged.digest.cast_signed())
    }

    fn column<T: DataType>(&mut self, values: &[T::T], there: Option<&[i16]>) -> Result<(), ParquetError> {
        let missing = || ParquetError::General("a column too many".to_owned());
        let mut column = self.to.next_column()?.ok_or_else(missing)?;
        column.typed::<T>().write_batch(values, there, None)?;
        column.close()
    }

    fn numbers<T: DataType>(&mut self, value: impl Fn(&Line<'_>) -> T::T) -> Result<(), ParquetError> {
        let values: Vec<T::T> = self.rows.iter().map(value).collect();
        self.column::<T>(&values, None)
    }

    fn ids<const N: usize>(
        &mut self,
        ids: impl Iterator<Item = Option<[u8; N]>>,
        there: Option<&[i16]>,
    ) -> Result<(), ParquetError> {
        let all: Vec<u8> = ids.flatten().flatten().collect();
        let all = Bytes::from(all);
        let values: Vec<FixedLenByteArray> = (0..all.len() / N)
            .map(|at| FixedLenByteArray::from(ByteArray::from(all.slice(at * N..(at + 1) * N))))
            .collect();
        self.column::<FixedLenByteArrayType>(&values, there)
    }

    /// The text column at that place among the texts of a hop; an empty text is none.
    fn texts(&mut self, place: usize) -> Result<(), ParquetError> {
        let text = |row: &Line<'_>| row.hop.texts.to_array().get(place).copied().unwrap_or_default();
        let there: Vec<i16> = self.rows.iter().map(|row| i16::from(text(row).0 != 0)).collect();
        let mut values = std::mem::take(self.values);
        values.extend(
            self.rows
                .iter()
                .filter(|row| text(row).0 != 0)
                .filter_map(|row| self.texts.get(row.block as usize)?.all.get(text(row).0 as usize).cloned()),
        );
        let written = self.column::<ByteArrayType>(&values, Some(&there));
        values.clear();
        *self.values = values;
        written
    }

    fn words(
        &mut self,
        word: impl Fn(&Line<'_>) -> Option<&'static str>,
        optional: bool,
    ) -> Result<(), ParquetError> {
        let words = || self.rows.iter().map(&word);
        let there: Vec<i16> = words().map(|word| i16::from(word.is_some())).collect();
        let mut values = std::mem::take(self.values);
        values.extend(words().flatten().map(|word| ByteArray::from(Bytes::from_static(word.as_bytes()))));
        let written = self.column::<ByteArrayType>(&values, optional.then_some(&there));
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

//! Writes a segment: whole and on the disk before it has its name.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, LargeStringArray};
use arrow_schema::Field;
use hopseal_correlate::hop::Outcome;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::super::StoreError;
use super::super::block::{Block, Hop};
use super::arrays::{Texts, arrays};
use super::columns::{self, Column, TEXTS, WORDS};
use super::index::{Builder, Index};
use super::{GROUP, PAGE, Rows, Text};
use crate::serve::disk::{Disk, DiskFile, create_folder_in};

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

/// How long a file is there, as far as can be told: so much is it worth that it is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    /// Until it is merged with others, if it is.
    Short,
    Long,
}

/// How a file is written; `alike` are the columns of texts and words in which all rows have the same.
fn properties(stay: Stay, alike: &[Column]) -> Result<WriterPropertiesPtr, ParquetError> {
    let compression = match stay {
        Stay::Short => Compression::LZ4_RAW,
        Stay::Long => Compression::ZSTD(ZstdLevel::try_new(1)?),
    };
    let sorted =
        |column: Column| SortingColumn { column_idx: column as i32, descending: false, nulls_first: false };
    let by = [Column::Subject, Column::Start, Column::TraceId, Column::Place];
    let ids = [("trace_id", true), ("span_id", false), ("parent_span_id", false)];
    // Of these one differs little from the next, or not at all; a dictionary of them costs more than they take.
    let numbers = ["start", "end", "version", "place", "caller_place", "trace_missing_parents"];
    // The least and the most of what is as good as random tell nothing, and those of a few texts that are in every row group are not
    // worth a comparison for each row; where all are the same, nobody has to read them.
    let random = ["span_id", "parent_span_id", "place", "caller_place", "trace_digest"];
    let mut properties = WriterProperties::builder()
        .set_compression(compression)
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
    let unlike = TEXTS.into_iter().chain(WORDS).filter(|column| !alike.contains(column));
    for path in random.into_iter().chain(unlike.map(Column::name)).map(ColumnPath::from) {
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

/// Writes a segment to `path`, by way of a file beside it, and sees to it that the disk has both the file and its name. `alike` are the
/// columns of texts and words in which all rows have the same. `fill` writes the rows, and says what they are. Returns that, where the
/// index is, and the size of the file.
pub(super) fn whole<T>(
    disk: &dyn Disk,
    path: &Path,
    stay: Stay,
    alike: &[Column],
    fill: impl FnOnce(&mut Writer, &mut Builder) -> Result<T, StoreError>,
) -> Result<(T, Option<Index>, u64), StoreError> {
    let failed = |source: io::Error| StoreError::File { path: path.to_owned(), source };
    let broken = |source: ParquetError| StoreError::Segment { path: path.to_owned(), source };
    let folder = path.parent().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    // The day's, and the one of all days.
    let root = folder.parent().and_then(Path::parent).unwrap_or(folder);
    create_folder_in(disk, root, folder).map_err(failed)?;
    let beside = path.with_extension("tmp");
    let written: Result<_, StoreError> = (|| {
        let file = Paced { file: disk.create(&beside).map_err(failed)?, unsynced: 0 };
        let schema = columns::schema().map_err(broken)?;
        let mut writer = SerializedFileWriter::new(file, schema, properties(stay, alike).map_err(broken)?)
            .map_err(broken)?;
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

/// Bytes of texts that may come into a column between two looks at how large its page and its dictionary are.
const UNSEEN: usize = 4 << 20;

/// How many rows are written together that have these texts: a page, or fewer where texts are long.
pub(super) fn at_once(texts: &LargeStringArray) -> usize {
    let lengths =
        texts.value_offsets().array_windows().map(|[from, to]| usize::try_from(to - from).unwrap_or(0));
    (UNSEEN / lengths.max().unwrap_or(0).max(1)).clamp(1, PAGE)
}

/// Writes rows of a column.
pub(super) fn put(
    column: &mut ArrowColumnWriter,
    field: &Field,
    array: &ArrayRef,
) -> Result<(), ParquetError> {
    compute_leaves(field, array)?.iter().try_for_each(|leaf| column.write(leaf))
}

/// Writes rows to `path`.
pub(in super::super) fn write(disk: &dyn Disk, path: &Path, rows: &Rows<'_>) -> Result<Written, StoreError> {
    let broken = |source: ParquetError| StoreError::Segment { path: path.to_owned(), source };
    let texts = Texts::of(&rows.blocks).map_err(|source| broken(source.into()))?;
    let at_once = at_once(&texts.all);
    let ((), index, bytes) = whole(disk, path, Stay::Short, &alike(&rows.blocks), |writer, index| {
        let schema = columns::arrow(writer.schema_descr()).map_err(broken)?;
        let columns = ArrowRowGroupWriterFactory::new(writer, Arc::clone(&schema));
        for (group, number) in rows.lines.chunks(GROUP).zip(0..) {
            let mut columns = columns.create_column_writers(number).map_err(broken)?;
            // Few enough rows at a time that they are in a cache while their columns are written.
            for lines in group.chunks(at_once) {
                for full in lines.iter().filter_map(|line| rows.full(line)) {
                    index.add(full.subject, full.judged.trace_id);
                }
                let arrays = arrays(rows, lines, &texts).map_err(|source| broken(source.into()))?;
                for ((array, column), field) in arrays.iter().zip(&mut columns).zip(schema.fields()) {
                    put(column, field, array).map_err(broken)?;
                }
            }
            let mut row_group = writer.next_row_group().map_err(broken)?;
            for column in columns {
                let written = column.close().and_then(|column| column.append_to_row_group(&mut row_group));
                written.map_err(broken)?;
            }
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

/// The columns of texts and words in which all hops of these blocks have the same.
fn alike(blocks: &[&Block]) -> Vec<Column> {
    let words = |hop: &Hop| {
        let principal = (hop.texts.principal != Text::default()).then_some(hop.principal_kind);
        (hop.kind, hop.assurance, hop.basis, hop.outcome, principal)
    };
    let mut first = None;
    let mut alike = [true; TEXTS.len()];
    let mut words_alike = [true; WORDS.len()];
    for block in blocks {
        let Some(own) = block.hops.first() else { continue };
        let (of, hop) = first.get_or_insert((block, own));
        // The texts of the first hop, by the numbers that they have in this block, if they are there.
        let texts = hop.texts.to_array().map(|text| block.texts.find(of.texts.get(text)));
        let (kind, assurance, basis, outcome, principal) = words(hop);
        for hop in &block.hops {
            for ((alike, text), same) in alike.iter_mut().zip(hop.texts.to_array()).zip(texts) {
                *alike &= Some(text) == same;
            }
            let own = words(hop);
            let same =
                [own.0 == kind, own.1 == assurance, own.2 == basis, own.3 == outcome, own.4 == principal];
            words_alike.iter_mut().zip(same).for_each(|(alike, same)| *alike &= same);
        }
    }
    let columns = TEXTS.into_iter().chain(WORDS).zip(alike.into_iter().chain(words_alike));
    columns.filter(|(_, alike)| *alike).map(|(column, _)| column).collect()
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

//! The file of a segment, row group by row group.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::ArrayRef;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelectionPolicy,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{ChunkReader, FileReader as _, Length, RowGroupReader};
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};

use super::super::StoreError;
use super::columns::{self, Column};

/// A row group.
pub(super) type Groups<'r> = Box<dyn RowGroupReader + 'r>;

/// How many rows it has.
pub(super) fn rows_of(group: &Groups<'_>) -> usize {
    usize::try_from(group.metadata().num_rows()).unwrap_or(0)
}

/// A file that is read here and there: each time from the place asked for, so that it needs not be opened again for each.
#[derive(Clone)]
struct Placed {
    file: Arc<File>,
    bytes: u64,
}

/// A file from some place on.
struct PlacedReader {
    file: Arc<File>,
    at: u64,
    /// What was read of it ahead, and how much of that was taken. The headers of pages are short.
    ahead: [u8; 256],
    taken: usize,
    read: usize,
}

impl Length for Placed {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Placed {
    type T = PlacedReader;

    fn get_read(&self, start: u64) -> Result<PlacedReader, ParquetError> {
        Ok(PlacedReader { file: Arc::clone(&self.file), at: start, ahead: [0; 256], taken: 0, read: 0 })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

impl Read for PlacedReader {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        if self.taken == self.read {
            if to.len() >= self.ahead.len() {
                let read = self.file.read_at(to, self.at)?;
                self.at += read as u64;
                return Ok(read);
            }
            self.read = self.file.read_at(&mut self.ahead, self.at)?;
            self.at += self.read as u64;
            self.taken = 0;
        }
        let ahead = self.ahead.get(self.taken..self.read).unwrap_or_default();
        let count = ahead.len().min(to.len());
        for (to, byte) in to.iter_mut().zip(ahead) {
            *to = *byte;
        }
        self.taken += count;
        Ok(count)
    }
}

/// A file of rows.
pub(super) struct Parquet {
    path: PathBuf,
    file: Placed,
    reader: SerializedFileReader<Placed>,
}

impl Parquet {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        Self::of(path, file, false)
    }

    /// The same of a file that is open; with the filters of its row groups, or without.
    pub(super) fn of(path: &Path, file: File, with_filters: bool) -> Result<Self, StoreError> {
        let properties = ReaderProperties::builder().set_read_bloom_filter(with_filters).build();
        let options = ReadOptionsBuilder::new().with_reader_properties(properties).build();
        let bytes =
            file.metadata().map_err(|source| StoreError::File { path: path.to_owned(), source })?.len();
        let file = Placed { file: Arc::new(file), bytes };
        let reader = SerializedFileReader::new_with_options(file.clone(), options)
            .map_err(|source| StoreError::Segment { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, reader })
    }

    pub(super) fn rows(&self) -> usize {
        usize::try_from(self.reader.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// A column of each row group.
    pub(super) fn columns(&self, column: Column) -> impl Iterator<Item = &ColumnChunkMetaData> {
        self.reader.metadata().row_groups().iter().map(move |group| group.column(column as usize))
    }

    /// Calls `look` with each row group, and the number of its first row.
    pub(super) fn each(
        &self,
        mut look: impl FnMut(&Groups<'_>, usize) -> Result<(), ParquetError>,
    ) -> Result<(), ParquetError> {
        let mut first = 0;
        for number in 0..self.reader.num_row_groups() {
            let group = self.reader.get_row_group(number)?;
            look(&group, first)?;
            first += rows_of(&group);
        }
        Ok(())
    }

    /// The same file as Arrow reads it.
    pub(super) fn arrays(&self) -> Result<Arrays, ParquetError> {
        let metadata = self.reader.metadata();
        let schema = columns::arrow(metadata.file_metadata().schema_descr())?;
        let options = ArrowReaderOptions::new().with_schema(schema);
        let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata.clone()), options)?;
        Ok(Arrays { file: self.file.clone(), metadata })
    }

    /// What was wrong with it.
    pub(super) fn broken(&self, source: ParquetError) -> StoreError {
        StoreError::Segment { path: self.path.clone(), source }
    }
}

/// A file that is read column by column.
pub(super) struct Arrays {
    file: Placed,
    metadata: ArrowReaderMetadata,
}

impl Arrays {
    /// Some rows as they stand in the row groups: of which group they are, and where there.
    pub(super) fn split(&self, rows: &Range<usize>) -> Vec<(usize, Range<usize>)> {
        let mut first = 0;
        let groups = self.metadata.metadata().row_groups().iter().enumerate();
        let parts = groups.map(|(number, group)| {
            let count = usize::try_from(group.num_rows()).unwrap_or(0);
            let from = rows.start.saturating_sub(first).min(count);
            let to = rows.end.saturating_sub(first).min(count);
            first += count;
            (number, from..to)
        });
        parts.filter(|(_, rows)| !rows.is_empty()).collect()
    }

    /// A column of some rows of a row group.
    pub(super) fn column(
        &self,
        column: usize,
        group: usize,
        rows: &Range<usize>,
    ) -> Result<ArrayRef, ParquetError> {
        let metadata = self.metadata.clone();
        let only = ProjectionMask::leaves(metadata.parquet_schema(), [column]);
        let mut read = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), metadata)
            .with_row_groups(vec![group])
            .with_projection(only)
            .with_offset(rows.start)
            .with_limit(rows.len())
            .with_batch_size(rows.len())
            .with_row_selection_policy(RowSelectionPolicy::Selectors)
            .build()?;
        let batch = read.next().transpose()?.filter(|batch| batch.num_rows() == rows.len());
        let array = batch.as_ref().and_then(|batch| batch.columns().first());
        array.cloned().ok_or_else(|| ParquetError::General("rows too few".to_owned()))
    }
}

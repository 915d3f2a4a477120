//! Reads a segment: the row groups that may hold what is sought, and of those the rows that do.

use std::any::Any;
use std::collections::HashSet;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hopseal_correlate::hop::{HopKind, Outcome};
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_identity::{Assurance, Basis, Kind};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArrayType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::statistics::{Statistics, ValueStatistics};

use super::super::StoreError;
use super::super::block::{Block, Hop, HopTexts, Judged, Text, Texts};
use super::super::query::{HopQuery, HopRecord, passes, top};
use super::columns::{Column, TEXTS};
use super::file::{Groups, Parquet, rows_of};
use super::index::Index;
use super::write::outcome;
use super::{Row, SMALL, subject, traces};

/// A closed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Segment {
    pub(in super::super) path: PathBuf,
    /// The day it was closed on, days since 1970-01-01.
    pub(in super::super) day: u64,
    /// The blocks that went into it: from this one to that.
    pub(in super::super) low: u64,
    pub(in super::super) high: u64,
    pub(in super::super) hops: u64,
    pub(in super::super) bytes: u64,
    /// When the first hop began, and the last.
    pub(in super::super) first: u64,
    pub(in super::super) last: u64,
    /// None where it has more rows than that can number.
    pub(in super::super) index: Option<Index>,
}

impl Segment {
    /// Its file. No file is removed while a process that keeps it may look at it: one that is missing is lost, and not empty.
    pub(super) fn file(&self) -> Result<File, StoreError> {
        File::open(&self.path).map_err(|source| StoreError::File { path: self.path.clone(), source })
    }

    /// Calls `look` with each row group.
    fn each(&self, mut look: impl FnMut(&Groups<'_>) -> Result<(), ParquetError>) -> Result<(), StoreError> {
        let file = self.file()?;
        let parquet = Parquet::of(&self.path, file, false)?;
        parquet.each(|group, _| look(group)).map_err(|source| parquet.broken(source))
    }

    /// Every version of some traces. To look for many takes hardly more than to look for one.
    pub(in super::super) fn traces(&self, wanted: &HashSet<TraceId>) -> Result<Block, StoreError> {
        let mut block = Block::default();
        let file = self.file()?;
        let mut rows = Vec::new();
        let sought = match &self.index {
            None => None,
            Some(index) => {
                let sought = index
                    .rows_of_traces(&file, &mut wanted.iter().copied())
                    .map_err(|source| StoreError::File { path: self.path.clone(), source })?;
                if sought.is_empty() {
                    return Ok(block);
                }
                Some(sought)
            }
        };
        let parquet = Parquet::of(&self.path, file, sought.is_none())?;
        let read = parquet.each(|group, first| {
            let runs = match &sought {
                Some(sought) => within(sought, first..first + rows_of(group)),
                None => of_traces(group, wanted)?,
            };
            if !runs.is_empty() {
                let found = Reading { group, runs: &runs }.rows(&mut block.texts)?;
                rows.extend(found.into_iter().filter(|row| wanted.contains(&row.judged.trace_id)));
            }
            Ok(())
        });
        read.map_err(|source| parquet.broken(source))?;
        Ok(traces(&mut rows, block.texts))
    }

    /// The traces that were judged whole, in order.
    pub(in super::super) fn judged(&self) -> Result<Vec<TraceId>, StoreError> {
        let mut judged = Vec::new();
        self.each(|group| {
            let all = whole(group);
            let reading = Reading { group, runs: &all };
            let rows = reading.ids::<16>(Column::TraceId)?.into_iter();
            let rows = rows.zip(reading.required::<Int32Type>(Column::Version)?);
            judged.extend(rows.filter(|(_, version)| *version > 0).map(|(id, _)| TraceId(id)));
            // Rows of one trace mostly stand together: no more is held than has to be.
            judged.dedup();
            Ok(())
        })?;
        judged.sort_unstable();
        judged.dedup();
        judged.shrink_to_fit();
        Ok(judged)
    }

    /// Adds the hops that match to `found`; `current` says whether a judged trace is the last version of it.
    pub(in super::super) fn look(
        &self,
        query: &HopQuery,
        current: impl Fn(&Judged) -> bool,
        found: &mut Vec<HopRecord>,
    ) -> Result<(), StoreError> {
        self.each_sought(query, 0, |group, runs| {
            // Nothing that began before all of those is asked for.
            top(found, query.limit);
            let oldest = found.last().filter(|_| found.len() == query.limit);
            let since = oldest.map_or(0, |oldest| oldest.start);
            let Promising { newest, others } = promising(group, runs, query, since)?;
            let mut look = |runs: &[Range<usize>]| -> Result<usize, ParquetError> {
                let mut texts = Texts::default();
                let rows = Reading { group, runs }.rows(&mut texts)?;
                let Some(wanted) = query.among(&texts) else { return Ok(0) };
                let before = found.len();
                for Row { judged, place, hop } in &rows {
                    if wanted.is(judged, hop, *place) && current(judged) {
                        found.push(HopRecord::of(&texts, judged, hop, *place));
                    }
                }
                // One that came late more than once is one.
                let mut new: Vec<_> = found.iter().skip(before).map(HopRecord::cursor).collect();
                new.sort_unstable();
                new.dedup();
                Ok(new.len())
            };
            // Of the newest, too many may be of versions that were replaced.
            if !newest.is_empty() && look(&newest)? < query.limit && !others.is_empty() {
                look(&others)?;
            }
            Ok(())
        })
    }

    /// Goes through the groups of rows in which there may be hops of the principals asked for, in the time asked for and not before
    /// `since`, and through those rows of each.
    pub(super) fn each_sought(
        &self,
        query: &HopQuery,
        since: u64,
        mut look: impl FnMut(&Groups<'_>, &[Range<usize>]) -> Result<(), ParquetError>,
    ) -> Result<(), StoreError> {
        if self.last < query.interval.from.max(since) || self.first >= query.interval.to {
            return Ok(());
        }
        let subjects: Vec<[u8; 16]> = query.principals.iter().map(|id| subject(id)).collect();
        let file = self.file()?;
        let sought = self.rows_of(&subjects, &file)?;
        if sought.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        let parquet = Parquet::of(&self.path, file, false)?;
        let read = parquet.each(|group, first| {
            let rows = match &sought {
                Some(sought) => within(sought, first..first + rows_of(group)),
                None if subjects.is_empty() => whole(group),
                None => of_subjects(group, &subjects)?,
            };
            if rows.is_empty() { Ok(()) } else { look(group, &rows) }
        });
        read.map_err(|source| parquet.broken(source))
    }

    /// Rows that may be of these subjects, if there are any and the index says so.
    fn rows_of(&self, subjects: &[[u8; 16]], file: &File) -> Result<Option<Vec<Range<usize>>>, StoreError> {
        let Some(index) = self.index.filter(|_| !subjects.is_empty()) else { return Ok(None) };
        let rows = usize::try_from(self.hops).unwrap_or(usize::MAX);
        let sought = index.rows_of_subjects(file, subjects, rows);
        sought.map(Some).map_err(|source| StoreError::File { path: self.path.clone(), source })
    }

    /// Every trace, for a test.
    #[cfg(test)]
    pub(in super::super) fn whole(&self) -> Result<Block, StoreError> {
        let (mut rows, mut texts) = (Vec::new(), Texts::default());
        self.each(|group| {
            rows.extend(Reading { group, runs: &whole(group) }.rows(&mut texts)?);
            Ok(())
        })?;
        Ok(traces(&mut rows, texts))
    }

    /// Whether the least and the most of a column are kept, for a test.
    #[cfg(test)]
    pub(in super::super) fn tells(&self, column: &str) -> Result<bool, StoreError> {
        let mut tells = true;
        self.each(|group| {
            let columns = group.metadata().columns().iter();
            let mut own = columns.filter(|own| own.column_path().string() == column);
            tells &= own.any(|own| own.statistics().is_some());
            Ok(())
        })?;
        Ok(tells)
    }

    /// Its name beside the others, for the catalog.
    pub(in super::super) fn name(&self, folder: &Path) -> String {
        self.path.strip_prefix(folder).unwrap_or(&self.path).display().to_string()
    }
}

fn whole(group: &Groups<'_>) -> Vec<Range<usize>> {
    std::iter::once(0..rows_of(group)).collect()
}

/// Of rows of a segment those of one row group, as that counts them.
pub(super) fn within(rows: &[Range<usize>], group: Range<usize>) -> Vec<Range<usize>> {
    let from = rows.partition_point(|run| run.end <= group.start);
    let runs = rows.iter().skip(from).take_while(|run| run.start < group.end);
    runs.map(|run| run.start.max(group.start) - group.start..run.end.min(group.end) - group.start).collect()
}

/// Neighbours among places, which come in order, as one run each.
pub(super) fn runs(places: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for place in places {
        match runs.last_mut() {
            Some(run) if run.end == place => run.end += 1,
            _ => runs.push(place..place + 1),
        }
    }
    runs
}

/// Rows that may be asked for, by the few columns that tell most.
struct Promising {
    /// More than enough of them, unless there are not so many.
    newest: Vec<Range<usize>>,
    /// The rest, all of which began before.
    others: Vec<Range<usize>>,
}

/// Runs of rows that are skipped to, one by one. Tests have few rows, and see both ways.
pub(super) const FEW: usize = if SMALL { 2 } else { 1024 };

/// Of some rows those that may be asked for, and did not begin before `since`. To read a whole row takes ten times as long.
fn promising(
    group: &Groups<'_>,
    runs: &[Range<usize>],
    query: &HopQuery,
    since: u64,
) -> Result<Promising, ParquetError> {
    let enough = query.limit.saturating_mul(2).saturating_add(8);
    if runs.iter().map(ExactSizeIterator::len).sum::<usize>() <= enough {
        return Ok(Promising { newest: runs.to_vec(), others: Vec::new() });
    }
    let found = matching(group, runs, query, since)?;
    let mut in_order: Vec<u64> = found.iter().map(|(_, start)| *start).collect();
    let oldest = match in_order.len() > enough {
        true => *in_order.select_nth_unstable_by_key(enough, |start| std::cmp::Reverse(*start)).1,
        false => 0,
    };
    let (newest, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, start)| *start >= oldest);
    let places = |of: Vec<(usize, u64)>| self::runs(of.into_iter().map(|(place, _)| place));
    Ok(Promising { newest: places(newest), others: places(others) })
}

/// Of some rows those that have what is asked for, but for the principal, and did not begin before `since`; and when they began.
pub(super) fn matching(
    group: &Groups<'_>,
    runs: &[Range<usize>],
    query: &HopQuery,
    since: u64,
) -> Result<Vec<(usize, u64)>, ParquetError> {
    let reading = Reading { group, runs };
    let until = query.after.map_or(u64::MAX, |after| after.at);
    let starts: Vec<u64> =
        reading.required::<Int64Type>(Column::Start)?.into_iter().map(i64::cast_unsigned).collect();
    let in_time = |start: &u64| (since..=until).contains(start) && query.interval.has(*start);
    let places = runs.iter().cloned().flatten().zip(starts);
    let mut found: Vec<(usize, u64)> = places.filter(|(_, start)| in_time(start)).collect();
    for (column, wanted) in [
        (Column::Service, query.service.as_deref()),
        (Column::Caller, query.caller.as_deref()),
        (Column::Operation, query.operation.as_deref()),
        (Column::Issuer, query.issuer.as_deref()),
        (Column::Tenant, query.tenant.as_deref()),
        (Column::Via, query.via.as_deref()),
        (Column::Assurance, query.assurance.map(Assurance::as_str)),
        (Column::Basis, query.basis.map(Basis::as_str)),
    ] {
        let Some(wanted) = wanted.filter(|_| !found.is_empty()) else { continue };
        // Mostly few are left, and the texts of the others need not be read; where there are many, to skip takes longer.
        let left = self::runs(found.iter().map(|(place, _)| *place));
        let few = if left.len() <= FEW { left } else { runs.to_vec() };
        let values = Reading { group, runs: &few }.column::<ByteArrayType>(column)?;
        let mut values = few.into_iter().flatten().zip(values);
        found.retain(|(place, _)| {
            // No text is written as none.
            let value = values.find(|(other, _)| other == place);
            let own = value.map(|(_, value)| value);
            let own = own.as_ref().map(|own| own.as_ref().map_or(&b""[..], ByteArray::data));
            own.is_some_and(|own| match column {
                Column::Via => std::str::from_utf8(own).is_ok_and(|own| passes(own, wanted)),
                _ => own == wanted.as_bytes(),
            })
        });
    }
    Ok(found)
}

/// The rows of some traces.
fn of_traces(group: &Groups<'_>, traces: &HashSet<TraceId>) -> Result<Vec<Range<usize>>, ParquetError> {
    let filter = group.get_column_bloom_filter(Column::TraceId as usize);
    let may_be_here = |id: &TraceId| filter.is_none_or(|filter| filter.check(&id.0[..]));
    if !traces.iter().any(may_be_here) {
        return Ok(Vec::new());
    }
    let ids = Reading { group, runs: &whole(group) }.ids::<16>(Column::TraceId)?;
    let places = ids.iter().zip(0..).filter(|(id, _)| traces.contains(&TraceId(**id)));
    Ok(runs(places.map(|(_, place)| place)))
}

/// The rows of some subjects, which stand together.
fn of_subjects(group: &Groups<'_>, subjects: &[[u8; 16]]) -> Result<Vec<Range<usize>>, ParquetError> {
    let column = Column::Subject as usize;
    let statistics = group.metadata().column(column).statistics();
    let least = statistics.and_then(|statistics| statistics.min_bytes_opt());
    let most = statistics.and_then(|statistics| statistics.max_bytes_opt());
    let may_be = |subject: &&[u8; 16]| {
        least.is_none_or(|least| least <= &subject[..]) && most.is_none_or(|most| &subject[..] <= most)
    };
    if !subjects.iter().any(|subject| may_be(&subject)) {
        return Ok(Vec::new());
    }
    let all = Reading { group, runs: &whole(group) }.ids::<16>(Column::Subject)?;
    let mut found: Vec<Range<usize>> = Vec::new();
    for subject in subjects {
        let from = all.partition_point(|other| other < subject);
        let to = all.partition_point(|other| other <= subject);
        if from < to {
            found.push(from..to);
        }
    }
    found.sort_by_key(|run| run.start);
    found.dedup();
    Ok(found)
}

/// Some rows of one row group; `runs` are in order and apart.
pub(super) struct Reading<'r, 'g> {
    pub(super) group: &'r Groups<'g>,
    pub(super) runs: &'r [Range<usize>],
}

fn broken() -> ParquetError {
    ParquetError::General("not what was written".to_owned())
}

/// The only value of a column, or that there is none, where all rows have the same: then it needs not be read.
pub(super) fn only<T: DataType>(chunk: &ColumnChunkMetaData) -> Option<Option<T::T>> {
    fn same<V: PartialEq + 'static>(of: &ValueStatistics<V>) -> Option<&dyn Any> {
        let is_known = of.null_count_opt() == Some(0) && of.min_is_exact() && of.max_is_exact();
        let least = of.min_opt().filter(|least| is_known && Some(*least) == of.max_opt());
        least.map(|value| value as &dyn Any)
    }
    let statistics = chunk.statistics()?;
    let rows = u64::try_from(chunk.num_values()).ok()?;
    if rows > 0 && statistics.null_count_opt() == Some(rows) {
        return Some(None);
    }
    let value = match statistics {
        Statistics::Boolean(of) => same(of),
        Statistics::Int32(of) => same(of),
        Statistics::Int64(of) => same(of),
        Statistics::ByteArray(of) => same(of),
        _ => None,
    }?;
    value.downcast_ref::<T::T>().cloned().map(Some)
}

impl Reading<'_, '_> {
    /// The values of a column, `None` where there is none.
    fn column<T: DataType>(&self, column: Column) -> Result<Vec<Option<T::T>>, ParquetError> {
        let column = column as usize;
        let chunk = self.group.metadata().column(column);
        if let Some(value) = only::<T>(chunk) {
            return Ok(vec![value; self.runs.iter().map(ExactSizeIterator::len).sum()]);
        }
        let reader = self.group.get_column_reader(column)?;
        let is_optional = chunk.column_descr().max_def_level() > 0;
        let mut reader = get_typed_column_reader::<T>(reader);
        let (mut values, mut there, mut at) = (Vec::new(), Vec::new(), 0);
        for run in self.runs {
            reader.skip_records(run.start.saturating_sub(at))?;
            let mut left = run.len();
            while left > 0 {
                let levels = is_optional.then_some(&mut there);
                let (read, _, _) = reader.read_records(left, levels, None, &mut values)?;
                if read == 0 {
                    return Err(broken());
                }
                left -= read;
            }
            at = run.end;
        }
        if !is_optional {
            return Ok(values.into_iter().map(Some).collect());
        }
        let mut values = values.into_iter();
        Ok(there.iter().map(|level| if *level > 0 { values.next() } else { None }).collect())
    }

    pub(super) fn required<T: DataType>(&self, column: Column) -> Result<Vec<T::T>, ParquetError> {
        self.column::<T>(column)?.into_iter().map(|value| value.ok_or_else(broken)).collect()
    }

    pub(super) fn ids<const N: usize>(&self, column: Column) -> Result<Vec<[u8; N]>, ParquetError> {
        let ids = self.required::<FixedLenByteArrayType>(column)?;
        ids.iter().map(|id| id.data().first_chunk::<N>().copied().ok_or_else(broken)).collect()
    }

    pub(super) fn texts(&self, column: Column, texts: &mut Texts) -> Result<Vec<Text>, ParquetError> {
        // Neighbours mostly have the same text.
        let (mut last, mut number) = (ByteArray::from(Vec::new()), Text::default());
        let values = self.column::<ByteArrayType>(column)?;
        let mut numbers = Vec::with_capacity(values.len());
        for value in values {
            let Some(value) = value else {
                numbers.push(Text::default());
                continue;
            };
            if value.data() != last.data() {
                number = texts.add(std::str::from_utf8(value.data()).map_err(|_| broken())?);
                last = value;
            }
            numbers.push(number);
        }
        Ok(numbers)
    }

    pub(super) fn words<W: Copy>(
        &self,
        column: Column,
        all: &[W],
        word: impl Fn(W) -> &'static str,
    ) -> Result<Vec<Option<W>>, ParquetError> {
        let parse = |value: ByteArray| {
            let known = all.iter().copied().find(|known| word(*known).as_bytes() == value.data());
            known.ok_or_else(broken)
        };
        self.column::<ByteArrayType>(column)?.into_iter().map(|value| value.map(parse).transpose()).collect()
    }

    fn rows(&self, texts: &mut Texts) -> Result<Vec<Row>, ParquetError> {
        let starts = self.required::<Int64Type>(Column::Start)?;
        let ends = self.required::<Int64Type>(Column::End)?;
        let trace_ids = self.ids::<16>(Column::TraceId)?;
        let versions = self.required::<Int32Type>(Column::Version)?;
        let places = self.required::<Int32Type>(Column::Place)?;
        let span_ids = self.ids::<8>(Column::SpanId)?;
        let parents = self.column::<FixedLenByteArrayType>(Column::ParentSpanId)?;
        let callers = self.column::<Int32Type>(Column::CallerPlace)?;
        let mut named: Vec<Vec<Text>> = Vec::with_capacity(TEXTS.len());
        for column in TEXTS {
            named.push(self.texts(column, texts)?);
        }
        let kinds = [HopKind::Entry, HopKind::Rpc, HopKind::Messaging];
        let kinds = self.words(Column::Kind, &kinds, HopKind::as_str)?;
        let assurances = self.words(Column::Assurance, &Assurance::ALL, Assurance::as_str)?;
        let bases = [Basis::Claimed, Basis::Reverified, Basis::AuthenticatedSender];
        let bases = self.words(Column::Basis, &bases, Basis::as_str)?;
        let outcomes = [Outcome::Succeeded, Outcome::Rejected, Outcome::Failed, Outcome::Unknown];
        let outcomes = self.words(Column::Outcome, &outcomes, outcome)?;
        let principal_kinds =
            self.words(Column::PrincipalKind, &[Kind::User, Kind::Service, Kind::Agent], Kind::as_str)?;
        let uncovered = self.required::<BoolType>(Column::Uncovered)?;
        let complete = self.required::<BoolType>(Column::Complete)?;
        let closed_early = self.required::<BoolType>(Column::ClosedEarly)?;
        let missing_parents = self.required::<Int32Type>(Column::MissingParents)?;
        let digests = self.required::<Int64Type>(Column::Digest)?;
        let row = |at: usize| -> Option<Row> {
            let mut own = [Text::default(); TEXTS.len()];
            for (slot, column) in own.iter_mut().zip(&named) {
                *slot = *column.get(at)?;
            }
            let parent = match parents.get(at)? {
                Some(parent) => SpanId::new(*parent.data().first_chunk()?),
                None => None,
            };
            Some(Row {
                judged: Judged {
                    trace_id: TraceId(*trace_ids.get(at)?),
                    version: versions.get(at)?.cast_unsigned(),
                    digest: digests.get(at)?.cast_unsigned(),
                    missing_parents: missing_parents.get(at)?.cast_unsigned(),
                    complete: *complete.get(at)?,
                    closed_early: *closed_early.get(at)?,
                    hops: 1,
                },
                place: places.get(at)?.cast_unsigned(),
                hop: Hop {
                    span_id: SpanId(*span_ids.get(at)?),
                    parent,
                    start: starts.get(at)?.cast_unsigned(),
                    end: ends.get(at)?.cast_unsigned(),
                    caller: callers.get(at)?.map(i32::cast_unsigned),
                    texts: HopTexts::from_array(own),
                    kind: (*kinds.get(at)?)?,
                    assurance: (*assurances.get(at)?)?,
                    basis: (*bases.get(at)?)?,
                    outcome: (*outcomes.get(at)?)?,
                    principal_kind: principal_kinds.get(at)?.unwrap_or(Kind::User),
                    uncovered: *uncovered.get(at)?,
                },
            })
        };
        (0..starts.len()).map(|at| row(at).ok_or_else(broken)).collect()
    }
}

/// Segments as they are listed.
pub(in super::super) type Segments = Vec<Arc<Segment>>;

//! The store of one machine: a catalog in SQLite, and segments beside it.
//!
//! Hops that are in no segment yet are in the catalog for the next process and in memory for readers. Readers see a batch
//! once it is durable, and each hop once: what goes from memory into a segment does so in one step.

mod changes;
mod counts;
mod covered;
mod earlier;
mod findings;
mod learned;
mod listed;
mod merging;
mod recent;
mod retention;
mod revised;
mod tend;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hopseal_correlate::catalogue::Catalogue;
use hopseal_correlate::finding::FindingId;
use hopseal_correlate::sink::{SpanId, TraceId};
use rusqlite::{Connection, OpenFlags, params};

pub(crate) use self::earlier::Earlier;

use self::recent::{Known, Recent};
use super::block::{Block, Hop, Judged};
use super::query::{
    Changes, CoveragePoint, EdgeQuery, EdgeRow, FindingQuery, FindingRecord, HopQuery, HopRecord, Interval,
    OpenRow, Remembered, Said, TraceRecord, top,
};
use super::segment::{Segment, Segments};
use super::touched::Touched;
use super::{Again, Batch, Changed, Learned, Merged, Store, StoreError, StoreSettings, Tended};
use crate::serve::disk::{Disk, FileSystem, create_folder};
use crate::serve::pool::emptied;

/// Bytes of the catalog's log that are kept for the next writes.
const LOG: u64 = 64 << 20;
/// What the catalog's tables are, so that a later version knows what it finds.
const FORM: u32 = 3;
/// The table that says so, in every version.
const META: &str =
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID";

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct SqliteStore {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    settings: StoreSettings,
    writer: Mutex<Writer>,
    reader: Mutex<Connection>,
    recent: RwLock<Recent>,
    /// Held by who merges, one at a time; which files could not be read for that.
    merging: Mutex<HashSet<PathBuf>>,
    /// Segments that are in no list any more, and which somebody may look at.
    doomed: Mutex<Vec<Arc<Segment>>>,
    /// The first day that was kept when it was last looked at.
    forgotten: AtomicU64,
    /// Whether it was said that there is no room for hops.
    cramped: AtomicBool,
}

/// The connection that writes.
#[derive(Debug)]
struct Writer {
    connection: Connection,
    /// A block as bytes; kept from one to the next.
    encoded: Vec<u8>,
}

/// Bytes of a page of a new catalog.
const PAGE: u32 = 8 << 10;

fn connect(path: &Path, disk: &dyn Disk) -> Result<Connection, rusqlite::Error> {
    let connection = match disk.vfs() {
        None => Connection::open(path)?,
        Some(vfs) => Connection::open_with_flags_and_vfs(path, OpenFlags::default(), vfs)?,
    };
    // Blocks are large: a page of the usual size holds little of one, and each has to be found, summed and written.
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    // After much was written at once, its log is cut to this again.
    connection.pragma_update(None, "journal_size_limit", LOG)?;
    // What one statement would have to undo need not go through a file: only this process ever undoes it.
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// As SQLite keeps it. No honest clock is past its end, the year 2262.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

impl SqliteStore {
    /// Opens the store in a folder, made if it is not there.
    pub(crate) fn open(folder: &Path, settings: StoreSettings) -> Result<Self, StoreError> {
        Self::open_on(Arc::new(FileSystem), folder, settings)
    }

    /// The same on any disk.
    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        settings: StoreSettings,
    ) -> Result<Self, StoreError> {
        let path = folder.join("catalog.sqlite");
        let failed = |source| StoreError::File { path: folder.to_owned(), source };
        create_folder(&*disk, folder).map_err(failed)?;
        let writer = connect(&path, &*disk)?;
        // Its first journal is removed, and must stay so: one that came back would be played back into what was written since.
        disk.sync_folder(folder).map_err(failed)?;
        writer.execute(META, [])?;
        writer.execute("INSERT OR IGNORE INTO meta VALUES ('form', ?1)", [FORM])?;
        let form: u32 =
            writer.query_row("SELECT value FROM meta WHERE key = 'form'", [], |row| row.get(0))?;
        if form != FORM {
            return Err(StoreError::OtherVersion { path });
        }
        writer.execute_batch(include_str!("schema.sql"))?;
        let recent = Recent::load(&writer, folder)?;
        if settings.mends {
            tend::mend(folder, &recent.segments())?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            settings,
            reader: Mutex::new(connect(&path, &*disk)?),
            disk,
            writer: Mutex::new(Writer { connection: writer, encoded: Vec::new() }),
            recent: RwLock::new(recent),
            merging: Mutex::default(),
            doomed: Mutex::default(),
            forgotten: AtomicU64::new(0),
            cramped: AtomicBool::new(false),
        })
    }

    /// What is there by now.
    pub(crate) fn earlier(&self) -> Earlier {
        Earlier::of(&self.recent())
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent(&self) -> RwLockReadGuard<'_, Recent> {
        self.recent.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn recent_mut(&self) -> RwLockWriteGuard<'_, Recent> {
        self.recent.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, and once more where another process, the one that writes, listed other segments meanwhile: it may have removed some that were
    /// to be looked at.
    fn steady<T>(&self, ask: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        loop {
            let answer = ask();
            if self.settings.mends {
                return answer;
            }
            let by_path = |mut segments: Segments| {
                segments.sort_by(|a, b| a.path.cmp(&b.path));
                segments
            };
            let now = listed::read(&self.reader(), &self.folder)?;
            let before = self.recent().segments().to_vec();
            if by_path(now) == by_path(before) {
                return answer;
            }
            let now = Recent::load(&self.reader(), &self.folder)?;
            *self.recent_mut() = now;
        }
    }

    /// The versions of a trace, and the spans of each, for a test that finds it twice.
    #[cfg(test)]
    pub(crate) fn told_of(&self, trace_id: TraceId) -> Result<Vec<(u32, Vec<SpanId>)>, StoreError> {
        let blocks = self.holding(&HashSet::from([trace_id]), None)?;
        let each = blocks.iter().flat_map(Block::each);
        Ok(each
            .map(|(judged, hops)| (judged.version, hops.iter().map(|hop| hop.span_id).collect()))
            .collect())
    }

    /// Counts no more what traces said that these blocks say anew.
    fn take_replaced(&self, blocks: &[Arc<Block>], counts: &mut counts::Counts) -> Result<(), StoreError> {
        if blocks.iter().all(|block| block.traces.iter().all(|judged| judged.version <= 1)) {
            return Ok(());
        }
        let mut kept: HashSet<TraceId> = HashSet::new();
        // One may be there more than once: late spans came between two turns.
        let mut before: HashMap<TraceId, (&Block, &[Hop])> = HashMap::new();
        let all =
            blocks.iter().flat_map(|block| block.each().map(move |(judged, hops)| (block, judged, hops)));
        for (block, judged, hops) in all.filter(|(_, judged, _)| judged.version > 0) {
            match before.insert(judged.trace_id, (block, hops)) {
                Some((block, hops)) => counts.take(&block.texts, hops),
                None if judged.version > 1 => _ = kept.insert(judged.trace_id),
                None => {}
            }
        }
        self.take_kept(kept, counts)
    }

    /// Counts no more the last versions of these traces.
    fn take_kept(&self, mut traces: HashSet<TraceId>, counts: &mut counts::Counts) -> Result<(), StoreError> {
        let snapshot = {
            let recent = self.recent();
            // Most are of late, and then no segment has to be looked at.
            traces.retain(|trace_id| match recent.last(*trace_id) {
                Some((block, hops)) => {
                    counts.take(&block.texts, block.hops.get(hops).unwrap_or(&[]));
                    false
                }
                None => true,
            });
            recent.snapshot()
        };
        let blocks = snapshot.in_segments(&traces)?;
        for (block, _, hops) in last_of(&blocks).into_values() {
            counts.take(&block.texts, hops);
        }
        Ok(())
    }

    /// The traces of blocks that are not there already in the same version or a later one, and of what came when the rest
    /// of a trace was gone, spans that are not there already. Beside that, what came so and brings nothing new.
    fn fresh(&self, blocks: &[Arc<Block>]) -> Result<(Vec<Arc<Block>>, Again), StoreError> {
        let (mut late, mut again) = (self.late(blocks)?, Again::default());
        let mut all = Vec::with_capacity(blocks.len());
        for block in blocks {
            let known: Vec<Known> = {
                let recent = self.recent();
                block.traces.iter().map(|judged| recent.known(judged)).collect()
            };
            // Late spans may be of a trace that is in the same batch, whole: what could not be kept at first is kept later.
            for ((judged, hops), known) in block.each().zip(&known) {
                if *known == Known::New
                    && let Some(there) = late.get_mut(&judged.trace_id)
                {
                    there.extend(hops.iter().map(|hop| hop.span_id));
                }
            }
            if known.iter().all(|known| *known == Known::New) {
                all.push(Arc::clone(block));
                continue;
            }
            let mut fresh = Block { texts: block.texts.clone(), ..Block::default() };
            for ((judged, hops), known) in block.each().zip(known) {
                let from = fresh.hops.len();
                match known {
                    Known::Same => continue,
                    Known::New => fresh.hops.extend_from_slice(hops),
                    Known::Late => {
                        let there = late.entry(judged.trace_id).or_default();
                        fresh.hops.extend(hops.iter().filter(|hop| there.insert(hop.span_id)));
                        again.add(judged.trace_id, hops, fresh.hops.len() > from);
                    }
                }
                let hops = u32::try_from(fresh.hops.len() - from).unwrap_or(u32::MAX);
                if known == Known::New || hops > 0 {
                    fresh.traces.push(Judged { hops, ..*judged });
                }
            }
            all.push(Arc::new(fresh));
        }
        blocks.iter().for_each(|block| again.add_whole(block));
        Ok((all, again))
    }

    /// By each trace of which something came in these blocks when the rest was gone, the spans that are there, as far as they may be
    /// the same.
    fn late(&self, blocks: &[Arc<Block>]) -> Result<HashMap<TraceId, HashSet<SpanId>>, StoreError> {
        let (mut traces, mut starts) = (HashSet::new(), Vec::new());
        for (judged, hops) in blocks.iter().flat_map(|block| block.each()) {
            if judged.version == 0 {
                traces.insert(judged.trace_id);
                starts.extend(hops.iter().map(|hop| hop.start));
            }
        }
        let mut late: HashMap<TraceId, HashSet<SpanId>> =
            traces.iter().map(|trace_id| (*trace_id, HashSet::new())).collect();
        if traces.is_empty() {
            return Ok(late);
        }
        for block in self.holding(&traces, Some(&starts))? {
            for (judged, hops) in block.each() {
                late.entry(judged.trace_id).or_default().extend(hops.iter().map(|hop| hop.span_id));
            }
        }
        Ok(late)
    }

    /// What holds versions of these traces; of segments those alone that have hops from some of these times, if any are given.
    fn holding(&self, traces: &HashSet<TraceId>, starts: Option<&[u64]>) -> Result<Vec<Block>, StoreError> {
        let (mut blocks, snapshot) = {
            let recent = self.recent();
            let blocks = traces.iter().flat_map(|trace_id| recent.blocks_of(*trace_id));
            (blocks.collect::<Vec<_>>(), recent.snapshot())
        };
        blocks.extend(match starts {
            Some(starts) => snapshot.in_segments_of(traces, starts)?,
            None => snapshot.in_segments(traces)?,
        });
        Ok(blocks)
    }
}

/// A version of a trace, and its hops.
type Version<'b> = (&'b Block, &'b Judged, &'b [Hop]);

/// The last version of each trace that was judged whole.
fn last_of(blocks: &[Block]) -> HashMap<TraceId, Version<'_>> {
    let mut last: HashMap<TraceId, Version<'_>> = HashMap::new();
    for block in blocks {
        for (judged, hops) in block.each().filter(|(judged, _)| judged.version > 0) {
            let known = last.entry(judged.trace_id).or_insert((block, judged, hops));
            if known.1.version < judged.version {
                *known = (block, judged, hops);
            }
        }
    }
    last
}

/// The last version of one trace, and after its hops what came when they were gone.
fn joined(versions: Vec<Version<'_>>) -> Option<(Judged, Vec<HopRecord>)> {
    let (_, judged, _) = *versions.iter().rev().max_by_key(|(_, judged, _)| judged.version)?;
    let (mut hops, mut late): (Vec<HopRecord>, Vec<HopRecord>) = (Vec::new(), Vec::new());
    for (block, of, own) in versions {
        let into = match of.version {
            0 => &mut late,
            // A segment and what it was made of may both be there.
            version if version == judged.version && hops.is_empty() => &mut hops,
            _ => continue,
        };
        into.extend(own.iter().zip(0..).map(|(hop, place)| HopRecord::of(&block.texts, of, hop, place)));
    }
    // What came when the rest was gone, in the order of time, wherever it is kept; it may be there already.
    late.sort_by_key(|hop| (hop.start, hop.span_id));
    let mut known: HashSet<SpanId> = hops.iter().map(|hop| hop.span_id).collect();
    hops.extend(late.into_iter().filter(|hop| known.insert(hop.span_id)));
    Some((*judged, hops))
}

impl Store for SqliteStore {
    fn commit(&self, batch: &Batch) -> Result<Changed, StoreError> {
        let (blocks, again) = self.fresh(&batch.blocks)?;
        let mut counts = counts::Counts::default();
        blocks.iter().for_each(|block| counts.add(block));
        self.take_replaced(&blocks, &mut counts)?;
        let mut writer = self.writer();
        let Writer { connection, encoded } = &mut *writer;
        let transaction = connection.transaction()?;
        let mut kept = Vec::with_capacity(blocks.len());
        for block in blocks.into_iter().filter(|block| !block.traces.is_empty()) {
            emptied(encoded);
            block.encode(encoded);
            transaction
                .prepare_cached("INSERT INTO block (at, body) VALUES (?1, ?2)")?
                .execute(params![int(batch.at), *encoded])?;
            revised::note(&transaction, &block, batch.at)?;
            kept.push((transaction.last_insert_rowid(), block));
        }
        counts.write(&transaction)?;
        let opened = findings::raise(&transaction, batch, &again)?;
        let retracted = findings::retract(&transaction, &batch.retracted, batch.at)?;
        learned::write(&transaction, batch)?;
        transaction.commit()?;
        let mut recent = self.recent_mut();
        kept.into_iter().for_each(|(seq, block)| recent.add(uint(seq), batch.at, block));
        drop(recent);
        Ok(Changed { opened, retracted })
    }

    fn learned(&self, now: u64) -> Result<Learned, StoreError> {
        learned::read(&self.reader(), now, self.settings.capability_days)
    }

    fn catalogue(&self, now: u64) -> Result<Catalogue, StoreError> {
        learned::catalogue(&self.reader(), now, self.settings.capability_days)
    }

    fn remembered(&self, traces: &HashSet<TraceId>) -> Result<Vec<Remembered>, StoreError> {
        let blocks = self.holding(traces, None)?;
        let mut late: HashMap<TraceId, Vec<(u64, SpanId)>> = HashMap::new();
        for (judged, hops) in blocks.iter().flat_map(Block::each).filter(|(judged, _)| judged.version == 0) {
            late.entry(judged.trace_id).or_default().extend(hops.iter().map(|hop| (hop.start, hop.span_id)));
        }
        let reader = self.reader();
        let mut all = Vec::new();
        for (trace_id, (_, judged, hops)) in last_of(&blocks) {
            let mut spans: Vec<SpanId> = hops.iter().map(|hop| hop.span_id).collect();
            let mut known: HashSet<SpanId> = spans.iter().copied().collect();
            let mut late = late.remove(&trace_id).unwrap_or_default();
            late.sort_unstable();
            spans.extend(
                late.into_iter().map(|(_, span_id)| span_id).filter(|span_id| known.insert(*span_id)),
            );
            let findings = findings::of_trace(&reader, trace_id)?;
            all.push(Remembered { judged: *judged, spans, findings });
        }
        all.sort_by_key(|remembered| remembered.judged.trace_id);
        Ok(all)
    }

    fn traces(&self, trace_ids: &[TraceId]) -> Result<Vec<TraceRecord>, StoreError> {
        let wanted: HashSet<TraceId> = trace_ids.iter().copied().collect();
        let (recent, segments) = self.steady(|| {
            let (recent, snapshot) = {
                let recent = self.recent();
                let versions = wanted.iter().flat_map(|trace_id| recent.versions_of(*trace_id));
                (versions.collect::<Vec<_>>(), recent.snapshot())
            };
            Ok((recent, snapshot.in_segments(&wanted)?))
        })?;
        let mut versions: HashMap<TraceId, Vec<Version<'_>>> = HashMap::new();
        let recent = recent.iter().filter_map(|(held, trace)| held.version(*trace));
        let kept =
            segments.iter().flat_map(|block| block.each().map(move |(judged, hops)| (block, judged, hops)));
        for version in recent.chain(kept) {
            versions.entry(version.1.trace_id).or_default().push(version);
        }
        let reader = self.reader();
        let mut found = Vec::new();
        for trace_id in trace_ids {
            let Some((judged, hops)) = versions.remove(trace_id).and_then(joined) else { continue };
            let query =
                FindingQuery { trace_id: Some(*trace_id), limit: usize::MAX, ..FindingQuery::default() };
            found.push(TraceRecord { judged, hops, findings: findings::find(&reader, &query)? });
        }
        Ok(found)
    }

    fn hops(&self, query: &HopQuery) -> Result<Vec<HopRecord>, StoreError> {
        self.steady(|| {
            let mut found = Vec::new();
            let snapshot = self.recent().snapshot();
            snapshot.look(query, &mut found)?;
            top(&mut found, query.limit);
            Ok(found)
        })
    }

    fn touched(&self, query: &HopQuery) -> Result<Touched, StoreError> {
        self.steady(|| {
            let snapshot = self.recent().snapshot();
            snapshot.touched(query)
        })
    }

    fn findings(&self, query: &FindingQuery) -> Result<Vec<FindingRecord>, StoreError> {
        findings::find(&self.reader(), query)
    }

    fn finding(&self, id: FindingId) -> Result<Option<FindingRecord>, StoreError> {
        findings::one(&self.reader(), id)
    }

    fn set_state(&self, id: FindingId, said: &Said) -> Result<bool, StoreError> {
        let mut writer = self.writer();
        let transaction = writer.connection.transaction()?;
        let is_there = findings::set_state(&transaction, id, said)?;
        transaction.commit()?;
        Ok(is_there)
    }

    fn said(&self, id: FindingId, limit: usize) -> Result<Vec<Said>, StoreError> {
        findings::said(&self.reader(), id, limit)
    }

    fn edges(&self, query: &EdgeQuery) -> Result<Vec<EdgeRow>, StoreError> {
        counts::edges(&self.reader(), query)
    }

    fn services(&self) -> Result<Vec<String>, StoreError> {
        counts::services(&self.reader())
    }

    fn operations(&self, service: &str) -> Result<Vec<String>, StoreError> {
        learned::operations(&self.reader(), service)
    }

    fn coverage(
        &self,
        interval: Interval,
        service: Option<&str>,
        minutes: u64,
        limit: usize,
    ) -> Result<Vec<CoveragePoint>, StoreError> {
        covered::coverage(&self.reader(), interval, service, minutes, limit)
    }

    fn coverage_by_service(
        &self,
        interval: Interval,
        minutes: u64,
    ) -> Result<Vec<(String, CoveragePoint)>, StoreError> {
        covered::coverage_by_service(&self.reader(), interval, minutes)
    }

    fn open_findings(&self) -> Result<Vec<OpenRow>, StoreError> {
        findings::open(&self.reader())
    }

    fn receivers(&self, names: &[&str]) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let transaction = writer.connection.transaction()?;
        changes::receivers(&transaction, names)?;
        Ok(transaction.commit()?)
    }

    fn changes(&self, receiver: &str, limit: usize) -> Result<Changes, StoreError> {
        changes::changes(&self.reader(), receiver, limit)
    }

    fn told(&self, receiver: &str, seq: u64) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let transaction = writer.connection.transaction()?;
        changes::told(&transaction, receiver, seq)?;
        Ok(transaction.commit()?)
    }

    fn tend(&self, now: u64) -> Result<Tended, StoreError> {
        Ok(Tended { sealed: self.seal(now)?, removed: self.forget(now)? })
    }

    fn merge(&self, now: u64, is_over: &dyn Fn() -> bool) -> Result<Merged, StoreError> {
        self.merge_some(now, is_over)
    }

    fn segments(&self) -> u64 {
        self.recent().segments().len() as u64
    }

    fn unclosed(&self) -> u64 {
        self.recent().unclosed()
    }
}

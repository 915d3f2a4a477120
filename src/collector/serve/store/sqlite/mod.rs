//! The store of one machine: a catalog in SQLite, and segments beside it.
//!
//! Hops that are in no segment yet are in the catalog for the next process and in memory for readers. Readers see a batch
//! once it is durable, and each hop once: what goes from memory into a segment does so in one step.

mod changes;
mod counts;
mod findings;
mod learned;
mod recent;
mod tend;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hopseal_correlate::finding::FindingId;
use hopseal_correlate::sink::{SpanId, TraceId};
use rusqlite::{Connection, Transaction, params};

use self::recent::Recent;
use super::block::{Block, Judged};
use super::query::{
    Changes, CoveragePoint, EdgeRow, FindingQuery, FindingRecord, HopQuery, HopRecord, Interval, OpenRow,
    Said, TraceRecord, top,
};
use super::{Batch, Changed, Learned, Store, StoreError, StoreSettings, Tended};

/// What the catalog's tables are, so that a later version knows what it finds.
const FORM: u32 = 1;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct SqliteStore {
    folder: PathBuf,
    settings: StoreSettings,
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    recent: RwLock<Recent>,
    /// The first day that was kept when it was last looked at.
    forgotten: AtomicU64,
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
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
        let path = folder.join("catalog.sqlite");
        std::fs::create_dir_all(folder)
            .map_err(|source| StoreError::File { path: folder.to_owned(), source })?;
        let writer = connect(&path)?;
        writer.execute_batch(include_str!("schema.sql"))?;
        writer.execute("INSERT OR IGNORE INTO meta VALUES ('form', ?1)", [FORM])?;
        let form: u32 =
            writer.query_row("SELECT value FROM meta WHERE key = 'form'", [], |row| row.get(0))?;
        if form != FORM {
            return Err(StoreError::Broken("a catalog of this version"));
        }
        let recent = Recent::load(&writer, folder)?;
        if settings.mends {
            tend::mend(folder, &recent.segments())?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            settings,
            reader: Mutex::new(connect(&path)?),
            writer: Mutex::new(writer),
            recent: RwLock::new(recent),
            forgotten: AtomicU64::new(0),
        })
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
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

    /// The last version of a trace, then what came when it was gone; each alone.
    fn versions(&self, trace_id: TraceId) -> Result<Vec<Block>, StoreError> {
        let (mut blocks, snapshot) = {
            let recent = self.recent();
            (recent.blocks_of(trace_id), recent.snapshot())
        };
        blocks.extend(snapshot.in_segments(trace_id)?);
        let mut alone = Vec::new();
        for block in &blocks {
            for (judged, hops) in block.each() {
                let texts = block.texts.clone();
                alone.push(Block { texts, traces: vec![*judged], hops: hops.to_vec() });
            }
        }
        let version = |block: &Block| block.traces.first().map_or(0, |judged| judged.version);
        alone.sort_by_key(|block| std::cmp::Reverse(version(block)));
        let last = alone.first().map_or(0, version);
        alone.retain(|block| [0, last].contains(&version(block)));
        Ok(alone)
    }

    /// The last version of a trace alone, if it was ever whole.
    fn last(&self, trace_id: TraceId) -> Result<Option<Block>, StoreError> {
        // Most are of late, and then no segment has to be looked at.
        let recent = self.recent().blocks_of(trace_id);
        let is_whole = |block: &Block| block.traces.first().is_some_and(|judged| judged.version > 0);
        if let Some(block) = recent.into_iter().find(is_whole) {
            return Ok(Some(block));
        }
        Ok(self.versions(trace_id)?.into_iter().find(is_whole))
    }

    /// The traces of a block that are not there already in the same version or a later one.
    fn fresh(&self, block: &Block) -> Block {
        let recent = self.recent();
        let known = |judged: &Judged| recent.has(judged);
        if !block.traces.iter().any(known) {
            return block.clone();
        }
        let mut fresh = Block { texts: block.texts.clone(), ..Block::default() };
        for (judged, hops) in block.each().filter(|(judged, _)| !known(judged)) {
            fresh.traces.push(*judged);
            fresh.hops.extend_from_slice(hops);
        }
        fresh
    }
}

fn revise(transaction: &Transaction<'_>, block: &Block, at: u64) -> Result<(), rusqlite::Error> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO revised VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET version = max(version, ?2), at = ?3",
    )?;
    for judged in block.traces.iter().filter(|judged| judged.version > 1) {
        insert.execute(params![judged.trace_id.0, judged.version, int(at)])?;
    }
    Ok(())
}

impl Store for SqliteStore {
    fn commit(&self, batch: &Batch) -> Result<Changed, StoreError> {
        let block = self.fresh(&batch.block);
        let mut counts = counts::Counts::default();
        counts.add(&block);
        for judged in block.traces.iter().filter(|judged| judged.version > 1) {
            if let Some(before) = self.last(judged.trace_id)? {
                counts.take(&before);
            }
        }
        let mut body = Vec::new();
        block.encode(&mut body);
        let body = lz4_flex::compress_prepend_size(&body);
        let mut writer = self.writer();
        let transaction = writer.transaction()?;
        let mut seq = None;
        if !block.traces.is_empty() {
            transaction
                .prepare_cached("INSERT INTO block (at, body) VALUES (?1, ?2)")?
                .execute(params![int(batch.at), body])?;
            seq = Some(transaction.last_insert_rowid());
            revise(&transaction, &block, batch.at)?;
            counts.write(&transaction)?;
        }
        let opened = findings::raise(&transaction, batch)?;
        let retracted = findings::retract(&transaction, &batch.retracted, batch.at)?;
        learned::write(&transaction, batch)?;
        transaction.commit()?;
        if let Some(seq) = seq {
            self.recent_mut().add(uint(seq), batch.at, block);
        }
        Ok(Changed { opened, retracted })
    }

    fn learned(&self, now: u64) -> Result<Learned, StoreError> {
        learned::read(&self.reader(), now, self.settings.capability_days)
    }

    fn judged(&self, trace_id: TraceId) -> Result<Option<Judged>, StoreError> {
        Ok(self.last(trace_id)?.and_then(|block| block.traces.first().copied()))
    }

    fn trace(&self, trace_id: TraceId) -> Result<Option<TraceRecord>, StoreError> {
        let blocks = self.versions(trace_id)?;
        let Some(judged) = blocks.first().and_then(|block| block.traces.first()).copied() else {
            return Ok(None);
        };
        let (mut hops, mut late): (Vec<HopRecord>, Vec<HopRecord>) = (Vec::new(), Vec::new());
        for block in &blocks {
            for (judged, own) in block.each() {
                let into = if judged.version == 0 { &mut late } else { &mut hops };
                let own = own.iter().zip(0..);
                into.extend(own.map(|(hop, place)| HopRecord::of(&block.texts, judged, hop, place)));
            }
        }
        // What came when the rest was gone, in the order of time, wherever it is kept; it may be there already.
        late.sort_by_key(|hop| (hop.start, hop.span_id));
        let mut known: HashSet<SpanId> = hops.iter().map(|hop| hop.span_id).collect();
        hops.extend(late.into_iter().filter(|hop| known.insert(hop.span_id)));
        let query = FindingQuery { trace_id: Some(trace_id), limit: usize::MAX, ..FindingQuery::default() };
        Ok(Some(TraceRecord { judged, hops, findings: self.findings(&query)? }))
    }

    fn hops(&self, query: &HopQuery) -> Result<Vec<HopRecord>, StoreError> {
        let mut found = Vec::new();
        let snapshot = self.recent().snapshot();
        snapshot.look(query, &mut found)?;
        top(&mut found, query.limit);
        Ok(found)
    }

    fn findings(&self, query: &FindingQuery) -> Result<Vec<FindingRecord>, StoreError> {
        findings::find(&self.reader(), query)
    }

    fn finding(&self, id: FindingId) -> Result<Option<FindingRecord>, StoreError> {
        findings::one(&self.reader(), id)
    }

    fn set_state(&self, id: FindingId, said: &Said) -> Result<bool, StoreError> {
        let mut writer = self.writer();
        let transaction = writer.transaction()?;
        let is_there = findings::set_state(&transaction, id, said)?;
        transaction.commit()?;
        Ok(is_there)
    }

    fn said(&self, id: FindingId, limit: usize) -> Result<Vec<Said>, StoreError> {
        findings::said(&self.reader(), id, limit)
    }

    fn edges(&self, interval: Interval) -> Result<Vec<EdgeRow>, StoreError> {
        counts::edges(&self.reader(), interval)
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
    ) -> Result<Vec<CoveragePoint>, StoreError> {
        counts::coverage(&self.reader(), interval, service, minutes)
    }

    fn coverage_by_service(
        &self,
        interval: Interval,
        minutes: u64,
    ) -> Result<Vec<(String, CoveragePoint)>, StoreError> {
        counts::coverage_by_service(&self.reader(), interval, minutes)
    }

    fn open_findings(&self) -> Result<Vec<OpenRow>, StoreError> {
        findings::open(&self.reader())
    }

    fn receivers(&self, names: &[&str]) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let transaction = writer.transaction()?;
        changes::receivers(&transaction, names)?;
        Ok(transaction.commit()?)
    }

    fn changes(&self, receiver: &str, limit: usize) -> Result<Changes, StoreError> {
        changes::changes(&self.reader(), receiver, limit)
    }

    fn told(&self, receiver: &str, seq: u64) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let transaction = writer.transaction()?;
        changes::told(&transaction, receiver, seq)?;
        Ok(transaction.commit()?)
    }

    fn tend(&self, now: u64) -> Result<Tended, StoreError> {
        Ok(Tended { sealed: self.seal(now)?, removed: self.forget(now)? })
    }
}

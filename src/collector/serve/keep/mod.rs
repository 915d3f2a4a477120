//! Keeps what is received: durable before the answer, judged once a trace is quiet, stored.
//!
//! ```text
//! Delivery --> shards --records--> journal --durable--> answer
//!                '--windows--> judge --turn--> store, then the journal forgets
//! ```
//! A process that is killed at any moment loses nothing it answered for: what is not in the store is in the journal, and
//! read back from there. What is in both is judged again, found to be the same, and changes nothing.

mod answer;
#[cfg(test)]
mod crash;
mod health;
mod journal;
mod judging;
mod links;
mod many;
mod over_time;
pub(crate) mod own;
#[cfg(test)]
mod power;
mod publish;
mod reading;
mod settings;
mod shard;
mod slab;
#[cfg(test)]
mod tests;
mod waiting;
mod windows;

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use hopseal_correlate::catalogue::Catalogue;
use hopseal_correlate::dialect::Dialects;
use hopseal_correlate::record::packed::unpack;
use hopseal_correlate::sink::TraceId;
use hopseal_correlate::survey::Survey;

pub(crate) use self::settings::{Durability, KeepSettings, WindowSettings};

use self::answer::answer;
use self::journal::{Frame, Gone, Journal, JournalError, Left, trace_ids};
use self::over_time::OverTime;
use self::own::OwnKey;
use self::publish::Publisher;
pub(crate) use self::publish::{PublishError, PublishSettings};
use self::reading::Share;
#[cfg(test)]
pub(crate) use self::shard::faults;
use self::shard::{Found, Parts, Recalled, ToShard};
pub(crate) use self::windows::Counts;

use self::windows::{Last, Stood};
use crate::serve::clock::Clock;
use crate::serve::delivery::{Accept, Accepted, Delivery, Refused};
use crate::serve::disk::{Disk, FileSystem, create_folder};
use crate::serve::health::Unready;
use crate::serve::metrics::Metrics;
use crate::serve::rules::Rules;
use crate::serve::store::{Batch, Judged, Remembered, SqliteStore, Store, StoreError};
use crate::serve::tail::Tail;

/// When to try again after too much was on its way.
const WHEN_OVERLOADED: Duration = Duration::from_secs(1);
/// When to try again after the store was found to be behind.
const WHEN_BEHIND: Duration = Duration::from_secs(5);
/// When to try again after the disk was found nearly full.
const WHEN_FULL: Duration = Duration::from_secs(30);
/// How long a process knows what earlier ones judged and let go, in nanoseconds: an hour.
const EARLIER: u64 = 3_600_000_000_000;
/// Locked by the one process that writes in the folder.
const LOCK: &str = "lock";
/// The journal of versions that kept it in a data base.
const OLD_JOURNAL: &str = "journal.sqlite";
/// Bytes of records given to a shard at once when a journal is read back.
const RECOVERED_BYTES: usize = 1 << 20;

/// The keeper cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum KeepError {
    /// The directory cannot be used.
    #[error("cannot use `{}`", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[from] StoreError),
    /// Another process keeps there what it receives. Two would write over each other's journal.
    #[error("another process keeps what it receives in `{}`", path.display())]
    Taken {
        /// Where.
        path: PathBuf,
    },
    /// There is a journal in a form that is read no more.
    #[error("`{}` is the journal of an earlier version, which this one does not read: begin in another folder, and ask this one by that version", path.display())]
    OldJournal {
        /// Where.
        path: PathBuf,
    },
    /// The journal cannot be opened or read back.
    #[error("cannot read the journal back")]
    Journal(#[from] JournalError),
    /// A thread cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

/// What was counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct KeepCounts {
    /// Open traces.
    pub(crate) open: usize,
    /// Bytes of their spans.
    pub(crate) open_bytes: usize,
    /// Of traces judged early, late and again.
    pub(crate) windows: Counts,
    /// Traces, and windows of many, that were let go as judging them panicked.
    pub(crate) broken: u64,
    pub(crate) broken_windows: u64,
    /// Spans linked to that are remembered, and how many were let go for others.
    pub(crate) linked: (usize, u64),
    /// Credentials and transactions that are remembered, and how many were let go for others.
    pub(crate) used: (usize, u64),
    /// Turns that the store failed to keep; what was found in them is kept with the next that succeeds.
    pub(crate) failed_turns: u64,
    /// How often the journal could not be written, or a file of it not removed.
    pub(crate) journal_failures: u64,
    /// Free bytes of the disk, as of the last turn.
    pub(crate) free: u64,
    /// Whether they are so few that somebody should be told.
    pub(crate) alarm: bool,
}

/// See the [module](self).
pub(crate) struct Keeper {
    shards: Vec<Sender<ToShard>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// None where answers do not wait for the disk, and once it is stopped.
    journal: Mutex<Option<Journal>>,
    store: Arc<SqliteStore>,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    settings: KeepSettings,
    rules: Arc<ArcSwap<Rules>>,
    /// The catalogue, where it is given.
    given: Option<Catalogue>,
    waiting: Arc<AtomicUsize>,
    /// The room of what was found and is not in the store.
    held: Arc<AtomicUsize>,
    /// Hops that are in the store and in no segment.
    unclosed: AtomicUsize,
    stopping: AtomicBool,
    full: AtomicBool,
    /// Whether the journal cannot be written.
    failing: Arc<AtomicBool>,
    /// Whether a thread beside its own was lost.
    lost: AtomicBool,
    turn: Mutex<Unsaved>,
    tail: Tail,
    metrics: Arc<Metrics>,
    own: Arc<OwnKey>,
    publisher: Option<Publisher>,
    /// Held until it is stopped.
    lock: Mutex<Option<File>>,
}

/// What is between the shards and the store.
#[derive(Debug, Default)]
struct Unsaved {
    batch: Batch,
    gone: Vec<Gone>,
    counts: KeepCounts,
    over_time: OverTime,
    /// What services had shown when a window was last over.
    baseline: Catalogue,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Keeper {
    /// Opens the directory, reads back what an earlier process had not judged, and starts. `catalogue`: what services
    /// show, where that is given; else it is learned and kept.
    pub(crate) fn start(
        settings: KeepSettings,
        rules: Arc<ArcSwap<Rules>>,
        catalogue: Option<Catalogue>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, KeepError> {
        Self::start_on(Arc::new(FileSystem), settings, rules, catalogue, clock, metrics)
    }

    /// The same on any disk.
    pub(super) fn start_on(
        disk: Arc<dyn Disk>,
        settings: KeepSettings,
        rules: Arc<ArcSwap<Rules>>,
        catalogue: Option<Catalogue>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, KeepError> {
        let folder = &settings.folder;
        create_folder(&*disk, folder).map_err(|source| KeepError::Folder { path: folder.clone(), source })?;
        let lock = locked(folder)?;
        let old = folder.join(OLD_JOURNAL);
        if old.exists() {
            return Err(KeepError::OldJournal { path: old });
        }
        let own = OwnKey::of(folder).map_err(|source| KeepError::Folder { path: folder.clone(), source })?;
        let own = Arc::new(own);
        let store = Arc::new(SqliteStore::open_on(Arc::clone(&disk), folder, settings.store)?);
        let learned = store.learned(clock.now())?;
        let mut left = Left::open(Arc::clone(&disk), &folder.join("journal"))?;
        let given = catalogue.clone();
        let baseline = learned.catalogue.clone();
        let over_time = OverTime::recall(&learned.windows, clock.now(), &rules.load().policy);
        let mut survey = Survey { catalogue: catalogue.unwrap_or(learned.catalogue), ..Survey::default() };
        learned.validating.iter().for_each(|service| survey.validating.add(service));
        let count = settings.shards.get().min(64);
        let (shards, receivers): (Vec<_>, Vec<Receiver<_>>) = (0..count).map(|_| channel()).unzip();
        let shares = Share::all(count);
        recover(&mut left, &shares, &shards, &rules.load().dialects)?;
        let runs = Arc::new(AtomicU64::new(left.next()));
        let (journal, writer) = left.start()?;
        let failing = journal.failing();
        let journal = (settings.durability == Durability::Disk).then_some(journal);
        let held: Arc<AtomicUsize> = Arc::default();
        // Without a journal it has ended by now.
        let mut threads: Vec<_> = Some(writer).filter(|_| journal.is_some()).into_iter().collect();
        let (earlier, now) = (Arc::new(store.earlier()), clock.now());
        for (share, from) in shares.into_iter().zip(receivers) {
            let parts = Parts {
                share,
                rules: Arc::clone(&rules),
                window: settings.window,
                clock: Arc::clone(&clock),
                journal: journal.clone(),
                earlier: Arc::clone(&earlier),
                earlier_until: now.saturating_add(EARLIER),
                runs: Arc::clone(&runs),
                survey: survey.clone(),
                shards: shards.clone(),
                own: Arc::clone(&own),
                held: Arc::clone(&held),
                learns: given.is_none(),
            };
            let name = format!("shard {}", parts.share.own());
            let thread = std::thread::Builder::new().name(name);
            threads.push(thread.spawn(move || shard::run(parts, &from)).map_err(KeepError::Thread)?);
        }
        let unclosed = usize::try_from(store.unclosed()).unwrap_or(usize::MAX);
        let keeper = Self {
            shards,
            threads: Mutex::new(threads),
            journal: Mutex::new(journal),
            store,
            disk,
            clock,
            settings,
            rules,
            given,
            waiting: Arc::default(),
            held,
            unclosed: AtomicUsize::new(unclosed),
            stopping: AtomicBool::new(false),
            full: AtomicBool::new(false),
            failing,
            lost: AtomicBool::new(false),
            turn: Mutex::new(Unsaved { baseline, over_time, ..Unsaved::default() }),
            tail: Tail::default(),
            metrics,
            own,
            publisher: None,
            lock: Mutex::new(Some(lock)),
        };
        keeper.recall()?;
        keeper.look_at_disk(&mut keeper.unsaved().counts);
        Ok(keeper)
    }

    /// What was found.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    /// Has what is found sent out as spans, by OTLP over HTTP.
    ///
    /// # Errors
    /// When who sends cannot be made.
    pub(crate) fn publish(&mut self, settings: &PublishSettings) -> Result<(), PublishError> {
        self.publisher = Some(Publisher::start(settings, &self.own, &self.metrics)?);
        Ok(())
    }

    /// What is found from now on.
    pub(crate) fn tail(&self) -> Tail {
        self.tail.clone()
    }

    /// Tells shards how the traces that were read back had been judged.
    fn recall(&self) -> Result<(), KeepError> {
        let found = self.ask();
        for (shard, found) in self.shards.iter().zip(found) {
            let remembered = self.store.remembered(&found.kept.into_iter().collect())?;
            let traces = remembered.into_iter().map(|Remembered { judged, spans, findings }| {
                let Judged { trace_id, version, digest, hops: whole, closed_early, .. } = judged;
                let findings =
                    findings.into_iter().map(|id| Stood { id, span_id: None, within: 0 }).collect();
                // Judged once, and early: it was never whole.
                let counted = version > 1 || !closed_early;
                let last = Last { version, digest, findings, counted };
                let has_late = spans.len() > whole as usize;
                Recalled { trace_id, last, has_late, hops: spans.into_iter().collect() }
            });
            let traces = traces.collect();
            let _ = shard.send(ToShard::Recall(traces));
        }
        Ok(())
    }

    fn ask(&self) -> Vec<shard::Recovered> {
        let ask = |shard: &Sender<ToShard>| {
            let (to, from) = channel();
            shard.send(ToShard::Which(to)).ok()?;
            from.recv().ok()
        };
        self.shards.iter().filter_map(ask).collect()
    }

    fn journal(&self) -> MutexGuard<'_, Option<Journal>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsaved(&self) -> MutexGuard<'_, Unsaved> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges what is due, keeps what was found, and lets the journal forget what is no longer needed. To be called every
    /// second or so, from a thread that may block. Errors do not stop anything: what was not kept is kept with the next
    /// turn that succeeds.
    pub(crate) fn turn(&self) -> Result<(), StoreError> {
        let mut unsaved = self.unsaved();
        let (to, from) = channel();
        self.shards.iter().for_each(|shard| _ = shard.send(ToShard::Turn(to.clone())));
        drop(to);
        let found: Vec<Found> = from.iter().collect();
        // One that is gone says no more what it needs of the journal: whoever comes next reads it back.
        let are_all = found.len() == self.shards.len();
        let now = self.clock.now();
        self.look_at_disk(&mut unsaved.counts);
        let counts = &mut unsaved.counts;
        (counts.open, counts.open_bytes, counts.windows, counts.broken) = (0, 0, Counts::default(), 0);
        counts.linked = (0, 0);
        let mut needed = u64::MAX;
        for found in found {
            let counts = &mut unsaved.counts;
            counts.open += found.open.0;
            counts.open_bytes += found.open.1;
            counts.windows.add(found.counts);
            counts.broken += found.broken;
            counts.linked.0 += found.linked.0;
            counts.linked.1 += found.linked.1;
            needed = needed.min(found.needed);
            if self.given.is_none() && !found.batch.shown.is_empty() {
                let shown = Arc::new(found.batch.shown.clone());
                self.shards.iter().for_each(|shard| _ = shard.send(ToShard::Shown(Arc::clone(&shown))));
            }
            // What is raised again is retracted no more.
            let held = unsaved.batch.room() + found.batch.room();
            unsaved.batch.append(found.batch);
            self.held.fetch_sub(held - unsaved.batch.room(), Ordering::Relaxed);
            unsaved.gone.push(found.gone);
            self.gather(found.across, &mut unsaved, now);
        }
        self.judge_windows(&mut unsaved, now)?;
        unsaved.counts.used = unsaved.over_time.remembered();
        let gathered = unsaved.over_time.save();
        unsaved.batch.gathered.append(gathered);
        unsaved.batch.at = now;
        if !unsaved.batch.is_empty() {
            match self.store.commit(&unsaved.batch) {
                Ok(changed) => {
                    self.tail.tell(&unsaved.batch, &changed);
                    self.metrics.found(&unsaved.batch, &changed);
                    if let Some(publisher) = &self.publisher {
                        publisher.tell(&unsaved.batch, &changed, &*self.store);
                    }
                }
                Err(error) => {
                    unsaved.counts.failed_turns += 1;
                    unsaved.over_time.failed();
                    return Err(error);
                }
            }
        }
        self.count_unclosed();
        self.held.fetch_sub(unsaved.batch.room(), Ordering::Relaxed);
        unsaved.batch = Batch::default();
        let gone = std::mem::take(&mut unsaved.gone);
        if let Some(journal) = self.journal().as_ref() {
            unsaved.counts.journal_failures = journal.failures();
            if are_all && needed != u64::MAX {
                journal.forget(needed, gone);
            }
        }
        drop(unsaved);
        self.metrics.open(&self.store.open_findings()?);
        let tended = self.store.tend(now);
        self.count_unclosed();
        match &tended {
            Ok(tended) => self.metrics.tended(*tended),
            Err(_) => _ = self.metrics.failed_tending.inc(),
        }
        tended.map(drop)
    }

    fn count_unclosed(&self) {
        let unclosed = self.store.unclosed();
        self.metrics.unclosed(unclosed);
        self.unclosed.store(usize::try_from(unclosed).unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Merges what small segments there are, until there are few or it is to stop. It takes seconds: for a thread of its own.
    pub(crate) fn merge(&self) -> Result<(), StoreError> {
        let is_over = || self.stopping.load(Ordering::Acquire);
        while !is_over() {
            let merged = match self.store.merge(self.clock.now(), &is_over) {
                Err(StoreError::Stopped) => return Ok(()),
                merged => merged?,
            };
            self.metrics.merged(merged, self.store.segments());
            if merged.segments == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Refuses before the disk is full: what was taken still has to be written, and deleting takes room too.
    fn look_at_disk(&self, counts: &mut KeepCounts) {
        // Where it cannot be told, writing fails in time and says so.
        let Ok(free) = self.disk.free(&self.settings.folder) else { return };
        counts.free = free;
        counts.alarm = counts.free < self.settings.store.alarm_under;
        self.full.store(counts.free < self.settings.store.refuse_under, Ordering::Release);
    }

    /// What was counted, as of the last turn.
    pub(crate) fn counts(&self) -> KeepCounts {
        self.unsaved().counts
    }

    /// Takes nothing more, keeps what was found, and ends. Open traces are read back by the next process.
    pub(crate) fn stop(&self) -> Result<(), StoreError> {
        self.stopping.store(true, Ordering::Release);
        let turned = self.turn();
        self.end();
        turned
    }

    /// Ends the threads.
    fn end(&self) {
        self.stopping.store(true, Ordering::Release);
        self.shards.iter().for_each(|shard| _ = shard.send(ToShard::Stop));
        *self.journal() = None;
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // A thread that panicked has nothing more to say.
        threads.into_iter().for_each(|thread| _ = thread.join());
        // Who comes next removes files that no catalog names: one that is being merged must be named by then, or given up.
        self.store.wait_for_merge();
        self.unlock();
    }

    fn unlock(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Takes a folder for this process alone. The system gives it back however the process ends.
fn locked(folder: &Path) -> Result<File, KeepError> {
    let path = folder.join(LOCK);
    let failed = |source| KeepError::Folder { path: path.clone(), source };
    let file = File::options().create(true).write(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(KeepError::Taken { path: folder.to_owned() }),
        Err(TryLockError::Error(error)) => {
            // Some file systems of networks know no locks.
            tracing::warn!(%error, "cannot lock the folder: see to it that no other process writes there");
            Ok(file)
        }
    }
}

/// Hands the records that an earlier process left in its journal to the shards.
fn recover(
    left: &mut Left,
    shares: &[Share],
    shards: &[Sender<ToShard>],
    dialects: &Dialects,
) -> Result<(), KeepError> {
    let mut waiting: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let Some(share) = shares.first() else { return Ok(()) };
    // First what is not needed: it may stand behind what it is about.
    let mut gone: HashMap<TraceId, u64> = HashMap::new();
    left.gone(|until, ids| {
        for trace_id in trace_ids(ids) {
            let last = gone.entry(trace_id).or_default();
            *last = until.max(*last);
        }
    })?;
    for (shard, number) in shards.iter().zip(0..) {
        let own = gone.keys().copied().filter(|trace_id| share.of(*trace_id) == number);
        let _ = shard.send(ToShard::Gone(own.collect()));
    }
    left.each(|frame| {
        let Frame::Run { seq: run, body } = frame else { return };
        // A checksum answers for whole runs; a broken one would be a fault of ours, and costs itself.
        let _ = unpack(body, dialects, |trace_id: TraceId, record| {
            if gone.get(&trace_id).is_some_and(|until| run < *until) {
                return;
            }
            let shard = share.of(trace_id);
            let records = waiting.entry(shard).or_default();
            records.extend_from_slice(record);
            if records.len() >= RECOVERED_BYTES
                && let Some(shard) = shards.get(shard)
            {
                let _ = shard.send(ToShard::Recovered(run, std::mem::take(records)));
            }
        });
        for (shard, records) in std::mem::take(&mut waiting) {
            if let Some(shard) = shards.get(shard) {
                let _ = shard.send(ToShard::Recovered(run, records));
            }
        }
    })?;
    Ok(())
}

impl Accept for Keeper {
    async fn accept(&self, delivery: Delivery) -> Result<Accepted, Refused> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(Refused::Stopping);
        }
        if self.full.load(Ordering::Acquire) {
            return Err(Refused::DiskFull { retry_after: WHEN_FULL });
        }
        if self.is_behind() {
            return Err(Refused::Overloaded { retry_after: WHEN_BEHIND });
        }
        let bytes = delivery.body.len();
        // One alone may be as large as any: else it could never come.
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if before > 0 && before.saturating_add(bytes) > self.settings.waiting_bytes {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Refused::Overloaded { retry_after: WHEN_OVERLOADED });
        }
        let (parts, from) = answer(self.shards.len(), Arc::clone(&self.waiting), bytes);
        for (shard, part) in self.shards.iter().zip(parts) {
            // Without a thread behind it the part is dropped here, and says that nothing was kept.
            let _ = shard.send(ToShard::Delivery(delivery.clone(), part));
        }
        from.await.unwrap_or(Err(Refused::Failed))
    }

    fn unready(&self) -> Vec<Unready> {
        self.reasons()
    }
}

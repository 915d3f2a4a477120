//! Spans on the disk before the answer: runs of records, many of them in one sync.
//!
//! ```text
//! shards --run--> writer thread --append, sync--> journal/<number>.log --answers-->
//! ```
//! There is no timer: while one sync is on its way the next runs gather, so a lone run waits for nobody and many share one.
//!
//! A file is written once, from front to end, and removed when no run in it is needed. Which traces are needed no more is
//! written too, before a file is removed: else a part of one could come back from the files that are left.

mod frame;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use hopseal_correlate::sink::TraceId;

pub(super) use self::frame::{Frame, trace_ids};

use self::frame::{MAGIC, frames, is_other_version, skim};
use super::answer::Answer;
use crate::serve::disk::{Disk, DiskFile, create_folder_in};
use crate::serve::pool::Buffer;

/// Bytes gathered into one sync.
const COMMIT_BYTES: usize = 8 << 20;
/// Bytes past which a file is followed by another.
const FILE_BYTES: u64 = 64 << 20;
/// Runs that may wait for the writer; senders wait then, and with them who delivers.
const WAITING: usize = 64;
/// Bytes from which on the body of a frame is not gathered with others.
const DIRECT: usize = 64 << 10;
/// How the names of its files end.
const KIND: &str = "log";

/// The journal could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum JournalError {
    /// A file or folder of it cannot be used.
    #[error("`{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What it holds was answered for, and cannot be read.
    #[error(
        "`{}` was written by another version of hopseal: start that version once more and let it judge what it holds, or \
         remove the file and lose that",
        path.display()
    )]
    OtherVersion {
        /// Which.
        path: PathBuf,
    },
    /// The writer could not be started.
    #[error("cannot start the journal's writer")]
    Thread(#[source] io::Error),
}

/// Some records of one shard, packed, and who is waiting for them.
#[derive(Debug)]
pub(crate) struct Run {
    /// Its number: the shard that made it took it.
    pub(crate) seq: u64,
    /// Its records.
    pub(crate) body: Buffer,
    /// Answers that wait for it.
    pub(crate) answers: Vec<Answer>,
}

enum ToWriter {
    Run(Run),
    /// Runs under this number are no longer needed, nor are those traces.
    Forget(u64, Vec<Gone>),
}

/// The writing end.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    to: SyncSender<ToWriter>,
    failures: Arc<AtomicU64>,
    failing: Arc<AtomicBool>,
}

impl std::fmt::Debug for ToWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run(run) => f.debug_tuple("Run").field(&run.seq).finish(),
            Self::Forget(seq, gone) => f.debug_tuple("Forget").field(seq).field(&gone.len()).finish(),
        }
    }
}

/// Traces that were let go: nothing of them in runs under that number is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) until: u64,
    pub(crate) traces: Vec<TraceId>,
}

/// A file that is written no more.
#[derive(Debug)]
struct Closed {
    path: PathBuf,
    /// The highest number of a run in it.
    last: u64,
}

/// What an earlier process left behind.
#[derive(Debug)]
pub(crate) struct Left {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    files: VecDeque<Closed>,
    next: u64,
}

impl Left {
    /// Opens the journal in `folder`, made if it is not there.
    pub(crate) fn open(disk: Arc<dyn Disk>, folder: &Path) -> Result<Self, JournalError> {
        let failed = |source| JournalError::File { path: folder.to_owned(), source };
        create_folder_in(&*disk, folder.parent().unwrap_or(folder), folder).map_err(failed)?;
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|kind| kind == KIND) {
                files.push(Closed { path, last: 0 });
            }
        }
        // Names are numbers of one length.
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { disk, folder: folder.to_owned(), files: files.into(), next: 1 })
    }

    /// Calls `visit` with what is said of traces that were let go: of which nothing in runs under which number is needed. Runs are not
    /// read for that.
    pub(crate) fn gone(&mut self, mut visit: impl FnMut(u64, &[u8])) -> Result<(), JournalError> {
        let mut next = self.next;
        for Closed { path, .. } in &self.files {
            let failed = |source| JournalError::File { path: path.clone(), source };
            let file = std::fs::File::open(path).map_err(failed)?;
            let found = skim(&file, |until, ids| {
                // What it says must not be said of runs to come.
                next = next.max(until);
                visit(until, ids);
            });
            found.map_err(failed)?;
        }
        self.next = next;
        Ok(())
    }

    /// Calls `visit` with each frame, in the order written.
    pub(crate) fn each(&mut self, mut visit: impl FnMut(Frame<'_>)) -> Result<(), JournalError> {
        for file in &mut self.files {
            let bytes = std::fs::read(&file.path)
                .map_err(|source| JournalError::File { path: file.path.clone(), source })?;
            if is_other_version(&bytes) {
                return Err(JournalError::OtherVersion { path: file.path.clone() });
            }
            let mut frames = frames(&bytes);
            for frame in frames.by_ref() {
                match frame {
                    Frame::Run { seq, .. } => {
                        file.last = file.last.max(seq);
                        self.next = self.next.max(seq.saturating_add(1));
                    }
                    // Its traces may have been in runs that are not here.
                    Frame::Gone { until, .. } => self.next = self.next.max(until),
                }
                visit(frame);
            }
            if frames.left() > 0 {
                let (path, bytes) = (file.path.display(), frames.left());
                tracing::warn!(
                    %path, bytes,
                    "the end of a file of the journal cannot be read: a write that was cut off, for which nothing was answered, or damage"
                );
            }
        }
        Ok(())
    }

    /// The first number that no run has and nothing is said about, once [`each`](Self::each) was called.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Starts the writer.
    pub(crate) fn start(self) -> Result<(Journal, JoinHandle<()>), JournalError> {
        let (sender, receiver) = sync_channel(WAITING);
        let (failures, failing) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let last = self.files.back().and_then(|file| file.path.file_stem()?.to_str()?.parse().ok());
        let writer = Writer {
            disk: self.disk,
            folder: self.folder,
            closed: self.files,
            open: None,
            next: last.map_or(1, |last: u64| last.saturating_add(1)),
            frames: Vec::new(),
            doubtful: None,
            failures: Arc::clone(&failures),
            failing: Arc::clone(&failing),
            needed: 0,
            gone: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(JournalError::Thread)?;
        Ok((Journal { to: sender, failures, failing }, thread))
    }
}

impl Journal {
    /// Hands a run over. Its answers are given once it is durable, or could not be made so.
    pub(crate) fn append(&self, run: Run) {
        // Without a writer the run is dropped here, and its answers say so.
        let _ = self.to.send(ToWriter::Run(run));
    }

    /// Runs under `seq` are no longer needed, nor are traces that are `gone`.
    pub(crate) fn forget(&self, seq: u64, gone: Vec<Gone>) {
        let _ = self.to.send(ToWriter::Forget(seq, gone));
    }

    /// How often something could not be written, or removed.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Whether what was written last did not come to the disk. It is tried again whenever something is to be [forgotten](Self::forget).
    pub(crate) fn failing(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.failing)
    }
}

/// The file that is written.
#[derive(Debug)]
struct Open {
    file: Box<dyn DiskFile>,
    bytes: u64,
    closed: Closed,
}

struct Writer {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// In the order written.
    closed: VecDeque<Closed>,
    open: Option<Open>,
    /// The number in the name of the next file.
    next: u64,
    /// What is written next, but for what is written from where it is.
    frames: Vec<u8>,
    /// A file that was removed, and may come back all the same: none behind it is removed before that is settled.
    doubtful: Option<PathBuf>,
    failures: Arc<AtomicU64>,
    failing: Arc<AtomicBool>,
    needed: u64,
    /// Traces of which it is not yet written that they were let go.
    gone: Vec<Gone>,
}

impl Writer {
    /// Writes until every sender is gone.
    fn run(mut self, from: &Receiver<ToWriter>) {
        let mut gathered = Vec::new();
        while let Ok(first) = from.recv() {
            let mut bytes = 0;
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    ToWriter::Run(run) => {
                        bytes += run.body.bytes.len();
                        gathered.push(run);
                    }
                    ToWriter::Forget(seq, gone) => {
                        self.needed = self.needed.max(seq);
                        self.gone.extend(gone.into_iter().filter(|gone| !gone.traces.is_empty()));
                    }
                }
                next = if bytes < COMMIT_BYTES { from.try_recv().ok() } else { None };
            }
            let written = self.commit(&gathered);
            self.failing.store(written.is_err(), Ordering::Relaxed);
            for answer in gathered.drain(..).flat_map(|run| run.answers) {
                match &written {
                    Ok(()) => answer.durable(),
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => answer.disk_full(),
                    Err(_) => answer.failed(),
                }
            }
            if let Err(error) = written.and_then(|()| self.forget()) {
                self.failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "the journal could not be written");
            }
        }
    }

    /// Writes and syncs what was gathered.
    fn commit(&mut self, runs: &[Run]) -> io::Result<()> {
        if self.open.is_none() && self.closed.is_empty() && self.doubtful.is_none() {
            // Nothing is left that a trace could come back from.
            self.gone.clear();
        }
        // While it fails, so that it is seen to be well again though nobody sends to one that says it is not.
        let is_asked = self.failing.load(Ordering::Relaxed);
        if runs.is_empty() && self.gone.is_empty() && !is_asked {
            return Ok(());
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.create()?,
        };
        open.closed.last = runs.iter().map(|run| run.seq).fold(open.closed.last, u64::max);
        let written = self.write(&mut open, runs).and_then(|bytes| open.file.sync().map(|()| bytes));
        match written {
            Ok(bytes) => open.bytes += bytes,
            // What could not be synced is not tried again: the next runs go into another file.
            Err(error) => {
                if open.bytes > 0 || self.disk.remove(&open.closed.path).is_err() {
                    self.closed.push_back(open.closed);
                }
                return Err(error);
            }
        }
        self.gone.clear();
        match open.bytes < FILE_BYTES {
            true => self.open = Some(open),
            false => self.closed.push_back(open.closed),
        }
        Ok(())
    }

    /// Writes runs, and which traces were let go. Returns the bytes of that.
    fn write(&mut self, open: &mut Open, runs: &[Run]) -> io::Result<u64> {
        let (frames, mut total) = (&mut self.frames, 0);
        frames.clear();
        if open.bytes == 0 {
            frames.extend_from_slice(MAGIC);
        }
        let mut put = |frame: Frame<'_>| {
            frame.head(frames);
            if frame.body().len() < DIRECT {
                frames.extend_from_slice(frame.body());
                return io::Result::Ok(());
            }
            for bytes in [&**frames, frame.body()] {
                open.file.write_all(bytes)?;
                total += bytes.len();
            }
            frames.clear();
            Ok(())
        };
        runs.iter().try_for_each(|run| put(Frame::Run { seq: run.seq, body: &run.body.bytes }))?;
        for Gone { until, traces } in &self.gone {
            let ids: Vec<u8> = traces.iter().flat_map(|trace_id| trace_id.0).collect();
            put(Frame::Gone { until: *until, ids: &ids })?;
        }
        open.file.write_all(frames)?;
        Ok((total + frames.len()) as u64)
    }

    fn create(&mut self) -> io::Result<Open> {
        let path = self.folder.join(format!("{:012}.{KIND}", self.next));
        self.next += 1;
        let file = self.disk.create(&path)?;
        let closed = Closed { path, last: 0 };
        if let Err(error) = self.disk.sync_folder(&self.folder) {
            self.closed.push_back(closed);
            return Err(error);
        }
        Ok(Open { file, bytes: 0, closed })
    }

    /// Removes files in which nothing is needed: from the front alone, since those behind say what of them was let go.
    fn forget(&mut self) -> io::Result<()> {
        self.settle()?;
        let needed = self.needed;
        let is_over = |closed: &Closed| closed.last < needed;
        if self.closed.iter().all(is_over)
            && let Some(open) = self.open.take_if(|open| is_over(&open.closed))
        {
            self.closed.push_back(open.closed);
        }
        while let Some(first) = self.closed.pop_front_if(|first| is_over(first)) {
            match self.disk.remove(&first.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.closed.push_front(first);
                    return Err(error);
                }
                // One after the other: whichever comes back, those behind it are there.
                _ => {
                    self.doubtful = Some(first.path);
                    self.disk.sync_folder(&self.folder)?;
                    self.doubtful = None;
                }
            }
        }
        Ok(())
    }

    /// Removes a file anew of which nobody knows whether it was. That its name could not be synced is said once, so that to sync
    /// it again would be answered with yes: what can be synced is a name that was used again.
    fn settle(&mut self) -> io::Result<()> {
        let Some(path) = &self.doubtful else { return Ok(()) };
        self.disk.create(path)?;
        self.disk.remove(path)?;
        self.disk.sync_folder(&self.folder)?;
        self.doubtful = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use tokio::sync::oneshot;

    use crate::serve::delivery::{Accepted, Refused};
    use crate::serve::disk::FileSystem;
    use crate::serve::disk::scripted::ScriptedDisk;
    use crate::serve::keep::answer::answer;
    use crate::serve::pool::Pool;

    /// Appends a run, and returns once it is durable.
    fn append(journal: &Journal, seq: u64) {
        futures_executor::block_on(hand_over(journal, seq, &[7])).expect("an answer").expect("durable");
    }

    /// Hands a run over. Returns where its answer comes.
    fn hand_over(journal: &Journal, seq: u64, bytes: &[u8]) -> oneshot::Receiver<Result<Accepted, Refused>> {
        let waiting = Arc::<AtomicUsize>::default();
        let (answers, from) = answer(1, waiting, 1);
        let answers = answers.into_iter().inspect(|answer| answer.read(1, 0, None)).collect();
        let mut body = Arc::<Pool>::default().buffer(bytes.len());
        body.bytes.extend_from_slice(bytes);
        journal.append(Run { seq, body, answers });
        from
    }

    /// Scenario: a file of the journal is removed, and the folder cannot be synced; then the disk is well again.
    /// Guarantees: it is counted, and the files that follow are removed when their time comes.
    #[test]
    fn a_folder_that_could_not_be_synced_once_is_not_kept_for_ever() {
        let (folder, disk) = (tempfile::tempdir().expect("a folder"), ScriptedDisk::default());
        let files = || std::fs::read_dir(folder.path()).expect("a folder").count();
        let left = Left::open(Arc::new(disk.clone()), folder.path()).expect("a journal");
        let (journal, writer) = left.start().expect("started");
        append(&journal, 1);
        assert_eq!(files(), 1);
        disk.break_folder_once();
        journal.forget(2, Vec::new());
        while journal.failures() == 0 {
            std::thread::yield_now();
        }
        append(&journal, 2);
        journal.forget(3, Vec::new());
        let failures = Arc::clone(&journal.failures);
        drop(journal);
        writer.join().expect("no panic");
        assert_eq!((files(), failures.load(Ordering::SeqCst)), (0, 1));
    }

    /// Guarantees: small runs and large ones, which are written in different ways, are read back as they were, in their order.
    #[test]
    fn runs_of_any_size_are_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Left::open(Arc::new(FileSystem), folder.path()).expect("a journal");
        let (journal, writer) = open().start().expect("started");
        // While the first are synced the others gather.
        let lengths =
            [1, DIRECT - 1, DIRECT, 3, 3 * DIRECT, 0, FILE_BYTES as usize, 7, DIRECT, 5, 2 * DIRECT, 9];
        let bodies: Vec<Vec<u8>> =
            lengths.iter().map(|length| (0..*length).map(|at| at as u8).collect()).collect();
        let answers: Vec<_> = (1..).zip(&bodies).map(|(seq, body)| hand_over(&journal, seq, body)).collect();
        let answers = answers.into_iter().map(futures_executor::block_on);
        answers.for_each(|answer| _ = answer.expect("an answer").expect("durable"));
        drop(journal);
        writer.join().expect("no panic");
        let mut left = open();
        let mut read = Vec::new();
        let mut visit = |frame: Frame<'_>| match frame {
            Frame::Run { seq, body } => read.push((seq, body.to_vec())),
            Frame::Gone { .. } => {}
        };
        left.each(&mut visit).expect("read");
        assert!(read == (1..).zip(bodies).collect::<Vec<_>>());
        assert_eq!((left.next(), left.files.len()), (lengths.len() as u64 + 1, 2));
    }
}

//! Spans on the disk before the answer: runs of records, many of them in one commit.
//!
//! ```text
//! shards --run--> writer thread --one transaction--> journal.sqlite --answers-->
//! ```
//! There is no timer: while one commit is on its way to the disk the next gathers, so a lone run waits for nobody and
//! many share one commit.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, params};

use super::answer::Answer;

/// Bytes gathered into one commit.
const COMMIT_BYTES: usize = 4 << 20;
/// Runs that may wait for the writer; senders wait then, and with them who delivers.
const WAITING: usize = 256;

/// The journal could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum JournalError {
    /// The data base did not do what it was asked.
    #[error("journal of spans")]
    Sqlite(#[from] rusqlite::Error),
    /// The writer could not be started.
    #[error("cannot start the journal's writer")]
    Thread(#[source] std::io::Error),
}

/// Some records of one shard, packed and compressed, and who is waiting for them.
#[derive(Debug)]
pub(crate) struct Run {
    /// Its number: the shard that made it took it.
    pub(crate) seq: u64,
    /// Its records.
    pub(crate) body: Vec<u8>,
    /// Answers that wait for it.
    pub(crate) answers: Vec<Answer>,
}

enum ToWriter {
    Run(Run),
    /// Runs under this number are no longer needed.
    Forget(u64),
}

/// The writing end.
#[derive(Debug, Clone)]
pub(crate) struct Journal(SyncSender<ToWriter>);

impl std::fmt::Debug for ToWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run(run) => f.debug_tuple("Run").field(&run.seq).finish(),
            Self::Forget(seq) => f.debug_tuple("Forget").field(seq).finish(),
        }
    }
}

fn open(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open(path)?;
    // A run is many times as large as the usual page, and each page is a call to the system.
    connection.pragma_update(None, "page_size", 16384)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "wal_autocheckpoint", 1024)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS run (seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT",
    )?;
    Ok(connection)
}

/// What an earlier process left behind.
#[derive(Debug)]
pub(crate) struct Left {
    /// The first number that was never used.
    pub(crate) next: u64,
    connection: Connection,
}

impl Left {
    /// Opens the journal at `path`, made if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, JournalError> {
        let connection = open(path)?;
        let last: Option<u64> = connection.query_row("SELECT max(seq) FROM run", [], |row| row.get(0))?;
        Ok(Self { next: last.map_or(1, |last| last + 1), connection })
    }

    /// Calls `visit` with each run, by number.
    pub(crate) fn each(&self, mut visit: impl FnMut(u64, &[u8])) -> Result<(), JournalError> {
        let mut statement = self.connection.prepare("SELECT seq, body FROM run ORDER BY seq")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let seq = row.get(0)?;
            if let rusqlite::types::ValueRef::Blob(body) = row.get_ref(1)? {
                visit(seq, body);
            }
        }
        Ok(())
    }

    /// Starts the writer.
    pub(crate) fn start(self) -> Result<(Journal, JoinHandle<()>), JournalError> {
        let (sender, receiver) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write(self.connection, &receiver))
            .map_err(JournalError::Thread)?;
        Ok((Journal(sender), thread))
    }
}

impl Journal {
    /// Hands a run over. Its answers are given once it is durable, or could not be made so.
    pub(crate) fn append(&self, run: Run) {
        // Without a writer the run is dropped here, and its answers say so.
        let _ = self.0.send(ToWriter::Run(run));
    }

    /// Runs under `seq` are no longer needed.
    pub(crate) fn forget(&self, seq: u64) {
        let _ = self.0.send(ToWriter::Forget(seq));
    }
}

/// Writes until every sender is gone.
fn write(mut connection: Connection, from: &Receiver<ToWriter>) {
    let mut gathered = Vec::new();
    while let Ok(first) = from.recv() {
        let mut forget = None;
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                ToWriter::Run(run) => {
                    bytes += run.body.len();
                    gathered.push(run);
                }
                ToWriter::Forget(seq) => forget = forget.max(Some(seq)),
            }
            next = if bytes < COMMIT_BYTES { from.try_recv().ok() } else { None };
        }
        let written = commit(&mut connection, &gathered, forget);
        for answer in gathered.drain(..).flat_map(|run| run.answers) {
            match &written {
                Ok(()) => answer.durable(),
                Err(error) if is_full(error) => answer.disk_full(),
                Err(_) => answer.failed(),
            }
        }
    }
}

fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
}

fn commit(connection: &mut Connection, runs: &[Run], forget: Option<u64>) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare_cached("INSERT INTO run (seq, body) VALUES (?1, ?2)")?;
        for run in runs {
            insert.execute(params![run.seq, run.body])?;
        }
        if let Some(seq) = forget {
            transaction.prepare_cached("DELETE FROM run WHERE seq < ?1")?.execute(params![seq])?;
        }
    }
    transaction.commit()
}

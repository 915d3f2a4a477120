//! A disk that is as full and as slow as a test says, and fails where it says so.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{Disk, DiskFile, FileSystem};

/// See the [module](self). Clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct ScriptedDisk {
    /// Free bytes, which nothing that is written takes.
    free: Arc<AtomicU64>,
    /// How long a sync takes.
    sync: Duration,
    /// Whether no new file of a journal can be made.
    is_journal_broken: Arc<AtomicBool>,
    /// Whether a folder cannot be synced the next time.
    is_folder_broken: Arc<AtomicBool>,
}

impl Default for ScriptedDisk {
    /// One that is empty, quick and whole.
    fn default() -> Self {
        Self::new(u64::MAX, Duration::ZERO)
    }
}

impl ScriptedDisk {
    pub(crate) fn new(free: u64, sync: Duration) -> Self {
        let (is_journal_broken, is_folder_broken) = Default::default();
        Self { free: Arc::new(free.into()), sync, is_journal_broken, is_folder_broken }
    }

    /// Says whether new files of the journal can be made from now on.
    pub(crate) fn break_journal(&self, is_broken: bool) {
        self.is_journal_broken.store(is_broken, Ordering::SeqCst);
    }

    /// Has the next sync of a folder fail.
    pub(crate) fn break_folder_once(&self) {
        self.is_folder_broken.store(true, Ordering::SeqCst);
    }

    /// Says how much is free from now on.
    pub(crate) fn fill(&self, free: u64) {
        self.free.store(free, Ordering::SeqCst);
    }
}

impl Disk for ScriptedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        if path.extension().is_some_and(|kind| kind == "log") && self.is_journal_broken.load(Ordering::SeqCst)
        {
            return Err(io::Error::other("a fault"));
        }
        Ok(Box::new(Slow { file: File::create(path)?, sync: self.sync }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FileSystem.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        FileSystem.remove(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        FileSystem.make_folder(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        FileSystem.remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        match self.is_folder_broken.swap(false, Ordering::SeqCst) {
            true => Err(io::Error::other("a fault")),
            false => FileSystem.sync_folder(path),
        }
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(self.free.load(Ordering::SeqCst))
    }
}

#[derive(Debug)]
struct Slow {
    file: File,
    sync: Duration,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DiskFile for Slow {
    fn sync(&mut self) -> io::Result<()> {
        std::thread::sleep(self.sync);
        self.file.sync_data()
    }
}

//! A disk that is as full and as slow as a test says.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Disk, DiskFile, FileSystem};

/// Free bytes, which nothing that is written takes, and how long a sync takes.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    free: Arc<AtomicU64>,
    sync: Duration,
}

impl Told {
    pub(crate) fn new(free: u64, sync: Duration) -> Self {
        Self { free: Arc::new(free.into()), sync }
    }

    /// Says how much is free from now on.
    pub(crate) fn fill(&self, free: u64) {
        self.free.store(free, Ordering::SeqCst);
    }
}

impl Disk for Told {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
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
        FileSystem.sync_folder(path)
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

//! A disk whose operations fail now and then, and from which the power may be taken at any of them.
//!
//! It writes through to a real folder, and knows of each file what a sync covered, and of each name whether its folder was
//! synced since. [`Faulty::wreck`] leaves the folder as a machine might find it that lost its power: of what no sync covers
//! some is there, some is not, and some is something else.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Disk, DiskFile, FileSystem};

/// See the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct Faulty(Arc<Mutex<State>>);

/// What is to go wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) seed: u64,
    /// Operations until the power is gone.
    pub(crate) power: u32,
    /// One of so many operations fails.
    pub(crate) one_in: Option<u32>,
}

type FileId = usize;

#[derive(Debug)]
struct State {
    dice: ChaCha8Rng,
    faults: Faults,
    files: Vec<Content>,
    /// Names as they are, and as they last.
    names: BTreeMap<PathBuf, FileId>,
    lasting: BTreeMap<PathBuf, FileId>,
    /// Names of which a sync failed: another one says nothing of them.
    doubtful: BTreeSet<PathBuf>,
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// Bytes that last.
    synced: usize,
    /// Whether a sync failed.
    failed: bool,
}

fn files_under(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files_under(&path, found) } else { found.push(path) }
    }
}

impl Faulty {
    /// A disk that holds what is under `folders`.
    pub(crate) fn of(folders: &[PathBuf], faults: Faults) -> Self {
        let mut paths = Vec::new();
        folders.iter().for_each(|folder| files_under(folder, &mut paths));
        let content = |path: &PathBuf| {
            let bytes = std::fs::read(path).expect("a file");
            Content { synced: bytes.len(), bytes, failed: false }
        };
        let files = paths.iter().map(content).collect();
        let names: BTreeMap<PathBuf, FileId> = paths.into_iter().zip(0..).collect();
        let (dice, lasting) = (ChaCha8Rng::seed_from_u64(faults.seed), names.clone());
        Self(Arc::new(Mutex::new(State { dice, faults, files, names, lasting, doubtful: BTreeSet::new() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    /// Whether the power is gone.
    pub(crate) fn is_off(&self) -> bool {
        self.state().faults.power == 0
    }

    /// Takes the power, and leaves what may be left.
    pub(crate) fn wreck(&self) {
        let mut state = self.state();
        state.faults.power = 0;
        let State { dice, files, names, lasting, .. } = &mut *state;
        let paths: BTreeSet<PathBuf> = names.keys().chain(lasting.keys()).cloned().collect();
        for path in paths {
            let (now, then) = (names.get(&path), lasting.get(&path));
            match if now == then || dice.random() { then } else { now } {
                None => match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
                    _ => {}
                },
                Some(file) => {
                    let Content { bytes, synced, .. } = &files[*file];
                    let mut left = bytes[..dice.random_range(*synced..=bytes.len())].to_vec();
                    if left.len() > *synced && dice.random_ratio(1, 3) {
                        let at = dice.random_range(*synced..left.len());
                        left[at] ^= dice.random_range(1..=u8::MAX);
                    }
                    std::fs::write(&path, left).expect("written");
                }
            }
        }
    }
}

impl State {
    /// An operation: whether it is to fail.
    fn step(&mut self) -> io::Result<()> {
        if self.faults.power == 0 {
            return Err(io::Error::other("no power"));
        }
        self.faults.power -= 1;
        if self.faults.power == 0 {
            return Err(io::Error::other("the power went"));
        }
        match self.faults.one_in {
            Some(many) if self.dice.random_ratio(1, many) => {
                let full = self.dice.random_ratio(1, 3);
                Err(if full { io::ErrorKind::StorageFull.into() } else { io::Error::other("a fault") })
            }
            _ => Ok(()),
        }
    }
}

impl Disk for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.step()?;
        let real = FileSystem.create(path)?;
        let file = state.files.len();
        state.files.push(Content::default());
        state.names.insert(path.to_owned(), file);
        state.doubtful.remove(path);
        Ok(Box::new(FaultyFile { disk: self.clone(), real, file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        FileSystem.rename(from, to)?;
        let file = state.names.remove(from).expect("a file of ours");
        state.names.insert(to.to_owned(), file);
        state.doubtful.remove(from);
        state.doubtful.remove(to);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        FileSystem.remove(path)?;
        state.names.remove(path);
        state.doubtful.remove(path);
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.state().step()?;
        FileSystem.create_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let synced = state.step();
        let State { names, lasting, doubtful, .. } = &mut *state;
        let all: BTreeSet<PathBuf> = names.keys().chain(lasting.keys()).cloned().collect();
        for name in all.into_iter().filter(|name| name.parent() == Some(path)) {
            let now = names.get(&name).copied();
            match (now, synced.is_ok() && !doubtful.contains(&name)) {
                (Some(file), true) => _ = lasting.insert(name, file),
                (None, true) => _ = lasting.remove(&name),
                (now, false) if now != lasting.get(&name).copied() => _ = doubtful.insert(name),
                _ => {}
            }
        }
        synced
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: Faulty,
    real: Box<dyn DiskFile>,
    file: FileId,
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        let done = state.step();
        assert!(!state.files[self.file].failed, "written although a sync had failed");
        // What fails may have been done in part.
        let part = if done.is_ok() { bytes.len() } else { state.dice.random_range(0..=bytes.len()) };
        self.real.write_all(&bytes[..part])?;
        state.files[self.file].bytes.extend_from_slice(&bytes[..part]);
        done.map(|()| part)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.real.flush()
    }
}

impl DiskFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        let done = state.step();
        let content = &mut state.files[self.file];
        assert!(!content.failed, "synced again although that had failed");
        match &done {
            Ok(()) => content.synced = content.bytes.len(),
            Err(_) => content.failed = true,
        }
        done
    }
}

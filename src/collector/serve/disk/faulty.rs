//! A disk whose operations fail now and then, and from which the power may be taken at any of them.
//!
//! It writes through to a real folder, and knows of each file what a sync covered, and of each name whether its folder was
//! synced since. [`Faulty::wreck`] leaves the folder as a machine might find it that lost its power: of what no sync covers
//! some is there, some is not, and some is something else, whichever was written first. After a sync that failed nobody knows what of
//! that is there, and the next one says nothing of it. A folder whose own folder was not synced may be gone with all that is in it.
//!
//! It can be under SQLite too, as the file system that SQLite writes to.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use hopseal_tests_vfs::{Fault, Watch};
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
    /// Whether SQLite writes to it too.
    pub(crate) with_sqlite: bool,
}

type FileId = usize;

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    File(FileId),
    /// Each has a number of its own: one that is made anew is another.
    Folder(usize),
}

#[derive(Debug)]
struct State {
    dice: ChaCha8Rng,
    faults: Faults,
    files: Vec<Content>,
    /// Names as they are, and as they last.
    names: BTreeMap<PathBuf, Node>,
    lasting: BTreeMap<PathBuf, Node>,
    /// Folders that were made.
    folders: usize,
    /// Names of which a sync failed: another one says nothing of them.
    doubtful: BTreeSet<PathBuf>,
}

#[derive(Debug, Default)]
struct Content {
    /// As it lasts.
    lasting: Vec<u8>,
    /// What was done since a sync, in this order.
    since: Vec<Change>,
    /// How long it is.
    length: usize,
    /// Whether a sync failed.
    failed: bool,
    /// Whether SQLite made it, and no sync of it succeeded since.
    is_new: bool,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Cut(usize),
}

impl Change {
    fn make(&self, content: &mut Vec<u8>) {
        match self {
            Self::Cut(length) => content.truncate(*length),
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                content.resize(end.max(content.len()), 0);
                content[*at..end].copy_from_slice(bytes);
            }
        }
    }

    /// What of it is there although nothing makes sure of it.
    fn left(self, dice: &mut ChaCha8Rng) -> Option<Self> {
        match (dice.random_range(0..6), self) {
            (0..=2, whole) => Some(whole),
            (3, Self::Write { at, mut bytes }) if !bytes.is_empty() => {
                bytes.truncate(dice.random_range(1..=bytes.len()));
                if dice.random() {
                    let at = dice.random_range(0..bytes.len());
                    bytes[at] ^= dice.random_range(1..=u8::MAX);
                }
                Some(Self::Write { at, bytes })
            }
            _ => None,
        }
    }
}

impl Content {
    fn of(lasting: Vec<u8>) -> Self {
        Self { length: lasting.len(), lasting, ..Self::default() }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        self.length = self.length.max(at + bytes.len());
        self.since.push(Change::Write { at, bytes: bytes.to_vec() });
    }

    fn sync(&mut self) {
        self.since.drain(..).for_each(|change| change.make(&mut self.lasting));
    }

    /// Of what no sync covers some is there.
    fn spill(&mut self, dice: &mut ChaCha8Rng) {
        for change in self.since.drain(..).filter_map(|change| change.left(dice)) {
            change.make(&mut self.lasting);
        }
    }
}

/// What is there, folders before what is in them.
fn all_under(path: &Path, found: &mut Vec<PathBuf>) {
    if path.exists() {
        found.push(path.to_owned());
    }
    for entry in std::fs::read_dir(path).into_iter().flatten() {
        all_under(&entry.expect("an entry").path(), found);
    }
}

impl Faulty {
    /// A disk that holds these files, and these folders with what is in them.
    pub(crate) fn of(held: &[PathBuf], faults: Faults) -> Self {
        let mut paths = Vec::new();
        held.iter().for_each(|path| all_under(path, &mut paths));
        let (mut files, mut folders) = (Vec::new(), 0);
        let mut node = |path: &Path| match path.is_dir() {
            true => {
                folders += 1;
                Node::Folder(folders)
            }
            false => {
                files.push(Content::of(std::fs::read(path).expect("a file")));
                Node::File(files.len() - 1)
            }
        };
        let names: BTreeMap<PathBuf, Node> =
            paths.into_iter().map(|path| (path.clone(), node(&path))).collect();
        let (dice, lasting) = (ChaCha8Rng::seed_from_u64(faults.seed), names.clone());
        let doubtful = BTreeSet::new();
        Self(Arc::new(Mutex::new(State { dice, faults, files, names, lasting, folders, doubtful })))
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
        // Folders come before what is in them.
        let paths: BTreeSet<PathBuf> = names.keys().chain(lasting.keys()).cloned().collect();
        let mut lost: Vec<PathBuf> = Vec::new();
        for path in paths {
            // What a folder holds is gone with it.
            let has_folder = path.parent().is_some_and(Path::is_dir);
            if !has_folder || lost.iter().any(|folder| path.starts_with(folder)) {
                continue;
            }
            let (now, then) = (names.get(&path).copied(), lasting.get(&path).copied());
            let left = if now == then || dice.random() { then } else { now };
            match left {
                Some(Node::File(file)) => {
                    let content = &mut files[file];
                    content.spill(dice);
                    std::fs::write(&path, &content.lasting).expect("written");
                }
                Some(Node::Folder(_)) if left == now => {}
                _ if path.is_dir() => std::fs::remove_dir_all(&path).expect("removed"),
                _ => match std::fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{error}"),
                    _ => {}
                },
            }
            // Whatever folder was there, it is not the one that things were put into.
            if left != now && [left, now].iter().any(|node| matches!(node, Some(Node::Folder(_)))) {
                if left.is_some() {
                    std::fs::create_dir(&path).expect("made");
                }
                lost.push(path);
            }
        }
    }
}

impl State {
    /// An operation: whether it is to fail.
    fn step(&mut self) -> io::Result<()> {
        self.step_of(1)
    }

    /// The same of one of so many that are one to whoever asks for them.
    fn step_of(&mut self, parts: u32) -> io::Result<()> {
        if self.faults.power == 0 {
            return Err(io::Error::other("no power"));
        }
        self.faults.power -= 1;
        if self.faults.power == 0 {
            return Err(io::Error::other("the power went"));
        }
        match self.faults.one_in {
            Some(many) if self.dice.random_ratio(1, many * parts) => {
                let full = self.dice.random_ratio(1, 3);
                Err(if full { io::ErrorKind::StorageFull.into() } else { io::Error::other("a fault") })
            }
            _ => Ok(()),
        }
    }

    fn file(&self, path: &Path) -> FileId {
        match self.names[path] {
            Node::File(file) => file,
            Node::Folder(_) => panic!("{} is a folder", path.display()),
        }
    }

    fn content(&mut self, path: &Path) -> &mut Content {
        let file = self.file(path);
        &mut self.files[file]
    }

    /// Something has that name from now on.
    fn name(&mut self, path: &Path, node: Node) {
        self.names.insert(path.to_owned(), node);
        self.doubtful.remove(path);
    }

    fn unname(&mut self, path: &Path) {
        self.names.remove(path);
        self.doubtful.remove(path);
    }

    /// The names in a folder last, unless that failed.
    fn sync_folder(&mut self, path: &Path, is_synced: bool) {
        let Self { names, lasting, doubtful, .. } = self;
        let all: BTreeSet<PathBuf> = names.keys().chain(lasting.keys()).cloned().collect();
        for name in all.into_iter().filter(|name| name.parent() == Some(path)) {
            let now = names.get(&name).copied();
            match (now, is_synced && !doubtful.contains(&name)) {
                (Some(node), true) => _ = lasting.insert(name, node),
                (None, true) => _ = lasting.remove(&name),
                (now, false) if now != lasting.get(&name).copied() => _ = doubtful.insert(name),
                _ => {}
            }
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
        state.name(path, Node::File(file));
        Ok(Box::new(FaultyFile { disk: self.clone(), real, file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        FileSystem.rename(from, to)?;
        let file = state.file(from);
        state.unname(from);
        state.name(to, Node::File(file));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        FileSystem.remove(path)?;
        state.unname(path);
        Ok(())
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        FileSystem.make_folder(path)?;
        state.folders += 1;
        let number = state.folders;
        state.name(path, Node::Folder(number));
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        FileSystem.remove_folder(path)?;
        state.unname(path);
        Ok(())
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let synced = state.step();
        state.sync_folder(path, synced.is_ok());
        synced
    }

    fn vfs(&self) -> Option<&'static CStr> {
        self.state().faults.with_sqlite.then_some(hopseal_tests_vfs::NAME)
    }
}

/// A page of a file of SQLite is written in two parts, and many of them for one statement.
const PARTS: u32 = 30;

fn fault(error: &io::Error) -> Fault {
    if error.kind() == io::ErrorKind::StorageFull { Fault::Full } else { Fault::Failed }
}

/// What SQLite asks for.
impl Watch for Faulty {
    fn create(&self, path: &Path) -> Result<(), Fault> {
        let mut state = self.state();
        state.step_of(PARTS).map_err(|error| fault(&error))?;
        if !state.names.contains_key(path) {
            let file = state.files.len();
            state.files.push(Content { is_new: true, ..Content::default() });
            state.name(path, Node::File(file));
        }
        Ok(())
    }

    fn write(&self, path: &Path, at: u64, bytes: &[u8]) -> (usize, Result<(), Fault>) {
        let mut state = self.state();
        let done = state.step_of(PARTS);
        let part = if done.is_ok() { bytes.len() } else { state.dice.random_range(0..=bytes.len()) };
        let at = usize::try_from(at).expect("a small file");
        state.content(path).write(at, &bytes[..part]);
        (part, done.map_err(|error| fault(&error)))
    }

    fn truncate(&self, path: &Path, size: u64) -> Result<(), Fault> {
        let mut state = self.state();
        state.step_of(PARTS).map_err(|error| fault(&error))?;
        let content = state.content(path);
        content.length = usize::try_from(size).expect("a small file");
        content.since.push(Change::Cut(content.length));
        Ok(())
    }

    fn sync(&self, path: &Path) -> Result<(), Fault> {
        let mut state = self.state();
        let done = state.step();
        let file = state.file(path);
        let State { files, dice, .. } = &mut *state;
        let content = &mut files[file];
        if let Err(error) = done {
            content.spill(dice);
            return Err(fault(&error));
        }
        content.sync();
        // SQLite has the names in a folder last once a log that it made is synced for the first time. Whether that could be done it does not
        // look at.
        if std::mem::take(&mut content.is_new)
            && path.to_string_lossy().contains(".sqlite-")
            && let Some(folder) = path.parent()
        {
            state.sync_folder(folder, true);
        }
        Ok(())
    }

    fn remove(&self, path: &Path, lasting: bool) -> Result<(), Fault> {
        let mut state = self.state();
        state.step_of(PARTS).map_err(|error| fault(&error))?;
        state.unname(path);
        if let Some(folder) = path.parent().filter(|_| lasting) {
            state.sync_folder(folder, true);
        }
        Ok(())
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
        let content = &mut state.files[self.file];
        content.write(content.length, &bytes[..part]);
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
        let State { files, dice, .. } = &mut *state;
        let content = &mut files[self.file];
        assert!(!content.failed, "synced again although that had failed");
        content.failed = done.is_err();
        if done.is_ok() {
            content.sync()
        } else {
            content.spill(dice)
        }
        done
    }
}

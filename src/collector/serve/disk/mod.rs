//! What is asked of the file system where it has to last. A trait, so that a test can take the power away at any moment.

#[cfg(test)]
pub(crate) mod faulty;
#[cfg(test)]
pub(crate) mod scripted;

use std::ffi::CStr;
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Files that outlive the process, and the machine's power.
pub(crate) trait Disk: Debug + Send + Sync {
    /// A file, open for writing, with nothing in it. Its name lasts once its folder was [synced](Self::sync_folder).
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of whatever has that. It lasts once the folder was synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. It may come back until the folder was synced.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder in one that is there. It may be gone, with all that is in it, until that was synced.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder that nothing is in.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Has the names in a folder last.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Free bytes of what a folder is on.
    fn free(&self, path: &Path) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(path)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// What SQLite knows it by, where that is not as it does by itself.
    fn vfs(&self) -> Option<&'static CStr> {
        None
    }
}

/// A file that is written.
pub(crate) trait DiskFile: Write + Debug + Send {
    /// Has all that was written last. When it fails nobody knows what does, and asking again would be answered with yes:
    /// the file is to be left alone from then on.
    fn sync(&mut self) -> io::Result<()>;
}

/// Makes a folder, with those that it is in, and has their names last. Nothing happens to one that is there.
pub(crate) fn create_folder(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.is_dir();
    let missing: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    missing.into_iter().rev().try_for_each(|folder| make_lasting(disk, folder))
}

/// The same of a folder below another, both ours alone. One that nothing is in yet is made anew: it may be there and not last, as its name
/// could not be synced. That is said once, and to sync it again would be answered with yes.
pub(crate) fn create_folder_in(disk: &dyn Disk, root: &Path, path: &Path) -> io::Result<()> {
    let below: Vec<&Path> = path.ancestors().take_while(|folder| *folder != root).collect();
    for folder in below.into_iter().rev() {
        match std::fs::symlink_metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            // Where it leads to is the operator's.
            Ok(data) if !data.is_dir() => continue,
            Ok(_) if std::fs::read_dir(folder)?.next().is_some() => continue,
            Ok(_) => match disk.remove_folder(folder) {
                // Another disk is there.
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => continue,
                removed => removed?,
            },
        }
        make_lasting(disk, folder)?;
    }
    Ok(())
}

fn make_lasting(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    match disk.make_folder(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Else whoever comes again would take it for one that lasts.
    disk.sync_folder(parent.unwrap_or(Path::new("."))).inspect_err(|_| _ = disk.remove_folder(folder))
}

/// The file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSystem;

impl Disk for FileSystem {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl DiskFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::faulty::{Faults, Faulty};
    use super::*;

    /// Scenario: a folder in another is made on a disk that fails now and then, until it is there; a file is put there and made to last; then
    /// the power goes.
    /// Guarantees: the file is there, whatever failed before.
    #[test]
    fn what_is_in_a_folder_that_was_made_lasts() {
        let mut failed = 0;
        for seed in 0..200 {
            let root = tempfile::tempdir().expect("a folder");
            let disk = Faulty::of(&[], Faults { seed, power: 1_000, one_in: Some(3), with_sqlite: false });
            let day = root.path().join("hops/day");
            let make = || create_folder_in(&disk, root.path(), &day);
            while make().is_err() {
                failed += 1;
            }
            // Nothing is written again that could not be made to last.
            for number in 0..9 {
                let path = day.join(number.to_string());
                let put = || disk.create(&path).and_then(|mut file| file.sync());
                if make().and_then(|()| put()).and_then(|()| disk.sync_folder(&day)).is_ok() {
                    disk.wreck();
                    assert!(path.exists(), "seed {seed}");
                    break;
                }
            }
        }
        assert!(failed > 100, "{failed}");
    }
}

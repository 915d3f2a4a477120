//! What is asked of the file system where it has to last. A trait, so that a test can take the power away at any moment.

#[cfg(test)]
pub(crate) mod faulty;

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

    /// Makes a folder, with those that it is in, and has their names last. Nothing happens to one that is there.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Has the names in a folder last.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

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

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = path
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
            .collect();
        for folder in missing.into_iter().rev() {
            match std::fs::create_dir(folder) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
            self.sync_folder(parent.unwrap_or(Path::new(".")))?;
        }
        Ok(())
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

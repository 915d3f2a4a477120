//! A file system for SQLite that asks a test before anything is written, made to last or removed.
//!
//! ```text
//! SQLite --VFS `hopseal-watched`--> Watch of the folder: may it? --yes--> the file system of this machine
//! ```
//! What is read, locked and shared between connections is none of its business: all of that is done as SQLite does it anywhere.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_filename, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};

/// What it is called, for those who open a connection.
pub const NAME: &CStr = c"hopseal-watched";

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The device says that it cannot.
    Failed,
    /// There is no room.
    Full,
}

/// Who is asked before something is done to a file.
pub trait Watch: Send + Sync {
    /// A file is opened, and made where it is not there.
    ///
    /// # Errors
    /// When it is not to be.
    fn create(&self, path: &Path) -> Result<(), Fault>;

    /// Bytes are written at that place. Returns how many of them are, and what SQLite is told.
    fn write(&self, path: &Path, at: u64, bytes: &[u8]) -> (usize, Result<(), Fault>);

    /// A file is cut.
    ///
    /// # Errors
    /// When it is not to be.
    fn truncate(&self, path: &Path, size: u64) -> Result<(), Fault>;

    /// What was written is made to last.
    ///
    /// # Errors
    /// When it is not to be.
    fn sync(&self, path: &Path) -> Result<(), Fault>;

    /// A file is removed; `lasting`: and its folder synced.
    ///
    /// # Errors
    /// When it is not to be.
    fn remove(&self, path: &Path, lasting: bool) -> Result<(), Fault>;
}

type Watches = BTreeMap<PathBuf, Arc<dyn Watch>>;

static WATCHES: Mutex<Watches> = Mutex::new(BTreeMap::new());

fn watches() -> MutexGuard<'static, Watches> {
    WATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has `watch` asked of the files in that folder from now on, in place of whoever was; of files that are open already the one is asked who
/// was when they were opened.
///
/// # Errors
/// What SQLite says when it takes no file system.
pub fn watch(folder: &Path, watch: Arc<dyn Watch>) -> Result<(), rusqlite::Error> {
    match *REGISTERED.get_or_init(register) {
        ffi::SQLITE_OK => {
            watches().insert(folder.to_owned(), watch);
            Ok(())
        }
        code => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)),
    }
}

/// Asks nobody any more of files that are opened in that folder.
pub fn unwatch(folder: &Path) {
    watches().remove(folder);
}

static REGISTERED: OnceLock<c_int> = OnceLock::new();

fn register() -> c_int {
    // SAFETY: null asks for the default file system, which lives as long as the process.
    let real = unsafe { ffi::sqlite3_vfs_find(ptr::null()).as_ref() };
    let Some(real) = real else { return ffi::SQLITE_ERROR };
    let Ok(own) = c_int::try_from(size_of::<File>()) else { return ffi::SQLITE_ERROR };
    let vfs = sqlite3_vfs {
        szOsFile: own + real.szOsFile,
        pNext: ptr::null_mut(),
        zName: NAME.as_ptr(),
        pAppData: ptr::from_ref(real).cast_mut().cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        // What is left does not look at whose it is.
        ..*real
    };
    // SAFETY: it is never freed, and its functions are what SQLite asks for.
    unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0) }
}

/// An open file; that of the real file system comes behind it in the same piece of memory.
#[repr(C)]
struct File {
    base: sqlite3_file,
    /// Null where nobody watches.
    watched: *mut Watched,
}

struct Watched {
    path: PathBuf,
    watch: Arc<dyn Watch>,
}

/// # Safety
/// `file` was opened by [`open`].
unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` asked for room for both.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// # Safety
/// `file` was opened by [`open`] and is not closed.
unsafe fn watched<'f>(file: *mut sqlite3_file) -> Option<&'f Watched> {
    // SAFETY: set by `open`, and freed by `close` alone.
    unsafe { (*file.cast::<File>()).watched.as_ref() }
}

/// # Safety
/// `name` is null or ends with a nul.
unsafe fn path_of(name: *const c_char) -> Option<PathBuf> {
    if name.is_null() {
        return None;
    }
    // SAFETY: as said above.
    let name = unsafe { CStr::from_ptr(name) };
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

fn watch_of(path: &Path) -> Option<Arc<dyn Watch>> {
    watches().get(path.parent()?).cloned()
}

fn code(fault: Fault, failed: c_int) -> c_int {
    match fault {
        Fault::Failed => failed,
        Fault::Full => ffi::SQLITE_FULL,
    }
}

unsafe extern "C" fn open(
    vfs: *mut sqlite3_vfs,
    name: sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives the file system that was registered, room for a file of its size, and a name that ends with a nul.
    unsafe {
        let own = file.cast::<File>();
        (*own).base.pMethods = ptr::null();
        (*own).watched = ptr::null_mut();
        let watched = path_of(name).and_then(|path| Some(Watched { watch: watch_of(&path)?, path }));
        if let Some(Watched { path, watch }) = &watched
            && flags & ffi::SQLITE_OPEN_CREATE != 0
            && let Err(fault) = watch.create(path)
        {
            return code(fault, ffi::SQLITE_CANTOPEN);
        }
        let below = (*vfs).pAppData.cast::<sqlite3_vfs>();
        let Some(open) = (*below).xOpen else { return ffi::SQLITE_CANTOPEN };
        let code = open(below, name, real(file), flags, out);
        if code == ffi::SQLITE_OK {
            (*own).watched = watched.map_or(ptr::null_mut(), |watched| Box::into_raw(Box::new(watched)));
            (*own).base.pMethods = &raw const METHODS;
        }
        code
    }
}

unsafe extern "C" fn delete(vfs: *mut sqlite3_vfs, name: *const c_char, lasting: c_int) -> c_int {
    // SAFETY: SQLite gives the file system that was registered, and a name that ends with a nul.
    unsafe {
        if let Some(path) = path_of(name)
            && let Some(watch) = watch_of(&path)
            && let Err(fault) = watch.remove(&path, lasting != 0)
        {
            return code(fault, ffi::SQLITE_IOERR_DELETE);
        }
        let below = (*vfs).pAppData.cast::<sqlite3_vfs>();
        let Some(delete) = (*below).xDelete else { return ffi::SQLITE_IOERR_DELETE };
        delete(below, name, lasting)
    }
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes what `open` opened, once; nothing is asked of it afterwards.
    unsafe {
        let own = file.cast::<File>();
        let watched = std::mem::replace(&mut (*own).watched, ptr::null_mut());
        if !watched.is_null() {
            drop(Box::from_raw(watched));
        }
        let below = real(file);
        match (*(*below).pMethods).xClose {
            Some(close) => close(below),
            None => ffi::SQLITE_OK,
        }
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    count: c_int,
    at: sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite writes to what `open` opened, and gives so many bytes.
    unsafe {
        let Ok(mut written) = usize::try_from(count) else { return ffi::SQLITE_IOERR_WRITE };
        let mut told = ffi::SQLITE_OK;
        if let Some(Watched { path, watch }) = watched(file) {
            let all = std::slice::from_raw_parts(bytes.cast::<u8>(), written);
            let (part, may) = watch.write(path, at.unsigned_abs(), all);
            written = part.min(written);
            told = may.map_or_else(|fault| code(fault, ffi::SQLITE_IOERR_WRITE), |()| ffi::SQLITE_OK);
        }
        let below = real(file);
        let (Some(write), Ok(count)) = ((*(*below).pMethods).xWrite, c_int::try_from(written)) else {
            return ffi::SQLITE_IOERR_WRITE;
        };
        let done = if count > 0 { write(below, bytes, count, at) } else { ffi::SQLITE_OK };
        if told == ffi::SQLITE_OK { done } else { told }
    }
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    // SAFETY: SQLite cuts what `open` opened.
    unsafe {
        if let Some(Watched { path, watch }) = watched(file)
            && let Err(fault) = watch.truncate(path, size.unsigned_abs())
        {
            return code(fault, ffi::SQLITE_IOERR_TRUNCATE);
        }
        let below = real(file);
        match (*(*below).pMethods).xTruncate {
            Some(truncate) => truncate(below, size),
            None => ffi::SQLITE_IOERR_TRUNCATE,
        }
    }
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: SQLite syncs what `open` opened. Nothing is synced in truth: power is taken by whoever watches, and from nobody else.
    match unsafe { watched(file) } {
        Some(Watched { path, watch }) => match watch.sync(path) {
            Ok(()) => ffi::SQLITE_OK,
            Err(fault) => code(fault, ffi::SQLITE_IOERR_FSYNC),
        },
        None => ffi::SQLITE_OK,
    }
}

/// What is handed on as it is.
macro_rules! hand_on {
    ($($name:ident: $method:ident ($($argument:ident: $type:ty),*);)+) => {
        $(unsafe extern "C" fn $name(file: *mut sqlite3_file, $($argument: $type),*) -> c_int {
            // SAFETY: SQLite asks it of what `open` opened, and the real file takes the same arguments.
            unsafe {
                let below = real(file);
                match (*(*below).pMethods).$method {
                    Some(method) => method(below, $($argument),*),
                    None => ffi::SQLITE_ERROR,
                }
            }
        })+
    };
}

hand_on! {
    read: xRead(to: *mut c_void, count: c_int, at: sqlite3_int64);
    file_size: xFileSize(size: *mut sqlite3_int64);
    lock: xLock(level: c_int);
    unlock: xUnlock(level: c_int);
    check_reserved_lock: xCheckReservedLock(out: *mut c_int);
    file_control: xFileControl(what: c_int, with: *mut c_void);
    sector_size: xSectorSize();
    device_characteristics: xDeviceCharacteristics();
    shm_map: xShmMap(page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void);
    shm_lock: xShmLock(from: c_int, count: c_int, flags: c_int);
    shm_unmap: xShmUnmap(removes: c_int);
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: SQLite asks it of what `open` opened.
    unsafe {
        let below = real(file);
        if let Some(barrier) = (*(*below).pMethods).xShmBarrier {
            barrier(below);
        }
    }
}

/// Without mapped pages: what is written to those, nobody is asked about.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, OpenFlags};

    use super::*;

    /// Notes what it is asked, and says no once it is told to.
    #[derive(Default)]
    struct Notes(Mutex<(Vec<String>, bool)>);

    impl Notes {
        fn note(&self, what: &str, path: &Path) -> Result<(), Fault> {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let note = format!("{what} {name}");
            if notes.0.last() != Some(&note) {
                notes.0.push(note);
            }
            if notes.1 { Err(Fault::Failed) } else { Ok(()) }
        }
    }

    impl Watch for Notes {
        fn create(&self, path: &Path) -> Result<(), Fault> {
            self.note("create", path)
        }

        fn write(&self, path: &Path, _: u64, bytes: &[u8]) -> (usize, Result<(), Fault>) {
            (bytes.len(), self.note("write", path))
        }

        fn truncate(&self, path: &Path, _: u64) -> Result<(), Fault> {
            self.note("truncate", path)
        }

        fn sync(&self, path: &Path) -> Result<(), Fault> {
            self.note("sync", path)
        }

        fn remove(&self, path: &Path, _: bool) -> Result<(), Fault> {
            self.note("remove", path)
        }
    }

    /// Guarantees: two connections with a log between them work by it as by any other; whatever is written, made to last and removed
    /// is asked about, and what is refused is refused.
    #[test]
    fn whoever_watches_is_asked() -> Result<(), Box<dyn std::error::Error>> {
        let folder = std::env::temp_dir().join(format!("hopseal-vfs-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let notes = Arc::new(Notes::default());
        watch(&folder, notes.clone())?;
        let path = folder.join("a.sqlite");
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags_and_vfs(&path, OpenFlags::default(), NAME)?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            Ok(connection)
        };
        let (one, other) = (open()?, open()?);
        one.execute_batch("CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (7)")?;
        let count = || other.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, u32>(0));
        assert_eq!(count()?, 1);
        notes.0.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        assert!(one.execute("INSERT INTO t VALUES (8)", []).is_err());
        assert_eq!(count()?, 1);
        notes.0.lock().unwrap_or_else(PoisonError::into_inner).1 = false;
        one.execute("INSERT INTO t VALUES (9)", [])?;
        assert_eq!(count()?, 2);
        drop((one, other));
        unwatch(&folder);
        let mut asked = notes.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone();
        asked.sort();
        asked.dedup();
        for what in [
            "create a.sqlite",
            "write a.sqlite",
            "sync a.sqlite",
            "write a.sqlite-wal",
            "sync a.sqlite-wal",
            "remove a.sqlite-wal",
        ] {
            assert!(asked.iter().any(|note| note == what), "{what}: {asked:?}");
        }
        Ok(std::fs::remove_dir_all(&folder)?)
    }
}

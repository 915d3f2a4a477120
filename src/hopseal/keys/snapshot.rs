//! Keys in a file, so that a cold start has them: baked into an image, or on storage that instances share.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use hopseal_identity::CLOCK_SKEW;

use super::fetch::{FetchFault, Known};
use super::store::KeyStore;
use crate::clock::UnixTime;
use crate::jose::Json;

/// The version that is written and read.
const VERSION: u64 = 1;
/// Largest snapshot that is read.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// A snapshot that cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file cannot be read or written.
    #[error("snapshot file")]
    File(#[from] io::Error),
    /// Not a snapshot of this version.
    #[error("no snapshot of version {VERSION}")]
    Shape,
    /// Over 16 MiB.
    #[error("a snapshot over {MAX_BYTES} bytes")]
    TooLarge,
}

/// Keys of a snapshot that are not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRestored {
    /// The registry has no such issuer, has another under that name, or has its keys itself.
    #[error("`{0}` is not in the registry, or another")]
    Unknown(String),
    /// Confirmed too long ago, or in the future.
    #[error("keys of `{0}` are too old, or from the future")]
    Age(String),
    /// Not a key set by today's rules of the registry.
    #[error("keys of `{issuer}` cannot be used")]
    Keys {
        /// The name in the snapshot.
        issuer: String,
        /// Why.
        #[source]
        source: FetchFault,
    },
    /// The store has newer ones.
    #[error("keys of `{0}` are newer in the store")]
    Older(String),
}

/// Snapshots.
///
/// Whoever can write a snapshot can say whose signatures are good: **the file is to be trusted, and guarded, like the
/// registry itself**. Its age is bounded like that of all keys: keys that their issuer confirmed longer than `max_stale` ago
/// are not taken, and those that are taken are refreshed when they are first used past their soft age.
impl KeyStore {
    /// The keys of every issuer that has any by HTTP, with the time at which it confirmed them, as JSON.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let mut issuers = Vec::new();
        for line in self.lines.values() {
            let inner = line.inner();
            let (Some(held), Some(jwks)) = (inner.state.held(), &inner.known.jwks) else { continue };
            issuers.push(serde_json::json!({
                "name": line.name,
                "issuer": line.origin.id,
                "confirmed": held.confirmed.0,
                "jwks": String::from_utf8_lossy(jwks),
            }));
        }
        issuers.sort_by_key(|issuer| issuer.get("name").map(ToString::to_string));
        serde_json::json!({"version": VERSION, "issuers": issuers}).to_string().into_bytes()
    }

    /// Takes the keys of a snapshot, each held to the rules that the registry has for its issuer today. Those that are not
    /// taken are told; the others serve.
    ///
    /// # Errors
    /// [`SnapshotError::Shape`] or [`SnapshotError::TooLarge`].
    pub fn restore(&self, snapshot: &[u8]) -> Result<Vec<NotRestored>, SnapshotError> {
        if snapshot.len() > MAX_BYTES {
            return Err(SnapshotError::TooLarge);
        }
        let json = Json::read(snapshot).map_err(|_| SnapshotError::Shape)?;
        let version = json.get("version").and_then(Json::as_unsigned);
        let Some(Json::List(issuers)) = json.get("issuers").filter(|_| version == Some(VERSION)) else {
            return Err(SnapshotError::Shape);
        };
        let mut not = Vec::new();
        for issuer in issuers {
            let text = |name| issuer.get(name).and_then(Json::as_text).ok_or(SnapshotError::Shape);
            let confirmed =
                issuer.get("confirmed").and_then(Json::as_unsigned).ok_or(SnapshotError::Shape)?;
            let (name, id, jwks) = (text("name")?, text("issuer")?, text("jwks")?);
            not.extend(self.restore_one(name, id, UnixTime(confirmed), jwks.as_bytes()).err());
        }
        Ok(not)
    }

    fn restore_one(&self, name: &str, id: &str, confirmed: UnixTime, jwks: &[u8]) -> Result<(), NotRestored> {
        let unknown = || NotRestored::Unknown(name.to_owned());
        let line = self.lines.get(name).ok_or_else(unknown)?;
        let origin = Some(&line.origin).filter(|origin| origin.id == id).ok_or_else(unknown)?;
        let (now, settings) = (line.shared.clock.now(), &line.shared.settings);
        // A confirmation may lie in the future as far as clocks differ.
        if now.since(confirmed) > settings.max_stale || confirmed.since(now) > CLOCK_SKEW {
            return Err(NotRestored::Age(name.to_owned()));
        }
        let (set, _) =
            origin.read(jwks).map_err(|source| NotRestored::Keys { issuer: name.to_owned(), source })?;
        let mut inner = line.inner();
        if !inner.state.restore(set, confirmed, settings) {
            return Err(NotRestored::Older(name.to_owned()));
        }
        inner.known = Known::restored(jwks);
        line.publish(&inner);
        Ok(())
    }

    /// Writes a snapshot to a file, whole or not at all; others may not write it. Blocks.
    ///
    /// # Errors
    /// [`SnapshotError::File`].
    pub fn write_snapshot(&self, path: &Path) -> Result<(), SnapshotError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let name = path.file_name().ok_or_else(|| io::Error::other("no name of a file"))?;
        // In the same folder: only within a file system is a rename whole or not at all.
        let mut beside = name.to_owned();
        beside.push(format!(".{}.new", std::process::id()));
        let beside = folder.unwrap_or(Path::new(".")).join(beside);
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
        let written = options.open(&beside).and_then(|mut file| {
            file.write_all(&self.snapshot())?;
            file.sync_all()?;
            fs::rename(&beside, path)
        });
        if written.is_err() {
            // Whether it is there at all is not known; what counts is the first error.
            let _ = fs::remove_file(&beside);
        }
        Ok(written?)
    }

    /// Takes the keys of a snapshot in a file, like [`KeyStore::restore`]. Blocks.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn read_snapshot(&self, path: &Path) -> Result<Vec<NotRestored>, SnapshotError> {
        let mut bytes = Vec::new();
        let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
        fs::File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        self.restore(&bytes)
    }
}

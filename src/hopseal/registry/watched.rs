//! A registry in a file that may change while we run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest as _, Sha256};

use super::{Registry, RegistryError};
use crate::secret::Secret;

/// Largest file.
const MAX_BYTES: u64 = 1024 * 1024;

/// A registry in a file: read once, and again when it changed. Nothing goes on in the background: who serves looks every now and
/// then, and hands what is new to `Validator::reload`. A file that cannot be used changes nothing.
///
/// Keys and secrets can stand in files of their own, which whoever renews them writes: `jwks_file`, such as the bundle of a trust
/// domain, `client_secret_file`, and `paserk_file`. They are found beside the registry, and looked at with it.
///
/// ```
/// use hopseal::RegistryFile;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("registry.yaml");
/// # let text = "issuers: [{name: a, kind: oidc, issuer: https://a.example, audiences: [b], algorithms: [RS256]}]";
/// # std::fs::write(&path, text)?;
/// let (mut file, registry) = RegistryFile::open(&path)?;
/// // Every ten seconds or so:
/// match file.changed() {
///     Ok(Some(next)) => println!("{} after {}", next.version(), registry.version()), // validator.reload(&next, keys)
///     Ok(None) => {}
///     Err(error) => eprintln!("the registry stays as it was: {error}"), // said once for each change
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RegistryFile {
    path: PathBuf,
    /// SHA-256 of what was read last, good or not.
    seen: [u8; 32],
    /// The files that it named then, and what they held.
    beside: Beside,
    /// The version of the last good one.
    version: String,
}

/// Files that a registry names, each with what it held: SHA-256, or `None` if it could not be read.
type Beside = BTreeMap<PathBuf, Option<[u8; 32]>>;

/// A file that holds no registry. The last good one stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryFileError {
    /// It cannot be read.
    #[error("could not read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Over 1 MiB.
    #[error("`{0}` is over {MAX_BYTES} bytes")]
    TooLong(PathBuf),
    /// What it says cannot be used.
    #[error("`{path}`: {source}")]
    Registry {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: RegistryError,
    },
}

impl RegistryFile {
    /// Reads a registry from a file, to be looked at again.
    ///
    /// # Errors
    /// [`RegistryFileError`].
    pub fn open(path: impl Into<PathBuf>) -> Result<(Self, Registry), RegistryFileError> {
        let path = path.into();
        let (text, seen) = read(&path)?;
        let mut beside = Beside::new();
        let registry = parse(&path, &text, &mut Opened::default(), &mut beside)?;
        Ok((Self { path, seen, beside, version: registry.version().to_owned() }, registry))
    }

    /// The registry, if the file says another since it was last looked at. It blocks for as long as a small file is read.
    ///
    /// # Errors
    /// [`RegistryFileError`], once for each change: what was read and is no good is not read again.
    pub fn changed(&mut self) -> Result<Option<Registry>, RegistryFileError> {
        let (text, seen) = read(&self.path)?;
        let mut opened = Opened::default();
        let others = self.beside.iter().any(|(path, held)| opened.seen(path) != *held);
        if std::mem::replace(&mut self.seen, seen) == seen && !others {
            return Ok(None);
        }
        self.beside.clear();
        let registry = parse(&self.path, &text, &mut opened, &mut self.beside)?;
        if registry.version() == self.version {
            return Ok(None); // comments, or back to what is in force
        }
        registry.version().clone_into(&mut self.version);
        Ok(Some(registry))
    }
}

/// What was read of files at one look: each once, since it may be another the next time.
#[derive(Default)]
struct Opened(BTreeMap<PathBuf, Result<(Secret, [u8; 32]), RegistryFileError>>);

impl Opened {
    fn read(&mut self, path: &Path) -> &Result<(Secret, [u8; 32]), RegistryFileError> {
        self.0.entry(path.to_owned()).or_insert_with(|| read(path))
    }

    fn seen(&mut self, path: &Path) -> Option<[u8; 32]> {
        self.read(path).as_ref().ok().map(|(_, seen)| *seen)
    }
}

fn read(path: &Path) -> Result<(Secret, [u8; 32]), RegistryFileError> {
    let failed = |source| RegistryFileError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > MAX_BYTES {
        return Err(RegistryFileError::TooLong(path.to_owned()));
    }
    let text = Secret::new(fs::read_to_string(path).map_err(failed)?);
    let seen = Sha256::digest(text.expose()).into();
    Ok((text, seen))
}

fn parse(
    path: &Path,
    text: &Secret,
    opened: &mut Opened,
    beside: &mut Beside,
) -> Result<Registry, RegistryFileError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut open = |name: &str| {
        let file = folder.join(name);
        beside.insert(file.clone(), opened.seen(&file));
        match opened.read(&file) {
            Ok((text, _)) => Ok(text.clone()),
            Err(RegistryFileError::Read { source, .. }) => Err(format!("`{name}` cannot be read: {source}")),
            Err(fault) => Err(fault.to_string()),
        }
    };
    Registry::read(text.expose(), &mut open)
        .map_err(|source| RegistryFileError::Registry { path: path.to_owned(), source })
}

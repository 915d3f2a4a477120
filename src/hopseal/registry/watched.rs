//! A registry in a file that may change while we run.

use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest as _, Sha256};

use super::{Registry, RegistryError};

/// Largest file.
const MAX_BYTES: u64 = 1024 * 1024;

/// A registry in a file: read once, and again when it changed. Nothing goes on in the background: who serves looks every now and
/// then, and hands what is new to `Validator::reload`. A file that cannot be used changes nothing.
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
///     Ok(Some(next)) => println!("{} after {}", next.version(), registry.version()), // validator.reload(next, keys)
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
    /// The version of the last good one.
    version: String,
}

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
        let registry = parse(&path, &text)?;
        Ok((Self { path, seen, version: registry.version().to_owned() }, registry))
    }

    /// The registry, if the file says another since it was last looked at. It blocks for as long as a small file is read.
    ///
    /// # Errors
    /// [`RegistryFileError`], once for each change: what was read and is no good is not read again.
    pub fn changed(&mut self) -> Result<Option<Registry>, RegistryFileError> {
        let (text, seen) = read(&self.path)?;
        if std::mem::replace(&mut self.seen, seen) == seen {
            return Ok(None);
        }
        let registry = parse(&self.path, &text)?;
        if registry.version() == self.version {
            return Ok(None); // comments, or back to what is in force
        }
        registry.version().clone_into(&mut self.version);
        Ok(Some(registry))
    }
}

fn read(path: &Path) -> Result<(String, [u8; 32]), RegistryFileError> {
    let failed = |source| RegistryFileError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > MAX_BYTES {
        return Err(RegistryFileError::TooLong(path.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let seen = Sha256::digest(&text).into();
    Ok((text, seen))
}

fn parse(path: &Path, text: &str) -> Result<Registry, RegistryFileError> {
    Registry::from_yaml(text).map_err(|source| RegistryFileError::Registry { path: path.to_owned(), source })
}

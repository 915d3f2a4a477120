//! The private keys of a service that seals.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use hopseal_identity::seal::{SealingKey, SealingKeyError};
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::clock::UnixTime;

/// Largest file of keys that is read, in bytes.
const MAX_BYTES: u64 = 64 * 1024;
/// Most keys of one service: the one before, the one now, and those to come.
const MAX_KEYS: usize = 8;

/// The keys that a service seals with, shared by its replicas: the one now, the one before, and those to come.
///
/// Each key may say from when on it seals (`nbf`, seconds). The latest that has begun does; all of them are published. So a
/// file with tomorrow's key in it replaces today's by itself, on every replica at the same time, after everybody has seen it.
///
/// ```
/// use hopseal::{UnixTime, seal::SealingKeys};
/// // RFC 8037 appendix A.1 and RFC 8032 section 7.1, test 2.
/// let keys = SealingKeys::from_jwks(br#"{"keys":[
///     {"kty":"OKP","crv":"Ed25519","kid":"orders.1","nbf":100,
///      "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
///     {"kty":"OKP","crv":"Ed25519","kid":"orders.2","nbf":200,
///      "d":"TM0Imyj_ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U-4pvs","x":"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"}]}"#)?;
/// assert_eq!(keys.at(UnixTime(199)).unwrap().kid(), "orders.1");
/// assert_eq!(keys.at(UnixTime(200)).unwrap().kid(), "orders.2");
/// assert!(keys.at(UnixTime(99)).is_none());
/// # Ok::<(), hopseal::seal::SealingKeysError>(())
/// ```
///
/// A file begins with one key, and is given the next in time for everybody to see it:
///
/// ```
/// use hopseal::{UnixTime, seal::SealingKeys};
/// # let folder = tempfile::tempdir()?;
/// # let (file, tomorrow) = (folder.path().join("orders.keys.json"), UnixTime(1_800_000_000));
/// SealingKeys::create_file(&file, "orders.1")?;
/// SealingKeys::add_to_file(&file, "orders.2", tomorrow)?;
/// let keys = SealingKeys::from_file(&file)?;
/// assert_eq!(keys.kids().collect::<Vec<_>>(), ["orders.1", "orders.2"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SealingKeys {
    keys: Vec<(UnixTime, SealingKey)>,
}

/// Keys that cannot be used. Nothing of a key is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealingKeysError {
    /// The file cannot be read.
    #[error("could not read the keys for sealing")]
    Read(#[source] io::Error),
    /// The file cannot be written, or is there already: keys are never written over.
    #[error("could not write the keys for sealing")]
    Write(#[source] io::Error),
    /// No key can be made.
    #[error("could not make a key for sealing")]
    Make(#[source] SealingKeyError),
    /// Over 64 KiB.
    #[error("keys for sealing over {MAX_BYTES} bytes")]
    TooLong,
    /// Not a JWK set (RFC 7517 section 5).
    #[error("no JWK set")]
    Shape,
    /// No key, or over 8.
    #[error("a service seals with 1 to {MAX_KEYS} keys, not {0}")]
    Count(usize),
    /// A key of it cannot be used.
    #[error("key {index} of the set")]
    Key {
        /// Its place in the set, from 0.
        index: usize,
        /// Why.
        #[source]
        source: SealingKeyError,
    },
    /// Two keys under one id.
    #[error("two keys are called `{0}`")]
    DuplicateKid(String),
}

#[derive(Deserialize)]
struct Set<'j> {
    #[serde(borrow)]
    keys: Vec<&'j RawValue>,
}

#[derive(Deserialize)]
struct Begins {
    #[serde(default)]
    nbf: u64,
}

impl SealingKeys {
    /// Reads keys from a file: a JWK set with private keys.
    ///
    /// # Errors
    /// [`SealingKeysError`]. One bad key spoils the set: it is ours, and was not meant to be so.
    pub fn from_file(path: &Path) -> Result<Self, SealingKeysError> {
        Self::from_jwks(&read(path)?)
    }

    /// Makes a file with a new key under that id: the name of the service, as the rules of who may seal have it, alone or with more
    /// behind a `.`. Nobody but the user that this runs as may read it.
    ///
    /// # Errors
    /// [`SealingKeysError::Write`] if there is such a file already, and [`SealingKeysError::Make`].
    pub fn create_file(path: &Path, kid: &str) -> Result<Self, SealingKeysError> {
        let set = set([new_jwk(kid, None)?.as_str()]);
        let keys = Self::from_jwks(set.as_bytes())?;
        write(path, set.as_bytes()).map_err(SealingKeysError::Write)?;
        Ok(keys)
    }

    /// Adds a new key to a file, which seals from `begins` on: late enough for everybody to have seen its public half. What is there
    /// stays as it is; the file is replaced as a whole.
    ///
    /// # Errors
    /// [`SealingKeysError`], and the file is as it was.
    pub fn add_to_file(path: &Path, kid: &str, begins: UnixTime) -> Result<Self, SealingKeysError> {
        let text = read(path)?;
        let before: Set<'_> = serde_json::from_slice(&text).map_err(|_| SealingKeysError::Shape)?;
        let key = new_jwk(kid, Some(begins))?;
        let set = set(before.keys.iter().map(|key| key.get()).chain([key.as_str()]));
        let keys = Self::from_jwks(set.as_bytes())?;
        // In the same folder: only within a file system is a rename whole or not at all.
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        // One that was left behind may be for others to read.
        let _ = fs::remove_file(&beside);
        let written = write(Path::new(&beside), set.as_bytes()).and_then(|()| fs::rename(&beside, path));
        if let Err(error) = written {
            // Whether it is there at all is not known; what counts is the first error.
            let _ = fs::remove_file(&beside);
            return Err(SealingKeysError::Write(error));
        }
        Ok(keys)
    }

    /// Makes a new key that seals until this process ends, for a service of one replica.
    ///
    /// # Errors
    /// [`SealingKeysError::Make`].
    pub fn generate(kid: &str) -> Result<Self, SealingKeysError> {
        let key = SealingKey::from_jwk(new_jwk(kid, None)?.as_bytes()).map_err(SealingKeysError::Make)?;
        Ok(Self::single(key))
    }

    /// Reads keys from a JWK set with private keys.
    ///
    /// # Errors
    /// [`SealingKeysError`].
    pub fn from_jwks(json: &[u8]) -> Result<Self, SealingKeysError> {
        // The parser's own words could quote the key.
        let set: Set<'_> = serde_json::from_slice(json).map_err(|_| SealingKeysError::Shape)?;
        if !(1..=MAX_KEYS).contains(&set.keys.len()) {
            return Err(SealingKeysError::Count(set.keys.len()));
        }
        let mut keys: Vec<(UnixTime, SealingKey)> = Vec::with_capacity(set.keys.len());
        for (index, raw) in set.keys.into_iter().enumerate() {
            let begins: Begins = serde_json::from_str(raw.get()).map_err(|_| SealingKeysError::Shape)?;
            let key = SealingKey::from_jwk(raw.get().as_bytes())
                .map_err(|source| SealingKeysError::Key { index, source })?;
            if keys.iter().any(|(_, other)| other.kid() == key.kid()) {
                return Err(SealingKeysError::DuplicateKid(key.kid().to_owned()));
            }
            keys.push((UnixTime(begins.nbf), key));
        }
        keys.sort_by_key(|(begins, _)| *begins);
        Ok(Self { keys })
    }

    /// The one key that seals, from a PEM file or the like.
    #[must_use]
    pub fn single(key: SealingKey) -> Self {
        Self { keys: vec![(UnixTime(0), key)] }
    }

    /// The key that seals at that time; `None` before the first has begun.
    #[must_use]
    pub fn at(&self, now: UnixTime) -> Option<&SealingKey> {
        self.keys.iter().rev().find(|(begins, _)| *begins <= now).map(|(_, key)| key)
    }

    /// Their ids, in the order in which they begin.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(_, key)| key.kid())
    }
}

/// A file of keys, unless it is too long for one.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SealingKeysError> {
    let size = fs::metadata(path).map_err(SealingKeysError::Read)?.len();
    if size > MAX_BYTES {
        return Err(SealingKeysError::TooLong);
    }
    Ok(Zeroizing::new(fs::read(path).map_err(SealingKeysError::Read)?))
}

/// Writes a new file that nobody else may read.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A set of keys as they stand. There is room for all of them: what a text leaves behind as it grows is not wiped.
fn set<'k>(keys: impl IntoIterator<Item = &'k str>) -> Zeroizing<String> {
    let keys: Vec<&str> = keys.into_iter().collect();
    let length: usize = keys.iter().map(|key| key.len() + 1).sum();
    let mut set = Zeroizing::new(String::with_capacity(length + 16));
    set.push_str(r#"{"keys":["#);
    for (place, key) in keys.into_iter().enumerate() {
        set.push_str(if place > 0 { "," } else { "" });
        set.push_str(key);
    }
    set.push_str("]}");
    set
}

/// A new private key, which seals from `begins` on.
fn new_jwk(kid: &str, begins: Option<UnixTime>) -> Result<Zeroizing<String>, SealingKeysError> {
    let made = SealingKey::new_jwk(kid).map_err(SealingKeysError::Make)?;
    let begins = begins.map_or(String::new(), |begins| format!(r#""nbf":{begins},"#));
    let mut jwk = Zeroizing::new(String::with_capacity(made.len() + begins.len()));
    jwk.push('{');
    jwk.push_str(&begins);
    jwk.push_str(made.strip_prefix('{').unwrap_or(&made));
    Ok(jwk)
}

/// The public halves of the keys of some services as one JWK set (RFC 7517 section 5): what a trust domain publishes. Later keys
/// of an id that was there before are left out.
#[must_use]
pub fn public_jwks<'k>(services: impl IntoIterator<Item = &'k SealingKeys>) -> Vec<u8> {
    let mut kids = std::collections::BTreeSet::new();
    let mut json = String::from(r#"{"keys":["#);
    for (_, key) in services.into_iter().flat_map(|service| &service.keys) {
        if kids.insert(key.kid()) {
            if kids.len() > 1 {
                json.push(',');
            }
            json.push_str(&key.public_jwk());
        }
    }
    json.push_str("]}");
    json.into_bytes()
}

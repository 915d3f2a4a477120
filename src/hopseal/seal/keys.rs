//! The private keys of a service that seals.

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
    Read(#[source] std::io::Error),
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
        let size = std::fs::metadata(path).map_err(SealingKeysError::Read)?.len();
        if size > MAX_BYTES {
            return Err(SealingKeysError::TooLong);
        }
        Self::from_jwks(&Zeroizing::new(std::fs::read(path).map_err(SealingKeysError::Read)?))
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

//! Which spans are our own: findings that were sent out as spans, and came back by way of a Collector. They are known by a key, so
//! that nobody else can have spans overlooked, nor work out a verdict that is taken for another.

use std::io::{self, Write as _};
use std::path::Path;

use aws_lc_rs::hmac;
use hopseal_correlate::finding::FindingId;
use hopseal_correlate::sink::SpanId;
use rustix::io::retry_on_intr;
use rustix::rand::{GetRandomFlags, getrandom};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// The attribute that names the finding that a span of ours tells of.
pub(crate) const FINDING: &str = "hopseal.finding.id";
/// The `service.name` of what we send.
pub(crate) const SERVICE: &str = "hopseal";

/// Where the key is kept, beside the catalog.
const FILE: &str = "own.key";
const BYTES: usize = 32;

/// Bytes for a hash that takes a secret.
pub(crate) type Secret = Zeroizing<[u8; SECRET]>;
/// As many as XXH3 takes of its own.
const SECRET: usize = 192;

/// What a span of ours tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// That a finding stands.
    Stands,
    /// That it stands no more.
    Retracted,
}

/// The key by which we know what is our own.
pub(crate) struct OwnKey(hmac::Key);

impl std::fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnKey").finish_non_exhaustive()
    }
}

impl OwnKey {
    /// The key of a directory, made if there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written, holds something else, or there is no randomness.
    pub(crate) fn of(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) if bytes.len() == BYTES => return Ok(Self::new(&bytes)),
            Ok(_) => return Err(io::Error::other("the key of our own spans is cut short; remove it")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut bytes = Zeroizing::new([0_u8; BYTES]);
        // The system's own: another generator would first be seeded for longer than all the rest of a start takes.
        if retry_on_intr(|| getrandom(&mut bytes[..], GetRandomFlags::empty()))? < BYTES {
            return Err(io::Error::other("no randomness"));
        }
        // Under its name once it is whole, and for its owner alone.
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(&*bytes)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(&path)?;
        Ok(Self::new(&*bytes))
    }

    fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// What verdicts are hashed with: the same in every process.
    pub(crate) fn secret(&self) -> Secret {
        let mut secret = Zeroizing::new([0; SECRET]);
        for (part, number) in secret.chunks_mut(BYTES).zip(0_u8..) {
            part.copy_from_slice(hmac::sign(&self.0, &[b"verdict", &[number][..]].concat()).as_ref());
        }
        secret
    }

    /// The id of the span that says this of a finding: the same each time.
    pub(crate) fn span_id(&self, finding: FindingId, says: Says) -> SpanId {
        let says: &[u8] = match says {
            Says::Stands => b"stands",
            Says::Retracted => b"retracted",
        };
        let tag = hmac::sign(&self.0, &[&finding.0, says].concat());
        SpanId(tag.as_ref().first_chunk().copied().unwrap_or([1; 8]))
    }

    /// Whether a span with that id, which says that it tells of that finding, is ours.
    pub(crate) fn made(&self, finding: FindingId, span_id: SpanId) -> bool {
        [Says::Stands, Says::Retracted].iter().any(|says| self.span_id(finding, *says) == span_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_known_by_its_key() {
        let (here, there) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (key, other) =
            (OwnKey::of(here.path()).expect("a key"), OwnKey::of(there.path()).expect("a key"));
        let (finding, another) = (FindingId([1; 16]), FindingId([2; 16]));
        let (stands, retracted) = (key.span_id(finding, Says::Stands), key.span_id(finding, Says::Retracted));
        assert_ne!(stands, retracted);
        assert!(key.made(finding, stands) && key.made(finding, retracted));
        assert!(!key.made(another, stands) && !other.made(finding, stands));
        let again = OwnKey::of(here.path()).expect("the key");
        assert_eq!(again.span_id(finding, Says::Stands), stands, "the next process knows it");
        std::fs::write(here.path().join(FILE), [0; 3]).expect("written");
        assert!(OwnKey::of(here.path()).is_err());
    }
}

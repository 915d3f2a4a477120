//! Who is meant by a name: the id itself, and its pseudonyms where the keys are at hand.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use hopseal_identity::pseudonym::{PseudonymKey, PseudonymKeyError, Pseudonyms};

/// A key of pseudonyms: its id, and the file that holds it as base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFile {
    pub(crate) kid: String,
    pub(crate) path: PathBuf,
}

/// Keys of pseudonyms, and the issuers whose subjects are looked for under them.
pub(crate) type People = Arc<(Pseudonyms, Vec<String>)>;

/// Keys of pseudonyms cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PeopleError {
    /// A file cannot be read.
    #[error("key for pseudonyms `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A key cannot be used, or not with the others.
    #[error("key for pseudonyms `{kid}`")]
    Key {
        /// Its id.
        kid: String,
        /// Why.
        #[source]
        source: PseudonymKeyError,
    },
}

/// Reads keys, the current one first. `None` if there are none.
pub(crate) fn keys(files: &[KeyFile]) -> Result<Option<Pseudonyms>, PeopleError> {
    let mut keys = Vec::new();
    let refuse = |kid: &str| {
        let kid = kid.to_owned();
        move |source| PeopleError::Key { kid, source }
    };
    for KeyFile { kid, path } in files {
        let text = std::fs::read_to_string(path)
            .map_err(|source| PeopleError::Read { path: path.clone(), source })?;
        keys.push(PseudonymKey::from_base64url(kid, text.trim()).map_err(refuse(kid))?);
    }
    let mut keys = keys.into_iter();
    let (Some(first), Some(current)) = (files.first(), keys.next()) else { return Ok(None) };
    Pseudonyms::new(current, keys).map(Some).map_err(refuse(&first.kid))
}

/// Ids that a person may stand under on spans. `issuers`: whose pseudonyms are looked for.
pub(crate) fn spellings(name: &str, issuers: &[String], keys: Option<&Pseudonyms>) -> Vec<String> {
    let mut ids = vec![name.to_owned()];
    for issuer in issuers {
        ids.extend(keys.into_iter().flat_map(|keys| keys.all(issuer, name)));
    }
    ids
}

//! The keys that seals are checked with, as a file.

use std::io::Write;
use std::path::PathBuf;

use super::CheckError;
use crate::seal_check::SealCheck;

/// Reads a key set; keys of it that are not used are told to `err`.
pub(crate) fn load(
    keys: Option<&(PathBuf, String)>,
    skew: u64,
    err: &mut dyn Write,
) -> Result<Option<SealCheck>, CheckError> {
    let Some((path, trust_domain)) = keys else { return Ok(None) };
    let jwks = std::fs::read(path).map_err(|source| CheckError::Open {
        what: "keys",
        path: path.clone(),
        source,
    })?;
    let (check, skipped) = SealCheck::new(&jwks, trust_domain, skew)
        .map_err(|source| CheckError::Keys { path: path.clone(), source })?;
    for key in skipped {
        let (path, fault) = (path.display(), key.fault);
        writeln!(err, "hopseal: keys `{path}`: key {} is not used: {fault}", key.index)
            .map_err(CheckError::Notes)?;
    }
    Ok(Some(check))
}

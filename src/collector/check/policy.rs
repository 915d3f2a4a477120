//! The policy as a file.

use std::path::Path;

use hopseal_correlate::dialect::Dialects;
use hopseal_correlate::policy::{Policy, PolicyFile};

use super::CheckError;

/// What the rules are asked with: the policy of a file, or what holds without one, and the dialects it adds to.
pub(super) fn load(path: Option<&Path>) -> Result<(Policy, Dialects), CheckError> {
    let policy = match path {
        Some(path) => read(path)?,
        None => Policy::default(),
    };
    let mut dialects = Dialects::built_in().map_err(CheckError::Dialects)?;
    dialects.extend(&policy.dialects).map_err(CheckError::Dialects)?;
    Ok((policy, dialects))
}

fn read(path: &Path) -> Result<Policy, CheckError> {
    let text = std::fs::read_to_string(path).map_err(|source| CheckError::Open {
        what: "policy",
        path: path.to_owned(),
        source,
    })?;
    PolicyFile::parse(&text)
        .and_then(|file| file.resolve())
        .map_err(|source| CheckError::Policy { path: path.to_owned(), source })
}

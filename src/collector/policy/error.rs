//! Why a policy command could not be done.

use std::io;

use crate::check::{CheckError, Exit};

/// A policy that cannot be used, or a command that could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyCommandError {
    /// The policy cannot be used, or the traces cannot be looked through.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The result cannot be written.
    #[error("cannot write the result")]
    Output(#[source] io::Error),
    /// There is no such rule.
    #[error("there is no rule `{0}`; `hopseal policy explain` without a rule lists them")]
    Rule(String),
}

impl PolicyCommandError {
    /// The exit status.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Check(error) => error.exit(),
            Self::Rule(_) => Exit::Usage,
            Self::Output(_) => Exit::Unreadable,
        }
    }
}

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
    /// The exit status: always 2.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        Exit::Usage
    }

    /// Whether whoever reads the result has closed the pipe: they have what they wanted.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

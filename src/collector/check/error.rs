//! Why a check could not be done.

use std::io;
use std::path::PathBuf;

use hopseal_correlate::dialect::DialectError;
use hopseal_correlate::policy::PolicyError;

use super::Exit;
use crate::seal_check::SealCheckError;

/// No verdict was possible.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A configuration file cannot be read.
    #[error("cannot read {what} `{}`", path.display())]
    Open {
        /// What the file is.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A configuration file is not what it should be.
    #[error("{what} `{}` cannot be used", path.display())]
    Parse {
        /// What the file is.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The policy says something that cannot be used.
    #[error("policy `{}`", path.display())]
    Policy {
        /// Its path.
        path: PathBuf,
        /// What, and where.
        #[source]
        source: PolicyError,
    },
    /// The key set or the trust domain cannot be used.
    #[error("keys `{}`", path.display())]
    Keys {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: SealCheckError,
    },
    /// The dialect map cannot be used.
    #[error("the dialect map cannot be used")]
    Dialects(#[source] DialectError),
    /// A file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The result cannot be written.
    #[error("cannot write the result")]
    Output(#[source] io::Error),
    /// Notes beside the result cannot be written.
    #[error("cannot write to standard error")]
    Notes(#[source] io::Error),
    /// Spans past the memory budget cannot be sorted on disk.
    #[error("cannot sort spans on disk; `--memory` says how many are kept in memory")]
    Spill(#[source] io::Error),
}

impl From<io::Error> for CheckError {
    fn from(source: io::Error) -> Self {
        Self::Spill(source)
    }
}

impl CheckError {
    /// The exit status: always 2. Files that cannot be read are no error here.
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

//! What keeps the demo from going on.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::check::Exit;
use crate::serve::ServeError;
use crate::serve::trail::TrailError;

/// The demo could not be told to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DemoError {
    /// The folder that was given holds something already.
    #[error("`{}` is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// A file cannot be written, or its folder not be made.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system has no randomness to make keys of.
    #[error("no randomness for keys")]
    Randomness,
    /// A part of the fleet cannot be set up.
    #[error("cannot set up {what}")]
    SetUp {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The collector does not run.
    #[error("the collector does not run")]
    Collector(#[source] ServeError),
    /// A request of a person was not answered as it should be.
    #[error("{what} went wrong")]
    Call {
        /// What was asked for.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A request of a person was answered with another status than the story has it.
    #[error("{what} was answered with status {status}")]
    Status {
        /// What was asked for.
        what: &'static str,
        /// The status.
        status: u16,
    },
    /// What was found cannot be read back.
    #[error("cannot read what was found")]
    Trail(#[source] Box<dyn Error + Send + Sync>),
    /// The story cannot be written.
    #[error("cannot write the result")]
    Output(#[source] io::Error),
    /// A signal said to stop before the end.
    #[error("stopped before the end")]
    Interrupted,
}

impl DemoError {
    /// A part that cannot be set up.
    pub(super) fn set_up<E: Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::SetUp { what, source: source.into() }
    }

    /// A request that was not answered.
    pub(super) fn call<E: Error + Send + Sync + 'static>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Call { what, source: source.into() }
    }

    /// The exit status: a folder that cannot be taken, or a story that cannot be written, is 2, everything else is 3.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::NotEmpty(_) | Self::Output(_) => Exit::Usage,
            _ => Exit::Unreadable,
        }
    }
}

impl From<TrailError> for DemoError {
    fn from(error: TrailError) -> Self {
        Self::Trail(error.into())
    }
}

//! `hopseal serve`, as it is called.

use std::io::{self, Write};
use std::path::Path;

use super::config::{self, Config, ConfigError};
use super::live::Live;
use crate::check::Exit;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// The schema of configurations.
    Schema,
    /// Whether a configuration can be used.
    Check,
}

/// It could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The result cannot be written.
    #[error("cannot write the result")]
    Output(#[source] io::Error),
}

impl ServeError {
    /// The exit status: configuration is 2, what the machine refuses is 3.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) => Exit::Usage,
            Self::Output(_) => Exit::Unreadable,
        }
    }
}

/// Does it.
///
/// # Errors
/// [`ServeError`].
pub(crate) fn run(task: Task, path: Option<&Path>, out: &mut dyn Write) -> Result<(), ServeError> {
    match task {
        Task::Schema => out.write_all(config::schema().as_bytes()).map_err(ServeError::Output),
        Task::Check => {
            Live::load(&Config::load(path)?)?;
            let name = path.unwrap_or(Path::new("the default configuration")).display();
            writeln!(out, "{name}: can be used").map_err(ServeError::Output)
        }
    }
}

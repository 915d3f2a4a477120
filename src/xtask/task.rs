//! What every task needs: the repository it works on and the way it fails.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::{env, fs, io};

/// A task that was not done, or found something wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TaskError {
    #[error("run it as `cargo xtask`: cargo says where the repository is")]
    NotUnderCargo,
    #[error("could not start `{command}`")]
    Start {
        command: String,
        #[source]
        source: io::Error,
    },
    #[error("`{command}` ended with {status}")]
    Failed { command: String, status: ExitStatus },
    #[error("`{what}` is missing; install it with `{install}`")]
    Missing { what: &'static str, install: &'static str },
    #[error("programs are missing that tests start; install them with `sudo apt-get install {0}`")]
    Install(String),
    #[error("`{command}` wrote something unexpected")]
    Output {
        command: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("could not read `{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("could not write")]
    Write(#[from] io::Error),
    #[error("{0} places are not tidy")]
    Untidy(usize),
    #[error("{0} limits are missed")]
    OverLimit(usize),
    #[error("at this rate nothing can be said in less than {0} minutes")]
    TooShort(u32),
    #[error("memory grows by {0:.2} MiB a minute")]
    Grows(f64),
    #[error("the capture taken anew differs from the committed one")]
    Differs,
    #[error("neither `XDG_CACHE_HOME` nor `HOME` is set")]
    NoHome,
    #[error("no fuzz target is called `{0}`")]
    NoTarget(String),
}

/// The work tree that `cargo xtask` was started in.
#[derive(Debug)]
pub(crate) struct Repository {
    root: PathBuf,
}

impl Repository {
    pub(crate) fn find() -> Result<Self, TaskError> {
        // Asked for at run time: the path at build time may be that of another work tree with the same target folder.
        let manifest = env::var_os("CARGO_MANIFEST_DIR").ok_or(TaskError::NotUnderCargo)?;
        let root = Path::new(&manifest).ancestors().nth(2).ok_or(TaskError::NotUnderCargo)?;
        Ok(Self { root: root.to_owned() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, TaskError> {
        let path = path.as_ref();
        fs::read(self.root.join(path)).map_err(|source| TaskError::Read { path: path.to_owned(), source })
    }

    /// The entries of a folder, sorted; none if there is no such folder.
    pub(crate) fn list(&self, folder: impl AsRef<Path>) -> Result<Vec<PathBuf>, TaskError> {
        let folder = folder.as_ref();
        let failed = |source| TaskError::Read { path: folder.to_owned(), source };
        let entries = match fs::read_dir(self.root.join(folder)) {
            // As with what would be below a file.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            entries => entries.map_err(failed)?,
        };
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.map(|entry| folder.join(entry.file_name())))
            .collect::<Result<_, _>>()
            .map_err(failed)?;
        paths.sort();
        Ok(paths)
    }
}

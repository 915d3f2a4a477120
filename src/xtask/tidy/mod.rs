//! `cargo xtask tidy`: what compilers and linters do not check for us.
//!
//! - [`text`]: length of source files, ASCII, no paths of one machine.
//! - [`workspace`]: the root manifest as a table of contents, lints in every crate, who may depend on whom.
//! - [`flow`]: within a crate, a module names only those that stand before it.
//! - [`fuzzed`]: every parser has a fuzz target with seeds.

mod flow;
mod fuzzed;
mod text;
mod workspace;

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::exec;
use crate::task::{Repository, TaskError};

/// One thing to put right.
#[derive(Debug, PartialEq, Eq)]
struct Complaint {
    path: PathBuf,
    /// From 1; 0 for the file as a whole.
    line: usize,
    what: String,
}

impl Complaint {
    fn new(path: impl AsRef<Path>, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.as_ref().to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path.display(), self.what),
            line => write!(f, "{}:{line}: {}", self.path.display(), self.what),
        }
    }
}

/// A file that is, or would be, committed.
#[derive(Debug)]
struct File {
    path: PathBuf,
    /// Empty for what is not text.
    text: String,
}

pub(crate) fn run(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    let files = files(repository)?;
    let mut complaints = Vec::new();
    for file in &files {
        text::check(file, &mut complaints);
    }
    flow::check(&files, &mut complaints);
    fuzzed::check(&files, &mut complaints);
    workspace::check(&files, &workspace::members(repository)?, &mut complaints);
    for complaint in &complaints {
        writeln!(out, "{complaint}")?;
    }
    match complaints.len() {
        0 => Ok(writeln!(out, "tidy: {} files", files.len())?),
        count => Err(TaskError::Untidy(count)),
    }
}

/// Everything under version control and everything new that is not ignored.
fn files(repository: &Repository) -> Result<Vec<File>, TaskError> {
    let mut git = Command::new("git");
    git.current_dir(repository.root()).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listed = exec::read(&mut git)?;
    let mut paths: Vec<&Path> = listed.split_terminator('\0').map(Path::new).collect();
    paths.sort_unstable();
    paths.dedup();
    let on_disk = paths.into_iter().filter(|path| repository.root().join(path).is_file());
    on_disk
        .map(|path| {
            let text = String::from_utf8(repository.read(path)?).unwrap_or_default();
            Ok(File { path: path.to_owned(), text })
        })
        .collect()
}

//! `cargo xtask test`.

use std::io::Write;
use std::process::Command;

use crate::exec;
use crate::task::{Repository, TaskError};

/// Runs every test of the workspace, with every feature. They need Rust and the C compiler that Rust links with, and, for the
/// seals that other libraries check, Python 3 and Node 20 with npm; what these need is fetched once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Passed on to `cargo test`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// What languages of `tests/interop` run on, and how Debian calls it.
const NEEDED: [(&str, &str, &str); 3] = [
    ("python", "python3", "apt-get install python3-venv"),
    ("node", "npm", "apt-get install nodejs npm"),
    ("java", "mvn", "apt-get install default-jdk-headless maven"),
];

/// Fetches the libraries of other languages that check our seals, unless they are there.
pub(crate) fn install(
    repository: &Repository,
    languages: &[&str],
    out: &mut dyn Write,
) -> Result<(), TaskError> {
    for (_, what, install) in NEEDED.iter().filter(|(language, _, _)| languages.contains(language)) {
        if !exec::succeeds(Command::new(what).arg("--version")) {
            return Err(TaskError::Missing { what, install });
        }
    }
    exec::run(Command::new(repository.root().join("tests/interop/install")).args(languages), out)
}

pub(crate) fn run(args: &Args, repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    install(repository, &["python", "node"], out)?;
    let mut cargo = exec::cargo();
    cargo
        .current_dir(repository.root())
        .args(["test", "--workspace", "--all-features", "--locked"])
        .args(&args.rest);
    exec::run(&mut cargo, out)
}

//! `cargo xtask test`.

use std::io::Write;

use crate::exec;
use crate::task::{Repository, TaskError};

/// Runs every test of the workspace, with every feature. They need nothing but Rust and the C compiler that Rust links with.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Passed on to `cargo test`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) fn run(args: &Args, repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    let mut cargo = exec::cargo();
    cargo
        .current_dir(repository.root())
        .args(["test", "--workspace", "--all-features", "--locked"])
        .args(&args.rest);
    exec::run(&mut cargo, out)
}

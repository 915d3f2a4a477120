//! `cargo xtask`: the project's own tasks. One file a task.

mod accuracy;
mod bench;
mod components;
mod e2e;
mod exec;
mod fuzz;
mod metadata;
mod optimize;
mod overload;
mod soak;
mod task;
mod test;
mod tidy;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::task::{Repository, TaskError};

/// The project's own tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Test(test::Args),
    E2e(e2e::Args),
    /// Checks what compilers and linters do not: file length, dependencies, flow, fuzz targets.
    Tidy,
    Fuzz(fuzz::Args),
    Bench(bench::Args),
    Soak(soak::Args),
    /// Keeps a core busy until its standard input ends: for `soak --overload`.
    #[command(hide = true)]
    Busy,
    Optimize(optimize::Args),
    Accuracy(accuracy::Accuracy),
    Generate(accuracy::Generate),
}

fn run(task: &Task, out: &mut dyn Write) -> Result<(), TaskError> {
    // Started by another task, not by cargo.
    if matches!(task, Task::Busy) {
        return overload::busy();
    }
    let repository = Repository::find()?;
    match task {
        Task::Busy => overload::busy(),
        Task::Test(args) => test::run(args, &repository, out),
        Task::E2e(args) => e2e::run(args, &repository, out),
        Task::Tidy => tidy::run(&repository, out),
        Task::Fuzz(args) => fuzz::run(args, &repository, out),
        Task::Bench(args) => bench::run(args, &repository, out),
        Task::Soak(args) => soak::run(args, &repository, out),
        Task::Optimize(args) => optimize::run(args, &repository, out),
        Task::Accuracy(args) => accuracy::accuracy(args, out),
        Task::Generate(args) => accuracy::generate(args, out),
    }
}

fn main() -> ExitCode {
    let Err(error) = run(&Cli::parse().task, &mut io::stdout()) else {
        return ExitCode::SUCCESS;
    };
    let mut text = format!("xtask: {error}");
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    // Nobody is left to tell when standard error is gone too.
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::FAILURE
}

//! The program `hopseal`.

use std::process::ExitCode;

use clap::Parser as _;
use hopseal_collector::cli::{self, Cli};

// Records are allocated by the reader and freed by the judge; glibc's arenas make that slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(Cli::parse(), &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
}

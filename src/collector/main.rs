//! The program `hopseal`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use hopseal_collector::cli::{self, Cli};

// Records are allocated by the reader and freed by the judge; glibc's arenas make that slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let colour =
        std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    cli::run(Cli::parse(), colour, &mut std::io::stdout().lock(), &mut std::io::stderr().lock()).into()
}

//! The program `hopseal`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use hopseal_collector::cli::{self, Cli};

// Records are allocated by the reader and freed by the judge; glibc's arenas make that slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let terminal = std::io::stdout().is_terminal();
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let cli = Cli::parse();
    if cli.serves() {
        // Of a huge page all is cleared, and a service uses little of most: that cost a quarter of what it took. What fills its
        // memory and ends is better off with them. Where they cannot be turned off all works as well.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }
    let cli = if terminal { cli.on_terminal() } else { cli };
    // Other threads have things to say as well: whoever held standard error would stop them for as long as the program runs.
    cli::run(cli, colour, &mut std::io::stdout().lock(), &mut std::io::stderr()).into()
}

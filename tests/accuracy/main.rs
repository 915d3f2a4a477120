//! `cargo xtask accuracy`: measures, and compares with what is kept in the repository.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use hopseal_tests::accuracy::{measure, program};
use hopseal_tests::generator::Settings;

/// Where the table is kept, in this package's folder.
const GOLDEN: &str = "accuracy.txt";

/// Measure how often `hopseal check` is right. Fails when a promise is broken or the table has changed.
#[derive(Parser)]
struct Args {
    /// The program to measure; default: the one built beside this one.
    #[arg(long)]
    hopseal: Option<PathBuf>,
    /// The same seed gives the same traces.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// At least this many traces.
    #[arg(long, default_value_t = 12_000)]
    traces: usize,
    /// Keeps this run's table in the repository.
    #[arg(long, conflicts_with = "condition")]
    bless: bool,
    /// Only this condition, such as `1% lost`.
    #[arg(long)]
    condition: Option<String>,
    /// Also lists up to so many wrong findings and missed faults of each rule.
    #[arg(long, default_value_t = 0)]
    show: usize,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse();
    let beside = || std::env::current_exe().map(|program| program.with_file_name("hopseal"));
    let hopseal = args.hopseal.map_or_else(beside, Ok)?;
    let settings = Settings { seed: args.seed, traces: args.traces };
    let accuracy = measure(&program(&hopseal), settings, args.condition.as_deref())?;
    let mut out = io::stdout().lock();
    let table = accuracy.to_string();
    write!(out, "{table}")?;
    for (condition, outcome) in &accuracy.outcomes {
        for line in outcome.examples(args.show) {
            writeln!(out, "{condition}: {line}")?;
        }
    }
    let broken = accuracy.broken_promises();
    for promise in &broken {
        writeln!(out, "broken: {promise}")?;
    }
    // Asked for at run time: the checkout may have moved since it was built.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("run it as `cargo xtask accuracy`")?;
    let golden = Path::new(&package).join(GOLDEN);
    if args.bless {
        std::fs::write(&golden, &table)?;
    }
    let same = std::fs::read_to_string(&golden).is_ok_and(|kept| kept == table);
    if !same {
        writeln!(out, "tests/{GOLDEN} says something else; look at the change, then run again with --bless")?;
    }
    Ok(if same && broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

//! `cargo xtask accuracy`: measures, and compares with what is kept in the repository.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use hopseal_tests::accuracy::measure;
use hopseal_tests::generator::Settings;

/// Where the table is kept.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/accuracy.txt");

/// Measure how often `hopseal check` is right. Fails when a promise is broken or the table has changed.
#[derive(Parser)]
struct Args {
    /// The program to measure.
    #[arg(long)]
    hopseal: PathBuf,
    /// The same seed gives the same traces.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// At least this many traces.
    #[arg(long, default_value_t = 12_000)]
    traces: usize,
    /// Keeps this run's table in the repository.
    #[arg(long)]
    bless: bool,
    /// Also lists up to so many wrong findings and missed faults of each rule.
    #[arg(long, default_value_t = 0)]
    show: usize,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Args::parse();
    let accuracy = measure(&args.hopseal, Settings { seed: args.seed, traces: args.traces })?;
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
    if args.bless {
        std::fs::write(GOLDEN, &table)?;
    }
    let same = std::fs::read_to_string(GOLDEN).is_ok_and(|kept| kept == table);
    if !same {
        writeln!(out, "the table differs from `{GOLDEN}`; look at the change, then run again with --bless")?;
    }
    Ok(if same && broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

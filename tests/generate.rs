//! Writes a corpus of the generator to files, for a human to look at.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Parser;
use hopseal_tests::generator::{Settings, damage, generate, otlp};

/// Build traces whose faults are known: `corpus.otlp.pb` and `truth.json`.
#[derive(Parser)]
struct Args {
    /// The same seed gives the same traces.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// At least this many traces.
    #[arg(long, default_value_t = 1000)]
    traces: usize,
    /// The folder to write to; made if it is not there.
    #[arg(long)]
    out: PathBuf,
    /// One of the conditions of the accuracy table, such as `1% lost`.
    #[arg(long)]
    condition: Option<String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args = Args::parse();
    let mut corpus = generate(Settings { seed: args.seed, traces: args.traces });
    if let Some(name) = &args.condition {
        let known = damage::CONDITIONS.into_iter().find(|(known, _)| known == name);
        let (_, how) = known.ok_or_else(|| {
            let names: Vec<&str> = damage::CONDITIONS.iter().map(|(name, _)| *name).collect();
            format!("no condition `{name}`; there are: {}", names.join("; "))
        })?;
        corpus = damage::damage(&corpus, how, args.seed);
    }
    fs::create_dir_all(&args.out)?;
    fs::write(args.out.join("corpus.otlp.pb"), otlp::encode(&corpus.spans))?;
    fs::write(args.out.join("truth.json"), serde_json::to_vec_pretty(&corpus.truth)?)?;
    writeln!(
        io::stdout(),
        "{} traces, {} spans, {} faults, {} near misses",
        corpus.truth.traces,
        corpus.spans.len(),
        corpus.truth.injected.len(),
        corpus.truth.near_misses.len()
    )?;
    Ok(())
}

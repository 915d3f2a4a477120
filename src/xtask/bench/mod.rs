//! `cargo xtask bench`.

pub(crate) mod bulk;
pub(crate) mod measure;
mod others;
mod pages;
pub(crate) mod serve;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::exec;
use crate::metadata::Metadata;
use crate::task::{Repository, TaskError};
use bulk::Encoding;
use measure::Cost;

/// Measures what `hopseal check` and `hopseal serve` cost and how long the pages of a full store take to answer, and runs the
/// benchmarks of the crates, a flood of tokens, and other libraries that validate tokens, and services of `axum`, beside ours.
///
/// Whole runs are of made files (traces of 20 spans, 12 attributes and some 550 bytes a span as protobuf), pinned to one
/// core; of several runs the cheapest counts. CPU is user and system time. rotel and an OpenTelemetry Collector are sent the same as the
/// service; they are fetched the first time, which takes some minutes. Fails where a limit is missed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Spans a file; rounded up to whole thousands.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
    spans: Vec<u64>,
    /// Runs a file.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// The core to run on.
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// Only whole runs, not the benchmarks of the crates.
    #[arg(long)]
    whole: bool,
    /// `hopseal`, built before, as by `cargo xtask optimize`; else it is built.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Only how long pages take to answer, over a store of a million hops.
    #[arg(long, conflicts_with = "whole")]
    pages: bool,
    /// Leaves the files in `bench` of the target folder.
    #[arg(long)]
    keep: bool,
    /// Only the trail: fills a store with so many hops, and asks it what people ask. A hop takes some 50 bytes of the disk.
    #[arg(long, value_name = "HOPS", conflicts_with_all = ["whole", "pages", "spans", "runs", "core", "program"], value_parser = clap::value_parser!(u64).range(1..))]
    trail: Option<u64>,
}

/// Files of fewer spans are not held to the limit: starting the program weighs more than reading.
const JUDGED_FROM: u64 = 100_000;

/// What a million spans may cost, in seconds of CPU.
fn limit(encoding: Encoding) -> f64 {
    match encoding {
        Encoding::Protobuf => 1.5,
        Encoding::Json => 2.5,
    }
}

pub(crate) fn run(args: &Args, repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    let metadata = Metadata::read(repository)?;
    if let Some(hops) = args.trail {
        return trail(hops, repository, &metadata.target_directory, out);
    }
    if !args.whole && !args.pages {
        for (package, bench) in metadata.targets("bench") {
            let mut cargo = exec::cargo();
            cargo.current_dir(repository.root());
            cargo.args(["bench", "--locked", "--all-features", "-p", package, "--bench", bench]);
            exec::run(&mut cargo, out)?;
        }
        flood(repository, out)?;
        peers(repository, out)?;
    }
    let target = &metadata.target_directory;
    let program = match &args.program {
        Some(program) => program.clone(),
        None => built(repository, target, out)?,
    };
    let mut over = 0;
    if !args.pages {
        over += whole_runs(args, target, &program, out)?;
        over += serve::runs(args, repository, target, &program, out)?;
    }
    if !args.whole {
        over += pages::runs(args, repository, target, &program, out)?;
    }
    if over == 0 { Ok(()) } else { Err(TaskError::OverLimit(over)) }
}

/// Builds `hopseal` as anybody does.
pub(crate) fn built(
    repository: &Repository,
    target: &Path,
    out: &mut dyn Write,
) -> Result<PathBuf, TaskError> {
    let mut cargo = exec::cargo();
    cargo.current_dir(repository.root()).args(["build", "--release", "--locked", "-p", "hopseal-collector"]);
    exec::run(&mut cargo, out)?;
    Ok(target.join("release/hopseal"))
}

/// A million tokens that are no good, in memory that does not grow; and keys that change while thousands of good ones come.
fn flood(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    let mut cargo = exec::cargo();
    cargo.current_dir(repository.root());
    cargo.args(["test", "--release", "--locked", "--all-features", "-p", "hopseal", "--lib"]);
    exec::run(cargo.args(["--", "--ignored", "--nocapture", "flood_of_a_million", "rotation_at"]), out)
}

/// A long trail, and its limits.
fn trail(hops: u64, repository: &Repository, target: &Path, out: &mut dyn Write) -> Result<(), TaskError> {
    let folder = target.join("bench");
    fs::create_dir_all(&folder)?;
    let mut cargo = exec::cargo();
    cargo.current_dir(repository.root()).env("HOPSEAL_TRAIL_HOPS", hops.to_string());
    cargo.env("HOPSEAL_TRAIL_FOLDER", folder);
    cargo.args(["test", "--release", "--locked", "-p", "hopseal-collector", "--lib"]);
    exec::run(cargo.args(["--", "--ignored", "--nocapture", "a_trail_of_many_hops"]), out)
}

/// `hopseal` beside other libraries, and its limits.
fn peers(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    let folder = Path::new("src/hopseal/peers");
    // The same versions as what is measured; the others are added.
    fs::copy(repository.root().join("Cargo.lock"), repository.root().join(folder).join("Cargo.lock"))?;
    let mut cargo = exec::cargo();
    cargo.current_dir(repository.root()).args(["run", "--release", "--manifest-path"]);
    exec::run(cargo.arg(folder.join("Cargo.toml")), out)
}

/// Returns how many limits are missed.
fn whole_runs(args: &Args, target: &Path, program: &Path, out: &mut dyn Write) -> Result<usize, TaskError> {
    let folder = target.join("bench");
    fs::create_dir_all(&folder)?;
    writeln!(
        out,
        "{:>10}  {:<8} {:>9} {:>12} {:>7} {:>10}",
        "spans", "file", "MB", "CPU-s/M", "limit", "peak MiB"
    )?;
    let mut over = 0;
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        for &spans in &args.spans {
            let blocks = spans.div_ceil(bulk::BLOCK);
            let name = match encoding {
                Encoding::Protobuf => "protobuf",
                Encoding::Json => "json",
            };
            let file = folder.join(format!("{spans}.otlp.{name}"));
            bulk::write(encoding, 0..blocks, bulk::PACE, &mut BufWriter::new(File::create(&file)?))?;
            let mut check = Command::new("taskset");
            check.arg("--cpu-list").arg(args.core.to_string()).arg(program);
            check.args(["check", "--hops", "none", "--fail-on", "never", "--strict"]).arg(&file);
            let cost = Cost::of(&mut check, args.runs)?;
            let size = fs::metadata(&file)?.len();
            if !args.keep {
                fs::remove_file(&file)?;
            }
            let per_million = cost.cpu.as_secs_f64() * 1e6 / (blocks * bulk::BLOCK) as f64;
            let missed = spans >= JUDGED_FROM && per_million > limit(encoding);
            over += usize::from(missed);
            writeln!(
                out,
                "{spans:>10}  {name:<8} {:>9.1} {per_million:>12.3} {:>7.1} {:>10.1}{}",
                size as f64 / 1e6,
                limit(encoding),
                cost.peak as f64 / f64::from(1 << 20),
                if missed { "  over the limit" } else { "" },
            )?;
            out.flush()?;
        }
    }
    Ok(over)
}

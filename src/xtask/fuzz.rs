//! `cargo xtask fuzz`.

use std::io::Write;
use std::path::Path;
use std::{fs, process};

use crate::exec;
use crate::task::{Repository, TaskError};

/// Runs the fuzz targets of every crate, one after the other, from their seeds.
///
/// The address sanitizer is left out: it needs a nightly toolchain, and no code that is fuzzed is `unsafe`. What is
/// looked for are panics, overflows, hangs and broken promises.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only these targets.
    targets: Vec<String>,
}

pub(crate) fn run(args: &Args, repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    let mut targets = Vec::new();
    for member in repository.list("src")? {
        let folder = member.join("fuzz");
        for file in repository.list(folder.join("fuzz_targets"))? {
            if let Some(name) = file.file_stem().and_then(|name| name.to_str()) {
                targets.push((folder.clone(), name.to_owned()));
            }
        }
    }
    if let Some(unknown) = args.targets.iter().find(|asked| targets.iter().all(|(_, name)| name != *asked)) {
        return Err(TaskError::NoTarget(unknown.clone()));
    }
    if !exec::succeeds(exec::cargo().args(["fuzz", "--version"])) {
        return Err(TaskError::Missing { what: "cargo-fuzz", install: "cargo install --locked cargo-fuzz" });
    }
    for (folder, name) in targets {
        if args.targets.is_empty() || args.targets.contains(&name) {
            // The same versions as what is tested; libFuzzer is added.
            fs::copy(
                repository.root().join("Cargo.lock"),
                repository.root().join(&folder).join("Cargo.lock"),
            )?;
            exec::run(&mut command(repository, &folder, &name, args.seconds)?, out)?;
        }
    }
    Ok(())
}

fn command(
    repository: &Repository,
    folder: &Path,
    name: &str,
    seconds: u32,
) -> Result<process::Command, TaskError> {
    // libFuzzer writes what it learns to the first folder and only reads the others.
    let corpus = repository.root().join(folder).join("corpus").join(name);
    fs::create_dir_all(&corpus).map_err(|source| TaskError::Read { path: corpus.clone(), source })?;
    let mut cargo = exec::cargo();
    cargo
        .current_dir(repository.root())
        .env("RUSTC_BOOTSTRAP", "1") // lets a stable compiler take cargo-fuzz's flags
        .args(["fuzz", "run", "--sanitizer", "none", "--fuzz-dir"])
        .arg(folder)
        .arg(name)
        .arg(corpus)
        .arg(folder.join("seeds").join(name))
        .arg("--")
        .arg(format!("-max_total_time={seconds}"));
    Ok(cargo)
}

//! `cargo xtask test`.

use std::env;
use std::fs;
use std::io::Write;
use std::process::Command;

use crate::exec;
use crate::metadata::Metadata;
use crate::task::{Repository, TaskError};

/// Runs every test of the workspace, with every feature, and then the examples of the crate that end by themselves.
///
/// What they need is listed in `.github/CONTRIBUTING.md`. Packages of npm and PyPI are fetched the first time; as root on Debian, Chromium,
/// Prometheus and Alertmanager are installed by apt-get.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Passed on to `cargo test`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// From npm: a real identity provider, and what drives a browser over our pages and judges them.
const PACKAGES: [&str; 2] = ["tests/idp/oidc-provider", "tests/pages"];

/// The names that a program may be found under, and the package of Debian that it is in.
pub(crate) type Program = (&'static [&'static str], &'static str);

/// From Debian, with the names that each may be found under: what looks at our pages, and what asks for our metrics and wakes
/// people.
const PROGRAMS: [Program; 3] = [
    (&["chromium", "chromium-browser", "google-chrome"], "chromium"),
    (&["promtool"], "prometheus"),
    (&["prometheus-alertmanager"], "prometheus-alertmanager"),
];

/// Examples of the crate that do not end by themselves with 0: one serves, the other is told where to write.
const NOT_BY_THEMSELVES: [&str; 2] = ["make_keys", "server"];

/// What languages of `tests/interop` run on, and how Debian calls it.
const NEEDED: [(&str, &str, &str); 3] = [
    ("python", "python3", "apt-get install python3-venv"),
    ("node", "npm", "apt-get install nodejs npm"),
    ("java", "mvn", "apt-get install default-jdk-headless maven"),
];

/// Fetches the libraries of other languages that check our seals and send spans, unless they are there.
pub(crate) fn install_interop(
    repository: &Repository,
    languages: &[&str],
    out: &mut dyn Write,
) -> Result<(), TaskError> {
    for (_, what, install) in NEEDED.iter().filter(|(language, _, _)| languages.contains(language)) {
        if !exec::succeeds(Command::new(what).arg("--version")) {
            return Err(TaskError::Missing { what, install });
        }
    }
    exec::run(Command::new(repository.root().join("tests/interop/install")).args(languages), out)
}

pub(crate) fn run(args: &Args, repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    PACKAGES.iter().try_for_each(|folder| install(folder, repository, out))?;
    install_interop(repository, &["python", "node"], out)?;
    install_programs(&PROGRAMS, out)?;
    let mut cargo = exec::cargo();
    cargo
        .current_dir(repository.root())
        .args(["test", "--workspace", "--all-features", "--locked"])
        .args(&args.rest);
    exec::run(&mut cargo, out)?;
    // Who asks for some tests gets those.
    if args.rest.is_empty() {
        let metadata = Metadata::read(repository)?;
        let built = metadata.target_directory.join("debug/examples");
        let examples = metadata.targets("example").filter(|(package, _)| *package == "hopseal");
        for (_, example) in examples.filter(|(_, example)| !NOT_BY_THEMSELVES.contains(example)) {
            exec::run(&mut Command::new(built.join(example)), out)?;
        }
    }
    Ok(())
}

/// Installs what is missing of these, where we may; else says how.
pub(crate) fn install_programs(programs: &[Program], out: &mut dyn Write) -> Result<(), TaskError> {
    let is_there = |program: &&str| {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    let missing = programs.iter().filter(|(names, _)| !names.iter().any(is_there));
    let packages: Vec<&str> = missing.map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let is_root = exec::read(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || !exec::succeeds(Command::new("apt-get").arg("--version")) {
        return Err(TaskError::Install(packages.join(" ")));
    }
    exec::run(Command::new("apt-get").arg("update"), out)?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "--yes", "--no-install-recommends"]);
    exec::run(install.args(packages), out)
}

/// Installs the packages of a folder, unless these very versions are there.
pub(crate) fn install(folder: &str, repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    for (what, install) in [("node", "apt-get install nodejs"), ("npm", "apt-get install npm")] {
        if !exec::succeeds(Command::new(what).arg("--version")) {
            return Err(TaskError::Missing { what, install });
        }
    }
    let lock = repository.read(format!("{folder}/package-lock.json"))?;
    let folder = repository.root().join(folder);
    let installed = folder.join("node_modules/.installed");
    if fs::read(&installed).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.current_dir(&folder).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    exec::run(&mut npm, out)?;
    Ok(fs::write(installed, lock)?)
}

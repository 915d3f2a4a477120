//! `cargo xtask optimize`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::serve::trained;
use crate::exec;
use crate::metadata::Metadata;
use crate::task::{Repository, TaskError};

/// Builds `hopseal` twice, the second time by what the first was seen to do (profile-guided optimization, as of the rustc book), into
/// `optimized/hopseal` of the target folder.
///
/// It does the same as one of `cargo build --release`, and what it was seen to do in less time: to take spans by OTLP, judge and keep
/// them, and to check files of them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The processors it is for, as rustc calls them: `x86-64-v3` are those with AVX2, `native` are those like this one. Without it, all
    /// of the kind of this machine.
    #[arg(long)]
    cpu: Option<String>,
}

/// Where flags stand for a cargo that is started by us, and what is between them.
const FLAGS: (&str, &str) = ("CARGO_ENCODED_RUSTFLAGS", "\u{1f}");

pub(crate) fn run(args: &Args, repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    let target = Metadata::read(repository)?.target_directory;
    let folder = target.join("optimized");
    let toolchain = Toolchain::find()?;
    let (seen, profile) = (folder.join("seen"), folder.join("hopseal.profdata"));
    match fs::remove_dir_all(&seen) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let build = Build { repository, folder: &folder, host: &toolchain.host, cpu: args.cpu.as_deref() };
    let first = build.with("-Cprofile-generate=", &seen, out)?;
    trained(repository, &target, &first, out)?;
    exec::run(toolchain.merge().arg("merge").arg("-o").arg(&profile).arg(&seen), out)?;
    let second = build.with("-Cprofile-use=", &profile, out)?;
    let program = folder.join("hopseal");
    fs::copy(second, &program)?;
    writeln!(out, "built {}", program.display())?;
    Ok(())
}

/// What compiles.
struct Toolchain {
    host: String,
    /// Where the tools are that rustup installs.
    tools: PathBuf,
}

impl Toolchain {
    fn find() -> Result<Self, TaskError> {
        let said = exec::read(Command::new("rustc").arg("-vV"))?;
        let host = said.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
        let root = exec::read(Command::new("rustc").args(["--print", "sysroot"]))?;
        let tools = Path::new(root.trim()).join("lib/rustlib").join(&host).join("bin");
        let found = Self { host, tools };
        match exec::succeeds(found.merge().arg("--version")) {
            true => Ok(found),
            false => {
                Err(TaskError::Missing { what: "llvm-profdata", install: "rustup component add llvm-tools" })
            }
        }
    }

    /// What puts together what several processes wrote: of the version of the compiler, whose form no other may know.
    fn merge(&self) -> Command {
        Command::new(self.tools.join("llvm-profdata"))
    }
}

struct Build<'b> {
    repository: &'b Repository,
    folder: &'b Path,
    host: &'b str,
    cpu: Option<&'b str>,
}

impl Build<'_> {
    /// Builds the program with a flag beside those of the environment. Returns where it is.
    fn with(&self, flag: &str, path: &Path, out: &mut dyn Write) -> Result<PathBuf, TaskError> {
        let mut own = OsString::from(flag);
        own.push(path);
        let mut flags = match (std::env::var_os(FLAGS.0), std::env::var("RUSTFLAGS")) {
            (Some(flags), _) => flags,
            (None, Ok(flags)) => flags.split_whitespace().collect::<Vec<_>>().join(FLAGS.1).into(),
            (None, Err(_)) => OsString::new(),
        };
        let cpu = self.cpu.map(|cpu| OsString::from(format!("-Ctarget-cpu={cpu}")));
        for own in cpu.into_iter().chain([own]) {
            if !flags.is_empty() {
                flags.push(FLAGS.1);
            }
            flags.push(own);
        }
        writeln!(out, "with {}", flags.display().to_string().replace(FLAGS.1, " "))?;
        let mut cargo = exec::cargo();
        cargo.current_dir(self.repository.root()).env(FLAGS.0, flags);
        cargo.args(["build", "--release", "--locked", "--package", "hopseal-collector"]);
        // With a target named, what runs during the build is not built so.
        cargo.args(["--target", self.host, "--target-dir"]).arg(self.folder);
        exec::run(&mut cargo, out)?;
        Ok(self.folder.join(self.host).join("release/hopseal"))
    }
}

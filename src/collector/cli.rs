//! The command line. Wrong usage or configuration exits with 2, before anything is read.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use hopseal_correlate::report::ListHops;

use crate::check::{self, Exit, FailOn};
use crate::demo::{self, DemoArgs};
use crate::output::{self, Format};
use crate::policy::{self, PolicyCommand};
use crate::serve::trail::{self, TrailCommand};
use crate::top::{self, TopArgs};
use crate::{serve, size};

/// Whose identity was it at every hop, who verified it, and where was it lost or changed?
#[derive(Debug, Parser)]
#[command(name = "hopseal", version, about)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judges every hop of trace files.
    #[command(
        after_help = "Exit status: 2 wrong usage or configuration, or the result could not be written; 3 a file could \
                            not be read at all, or with --strict anything was rejected; 1 a finding at or over --fail-on, or a minimum missed; \
                            0 otherwise."
    )]
    Check(CheckArgs),
    /// Takes spans by OTLP and Zipkin, judges every hop, and keeps what was found, until a signal says to stop.
    Serve(ServeArgs),
    /// Shows what it is about: runs a collector and a small fleet of services that lose, forge and swap identities, on this machine,
    /// and tells what is found. It takes a quarter of a minute.
    #[command(
        after_help = "Exit status: 0 every story found what it promises, and nothing else; 1 one did not; 2 the folder is not \
                            empty; 3 it could not be told to its end."
    )]
    Demo(DemoArgs),
    /// Explains rules; writes, checks and proposes policies.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Shows what a service sees as it comes: services by assurance, findings, rate and coverage.
    #[command(
        after_help = "Exit status: 2 an address or token that cannot be used; 3 the service does not answer; 0 otherwise."
    )]
    Top(TopArgs),
    /// Asks the trail that the service keeps.
    #[command(subcommand)]
    Trail(Box<TrailCommand>),
}

/// Which traces are listed hop by hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Hops {
    None,
    Findings,
    All,
}

/// `hopseal check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Trace files; `-` is standard input. OTLP (protobuf, JSON), Jaeger UI JSON, Zipkin v1 and v2, plain, gzip
    /// or zstd: told apart by content.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What is declared: public routes, service principals, severities and more.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Which operations show identities, as written by --write-catalogue; default: a first pass over the input.
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
    /// Writes the catalogue of this input, to be given to later runs.
    #[arg(long, value_name = "FILE")]
    write_catalogue: Option<PathBuf>,
    /// Public keys of the services that seal, a JWK set: seals are checked again, and those hops are proven.
    #[arg(long, value_name = "JWKS", requires = "trust_domain")]
    keys: Option<PathBuf>,
    /// The trust domain that seals are bound to.
    #[arg(long, value_name = "NAME", requires = "keys")]
    trust_domain: Option<String>,
    /// How the result is written.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Which traces are listed hop by hop; default: all in json, those with findings elsewhere.
    #[arg(long, value_enum)]
    hops: Option<Hops>,
    /// The least severity that fails the run.
    #[arg(long, value_enum, default_value = "high")]
    fail_on: FailOn,
    /// Fails when identified/hops is lower (0 to 1).
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    min_coverage: Option<f64>,
    /// Fails when proven/hops is lower (0 to 1).
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    min_proven: Option<f64>,
    /// A JSON report of an earlier run: only findings unlike those in it fail this one. Alike are findings of one group,
    /// and of credentials those of one class and attribute.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Anything rejected fails the run with 3.
    #[arg(long)]
    strict: bool,
    /// Memory for spans, in bytes (suffixes K, M, G); past it they are sorted on disk.
    #[arg(long, value_name = "BYTES", default_value = "512M", value_parser = size::bytes)]
    memory: usize,
}

/// `hopseal serve`.
#[derive(Debug, Args)]
struct ServeArgs {
    /// The configuration; everything is as it is by default without one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Says whether the configuration and the files that it names can be used, and ends.
    #[arg(long)]
    check_config: bool,
    /// Asks the service that runs by the configuration whether it is ready, and ends: with 0 if it is, with 1 if not.
    #[arg(long, conflicts_with = "check_config")]
    ready: bool,
    /// Prints the JSON Schema of configurations, for editors, and ends.
    #[arg(long, conflicts_with_all = ["config", "check_config", "ready"])]
    schema: bool,
}

impl Cli {
    /// Whether it is the service, which is there to stay.
    #[must_use]
    pub const fn serves(&self) -> bool {
        matches!(self.command, Command::Serve(_))
    }

    /// For a terminal: what can be looked at stays until it is ended.
    #[must_use]
    pub fn on_terminal(mut self) -> Self {
        match &mut self.command {
            Command::Demo(args) => args.keep = true,
            Command::Top(args) => args.terminal = true,
            _ => {}
        }
        self
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("a ratio is a number from 0 to 1".to_owned()),
    }
}

impl CheckArgs {
    fn list_hops(&self) -> ListHops {
        match (self.hops, self.format) {
            (Some(Hops::None), _) => ListHops::None,
            (Some(Hops::All), _) | (None, Format::Json) => ListHops::All,
            (Some(Hops::Findings), _) | (None, _) => ListHops::Findings,
        }
    }
}

/// Runs a command: results to `out`, in colour if `colour`, errors to `err`.
pub fn run(cli: Cli, colour: bool, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let args = match cli.command {
        Command::Check(args) => args,
        Command::Serve(args) => {
            let what = match (args.schema, args.check_config, args.ready) {
                (true, ..) => serve::Task::Schema,
                (_, true, _) => serve::Task::Check,
                (.., true) => serve::Task::Ready,
                _ => serve::Task::Serve,
            };
            return match serve::run(what, args.config.as_deref(), out) {
                Ok(()) => Exit::Clean,
                Err(error) if error.is_closed_pipe() => Exit::Clean,
                Err(error) => failed(&error, error.exit(), err),
            };
        }
        Command::Demo(args) => {
            return match demo::run(&args, colour, out) {
                Ok(exit) => exit,
                Err(error) => failed(&error, error.exit(), err),
            };
        }
        Command::Top(args) => {
            return match top::run(&args, out) {
                Ok(()) => Exit::Clean,
                Err(error) if error.is_closed_pipe() => Exit::Clean,
                Err(error) => failed(&error, error.exit(), err),
            };
        }
        Command::Trail(command) => {
            return match trail::run(&command, out) {
                Ok(()) => Exit::Clean,
                Err(error) if error.is_closed_pipe() => Exit::Clean,
                Err(error) => failed(&error, error.exit(), err),
            };
        }
        Command::Policy(command) => {
            return match policy::run(&command, out, err) {
                Ok(()) => Exit::Clean,
                Err(error) if error.is_closed_pipe() => Exit::Clean,
                Err(error) => failed(&error, error.exit(), err),
            };
        }
    };
    let settings = check::Settings {
        files: args.files.clone(),
        policy: args.policy.clone(),
        catalogue: args.catalogue.clone(),
        write_catalogue: args.write_catalogue.clone(),
        baseline: args.baseline.clone(),
        keys: args.keys.clone().zip(args.trust_domain.clone()),
        list: args.list_hops(),
        memory: args.memory,
        gate: check::Gate {
            fail_on: args.fail_on,
            min_coverage: args.min_coverage,
            min_proven: args.min_proven,
            strict: args.strict,
        },
    };
    let checked = match check::run(&settings, err) {
        Ok(checked) => checked,
        Err(error) => return failed(&error, error.exit(), err),
    };
    match output::write(args.format, colour, &checked, &settings.gate, out) {
        Err(error) if !error.is_closed_pipe() => return failed(&error, error.exit(), err),
        // Whoever closed the pipe has what they wanted; the verdict stands.
        Ok(()) | Err(_) => {}
    }
    match &checked.unsaved {
        Some(error) => failed(error, error.exit(), err),
        None => checked.exit(&settings.gate),
    }
}

fn failed(error: &dyn std::error::Error, exit: Exit, err: &mut dyn Write) -> Exit {
    // Nobody is left to tell when standard error is gone too.
    let _ = report_error(error, err);
    exit
}

fn report_error(error: &dyn std::error::Error, err: &mut dyn Write) -> std::io::Result<()> {
    write!(err, "hopseal: {error}")?;
    let mut source = error.source();
    while let Some(cause) = source {
        write!(err, ": {cause}")?;
        source = cause.source();
    }
    writeln!(err)
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};
    use std::path::Path;

    use super::*;

    /// Fails in its own way.
    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Runs `hopseal check` on a file, and says how it ended and what it said of that.
    fn checked(file: &Path, more: &[&str], out: &mut dyn Write) -> (Exit, String) {
        let file = file.to_str().expect("text");
        let words = ["hopseal", "check", file].into_iter().chain(more.iter().copied());
        let mut err = Vec::new();
        let exit = run(Cli::try_parse_from(words).expect("arguments"), false, out, &mut err);
        (exit, String::from_utf8(err).expect("text"))
    }

    #[test]
    fn a_closed_pipe_leaves_the_verdict_and_a_full_disk_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("traces.json");
        std::fs::write(&path, "[]").expect("written");
        for (kind, more, exit, said) in [
            (ErrorKind::BrokenPipe, &[][..], Exit::Clean, ""),
            (
                ErrorKind::BrokenPipe,
                &["--min-coverage", "0.5"],
                Exit::Findings,
                "hopseal: missed --min-coverage 0.5: 0 of 0 hops are identified\n",
            ),
            (
                ErrorKind::StorageFull,
                &[],
                Exit::Usage,
                "hopseal: cannot write the result: no storage space\n",
            ),
        ] {
            let found = checked(&path, more, &mut Broken(kind));
            assert_eq!(found, (exit, said.to_owned()), "{kind}");
        }
    }

    #[test]
    fn a_closed_pipe_ends_an_answer_of_the_trail_and_a_full_disk_fails_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        drop(serve::store::SqliteStore::open(&data, Default::default()).expect("a trail"));
        for (kind, expected, said) in [
            (ErrorKind::BrokenPipe, Exit::Clean, ""),
            (ErrorKind::StorageFull, Exit::Usage, "hopseal: cannot write the answer: no storage space\n"),
        ] {
            let words = ["hopseal", "trail", "find", "--format", "json", "--data"];
            let words = words.into_iter().chain([data.to_str().expect("text")]);
            let (cli, mut err) = (Cli::try_parse_from(words).expect("arguments"), Vec::new());
            let exit = run(cli, false, &mut Broken(kind), &mut err);
            assert_eq!((exit, String::from_utf8(err).expect("text")), (expected, said.to_owned()), "{kind}");
        }
    }

    #[test]
    fn a_catalogue_that_cannot_be_written_is_said_before_anything_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let catalogue = folder.path().join("none/catalogue.json");
        let (exit, said) = checked(
            &folder.path().join("not there"),
            &["--write-catalogue", catalogue.to_str().expect("text")],
            &mut Vec::new(),
        );
        assert_eq!(exit, Exit::Usage);
        assert!(said.starts_with("hopseal: cannot write `") && said.lines().count() == 1, "{said}");
    }
}

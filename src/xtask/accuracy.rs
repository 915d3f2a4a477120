//! `cargo xtask accuracy` and `cargo xtask generate`: programs of the test package, which knows the truth.

use std::io::Write;

use crate::exec;
use crate::task::TaskError;

/// Measures how often `hopseal check` is right, against `tests/accuracy.txt`.
#[derive(Debug, clap::Args)]
pub(crate) struct Accuracy {
    /// Handed on: --seed N, --traces N, --show N, --condition WORDS, --bless.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// Writes traces whose faults are known: --seed N --traces N --out FOLDER.
#[derive(Debug, clap::Args)]
pub(crate) struct Generate {
    /// Handed on.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

pub(crate) fn accuracy(task: &Accuracy, out: &mut dyn Write) -> Result<(), TaskError> {
    exec::run(exec::cargo().args(["build", "--quiet", "--package", "hopseal-collector"]), out)?;
    start("accuracy", &task.args, out)
}

pub(crate) fn generate(task: &Generate, out: &mut dyn Write) -> Result<(), TaskError> {
    start("generate", &task.args, out)
}

fn start(program: &str, args: &[String], out: &mut dyn Write) -> Result<(), TaskError> {
    let mut command = exec::cargo();
    command.args(["run", "--quiet", "--package", "hopseal-tests", "--bin", program, "--"]).args(args);
    exec::run(&mut command, out)
}

//! Programs run on behalf of a task: shown before they start, and expected to succeed.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::task::TaskError;

/// Runs `command`, its output going where ours goes.
pub(crate) fn run(command: &mut Command, out: &mut dyn Write) -> Result<(), TaskError> {
    let shown = shown(command);
    writeln!(out, "$ {shown}")?;
    out.flush()?;
    let status = command.status().map_err(|source| TaskError::Start { command: shown.clone(), source })?;
    if status.success() { Ok(()) } else { Err(TaskError::Failed { command: shown, status }) }
}

/// Runs `command` and returns what it wrote to standard output.
pub(crate) fn read(command: &mut Command) -> Result<String, TaskError> {
    let shown = shown(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| TaskError::Start { command: shown.clone(), source })?;
    if !output.status.success() {
        return Err(TaskError::Failed { command: shown, status: output.status });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether `command` can be started and succeeds; its output is not shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Fails with how it is installed where one of these programs is missing: its name, what it is asked to see that it is there, and how
/// Debian calls it.
pub(crate) fn needed(programs: &[(&'static str, &str, &'static str)]) -> Result<(), TaskError> {
    for (what, version, install) in programs {
        if !succeeds(Command::new(what).arg(version)) {
            return Err(TaskError::Missing { what, install });
        }
    }
    Ok(())
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

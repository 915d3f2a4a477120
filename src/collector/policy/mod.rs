//! Policy files: loading them, and the commands that explain, check and propose them.

mod error;
mod explain;
mod propose;
mod schema;

use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;
use hopseal_correlate::report::ListHops;
use hopseal_correlate::rule::Rule;

use crate::check;

pub use error::PolicyCommandError;
pub use propose::propose;
pub use schema::schema;

/// `hopseal policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Says what a rule means, what it rests on and how to quiet it. Without a rule, lists them.
    Explain {
        /// The rule, by its name in reports.
        #[arg(value_name = "RULE")]
        rule: Option<String>,
    },
    /// Writes a commented policy from what is seen in traces, to be reviewed line by line.
    Propose {
        /// Trace files, as for `check`; `-` is standard input.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The policy in force: only what it does not declare is proposed.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Says whether a policy can be used, and if not, what is wrong and where.
    Check {
        /// The policy.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Prints the JSON Schema of policy files, for editors.
    Schema,
}

/// Runs a command.
///
/// # Errors
/// [`PolicyCommandError`] when it could not be done; a policy that cannot be used is one.
pub fn run(
    command: &PolicyCommand,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), PolicyCommandError> {
    let written = match command {
        PolicyCommand::Explain { rule: None } => explain::list(out),
        PolicyCommand::Explain { rule: Some(name) } => {
            let rule = Rule::parse(name).ok_or_else(|| PolicyCommandError::Rule(name.clone()))?;
            explain::rule(rule, out)
        }
        PolicyCommand::Propose { files, policy } => {
            let mut settings = check::Settings::of(files.clone());
            settings.policy.clone_from(policy);
            settings.list = ListHops::All;
            propose(&check::run(&settings, err)?.report, out)
        }
        PolicyCommand::Check { file } => {
            check::load_policy(Some(file))?;
            writeln!(out, "{}: can be used", file.display())
        }
        PolicyCommand::Schema => out.write_all(schema().as_bytes()),
    };
    written.map_err(PolicyCommandError::Output)
}

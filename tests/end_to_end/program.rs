//! Runs the program.

use clap::Parser as _;
use hopseal_collector::cli::{self, Cli};
use serde_json::Value;

/// What a run left behind.
pub(crate) struct Run {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) status: u8,
}

/// Runs `hopseal` with these arguments, from the folder `tests`.
pub(crate) fn hopseal(args: &[&str]) -> Run {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let cli = Cli::try_parse_from(std::iter::once(&"hopseal").chain(args)).unwrap();
    let status = cli::run(cli, false, &mut out, &mut err) as u8;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { out: text(out), err: text(err), status }
}

/// The JSON report of a run.
pub(crate) fn report(args: &[&str]) -> Value {
    let run = hopseal(args);
    serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}", run.err))
}

//! `hopseal trail`: asks the trail of a data directory, whether a service writes to it or not.

mod table;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use hopseal_correlate::policy::Date;
use hopseal_identity::Assurance;

use super::api::{self, Problem};
use super::clock::Clock;
use super::people::{self, KeyFile, PeopleError, spellings};
use super::store::{Cursor, DAY, HopQuery, Interval, SqliteStore, Store as _, StoreError, StoreSettings};
use crate::check::Exit;
use crate::output::trail::{HopShape, HopsShape, TraceShape};

/// `hopseal trail`.
#[derive(Debug, Subcommand)]
pub(crate) enum TrailCommand {
    /// Finds the hops of a principal, over time, the newest first.
    Find(FindArgs),
    /// Shows a trace: its hops, whose identity each had, and what was found.
    Trace(TraceArgs),
}

/// Where the trail is, and how it is written.
#[derive(Debug, Args)]
struct From {
    /// The data directory of the service.
    #[arg(long, value_name = "DIR", default_value = "hopseal-data")]
    data: PathBuf,
    /// How the answer is written.
    #[arg(long, value_enum, default_value = "table")]
    format: TrailFormat,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TrailFormat {
    /// For people.
    Table,
    /// As the query API answers.
    Json,
}

/// `hopseal trail find`.
#[derive(Debug, Args)]
pub(crate) struct FindArgs {
    #[command(flatten)]
    from: From,
    /// Somebody by name: looked for as it is, and under its pseudonyms.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// An issuer whose subject the user is: whose pseudonyms are looked for.
    #[arg(long, value_name = "URL", requires = "user")]
    issuer: Vec<String>,
    /// A key that pseudonyms are made with: its id, and the file that holds it as base64url. The current one first.
    #[arg(long, value_name = "ID=FILE", requires = "issuer")]
    pseudonym_key: Vec<String>,
    /// The service called.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The service that called.
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// How sure: `unknown`, `anonymous`, `refused`, `asserted`, `sealed` or `verified`.
    #[arg(long, value_name = "WORD", value_parser = assurance)]
    assurance: Option<Assurance>,
    /// How far back: `90s`, `15m`, `24h`, `7d`, or a day such as `2026-12-31`.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    since: Since,
    /// Only what began before: a time like that of `--since`.
    #[arg(long, value_name = "TIME")]
    until: Option<Since>,
    /// Most hops shown, of which the last line says how to ask for those behind them.
    #[arg(long, value_name = "N", default_value = "100")]
    limit: usize,
    /// Only what comes behind that, as an answer said.
    #[arg(long, value_name = "CURSOR", value_parser = after)]
    after: Option<Cursor>,
}

/// `hopseal trail trace`.
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    #[command(flatten)]
    from: From,
    /// The trace: 32 hex digits.
    #[arg(value_name = "TRACE")]
    trace_id: String,
}

fn assurance(text: &str) -> Result<Assurance, String> {
    Assurance::parse(text).ok_or_else(|| format!("`{text}` is none of these words"))
}

fn after(text: &str) -> Result<Cursor, String> {
    api::cursor(text).ok_or_else(|| format!("`{text}` is none that an answer said"))
}

/// How far back: so many nanoseconds, or to the beginning of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    Ago(u64),
    Day(u64),
}

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no time: write 90s, 15m, 24h, 7d or a day such as 2026-12-31");
        if let Some(day) = Date::parse(text) {
            return Ok(Self::Day(day.start()));
        }
        let unit = match text.chars().next_back() {
            Some('s') => 1_000_000_000,
            Some('m') => 60_000_000_000,
            Some('h') => 3_600_000_000_000,
            Some('d') => DAY,
            _ => return Err(wrong()),
        };
        let number: u64 =
            text.get(..text.len() - 1).and_then(|digits| digits.parse().ok()).ok_or_else(wrong)?;
        number.checked_mul(unit).map(Self::Ago).ok_or_else(wrong)
    }
}

impl Since {
    const fn from(self, now: u64) -> u64 {
        match self {
            Self::Ago(nanos) => now.saturating_sub(nanos),
            Self::Day(from) => from,
        }
    }
}

/// No answer was possible.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TrailError {
    /// The question cannot be understood.
    #[error("{0}")]
    Asked(String),
    /// There is no such trace.
    #[error("no trace `{0}` in this trail")]
    NoTrace(String),
    /// There is no trail.
    #[error("no trail in `{}`", .0.display())]
    NoTrail(PathBuf),
    /// Keys of pseudonyms cannot be had.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// The trail cannot be read.
    #[error("cannot read the trail in `{}`", path.display())]
    Read {
        /// Where it is.
        path: PathBuf,
        /// Why, as the store says it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer cannot be written.
    #[error("cannot write the answer")]
    Output(#[source] io::Error),
}

impl TrailError {
    /// The exit status: a question that cannot be asked, or an answer that cannot be written, is 2, a trail that cannot be read is 3, and what is not there is 1.
    #[must_use]
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Asked(_) | Self::NoTrail(_) | Self::People(_) | Self::Output(_) => Exit::Usage,
            Self::NoTrace(_) => Exit::Findings,
            Self::Read { .. } => Exit::Unreadable,
        }
    }

    /// Whether whoever reads the answer has closed the pipe: they have what they wanted.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Answers a question about the trail.
///
/// # Errors
/// [`TrailError`] when there is no answer.
pub(crate) fn run(command: &TrailCommand, out: &mut dyn Write) -> Result<(), TrailError> {
    match command {
        TrailCommand::Find(args) => find(args, super::clock::SystemClock.now(), out),
        TrailCommand::Trace(args) => trace(args, out),
    }
}

/// Opens a trail, to be read.
///
/// # Errors
/// [`TrailError::NoTrail`], [`TrailError::Read`].
pub(crate) fn open(path: &Path) -> Result<SqliteStore, TrailError> {
    if !path.join("catalog.sqlite").is_file() {
        return Err(TrailError::NoTrail(path.to_owned()));
    }
    // A service may be at work in there.
    let settings = StoreSettings { mends: false, ..StoreSettings::default() };
    SqliteStore::open(path, settings).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: StoreError) -> TrailError {
    TrailError::Read { path: path.to_owned(), source: Box::new(error) }
}

fn write<T: serde::Serialize>(
    format: TrailFormat,
    answer: &T,
    table: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    out: &mut dyn Write,
) -> Result<(), TrailError> {
    let written = match format {
        TrailFormat::Table => table(out),
        TrailFormat::Json => serde_json::to_writer_pretty(&mut *out, answer)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out)),
    };
    written.and_then(|()| out.flush()).map_err(TrailError::Output)
}

fn find(args: &FindArgs, now: u64, out: &mut dyn Write) -> Result<(), TrailError> {
    let store = open(&args.from.data)?;
    let files: Vec<KeyFile> = args.pseudonym_key.iter().map(key_file).collect::<Result<_, _>>()?;
    let keys = people::keys(&files)?;
    let principals = match &args.user {
        Some(user) => spellings(user, &args.issuer, keys.as_ref()),
        None => Vec::new(),
    };
    let interval =
        Interval { from: args.since.from(now), to: args.until.map_or(u64::MAX, |until| until.from(now)) };
    if interval.from >= interval.to {
        return Err(TrailError::Asked(
            "`--until` is not after `--since`: nothing can lie between".to_owned(),
        ));
    }
    let query = HopQuery {
        principals,
        service: args.service.clone(),
        caller: args.caller.clone(),
        assurance: args.assurance,
        interval,
        after: args.after,
        ..HopQuery::any(args.limit)
    };
    let found = store.hops(&query).map_err(|error| unreadable(&args.from.data, error))?;
    let next = found.get(args.limit.saturating_sub(1)).map(|last| api::cursor_text(last.cursor()));
    let answer = HopsShape { hops: found.into_iter().map(HopShape::from).collect(), next };
    write(args.from.format, &answer, |out| table::hops(&answer, out), out)
}

fn trace(args: &TraceArgs, out: &mut dyn Write) -> Result<(), TrailError> {
    let id =
        api::trace_id(&args.trace_id).map_err(|problem: Problem| TrailError::Asked(problem.to_string()))?;
    let store = open(&args.from.data)?;
    let found = store.trace(id).map_err(|error| unreadable(&args.from.data, error))?;
    let found = found.ok_or_else(|| TrailError::NoTrace(args.trace_id.clone()))?;
    let answer = TraceShape::try_from(found)
        .map_err(|error| TrailError::Read { path: args.from.data.clone(), source: Box::new(error) })?;
    write(args.from.format, &answer, |out| table::trace(&answer, out), out)
}

/// A file of a key from `ID=FILE`.
fn key_file(text: &String) -> Result<KeyFile, TrailError> {
    let wrong = || TrailError::Asked(format!("`{text}` is not the id of a key, `=` and its file"));
    let (kid, path) = text.split_once('=').ok_or_else(wrong)?;
    Ok(KeyFile { kid: kid.to_owned(), path: path.into() })
}

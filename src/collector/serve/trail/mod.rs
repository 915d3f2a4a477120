//! `hopseal trail`: asks the trail of a data directory, whether a service writes to it or not, or a service.
//!
//! ```text
//! args (as the query API is asked) -> source (a directory, or a service) -> table, or JSON
//! ```

mod args;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

pub(crate) use self::source::open;

use self::args::{CoverageArgs, EdgesArgs, FindArgs, FindingsArgs, TouchedArgs, TraceArgs};
use self::source::{From, Person, Source, TrailFormat, is_missing};
use super::api::{self, CoverageAsk, EdgesAsk, FindingsAsk, HopsAsk, TouchedAsk};
use super::clock::Clock;
use super::config::ConfigError;
use super::identities::Identities;
use super::people::PeopleError;
use super::store::{EdgeQuery, FindingQuery, HopQuery, Store, StoreError};
use crate::check::Exit;
use crate::client::AskError;
use crate::output::trail::TraceShape;

/// `hopseal trail`.
#[derive(Debug, Subcommand)]
pub(crate) enum TrailCommand {
    /// Finds the hops of a principal, over time, the newest first.
    Find(FindArgs),
    /// Shows a trace: its hops, whose identity each had, and what was found.
    Trace(TraceArgs),
    /// Says who touched a service, through what, and how often: who was there last comes first.
    Touched(TouchedArgs),
    /// Lists findings and what became of them, the newest first.
    Findings(FindingsArgs),
    /// Counts who called whom, with what assurance.
    Edges(EdgesArgs),
    /// Says how many hops showed an identity, over time.
    Coverage(CoverageArgs),
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
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The service cannot be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
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
    /// The exit status: a question that cannot be asked, a trail that is not there, or an answer that cannot be written, is 2, a trail
    /// that cannot be read is 3, and a trace that is not there is 1.
    #[must_use]
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Asked(_) | Self::NoTrail(_) | Self::People(_) | Self::Config(_) | Self::Output(_) => {
                Exit::Usage
            }
            Self::Ask(error) => error.exit(),
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
    answer(command, super::clock::SystemClock.now(), out)
}

fn answer(command: &TrailCommand, now: u64, out: &mut dyn Write) -> Result<(), TrailError> {
    let source = |from: &From| Source::of(from, &Person::default());
    match command {
        TrailCommand::Find(args) => {
            let (ask, limit) = (args.ask(now)?, args.page.limit);
            let query = |ask: HopsAsk, people: Option<&_>| {
                let query = HopsAsk { limit: None, ..ask }.query(people)?;
                Ok(HopQuery { limit, ..query })
            };
            let found = Source::of(&args.from, &args.person)?
                .ask("hops", ask, query, |store, query| api::hops_of(store, &query, Identities::Shown))?;
            write(args.from.format, &found, |out| table::hops(&found, out), out)
        }
        TrailCommand::Trace(args) => trace(args, out),
        TrailCommand::Touched(args) => {
            let (ask, limit) = (args.ask(now)?, args.page.limit);
            let query = |ask: TouchedAsk, _: Option<&_>| {
                let query = TouchedAsk { limit: None, ..ask }.query(now)?;
                Ok(HopQuery { limit, ..query })
            };
            let look = |store: &dyn Store, query| api::touched_of(store, &query);
            let found = source(&args.from)?.ask("touched", ask, query, look)?;
            write(args.from.format, &found, |out| table::touched(&found, out), out)
        }
        TrailCommand::Findings(args) => {
            let (ask, limit) = (args.ask(now)?, args.page.limit);
            let query = |ask: FindingsAsk, people: Option<&_>| {
                let query = FindingsAsk { limit: None, ..ask }.query(people)?;
                Ok(FindingQuery { limit, ..query })
            };
            let found =
                Source::of(&args.from, &args.person)?.ask("findings", ask, query, |store, query| {
                    api::findings_of(store, &query, Identities::Shown)
                })?;
            write(args.from.format, &found, |out| table::findings(&found, out), out)
        }
        TrailCommand::Edges(args) => {
            let (ask, limit) = (args.ask(now)?, args.limit);
            let query = |ask: EdgesAsk, _: Option<&_>| {
                let query = EdgesAsk { limit: None, ..ask }.query()?;
                Ok(EdgeQuery { limit, ..query })
            };
            let look = |store: &dyn Store, query| api::edges_of(store, &query);
            let found = source(&args.from)?.ask("edges", ask, query, look)?;
            write(args.from.format, &found, |out| table::edges(&found, out), out)
        }
        TrailCommand::Coverage(args) => {
            let (ask, limit) = (args.ask(now)?, args.limit);
            let query = |ask: CoverageAsk, _: Option<&_>| {
                let query = CoverageAsk { limit: None, ..ask }.query()?;
                Ok(api::CoverageQuery { limit, ..query })
            };
            let look = |store: &dyn Store, query| api::coverage_of(store, &query);
            let found = source(&args.from)?.ask("coverage", ask, query, look)?;
            write(args.from.format, &found, |out| table::coverage(&found, out), out)
        }
    }
}

fn trace(args: &TraceArgs, out: &mut dyn Write) -> Result<(), TrailError> {
    let id = api::trace_id(&args.trace_id).map_err(|problem| TrailError::Asked(problem.to_string()))?;
    let look = |store: &dyn Store, ()| -> Result<Option<TraceShape>, StoreError> {
        let found = store.trace(id)?.map(TraceShape::try_from).transpose();
        found.map_err(|_| StoreError::Broken("a finding"))
    };
    let source = Source::of(&args.from, &Person::default())?;
    let found = match source.ask(&format!("traces/{id}"), (), |(), _| Ok(()), look) {
        Err(error) if is_missing(&error) => None,
        found => found?,
    };
    let found = found.ok_or_else(|| TrailError::NoTrace(args.trace_id.clone()))?;
    write(args.from.format, &found, |out| table::trace(&found, out), out)
}

fn write<T: Serialize>(
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

//! Questions as they stand on a command line.

use clap::Args;
use hopseal_correlate::finding::Severity;
use hopseal_correlate::policy::{Date, nanos};
use hopseal_correlate::rule::Rule;
use hopseal_identity::Assurance;

use super::TrailError;
use super::source::{From, Person};
use crate::serve::api::{
    self, CoverageAsk, EdgesAsk, FindingsAsk, HopsAsk, TouchedAsk, finding_id, trace_id,
};
use crate::serve::store::State;

/// From when to when.
#[derive(Debug, Args)]
pub(super) struct Period {
    /// How far back: `90s`, `15m`, `24h`, `7d`, or a day such as `2026-12-31`.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    since: Since,
    /// Only what began before: a time like that of `--since`.
    #[arg(long, value_name = "TIME")]
    until: Option<Since>,
}

/// From and to, as the query API is asked.
type Between = (Option<u64>, Option<u64>);

fn between(since: Option<Since>, until: Option<Since>, now: u64) -> Result<Between, TrailError> {
    let (from, to) = (since.map(|since| since.from(now)), until.map(|until| until.from(now)));
    match from.unwrap_or(0) >= to.unwrap_or(u64::MAX) {
        true => {
            Err(TrailError::Asked("`--until` is not after `--since`: nothing can lie between".to_owned()))
        }
        false => Ok((from, to)),
    }
}

impl Period {
    fn between(&self, now: u64) -> Result<Between, TrailError> {
        between(Some(self.since), self.until, now)
    }
}

/// What hops are like.
#[derive(Debug, Args)]
pub(super) struct Like {
    /// The service that called.
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// The operation called.
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// How sure: `unknown`, `anonymous`, `refused`, `asserted`, `sealed` or `verified`.
    #[arg(long, value_name = "WORD", value_parser = word(Assurance::parse))]
    assurance: Option<String>,
    /// Why that is believed: `claimed`, `reverified` or `authenticated_sender`.
    #[arg(long, value_name = "WORD", value_parser = word(api::basis))]
    basis: Option<String>,
    /// The principal's tenant.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// A proxy passed on the way.
    #[arg(long, value_name = "NAME")]
    via: Option<String>,
}

/// How much is shown, and from where on.
#[derive(Debug, Args)]
pub(super) struct Page {
    /// Most of them shown; the last line says how to ask for those behind them.
    #[arg(long, value_name = "N", default_value = "100")]
    pub(super) limit: usize,
    /// Only what comes behind that, as an answer said.
    #[arg(long, value_name = "CURSOR", value_parser = word(api::cursor))]
    after: Option<String>,
}

/// `hopseal trail find`.
#[derive(Debug, Args)]
pub(crate) struct FindArgs {
    #[command(flatten)]
    pub(super) from: From,
    #[command(flatten)]
    pub(super) person: Person,
    /// The service called.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    #[command(flatten)]
    like: Like,
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    pub(super) page: Page,
}

/// `hopseal trail touched`.
#[derive(Debug, Args)]
pub(crate) struct TouchedArgs {
    #[command(flatten)]
    pub(super) from: From,
    /// The service called.
    #[arg(long, value_name = "NAME")]
    service: String,
    #[command(flatten)]
    like: Like,
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    pub(super) page: Page,
}

/// `hopseal trail findings`.
#[derive(Debug, Args)]
pub(crate) struct FindingsArgs {
    #[command(flatten)]
    pub(super) from: From,
    #[command(flatten)]
    pub(super) person: Person,
    /// What became of them: `open`, `acknowledged`, `resolved`, `retracted` or `suppressed`.
    #[arg(long, value_name = "WORD", value_parser = word(State::parse))]
    state: Option<String>,
    /// The rule, by its name.
    #[arg(long, value_name = "NAME", value_parser = word(Rule::parse))]
    rule: Option<String>,
    /// `high`, `medium`, `low` or `info`.
    #[arg(long, value_name = "WORD", value_parser = word(Severity::parse))]
    severity: Option<String>,
    /// The service they are about.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The service that called it; empty for calls from outside.
    #[arg(long, value_name = "NAME")]
    caller: Option<String>,
    /// The trace they are about: 32 hex digits.
    #[arg(long, value_name = "TRACE")]
    trace: Option<String>,
    /// Findings alike, by the group that they share: 32 hex digits.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// How far back: `90s`, `15m`, `24h`, `7d`, or a day such as `2026-12-31`. Default: all of them.
    #[arg(long, value_name = "TIME")]
    since: Option<Since>,
    /// Only those of hops that began before: a time like that of `--since`.
    #[arg(long, value_name = "TIME")]
    until: Option<Since>,
    #[command(flatten)]
    pub(super) page: Page,
}

/// `hopseal trail edges`.
#[derive(Debug, Args)]
pub(crate) struct EdgesArgs {
    #[command(flatten)]
    pub(super) from: From,
    /// A service, called or calling.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    #[command(flatten)]
    period: Period,
    /// Minutes of one step: each is counted on its own. Default: all of the time together.
    #[arg(long, value_name = "N")]
    minutes: Option<u64>,
    /// Most of them shown; the last line says how to ask for those behind them.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(super) limit: usize,
    /// Only what comes behind that, as an answer said.
    #[arg(long, value_name = "CURSOR", value_parser = word(api::edge_cursor))]
    after: Option<String>,
}

/// `hopseal trail coverage`.
#[derive(Debug, Args)]
pub(crate) struct CoverageArgs {
    #[command(flatten)]
    pub(super) from: From,
    /// The service called. Default: all of them together.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    #[command(flatten)]
    period: Period,
    /// Minutes of one point.
    #[arg(long, value_name = "N", default_value = "60")]
    minutes: u64,
    /// Most of them shown; the last line says how to ask for those behind them.
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(super) limit: usize,
    /// Only what comes behind that, as an answer said.
    #[arg(long, value_name = "CURSOR", value_parser = word(|text: &str| text.parse::<u64>().ok()))]
    after: Option<String>,
}

/// `hopseal trail trace`.
#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    #[command(flatten)]
    pub(super) from: From,
    /// The trace: 32 hex digits.
    #[arg(value_name = "TRACE")]
    pub(super) trace_id: String,
}

/// Takes a text as it is, if it can be read.
fn word<T>(
    parse: impl Fn(&str) -> Option<T> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> Result<String, String> + Clone + Send + Sync + 'static {
    move |text| match parse(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("`{text}` cannot be that")),
    }
}

impl FindArgs {
    pub(super) fn ask(&self, now: u64) -> Result<HopsAsk, TrailError> {
        let Like { caller, operation, assurance, basis, tenant, via } = &self.like;
        let (from_unix_nano, to_unix_nano) = self.period.between(now)?;
        Ok(HopsAsk {
            principal: self.person.principal.clone(),
            user: self.person.user.clone(),
            issuer: None,
            service: self.service.clone(),
            caller: caller.clone(),
            operation: operation.clone(),
            assurance: assurance.clone(),
            basis: basis.clone(),
            tenant: tenant.clone(),
            via: via.clone(),
            from_unix_nano,
            to_unix_nano,
            cursor: self.page.after.clone(),
            limit: Some(self.page.limit),
        })
    }
}

impl TouchedArgs {
    pub(super) fn ask(&self, now: u64) -> Result<TouchedAsk, TrailError> {
        let Like { caller, operation, assurance, basis, tenant, via } = &self.like;
        let (from_unix_nano, to_unix_nano) = self.period.between(now)?;
        Ok(TouchedAsk {
            service: self.service.clone(),
            caller: caller.clone(),
            operation: operation.clone(),
            assurance: assurance.clone(),
            basis: basis.clone(),
            tenant: tenant.clone(),
            via: via.clone(),
            from_unix_nano,
            to_unix_nano,
            cursor: self.page.after.clone(),
            limit: Some(self.page.limit),
        })
    }
}

impl FindingsArgs {
    pub(super) fn ask(&self, now: u64) -> Result<FindingsAsk, TrailError> {
        let wrong = |problem: api::Problem| TrailError::Asked(problem.to_string());
        self.trace.as_deref().map(trace_id).transpose().map_err(wrong)?;
        self.group.as_deref().map(finding_id).transpose().map_err(wrong)?;
        let (from_unix_nano, to_unix_nano) = between(self.since, self.until, now)?;
        Ok(FindingsAsk {
            state: self.state.clone(),
            rule: self.rule.clone(),
            severity: self.severity.clone(),
            service: self.service.clone(),
            caller: self.caller.clone(),
            trace_id: self.trace.clone(),
            group_id: self.group.clone(),
            principal: self.person.principal.clone(),
            user: self.person.user.clone(),
            from_unix_nano,
            to_unix_nano,
            cursor: self.page.after.clone(),
            limit: Some(self.page.limit),
        })
    }
}

impl EdgesArgs {
    pub(super) fn ask(&self, now: u64) -> Result<EdgesAsk, TrailError> {
        let (from_unix_nano, to_unix_nano) = self.period.between(now)?;
        Ok(EdgesAsk {
            from_unix_nano,
            to_unix_nano,
            service: self.service.clone(),
            minutes: self.minutes,
            cursor: self.after.clone(),
            limit: Some(self.limit),
        })
    }
}

impl CoverageArgs {
    pub(super) fn ask(&self, now: u64) -> Result<CoverageAsk, TrailError> {
        let (from_unix_nano, to_unix_nano) = self.period.between(now)?;
        Ok(CoverageAsk {
            from_unix_nano,
            to_unix_nano,
            service: self.service.clone(),
            minutes: Some(self.minutes),
            cursor: self.after.clone(),
            limit: Some(self.limit),
        })
    }
}

/// How far back: so many nanoseconds, or to the beginning of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
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
        nanos(text).map(Self::Ago).ok_or_else(wrong)
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

//! Questions as they stand in a URL.

use hopseal_correlate::finding::{FindingId, Severity};
use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::TraceId;
use hopseal_identity::Assurance;
use hopseal_identity::pseudonym::Pseudonyms;
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::Problem;
use crate::hex;
use crate::serve::access::Asker;
use crate::serve::people::spellings;
use crate::serve::store::{Cursor, FindingQuery, HopQuery, Interval, Said, State};

/// Answers of one page, and at most.
const PAGE: usize = 100;
const MOST: usize = 1000;
/// Letters of a note.
const NOTE: usize = 2000;

/// Which hops.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct HopsAsk {
    /// The id of a principal as it stands on spans.
    pub(crate) principal: Option<String>,
    /// A person by name: looked for as it is, and under its pseudonyms.
    pub(crate) user: Option<String>,
    /// The principal's issuer.
    pub(crate) issuer: Option<String>,
    /// The service called.
    pub(crate) service: Option<String>,
    /// The service that called.
    pub(crate) caller: Option<String>,
    /// `verified`, `sealed`, `asserted`, `refused`, `anonymous` or `unknown`.
    pub(crate) assurance: Option<String>,
    /// The first moment at which the hop may have begun, nanoseconds since the Unix epoch.
    pub(crate) from_unix_nano: Option<u64>,
    /// The first moment at which it may not.
    pub(crate) to_unix_nano: Option<u64>,
    /// `next` of the answer before.
    pub(crate) cursor: Option<String>,
    /// Most hops in the answer: 1 to 1000. Default 100.
    pub(crate) limit: Option<usize>,
}

/// Which findings.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct FindingsAsk {
    /// `open`, `acknowledged`, `resolved`, `retracted` or `suppressed`.
    pub(crate) state: Option<String>,
    /// The rule, by its name.
    pub(crate) rule: Option<String>,
    /// `high`, `medium`, `low` or `info`.
    pub(crate) severity: Option<String>,
    /// The service it is about.
    pub(crate) service: Option<String>,
    /// The service that called it; empty for calls from outside.
    pub(crate) caller: Option<String>,
    /// The trace it is about: 32 hex digits.
    pub(crate) trace_id: Option<String>,
    /// Findings alike, by the `group_id` that they share: 32 hex digits.
    pub(crate) group_id: Option<String>,
    /// `next` of the answer before.
    pub(crate) cursor: Option<String>,
    /// Most findings in the answer: 1 to 1000. Default 100.
    pub(crate) limit: Option<usize>,
}

/// Which minutes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EdgesAsk {
    /// The first moment at which a minute may begin, nanoseconds since the Unix epoch.
    from_unix_nano: Option<u64>,
    /// The first moment at which it may not.
    to_unix_nano: Option<u64>,
    /// A service, called or calling; for coverage the one called.
    pub(super) service: Option<String>,
    /// Minutes of one point of coverage. Default 1.
    pub(super) minutes: Option<u64>,
}

fn interval(from: Option<u64>, to: Option<u64>) -> Result<Interval, Problem> {
    let interval = Interval { from: from.unwrap_or(0), to: to.unwrap_or(u64::MAX) };
    match interval.from < interval.to {
        true => Ok(interval),
        false => Err(Problem::Asked("`from_unix_nano` is not before `to_unix_nano`".to_owned())),
    }
}

fn limit(limit: Option<usize>) -> Result<usize, Problem> {
    match limit.unwrap_or(PAGE) {
        limit @ 1..=MOST => Ok(limit),
        _ => Err(Problem::Asked(format!("`limit` is 1 to {MOST}"))),
    }
}

/// One of a closed list of words.
fn word<T>(
    name: &str,
    text: Option<&str>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    parse(text).map(Some).ok_or_else(|| Problem::Asked(format!("`{name}` cannot be that")))
}

impl HopsAsk {
    pub(crate) fn query(self, people: Option<&(Pseudonyms, Vec<String>)>) -> Result<HopQuery, Problem> {
        let mut principals: Vec<String> = self.principal.into_iter().collect();
        if let Some(user) = &self.user {
            let issuers = self.issuer.as_ref().map_or_else(
                || people.map(|(_, issuers)| issuers.clone()).unwrap_or_default(),
                |issuer| vec![issuer.clone()],
            );
            principals.extend(spellings(user, &issuers, people.map(|(keys, _)| keys)));
        }
        Ok(HopQuery {
            principals,
            issuer: self.issuer,
            service: self.service,
            caller: self.caller,
            operation: None,
            assurance: word("assurance", self.assurance.as_deref(), Assurance::parse)?,
            interval: interval(self.from_unix_nano, self.to_unix_nano)?,
            lasting: Interval::ALWAYS,
            after: word("cursor", self.cursor.as_deref(), cursor)?,
            limit: limit(self.limit)?,
        })
    }
}

impl FindingsAsk {
    pub(crate) fn query(self) -> Result<FindingQuery, Problem> {
        Ok(FindingQuery {
            state: word("state", self.state.as_deref(), State::parse)?,
            rule: word("rule", self.rule.as_deref(), Rule::parse)?,
            severity: word("severity", self.severity.as_deref(), Severity::parse)?,
            service: self.service,
            caller: self.caller,
            trace_id: self.trace_id.as_deref().map(trace_id).transpose()?,
            group: self.group_id.as_deref().map(finding_id).transpose()?,
            after: word("cursor", self.cursor.as_deref(), cursor)?,
            limit: limit(self.limit)?,
        })
    }
}

impl EdgesAsk {
    pub(super) fn interval(&self) -> Result<Interval, Problem> {
        interval(self.from_unix_nano, self.to_unix_nano)
    }
}

pub(crate) fn trace_id(text: &str) -> Result<TraceId, Problem> {
    let id = hex::id(text).and_then(TraceId::new);
    id.ok_or_else(|| Problem::Asked("a trace id is 32 hex digits, not all zero".to_owned()))
}

pub(crate) fn finding_id(text: &str) -> Result<FindingId, Problem> {
    hex::id(text).map(FindingId).ok_or_else(|| Problem::Asked("a finding's id is 32 hex digits".to_owned()))
}

/// What somebody says of a finding.
pub(crate) fn saying(state: &str, note: String, asker: Option<&Asker>, at: u64) -> Result<Said, Problem> {
    if note.chars().count() > NOTE {
        return Err(Problem::Asked(format!("`note` is at most {NOTE} letters")));
    }
    let who = asker.map(|asker| asker.who.clone()).unwrap_or_default();
    Ok(Said { state: state_of(state)?, note, at, who })
}

/// A state that somebody may set.
fn state_of(text: &str) -> Result<State, Problem> {
    State::parse(text)
        .filter(|state| *state != State::Retracted)
        .ok_or_else(|| Problem::Asked("`state` is open, acknowledged, resolved or suppressed".to_owned()))
}

pub(crate) fn cursor_text(cursor: Cursor) -> String {
    let Cursor { at, id, place, span } = cursor;
    format!("{at}-{:032x}-{place}-{:016x}", u128::from_be_bytes(id), u64::from_be_bytes(span))
}

/// Reads it back; `None` for any other text.
pub(crate) fn cursor(text: &str) -> Option<Cursor> {
    let mut parts = text.split('-');
    let (at, own, place, span) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (id, span) = (hex::id(own)?, hex::id(span)?);
    let cursor = Cursor { at: at.parse().ok()?, id, place: place.parse().ok()?, span };
    parts.next().is_none().then_some(cursor)
}

//! Questions as they stand in a URL.

use hopseal_correlate::finding::{FindingId, Severity};
use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::TraceId;
use hopseal_identity::pseudonym::Pseudonyms;
use hopseal_identity::{Assurance, Basis};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::answer::Problem;
use crate::hex;
use crate::serve::access::Asker;
use crate::serve::people::spellings;
use crate::serve::store::{
    CoveragePoint, Cursor, DAY, EdgeCursor, EdgeQuery, FindingQuery, HopQuery, Interval, MINUTE, Said, State,
};

/// Answers of one page, and at most.
const PAGE: usize = 100;
const MOST: usize = 1000;
/// Counts of one page, and at most: they are small, and a chart wants all of them.
const COUNTS: usize = 10_000;
/// How far back is looked for who touched a service, where nobody says.
const BACK: u64 = DAY;
/// Letters of a note.
const NOTE: usize = 2000;

/// Which hops.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct HopsAsk {
    /// The id of a principal as it stands on spans. Takes the role `auditor`.
    pub(crate) principal: Option<String>,
    /// A person by name: looked for as it is, and under its pseudonyms. Takes the role `auditor`.
    pub(crate) user: Option<String>,
    /// The principal's issuer.
    pub(crate) issuer: Option<String>,
    /// The service called.
    pub(crate) service: Option<String>,
    /// The service that called.
    pub(crate) caller: Option<String>,
    /// The operation called.
    pub(crate) operation: Option<String>,
    /// `verified`, `sealed`, `asserted`, `refused`, `anonymous` or `unknown`.
    pub(crate) assurance: Option<String>,
    /// `claimed`, `reverified` or `authenticated_sender`.
    pub(crate) basis: Option<String>,
    /// The principal's tenant. Takes the role `auditor`.
    pub(crate) tenant: Option<String>,
    /// A proxy passed on the way.
    pub(crate) via: Option<String>,
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
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
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
    /// The id of a principal before the hop or at it, as it stands on spans. Takes the role `auditor`.
    pub(crate) principal: Option<String>,
    /// A person by name: looked for as it is, and under its pseudonyms. Takes the role `auditor`.
    pub(crate) user: Option<String>,
    /// The first moment at which the hop may have begun, nanoseconds since the Unix epoch.
    pub(crate) from_unix_nano: Option<u64>,
    /// The first moment at which it may not.
    pub(crate) to_unix_nano: Option<u64>,
    /// `next` of the answer before.
    pub(crate) cursor: Option<String>,
    /// Most findings in the answer: 1 to 1000. Default 100.
    pub(crate) limit: Option<usize>,
}

/// Whose hops into a service.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TouchedAsk {
    /// The service called.
    pub(crate) service: String,
    /// The operation called.
    pub(crate) operation: Option<String>,
    /// The service that called.
    pub(crate) caller: Option<String>,
    /// `verified`, `sealed` or `asserted`: others show nobody.
    pub(crate) assurance: Option<String>,
    /// `claimed`, `reverified` or `authenticated_sender`.
    pub(crate) basis: Option<String>,
    /// The principal's tenant.
    pub(crate) tenant: Option<String>,
    /// A proxy passed on the way.
    pub(crate) via: Option<String>,
    /// The first moment at which a hop may have begun, nanoseconds since the Unix epoch. Default: 24 hours ago. What it costs to
    /// answer goes by how many hops there are from then on.
    pub(crate) from_unix_nano: Option<u64>,
    /// The first moment at which it may not.
    pub(crate) to_unix_nano: Option<u64>,
    /// `next` of the answer before.
    pub(crate) cursor: Option<String>,
    /// Most principals in the answer: 1 to 1000. Default 100.
    pub(crate) limit: Option<usize>,
}

/// Which edges.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EdgesAsk {
    /// The first moment at which a minute may begin, nanoseconds since the Unix epoch.
    pub(crate) from_unix_nano: Option<u64>,
    /// The first moment at which it may not.
    pub(crate) to_unix_nano: Option<u64>,
    /// A service, called or calling.
    pub(crate) service: Option<String>,
    /// Minutes of one step: edges are counted by the step, and say when it begins. Without, those of all minutes are counted together.
    pub(crate) minutes: Option<u64>,
    /// `next` of the answer before.
    pub(crate) cursor: Option<String>,
    /// Most edges in the answer: 1 to 10000. Default 10000.
    pub(crate) limit: Option<usize>,
}

/// Which minutes.
#[derive(Debug, Clone, Default, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct CoverageAsk {
    /// The first moment at which a minute may begin, nanoseconds since the Unix epoch.
    pub(crate) from_unix_nano: Option<u64>,
    /// The first moment at which it may not.
    pub(crate) to_unix_nano: Option<u64>,
    /// The service called.
    pub(crate) service: Option<String>,
    /// Minutes of one point of coverage. Default 1.
    pub(crate) minutes: Option<u64>,
    /// `next` of the answer before.
    pub(crate) cursor: Option<String>,
    /// Most points in the answer: 1 to 10000. Default 10000.
    pub(crate) limit: Option<usize>,
}

fn interval(from: Option<u64>, to: Option<u64>) -> Result<Interval, Problem> {
    let interval = Interval { from: from.unwrap_or(0), to: to.unwrap_or(u64::MAX) };
    match interval.from < interval.to {
        true => Ok(interval),
        false => Err(Problem::Asked("`from_unix_nano` is not before `to_unix_nano`".to_owned())),
    }
}

fn limit(limit: Option<usize>) -> Result<usize, Problem> {
    limit_of(limit.unwrap_or(PAGE), MOST)
}

fn limit_of(limit: usize, most: usize) -> Result<usize, Problem> {
    match (1..=most).contains(&limit) {
        true => Ok(limit),
        false => Err(Problem::Asked(format!("`limit` is 1 to {most}"))),
    }
}

/// Ids that somebody asked for stands under: one id, or a person by name.
fn principals(
    principal: Option<String>,
    user: Option<&str>,
    issuer: Option<&String>,
    people: Option<&(Pseudonyms, Vec<String>)>,
) -> Vec<String> {
    let mut principals: Vec<String> = principal.into_iter().collect();
    if let Some(user) = user {
        let known = || people.map(|(_, issuers)| issuers.clone()).unwrap_or_default();
        let issuers = issuer.map_or_else(known, |issuer| vec![issuer.clone()]);
        principals.extend(spellings(user, &issuers, people.map(|(keys, _)| keys)));
    }
    principals
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
        Ok(HopQuery {
            principals: principals(self.principal, self.user.as_deref(), self.issuer.as_ref(), people),
            issuer: self.issuer,
            service: self.service,
            caller: self.caller,
            operation: self.operation,
            assurance: word("assurance", self.assurance.as_deref(), Assurance::parse)?,
            basis: word("basis", self.basis.as_deref(), basis)?,
            tenant: self.tenant,
            via: self.via,
            interval: interval(self.from_unix_nano, self.to_unix_nano)?,
            lasting: Interval::ALWAYS,
            after: word("cursor", self.cursor.as_deref(), cursor)?,
            limit: limit(self.limit)?,
        })
    }
}

impl FindingsAsk {
    pub(crate) fn query(self, people: Option<&(Pseudonyms, Vec<String>)>) -> Result<FindingQuery, Problem> {
        Ok(FindingQuery {
            principals: principals(self.principal, self.user.as_deref(), None, people),
            interval: interval(self.from_unix_nano, self.to_unix_nano)?,
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

impl TouchedAsk {
    pub(crate) fn query(self, now: u64) -> Result<HopQuery, Problem> {
        let hops = HopsAsk {
            service: Some(self.service),
            operation: self.operation,
            caller: self.caller,
            assurance: self.assurance,
            basis: self.basis,
            tenant: self.tenant,
            via: self.via,
            from_unix_nano: Some(self.from_unix_nano.unwrap_or(now.saturating_sub(BACK))),
            to_unix_nano: self.to_unix_nano,
            cursor: self.cursor,
            limit: self.limit,
            ..HopsAsk::default()
        };
        hops.query(None)
    }
}

impl EdgesAsk {
    pub(crate) fn query(self) -> Result<EdgeQuery, Problem> {
        Ok(EdgeQuery {
            interval: interval(self.from_unix_nano, self.to_unix_nano)?,
            service: self.service,
            minutes: self.minutes,
            after: word("cursor", self.cursor.as_deref(), edge_cursor)?,
            limit: limit_of(self.limit.unwrap_or(COUNTS), COUNTS)?,
        })
    }
}

/// Which points of coverage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CoverageQuery {
    pub(crate) interval: Interval,
    pub(crate) service: Option<String>,
    pub(crate) minutes: u64,
    pub(crate) limit: usize,
}

impl CoverageAsk {
    pub(crate) fn query(self) -> Result<CoverageQuery, Problem> {
        let mut interval = interval(self.from_unix_nano, self.to_unix_nano)?;
        if let Some(next) = word("cursor", self.cursor.as_deref(), |text| text.parse().ok())? {
            interval.from = interval.from.max(next);
        }
        let limit = limit_of(self.limit.unwrap_or(COUNTS), COUNTS)?;
        Ok(CoverageQuery { interval, service: self.service, minutes: self.minutes.unwrap_or(1), limit })
    }
}

impl CoverageQuery {
    /// Where the page after these points begins; none where there is none.
    pub(crate) fn next(&self, points: &[CoveragePoint]) -> Option<String> {
        let last = points.get(self.limit.saturating_sub(1))?;
        let step = self.minutes.max(1).saturating_mul(MINUTE);
        Some(last.at.saturating_add(step))
            .filter(|next| *next < self.interval.to)
            .map(|next| next.to_string())
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

/// A basis by its word.
pub(crate) fn basis(word: &str) -> Option<Basis> {
    let all = [Basis::Claimed, Basis::Reverified, Basis::AuthenticatedSender];
    all.into_iter().find(|basis| basis.as_str() == word)
}

pub(crate) fn edge_cursor_text(cursor: &EdgeCursor) -> String {
    let EdgeCursor { at, caller, service, assurance, basis } = cursor;
    let (caller, service) = (hex::text(caller.as_bytes()), hex::text(service.as_bytes()));
    format!("{at}-{}-{}-{caller}-{service}", assurance.as_str(), basis.as_str())
}

/// Reads it back; `None` for any other text.
pub(crate) fn edge_cursor(text: &str) -> Option<EdgeCursor> {
    let mut parts = text.split('-');
    let mut part = || parts.next();
    let (at, assurance, basis) = (part()?.parse().ok()?, Assurance::parse(part()?)?, basis(part()?)?);
    let name = |digits: &str| String::from_utf8(hex::bytes(digits)?).ok();
    let (caller, service) = (name(part()?)?, name(part()?)?);
    part().is_none().then_some(EdgeCursor { at, caller, service, assurance, basis })
}

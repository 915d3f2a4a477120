//! The one place where a finding is quieted. Nothing is dropped in silence: every suppression is counted with its
//! reason and, where a declaration has one, its last day.
//!
//! A rule lists in its [`Spec`](crate::rule::Spec) what may quiet it; the policy's own conditions may quiet any.
//! Repeated findings need no suppression: one finding has one id, and calls of one edge fall into one group.

mod complete;
mod retry;
mod route;

use std::cell::LazyCell;

use self::route::Request;
use crate::finding::{Confidence, Finding};
use crate::hop::{Hop, Outcome};
use crate::policy::{Allowance, Date, Policy, Unevaluated};
use crate::rule::{Cx, DECLARED, EXPLAINED, Quiet};

pub(crate) use complete::{Doubt, unless_busy};

/// Why a finding was quieted: the closed list of the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A static file.
    Static,
    /// Health, readiness, metrics or `OPTIONS`.
    Health,
    /// A route that everyone may call.
    Public,
    /// A service principal that the policy allows on this edge.
    ServicePrincipal,
    /// The request was turned away.
    Rejected,
    /// A failed attempt; its retry succeeded and speaks for both.
    Retry,
    /// A message that a broker and its clients send one another.
    SystemTopic,
    /// What the rule misses may stand on a span whose place in the trace is lost, or that is on its way.
    Incomplete,
    /// A route on which strangers write by nature.
    OpenWrite,
    /// The policy declares what was found.
    Declared,
    /// The trace itself makes it lawful: a login, a token exchange, an actor.
    Explained,
}

impl Reason {
    /// Every reason, in the order of the enum.
    pub const ALL: [Self; 11] = [
        Self::Static,
        Self::Health,
        Self::Public,
        Self::ServicePrincipal,
        Self::Rejected,
        Self::Retry,
        Self::SystemTopic,
        Self::Incomplete,
        Self::OpenWrite,
        Self::Declared,
        Self::Explained,
    ];

    /// The word of the outputs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Health => "health",
            Self::Public => "public",
            Self::ServicePrincipal => "service_principal",
            Self::Rejected => "rejected",
            Self::Retry => "retry",
            Self::SystemTopic => "system_topic",
            Self::Incomplete => "incomplete",
            Self::OpenWrite => "open_write",
            Self::Declared => "declared",
            Self::Explained => "explained",
        }
    }
}

/// That a finding is quieted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quieted {
    /// Why.
    pub(crate) reason: Reason,
    /// The last day of the declaration, if it has one.
    pub(crate) expires: Option<Date>,
}

/// Name of the evidence that a declaration would have quieted the finding, had its day not passed.
const EXPIRED: &str = "expired_allowance";

/// Whether `finding` is quieted; `hop` is the one whose frame it is about, if it is about one. A finding that stands
/// may come out less sure, or saying that a declaration has expired.
pub(crate) fn settle(
    cx: &Cx<'_>,
    hop: Option<&Hop<'_>>,
    finding: &mut Finding,
    doubt: &mut Doubt,
    notes: &mut Vec<Unevaluated>,
) -> Option<Quieted> {
    let quiet = finding.rule.spec().quiet;
    if quiet.contains(&Quiet::Declared) && finding.evidence.contains_key(DECLARED) {
        return Some(Quieted { reason: Reason::Declared, expires: None });
    }
    if quiet.contains(&Quiet::Explained) && finding.evidence.contains_key(EXPLAINED) {
        return Some(Quieted { reason: Reason::Explained, expires: None });
    }
    let by_rule = hop.map_or(Err(None), |hop| quieted_by(cx, hop, quiet));
    let expired = match by_rule {
        Ok(quieted) => return Some(quieted),
        Err(expired) => expired,
    };
    if let Some(quieted) = declared(cx.policy, hop.map(|hop| (cx, hop)), finding, notes) {
        return Some(quieted);
    }
    if let Some((reason, date)) = expired {
        say_expired(finding, reason, date);
    }
    if quiet.contains(&Quiet::Incomplete)
        && let Some(why) = hop.and_then(|hop| doubt.of(cx, hop))
    {
        finding.confidence = finding.confidence.min(Confidence::Likely);
        finding.why_not_sure.push(why);
    }
    None
}

/// Whether a condition of the policy's own quiets `finding`. One that stands may come out saying that it would have,
/// had its day not passed.
pub(crate) fn declared(
    policy: &Policy,
    hop: Option<(&Cx<'_>, &Hop<'_>)>,
    finding: &mut Finding,
    notes: &mut Vec<Unevaluated>,
) -> Option<Quieted> {
    match policy.suppresses(finding, hop, notes) {
        Allowance::Holds(expires) => Some(Quieted { reason: Reason::Declared, expires }),
        Allowance::Expired(date) => {
            say_expired(finding, Reason::Declared, date);
            None
        }
        Allowance::None => None,
    }
}

fn say_expired(finding: &mut Finding, reason: Reason, date: Date) {
    finding.evidence.insert(EXPIRED, format!("{} until {date}", reason.as_str()));
}

/// The first of `quiet` that holds for `hop`; `Err` holds a declaration that would have, had its day not passed.
pub(crate) fn quieted_by(
    cx: &Cx<'_>,
    hop: &Hop<'_>,
    quiet: &[Quiet],
) -> Result<Quieted, Option<(Reason, Date)>> {
    let mut expired = None;
    let request = LazyCell::new(|| Request::of(cx.entry(hop)));
    for quiet in quiet {
        let (reason, allowance) = match quiet {
            Quiet::Static => (Reason::Static, always(route::is_static(&request))),
            Quiet::Health => (Reason::Health, route::health(cx, hop, &request)),
            Quiet::Public => (Reason::Public, route::public(cx, hop, &request)),
            Quiet::ServicePrincipal => (Reason::ServicePrincipal, client(cx, hop)),
            Quiet::Rejected => (Reason::Rejected, always(hop.outcome == Outcome::Rejected)),
            Quiet::Retry => (Reason::Retry, always(retry::succeeded(cx, hop))),
            Quiet::SystemTopic => (Reason::SystemTopic, always(route::is_system_topic(cx, hop))),
            Quiet::Incomplete => {
                let is_there = complete::may_be_elsewhere(cx, hop) || complete::may_be_on_the_way(cx, hop);
                (Reason::Incomplete, always(is_there || retry::is_torn(cx, hop)))
            }
            Quiet::OpenWrite => (Reason::OpenWrite, always(route::is_open_write(&request))),
            // Only a finding can say so.
            Quiet::Declared => (Reason::Declared, Allowance::None),
            Quiet::Explained => (Reason::Explained, Allowance::None),
        };
        match allowance {
            Allowance::Holds(expires) => return Ok(Quieted { reason, expires }),
            Allowance::Expired(date) => expired = Some((reason, date)),
            Allowance::None => {}
        }
    }
    Err(expired)
}

const fn always(holds: bool) -> Allowance {
    if holds { Allowance::Holds(None) } else { Allowance::None }
}

/// A service principal is declared by its client id or, where that differs, by its own.
fn client(cx: &Cx<'_>, hop: &Hop<'_>) -> Allowance {
    let Some(principal) = &hop.identity.principal else { return Allowance::None };
    let caller = cx.caller(hop).map(|caller| caller.service);
    let ask = |client: &str| cx.policy.client(client, caller, hop.service, cx.entry(hop).start);
    let own = || if principal.is_user() { Allowance::None } else { ask(principal.id) };
    match principal.client.map_or(Allowance::None, ask) {
        Allowance::None => own(),
        known => known,
    }
}

#[cfg(test)]
mod tests;

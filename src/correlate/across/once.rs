//! Credentials and transactions that were seen in more than one trace.

use std::collections::BTreeMap;

use super::bounded::{Bounded, key};
use super::client::Clients;
use super::{Example, OwnedService};
use crate::field::Field;
use crate::hop::{Hop, HopKind};
use crate::rule::Cx;
use crate::sink::TraceId;

/// Ids kept.
const MAX_IDS: usize = 100_000;
/// Traces kept of one id: those with the lowest ids.
const MAX_TRACES: usize = 8;
/// Traces that one trace links to, as kept.
const MAX_LINKS: usize = 8;

/// What sort of id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A credential that may be used once.
    OneTime,
    /// A transaction (`txn`), which one trace and those linked to it are about.
    Transaction,
    /// A credential that may be used again and again, by one client.
    Bearer,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::OneTime => "one_time_credential",
            Self::Transaction => "transaction",
            Self::Bearer => "bearer_credential",
        }
    }
}

/// An id and where it was accepted.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    /// Where it was accepted first.
    pub(crate) first: Example,
    pub(crate) service: OwnedService,
    pub(crate) operation: String,
    /// Tells the id from others without saying it.
    pub(crate) digest: String,
    /// By trace: when, and which others the trace links to.
    traces: BTreeMap<TraceId, (u64, Vec<TraceId>)>,
    pub(crate) clients: Clients,
}

impl Seen {
    /// Traces that have nothing to do with one another by links, the earliest of each group, in order of time.
    pub(crate) fn unrelated(&self) -> Vec<(u64, TraceId)> {
        let mut groups: Vec<(u64, TraceId, Vec<TraceId>)> = Vec::new();
        for (id, (at, links)) in &self.traces {
            // One trace and what it links to; groups that share any trace are one.
            let mut group = (*at, *id, links.clone());
            group.2.push(*id);
            groups.retain(|other| {
                let shared = other.2.iter().any(|trace| group.2.contains(trace));
                if shared {
                    group.2.extend(&other.2);
                    (group.0, group.1) = (group.0, group.1).min((other.0, other.1));
                }
                !shared
            });
            groups.push(group);
        }
        let mut firsts: Vec<(u64, TraceId)> = groups.into_iter().map(|(at, id, _)| (at, id)).collect();
        firsts.sort_unstable();
        firsts
    }
}

#[derive(Debug)]
pub(super) struct Sightings(Bounded<Seen>);

impl Default for Sightings {
    fn default() -> Self {
        Self(Bounded::new(MAX_IDS))
    }
}

impl Sightings {
    pub(super) fn observe(&mut self, cx: &Cx<'_>) {
        const IDS: u128 = Field::TokenFingerprint.bit() | Field::Txn.bit();
        for hop in cx.hops.iter().filter(|hop| cx.entry(hop).has_any(IDS)) {
            // A refused replay is no replay.
            if !hop.outcome.may_have_succeeded() || !hop.identity.assurance.is_identified() {
                continue;
            }
            let entry = cx.entry(hop);
            // A link to where the transaction began may have stood on a span that was lost.
            let whole = cx.trace.grade.missing_parents == 0 && cx.trace.grade.dropped == 0;
            if let Some(txn) = entry.get(Field::Txn).filter(|_| whole) {
                self.add(cx, hop, Kind::Transaction, txn);
            }
            let Some(fingerprint) = entry.get(Field::TokenFingerprint) else { continue };
            let is_user = hop.identity.principal.as_ref().is_some_and(|principal| principal.is_user());
            if entry.get(Field::OneTime) == Some("true") {
                self.add(cx, hop, Kind::OneTime, fingerprint);
            } else if hop.kind == HopKind::Entry && is_user && !is_allowed(cx, hop) {
                self.add(cx, hop, Kind::Bearer, fingerprint);
            }
        }
    }

    fn add(&mut self, cx: &Cx<'_>, hop: &Hop<'_>, kind: Kind, id: &str) {
        let entry = cx.entry(hop);
        let here = Example { at: entry.start, trace_id: cx.trace.id, span_id: entry.id };
        let key = key(&[kind.as_str().as_bytes(), id.as_bytes()]);
        let new = || Seen {
            kind,
            first: here,
            service: hop.service.into(),
            operation: hop.operation.clone().into_owned(),
            digest: format!("{key:032x}"),
            traces: BTreeMap::new(),
            clients: Clients::default(),
        };
        let Some(seen) = self.0.entry(key, new) else { return };
        if here < seen.first {
            seen.first = here;
            seen.service = hop.service.into();
            seen.operation = hop.operation.clone().into_owned();
        }
        if kind == Kind::Bearer {
            return seen.clients.observe(entry);
        }
        let (at, _) = seen.traces.entry(here.trace_id).or_insert_with(|| (here.at, links(cx)));
        *at = (*at).min(here.at);
        if seen.traces.len() > MAX_TRACES {
            seen.traces.pop_last();
        }
    }

    pub(super) fn finish(self) -> (Vec<Seen>, bool) {
        self.0.into_sorted()
    }
}

/// Whether the policy lets the client be used from many places.
fn is_allowed(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    let client = hop.identity.principal.as_ref().and_then(|principal| principal.client);
    client.is_some_and(|client| cx.policy.client(client, None, hop.service, cx.entry(hop).start).holds())
}

/// Other traces that this one links to.
fn links(cx: &Cx<'_>) -> Vec<TraceId> {
    let mut links: Vec<TraceId> =
        cx.trace.spans().iter().flat_map(|span| span.links()).map(|(id, _)| id).collect();
    links.retain(|id| *id != cx.trace.id);
    links.sort_unstable();
    links.dedup();
    links.truncate(MAX_LINKS);
    links
}

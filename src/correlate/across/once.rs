//! Credentials and transactions that were seen in more than one trace.

use std::collections::BTreeMap;

use super::bounded::{Bounded, key};
use super::client::Clients;
use super::stored::{Stored, read_word, stored, write_word};
use super::{Example, OwnedService};
use crate::field::Field;
use crate::hop::{Hop, HopKind, HopLink};
use crate::rule::Cx;
use crate::sink::{SpanId, TraceId};

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
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    /// Where it was accepted first.
    pub(crate) first: Example,
    pub(crate) service: OwnedService,
    pub(crate) operation: String,
    /// Tells the id from others without saying it.
    pub(crate) digest: String,
    traces: BTreeMap<TraceId, Sighting>,
    pub(crate) clients: Clients,
}

/// A trace in which an id was accepted.
#[derive(Debug, Clone)]
struct Sighting {
    /// When.
    at: u64,
    /// Which other traces it links to.
    links: Vec<TraceId>,
    /// Whether a link to or from it may have been lost.
    torn: bool,
}

/// Traces that links make one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    /// When the first of them accepted the id.
    pub(crate) at: u64,
    /// Which that was.
    pub(crate) trace_id: TraceId,
    /// Whether a link may have been lost, so that another group may be part of this one.
    pub(crate) torn: bool,
}

impl Seen {
    fn merge(&mut self, other: Self) {
        if other.first < self.first {
            (self.first, self.service, self.operation) = (other.first, other.service, other.operation);
        }
        for (trace_id, sighting) in other.traces {
            match self.traces.get_mut(&trace_id) {
                Some(known) => known.at = known.at.min(sighting.at),
                None => _ = self.traces.insert(trace_id, sighting),
            }
        }
        while self.traces.len() > MAX_TRACES {
            self.traces.pop_last();
        }
        self.clients.merge(other.clients);
    }

    /// Traces that have nothing to do with one another by links, one for each group, in order of time.
    pub(crate) fn unrelated(&self) -> Vec<Group> {
        let mut groups: Vec<(Group, Vec<TraceId>)> = Vec::new();
        for (id, Sighting { at, links, torn }) in &self.traces {
            // One trace and what it links to; groups that share any trace are one.
            let mut group = Group { at: *at, trace_id: *id, torn: *torn };
            let mut members = links.clone();
            members.push(*id);
            groups.retain(|(other, of_other)| {
                let shared = of_other.iter().any(|trace| members.contains(trace));
                if shared {
                    members.extend(of_other);
                    let torn = group.torn || other.torn;
                    group = Group { torn, ..group.min(*other) };
                }
                !shared
            });
            groups.push((group, members));
        }
        let mut groups: Vec<Group> = groups.into_iter().map(|(group, _)| group).collect();
        groups.sort_unstable();
        groups
    }
}

#[derive(Debug, Clone)]
pub(super) struct Sightings(Bounded<Seen>);

stored!(Seen { kind, first, service, operation, digest, traces, clients });
stored!(Sighting { at, links, torn });

const KINDS: [Kind; 3] = [Kind::OneTime, Kind::Transaction, Kind::Bearer];

impl Stored for Kind {
    fn write(&self, to: &mut Vec<u8>) {
        write_word(&KINDS, self, to);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        read_word(&KINDS, at)
    }
}

impl Stored for Sightings {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        Stored::read(at).map(Self)
    }
}

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
            if let Some(txn) = entry.get(Field::Txn) {
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
        let new = || {
            let (links, torn) = links(cx);
            Sighting { at: here.at, links, torn }
        };
        let sighting = seen.traces.entry(here.trace_id).or_insert_with(new);
        sighting.at = sighting.at.min(here.at);
        if seen.traces.len() > MAX_TRACES {
            seen.traces.pop_last();
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.merge(other.0, Seen::merge);
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

/// Other traces that this one links to, and whether one may be missing: a link stands on a span, which may be lost
/// here, or where it leads to, so that nothing tells how that trace is linked in turn.
fn links(cx: &Cx<'_>) -> (Vec<TraceId>, bool) {
    let mut links: Vec<(TraceId, SpanId)> = cx.trace.spans().iter().flat_map(|span| span.links()).collect();
    links.retain(|(id, _)| *id != cx.trace.id);
    links.sort_unstable();
    links.dedup_by_key(|(id, _)| *id);
    let is_known = |(trace_id, span_id): &(TraceId, SpanId)| {
        let link = HopLink { trace_id: *trace_id, span_id: *span_id, hop: None };
        cx.sender(&link).is_some_and(|sender| sender.whole)
    };
    let torn = !cx.trace.grade.is_complete() || links.len() > MAX_LINKS || !links.iter().all(is_known);
    links.truncate(MAX_LINKS);
    (links.into_iter().map(|(id, _)| id).collect(), torn)
}

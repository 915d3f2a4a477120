//! Credentials and transactions that were seen in more than one trace.

use std::cell::OnceCell;
use std::sync::Arc;

use super::bounded::{Bounded, Key, key};
use super::client::Clients;
use super::stored::{Stored, read_word, stored, write_word};
use super::{Example, OwnedService};
use crate::field::Field;
use crate::hop::{Hop, HopKind, HopLink};
use crate::rule::Cx;
use crate::sink::{SpanId, TraceId};

/// What an id stands in.
const IDS: u128 = Field::TokenFingerprint.bit() | Field::Txn.bit();
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
    pub(super) const ALL: [Self; 3] = [Self::OneTime, Self::Transaction, Self::Bearer];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::OneTime => "one_time_credential",
            Self::Transaction => "transaction",
            Self::Bearer => "bearer_credential",
        }
    }
}

/// An operation that accepted an id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) service: OwnedService,
    pub(crate) operation: String,
}

/// An id and where it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    /// Tells the id from others without saying it.
    pub(crate) key: Key,
    /// Where it was accepted first.
    pub(crate) first: Example,
    /// Shared, as what was seen is copied to say what changes.
    pub(crate) place: Arc<Place>,
    /// In order of their ids.
    traces: Vec<(TraceId, Sighting)>,
    pub(crate) clients: Clients,
}

/// A trace in which an id was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    pub(super) fn merge(&mut self, other: Self) {
        if other.first < self.first {
            (self.first, self.place) = (other.first, other.place);
        }
        for (trace_id, sighting) in other.traces {
            self.sighted(trace_id, sighting);
        }
        self.clients.merge(other.clients);
    }

    /// Adds a trace that accepted it. What is found out of one later, as who sent what it links to, holds.
    fn sighted(&mut self, trace_id: TraceId, sighting: Sighting) {
        match self.traces.binary_search_by_key(&trace_id, |(id, _)| *id) {
            Ok(place) => {
                if let Some((_, known)) = self.traces.get_mut(place) {
                    known.at = known.at.min(sighting.at);
                    known.torn &= sighting.torn;
                    known.links.extend(sighting.links);
                    known.links.sort_unstable();
                    known.links.dedup();
                    known.links.truncate(MAX_LINKS);
                }
            }
            Err(place) if place < MAX_TRACES => {
                self.traces.insert(place, (trace_id, sighting));
                self.traces.truncate(MAX_TRACES);
            }
            Err(_) => {}
        }
    }

    /// Bytes of all that has no fixed size.
    pub(super) fn bytes(&self) -> usize {
        let links: usize = self.traces.iter().map(|(_, sighting)| size_of_val(&sighting.links[..])).sum();
        let traces = size_of_val(&self.traces[..]) + links;
        traces + self.clients.bytes() + self.place.service.bytes() + self.place.operation.len()
    }

    /// Whether a rule may have something to say of it.
    pub(super) fn is_again(&self) -> bool {
        self.traces.len() > 1 || self.clients.at_once() > 1
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

stored!(Seen { kind, key, first, place, traces, clients });
stored!(Place { service, operation });
stored!(Sighting { at, links, torn });

impl Stored for Kind {
    fn write(&self, to: &mut Vec<u8>) {
        write_word(&Kind::ALL, self, to);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        read_word(&Kind::ALL, at)
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

/// Other traces that a trace links to, and whether one may be missing.
type Linked = (Vec<TraceId>, bool);

impl Sightings {
    /// Whether there may be anything to observe in a trace.
    pub(super) fn is_asked(cx: &Cx<'_>) -> bool {
        cx.hops.iter().any(|hop| cx.entry(hop).has_any(IDS))
    }

    pub(super) fn observe(&mut self, cx: &Cx<'_>) {
        let linked = OnceCell::new();
        for hop in cx.hops.iter().filter(|hop| cx.entry(hop).has_any(IDS)) {
            // A refused replay is no replay.
            if !hop.outcome.may_have_succeeded() || !hop.identity.assurance.is_identified() {
                continue;
            }
            let entry = cx.entry(hop);
            if let Some(txn) = entry.get(Field::Txn) {
                self.add(cx, hop, Kind::Transaction, txn, &linked);
            }
            let Some(fingerprint) = entry.get(Field::TokenFingerprint) else { continue };
            let is_user = hop.identity.principal.as_ref().is_some_and(|principal| principal.is_user());
            if entry.get(Field::OneTime) == Some("true") {
                self.add(cx, hop, Kind::OneTime, fingerprint, &linked);
            } else if hop.kind == HopKind::Entry && is_user && !is_allowed(cx, hop) {
                self.add(cx, hop, Kind::Bearer, fingerprint, &linked);
            }
        }
    }

    fn add(&mut self, cx: &Cx<'_>, hop: &Hop<'_>, kind: Kind, id: &str, linked: &OnceCell<Linked>) {
        let entry = cx.entry(hop);
        let here = Example { at: entry.start, trace_id: cx.trace.id, span_id: entry.id };
        let key = key(&[kind.as_str().as_bytes(), id.as_bytes()]);
        let new = || Seen {
            kind,
            key,
            first: here,
            place: place(hop),
            traces: Vec::new(),
            clients: Clients::default(),
        };
        let Some(seen) = self.0.entry(key, new) else { return };
        if here < seen.first {
            (seen.first, seen.place) = (here, place(hop));
        }
        if kind == Kind::Bearer {
            return seen.clients.observe(entry);
        }
        let (links, torn) = linked.get_or_init(|| links(cx)).clone();
        seen.sighted(here.trace_id, Sighting { at: here.at, links, torn });
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.merge(other.0, Seen::merge);
    }

    pub(super) fn finish(self) -> (Vec<Seen>, bool) {
        self.0.into_sorted()
    }
}

fn place(hop: &Hop<'_>) -> Arc<Place> {
    Arc::new(Place { service: hop.service.into(), operation: hop.operation.clone().into_owned() })
}

/// Whether the policy lets the client be used from many places.
fn is_allowed(cx: &Cx<'_>, hop: &Hop<'_>) -> bool {
    let client = hop.identity.principal.as_ref().and_then(|principal| principal.client);
    client.is_some_and(|client| cx.policy.client(client, None, hop.service, cx.entry(hop).start).holds())
}

/// Other traces that this one links to, and whether one may be missing: a link stands on a span, which may be lost
/// here, or where it leads to, so that nothing tells how that trace is linked in turn.
fn links(cx: &Cx<'_>) -> Linked {
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

//! By which way each service is reached: through which first hop of a trace, or as the first hop itself.

use std::collections::BTreeMap;

use hopseal_identity::Assurance;

use super::bounded::{Bounded, Keys};
use super::stored::{Stored, stored};
use super::{Example, OwnedService};
use crate::field::Field;
use crate::hop::{Hop, HopKind, is_own_work};
use crate::rule::{Cx, Quiet};
use crate::suppress::{self, Quieted};

/// Services counted, over all windows.
const MAX_SERVICES: usize = 20_000;
/// Ways kept of one service, and operations of each: the first by name.
const MAX_WAYS: usize = 32;
const MAX_OPERATIONS: usize = 32;

/// What makes a route open on purpose.
const OPEN: &[Quiet] = &[Quiet::Static, Quiet::Health, Quiet::Public];

/// How a request came to a service. The order is that of the names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// Through the service that the trace begins with.
    Through(String),
    /// The service is the first hop; called by a service that made no entry span, or by nobody known.
    Directly(Option<String>),
}

impl Way {
    fn of(through: Option<&str>, caller: Option<&str>) -> Self {
        match through {
            Some(name) => Self::Through(name.to_owned()),
            None => Self::Directly(caller.map(str::to_owned)),
        }
    }

    fn is(&self, through: Option<&str>, caller: Option<&str>) -> bool {
        match self {
            Self::Through(name) => through == Some(name),
            Self::Directly(name) => through.is_none() && caller == name.as_deref(),
        }
    }
}

/// Requests that came one way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Came {
    /// All of them.
    pub(crate) hops: u64,
    /// Those served without a verified identity, by operation.
    pub(crate) unverified: BTreeMap<String, Unverified>,
}

/// Requests of one operation that came one way and were served without a verified identity.
#[derive(Debug, Clone)]
pub(crate) struct Unverified {
    /// All of them, and those to what is open on purpose.
    pub(crate) hops: u64,
    pub(crate) quiet: u64,
    pub(crate) quieted: Option<Quieted>,
    /// The first, and the address it came from.
    pub(crate) example: Example,
    pub(crate) address: Option<String>,
}

impl Unverified {
    fn merge(&mut self, other: Self) {
        self.hops += other.hops;
        self.quiet += other.quiet;
        self.quieted = self.quieted.into_iter().chain(other.quieted).min();
        if other.example < self.example {
            (self.example, self.address) = (other.example, other.address);
        }
    }
}

/// The ways to one service in one window.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    pub(crate) window: u64,
    pub(crate) service: OwnedService,
    pub(crate) ways: BTreeMap<Way, Came>,
}

#[derive(Debug, Clone)]
pub(super) struct Reaches {
    kept: Bounded<Reach>,
    keys: Keys,
}

stored!(Reaches { kept, keys });
stored!(Reach { window, service, ways });
stored!(Came { hops, unverified });
stored!(Unverified { hops, quiet, quieted, example, address });

impl Stored for Way {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Through(name) => (true, Some(name.clone())).write(to),
            Self::Directly(name) => (false, name.clone()).write(to),
        }
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        Some(match <(bool, Option<String>)>::read(at)? {
            (true, name) => Self::Through(name?),
            (false, name) => Self::Directly(name),
        })
    }
}

impl Default for Reaches {
    fn default() -> Self {
        Self { kept: Bounded::new(MAX_SERVICES), keys: Keys::default() }
    }
}

/// Where a chain of hops begins.
#[derive(Debug, Clone, Copy)]
enum Edge<'a> {
    /// At this hop's service.
    At(&'a Hop<'a>),
    /// It cannot be known: a caller is missing, or messages were between.
    Unknown,
}

impl Reaches {
    pub(super) fn observe(&mut self, cx: &Cx<'_>, window_of: impl Fn(u64) -> u64) {
        // Callers come before callees.
        let mut edges: Vec<Edge<'_>> = Vec::with_capacity(cx.hops.all().len());
        for hop in cx.hops.all() {
            let edge = match cx.caller(hop) {
                _ if hop.kind == HopKind::Messaging || hop.caller_missing => Edge::Unknown,
                None => Edge::At(hop),
                Some(above) => match edges.get(above.ix.get()).copied().unwrap_or(Edge::Unknown) {
                    // What begins without an entry span is no edge.
                    Edge::At(origin) if origin.kind == HopKind::Origin => Edge::At(hop),
                    edge => edge,
                },
            };
            edges.push(edge);
            let began_itself = hop.caller.is_none() && is_own_work(cx.entry(hop));
            if let (Edge::At(edge), true) = (edge, hop.kind != HopKind::Origin && !began_itself) {
                self.add(cx, hop, edge, window_of(cx.entry(hop).start));
            }
        }
    }

    fn add(&mut self, cx: &Cx<'_>, hop: &Hop<'_>, edge: &Hop<'_>, window: u64) {
        let service = hop.service;
        let key = self.keys.of(&[
            service.namespace.as_bytes(),
            service.name.as_bytes(),
            service.environment.as_bytes(),
            &window.to_le_bytes(),
        ]);
        let new = || Reach { window, service: service.into(), ways: BTreeMap::new() };
        let Some(reach) = self.kept.entry(key, new) else { return };
        // A proxy that was passed on the way is the edge, as far as the service can tell.
        let through = edge.via.first().copied().or_else(|| (edge.ix != hop.ix).then_some(edge.service.name));
        let caller = cx.caller(hop).map(|caller| caller.service.name);
        let known = reach.ways.iter_mut().find(|(way, _)| way.is(through, caller));
        let came = match known {
            Some((_, came)) => came,
            None => reach.ways.entry(Way::of(through, caller)).or_default(),
        };
        came.hops += 1;
        if hop.outcome.may_have_succeeded() && hop.identity.assurance != Assurance::Verified {
            came.add_unverified(cx, hop);
        }
        if reach.ways.len() > MAX_WAYS {
            reach.ways.pop_last();
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.kept.merge(other.kept, |reach, other| {
            for (way, came) in other.ways {
                reach.ways.entry(way).or_default().merge(came);
            }
            while reach.ways.len() > MAX_WAYS {
                reach.ways.pop_last();
            }
        });
    }

    pub(super) fn finish(self) -> (Vec<Reach>, bool) {
        self.kept.into_sorted()
    }
}

impl Came {
    fn merge(&mut self, other: Self) {
        self.hops += other.hops;
        for (operation, more) in other.unverified {
            match self.unverified.get_mut(&operation) {
                Some(known) => known.merge(more),
                None => _ = self.unverified.insert(operation, more),
            }
        }
        while self.unverified.len() > MAX_OPERATIONS {
            self.unverified.pop_last();
        }
    }

    fn add_unverified(&mut self, cx: &Cx<'_>, hop: &Hop<'_>) {
        let entry = cx.entry(hop);
        let example = Example { at: entry.start, trace_id: cx.trace.id, span_id: entry.id };
        let address = || {
            let address = entry.get(Field::ClientAddress).or_else(|| entry.get(Field::PeerAddress));
            address.map(str::to_owned)
        };
        let known =
            match self.unverified.get_mut(&*hop.operation) {
                Some(known) => known,
                None => self.unverified.entry(hop.operation.clone().into_owned()).or_insert_with(|| {
                    Unverified { hops: 0, quiet: 0, quieted: None, example, address: address() }
                }),
            };
        known.hops += 1;
        if example < known.example {
            (known.example, known.address) = (example, address());
        }
        // Whether it is open on purpose matters only where there is a finding, which is of the rarer ways: looked at
        // for the first hop of a trace alone, for the others passed some edge.
        if hop.caller.is_none_or(|caller| cx.hops.get(caller).kind == HopKind::Origin)
            && let Ok(quieted) = suppress::quieted_by(cx, hop, OPEN)
        {
            known.quiet += 1;
            known.quieted = Some(known.quieted.map_or(quieted, |known| known.min(quieted)));
        }
        if self.unverified.len() > MAX_OPERATIONS {
            self.unverified.pop_last();
        }
    }
}

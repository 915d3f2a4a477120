//! By which way each service is reached: through which first hop of a trace, or as the first hop itself.

use std::collections::BTreeMap;

use hopseal_identity::Assurance;

use super::bounded::{Bounded, key};
use super::{Example, OwnedService};
use crate::field::Field;
use crate::hop::{Hop, HopKind};
use crate::rule::{Cx, Quiet};
use crate::suppress::{self, Quieted};

/// Services counted, over all windows.
const MAX_SERVICES: usize = 20_000;
/// Ways kept of one service: the first by name.
const MAX_WAYS: usize = 32;

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
#[derive(Debug, Default)]
pub(crate) struct Came {
    /// All of them.
    pub(crate) hops: u64,
    /// Those served without a verified identity, and of these, those to what is open on purpose.
    pub(crate) unverified: u64,
    pub(crate) quiet: u64,
    pub(crate) quieted: Option<Quieted>,
    /// The first unverified one, and the address it came from.
    pub(crate) example: Option<(Example, Option<String>)>,
}

/// The ways to one service in one window.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) window: u64,
    pub(crate) service: OwnedService,
    pub(crate) ways: BTreeMap<Way, Came>,
}

#[derive(Debug)]
pub(super) struct Reaches(Bounded<Reach>);

impl Default for Reaches {
    fn default() -> Self {
        Self(Bounded::new(MAX_SERVICES))
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
            let above = cx.caller(hop).filter(|caller| caller.kind != HopKind::Origin);
            let edge = match above {
                _ if hop.kind == HopKind::Messaging || hop.caller_missing => Edge::Unknown,
                None => Edge::At(hop),
                Some(above) => edges.get(above.ix.get()).copied().unwrap_or(Edge::Unknown),
            };
            edges.push(edge);
            if let (Edge::At(edge), true) = (edge, hop.kind != HopKind::Origin) {
                self.add(cx, hop, edge, window_of(cx.entry(hop).start));
            }
        }
    }

    fn add(&mut self, cx: &Cx<'_>, hop: &Hop<'_>, edge: &Hop<'_>, window: u64) {
        let service = hop.service;
        let key = key(&[
            service.namespace.as_bytes(),
            service.name.as_bytes(),
            service.environment.as_bytes(),
            &window.to_le_bytes(),
        ]);
        let new = || Reach { window, service: service.into(), ways: BTreeMap::new() };
        let Some(reach) = self.0.entry(key, new) else { return };
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

    pub(super) fn finish(self) -> (Vec<Reach>, bool) {
        self.0.into_sorted()
    }
}

impl Came {
    fn add_unverified(&mut self, cx: &Cx<'_>, hop: &Hop<'_>) {
        self.unverified += 1;
        // Whether it is open on purpose matters only where there is a finding, which is of the rarer ways: looked at
        // for direct calls alone, the others pass the edge's own rules.
        if hop.caller.is_none_or(|caller| cx.hops.get(caller).kind == HopKind::Origin)
            && let Ok(quieted) = suppress::quieted_by(cx, hop, &[Quiet::Static, Quiet::Health, Quiet::Public])
        {
            self.quiet += 1;
            self.quieted = Some(self.quieted.map_or(quieted, |known| known.min(quieted)));
            return;
        }
        let entry = cx.entry(hop);
        let example = Example { at: entry.start, trace_id: cx.trace.id, span_id: entry.id };
        if self.example.as_ref().is_none_or(|(known, _)| example < *known) {
            let address = entry.get(Field::ClientAddress).or_else(|| entry.get(Field::PeerAddress));
            self.example = Some((example, address.map(str::to_owned)));
        }
    }
}

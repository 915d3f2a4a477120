//! Sessions: who was in each, and from where.

use std::collections::BTreeMap;

use super::bounded::{Bounded, Key, key};
use super::client::Clients;
use super::stored::{Stored, stored};
use super::{Example, OwnedService};
use crate::field::Field;
use crate::finding::FindingId;
use crate::hop::{Hop, HopKind};
use crate::rule::{Cx, sign_in};
use crate::who::is_nobody;

/// Sessions kept, over all windows.
const MAX_SESSIONS: usize = 100_000;
/// Principals kept of one session.
const MAX_PRINCIPALS: usize = 8;
/// Logins and logouts kept of one session.
const MAX_SWITCHES: usize = 16;

/// One session in one window.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) window: u64,
    /// Its first hop.
    pub(crate) first: Example,
    pub(crate) service: OwnedService,
    pub(crate) operation: String,
    /// Tells the session from others without saying its id.
    pub(crate) digest: String,
    /// The same in whatever window.
    pub(crate) series: FindingId,
    /// By who names them (service, attribute key, issuer), then id: when first and last seen.
    principals: BTreeMap<(Key, Key), (u64, u64)>,
    /// When somebody logged in or out.
    switches: Vec<u64>,
    pub(crate) clients: Clients,
}

/// Two principals in one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shared {
    /// Principals of the session, as one service names them.
    pub(crate) principals: usize,
    /// Whether they took turns.
    pub(crate) at_once: bool,
}

impl Session {
    fn merge(&mut self, other: Self) {
        if other.first < self.first {
            (self.first, self.service, self.operation) = (other.first, other.service, other.operation);
        }
        for (who, (first, last)) in other.principals {
            let known = self.principals.entry(who).or_insert((first, last));
            *known = (known.0.min(first), known.1.max(last));
        }
        while self.principals.len() > MAX_PRINCIPALS {
            self.principals.pop_last();
        }
        self.switches.extend(other.switches);
        self.switches.sort_unstable();
        self.switches.truncate(MAX_SWITCHES);
        self.clients.merge(other.clients);
    }

    /// Whether two principals, named by one service in one way, were in the session with no login or logout between.
    pub(crate) fn shared(&self) -> Option<Shared> {
        let mut shared: Option<Shared> = None;
        for ((scope, id), time) in &self.principals {
            let of_scope = || self.principals.iter().filter(|((other, _), _)| other == scope);
            for (_, at) in of_scope().filter(|((_, other), _)| other > id) {
                let (early, late) = if time <= at { (time, at) } else { (at, time) };
                let at_once = late.0 < early.1;
                let switched = self.switches.iter().any(|switch| (early.1..=late.0).contains(switch));
                if at_once || !switched {
                    let principals = of_scope().count();
                    let known = shared.map_or((0, false), |known| (known.principals, known.at_once));
                    shared =
                        Some(Shared { principals: principals.max(known.0), at_once: at_once || known.1 });
                }
            }
        }
        shared
    }
}

#[derive(Debug, Clone)]
pub(super) struct Sessions(Bounded<Session>);

stored!(Session { window, first, service, operation, digest, series, principals, switches, clients });

impl Stored for Sessions {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        Stored::read(at).map(Self)
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self(Bounded::new(MAX_SESSIONS))
    }
}

impl Sessions {
    pub(super) fn observe(&mut self, cx: &Cx<'_>, hop: &Hop<'_>, window: u64) {
        let principal = hop.identity.principal.as_ref();
        let entry = cx.entry(hop);
        let id = principal.and_then(|principal| principal.session).or_else(|| entry.get(Field::Session));
        let Some(id) = id.filter(|id| !is_nobody(id)) else { return };
        let here = Example { at: entry.start, trace_id: cx.trace.id, span_id: entry.id };
        let key_of = key(&[b"session", id.as_bytes(), &window.to_le_bytes()]);
        let client = principal.and_then(|principal| principal.client);
        if cx.policy.shares_sessions(hop.service, client) {
            return;
        }
        let new = || Session {
            window,
            first: here,
            service: hop.service.into(),
            operation: hop.operation.clone().into_owned(),
            digest: format!("{key_of:032x}"),
            series: FindingId::over(&[b"session", id.as_bytes()]),
            principals: BTreeMap::new(),
            switches: Vec::new(),
            clients: Clients::default(),
        };
        let Some(session) = self.0.entry(key_of, new) else { return };
        if here < session.first {
            session.first = here;
            session.service = hop.service.into();
            session.operation = hop.operation.clone().into_owned();
        }
        if hop.kind == HopKind::Entry {
            session.clients.observe(entry);
        }
        if sign_in::changes_user(entry) {
            let at = session.switches.partition_point(|switch| *switch < here.at);
            session.switches.insert(at, here.at);
            session.switches.truncate(MAX_SWITCHES);
        }
        let Some(principal) = principal.filter(|principal| principal.is_user()) else { return };
        let scope = key(&[
            hop.service.namespace.as_bytes(),
            hop.service.name.as_bytes(),
            hop.service.environment.as_bytes(),
            cx.dialects.name(principal.key).as_bytes(),
            principal.issuer.unwrap_or("").as_bytes(),
        ]);
        let who = (scope, key(&[principal.id.as_bytes()]));
        let (first, last) = session.principals.entry(who).or_insert((here.at, here.at));
        (*first, *last) = ((*first).min(here.at), (*last).max(here.at));
        if session.principals.len() > MAX_PRINCIPALS {
            session.principals.pop_last();
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.merge(other.0, Session::merge);
    }

    pub(super) fn finish(self) -> (Vec<Session>, bool) {
        self.0.into_sorted()
    }
}

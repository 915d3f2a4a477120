//! Hops of one operation in one window: how many were served with an identity and how many without.

use std::collections::BTreeMap;

use hopseal_identity::Assurance;

use super::bounded::{Bounded, Keys};
use super::stored::stored;
use super::{Example, OwnedService, add_counts, count};
use crate::catalogue::Capability;
use crate::field::Field;
use crate::finding::{Finding, Subject};
use crate::hop::{Hop, HopKind, is_own_work};
use crate::record::Service;
use crate::rule::{Cx, Quiet, Rule, writes};
use crate::suppress::{self, Quieted};

/// Operations counted, over all windows.
const MAX_ENDPOINTS: usize = 100_000;
/// Callers named of one operation.
const MAX_CALLERS: usize = 8;
/// Versions told apart of one operation: the first by spelling.
const MAX_VERSIONS: usize = 8;
/// What makes an endpoint open on purpose.
const OPEN: &[Quiet] = &[Quiet::Static, Quiet::Health, Quiet::Public, Quiet::Retry, Quiet::Incomplete];

/// One operation of one service in one window.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    service: OwnedService,
    pub(crate) operation: String,
    pub(super) window: u64,
    /// All hops, messages included.
    pub(crate) hops: u64,
    /// Hops with an identity.
    pub(crate) identified: u64,
    /// Calls served with an identity.
    pub(crate) with: u64,
    /// Calls served without one.
    pub(crate) without: u64,
    /// Of those, calls that showed there was none.
    pub(crate) anonymous: u64,
    /// Of those, calls below which no hop had an identity to pass on either.
    pub(crate) nobody_above: u64,
    /// Of those, calls that showed there was none.
    pub(crate) nobody_said: u64,
    /// Of those, calls that changed something.
    pub(crate) writes: u64,
    /// One of the writes, the first by spelling.
    pub(crate) write: Option<String>,
    /// Of the calls without, those to a path that is open on purpose, and why.
    pub(crate) quiet: u64,
    pub(crate) quieted: Option<Quieted>,
    pub(crate) capability: Capability,
    /// Who called without an identity; empty for nobody known.
    pub(crate) callers: BTreeMap<String, u64>,
    /// The first call without one.
    pub(crate) example: Option<Example>,
    /// By version of the service, where spans name it, in order of the names.
    versions: Vec<Version>,
}

/// What one version of a service showed.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) name: String,
    /// When its first hop began.
    first: u64,
    pub(crate) hops: u64,
    pub(crate) identified: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Endpoints {
    kept: Bounded<Endpoint>,
    keys: Keys,
}

stored!(Endpoints { kept, keys });
stored!(Endpoint {
    service,
    operation,
    window,
    hops,
    identified,
    with,
    without,
    anonymous,
    nobody_above,
    nobody_said,
    writes,
    write,
    quiet,
    quieted,
    capability,
    callers,
    example,
    versions,
});
stored!(Version { name, first, hops, identified });

impl Default for Endpoints {
    fn default() -> Self {
        Self { kept: Bounded::new(MAX_ENDPOINTS), keys: Keys::default() }
    }
}

impl Endpoints {
    /// Counts a hop; `is_cut_off` where its caller or one further up is missing.
    pub(super) fn observe(&mut self, cx: &Cx<'_>, hop: &Hop<'_>, window: u64, is_cut_off: bool) {
        let Service { name, namespace, environment } = hop.service;
        let operation: &str = &hop.operation;
        let key = self.keys.of(&[
            namespace.as_bytes(),
            name.as_bytes(),
            environment.as_bytes(),
            operation.as_bytes(),
            &window.to_le_bytes(),
        ]);
        let Some(row) = self.kept.entry(key, || Endpoint::new(hop, window)) else { return };
        row.hops += 1;
        row.capability = row.capability.min(cx.capability(hop));
        let identified = hop.identity.assurance.is_identified();
        row.identified += u64::from(identified);
        if let Some(version) = cx.entry(hop).get(Field::Version) {
            row.version(version, cx.entry(hop).start, 1, u64::from(identified));
        }
        let began_itself = hop.caller.is_none() && is_own_work(cx.entry(hop));
        if hop.kind == HopKind::Messaging || began_itself || !hop.outcome.may_have_succeeded() {
            return;
        }
        match hop.identity.assurance {
            Assurance::Anonymous | Assurance::Unknown => {}
            _ => {
                row.with += u64::from(identified);
                return;
            }
        }
        // Whether every hop up to the first is there and none had an identity to pass on.
        row.served_without(cx, hop, !is_cut_off && hop.named_above.is_none());
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.kept.merge(other.kept, Endpoint::merge);
    }

    pub(super) fn finish(self) -> (Vec<Endpoint>, bool) {
        self.kept.into_sorted()
    }
}

impl Version {
    /// Hops with an identity, and all.
    pub(crate) const fn shown(&self) -> (u64, u64) {
        (self.identified, self.hops)
    }
}

impl Endpoint {
    fn new(hop: &Hop<'_>, window: u64) -> Self {
        Self {
            service: hop.service.into(),
            operation: hop.operation.clone().into_owned(),
            window,
            hops: 0,
            identified: 0,
            with: 0,
            without: 0,
            anonymous: 0,
            nobody_above: 0,
            nobody_said: 0,
            writes: 0,
            write: None,
            quiet: 0,
            quieted: None,
            capability: Capability::Never,
            callers: BTreeMap::new(),
            example: None,
            versions: Vec::new(),
        }
    }

    /// Counts hops of a version.
    fn version(&mut self, name: &str, first: u64, hops: u64, identified: u64) {
        match self.versions.binary_search_by(|version| version.name.as_str().cmp(name)) {
            Ok(place) => {
                if let Some(version) = self.versions.get_mut(place) {
                    version.first = version.first.min(first);
                    version.hops += hops;
                    version.identified += identified;
                }
            }
            Err(place) if place < MAX_VERSIONS => {
                self.versions.insert(place, Version { name: name.to_owned(), first, hops, identified });
                self.versions.truncate(MAX_VERSIONS);
            }
            Err(_) => {}
        }
    }

    /// Versions of the service in the order in which they were first seen.
    pub(crate) fn versions(&self) -> Vec<&Version> {
        let mut versions: Vec<&Version> = self.versions.iter().collect();
        versions.sort_by_key(|version| version.first);
        versions
    }

    fn merge(&mut self, other: Self) {
        for (count, more) in [
            (&mut self.hops, other.hops),
            (&mut self.identified, other.identified),
            (&mut self.with, other.with),
            (&mut self.without, other.without),
            (&mut self.anonymous, other.anonymous),
            (&mut self.nobody_above, other.nobody_above),
            (&mut self.nobody_said, other.nobody_said),
            (&mut self.writes, other.writes),
            (&mut self.quiet, other.quiet),
        ] {
            *count += more;
        }
        self.write = self.write.take().into_iter().chain(other.write).min();
        self.quieted = self.quieted.into_iter().chain(other.quieted).min();
        self.capability = self.capability.min(other.capability);
        add_counts(&mut self.callers, other.callers, MAX_CALLERS);
        self.example = self.example.into_iter().chain(other.example).min();
        for Version { name, first, hops, identified } in other.versions {
            self.version(&name, first, hops, identified);
        }
    }

    fn served_without(&mut self, cx: &Cx<'_>, hop: &Hop<'_>, nobody_above: bool) {
        let anonymous = u64::from(hop.identity.assurance == Assurance::Anonymous);
        self.without += 1;
        self.anonymous += anonymous;
        if nobody_above {
            self.nobody_above += 1;
            self.nobody_said += anonymous;
        }
        if let Ok(quieted) = suppress::quieted_by(cx, hop, OPEN) {
            self.quiet += 1;
            self.quieted = Some(self.quieted.map_or(quieted, |known| known.min(quieted)));
        }
        if let Some(write) = write(cx, hop) {
            self.writes += 1;
            self.write = Some(self.write.take().map_or(write.clone(), |known| known.min(write)));
        }
        count(&mut self.callers, cx.caller(hop).map_or("", |caller| caller.service.name), MAX_CALLERS);
        let entry = cx.entry(hop);
        let example = Example { at: entry.start, trace_id: cx.trace.id, span_id: entry.id };
        self.example = Some(self.example.map_or(example, |known| known.min(example)));
    }

    pub(crate) fn service(&self) -> Service<'_> {
        self.service.as_service()
    }

    /// A finding of `rule` about this operation, its counts as evidence.
    pub(crate) fn finding(&self, rule: Rule) -> Finding {
        let subject =
            Subject::Operation { service: self.service(), operation: &self.operation, window: self.window };
        let mut finding = Finding::new(rule, subject, "");
        finding.service.clone_from(&self.service.name);
        finding.operation.clone_from(&self.operation);
        finding.at = self.example.map_or(self.window, |example| example.at);
        if let [caller] = self.callers.keys().collect::<Vec<_>>()[..] {
            finding.caller = (!caller.is_empty()).then(|| caller.clone());
        }
        finding
    }

    /// The callers without an identity, as evidence: `gateway (12), outside (3)`.
    pub(crate) fn callers(&self) -> String {
        let name = |name: &str| if name.is_empty() { "outside".to_owned() } else { format!("`{name}`") };
        let callers: Vec<String> =
            self.callers.iter().map(|(caller, count)| format!("{} ({count})", name(caller))).collect();
        callers.join(", ")
    }
}

/// What a call changed: a write below it, or by its own method.
fn write(cx: &Cx<'_>, hop: &Hop<'_>) -> Option<String> {
    const CHANGE: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];
    if let Some(ix) = writes::in_frame(cx, hop) {
        return Some(writes::what(cx.trace.span(ix)));
    }
    let method = cx.entry(hop).get(Field::HttpMethod)?;
    CHANGE.iter().any(|change| change.eq_ignore_ascii_case(method)).then(|| method.to_owned())
}

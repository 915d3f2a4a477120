//! Which operations of which services have ever shown an identity.
//!
//! A hop without identity says nothing about a service that never shows one; on a service that does, it is a
//! finding. The catalogue is an input of its own, so that results can be repeated: a first pass over the spans
//! makes it unless one is given.

use std::collections::{BTreeMap, BTreeSet};

use crate::hop::Hop;
use crate::record::Service;

/// Operations kept of one service; further ones are counted under the empty name.
const MAX_OPERATIONS: usize = 10_000;

/// Services kept of which there is no hop.
const MAX_SENDERS: usize = 20_000;

/// Hops counted of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// All hops.
    pub hops: u64,
    /// Hops with an identity.
    pub identified: u64,
}

/// Hops counted of one service.
pub type Operations = BTreeMap<String, Shown>;

/// What is known of the services.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// By name; a name may belong to several namespaces and environments.
    services: BTreeMap<String, Vec<(String, String, Operations)>>,
    /// Names of services of which spans were seen and no hop: at most [`MAX_SENDERS`], the first by spelling.
    senders: BTreeSet<String>,
}

/// What the catalogue says of one hop's service, the most telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// This very operation has shown an identity.
    Operation,
    /// Only other operations of the service have.
    Service,
    /// The service never shows one: a hop of it is uncovered.
    Never,
}

impl Catalogue {
    /// Names of services of which spans were seen and no hop.
    pub fn senders(&self) -> impl Iterator<Item = &str> {
        self.senders.iter().map(String::as_str).filter(|name| !self.services.contains_key(*name))
    }

    /// Notes that a service sends spans, though none of them may begin a hop.
    pub fn sends(&mut self, name: &str) {
        if !self.knows(name) {
            self.senders.insert(name.to_owned());
            if self.senders.len() > MAX_SENDERS {
                self.senders.pop_last();
            }
        }
    }

    /// Counts a hop.
    pub fn observe(&mut self, hop: &Hop<'_>) {
        let shown = Shown { hops: 1, identified: u64::from(hop.identity.assurance.is_identified()) };
        self.add(hop.service, &hop.operation, shown);
    }

    /// Adds everything of another.
    pub fn merge(&mut self, other: &Self) {
        for (service, operations) in other.services() {
            operations.iter().for_each(|(operation, shown)| self.add(service, operation, *shown));
        }
        other.senders().for_each(|name| self.sends(name));
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.senders.is_empty()
    }

    /// Adds counts of one operation.
    pub fn add(&mut self, service: Service<'_>, operation: &str, shown: Shown) {
        let Service { name, namespace, environment } = service;
        let count = |operations: &mut Operations| {
            let count = |counts: &mut Shown| {
                counts.hops += shown.hops;
                counts.identified += shown.identified;
            };
            if let Some(counts) = operations.get_mut(operation) {
                return count(counts);
            }
            let operation = if operations.len() >= MAX_OPERATIONS { "" } else { operation };
            count(operations.entry(operation.to_owned()).or_default());
        };
        if let Some(kept) = self.services.get_mut(name) {
            let known = kept.iter_mut().find(|kept| (&*kept.0, &*kept.1) == (namespace, environment));
            if let Some((_, _, operations)) = known {
                return count(operations);
            }
        }
        let mut operations = Operations::new();
        count(&mut operations);
        let kept = self.services.entry(name.to_owned()).or_default();
        kept.push((namespace.to_owned(), environment.to_owned(), operations));
    }

    fn operations(&self, service: Service<'_>) -> Option<&Operations> {
        let kept = self.services.get(service.name)?;
        let key = (service.namespace, service.environment);
        kept.iter()
            .find(|(namespace, environment, _)| (&**namespace, &**environment) == key)
            .map(|(_, _, operations)| operations)
    }

    /// Whether anything of a service by that name was seen.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.services.contains_key(name) || self.senders.contains(name)
    }

    /// Hops counted of an operation; `None` for one that was never seen.
    #[must_use]
    pub fn shown(&self, service: Service<'_>, operation: &str) -> Option<Shown> {
        self.operations(service)?.get(operation).copied()
    }

    /// What is known of an operation.
    #[must_use]
    pub fn capability(&self, service: Service<'_>, operation: &str) -> Capability {
        let Some(operations) = self.operations(service) else { return Capability::Never };
        if operations.get(operation).is_some_and(|shown| shown.identified > 0) {
            return Capability::Operation;
        }
        match operations.values().any(|shown| shown.identified > 0) {
            true => Capability::Service,
            false => Capability::Never,
        }
    }

    /// Every service with its operations, by name, namespace and environment.
    pub fn services(&self) -> impl Iterator<Item = (Service<'_>, &Operations)> {
        self.services.iter().flat_map(|(name, kept)| {
            let mut kept: Vec<_> = kept.iter().collect();
            kept.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
            kept.into_iter().map(move |(namespace, environment, operations)| {
                (Service { name, namespace, environment }, operations)
            })
        })
    }
}

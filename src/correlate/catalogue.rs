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

/// What is known of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    namespace: String,
    environment: String,
    operations: Operations,
    /// Hops with an identity, of all operations.
    identified: u64,
}

/// What is known of the services.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// By name; a name may belong to several namespaces and environments.
    services: BTreeMap<String, Vec<Known>>,
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

/// Something that a catalogue may come to say, and that verdicts rest on. It is never taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lesson<'c> {
    /// A service by that name sends spans.
    Sends(&'c str),
    /// The service shows identities.
    Service(Service<'c>),
    /// That operation of it does.
    Operation(Service<'c>, &'c str),
}

impl Catalogue {
    /// What another says and this one does not, so far.
    pub fn news<'c>(&'c self, other: &'c Self) -> impl Iterator<Item = Lesson<'c>> {
        let names = other.services.keys().chain(&other.senders).map(String::as_str);
        let senders = names.filter(|name| !self.knows(name)).map(Lesson::Sends);
        let services = other.services().flat_map(move |(service, operations)| {
            let shown = operations.iter().filter(|(_, shown)| shown.identified > 0);
            let shown =
                shown.filter(move |(name, _)| self.capability(service, name) != Capability::Operation);
            let is_first = self.known(service).is_none_or(|known| known.identified == 0);
            let mut shown = shown.map(move |(name, _)| Lesson::Operation(service, name)).peekable();
            let first = shown.peek().filter(|_| is_first).map(|_| Lesson::Service(service));
            first.into_iter().chain(shown)
        });
        senders.chain(services)
    }

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
        let all = match self.services.get_mut(name) {
            Some(all) => all,
            None => self.services.entry(name.to_owned()).or_default(),
        };
        let known = match all.iter().position(|known| known.is_of(service)) {
            Some(place) => all.get_mut(place),
            None => {
                let (namespace, environment) = (namespace.to_owned(), environment.to_owned());
                all.push(Known { namespace, environment, operations: Operations::new(), identified: 0 });
                all.last_mut()
            }
        };
        if let Some(known) = known {
            known.add(operation, shown);
        }
    }

    fn known(&self, service: Service<'_>) -> Option<&Known> {
        self.services.get(service.name)?.iter().find(|known| known.is_of(service))
    }

    /// Whether anything of a service by that name was seen.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.services.contains_key(name) || self.senders.contains(name)
    }

    /// Hops counted of an operation; `None` for one that was never seen.
    #[must_use]
    pub fn shown(&self, service: Service<'_>, operation: &str) -> Option<Shown> {
        self.known(service)?.operations.get(operation).copied()
    }

    /// What is known of an operation.
    #[must_use]
    pub fn capability(&self, service: Service<'_>, operation: &str) -> Capability {
        match self.known(service) {
            Some(known) if known.identified > 0 => {
                let own = known.operations.get(operation);
                match own.is_some_and(|shown| shown.identified > 0) {
                    true => Capability::Operation,
                    false => Capability::Service,
                }
            }
            _ => Capability::Never,
        }
    }

    /// Every service with its operations, by name, namespace and environment.
    pub fn services(&self) -> impl Iterator<Item = (Service<'_>, &Operations)> {
        self.services.iter().flat_map(|(name, kept)| {
            let mut kept: Vec<_> = kept.iter().collect();
            kept.sort_by_key(|known| (&known.namespace, &known.environment));
            kept.into_iter().map(move |Known { namespace, environment, operations, .. }| {
                (Service { name, namespace, environment }, operations)
            })
        })
    }
}

impl Known {
    fn is_of(&self, service: Service<'_>) -> bool {
        (&*self.namespace, &*self.environment) == (service.namespace, service.environment)
    }

    fn add(&mut self, operation: &str, shown: Shown) {
        self.identified = self.identified.saturating_add(shown.identified);
        let counts = match self.operations.get_mut(operation) {
            Some(counts) => counts,
            None => {
                let operation = if self.operations.len() >= MAX_OPERATIONS { "" } else { operation };
                self.operations.entry(operation.to_owned()).or_default()
            }
        };
        counts.hops = counts.hops.saturating_add(shown.hops);
        counts.identified = counts.identified.saturating_add(shown.identified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> Service<'_> {
        Service { name, ..Service::default() }
    }

    fn catalogue(shown: &[(&str, &str, u64)], senders: &[&str]) -> Catalogue {
        let mut catalogue = Catalogue::default();
        for (name, operation, identified) in shown {
            catalogue.add(service(name), operation, Shown { hops: 2, identified: *identified });
        }
        senders.iter().for_each(|name| catalogue.sends(name));
        catalogue
    }

    #[test]
    fn capability_of_operations_and_services() {
        let known = catalogue(&[("a", "GET /", 1), ("a", "POST /", 0), ("b", "GET /", 0)], &[]);
        for (name, operation, expected) in [
            ("a", "GET /", Capability::Operation),
            ("a", "POST /", Capability::Service),
            ("a", "never seen", Capability::Service),
            ("b", "GET /", Capability::Never),
            ("c", "GET /", Capability::Never),
        ] {
            assert_eq!(known.capability(service(name), operation), expected, "{name} {operation}");
        }
        let elsewhere = Service { namespace: "test", ..service("a") };
        assert_eq!(known.capability(elsewhere, "GET /"), Capability::Never);
    }

    #[test]
    fn only_what_is_new_is_news() {
        let known = catalogue(&[("a", "GET /", 1), ("a", "POST /", 0), ("b", "GET /", 0)], &["quiet"]);
        let (a, b, c) = (service("a"), service("b"), service("c"));
        for (shown, senders, expected) in [
            (&[("a", "GET /", 2)][..], &["quiet", "b"][..], &[][..]),
            (&[("a", "POST /", 1)], &[], &[Lesson::Operation(a, "POST /")]),
            (&[("b", "PUT /", 1)], &[], &[Lesson::Service(b), Lesson::Operation(b, "PUT /")]),
            (&[("c", "GET /", 0)], &[], &[Lesson::Sends("c")]),
            (&[], &["loud"], &[Lesson::Sends("loud")]),
            (
                &[("c", "GET /", 1)],
                &[],
                &[Lesson::Sends("c"), Lesson::Service(c), Lesson::Operation(c, "GET /")],
            ),
        ] {
            let other = catalogue(shown, senders);
            let mut news: Vec<_> = known.news(&other).collect();
            assert_eq!(news, expected);
            let mut merged = known.clone();
            merged.merge(&other);
            news = merged.news(&other).collect();
            assert_eq!(news, [], "once it is merged");
        }
    }
}

//! Credentials in resource attributes: each once, however many spans carry it.

use super::bounded::{Bounded, Key, key};
use super::stored::{Stored, stored};
use crate::credential::{Leak, Origin};
use crate::field::Field;
use crate::record::{Service, Span};

/// Credentials noted.
const MAX_LEAKS: usize = 10_000;

/// A service that outlives its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedService {
    pub(crate) name: String,
    namespace: String,
    environment: String,
}

impl OwnedService {
    pub(crate) fn as_service(&self) -> Service<'_> {
        Service { name: &self.name, namespace: &self.namespace, environment: &self.environment }
    }
}

impl From<Service<'_>> for OwnedService {
    fn from(service: Service<'_>) -> Self {
        Self {
            name: service.name.to_owned(),
            namespace: service.namespace.to_owned(),
            environment: service.environment.to_owned(),
        }
    }
}

/// A credential in a resource of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResourceLeak {
    pub(crate) service: OwnedService,
    /// As [`Leak::read`] reads it; of several the first by spelling.
    pub(crate) text: String,
    /// Start of the first span that carries it.
    pub(crate) at: u64,
}

impl ResourceLeak {
    fn key(&self) -> Key {
        Leak::read(&self.text).map_or_else(|| key(&[]), |leak| key_of(self.service.as_service(), &leak))
    }

    fn merge(&mut self, other: Self) {
        self.at = self.at.min(other.at);
        if other.text < self.text {
            self.text = other.text;
        }
    }
}

fn key_of(service: Service<'_>, leak: &Leak<'_>) -> Key {
    let Service { name, namespace, environment } = service;
    key(&[namespace, name, environment, leak.class, leak.key].map(str::as_bytes))
}

#[derive(Debug, Clone)]
pub(super) struct ResourceLeaks(Bounded<ResourceLeak>);

stored!(OwnedService { name, namespace, environment });
stored!(ResourceLeak { service, text, at });

impl Stored for ResourceLeaks {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        Stored::read(at).map(Self)
    }
}

impl Default for ResourceLeaks {
    fn default() -> Self {
        Self(Bounded::new(MAX_LEAKS))
    }
}

impl ResourceLeaks {
    pub(super) fn observe(&mut self, span: &Span<'_>) {
        for text in span.all(Field::Leak) {
            let Some(leak) = Leak::read(text).filter(|leak| leak.origin == Origin::Resource) else {
                continue;
            };
            let key = key_of(span.service, &leak);
            let new = || ResourceLeak { service: span.service.into(), text: text.to_owned(), at: span.start };
            let Some(known) = self.0.entry(key, new) else { continue };
            known.at = known.at.min(span.start);
            if text < known.text.as_str() {
                text.clone_into(&mut known.text);
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.merge(other.0, ResourceLeak::merge);
    }

    /// Adds those of another. Returns what there was of each and what there is now, where these differ.
    pub(super) fn add(&mut self, other: Self) -> [Vec<ResourceLeak>; 2] {
        let [mut before, mut after] = [Vec::new(), Vec::new()];
        for leak in other.finish().0 {
            let mut is_new = false;
            let new = || {
                is_new = true;
                leak.clone()
            };
            let Some(known) = self.0.entry(leak.key(), new) else { continue };
            let was = known.clone();
            known.merge(leak);
            if is_new || *known != was {
                after.push(known.clone());
                before.extend(Some(was).filter(|_| !is_new));
            }
        }
        [before, after]
    }

    pub(super) fn finish(self) -> (Vec<ResourceLeak>, bool) {
        self.0.into_sorted()
    }
}

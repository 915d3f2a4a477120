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
    /// Bytes of its names.
    pub(super) fn bytes(&self) -> usize {
        self.name.len() + self.namespace.len() + self.environment.len()
    }

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
    /// Start of the last one.
    pub(super) last: u64,
}

impl ResourceLeak {
    pub(super) fn key(&self) -> Key {
        Leak::read(&self.text).map_or_else(|| key(&[]), |leak| key_of(self.service.as_service(), &leak))
    }

    pub(super) fn merge(&mut self, other: Self) {
        (self.at, self.last) = (self.at.min(other.at), self.last.max(other.last));
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
stored!(ResourceLeak { service, text, at, last });

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
            let (at, last) = (span.start, span.start);
            let new = || ResourceLeak { service: span.service.into(), text: text.to_owned(), at, last };
            let Some(known) = self.0.entry(key, new) else { continue };
            (known.at, known.last) = (known.at.min(at), known.last.max(last));
            if text < known.text.as_str() {
                text.clone_into(&mut known.text);
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.merge(other.0, ResourceLeak::merge);
    }

    pub(super) fn finish(self) -> (Vec<ResourceLeak>, bool) {
        self.0.into_sorted()
    }
}

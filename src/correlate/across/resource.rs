//! Credentials in resource attributes: each once, however many spans carry it.

use super::bounded::{Bounded, key};
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
#[derive(Debug, Clone)]
pub(crate) struct ResourceLeak {
    pub(crate) service: OwnedService,
    /// As [`Leak::read`] reads it; of several the first by spelling.
    pub(crate) text: String,
    /// Start of the first span that carries it.
    pub(crate) at: u64,
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
            let Service { name, namespace, environment } = span.service;
            let key = key(&[
                namespace.as_bytes(),
                name.as_bytes(),
                environment.as_bytes(),
                leak.class.as_bytes(),
                leak.key.as_bytes(),
            ]);
            let new = || ResourceLeak { service: span.service.into(), text: text.to_owned(), at: span.start };
            let Some(known) = self.0.entry(key, new) else { continue };
            known.at = known.at.min(span.start);
            if text < known.text.as_str() {
                text.clone_into(&mut known.text);
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.merge(other.0, |leak, other| {
            leak.at = leak.at.min(other.at);
            if other.text < leak.text {
                leak.text = other.text;
            }
        });
    }

    pub(super) fn finish(self) -> (Vec<ResourceLeak>, bool) {
        self.0.into_sorted()
    }
}

//! The user whom Datadog's libraries pass on.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hopseal_identity::attribute::{ISS, KIND, SUB};
use hopseal_identity::baggage::Carried;
use hopseal_identity::pseudonym::Pseudonyms;
use hopseal_identity::seal::Members;
use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};

use crate::otel::HopIdentity;

const TAGS: &str = "x-datadog-tags";
const USER: &str = "_dd.p.usr.id=";
/// What the issuer of such an identity is called: it is of nobody who issues credentials.
const ISSUER: &str = "datadog";
/// Longest header, as Datadog itself has it.
const MAX_BYTES: usize = 512;

/// Takes the id of the user that Datadog's libraries pass on (`propagate_id`) for an identity that somebody asserts, under a pseudonym,
/// where nothing better came. It writes nothing.
///
/// It stands after the [`Propagator`](crate::otel::Propagator): see
/// [`IdentityLayer::also`](crate::tower::IdentityLayer::also).
#[derive(Debug, Clone)]
pub struct DatadogUser {
    pseudonyms: Arc<Pseudonyms>,
}

impl DatadogUser {
    /// Calls users by these pseudonyms.
    #[must_use]
    pub const fn new(pseudonyms: Arc<Pseudonyms>) -> Self {
        Self { pseudonyms }
    }

    fn identity(&self, tags: &str) -> Option<HopIdentity> {
        let mut users = tags.split(',').filter_map(|tag| tag.trim().strip_prefix(USER));
        let (Some(encoded), None) = (users.next(), users.next()) else { return None };
        let id = String::from_utf8(STANDARD.decode(encoded).ok()?).ok().filter(|id| !id.is_empty())?;
        let sub = self.pseudonyms.current().of(ISSUER, &id);
        let mut members = Members::default();
        for (name, value) in [(SUB, sub.as_str()), (KIND, "user"), (ISS, ISSUER)] {
            members.set(name, value).ok()?;
        }
        Carried::new(&members, None, None).ok().map(HopIdentity::asserted)
    }
}

impl TextMapPropagator for DatadogUser {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {}

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        if cx.get::<HopIdentity>().is_some() {
            return cx.clone();
        }
        let tags = extractor.get(TAGS).filter(|tags| tags.len() <= MAX_BYTES);
        match tags.and_then(|tags| self.identity(tags)) {
            Some(identity) => cx.with_value(identity),
            None => cx.clone(),
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}

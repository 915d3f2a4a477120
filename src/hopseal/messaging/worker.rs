//! Work that nobody asked for.

use std::future::Future;
use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{SpanBuilder, TraceContextExt as _};

use crate::clock::{Clock, SystemClock};
use crate::otel::{Chosen, HopIdentity, Spans, stamp, within};
use crate::outcome::Verified;
use crate::seal::Sealer;

/// Runs jobs of a service, such as those of a timer, under the service's own identity: a `service` principal, never that of whoever
/// happened to be around.
#[derive(Debug, Clone)]
pub struct Worker {
    workload: Arc<str>,
    sealer: Arc<Sealer>,
    spans: Spans,
    attributes: Option<Chosen>,
    clock: Arc<dyn Clock>,
}

impl Worker {
    /// For the workload of that SPIFFE ID or `service.name`.
    #[must_use]
    pub fn new(sealer: Arc<Sealer>, workload: impl Into<String>, tracer: BoxedTracer) -> Self {
        Self {
            workload: workload.into().into(),
            sealer,
            spans: Spans::new(tracer),
            attributes: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Writes these attributes of the identity on the span of a job and no others, in place of
    /// [`DEFAULT_ATTRIBUTES`](crate::otel::DEFAULT_ATTRIBUTES). The list of an [`IdentityProcessor`](crate::otel::IdentityProcessor) is for
    /// spans that begin when it is known who calls.
    #[must_use]
    pub fn attributes(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { attributes: Some(Chosen::new(names)), ..self }
    }

    /// Takes time from another clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Runs a job in a trace of its own. `credential` is the service's own, validated like any other: a JWT-SVID, or a token got with
    /// its client credentials. It is not kept: each run brings one that is good.
    pub async fn run<F: Future>(&self, name: &str, credential: Arc<Verified>, work: F) -> F::Output {
        // Without randomness there is no transaction id, and nobody is told anything.
        let identity = HopIdentity::verified(credential, Arc::clone(&self.sealer), None)
            .unwrap_or_else(HopIdentity::unknown);
        let cx = self.spans.start(SpanBuilder::from_name(name.to_owned()), &Context::new(), &Context::new());
        stamp(&cx, &identity, self.clock.now(), &self.workload, self.attributes.as_ref());
        let output = within(cx.with_value(identity.clone()), identity, work).await;
        cx.span().end();
        output
    }
}

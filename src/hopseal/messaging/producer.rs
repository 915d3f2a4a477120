//! Messages that are sent.

use std::sync::Arc;

use hopseal_identity::attribute::LEAK_STOPPED;
use opentelemetry::KeyValue;
use opentelemetry::global::BoxedTracer;
use opentelemetry::propagation::{Injector, TextMapPropagator as _};
use opentelemetry::trace::{SpanBuilder, SpanKind, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::described;
use crate::clock::Clock;
use crate::observe::{Observed, Observer, Unobserved};
use crate::otel::{Egress, Leaving, Propagator, Spans, current};

/// Writes the trace and the identity of the context into messages.
#[derive(Debug, Clone)]
pub struct Producer {
    propagator: Propagator,
    spans: Spans,
    allowed: Arc<[String]>,
    system: Option<Arc<str>>,
    observer: Arc<dyn Observer>,
}

impl Producer {
    /// For the workload of that SPIFFE ID or `service.name`. No identity leaves but by destinations that are
    /// [allowed](Self::allow).
    #[must_use]
    pub fn new(workload: impl Into<String>, tracer: BoxedTracer) -> Self {
        Self {
            propagator: Propagator::new(workload).fresh(),
            spans: Spans::new(tracer),
            allowed: Arc::default(),
            system: None,
            observer: Arc::new(Unobserved),
        }
    }

    /// Topics, queues, subjects or exchanges that only services of ours read, by their names.
    #[must_use]
    pub fn allow(self, destinations: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { allowed: destinations.into_iter().map(Into::into).collect(), ..self }
    }

    /// What carries the messages, for spans: `kafka`, `nats`, `rabbitmq` or another of the conventions' names for `messaging.system`.
    #[must_use]
    pub fn system(self, system: impl Into<Arc<str>>) -> Self {
        Self { system: Some(system.into()), ..self }
    }

    /// Tells somebody what is held back.
    #[must_use]
    pub fn observer(self, observer: impl Observer + 'static) -> Self {
        Self { observer: Arc::new(observer), ..self }
    }

    /// Lets identities travel such that nobody in between can read them.
    #[cfg(feature = "confidential")]
    #[must_use]
    pub fn confidential(self, keys: Arc<crate::confidential::ConfidentialKeys>) -> Self {
        Self { propagator: self.propagator.confidential(keys), ..self }
    }

    /// Takes time from another clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { propagator: self.propagator.clock(clock), ..self }
    }

    /// Writes into a message to that destination, with a span for the sending of it: that the message is about to go, not that it
    /// arrived.
    pub fn inject(&self, destination: &str, carrier: &mut dyn Injector) {
        let cx = current();
        let allowed = self.allowed.iter().any(|allowed| allowed == destination);
        let span = SpanBuilder::from_name(format!("send {destination}"))
            .with_kind(SpanKind::Producer)
            .with_attributes(described("send", destination, self.system.as_ref()));
        let exit = self.spans.start(span, &cx, &cx);
        let egress = if allowed { Egress::Allowed } else { Egress::Denied };
        TraceContextPropagator::new().inject_context(&exit, carrier);
        if matches!(self.propagator.inject(&exit.with_value(egress), carrier), Leaving::HeldBack) {
            self.observer.observe(&Observed::LeakStopped { what: "seal" });
            exit.span().set_attribute(KeyValue::new(LEAK_STOPPED, true));
        }
        exit.span().end();
    }
}

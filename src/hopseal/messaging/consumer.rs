//! Messages that are received.

use std::future::Future;
use std::sync::Arc;

use hopseal_identity::baggage::Carried;
use hopseal_identity::seal::SealFault;
use opentelemetry::global::BoxedTracer;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Link, SpanBuilder, SpanContext, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::described;
use crate::clock::{Clock, SystemClock};
use crate::otel::{Chosen, HopIdentity, Propagator, Spans, stamp, within};
use crate::seal::{ResealError, SealChecker, Sealer};

/// Works on messages with the identities that came with them.
#[derive(Debug, Clone)]
pub struct Consumer {
    workload: Arc<str>,
    reader: Propagator,
    checker: Arc<SealChecker>,
    sealer: Option<Arc<Sealer>>,
    spans: Spans,
    attributes: Option<Chosen>,
    clock: Arc<dyn Clock>,
    system: Option<Arc<str>>,
    continues: bool,
}

/// A message that was received: where it came from, and what it says of whose it is. Nothing of that was checked.
#[derive(Debug, Clone)]
pub struct Received {
    destination: String,
    producer: SpanContext,
    carried: Result<Option<Carried>, SealFault>,
    /// With the baggage of others.
    cx: Context,
}

impl Received {
    /// The span that sent it; an invalid one if it does not say.
    #[must_use]
    pub const fn producer(&self) -> &SpanContext {
        &self.producer
    }
}

impl Consumer {
    /// For the workload of that SPIFFE ID or `service.name`. Work on a message runs in a new trace, linked to that of the producer.
    #[must_use]
    pub fn new(checker: Arc<SealChecker>, workload: impl Into<String>, tracer: BoxedTracer) -> Self {
        let workload: Arc<str> = workload.into().into();
        Self {
            reader: Propagator::new(&*workload),
            workload,
            checker,
            sealer: None,
            spans: Spans::new(tracer),
            attributes: None,
            clock: Arc::new(SystemClock),
            system: None,
            continues: false,
        }
    }

    /// Seals the identity of a message anew for the trace in which it is worked on. Others accept that if their rules have this service
    /// as one that [may](crate::seal::SealRule::may_reseal).
    #[must_use]
    pub fn resealing(self, sealer: Arc<Sealer>) -> Self {
        Self { sealer: Some(sealer), ..self }
    }

    /// Writes these attributes of the identity on the span of a message and no others, in place of
    /// [`DEFAULT_ATTRIBUTES`](crate::otel::DEFAULT_ATTRIBUTES). The list of an [`IdentityProcessor`](crate::otel::IdentityProcessor) is for
    /// spans that begin when it is known who calls.
    #[must_use]
    pub fn attributes(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { attributes: Some(Chosen::new(names)), ..self }
    }

    /// What carries the messages, for spans: `kafka`, `nats`, `rabbitmq` or another of the conventions' names for `messaging.system`.
    #[must_use]
    pub fn system(self, system: impl Into<Arc<str>>) -> Self {
        Self { system: Some(system.into()), ..self }
    }

    /// Goes on with the trace of the producer: for a message that is worked on at once, and alone.
    #[must_use]
    pub const fn continuing(mut self) -> Self {
        self.continues = true;
        self
    }

    /// Reads identities that travel such that nobody in between can read them. What comes readable is taken too.
    #[cfg(feature = "confidential")]
    #[must_use]
    pub fn confidential(self, keys: Arc<crate::confidential::ConfidentialKeys>) -> Self {
        Self { reader: self.reader.confidential(keys), ..self }
    }

    /// Takes time from another clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Reads what a message from that destination says.
    #[must_use]
    pub fn receive(&self, destination: impl Into<String>, carrier: &dyn Extractor) -> Received {
        let remote = TraceContextPropagator::new().extract_with_context(&Context::new(), carrier);
        let producer = remote.span().span_context().clone();
        // Its seal is checked once it is known for which trace.
        let cx = self.reader.extract_with_context(&remote, carrier);
        let carried = match cx.get::<HopIdentity>() {
            None => Ok(None),
            Some(identity) => match (identity.carried(), identity.seal_fault()) {
                (Some(carried), _) => Ok(Some(carried.clone())),
                (None, fault) => Err(fault.unwrap_or(SealFault::Malformed)),
            },
        };
        Received { destination: destination.into(), producer, carried, cx }
    }

    /// Works on one message: with its identity, in a span of its own.
    pub async fn process<F: Future>(&self, message: Received, work: F) -> F::Output {
        let parent = match self.continues {
            true => Context::new().with_remote_span_context(message.producer.clone()),
            false => Context::new(),
        };
        self.work(&parent, message, work).await
    }

    /// Begins to work on so many messages that came together, each with its own identity.
    #[must_use]
    pub fn batch(&self, destination: &str, count: usize) -> Batch<'_> {
        let mut attributes = described("receive", destination, self.system.as_ref());
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        attributes.push(KeyValue::new("messaging.batch.message_count", count));
        let span = SpanBuilder::from_name(format!("receive {destination}"))
            // To receive is to ask the broker, in nobody's name; to process is the hop.
            .with_kind(SpanKind::Client)
            .with_attributes(attributes);
        Batch { consumer: self, cx: self.spans.start(span, &Context::new(), &Context::new()) }
    }

    async fn work<F: Future>(&self, parent: &Context, message: Received, work: F) -> F::Output {
        let now = self.clock.now();
        let links = match message.producer.is_valid()
            && !(self.continues && parent.span().span_context().is_remote())
        {
            true => vec![Link::with_context(message.producer.clone())],
            false => Vec::new(),
        };
        let span = SpanBuilder::from_name(format!("process {}", message.destination))
            .with_kind(SpanKind::Consumer)
            .with_links(links)
            .with_attributes(described("process", &message.destination, self.system.as_ref()));
        let cx = self.spans.start(span, parent, &message.cx);
        let to = cx.span().span_context().trace_id().to_bytes();
        let identity = self.identity(&message, to);
        stamp(&cx, &identity, now, &self.workload, self.attributes.as_ref());
        let output = within(cx.with_value(identity.clone()), identity, work).await;
        cx.span().end();
        output
    }

    /// Whose message it is, for work in the trace `to`.
    fn identity(&self, message: &Received, to: [u8; 16]) -> HopIdentity {
        let carried = match &message.carried {
            Ok(None) => return HopIdentity::anonymous(),
            Err(fault) => return HopIdentity::unreadable(*fault),
            Ok(Some(carried)) => carried,
        };
        let (from, now) = (message.producer.trace_id().to_bytes(), self.clock.now());
        let there = self.checker.check(carried, from, now);
        let Some(sealer) = &self.sealer else {
            return match there {
                Ok(_) if from == to => HopIdentity::checked(carried.clone(), &self.checker, to, now),
                Ok(_) => HopIdentity::faulty(carried.clone(), SealFault::Trace),
                Err(fault) => HopIdentity::faulty(carried.clone(), fault),
            };
        };
        if from == to && there.is_ok() {
            return HopIdentity::checked(carried.clone(), &self.checker, to, now);
        }
        match sealer.reseal(&self.checker, carried, from, to, now) {
            Ok(resealed) => {
                let resealed = carried.hop().map_or(resealed.clone(), |hop| resealed.with_hop(hop));
                HopIdentity::checked(resealed, &self.checker, to, now)
            }
            Err(error) => HopIdentity::faulty(
                carried.clone(),
                match error {
                    ResealError::Seal(fault) => fault,
                    ResealError::Spent => SealFault::Expired,
                    ResealError::NotAllowed | ResealError::Make(_) => SealFault::Sealer,
                },
            ),
        }
    }
}

/// Messages that came together: a trace in which each is worked on in a span of its own, linked to its producer. It ends when it is
/// dropped.
#[derive(Debug)]
pub struct Batch<'c> {
    consumer: &'c Consumer,
    cx: Context,
}

impl Batch<'_> {
    /// Works on one of them, with its identity.
    pub async fn process<F: Future>(&self, message: Received, work: F) -> F::Output {
        self.consumer.work(&self.cx, message, work).await
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.cx.span().end();
    }
}

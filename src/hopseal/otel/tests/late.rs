//! Seals that are made when their spans are exported.

use hopseal_identity::attribute::{ASSURANCE, EXP, IAT, SEAL, SUB};
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::{SdkTracer, Span, SpanProcessor};

use super::spans::reverify;
use super::*;
use crate::otel::SealingExporter;
use crate::seal::Sealer;

/// Notes what stands on spans when they end, before anybody exports them.
#[derive(Debug, Clone, Default)]
struct Ended(Arc<std::sync::Mutex<Vec<SpanData>>>);

impl SpanProcessor for Ended {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().expect("lock").push(span);
    }

    fn force_flush(&self) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: std::time::Duration) -> opentelemetry_sdk::error::OTelSdkResult {
        Ok(())
    }
}

struct Lab {
    sealer: Arc<Sealer>,
    exporter: InMemorySpanExporter,
    ended: Ended,
    provider: SdkTracerProvider,
}

/// Spans of a sealer, exported late.
fn lab(processor: IdentityProcessor) -> Lab {
    let (sealer, exporter, ended) = (Arc::new(gateway()), InMemorySpanExporter::default(), Ended::default());
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor.clock(now()))
        .with_span_processor(ended.clone())
        .with_simple_exporter(SealingExporter::new(exporter.clone(), &sealer))
        .build();
    Lab { sealer, exporter, ended, provider }
}

impl Lab {
    fn tracer(&self) -> SdkTracer {
        self.provider.tracer("test")
    }

    fn identity(&self) -> HopIdentity {
        HopIdentity::verified(Arc::new(alice()), Arc::clone(&self.sealer), None).expect("can travel")
    }

    /// The span as it ended, and as it was exported.
    fn last(&self) -> (SpanData, SpanData) {
        let exported = self.exporter.get_finished_spans().expect("spans").pop().expect("one");
        let ended = self.ended.0.lock().expect("lock").pop().expect("one");
        assert_eq!(ended.span_context, exported.span_context);
        (ended, exported)
    }
}

/// What is exported holds the seal; while the request was served nobody made one.
#[test]
fn a_seal_that_only_the_span_needs_is_made_when_that_is_exported() {
    let lab = lab(IdentityProcessor::new(ORDERS));
    let cx = remote().with_value(lab.identity());
    lab.tracer().start_with_context("entry", &cx).end();
    let (ended, exported) = lab.last();
    assert_eq!(attribute(&ended, ASSURANCE).as_deref(), Some("verified"));
    assert_eq!((attribute(&ended, SEAL), attribute(&ended, IAT)), (None, None));
    assert_eq!(attribute(&exported, SUB), attribute(&ended, SUB));
    reverify(&exported);
}

/// The identity leaves a minute later: with the seal that the span gets, as long as that is young.
#[test]
fn what_leaves_and_what_the_span_gets_is_one_seal_while_that_is_young() {
    for (later, same) in [(0, true), (59, true), (60, false)] {
        let lab = lab(IdentityProcessor::new(ORDERS));
        let cx = remote().with_value(lab.identity());
        let cx = cx.with_span(lab.tracer().start_with_context("entry", &cx));
        let then: Arc<dyn Clock> = Arc::new(At(NOW.plus(later)));
        let sent = injected(&propagator().clock(then), &cx).expect("baggage");
        cx.span().end();
        let (_, exported) = lab.last();
        reverify(&exported);
        assert_eq!(attribute(&exported, SEAL).as_deref() == identity_of(&sent).seal(), same, "{later}");
        let checked = crate::seal::testing::checker().check(&identity_of(&sent), TRACE, NOW.plus(later));
        checked.expect("what left is valid when it leaves");
    }
}

/// Only what is asked for is written late, and nothing waits for what is not.
#[test]
fn only_what_is_asked_for_is_written_late() {
    for (names, found) in [
        (vec![ASSURANCE], [false; 3]),
        (vec![ASSURANCE, EXP], [false, true, false]),
        (vec![IAT, SEAL], [true, false, true]),
    ] {
        let lab = lab(IdentityProcessor::new(ORDERS).attributes(names.iter().copied()));
        let cx = remote().with_value(lab.identity());
        lab.tracer().start_with_context("entry", &cx).end();
        let (_, exported) = lab.last();
        let there = [IAT, EXP, SEAL].map(|name| attribute(&exported, name).is_some());
        assert_eq!((there, exported.attributes.len()), (found, names.len()), "{names:?}");
    }
}

/// Two exporters of one sealer both have the evidence; once they are gone, spans get it at once.
#[test]
fn every_exporter_gets_the_seal() {
    let (sealer, first, second) =
        (Arc::new(gateway()), InMemorySpanExporter::default(), InMemorySpanExporter::default());
    let identity = || {
        let identity = HopIdentity::verified(Arc::new(alice()), Arc::clone(&sealer), None);
        remote().with_value(identity.expect("can travel"))
    };
    let provider = SdkTracerProvider::builder()
        .with_span_processor(IdentityProcessor::new(ORDERS).clock(now()))
        .with_simple_exporter(SealingExporter::new(first.clone(), &sealer))
        .with_simple_exporter(SealingExporter::new(second.clone(), &sealer))
        .build();
    provider.tracer("test").start_with_context("entry", &identity()).end();
    for exporter in [&first, &second] {
        reverify(&exporter.get_finished_spans().expect("spans")[0]);
    }
    drop(provider);
    let (provider, exporter) = recorder(IdentityProcessor::new(ORDERS));
    provider.tracer("test").start_with_context("entry", &identity()).end();
    reverify(&exporter.get_finished_spans().expect("spans")[0]);
}

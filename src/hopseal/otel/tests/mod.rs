#[cfg(feature = "confidential")]
mod confidential;
mod late;
mod matrix;
mod propagation;
mod spans;

use std::collections::HashMap;
use std::sync::Arc;

use hopseal_identity::CrossingCount;
use hopseal_identity::baggage::{Baggage, Carried};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};

use super::{Egress, HopIdentity, IdentityProcessor, Propagator};
use crate::seal::Txn;
use crate::seal::testing::{NOW, TRACE, alice, gateway};
use crate::{Clock, UnixTime};

const ORDERS: &str = "spiffe://example.org/orders";

/// Time stands still.
#[derive(Debug)]
struct At(UnixTime);

impl Clock for At {
    fn now(&self) -> UnixTime {
        self.0
    }
}

fn now() -> Arc<dyn Clock> {
    Arc::new(At(NOW))
}

/// A carrier with as many headers of a name as one likes.
struct Headers<'h>(&'h [&'h str]);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.first().copied().filter(|_| key == "baggage")
    }
    fn keys(&self) -> Vec<&str> {
        vec!["baggage"]
    }
    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        (key == "baggage").then(|| self.0.to_vec())
    }
}

fn propagator() -> Propagator {
    Propagator::new(ORDERS).egress(Egress::Allowed).clock(now())
}

/// The context of a request that came in `TRACE`.
fn remote() -> Context {
    let state = TraceState::default();
    let (trace, span) = (TraceId::from_bytes(TRACE), SpanId::from_bytes([9; 8]));
    Context::new().with_remote_span_context(SpanContext::new(trace, span, TraceFlags::SAMPLED, true, state))
}

fn extracted(headers: &[&str]) -> Context {
    propagator().extract_with_context(&remote(), &Headers(headers))
}

/// The `baggage` header that leaves.
fn injected(propagator: &Propagator, cx: &Context) -> Option<String> {
    let mut carrier = HashMap::new();
    propagator.inject_context(cx, &mut carrier);
    carrier.remove("baggage")
}

fn sealed() -> Carried {
    gateway().seal(&alice(), &Txn::new("t-1").expect("legal"), TRACE, NOW).expect("seals")
}

/// The header that a service behind the gateway gets.
fn header() -> String {
    let hop = CrossingCount::START.next("spiffe://example.org/gateway", [9; 8]);
    hopseal_identity::baggage::Writer::new(Some(&sealed().with_hop(hop))).finish()
}

fn verified() -> HopIdentity {
    HopIdentity::verified(Arc::new(alice()), Arc::new(gateway()), None).expect("randomness")
}

fn identity_of(header: &str) -> Carried {
    Baggage::read([header]).identity.expect("legal").expect("one")
}

fn recorder(processor: IdentityProcessor) -> (SdkTracerProvider, InMemorySpanExporter) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor.clock(now()))
        .with_simple_exporter(exporter.clone())
        .build();
    (provider, exporter)
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let of = |attribute: &&KeyValue| attribute.key.as_str() == name;
    span.attributes.iter().find(of).map(|attribute| attribute.value.to_string())
}

fn named<'s>(spans: &'s [SpanData], name: &str) -> &'s SpanData {
    spans.iter().find(|span| span.name == name).expect(name)
}

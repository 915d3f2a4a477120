//! Seals on spans, made as the spans are exported.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use super::attributes::{WITH_SEAL, tell_seal};
use crate::seal::Sealer;

/// Takes the signing off the path of requests: seals that only a span needs are made here, as it is exported, on the thread of
/// whoever exports.
///
/// A seal costs about as much as all else that a layer does for a request. What leaves a service needs one at once; a span does
/// not, and most identities that are verified never leave. While there is such an exporter, spans are begun without the seal of
/// the identity that was verified, and get here what they would have had: `hopseal.seal`, and `hopseal.iat` of when the
/// credential was validated. Where there is none, they get it at once.
///
/// Every exporter that spans of this sealer go to must be within one, and its batches should be exported on a thread of their
/// own, as by the SDK's batch processor. At most 16 384 spans wait; past that seals are made at once again.
///
/// ```
/// # use std::sync::Arc;
/// # use hopseal::{otel::{IdentityProcessor, SealingExporter}, seal::Sealer};
/// # use opentelemetry_sdk::trace::{InMemorySpanExporter as Exporter, SdkTracerProvider};
/// # fn provider(exporter: Exporter, sealer: &Arc<Sealer>) -> SdkTracerProvider {
/// SdkTracerProvider::builder()
///     .with_span_processor(IdentityProcessor::new("spiffe://example.org/orders"))
///     .with_batch_exporter(SealingExporter::new(exporter, sealer))
///     .build()
/// # }
/// ```
#[derive(Debug)]
pub struct SealingExporter<E> {
    inner: E,
    sealer: Joined,
}

/// While it lives, seals wait.
#[derive(Debug)]
struct Joined(Arc<Sealer>);

impl Drop for Joined {
    fn drop(&mut self) {
        self.0.waiting().leave();
    }
}

impl<E> SealingExporter<E> {
    /// Around another exporter, for the identities of this sealer.
    pub fn new(inner: E, sealer: &Arc<Sealer>) -> Self {
        sealer.waiting().join();
        Self { inner, sealer: Joined(Arc::clone(sealer)) }
    }

    fn seal(&self, span: &mut SpanData) {
        let key = (span.span_context.trace_id().to_bytes(), span.span_context.span_id().to_bytes());
        let Some(wanted) = self.sealer.0.waiting().take(&key) else { return };
        // Where none can be made it is verified all the same, and only nobody else is told.
        let sealed = wanted.held.held().map(|held| held.sealed_at(key.0, wanted.at));
        let Some(Ok(carried)) = sealed else { return };
        tell_seal(&carried, &mut |name, value| {
            let at = WITH_SEAL.iter().position(|with| *with == name);
            if at.and_then(|at| wanted.names.get(at)) == Some(&true) {
                span.attributes.push(KeyValue::new(name, value));
            }
        });
    }
}

impl<E: SpanExporter> SpanExporter for SealingExporter<E> {
    fn export(&self, mut batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        for span in &mut batch {
            self.seal(span);
        }
        self.inner.export(batch)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

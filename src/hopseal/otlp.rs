//! Everything set up in one call: spans of OpenTelemetry and of `tracing`, with identities on them, sent by OTLP.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let _guard = hopseal::otlp::init("orders", "spiffe://example.org/orders")?; // sends what is left when it is dropped
//! tracing::info_span!("work").in_scope(|| tracing::info!("done"));
//! # Ok(()) }
//! ```

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{InstrumentationScope, global};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::otel::{Egress, IdentityProcessor, Propagator, SealingExporter};
use crate::seal::Sealer;

/// How long the last spans may take.
const LAST: Duration = Duration::from_secs(5);
/// What sends the spans must not make spans of that. And the runtime of functions makes one around each request that begins a trace of
/// its own: it would look like a request that nobody sent. Where it is there all the same, the layer of `tower` does not go on with it.
const SILENT: [&str; 7] =
    ["h2", "hyper", "hyper_util", "lambda_runtime", "opentelemetry", "reqwest", "rustls"];

/// Sets everything up as [`Otlp::new`] has it.
///
/// # Errors
/// [`OtlpError`].
pub fn init(service: impl Into<String>, workload: impl Into<String>) -> Result<Guard, OtlpError> {
    Otlp::new(service, workload).init()
}

/// What is set up.
#[derive(Debug)]
#[must_use]
pub struct Otlp {
    service: String,
    workload: String,
    endpoint: Option<String>,
    exporter: Option<SpanExporter>,
    egress: Egress,
    processor: Option<IdentityProcessor>,
    sealer: Option<Arc<Sealer>>,
    targets: Targets,
}

/// Why nothing was set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OtlpError {
    /// The exporter could not be made.
    #[error("no exporter of spans")]
    Exporter(#[source] ExporterBuildError),
    /// Somebody else listens to `tracing` already.
    #[error("`tracing` is set up already")]
    Tracing(#[source] TryInitError),
}

impl Otlp {
    /// For the service of that `service.name`, and the workload of that SPIFFE ID: identities on entry spans, levels down to `INFO`, and
    /// no identity in what other instrumentations inject. Where spans go is said by `OTEL_EXPORTER_OTLP_ENDPOINT`, or it is
    /// `http://localhost:4318`.
    pub fn new(service: impl Into<String>, workload: impl Into<String>) -> Self {
        let targets = Targets::new().with_default(LevelFilter::INFO);
        Self {
            service: service.into(),
            workload: workload.into(),
            endpoint: None,
            exporter: None,
            egress: Egress::Denied,
            processor: None,
            sealer: None,
            targets: targets.with_targets(SILENT.map(|target| (target, LevelFilter::OFF))),
        }
    }

    /// Where spans go, without the path.
    pub fn endpoint(self, address: &str) -> Self {
        Self { endpoint: Some(format!("{}/v1/traces", address.trim_end_matches('/'))), ..self }
    }

    /// Sends spans by this exporter, which says where they go: one with a client, headers or a protocol of its own.
    pub fn exporter(self, exporter: SpanExporter) -> Self {
        Self { exporter: Some(exporter), ..self }
    }

    /// What holds for instrumentations that inject by the global propagator and know of no [`Egress`].
    pub const fn egress(mut self, egress: Egress) -> Self {
        self.egress = egress;
        self
    }

    /// What is written of identities, and where, in place of what [`IdentityProcessor::new`] writes.
    pub fn processor(self, processor: IdentityProcessor) -> Self {
        Self { processor: Some(processor), ..self }
    }

    /// Makes the seals of this sealer that only a span needs when that is sent, not while its request is served
    /// ([`SealingExporter`]).
    pub fn sealing(self, sealer: &Arc<Sealer>) -> Self {
        Self { sealer: Some(Arc::clone(sealer)), ..self }
    }

    /// Which spans of `tracing` become spans.
    pub fn targets(self, targets: Targets) -> Self {
        Self { targets, ..self }
    }

    /// Makes spans of this service without setting anything up, for a process with more services than one, or where somebody else does
    /// that. Whoever has it shuts it down.
    ///
    /// # Errors
    /// [`OtlpError::Exporter`].
    pub fn provider(self) -> Result<SdkTracerProvider, OtlpError> {
        let exporter = match self.exporter {
            Some(exporter) => exporter,
            None => {
                let exporter = SpanExporter::builder().with_http();
                let exporter = match self.endpoint {
                    Some(endpoint) => exporter.with_endpoint(endpoint),
                    None => exporter,
                };
                exporter.build().map_err(OtlpError::Exporter)?
            }
        };
        let processor = self.processor.unwrap_or_else(|| IdentityProcessor::new(self.workload.as_str()));
        let provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder().with_service_name(self.service).build())
            // Before whoever exports: what is written afterwards would not be there.
            .with_span_processor(processor);
        let provider = match &self.sealer {
            None => provider.with_batch_exporter(exporter),
            Some(sealer) => provider.with_batch_exporter(SealingExporter::new(exporter, sealer)),
        };
        Ok(provider.build())
    }

    /// Sets it up, for the whole process.
    ///
    /// # Errors
    /// [`OtlpError`]; then nothing was.
    pub fn init(self) -> Result<Guard, OtlpError> {
        let (workload, egress, targets) = (self.workload.clone(), self.egress, self.targets.clone());
        let provider = self.provider()?;
        let tracer = provider.tracer_with_scope(InstrumentationScope::builder("hopseal").build());
        let layer = tracing_opentelemetry::layer().with_tracer(tracer).with_filter(targets);
        // The only one of these that can fail comes first.
        tracing_subscriber::registry().with(layer).try_init().map_err(OtlpError::Tracing)?;
        global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
            // The trace is there before the identity that is bound to it.
            Box::new(TraceContextPropagator::new()),
            Box::new(Propagator::new(workload).egress(egress)),
        ]));
        global::set_tracer_provider(provider.clone());
        Ok(Guard { provider })
    }
}

/// Sends what is left when it is dropped, which may take five seconds: keep it until the end of `main`.
#[derive(Debug)]
#[must_use = "spans are no longer sent once it is dropped"]
pub struct Guard {
    provider: SdkTracerProvider,
}

impl Guard {
    /// Sends what there is so far.
    ///
    /// # Errors
    /// What the exporter says.
    pub fn flush(&self) -> Result<(), OTelSdkError> {
        self.provider.force_flush()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Nobody is left to hear of a fault.
        let _ = self.provider.shutdown_with_timeout(LAST);
    }
}

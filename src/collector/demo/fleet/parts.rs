//! What every service of the fleet is made of: a port, a tracer provider under its own name, and what it knows callers by.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hopseal::Validator;
use hopseal::axum::route;
use hopseal::egress::{EgressMiddleware, EgressRules, Rule};
use hopseal::keys::KeyStore;
use hopseal::otel::IdentityProcessor;
use hopseal::seal::Seals;
use hopseal::tower::{IdentityLayer, Validate};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use reqwest_middleware::ClientWithMiddleware;

use crate::demo::error::DemoError;
use crate::demo::trust::{Trust, workload};

/// How often spans are sent: well within the time for which the collector waits for more of a trace.
const SEND_EVERY: Duration = Duration::from_millis(100);

/// A free port of this machine, and what listens there.
pub(in crate::demo) fn listen() -> Result<(TcpListener, SocketAddr), DemoError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(DemoError::set_up("a port"))?;
    // `tokio` takes no others.
    listener.set_nonblocking(true).map_err(DemoError::set_up("a port"))?;
    let address = listener.local_addr().map_err(DemoError::set_up("a port"))?;
    Ok((listener, address))
}

/// Answers at a port from now on. To be called within a runtime.
pub(in crate::demo) fn serve(listener: TcpListener, app: Router) -> Result<(), DemoError> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(DemoError::set_up("a port"))?;
    // It ends with the runtime.
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(())
}

/// See the [module](self).
pub(super) struct Parts {
    workload: String,
    provider: SdkTracerProvider,
    pub(super) seals: Seals,
    pub(super) validator: Arc<Validator<KeyStore>>,
}

impl Parts {
    /// Those of a service of that name, whose spans go to `collector`. To be called outside of a runtime: what sends them has a
    /// thread of its own.
    pub(super) fn new(
        service: &'static str,
        trust: &mut Trust,
        collector: SocketAddr,
    ) -> Result<Self, DemoError> {
        // Proxies of the environment have no way back to this machine.
        let client = reqwest::blocking::Client::builder().no_proxy().build();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client.map_err(DemoError::set_up("a client for spans"))?)
            .with_endpoint(format!("http://{collector}/v1/traces"))
            .build()
            .map_err(DemoError::set_up("an exporter"))?;
        let batches = BatchConfigBuilder::default().with_scheduled_delay(SEND_EVERY).build();
        let workload = workload(service);
        // Nothing is taken from the environment, which is that of all of them.
        let provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder_empty().with_service_name(service).build())
            .with_sampler(Sampler::AlwaysOn)
            .with_span_processor(IdentityProcessor::new(workload.as_str()))
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .build();
        Ok(Self { workload, provider, seals: trust.seals(service)?, validator: trust.validator()? })
    }

    /// Makes spans of this service.
    pub(super) fn tracer(&self) -> BoxedTracer {
        BoxedTracer::new(Box::new(self.provider.tracer("shop")))
    }

    pub(super) fn provider(&self) -> SdkTracerProvider {
        self.provider.clone()
    }

    pub(super) fn workload(&self) -> &str {
        &self.workload
    }

    /// The front door: the service knows its callers by this.
    pub(super) fn layer(&self) -> IdentityLayer<Arc<Validator<KeyStore>>> {
        self.layer_with(Arc::clone(&self.validator))
    }

    /// The same with somebody else who validates.
    pub(super) fn layer_with<V: Validate>(&self, validator: V) -> IdentityLayer<V> {
        let (sealer, checker) = (Arc::clone(&self.seals.sealer), Arc::clone(&self.seals.checker));
        IdentityLayer::new(validator, sealer, checker, self.workload.as_str())
            .spans(self.tracer())
            .routes(route)
    }

    /// The way out: the identity goes where a rule says so.
    pub(super) fn client(
        &self,
        rules: impl IntoIterator<Item = Rule>,
    ) -> Result<ClientWithMiddleware, DemoError> {
        let rules = EgressRules::new(rules).map_err(DemoError::set_up("rules for clients"))?;
        EgressMiddleware::new(rules, self.workload.as_str())
            .spans(self.tracer())
            .client(reqwest::Client::builder().no_proxy())
            .map_err(DemoError::set_up("a client"))
    }
}

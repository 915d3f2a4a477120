//! What the service says of itself: its log, and its metrics, warnings and errors by OTLP.

mod log;

use std::sync::Arc;

use opentelemetry::logs::LoggerProvider as _;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, LogExporter, MetricExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use rustix::io::retry_on_intr;
use rustix::rand::{GetRandomFlags, getrandom};
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use uuid::Builder;

use self::log::Sent;
use super::config::{Config, LogLevel};
use super::metrics::Metrics;

const SERVICE: &str = "hopseal";
const VERSION: Key = Key::from_static_str("service.version");
const INSTANCE: Key = Key::from_static_str("service.instance.id");

/// Sends what the service says of itself, if that is configured, until it is dropped, and a last time then.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    resource: Option<Resource>,
    logs: Option<SdkLoggerProvider>,
    metrics: Option<SdkMeterProvider>,
}

impl Telemetry {
    /// Logs to standard error from now on, and sends of that what should be looked at. Called a second time in a process, it changes
    /// nothing that is logged. To be called outside of a runtime: what sends has a thread of its own.
    ///
    /// # Errors
    /// When who sends cannot be made.
    pub(crate) fn start(config: &Config) -> Result<Self, ExporterBuildError> {
        let is_sent = config.own_log.is_some() || config.otlp.is_some();
        let resource = is_sent.then(resource);
        let logs = match (&config.own_log, &resource) {
            (Some(endpoint), Some(resource)) => {
                let exporter = LogExporter::builder().with_http().with_endpoint(endpoint).build()?;
                let provider = SdkLoggerProvider::builder().with_batch_exporter(exporter);
                Some(provider.with_resource(resource.clone()).build())
            }
            _ => None,
        };
        let level = match config.log {
            LogLevel::Error => Level::ERROR,
            LogLevel::Warn => Level::WARN,
            LogLevel::Info => Level::INFO,
            LogLevel::Debug => Level::DEBUG,
        };
        let subscriber =
            tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(std::io::stderr);
        // It would tell of a closed pipe by the same pipe, and panic.
        let subscriber = subscriber.log_internal_errors(false).with_target(false).finish();
        let sent = logs.as_ref().map(|logs| Sent::to(logs.logger(SERVICE)));
        // Tests start more than one service.
        let _ = subscriber.with(sent).try_init();
        Ok(Self { resource, logs, metrics: None })
    }

    /// Sends metrics from now on, if that is configured. To be called outside of a runtime.
    ///
    /// # Errors
    /// When who sends cannot be made.
    pub(crate) fn export(
        &mut self,
        config: &Config,
        metrics: &Arc<Metrics>,
    ) -> Result<(), ExporterBuildError> {
        let (Some((endpoint, every)), Some(resource)) = (&config.otlp, &self.resource) else { return Ok(()) };
        let exporter = MetricExporter::builder().with_http().with_endpoint(endpoint).build()?;
        let reader = PeriodicReader::builder(exporter).with_interval(*every).build();
        let provider =
            SdkMeterProvider::builder().with_reader(reader).with_resource(resource.clone()).build();
        metrics.export(&provider.meter(SERVICE));
        self.metrics = Some(provider);
        Ok(())
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        // Nobody may be there to take them.
        let _ = self.metrics.as_ref().map(SdkMeterProvider::shutdown);
        let _ = self.logs.as_ref().map(SdkLoggerProvider::shutdown);
    }
}

/// Who says it: which program, and which process of it. `OTEL_RESOURCE_ATTRIBUTES` may know a better name for the process, and says
/// whatever else there is to say.
fn resource() -> Resource {
    let builder = || Resource::builder().with_service_name(SERVICE);
    let is_named = builder().build().get_ref(&INSTANCE).is_some();
    let instance = (!is_named).then(instance).flatten().map(|id| KeyValue::new(INSTANCE, id));
    let version = KeyValue::new(VERSION, env!("CARGO_PKG_VERSION"));
    builder().with_attribute(version).with_attributes(instance).build()
}

/// A random UUID, if there is randomness.
fn instance() -> Option<String> {
    let mut bytes = [0_u8; 16];
    let length = retry_on_intr(|| getrandom(&mut bytes, GetRandomFlags::empty())).ok()?;
    (length == bytes.len()).then(|| Builder::from_random_bytes(bytes).into_uuid().to_string())
}

#[cfg(test)]
mod tests;

//! What the service says of itself: its log, and its metrics by OTLP.

use std::sync::Arc;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use tracing::Level;

use super::config::{Config, LogLevel};
use super::metrics::Metrics;

/// Logs to standard error from now on. Called a second time in a process, it changes nothing.
pub(crate) fn log(level: LogLevel) {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
    };
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(std::io::stderr);
    // It would tell of a closed pipe by the same pipe, and panic.
    let subscriber = subscriber.log_internal_errors(false);
    // Tests start more than one service.
    let _ = subscriber.with_target(false).try_init();
}

/// Sends metrics, if that is configured, until what is returned is dropped. To be called outside of a runtime: what sends has
/// a thread of its own.
///
/// # Errors
/// When who sends cannot be made.
pub(crate) fn export(
    config: &Config,
    metrics: &Arc<Metrics>,
) -> Result<Option<Exporting>, ExporterBuildError> {
    let Some((endpoint, every)) = &config.otlp else { return Ok(None) };
    let exporter = MetricExporter::builder().with_http().with_endpoint(endpoint).build()?;
    let reader = PeriodicReader::builder(exporter).with_interval(*every).build();
    let resource = Resource::builder().with_service_name("hopseal").build();
    let provider = SdkMeterProvider::builder().with_reader(reader).with_resource(resource).build();
    metrics.export(&provider.meter("hopseal"));
    Ok(Some(Exporting(provider)))
}

/// Metrics are sent while this lives, and a last time when it is dropped.
#[derive(Debug)]
pub(crate) struct Exporting(SdkMeterProvider);

impl Drop for Exporting {
    fn drop(&mut self) {
        // Nobody may be there to take them.
        let _ = self.0.shutdown();
    }
}

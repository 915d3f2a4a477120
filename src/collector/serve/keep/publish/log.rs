//! As log records that are events (with a name), which trace backends show at the hop, and log backends by itself.

use futures_executor::block_on;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _};
use opentelemetry::trace::{SpanId as OtelSpanId, TraceFlags, TraceId as OtelTraceId};
use opentelemetry_otlp::{ExporterBuildError, LogExporter, WithExportConfig as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{LogBatch, LogExporter as _, SdkLogRecord, SdkLogger, SdkLoggerProvider};

use super::{Export, Notice, Says, Severity, own, resource, scope};
use crate::output::alert::severity;

/// See the [module](self).
pub(super) struct Logs {
    exporter: LogExporter,
    /// Makes records, and sends none.
    blank: SdkLogger,
}

impl Logs {
    pub(super) fn to(endpoint: &str) -> Result<Self, ExporterBuildError> {
        let mut exporter = LogExporter::builder().with_http().with_endpoint(endpoint).build()?;
        exporter.set_resource(&resource());
        Ok(Self { exporter, blank: blank() })
    }
}

pub(super) fn blank() -> SdkLogger {
    SdkLoggerProvider::builder().build().logger(own::SERVICE)
}

impl Export for Logs {
    fn takes(&self, _: &Notice) -> bool {
        true
    }

    fn export(&self, told: &[&Notice]) -> OTelSdkResult {
        let scope = scope();
        let records: Vec<SdkLogRecord> = told.iter().map(|told| record(told, &self.blank)).collect();
        let records: Vec<_> = records.iter().map(|record| (record, &scope)).collect();
        block_on(self.exporter.export(LogBatch::new(&records)))
    }
}

/// As OpenTelemetry's logs have it: when it happened is when the hop began, when it was observed is when it was found.
pub(super) fn record(told: &Notice, blank: &SdkLogger) -> SdkLogRecord {
    let mut record = blank.create_log_record();
    record.set_event_name(match told.says {
        Says::Stands => "hopseal.finding.opened",
        Says::Retracted => "hopseal.finding.retracted",
    });
    record.set_timestamp(told.at);
    record.set_observed_timestamp(told.found);
    let word = if told.says == Says::Stands { told.severity } else { Severity::Info }.as_str();
    record.set_severity_number(severity(word));
    record.set_severity_text(word);
    record.set_body(AnyValue::String(told.message.clone().into()));
    let attributes = told.attributes.iter().filter_map(|attribute| match &attribute.value {
        opentelemetry::Value::String(text) => Some((attribute.key.clone(), AnyValue::String(text.clone()))),
        // There are none.
        _ => None,
    });
    record.add_attributes(attributes);
    if let Some(trace_id) = told.trace_id {
        let span_id = told.about.map_or(OtelSpanId::INVALID, |id| OtelSpanId::from_bytes(id.0));
        record.set_trace_context(OtelTraceId::from_bytes(trace_id.0), span_id, Some(TraceFlags::SAMPLED));
    }
    record
}

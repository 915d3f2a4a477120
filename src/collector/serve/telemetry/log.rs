//! Warnings and errors of the log as records of OTLP.

use std::fmt::Debug;

use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, Severity};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How the names of our own modules begin. What those say that send this is not sent: it would go round.
const OURS: &str = "hopseal";
/// The field with what is said.
const MESSAGE: &str = "message";

/// Sends what should be looked at.
#[derive(Debug)]
pub(super) struct Sent(SdkLogger);

impl Sent {
    pub(super) const fn to(logger: SdkLogger) -> Self {
        Self(logger)
    }
}

impl<S: Subscriber> Layer<S> for Sent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (severity, text) = match *event.metadata().level() {
            Level::ERROR => (Severity::Error, "ERROR"),
            Level::WARN => (Severity::Warn, "WARN"),
            _ => return,
        };
        if !event.metadata().target().starts_with(OURS) {
            return;
        }
        let mut record = self.0.create_log_record();
        record.set_severity_number(severity);
        record.set_severity_text(text);
        event.record(&mut Fields(&mut record));
        self.0.emit(record);
    }
}

/// Puts the fields of an event into a record.
struct Fields<'r>(&'r mut SdkLogRecord);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: AnyValue) {
        match field.name() {
            MESSAGE => self.0.set_body(value),
            name => self.0.add_attribute(name, value),
        }
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, AnyValue::String(format!("{value:?}").into()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, AnyValue::String(value.to_owned().into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, AnyValue::Boolean(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, AnyValue::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, AnyValue::Int(i64::try_from(value).unwrap_or(i64::MAX)));
    }
}

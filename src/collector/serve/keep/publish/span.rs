//! As spans: a child of the hop, and once it is taken back another, linked to the first.

use std::sync::Arc;

use futures_executor::block_on;
use opentelemetry::trace::{
    Link, SpanContext, SpanId as OtelSpanId, SpanKind, Status, TraceFlags, TraceId as OtelTraceId, TraceState,
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};

use super::{Export, Notice, OwnKey, Says, Severity, TraceId, resource, scope};

/// See the [module](self).
pub(super) struct Spans {
    exporter: SpanExporter,
    own: Arc<OwnKey>,
}

impl Spans {
    pub(super) fn to(endpoint: &str, own: Arc<OwnKey>) -> Result<Self, ExporterBuildError> {
        let mut exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).build()?;
        exporter.set_resource(&resource());
        Ok(Self { exporter, own })
    }
}

impl Export for Spans {
    /// What is about no trace has none to be in.
    fn takes(&self, told: &Notice) -> bool {
        told.trace_id.is_some()
    }

    fn export(&self, told: &[&Notice]) -> OTelSdkResult {
        let spans = told.iter().filter_map(|told| Some(span(told, told.trace_id?, &self.own)));
        block_on(self.exporter.export(spans.collect()))
    }
}

pub(super) fn span(told: &Notice, trace_id: TraceId, own: &OwnKey) -> SpanData {
    let stands = told.says == Says::Stands;
    let context = |says| {
        let id = OtelSpanId::from_bytes(own.span_id(told.id, says).0);
        let trace_id = OtelTraceId::from_bytes(trace_id.0);
        SpanContext::new(trace_id, id, TraceFlags::SAMPLED, false, TraceState::default())
    };
    let mut links = SpanLinks::default();
    if !stands {
        links.links.push(Link::with_context(context(Says::Stands)));
    }
    let is_wrong = stands && told.severity >= Severity::Medium;
    SpanData {
        span_context: context(told.says),
        parent_span_id: told.about.map_or(OtelSpanId::INVALID, |id| OtelSpanId::from_bytes(id.0)),
        parent_span_is_remote: true,
        span_kind: SpanKind::Internal,
        name: format!("{} {}", if stands { "finding" } else { "retracted" }, told.rule).into(),
        // Beside the hop in every drawing of the trace.
        start_time: told.at,
        end_time: told.at,
        attributes: told.attributes.clone(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links,
        status: if is_wrong { Status::error(told.message.clone()) } else { Status::Unset },
        instrumentation_scope: scope(),
    }
}

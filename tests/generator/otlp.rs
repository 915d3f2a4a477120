//! Spans to OTLP protobuf, through the published message types.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as OtlpSpan, Status, TracesData, span, status::StatusCode,
};
use prost::Message;

use super::span::{Attributes, Kind, Resource, Span, Value};

/// Spans a tracer sends at a time.
const BATCH: usize = 256;

/// One `TracesData` message that holds `spans` in their order, by batches of one resource each.
#[must_use]
pub fn encode(spans: &[Span]) -> Vec<u8> {
    let resource_spans = spans.chunks(BATCH).flat_map(batch).collect();
    TracesData { resource_spans }.encode_to_vec()
}

fn batch(spans: &[Span]) -> Vec<ResourceSpans> {
    let mut by_resource: BTreeMap<&Resource, Vec<OtlpSpan>> = BTreeMap::new();
    for span in spans {
        by_resource.entry(&span.resource).or_default().push(otlp(span));
    }
    by_resource
        .into_iter()
        .map(|(from, spans)| ResourceSpans {
            resource: Some(resource(from)),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "generator".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        })
        .collect()
}

fn resource(from: &Resource) -> OtlpResource {
    let mut to = Attributes::default();
    to.set("service.name", from.service.as_str());
    to.set("service.namespace", from.namespace.as_str());
    to.set("service.version", from.version.as_str());
    to.set("service.instance.id", from.instance.as_str());
    to.set("deployment.environment.name", "test");
    OtlpResource { attributes: attributes(&to), ..OtlpResource::default() }
}

fn otlp(from: &Span) -> OtlpSpan {
    let kind = match from.kind {
        Kind::Internal => span::SpanKind::Internal,
        Kind::Server => span::SpanKind::Server,
        Kind::Client => span::SpanKind::Client,
        Kind::Producer => span::SpanKind::Producer,
        Kind::Consumer => span::SpanKind::Consumer,
    };
    let code = if from.error { StatusCode::Error } else { StatusCode::Unset };
    OtlpSpan {
        trace_id: from.trace.0.to_vec(),
        span_id: from.id.0.to_vec(),
        parent_span_id: from.parent.map_or_else(Vec::new, |parent| parent.0.to_vec()),
        flags: from.flags,
        name: from.name.clone(),
        kind: kind.into(),
        start_time_unix_nano: from.start,
        end_time_unix_nano: from.end,
        attributes: attributes(&from.attributes),
        dropped_attributes_count: from.dropped,
        events: from
            .events
            .iter()
            .map(|event| span::Event {
                time_unix_nano: from.start,
                name: event.name.clone(),
                attributes: attributes(&event.attributes),
                ..span::Event::default()
            })
            .collect(),
        links: from
            .links
            .iter()
            .map(|link| span::Link {
                trace_id: link.trace.0.to_vec(),
                span_id: link.span.0.to_vec(),
                ..span::Link::default()
            })
            .collect(),
        status: Some(Status { code: code.into(), ..Status::default() }),
        ..OtlpSpan::default()
    }
}

fn attributes(from: &Attributes) -> Vec<KeyValue> {
    from.iter()
        .map(|(key, value)| KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() })
        .collect()
}

fn any(value: &Value) -> AnyValue {
    let text = |text: &String| Any::StringValue(text.clone());
    let value = match value {
        Value::Str(string) => text(string),
        Value::Int(number) => Any::IntValue(*number),
        Value::Bool(truth) => Any::BoolValue(*truth),
        Value::List(list) => Any::ArrayValue(ArrayValue {
            values: list.iter().map(|item| AnyValue { value: Some(text(item)) }).collect(),
        }),
    };
    AnyValue { value: Some(value) }
}

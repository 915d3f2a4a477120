use std::collections::HashSet;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use serde_json::{Value as Json, json};

use super::*;

fn written(encoding: Encoding, blocks: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(encoding, 0..blocks, PACE, &mut bytes).unwrap();
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message that a third party decoded, as OTLP JSON.
fn as_json(message: &TracesData) -> Json {
    let attributes = |pairs: &[KeyValue]| -> Json {
        let value = |pair: &KeyValue| match pair.value.as_ref().unwrap().value.as_ref().unwrap() {
            any_value::Value::StringValue(text) => json!({ "stringValue": text }),
            any_value::Value::IntValue(number) => json!({ "intValue": number.to_string() }),
            other => panic!("{other:?} is never written"),
        };
        pairs.iter().map(|pair| json!({ "key": pair.key, "value": value(pair) })).collect()
    };
    let resource_spans = message.resource_spans.iter().map(|of| {
        let scope_spans = of.scope_spans.iter().map(|of| {
            let scope = of.scope.as_ref().unwrap();
            let spans = of.spans.iter().map(|span| {
                let mut json = json!({
                    "traceId": hex(&span.trace_id), "spanId": hex(&span.span_id), "flags": span.flags,
                    "name": span.name, "kind": span.kind, "attributes": attributes(&span.attributes), "status": {},
                    "startTimeUnixNano": span.start_time_unix_nano.to_string(),
                    "endTimeUnixNano": span.end_time_unix_nano.to_string(),
                });
                if !span.parent_span_id.is_empty() {
                    json["parentSpanId"] = hex(&span.parent_span_id).into();
                }
                json
            });
            json!({ "scope": { "name": scope.name, "version": scope.version }, "spans": spans.collect::<Json>() })
        });
        let resource = json!({ "attributes": attributes(&of.resource.as_ref().unwrap().attributes) });
        json!({ "resource": resource, "scopeSpans": scope_spans.collect::<Json>() })
    });
    resource_spans.collect()
}

#[test]
fn both_encodings_say_the_same() {
    let message = TracesData::decode(written(Encoding::Protobuf, 2).as_slice()).unwrap();
    let text = String::from_utf8(written(Encoding::Json, 2)).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    let json: Json = lines.flat_map(|line| line["resourceSpans"].as_array().unwrap().clone()).collect();
    assert_eq!(as_json(&message), json);
}

#[test]
fn traces_are_whole_and_differ() {
    let bytes = written(Encoding::Protobuf, 3);
    let message = TracesData::decode(bytes.as_slice()).unwrap();
    let scopes = message.resource_spans.iter().flat_map(|of| &of.scope_spans);
    let spans: Vec<_> = scopes.flat_map(|of| &of.spans).collect();
    assert_eq!(spans.len() as u64, 3 * BLOCK);
    let ids: HashSet<_> = spans.iter().map(|span| (&span.trace_id, &span.span_id)).collect();
    assert_eq!(ids.len(), spans.len());
    let traces: HashSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len() as u64, 3 * TRACES);
    let roots = spans.iter().filter(|span| span.parent_span_id.is_empty()).count();
    assert_eq!(roots, traces.len());
    for span in &spans {
        assert!(span.parent_span_id.is_empty() || ids.contains(&(&span.trace_id, &span.parent_span_id)));
        assert!(span.start_time_unix_nano < span.end_time_unix_nano);
        assert_eq!(span.attributes.len(), 12);
    }
    let size = bytes.len() / spans.len();
    assert!((500..=600).contains(&size), "{size} bytes a span");
}

//! Any message that prost can hold.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use prop::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;

use super::{read_json, read_protobuf};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// The visitor says what prost decodes.
    #[test]
    fn protobuf_is_what_prost_decodes(data in traces()) {
        let record = read_protobuf(&data.encode_to_vec());
        prop_assert_eq!(&record.rejected, &Vec::<String>::new());
        prop_assert_eq!(record.calls, expected(&data));
    }

    /// The same message as JSON is the same calls.
    #[test]
    fn json_is_what_protobuf_is(data in traces()) {
        let record = read_json(&serde_json::to_string(&data).unwrap());
        prop_assert_eq!(&record.rejected, &Vec::<String>::new());
        prop_assert_eq!(record.calls, expected(&data));
    }

    /// Indentation is nothing.
    #[test]
    fn json_may_be_indented(data in traces()) {
        let record = read_json(&serde_json::to_string_pretty(&data).unwrap());
        prop_assert_eq!(record.calls, expected(&data));
    }

    /// Fields may come in any order, and unknown ones may stand between them.
    #[test]
    fn protobuf_fields_in_any_order(data in traces(), seed in any::<u64>()) {
        let shuffled = shuffle(&data.encode_to_vec(), MESSAGE, &mut { seed });
        prop_assert_eq!(&TracesData::decode(&*shuffled).unwrap(), &data);
        let record = read_protobuf(&shuffled);
        prop_assert_eq!(&record.rejected, &Vec::<String>::new());
        prop_assert_eq!(record.calls, expected(&data));
    }

    /// Where prost decodes any bytes at all, nothing else is said; where it does not, nothing bad happens.
    #[test]
    fn damaged_protobuf(data in traces(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = data.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let record = read_protobuf(&bytes);
        if let Ok(decoded) = TracesData::decode(&*bytes)
            && record.rejected.is_empty()
        {
            prop_assert_eq!(record.calls, expected(&decoded));
        }
    }

    /// A message cut anywhere says so once, and everything whole before the cut is said.
    #[test]
    fn protobuf_cut_short(data in traces(), at in any::<prop::sample::Index>()) {
        let bytes = data.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        let record = read_protobuf(&bytes[..at.index(bytes.len())]);
        prop_assert!(record.rejected.len() <= 1, "{:?}", record.rejected);
        let whole = read_protobuf(&bytes).calls;
        prop_assert!(record.calls.lines().all(|line| whole.contains(line)), "{}", record.text());
    }

    #[test]
    fn json_cut_short(data in traces(), at in any::<prop::sample::Index>()) {
        let json = serde_json::to_string(&data).unwrap();
        let end = json.floor_char_boundary(at.index(json.len()));
        let record = read_json(json.get(..end).unwrap());
        prop_assert_eq!(record.rejected.len(), 1, "{:?}", record.rejected);
        let whole = read_json(&json).calls;
        for line in record.calls.lines() {
            prop_assert!(whole.contains(line), "{line:?} of {:?}", json.get(end.saturating_sub(200)..end));
        }
    }
}

/// What the sink is to be told of `data`, as [`Record`](crate::testing::Record) writes it.
fn expected(data: &TracesData) -> String {
    let mut out = String::new();
    for resource_spans in &data.resource_spans {
        out += "resource\n";
        if let Some(resource) = &resource_spans.resource {
            attributes(&mut out, "  ", &resource.attributes);
        }
        for scope_spans in &resource_spans.scope_spans {
            if let Some(scope) = &scope_spans.scope {
                attributes(&mut out, "  scope ", &scope.attributes);
            }
            scope_spans.spans.iter().for_each(|span| self::span(&mut out, span));
        }
    }
    out
}

fn span(out: &mut String, span: &Span) {
    let kinds = ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"];
    let kind = usize::try_from(span.kind).ok().and_then(|kind| kinds.get(kind)).unwrap_or(&kinds[0]);
    write!(out, "  span {} {}", hex(&span.trace_id), hex(&span.span_id)).unwrap();
    if span.parent_span_id.iter().any(|&byte| byte != 0) {
        write!(out, " <- {}", hex(&span.parent_span_id)).unwrap();
    }
    write!(out, " {:?} {kind} {}..{}", span.name, span.start_time_unix_nano, span.end_time_unix_nano)
        .unwrap();
    match span.status.as_ref().map_or(0, |status| status.code) {
        1 => *out += " Ok",
        2 => *out += " Error",
        _ => {}
    }
    if span.flags != 0 {
        write!(out, " flags {:#x}", span.flags).unwrap();
    }
    let dropped = [span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count];
    let dropped = dropped.iter().fold(0, |sum: u32, &count| sum.saturating_add(count));
    if dropped != 0 {
        write!(out, " dropped {dropped}").unwrap();
    }
    if !span.trace_state.is_empty() {
        write!(out, " state {:?}", span.trace_state).unwrap();
    }
    *out += "\n";
    attributes(out, "    ", &span.attributes);
    for event in &span.events {
        writeln!(out, "    event {:?} at {}", event.name, event.time_unix_nano).unwrap();
        attributes(out, "      ", &event.attributes);
    }
    for link in &span.links {
        writeln!(out, "    link {} {}", hex(&link.trace_id), hex(&link.span_id)).unwrap();
        attributes(out, "      ", &link.attributes);
    }
}

fn attributes(out: &mut String, indent: &str, attributes: &[KeyValue]) {
    for attribute in attributes {
        value(out, &format!("{indent}{} = ", attribute.key), attribute.value.as_ref());
    }
}

fn value(out: &mut String, start: &str, any: Option<&AnyValue>) {
    let shown = match any.and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => format!("{text:?}"),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => format!("{number:?}"),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::BytesValue(bytes)) => format!("b\"{}\"", bytes.escape_ascii()),
        Some(Value::ArrayValue(list)) => {
            return list.values.iter().for_each(|any| value(out, start, Some(any)));
        }
        Some(Value::KvlistValue(map)) => {
            return map.values.iter().for_each(|pair| value(out, start, pair.value.as_ref()));
        }
        // An index into a table that only profiles have.
        Some(Value::StringValueStrindex(_)) | None => return,
    };
    writeln!(out, "{start}{shown}").unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn traces() -> impl Strategy<Value = TracesData> {
    vec(resource_spans(), 0..3).prop_map(|resource_spans| TracesData { resource_spans })
}

fn resource_spans() -> impl Strategy<Value = ResourceSpans> {
    let resource =
        vec(attribute(), 0..4).prop_map(|attributes| Resource { attributes, ..Default::default() });
    let scope = vec(attribute(), 0..2).prop_map(|attributes| InstrumentationScope {
        name: "scope".to_owned(),
        attributes,
        ..Default::default()
    });
    let scope_spans = (option::of(scope), vec(any_span(), 0..3)).prop_map(|(scope, spans)| ScopeSpans {
        scope,
        spans,
        schema_url: String::new(),
    });
    (option::of(resource), vec(scope_spans, 0..3), "[a-z:/]{0,8}")
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url })
}

fn any_span() -> impl Strategy<Value = Span> {
    let ids = (id(16), id(8), option::of(id(8)));
    let head = (text(), -1..8i32, any::<u64>(), any::<u64>(), any::<u32>(), "[a-z=,]{0,9}");
    let status = option::of((text(), 0..4i32).prop_map(|(message, code)| Status { message, code }));
    let event = (text(), any::<u64>(), vec(attribute(), 0..3), any::<u32>()).prop_map(
        |(name, time_unix_nano, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    );
    let link = (id(16), id(8), vec(attribute(), 0..2), any::<u32>()).prop_map(
        |(trace_id, span_id, attributes, flags)| Link {
            trace_id,
            span_id,
            attributes,
            flags,
            ..Default::default()
        },
    );
    let parts = (vec(attribute(), 0..5), vec(event, 0..3), vec(link, 0..3), any::<[u32; 3]>());
    (ids, head, status, parts).prop_map(|(ids, head, status, (attributes, events, links, dropped))| Span {
        trace_id: ids.0,
        span_id: ids.1,
        parent_span_id: ids.2.unwrap_or_default(),
        name: head.0,
        kind: head.1,
        start_time_unix_nano: head.2,
        end_time_unix_nano: head.3,
        flags: head.4,
        trace_state: head.5,
        attributes,
        events,
        links,
        dropped_attributes_count: dropped[0],
        dropped_events_count: dropped[1],
        dropped_links_count: dropped[2],
        status,
    })
}

fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), length).prop_filter("an id is not all zero", |id| id.iter().any(|&byte| byte != 0))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z.]{0,12}", any::<String>(), "[a-z]{100,200}"]
}

fn attribute() -> impl Strategy<Value = KeyValue> {
    ("[a-z.]{1,20}", option::weighted(0.9, any_value())).prop_map(|(key, value)| KeyValue {
        key,
        value,
        ..Default::default()
    })
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        text().prop_map(Value::StringValue),
        any::<i64>().prop_map(Value::IntValue),
        (-1e9..1e9).prop_map(Value::DoubleValue),
        any::<bool>().prop_map(Value::BoolValue),
        vec(any::<u8>(), 0..20).prop_map(Value::BytesValue),
    ];
    let leaf = option::weighted(0.9, leaf).prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 12, 3, |inner| {
        let pair = ("[a-z]{1,4}", option::of(inner.clone())).prop_map(|(key, value)| KeyValue {
            key,
            value,
            ..Default::default()
        });
        prop_oneof![
            vec(inner, 0..3).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(pair, 0..3).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

/// Which fields of a message are messages, and what is in those.
struct Shape(&'static [(u32, &'static Shape)]);

const LEAF: &Shape = &Shape(&[]);
/// Deep enough for what [`any_value`] makes.
const VALUE: &Shape = &Shape(&[(5, &Shape(&[(1, LEAF)])), (6, &Shape(&[(1, &Shape(&[(2, LEAF)]))]))]);
const PAIR: &Shape = &Shape(&[(2, VALUE)]);
const SPAN: &Shape = &Shape(&[(9, PAIR), (11, &Shape(&[(3, PAIR)])), (13, &Shape(&[(4, PAIR)])), (15, LEAF)]);
const MESSAGE: &Shape = &Shape(&[(
    1,
    &Shape(&[(1, &Shape(&[(1, PAIR)])), (2, &Shape(&[(1, &Shape(&[(3, PAIR)])), (2, SPAN)]))]),
)]);

/// The same message with its fields in another order, those of one number in the same, and unknown ones in between.
fn shuffle(message: &[u8], shape: &Shape, seed: &mut u64) -> Vec<u8> {
    let mut fields: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let all = rest;
        let tag = varint(&mut rest);
        let mut field = Vec::new();
        match tag & 7 {
            0 => _ = varint(&mut rest),
            1 => rest = &rest[8..],
            2 => {
                let length = usize::try_from(varint(&mut rest)).unwrap();
                let (inside, after) = rest.split_at(length);
                rest = after;
                if let Some((_, shape)) = shape.0.iter().find(|(number, _)| u64::from(*number) == tag >> 3) {
                    let inside = shuffle(inside, shape, seed);
                    prost::encoding::encode_varint(tag, &mut field);
                    prost::encoding::encode_varint(inside.len() as u64, &mut field);
                    field.extend_from_slice(&inside);
                }
            }
            5 => rest = &rest[4..],
            other => panic!("wire type {other}"),
        }
        if field.is_empty() {
            field.extend_from_slice(&all[..all.len() - rest.len()]);
        }
        fields.push((tag, field));
    }
    let mut out = Vec::new();
    while !fields.is_empty() {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (tag, _) = fields[(*seed >> 33) as usize % fields.len()];
        let first = fields.iter().position(|field| field.0 == tag).unwrap();
        out.extend(fields.remove(first).1);
        match *seed >> 60 {
            0 => out.extend(b"\x98\x06\x07"),                 // field 99, a varint
            1 => out.extend(b"\x9a\x06\x03new"),              // field 99, bytes
            2 => out.extend(b"\x9b\x06\x98\x06\x01\x9c\x06"), // field 99, a group
            _ => {}
        }
    }
    out
}

fn varint(bytes: &mut &[u8]) -> u64 {
    prost::encoding::decode_varint(bytes).unwrap()
}

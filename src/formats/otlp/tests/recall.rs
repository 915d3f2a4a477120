//! An attribute that is known by its bytes says what it says when it is read.

use hopseal_correlate::dialect::{Dialects, KeyId};
use hopseal_correlate::field::Field;
use hopseal_correlate::intake::{Intake, Records};
use hopseal_correlate::record::{Record, Span};
use hopseal_correlate::sink::{Link, Position, Sink, SpanHead, SpanId, TraceId, Value};
use hopseal_correlate::words::Words;
use opentelemetry_proto::tonic::trace::v1::TracesData;
use proptest::prelude::*;
use prost::Message as _;

use super::oracle::traces;
use super::{json, protobuf};

#[derive(Debug, Default)]
struct Kept {
    records: Vec<Vec<u8>>,
    rejected: Vec<String>,
}

impl Records for &mut Kept {
    fn record(&mut self, record: &Record<'_>) {
        self.records.push(record.to_bytes());
    }

    fn reject(&mut self, at: Position, reason: &str) {
        self.rejected.push(format!("{at}: {reason}"));
    }
}

/// Counts what was recalled; asked not to, recalls nothing.
struct Counting<S> {
    sink: S,
    recalls: bool,
    /// Attributes that were recalled, and names.
    recalled: usize,
    names: usize,
}

impl<S: Sink> Sink for Counting<S> {
    fn resource(&mut self) {
        self.sink.resource();
    }
    fn resource_attribute(&mut self, key: &str, value: Value<'_>) {
        self.sink.resource_attribute(key, value);
    }
    fn scope(&mut self) {
        self.sink.scope();
    }
    fn scope_attribute(&mut self, key: &str, value: Value<'_>) {
        self.sink.scope_attribute(key, value);
    }
    fn span_start(&mut self) {
        self.sink.span_start();
    }
    fn attribute(&mut self, key: &str, value: Value<'_>) {
        self.sink.attribute(key, value);
    }
    fn recall(&mut self, encoded: &[u8]) -> bool {
        let recalled = self.recalls && self.sink.recall(encoded);
        self.recalled += usize::from(recalled);
        recalled
    }
    fn remember(&mut self, encoded: &[u8]) {
        if self.recalls {
            self.sink.remember(encoded);
        }
    }
    fn recall_name(&mut self, name: &[u8]) -> bool {
        let recalled = self.recalls && self.sink.recall_name(name);
        self.names += usize::from(recalled);
        recalled
    }
    fn names_secret(&mut self, key: &str) -> bool {
        self.sink.names_secret(key)
    }
    fn text(&mut self, place: &str, text: &str) {
        self.sink.text(place, text);
    }
    fn event(&mut self, name: &str, time: u64) {
        self.sink.event(name, time);
    }
    fn event_attribute(&mut self, key: &str, value: Value<'_>) {
        self.sink.event_attribute(key, value);
    }
    fn link(&mut self, link: Link) {
        self.sink.link(link);
    }
    fn link_attribute(&mut self, key: &str, value: Value<'_>) {
        self.sink.link_attribute(key, value);
    }
    fn span_end(&mut self, head: &SpanHead<'_>) {
        self.sink.span_end(head);
    }
    fn span_abort(&mut self) {
        self.sink.span_abort();
    }
    fn reject(&mut self, at: Position, reason: &str) {
        self.sink.reject(at, reason);
    }
}

/// Of each span its id, its name and its fields.
pub(super) type Said = Vec<(SpanId, String, Vec<(Field, KeyId, String, Option<(TraceId, SpanId)>)>)>;

/// What reading a message four times over says, and how many attributes and names were recalled.
fn read(message: impl Fn(&mut dyn Sink), recalls: bool) -> (Said, Vec<String>, [usize; 2]) {
    let dialects = Dialects::built_in().unwrap();
    let (mut words, mut kept) = (Words::default(), Kept::default());
    let mut sink =
        Counting { sink: Intake::new(&dialects, &mut words, &mut kept), recalls, recalled: 0, names: 0 };
    (0..4).for_each(|_| message(&mut sink));
    let recalled = [sink.recalled, sink.names];
    let said = kept.records.iter().map(|record| {
        let (_, span) = Span::read(record, &words).unwrap();
        let entries =
            span.entries().map(|entry| (entry.field, entry.key, entry.text.to_owned(), entry.link()));
        (span.id, span.name.to_owned(), entries.collect())
    });
    (said.collect(), kept.rejected, recalled)
}

pub(super) fn in_protobuf(bytes: &[u8], recalls: bool) -> (Said, Vec<String>, [usize; 2]) {
    read(|sink| _ = protobuf::message(bytes, Position::Byte(0), sink), recalls)
}

pub(super) fn in_json(text: &str, recalls: bool) -> (Said, Vec<String>, [usize; 2]) {
    read(|sink| _ = json::message(text.as_bytes(), Position::Byte(0), sink), recalls)
}

fn same((said, rejected, _): (Said, Vec<String>, [usize; 2]), others: (Said, Vec<String>, [usize; 2])) {
    assert_eq!(said, others.0);
    assert_eq!(rejected, others.1);
}

const SPAN: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"01010101010101010101010101010101",
    "spanId":"0202020202020202","name":"GET /","attributes":[ATTRIBUTES]}]}]}]}"#;

#[test]
fn plain_attributes_are_recalled() {
    for (attributes, expected) in [
        // The first time says it, the second makes a word, the third is remembered, the fourth recalled.
        (r#"{"key":"user.id","value":{"stringValue":"u"}}"#, 1),
        (r#"{"key":"http.response.status_code","value":{"intValue":"200"}}"#, 1),
        (r#"{ "key" : "user.id" , "value" : {"stringValue":"a}}b"}}"#, 0),
        // Two values are two facts.
        (
            r#"{"key":"user.roles","value":{"arrayValue":{"values":[{"stringValue":"a"},{"stringValue":"b"}]}}}"#,
            0,
        ),
        // Told of each time.
        (r#"{"key":"http.url","value":{"stringValue":"https://x/?access_token=8fj3kd93jd83hd93jd83"}}"#, 0),
        // The second value is refused each time.
        (r#"{"key":"user.id","value":{"stringValue":"u","intValue":"1"}}"#, 0),
    ] {
        let text = SPAN.replace("ATTRIBUTES", attributes);
        let with = in_json(&text, true);
        assert_eq!(with.2, [expected, 0], "{attributes}");
        same(with, in_json(&text, false));
        let data: TracesData = serde_json::from_str(&text).unwrap();
        let bytes = data.encode_to_vec();
        let with = in_protobuf(&bytes, true);
        // The second time makes a word, the third finds it, the fourth recalls it.
        assert_eq!(with.2[1], 1, "{attributes}");
        same(with, in_protobuf(&bytes, false));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn recalling_changes_nothing(data in traces()) {
        let bytes = data.encode_to_vec();
        same(in_protobuf(&bytes, true), in_protobuf(&bytes, false));
        let text = serde_json::to_string(&data).unwrap();
        same(in_json(&text, true), in_json(&text, false));
    }
}

use super::element;
use crate::testing::{Record, line, real_trace};
use crate::{Format, Limits, read};

#[test]
fn small_file() {
    let json = include_bytes!("../../fuzz/seeds/zipkin_v1/checkout.json");
    let mut record = Record::default();
    read(&json[..], &Limits::default(), &mut record, &mut |_| {}).unwrap();
    insta::assert_snapshot!(record.text());
}

/// One annotation `value` at `time`, by `service` unless empty.
fn annotation(value: &str, time: u64, service: &str) -> String {
    format!(r#"{{"value":"{value}","timestamp":{time}{}}}"#, endpoint(service))
}

fn tag(key: &str, value: &str, service: &str) -> String {
    format!(r#"{{"key":"{key}","value":{value}{}}}"#, endpoint(service))
}

fn endpoint(service: &str) -> String {
    if service.is_empty() { String::new() } else { format!(r#","endpoint":{{"serviceName":"{service}"}}"#) }
}

fn calls(members: &str, annotations: &[String], tags: &[String]) -> String {
    let (annotations, tags) = (annotations.join(","), tags.join(","));
    let json = format!(
        r#"{{"traceId":"1","id":"2"{members},"annotations":[{annotations}],"binaryAnnotations":[{tags}]}}"#
    );
    line(element, &json).replace("service.name = ", "").replace("\"\" ", "")
}

#[test]
fn ends_and_their_times() {
    let (cs, cr) = (annotation("cs", 1, "a"), annotation("cr", 9, "a"));
    let (sr, ss) = (annotation("sr", 3, "b"), annotation("ss", 7, "b"));
    let (ms, mr) = (annotation("ms", 1, "a"), annotation("mr", 5, "b"));
    let own = r#","timestamp":2,"duration":6"#;
    for (members, annotations, expected) in [
        ("", vec![], "Unspecified 0..0"),
        (own, vec![], "Unspecified 2000..8000"),
        ("", vec![&cs, &cr], r#""a" Client 1000..9000"#),
        (own, vec![&cs, &cr], r#""a" Client 2000..8000"#),
        ("", vec![&cs], r#""a" Client 1000..0"#),
        (r#","duration":4"#, vec![&cs], r#""a" Client 1000..5000"#),
        ("", vec![&cr], r#""a" Client 0..9000"#),
        // A server that did not begin the span says so by leaving out its timestamp.
        (own, vec![&sr, &ss], r#""b" Server 2000..8000"#),
        ("", vec![&ss, &sr], r#""b" Server 3000..7000 shared"#),
        (own, vec![&cs, &sr, &ss, &cr], r#""a" Client 2000..8000 "b" Server 3000..7000 shared"#),
        ("", vec![&cr, &ss, &sr, &cs], r#""a" Client 1000..9000 "b" Server 3000..7000 shared"#),
        ("", vec![&cs, &sr], r#""a" Client 1000..0 "b" Server 3000..0 shared"#),
        (own, vec![&ms], r#""a" Producer 2000..8000"#),
        (own, vec![&mr], r#""b" Consumer 2000..8000"#),
        ("", vec![&ms, &mr], r#""a" Producer 1000..0 "b" Consumer 5000..0 shared"#),
        // The first of two counts.
        ("", vec![&cs, &annotation("cs", 4, "z"), &cr], r#""a" Client 1000..9000"#),
        ("", vec![&annotation("cs", 4, ""), &cr], r#""a" Client 4000..9000"#),
        // Without a kind: from the first to the last that happened.
        (
            "",
            vec![&annotation("x", 5, "a"), &annotation("y", 4, "b")],
            r#""a" Unspecified 4000..5000 event "x" at 5000 event "y" at 4000"#,
        ),
    ] {
        let annotations: Vec<String> = annotations.into_iter().cloned().collect();
        assert_eq!(calls(members, &annotations, &[]), expected, "{members} {annotations:?}");
    }
}

#[test]
fn each_annotation_goes_to_its_end() {
    let client = [annotation("cs", 1, "a")];
    let both = [annotation("cs", 1, "a"), annotation("sr", 2, "b")];
    let one = [annotation("cs", 1, "a"), annotation("sr", 2, "a")];
    for (annotations, tag, expected) in [
        (&client[..], tag("k", "1", "a"), r#""a" Client 1000..0 k = 1"#),
        (&client, tag("k", "1", "z"), r#""a" Client 1000..0 k = 1"#),
        (&client, tag("k", "1", ""), r#""a" Client 1000..0 k = 1"#),
        (&both, tag("k", "1", "a"), r#""a" Client 1000..0 k = 1 "b" Server 2000..0 shared"#),
        (&both, tag("k", "1", "b"), r#""a" Client 1000..0 "b" Server 2000..0 shared k = 1"#),
        (&both, tag("k", "1", "z"), r#""a" Client 1000..0 "b" Server 2000..0 shared k = 1"#),
        (&both, tag("k", "1", ""), r#""a" Client 1000..0 "b" Server 2000..0 shared k = 1"#),
        (&one, tag("k", "1", "a"), r#""a" Client 1000..0 k = 1 "a" Server 2000..0 shared k = 1"#),
        // Values
        (&client, tag("k", "\"x\"", ""), r#""a" Client 1000..0 k = "x""#),
        (&client, tag("k", "true", ""), r#""a" Client 1000..0 k = true"#),
        (&client, tag("k", "1.5", ""), r#""a" Client 1000..0 k = 1.5"#),
        (&client, tag("k", "null", ""), r#""a" Client 1000..0"#),
        (&client, tag("error", "\"no\"", "a"), r#""a" Client 1000..0 Error error = "no""#),
        (&client, tag("error", "false", "a"), r#""a" Client 1000..0 error = false"#),
        // Addresses of the other end
        (&client, tag("sa", "true", "db"), r#""a" Client 1000..0 peer.service = "db""#),
        (&client, tag("ca", "true", "me"), r#""a" Client 1000..0"#),
        (&client, tag("sa", "true", ""), r#""a" Client 1000..0 sa = true"#),
        (&both, tag("ca", "true", "a"), r#""a" Client 1000..0 "b" Server 2000..0 shared peer.service = "a""#),
        // Without a kind
        (&[], tag("lc", "\"x\"", "a"), r#""a" Unspecified 0..0 lc = "x""#),
        (&[], tag("sa", "true", "db"), r#"Unspecified 0..0 peer.service = "db""#),
        (&[], tag("ca", "true", "a"), r#""a" Unspecified 0..0"#),
    ] {
        assert_eq!(calls("", annotations, std::slice::from_ref(&tag)), expected, "{annotations:?} {tag}");
    }
}

#[test]
fn what_is_bad_in_a_span_loses_nothing_else() {
    let json = r#"{"traceId":"1","id":"2","annotations":[{"value":"sr"},7],"binaryAnnotations":{}}"#;
    assert_eq!(
        line(element, json),
        r#""" Server 0..0 shared rejected byte 54: `annotations` is not an object"#
    );
    for (json, reason) in [
        (r#"{"id":"2"}"#, "byte 0: `traceId` is missing"),
        (r#"{"traceId":"1"}"#, "byte 0: `id` is missing"),
        (r#"{"traceId":"1","id":"2","annotations":[{"val"#, "byte 44: `span` ends too early"),
        ("[]", "byte 0: `span` is not an object"),
    ] {
        assert_eq!(line(element, json), format!("rejected {reason}"), "{json}");
    }
}

#[test]
fn real_trace_has_both_ends() {
    let Some(json) = real_trace("train-ticket-login.zipkin-v1.json") else { return };
    let mut record = Record::default();
    let summary = read(&json[..], &Limits::default(), &mut record, &mut |_| {}).unwrap();
    assert_eq!(summary.format, Format::ZipkinV1);
    assert_eq!(record.rejected, [""; 0]);
    assert_eq!(record.spans, 157);
    for (what, count) in [(" Client ", 78), (" Server ", 79), (" shared\n", 78)] {
        assert_eq!(record.calls.matches(what).count(), count, "{what}");
    }
}

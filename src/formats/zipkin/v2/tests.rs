use super::element;
use crate::testing::{Record, line, real_trace};
use crate::{Format, Limits, read};

#[test]
fn small_file() {
    let json = include_bytes!("../../fuzz/seeds/zipkin_v2/checkout.json");
    let mut record = Record::default();
    read(&json[..], &Limits::default(), &mut record, &mut |_| {}).unwrap();
    insta::assert_snapshot!(record.text());
}

/// Span 2 of trace 1, with `members` beside its ids, in one line.
fn span(members: &str) -> String {
    line(element, &format!(r#"{{"traceId":"1","id":"2",{members}}}"#))
}

#[test]
fn heads() {
    for (members, expected) in [
        (r#""x":1"#, r#""" Unspecified 0..0"#),
        (r#""kind":"CLIENT""#, r#""" Client 0..0"#),
        (r#""kind":"server""#, r#""" Server 0..0"#),
        (r#""kind":"PRODUCER""#, r#""" Producer 0..0"#),
        (r#""kind":"CONSUMER""#, r#""" Consumer 0..0"#),
        (r#""kind":null"#, r#""" Unspecified 0..0"#),
        (r#""kind":"LOCAL""#, r#""" Unspecified 0..0 rejected byte 31: `kind` is no kind of span"#),
        (r#""shared":true"#, r#""" Unspecified 0..0 shared"#),
        (r#""shared":false"#, r#""" Unspecified 0..0"#),
        // The last of two counts.
        (r#""id":"FF""#, r#"span 01 ff "" Unspecified 0..0"#),
        (r#""parentId":"0""#, r#""" Unspecified 0..0"#),
        (r#""parentId":"""#, r#""" Unspecified 0..0"#),
        (r#""parentId":null"#, r#""" Unspecified 0..0"#),
        (r#""parentId":"2""#, r#"<- 02 "" Unspecified 0..0"#),
        (r#""timestamp":5,"duration":3"#, r#""" Unspecified 5000..8000"#),
        (r#""timestamp":5"#, r#""" Unspecified 5000..0"#),
        (r#""duration":3"#, r#""" Unspecified 0..0"#),
        (r#""timestamp":"5","duration":3.9"#, r#""" Unspecified 5000..8000"#),
        (
            r#""timestamp":18446744073709551615,"duration":1e300"#,
            r#""" Unspecified 18446744073709551615..18446744073709551615"#,
        ),
        (
            r#""timestamp":-5"#,
            r#""" Unspecified 0..0 rejected byte 36: `timestamp` is no count of microseconds"#,
        ),
        (
            r#""timestamp":1e999"#,
            r#""" Unspecified 0..0 rejected byte 36: `timestamp` is no count of microseconds"#,
        ),
        (
            r#""timestamp":{}"#,
            r#""" Unspecified 0..0 rejected byte 36: `timestamp` is no count of microseconds"#,
        ),
        (r#""name":"a\"b""#, r#""a\"b" Unspecified 0..0"#),
        (r#""name":null"#, r#""" Unspecified 0..0"#),
        (r#""name":7"#, r#""7" Unspecified 0..0"#),
        (
            r#""name":"\ud800""#,
            "\"\u{fffd}\u{fffd}\u{fffd}\" Unspecified 0..0 rejected byte 31: `name` holds text that is not Unicode",
        ),
    ] {
        assert_eq!(span(members), expected, "{members}");
    }
}

#[test]
fn tags_annotations_and_endpoints() {
    for (members, expected) in [
        (r#""tags":{"a":1,"b":true,"c":1.5,"d":null}"#, "a = 1 b = true c = 1.5"),
        (r#""tags":{"a":{"b":[]},"a":"again"}"#, r#"a = "{\"b\":[]}" a = "again""#),
        (r#""tags":[]"#, "rejected byte 31: `tags` is not an object"),
        (
            r#""tags":{"a":"1","b":oops,"c":"3"}"#,
            r#"a = "1" c = "3" rejected byte 44: `tags` holds a value that is not valid JSON"#,
        ),
        (r#""tags":{"error":""}"#, r#"Error error = """#),
        (r#""tags":{"error":"false"}"#, r#"error = "false""#),
        (
            r#""annotations":[{"value":"x"},{"value":"y","timestamp":1},{"timestamp":1}]"#,
            r#"event "x" at 0 event "y" at 1000"#,
        ),
        (r#""annotations":[7]"#, "rejected byte 39: `annotations` is not an object"),
        (
            r#""remoteEndpoint":{"serviceName":"b","ipv6":"::1","port":"80"}"#,
            r#"peer.service = "b" network.peer.address = "::1" network.peer.port = 80"#,
        ),
        (
            r#""remoteEndpoint":{"ipv4":"10.0.0.1","ipv6":"::1","port":0}"#,
            r#"network.peer.address = "10.0.0.1""#,
        ),
        (r#""remoteEndpoint":{"port":65536}"#, "rejected byte 49: `port` is no port"),
    ] {
        assert_eq!(span(members), format!(r#""" Unspecified 0..0 {expected}"#), "{members}");
    }
    for (local, expected) in [
        (r#"{"serviceName":"a"}"#, r#"service.name = "a" "#),
        (
            r#"{"serviceName":"a","ipv4":"10.0.0.1"}"#,
            r#"service.name = "a" service.instance.id = "10.0.0.1" "#,
        ),
        (r#"{"ipv4":"10.0.0.1","port":80}"#, r#"service.instance.id = "10.0.0.1:80" "#),
        (r#"{"ipv6":"::1","port":80}"#, r#"service.instance.id = "[::1]:80" "#),
        (r#"{"port":80}"#, ""),
    ] {
        let expected = format!(r#"{expected}"" Unspecified 0..0"#);
        assert_eq!(span(&format!(r#""localEndpoint":{local}"#)), expected, "{local}");
    }
}

#[test]
fn a_span_is_refused_for_its_ids_alone() {
    for (json, reason) in [
        (r#"{"id":"2"}"#, "byte 0: `traceId` is missing"),
        (r#"{"traceId":null,"id":"2"}"#, "byte 0: `traceId` is missing"),
        (r#"{"traceId":"1"}"#, "byte 0: `id` is missing"),
        (r#"{"traceId":"0","id":"2"}"#, "byte 11: `traceId` is zero"),
        (r#"{"traceId":"","id":"2"}"#, "byte 11: `traceId` is empty"),
        (r#"{"traceId":1,"id":"2"}"#, "byte 11: `traceId` is not a string"),
        (r#"{"traceId":"0x1","id":"2"}"#, "byte 11: `traceId` is not hex"),
        (
            r#"{"traceId":"000000000000000000000000000000001","id":"2"}"#,
            "byte 11: `traceId` is longer than 32 digits",
        ),
        (r#"{"traceId":"1","id":""}"#, "byte 20: `id` is empty"),
        (r#"{"traceId":"1","id":"0000"}"#, "byte 20: `id` is zero"),
        (r#"{"traceId":"1","id":"00000000000000001"}"#, "byte 20: `id` is longer than 16 digits"),
        (r#"{"traceId":"1","id":"2","parentId":"z"}"#, "byte 35: `parentId` is not hex"),
        (r#"{"traceId":"1","id":"2" "name":""}"#, "byte 24: `span` is not valid JSON"),
        (r#"{"traceId":"1","id":"2","na"#, "byte 27: `span` ends too early"),
        (r#""span""#, "byte 0: `span` is not an object"),
        ("", "byte 0: `span` is not an object"),
    ] {
        assert_eq!(line(element, json), format!("rejected {reason}"), "{json}");
    }
}

#[test]
fn real_traces() {
    for (name, spans, servers, shared) in [
        ("smartthings-install.zipkin-v2.json", 1041, 326, 294),
        ("messaging-kafka.zipkin-v2.json", 28, 0, 0),
        ("clock-skew.zipkin-v2.json", 4, 2, 1),
    ] {
        let Some(json) = real_trace(name) else { return };
        let mut record = Record::default();
        let summary = read(&json[..], &Limits::default(), &mut record, &mut |_| {}).unwrap();
        assert_eq!(summary.format, Format::ZipkinV2, "{name}");
        assert_eq!(record.rejected, [""; 0], "{name}");
        assert_eq!(record.spans, spans, "{name}");
        assert_eq!(record.calls.matches(" Server ").count(), servers, "{name}");
        assert_eq!(record.calls.matches(" shared\n").count(), shared, "{name}");
    }
}

//! Input that means harm, or was harmed.

use hopseal_correlate::sink::Position;
use prost::encoding::encode_varint;

use super::{read_json, read_protobuf};
use crate::otlp::{Framing, json, protobuf};
use crate::testing::Record;

/// A length-delimited field.
fn field(number: u64, inside: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_varint(number << 3 | 2, &mut out);
    encode_varint(inside.len() as u64, &mut out);
    out.extend_from_slice(inside);
    out
}

fn ids() -> Vec<u8> {
    [field(1, &[7; 16]), field(2, &[9; 8])].concat()
}

/// A message with these spans, between two good ones.
fn between_good_spans(spans: &[&[u8]]) -> Vec<u8> {
    let good = field(2, &[ids(), field(5, b"good")].concat());
    let spans: Vec<u8> = spans.iter().flat_map(|span| field(2, span)).collect();
    field(1, &field(2, &[good.clone(), spans, good].concat()))
}

fn pair(key: &[u8], value: &[u8]) -> Vec<u8> {
    [field(1, key), field(2, value)].concat()
}

/// A bad span is taken back, with its reason, and its neighbours are read.
#[test]
fn bad_protobuf_spans() {
    for (span, reason) in [
        (field(2, &[9; 8]), "the trace id is not 16 bytes, or all zero"),
        ([field(1, &[0; 16]), field(2, &[9; 8])].concat(), "the trace id is not 16 bytes, or all zero"),
        ([field(1, &[7; 15]), field(2, &[9; 8])].concat(), "the trace id is not 16 bytes, or all zero"),
        ([field(1, &[7; 16]), field(2, &[0; 8])].concat(), "the span id is not 8 bytes, or all zero"),
        ([field(1, &[7; 16]), field(2, &[9; 9])].concat(), "the span id is not 8 bytes, or all zero"),
        ([ids(), field(4, &[1; 7])].concat(), "the parent span id is neither absent nor 8 bytes"),
        ([ids(), vec![0x28, 0x01]].concat(), "a field has the wrong wire type"),
        ([ids(), vec![0x4a, 0x7f, 0x01]].concat(), "cut short: a length runs past the end of what holds it"),
        (
            [ids(), vec![0x39, 0x01]].concat(),
            "cut short: a fixed-size number runs past the end of what holds it",
        ),
        ([ids(), vec![0x00]].concat(), "not protobuf: a field number or wire type that does not exist"),
        ([ids(), vec![0x30, 0xff]].concat(), "not protobuf: a varint that does not end"),
        ([ids(), vec![0x0b]].concat(), "not protobuf: a varint that does not end"),
    ] {
        let record = read_protobuf(&between_good_spans(&[&span]));
        assert_eq!(record.rejected.len(), 1, "{reason}: {:?}", record.rejected);
        assert!(record.rejected[0].ends_with(&format!(": {reason}")), "{:?}", record.rejected);
        assert_eq!((record.spans, record.aborted), (2, 1), "{reason}");
    }
}

/// A bad attribute, event, link or text is refused, and its span is read.
#[test]
fn bad_parts_of_a_protobuf_span() {
    for (part, reason, told) in [
        (
            field(9, &pair(b"k", &field(1, b"\xff"))),
            "attribute: the value is not UTF-8, taken as bytes",
            "    k = b\"\\xff\"\n",
        ),
        (field(9, &pair(b"\xff", &field(1, b"v"))), "attribute: the key is not UTF-8", ""),
        (field(9, &pair(b"k", b"\x08\x01")), "a field has the wrong wire type", ""),
        (field(9, &pair(b"k", b"\x0a\x09v")), "cut short: a length runs past the end of what holds it", ""),
        (field(9, b"\x08\x01"), "a field has the wrong wire type", ""),
        (field(5, b"\xff"), "the span's name is not UTF-8, left out", ""),
        (field(3, b"\xff"), "the span's trace state is not UTF-8, left out", ""),
        (field(11, b"\x12\x01\xff"), "an event's name is not UTF-8, left out", "    event \"\" at 0\n"),
        (field(11, b"\x08\x01"), "a field has the wrong wire type", ""),
        (field(13, &field(1, &[7; 16])), "a link's span id is not 8 bytes, or all zero", ""),
        (field(13, &field(2, &[7; 8])), "a link's trace id is not 16 bytes, or all zero", ""),
    ] {
        let record = read_protobuf(&between_good_spans(&[&[ids(), part].concat()]));
        assert_eq!((record.spans, record.aborted), (3, 0), "{reason}");
        assert_eq!(record.rejected.len(), 1, "{reason}: {:?}", record.rejected);
        assert!(record.rejected[0].ends_with(reason), "{:?}", record.rejected);
        let span = format!("  span {} {} \"\" Unspecified 0..0\n{told}", "07".repeat(16), "09".repeat(8));
        assert!(record.calls.contains(&span), "{}", record.text());
    }
}

/// Of a field that may occur once, the last counts; messages in parts are one.
#[test]
fn fields_that_occur_again() {
    let list = |text: &[u8]| field(5, &field(1, &field(1, text)));
    let twice = [
        [field(1, &[1; 16]), ids(), field(5, b"first"), field(5, b"last")].concat(),
        [field(4, &[6; 8]), field(4, &[5; 8])].concat(),
        vec![0x30, 2, 0x30, 3],
        [[0x39, 1, 0, 0, 0, 0, 0, 0, 0], [0x41, 2, 0, 0, 0, 0, 0, 0, 0]].concat(),
        [[0x39, 3, 0, 0, 0, 0, 0, 0, 0], [0x41, 4, 0, 0, 0, 0, 0, 0, 0]].concat(),
        field(15, b"\x18\x02"),
        field(15, b"\x12\x01m"),
        field(
            9,
            &[field(1, b"old"), field(1, b"k"), field(2, &field(1, b"old")), field(2, &field(1, b"new"))]
                .concat(),
        ),
        field(9, &pair(b"lists", &[list(b"a"), list(b"b")].concat())),
        field(9, &[pair(b"parts", &list(b"a")), field(2, &list(b"b"))].concat()),
        field(9, &pair(b"scalar", &[list(b"a"), vec![0x18, 5]].concat())),
        field(9, &pair(b"list", &[list(b"a"), vec![0x18, 5], list(b"b")].concat())),
    ]
    .concat();
    let record = read_protobuf(&field(1, &field(2, &field(2, &twice))));
    assert_eq!(
        record.text(),
        format!(
            "resource\n  span {} {} <- {} \"last\" Client 3..4 Error\n    k = \"new\"\n    lists = \"a\"\n    lists = \"b\"\n    \
             parts = \"a\"\n    parts = \"b\"\n    scalar = 5\n    list = \"b\"\n",
            "07".repeat(16),
            "09".repeat(8),
            "05".repeat(8)
        )
    );
}

/// Lists a million deep: one refusal each, at the 33rd, and no deeper stack.
#[test]
fn nesting() {
    let mut value = vec![0x18, 1];
    for _ in 0..1000 {
        value = field(5, &field(1, &value));
    }
    let record = read_protobuf(&between_good_spans(&[&[ids(), field(9, &pair(b"k", &value))].concat()]));
    assert_eq!(record.spans, 3);
    assert!(record.rejected[0].ends_with("nested too deep"), "{:?}", record.rejected);

    let open = r#"{"arrayValue":{"values":["#.repeat(1_000_000);
    let close = "]}}".repeat(1_000_000);
    let span = r#"{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174""#;
    let record = read_json(&format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span},"attributes":[{{"key":"k","value":{open}{close}}}]}},{span}}}]}}]}}]}}"#
    ));
    assert_eq!(record.spans, 2);
    assert!(record.rejected[0].ends_with("nested too deep"), "{:?}", record.rejected);
    assert_eq!(record.rejected.len(), 1);

    for depth in ["[", r#"{"a":"#, r#"{"resourceSpans":["#, r#"{"result":"#] {
        let record = read_json(&depth.repeat(1_000_000));
        assert_eq!(record.rejected.len(), 1, "{depth}");
    }
}

/// A bad span in JSON is taken back, with its reason, and its neighbours are read.
#[test]
fn bad_json_spans() {
    let ids = r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174""#;
    for (span, reason) in [
        (r#"{"spanId":"eee19b7ec3c1b174"}"#.to_owned(), "the trace id is not 16 bytes, or all zero"),
        (
            r#"{"traceId":"00000000000000000000000000000000","spanId":"eee19b7ec3c1b174"}"#.to_owned(),
            "the trace id is not 16 bytes, or all zero",
        ),
        (
            r#"{"traceId":"5b8efff798038103d269b633813fc60g","spanId":"eee19b7ec3c1b174"}"#.to_owned(),
            "the trace id is not 16 bytes, or all zero",
        ),
        (
            r#"{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee1"}"#.to_owned(),
            "the span id is not 8 bytes, or all zero",
        ),
        (format!(r#"{{{ids},"parentSpanId":"eee1"}}"#), "the parent span id is neither absent nor 8 bytes"),
        (format!("{{{ids} \"name\":\"x\"}}"), "not JSON"),
        (format!("{{{ids},}}"), "not a string"),
        ("[]".to_owned(), "not an object"),
        ("12".to_owned(), "not an object"),
    ] {
        let record = read_json(&format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{ids}}},{span},{{{ids}}}]}}]}}]}}"#
        ));
        assert_eq!(record.spans, 2, "{span}: {}", record.text());
        assert_eq!(record.aborted, 1, "{span}");
        assert!(
            record.rejected.len() == 1 && record.rejected[0].ends_with(reason),
            "{span}: {:?}",
            record.rejected
        );
    }
}

/// A bad part of a JSON span is refused, and the span is read.
#[test]
fn bad_parts_of_a_json_span() {
    let ids = r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174""#;
    for (part, reason) in [
        (r#""kind":"BUTLER""#, "neither a number nor a name that is known"),
        (r#""kind":[2]"#, "not a number"),
        (r#""name":7"#, "not a string"),
        (r#""startTimeUnixNano":"soon""#, "not a number of 64 bits that is not negative"),
        (r#""startTimeUnixNano":-1"#, "not a number of 64 bits that is not negative"),
        (r#""flags":4294967296"#, "not a number of 32 bits that is not negative"),
        (r#""status":{"code":[]}"#, "not a number"),
        (r#""attributes":{}"#, "not a list"),
        (
            r#""attributes":[{"key":"k","value":{"intValue":"x"}}]"#,
            "attribute: the value is not what its type says",
        ),
        (
            r#""attributes":[{"key":"k","value":{"intValue":1,"boolValue":true}}]"#,
            "attribute: more than one value, the first is taken",
        ),
        (r#""attributes":[{"value":{"intValue":1}}]"#, "attribute: no key"),
        (
            r#""attributes":[{"key":"k","value":{"bytesValue":"?"}}]"#,
            "attribute: the value is not what its type says",
        ),
        (r#""attributes":[{"key":"k","value":7}]"#, "not an object"),
        (r#""attributes":[7]"#, "not an object"),
        (r#""events":[7]"#, "not an object"),
        (r#""links":[{}]"#, "a link's trace id is not 16 bytes, or all zero"),
    ] {
        let spans = format!(r#"[{{{part},{ids}}},{{{ids},{part}}}]"#);
        let record = read_json(&format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":{spans}}}]}}]}}"#));
        assert_eq!((record.spans, record.aborted), (2, 0), "{part}: {}", record.text());
        assert_eq!(record.rejected.len(), 2, "{part}: {:?}", record.rejected);
        assert!(record.rejected.iter().all(|line| line.ends_with(reason)), "{part}: {:?}", record.rejected);
    }
}

/// Bytes that are not UTF-8 cost nothing but themselves, and are reported once.
#[test]
fn json_that_is_not_utf8() {
    let ids = r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174""#;
    let text = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{ids},"name":"good","attributes":[
        {{"key":"a","value":{{"stringValue":"?"}}}},{{"key":"b","value":{{"stringValue":"after"}}}}]}}]}}]}}]}}"#
    );
    let bytes: Vec<u8> = text.bytes().map(|byte| if byte == b'?' { 0xff } else { byte }).collect();
    let mut record = Record::default();
    json::message(&bytes, Position::Line(3), &mut record);
    assert!(record.calls.ends_with("    a = \"\u{fffd}\"\n    b = \"after\"\n"), "{}", record.text());
    assert_eq!(record.rejected, ["line 3: not UTF-8: read with U+FFFD in place of the bytes that are not"]);
}

/// 100 MB in one value is one pass, whether it is sound or not.
#[test]
fn enormous_strings() {
    let text = vec![b'a'; 100 << 20];
    let attribute = field(9, &pair(b"k", &field(1, &text)));
    let record = crate::testing::count(|sink| {
        protobuf::message(&between_good_spans(&[&[ids(), attribute].concat()]), Position::Byte(0), sink);
    });
    assert_eq!((record.spans, record.rejected), (3, 0));
    let ids = r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174""#;
    let text = r#"\""#.repeat(50 << 20);
    let json = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{ids},"attributes":[{{"key":"k","value":{{"stringValue":"{text}"}}}}]}}]}}]}}]}}"#
    );
    let record = crate::testing::count(|sink| _ = json::message(json.as_bytes(), Position::Byte(0), sink));
    assert_eq!((record.spans, record.rejected), (1, 0));
}

/// What is wrong with the framing, if anything is.
fn broken(framing: Framing) -> Option<&'static str> {
    match framing {
        Framing::Whole => None,
        Framing::Broken { reason, .. } => Some(reason),
    }
}

/// Whoever counts spans learns of every message of which nobody can say how many it holds, and of no other.
#[test]
fn protobuf_whose_spans_cannot_be_told_apart() {
    const CUT: &str = "cut short: a length runs past the end of what holds it";
    const TYPE: &str = "a field has the wrong wire type";
    let framing = |bytes: &[u8]| protobuf::message(bytes, Position::Byte(0), &mut Record::default());
    let good = between_good_spans(&[]);
    for (message, expected) in [
        (good.clone(), None),
        (between_good_spans(&[&[7]]), None),
        (between_good_spans(&[&[ids(), vec![0x4a, 0x7f, 0x01]].concat()]), None),
        ([field(15, b"new"), good.clone()].concat(), None),
        (field(1, &[field(1, &field(1, b"\x0a\x01\xff")), field(9, b"new")].concat()), None),
        (field(1, &field(1, b"\x0a\x09a")), Some(CUT)),
        (field(1, &field(2, &field(1, b"\x1a\x09a"))), Some(CUT)),
        (field(1, b"\x08\x01"), Some(TYPE)),
        (field(1, &field(2, b"\x10\x01")), Some(TYPE)),
        ([b"\x08\x01", &good[..]].concat(), Some(TYPE)),
        (
            [&good[..], b"\x0f"].concat(),
            Some("not protobuf: a field number or wire type that does not exist"),
        ),
        (field(1, &field(2, b"\x12\x05\x0a")), Some(CUT)),
    ] {
        assert_eq!(broken(framing(&message)), expected, "{}", message.escape_ascii());
    }
    for end in 1..good.len() {
        assert!(broken(framing(&good[..end])).is_some(), "{end}");
    }
}

#[test]
fn json_whose_spans_cannot_be_told_apart() {
    let framing = |json: &[u8]| json::message(json, Position::Byte(0), &mut Record::default());
    let span = r#"{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}"#;
    let of_spans = |spans: &str| format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":{spans}}}]}}]}}"#);
    let good = of_spans(&format!("[{span},{span}]"));
    for (json, expected) in [
        ("{}".to_owned(), None),
        (good.clone(), None),
        (of_spans("[{},7,[]]"), None),
        (of_spans(r#"[{"traceId" 7}]"#), None),
        (r#"{"resourceSpans":[{"resource":{"attributes":[7]},"new":1}]}"#.to_owned(), None),
        (r#"{"resourceSpans":[{"resource":{"attributes":7}}]}"#.to_owned(), Some("not a list")),
        (r#"{"resourceSpans":[{"resource":7}]}"#.to_owned(), Some("not an object")),
        (r#"{"resourceSpans":[7]}"#.to_owned(), Some("not an object")),
        (r#"{"resourceSpans":[{"scopeSpans":[7]}]}"#.to_owned(), Some("not an object")),
        (of_spans("7"), Some("not a list")),
        (of_spans(&format!("[{span} {span}]")), Some("not JSON")),
        (format!("{good}{good}"), Some("something follows the JSON value")),
        ("[]".to_owned(), Some("not an object")),
    ] {
        assert_eq!(broken(framing(json.as_bytes())), expected, "{json}");
    }
    for end in 0..good.len() {
        assert!(broken(framing(&good.as_bytes()[..end])).is_some(), "{end}");
    }
    let text = of_spans(&format!("[{span}]")).replace("eee1", "\u{e9}");
    let latin: Vec<u8> = text.chars().map(|character| character as u8).collect();
    assert_eq!(broken(framing(&latin)), None);
}

/// Half a number is no number, though it reads like one.
#[test]
fn json_that_ends_in_a_number() {
    for (value, first) in [
        (r#"{"intValue":12"#, ""),
        (r#"{"doubleValue":12"#, ""),
        (r#"{"arrayValue":{"values":[{"doubleValue":1.5},{"doubleValue":540961"#, "  a = 1.5\n"),
    ] {
        let json = format!(r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"a","value":{value}"#);
        let record = read_json(&json);
        assert_eq!(record.calls, format!("resource\n{first}"), "{value}");
        assert_eq!(record.rejected.len(), 1, "{:?}", record.rejected);
        assert!(record.rejected[0].contains("cut short"), "{:?}", record.rejected);
    }
}

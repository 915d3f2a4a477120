//! Every spelling of OTLP JSON that is in use.

use super::read_json;

const IDS: &str = r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174""#;
const HEAD: &str = "  span 5b8efff798038103d269b633813fc60c eee19b7ec3c1b174";

fn one_span(members: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{IDS}{members}}}]}}]}}]}}"#)
}

/// One span with `members` after its ids reads as the `expected` lines, and nothing is refused.
#[track_caller]
fn check(members: &str, expected: &str) {
    let record = read_json(&one_span(members));
    assert_eq!(record.rejected, Vec::<String>::new(), "{members}");
    assert_eq!(record.calls, format!("resource\n{HEAD} {expected}\n"), "{members}");
}

#[test]
fn spellings_of_a_span() {
    for (members, expected) in [
        ("", r#""" Unspecified 0..0"#),
        (r#","kind":2"#, r#""" Server 0..0"#),
        (r#","kind":"SPAN_KIND_SERVER""#, r#""" Server 0..0"#),
        (r#","kind":"CONSUMER""#, r#""" Consumer 0..0"#),
        (r#","kind":77"#, r#""" Unspecified 0..0"#),
        (r#","kind":null,"name":null,"parentSpanId":null"#, r#""" Unspecified 0..0"#),
        (
            r#","parentSpanId":"","attributes":null,"events":null,"links":null,"status":null"#,
            r#""" Unspecified 0..0"#,
        ),
        (r#","parentSpanId":"0000000000000000""#, r#""" Unspecified 0..0"#),
        (r#","parentSpanId":"EEE19B7EC3C1B173""#, r#"<- eee19b7ec3c1b173 "" Unspecified 0..0"#),
        (r#","parentSpanId":"7uGbfsPBsXM=""#, r#"<- eee19b7ec3c1b173 "" Unspecified 0..0"#),
        (r#","parent_span_id":"7uGbfsPBsXM""#, r#"<- eee19b7ec3c1b173 "" Unspecified 0..0"#),
        (r#","startTimeUnixNano":"17","endTimeUnixNano":18"#, r#""" Unspecified 17..18"#),
        (
            r#","start_time_unix_nano":1.7e3,"end_time_unix_nano":"18446744073709551615""#,
            r#""" Unspecified 1700..18446744073709551615"#,
        ),
        (r#","status":{"code":2,"message":"x"}"#, r#""" Unspecified 0..0 Error"#),
        (r#","status":{"code":"STATUS_CODE_OK"}"#, r#""" Unspecified 0..0 Ok"#),
        (r#","status":{}"#, r#""" Unspecified 0..0"#),
        (
            r#","flags":257,"traceState":"a=b","droppedAttributesCount":1,"droppedLinksCount":"2""#,
            r#""" Unspecified 0..0 flags 0x101 dropped 3 state "a=b""#,
        ),
        (
            r#","name":"caf\u00e9 \ud83d\ude00 \"q\"","later":{"x":[1,{"y":"}"}]}"#,
            "\"caf\u{e9} \u{1f600} \\\"q\\\"\" Unspecified 0..0",
        ),
    ] {
        check(members, expected);
    }
}

#[test]
fn spellings_of_a_value() {
    for (value, expected) in [
        (r#"{"stringValue":"a\/b"}"#, Some("\"a/b\"")),
        (r#"{"string_value":"a"}"#, Some("\"a\"")),
        (r#"{"intValue":"-7"}"#, Some("-7")),
        (r#"{"intValue":9007199254740993}"#, Some("9007199254740993")),
        (r#"{"doubleValue":0.5}"#, Some("0.5")),
        (r#"{"doubleValue":"NaN"}"#, Some("NaN")),
        (r#"{"doubleValue":3}"#, Some("3.0")),
        (r#"{"boolValue":false}"#, Some("false")),
        (r#"{"bytesValue":"aGk="}"#, Some("b\"hi\"")),
        (r#"{"stringValue":null,"intValue":1}"#, Some("1")),
        (r#"{"new":{"x":1}}"#, None),
        ("{}", None),
        ("null", None),
    ] {
        let line = expected.map(|value| format!("\n    k = {value}")).unwrap_or_default();
        check(
            &format!(r#","attributes":[{{"key":"k","value":{value}}}]"#),
            &format!(r#""" Unspecified 0..0{line}"#),
        );
        check(
            &format!(r#","attributes":[{{"value":{value},"key":"k"}}]"#),
            &format!(r#""" Unspecified 0..0{line}"#),
        );
    }
}

#[test]
fn lists_and_maps_are_one_call_an_entry() {
    let list = r#"{"arrayValue":{"values":[{"stringValue":"a"},{"kvlistValue":{"values":[
        {"key":"x","value":{"intValue":1}},{"key":"y","value":{"boolValue":true}}]}},{"arrayValue":{}}]}}"#;
    check(
        &format!(r#","attributes":[{{"key":"k","value":{list}}}]"#),
        "\"\" Unspecified 0..0\n    k = \"a\"\n    k = 1\n    k = true",
    );
}

/// The attributes of an event or a link may stand before what it is.
#[test]
fn events_and_links_in_any_order() {
    let attributes = r#""attributes":[{"key":"k","value":{"intValue":1}}]"#;
    let link = r#""traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175""#;
    let shown = "\"\" Unspecified 0..0\n    event \"e\" at 7\n      k = 1\n    \
                 link 5b8efff798038103d269b633813fc60c eee19b7ec3c1b175\n      k = 1";
    for members in [
        format!(
            r#","events":[{{"timeUnixNano":"7","name":"e",{attributes}}}],"links":[{{{link},{attributes}}}]"#
        ),
        format!(
            r#","links":[{{{attributes},{link}}}],"events":[{{{attributes},"name":"e","timeUnixNano":7}}]"#
        ),
    ] {
        check(&members, shown);
    }
}

#[test]
fn wrappers() {
    let spans = format!(r#"[{{{IDS}}}]"#);
    for (start, end) in [
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":"#, "}]}]}"),
        (r#"{"resource_spans":[{"scope_spans":[{"spans":"#, "}]}]}"),
        (r#"{"batches":[{"instrumentationLibrarySpans":[{"spans":"#, "}]}]}"),
        (r#"{"result":{"resourceSpans":[{"scopeSpans":[{"spans":"#, "}]}]}}"),
        (r#"{"trace":{"resourceSpans":[{"scopeSpans":[{"spans":"#, "}]}]}}"),
        (
            r#"{"partial":true,"batches":[{"scopeSpans":[{"scope":null,"spans":"#,
            r#"}],"resource":null}],"next":[]}"#,
        ),
    ] {
        let record = read_json(&format!("{start}{spans}{end}"));
        assert_eq!(record.rejected, Vec::<String>::new(), "{start}");
        assert_eq!(record.calls, format!("resource\n{HEAD} \"\" Unspecified 0..0\n"), "{start}");
    }
}

/// A sink is told of a scope before it is told of its spans, wherever it stands and however it is called.
#[test]
fn scope_behind_its_spans() {
    let attributes = r#"{"name":"n","attributes":[{"key":"a","value":{"stringValue":"b"}}]}"#;
    let spans = format!(r#""spans":[{{{IDS}}}]"#);
    let expected = format!("resource\n  scope a = \"b\"\n{HEAD} \"\" Unspecified 0..0\n");
    for name in ["scope", "instrumentationLibrary"] {
        for members in
            [format!(r#""{name}":{attributes},{spans}"#), format!(r#"{spans},"{name}":{attributes}"#)]
        {
            let record = read_json(&format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{{members}}}]}}]}}"#));
            assert_eq!(record.text(), expected, "{members}");
        }
    }
}

/// A sink is told of a resource before it is told of its spans, wherever it stands.
#[test]
fn resource_behind_its_spans() {
    let resource = r#""resource":{"attributes":[{"key":"service.name","value":{"stringValue":"cart"}}]}"#;
    let spans = format!(r#""scopeSpans":[{{"spans":[{{{IDS}}}]}}]"#);
    let expected = format!("resource\n  service.name = \"cart\"\n{HEAD} \"\" Unspecified 0..0\n");
    for members in [format!("{resource},{spans}"), format!("{spans},{resource}")] {
        assert_eq!(
            read_json(&format!(r#"{{"resourceSpans":[{{{members}}}]}}"#)).text(),
            expected,
            "{members}"
        );
    }
}

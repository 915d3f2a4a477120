use super::element;
use crate::testing::{Record, line, real_trace as file, record};
use crate::{Format, Limits, read};

#[test]
fn small_file() {
    let json = include_bytes!("../fuzz/seeds/jaeger/checkout.json");
    insta::assert_snapshot!(record(element, json));
}

/// What span 2 of trace 1 comes to that has `members` beside its ids, in one line and with short ids.
fn check(members: &str, expected: &str) {
    let ids = r#""traceID":"1","spanID":"2","processID":"p""#;
    let json = format!(r#"{{"processes":{{"p":{{}}}},"spans":[{{{ids},{members}}}]}}"#);
    assert_eq!(line(element, &json), expected, "{members}");
}

#[test]
fn parents_and_links() {
    fn reference(kind: &str, trace: &str, span: &str) -> String {
        format!(r#"{{"refType":"{kind}","traceID":"{trace}","spanID":"{span}"}}"#)
    }
    let child = |trace, span| reference("CHILD_OF", trace, span);
    let follows = |trace, span| reference("FOLLOWS_FROM", trace, span);
    for (references, expected) in [
        (vec![], "|"),
        (vec![child("1", "a")], "<- 0a |"),
        (vec![child("1", "a"), child("1", "b")], "<- 0a |link 01 0b"),
        (vec![child("9", "a"), child("1", "b")], "<- 0b |link 09 0a"),
        (vec![follows("1", "a"), child("1", "b")], "<- 0b |link 01 0a"),
        (vec![follows("1", "a")], "<- 0a |link 01 0a"),
        (vec![follows("9", "a"), follows("1", "b")], "<- 0b |link 09 0a link 01 0b"),
        (vec![follows("1", "a"), follows("1", "b")], "|link 01 0a link 01 0b"),
        (vec![follows("1", "a"), child("9", "b")], "|link 01 0a link 09 0b"),
        (vec![reference("SIBLING", "1", "a")], "|link 01 0a"),
        (vec![child("1", "0")], "|"),
        (vec![r#"{"spanID":"a"}"#.into()], "<- 0a |"),
        (vec![child("1", "no"), child("1", "b")], "<- 0b |"),
    ] {
        let references = references.join(",");
        let expected = expected.replace('|', r#""" Unspecified 0..0 "#);
        check(&format!(r#""references":[{references}]"#), expected.trim_end());
    }
    for (members, expected) in [
        (r#""parentSpanID":"a""#, r#"<- 0a "" Unspecified 0..0"#),
        (r#""parentSpanID":"0""#, r#""" Unspecified 0..0"#),
        (r#""references":null,"parentSpanID":"a""#, r#"<- 0a "" Unspecified 0..0"#),
        (r#""parentSpanID":"a","references":[{"spanID":"b"}]"#, r#"<- 0b "" Unspecified 0..0"#),
        (
            r#""parentSpanID":"a","references":[{"spanID":"b","refType":"FOLLOWS_FROM"}]"#,
            r#"<- 0a "" Unspecified 0..0 link 01 0b"#,
        ),
        // A parent that cannot be read is not the same as none; a link is.
        (r#""parentSpanID":"no""#, "rejected byte 90: `parentSpanID` is not hex"),
        (r#""references":[{"spanID":"no"}]"#, "rejected byte 99: `references` is not hex"),
        (
            r#""references":[{"refType":"FOLLOWS_FROM","spanID":"no"}]"#,
            r#""" Unspecified 0..0 rejected byte 124: `references` is not hex"#,
        ),
        (r#""references":[7]"#, r#""" Unspecified 0..0 rejected byte 89: `references` is not an object"#),
    ] {
        check(members, expected);
    }
}

#[test]
fn tags_have_the_type_they_say() {
    for (tag, expected) in [
        (r#""type":"string","value":"x""#, r#""x""#),
        (r#""value":"x""#, r#""x""#),
        (r#""value":7"#, "7"),
        (r#""type":"int64","value":"-7""#, "-7"),
        (r#""type":"int64","value":9223372036854775808"#, "9.223372036854776e18"),
        (r#""type":"int64","value":"many""#, r#""many""#),
        (r#""type":"float64","value":7"#, "7.0"),
        (r#""type":"float64","value":"7.5""#, "7.5"),
        (r#""type":"float64","value":1e999"#, r#""1e999""#),
        (r#""type":"bool","value":true"#, "true"),
        (r#""type":"bool","value":"false""#, "false"),
        (r#""type":"bool","value":"perhaps""#, r#""perhaps""#),
        (r#""type":"binary","value":"3q2+7w==""#, r#"b"\xde\xad\xbe\xef""#),
        (r#""type":"binary","value":"3q2+7w""#, r#"b"\xde\xad\xbe\xef""#),
        (r#""type":"binary","value":"no base64!""#, r#""no base64!""#),
        (r#""type":7,"value":{"a":[1]}"#, r#""{\"a\":[1]}""#),
    ] {
        let expected = format!(r#""" Unspecified 0..0 k = {expected}"#);
        check(&format!(r#""tags":[{{"key":"k",{tag}}}]"#), &expected);
    }
    check(r#""tags":[{"key":"k"},{"key":"k","value":null}]"#, r#""" Unspecified 0..0"#);
    check(r#""tags":[7]"#, r#""" Unspecified 0..0 rejected byte 83: `tags` is not an object"#);
    check(r#""tags":{}"#, r#""" Unspecified 0..0 rejected byte 82: `tags` is not a list"#);
}

#[test]
fn tags_that_are_facts_of_the_span() {
    for (key, value, expected) in [
        ("span.kind", r#""server""#, r#""" Server 0..0"#),
        ("span.kind", r#""CLIENT""#, r#""" Client 0..0"#),
        ("span.kind", r#""internal""#, r#""" Internal 0..0"#),
        ("span.kind", r#""producer""#, r#""" Producer 0..0"#),
        ("span.kind", r#""consumer""#, r#""" Consumer 0..0"#),
        ("span.kind", r#""ephemeral""#, r#""" Unspecified 0..0 span.kind = "ephemeral""#),
        ("error", "true", r#""" Unspecified 0..0 Error error = true"#),
        ("error", r#""true""#, r#""" Unspecified 0..0 Error error = "true""#),
        ("error", "false", r#""" Unspecified 0..0 error = false"#),
        ("otel.status_code", r#""ERROR""#, r#""" Unspecified 0..0 Error otel.status_code = "ERROR""#),
        ("otel.status_code", r#""OK""#, r#""" Unspecified 0..0 Ok otel.status_code = "OK""#),
        ("w3c.tracestate", r#""a=1""#, r#""" Unspecified 0..0 state "a=1""#),
    ] {
        check(&format!(r#""tags":[{{"key":"{key}","value":{value}}}]"#), expected);
    }
    // A failure stands, in whichever order.
    let (error, ok) = (r#"{"key":"error","value":true}"#, r#"{"key":"otel.status_code","value":"OK"}"#);
    for tags in [[error, ok], [ok, error]] {
        let json = format!(r#"{{"spans":[{{"traceID":"1","spanID":"2","tags":[{}]}}]}}"#, tags.join(","));
        assert!(record(element, json.as_bytes()).contains(" Error\n"), "{tags:?}");
    }
}

#[test]
fn times_and_logs() {
    for (members, expected) in [
        (r#""operationName":"x","startTime":5,"duration":3"#, r#""x" Unspecified 5000..8000"#),
        (r#""startTime":5,"duration":0"#, r#""" Unspecified 5000..5000"#),
        (
            r#""startTime":-5"#,
            r#""" Unspecified 0..0 rejected byte 87: `startTime` is no count of microseconds"#,
        ),
        (r#""flags":3"#, r#""" Unspecified 0..0"#),
        (r#""logs":[{"timestamp":5}]"#, r#""" Unspecified 0..0 event "" at 5000"#),
        (
            r#""logs":[{"fields":[{"key":"message","value":"m"},{"key":"n","value":1}]}]"#,
            r#""" Unspecified 0..0 event "m" at 0 n = 1"#,
        ),
        (
            r#""logs":[{"fields":[{"key":"message","value":"m"},{"key":"event","value":"e"}]}]"#,
            r#""" Unspecified 0..0 event "e" at 0 message = "m""#,
        ),
        (
            r#""logs":[{"fields":[{"key":"message","value":7}]}]"#,
            r#""" Unspecified 0..0 event "" at 0 message = 7"#,
        ),
        (r#""logs":[7,{}]"#, r#""" Unspecified 0..0 rejected byte 83: `logs` is not an object"#),
    ] {
        check(members, expected);
    }
}

#[test]
fn processes() {
    let spans = |spans: &str, processes: &str| {
        record(element, format!(r#"{{"spans":[{spans}],"processes":{processes}}}"#).as_bytes())
    };
    let span = |process: &str| format!(r#"{{"traceID":"1","spanID":"2",{process}}}"#);
    let two = r#"{"a":{"serviceName":"A","tags":[{"key":"service.name","value":"z"},{"key":"k","value":1}]},"b":null}"#;
    let (a, b) = (span(r#""processID":"a""#), span(r#""processID":"b""#));

    // However they are mixed, a process comes once.
    let calls = spans(&[&*a, &*b, &*a, &*b].join(","), two);
    assert_eq!(calls.matches("resource\n").count(), 2);
    assert_eq!(calls.matches("  service.name = \"A\"\n  k = 1\n").count(), 1);
    assert!(!calls.contains("rejected") && !calls.contains("\"z\""), "{calls}");

    let inline = span(r#""processID":"a","process":{"serviceName":"B"}"#);
    assert!(spans(&inline, two).contains("  service.name = \"B\"\n"));

    for lost in [span(r#""processID":"c""#), span(r#""processID":7"#), span(r#""x":1"#)] {
        let calls = spans(&lost, two);
        assert!(calls.contains("  span ") && calls.contains("`process` is missing"), "{calls}");
    }
}

#[test]
fn one_bad_span_loses_nothing_else() {
    let good = r#"{"traceID":"1","spanID":"2","process":{}}"#;
    for (bad, reason) in [
        (r#"{"traceID":"1"}"#, "byte 10: `spanID` is missing"),
        (r#"{"spanID":"1"}"#, "byte 10: `traceID` is missing"),
        (r#"{"traceID":"1","spanID":"00000000000000002"}"#, "byte 34: `spanID` is longer than 16 digits"),
        ("null", "byte 10: `traceID` is missing"),
        ("7", "byte 10: `span` is not an object"),
        (r#"{"spanID" "1"}"#, "byte 20: `span` is not valid JSON"),
    ] {
        let calls = record(element, format!(r#"{{"spans":[{bad},{good}]}}"#).as_bytes());
        assert!(calls.contains(&format!("rejected {reason}\n")), "{bad} {calls}");
        assert_eq!(calls.matches("  span ").count(), 1, "{bad} {calls}");
    }
    // Cut short: the whole spans come out, though what their process was is gone.
    let calls = record(element, format!(r#"{{"spans":[{good},{good},{{"spanID"#).as_bytes());
    assert_eq!(calls.matches("  span ").count(), 2, "{calls}");
    assert!(calls.contains("byte 102: `span` ends too early"), "{calls}");
    for (json, reason) in [
        ("{}", "rejected byte 0: `spans` is missing\n"),
        ("[]", "rejected byte 0: `trace` is not an object\n"),
        (r#"{"spans":7}"#, "rejected byte 9: `spans` is not a list\n"),
    ] {
        assert_eq!(record(element, json.as_bytes()), reason, "{json}");
    }
}

#[test]
fn real_trace() {
    let Some(json) = file("genai-agents.jaeger.json") else { return };
    let mut record = Record::default();
    let summary = read(&json[..], &Limits::default(), &mut record, &mut |_| {}).unwrap();
    assert_eq!(summary.format, Format::JaegerJson);
    assert_eq!(record.spans, 57);
    assert_eq!(record.rejected, [""; 0]);
    assert_eq!(record.calls.matches("resource\n").count(), 10);
    assert_eq!(record.calls.matches(" <- ").count(), 56);
}

//! A credential is seen in whatever way it is written.

use hopseal_correlate::field::Field;

use super::recall::{Said, in_json, in_protobuf};

/// A JSON Web Token (RFC 7519 section 3.1).
const JWT: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
    eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
    dBjftJeZ4CVP-mBiBy85B5x8pC5bVAKW2Cb7PVIyGtk";

const SPAN: &str = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"01010101010101010101010101010101",
    "spanId":"0202020202020202",MEMBERS}]}]}]}"#;

/// Credentials seen in the one span of a message that is read four times.
fn seen(read: (Said, Vec<String>, [usize; 2])) -> usize {
    let (spans, rejected, _) = read;
    assert_eq!(rejected, Vec::<String>::new());
    let leaks =
        spans.iter().map(|(.., entries)| entries.iter().filter(|(field, ..)| *field == Field::Leak).count());
    let leaks: Vec<usize> = leaks.collect();
    assert!(leaks.array_windows().all(|[a, b]| a == b), "{leaks:?}");
    leaks.first().copied().unwrap_or_default()
}

#[test]
fn as_json() {
    for (members, expected) in [
        (r#""attributes":[{"key":"a","value":{"stringValue":"SECRET"}}]"#, 1),
        (r#""attribut\u0065s":[{"key":"a","value":{"stringValue":"SECRET"}}]"#, 1),
        (r#""attributes":[{"k\u0065y":"a","value":{"string\u0056alue":"SECRET"}}]"#, 1),
        (r#""status":{"message":"SECRET"}"#, 1),
        (r#""traceState":"a=SECRET""#, 1),
        (
            r#""attributes":[{"key":"form","value":{"kvlistValue":{"values":[
                {"key":"password","value":{"stringValue":"hunter2horse"}},
                {"key":"city","value":{"stringValue":"Springfield"}}]}}}]"#,
            1,
        ),
        (r#""attributes":[{"key":"city","value":{"stringValue":"Springfield"}}]"#, 0),
    ] {
        let text = SPAN.replace("MEMBERS", members).replace("SECRET", JWT);
        assert_eq!(seen(in_json(&text, true)), expected, "{members}");
    }
}

/// A field of a message: its number and what it holds.
fn field(number: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = body.len();
    while length > 0x7f {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(body);
    bytes
}

#[test]
fn as_protobuf() {
    let string = field(1, JWT.as_bytes());
    let attribute = |value: &[u8]| field(9, &[field(1, b"a"), field(2, value)].concat());
    let not_text = field(1, &[JWT.as_bytes(), b" x"].concat());
    let entry = [field(1, b"password"), field(2, &field(1, b"hunter2horse"))].concat();
    for (name, part, expected) in [
        ("plain", attribute(&string), 1),
        ("with more text", attribute(&not_text), 1),
        ("behind it a field that is not known", attribute(&[&string[..], &[8 << 3, 1]].concat()), 1),
        ("behind it a value that counts instead", attribute(&[&string[..], &[2 << 3, 1]].concat()), 1),
        ("in the message of the status", field(15, &field(2, JWT.as_bytes())), 1),
        ("in the trace state", field(3, JWT.as_bytes()), 1),
        ("in a map, by name", attribute(&field(6, &field(1, &entry))), 1),
    ] {
        let span = [field(1, &[1; 16]), field(2, &[2; 8]), part].concat();
        let message = field(1, &field(2, &field(2, &span)));
        assert_eq!(seen(in_protobuf(&message, true)), expected, "{name}");
    }
}

#[test]
fn in_the_scope() {
    let attribute = [field(1, b"a"), field(2, &field(1, JWT.as_bytes()))].concat();
    let scope = field(1, &field(3, &attribute));
    let span = field(2, &[field(1, &[1; 16]), field(2, &[2; 8])].concat());
    for (name, scope_spans) in
        [("before", [&scope[..], &span].concat()), ("behind", [&span[..], &scope].concat())]
    {
        assert_eq!(seen(in_protobuf(&field(1, &field(2, &scope_spans)), true)), 1, "{name}");
    }
}

use super::*;
use crate::record::Span;
use crate::sink::SpanKind;
use crate::testing;

/// A JSON Web Token (RFC 7519 section 3.1).
const JWT: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
    eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
    dBjftJeZ4CVP-mBiBy85B5x8pC5bVAKW2Cb7PVIyGtk";

#[derive(Default)]
struct Kept(Vec<Vec<u8>>);

impl Records for &mut Kept {
    fn record(&mut self, record: &Record<'_>) {
        self.0.push(record.to_bytes());
    }

    fn reject(&mut self, at: Position, reason: &str) {
        panic!("{at}: {reason}");
    }
}

fn end(sink: &mut dyn Sink, name: &str) {
    sink.span_end(&SpanHead { name, kind: SpanKind::Server, start: 1, end: 2, ..testing::head() });
}

/// What is kept of the spans that `calls` makes: of each how many credentials, its texts, its length, and what was dropped.
fn kept(calls: impl FnOnce(&mut dyn Sink)) -> Vec<(usize, Vec<String>, usize, u32)> {
    let dialects = Dialects::built_in().expect("shipped map");
    let (mut words, mut kept) = (Words::default(), Kept::default());
    calls(&mut Intake::new(&dialects, &mut words, &mut kept));
    let spans = kept.0.iter().map(|record| {
        let (_, span) = Span::read(record, &words).expect("record");
        let texts = span.entries().map(|entry| entry.text.to_owned()).collect();
        (span.all(Field::Leak).count(), texts, record.len(), span.dropped)
    });
    spans.collect()
}

/// Credentials noted of one span.
fn leaks(calls: impl Fn(&mut dyn Sink)) -> usize {
    let spans = kept(|sink| {
        sink.resource();
        sink.span_start();
        calls(sink);
        end(sink, "GET /");
    });
    let [(leaks, ..)] = spans[..] else { panic!("{spans:?}") };
    leaks
}

#[test]
fn a_credential_is_told_of_wherever_it_stands() {
    let under = |key: &'static str, value: Value<'_>| leaks(|sink| sink.attribute(key, value));
    let not_text = [JWT.as_bytes(), b" \xff"].concat();
    let leaky_key = format!("a.{JWT}");
    for (name, found) in [
        ("plain", under("a", Value::Str(JWT))),
        ("as bytes", under("a", Value::Bytes(JWT.as_bytes()))),
        ("in bytes that are no text", under("a", Value::Bytes(&not_text))),
        ("a number under a telling name", under("db.password", Value::Int(8_675_309))),
        ("on an event, not text", leaks(|sink| sink.event_attribute("a", Value::Bytes(&not_text)))),
        ("in a key with a number", leaks(|sink| sink.attribute(&leaky_key, Value::Int(1)))),
        ("in a key with a truth", leaks(|sink| sink.event_attribute(&leaky_key, Value::Bool(true)))),
        ("in the message of the status", leaks(|sink| sink.text("status message", JWT))),
        (
            "behind as many fields as are kept",
            leaks(|sink| {
                (0..SPAN.fields).for_each(|_| sink.attribute("user.roles", Value::Str("admin")));
                sink.attribute("a", Value::Str(JWT));
            }),
        ),
    ] {
        assert_eq!(found, 1, "{name}");
    }
    assert_eq!(under("db.connected", Value::Bool(true)), 0);
    assert_eq!(under("http.response.status_code", Value::Int(200)), 0);
}

#[test]
fn a_scope_speaks_for_its_own_spans() {
    let spans = kept(|sink| {
        let span = |sink: &mut dyn Sink| {
            sink.span_start();
            end(sink, "GET /");
        };
        sink.resource();
        sink.resource_attribute("a", Value::Str(JWT));
        sink.scope();
        sink.scope_attribute("b", Value::Str(JWT));
        sink.scope_attribute("user.id", Value::Str("alice"));
        span(sink);
        span(sink);
        sink.scope();
        span(sink);
        sink.scope();
        sink.scope_attribute("b", Value::Str(JWT));
        sink.resource();
        span(sink);
    });
    let seen: Vec<_> = spans.iter().map(|(leaks, texts, ..)| (*leaks, texts.len())).collect();
    // Nothing of a scope but its credentials is kept.
    assert_eq!(seen, [(2, 2), (2, 2), (1, 1), (0, 0)]);
}

#[test]
fn what_is_not_kept_counts_as_dropped() {
    let long = "x".repeat(4000);
    let spans = kept(|sink| {
        sink.resource();
        (0..500).for_each(|_| sink.resource_attribute("user.roles", Value::Str(&long)));
        for _ in 0..2 {
            sink.span_start();
            (0..500).for_each(|_| sink.attribute("user.roles", Value::Str(&long)));
            end(sink, "GET /");
        }
    });
    for (_, _, length, dropped) in spans {
        assert!(length < SPAN.long_bytes + RESOURCE.long_bytes + 1000, "{length}");
        assert_eq!(dropped, (500 - 1) + (500 - 16));
    }
}

/// The same span again and again: its texts are in the record in full at first, and as words later.
#[test]
fn what_is_kept_does_not_depend_on_what_was_seen_before() {
    let texts: Vec<String> = (0..400).map(|number| format!("{number:0>200}")).collect();
    let spans = kept(|sink| {
        sink.resource();
        for _ in 0..4 {
            sink.span_start();
            texts.iter().for_each(|text| sink.attribute("user.roles", Value::Str(text)));
            end(sink, "GET /");
        }
    });
    let [(_, first, length, 0), .., (_, last, shorter, 0)] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(first, &texts);
    assert_eq!(first, last);
    assert!(*length > SPAN.long_bytes && *shorter < SPAN.long_bytes, "{length}, {shorter}");
}

#[test]
fn an_event_of_any_other_name_is_not_kept() {
    let spans = kept(|sink| {
        sink.resource();
        sink.span_start();
        sink.event("Authentication set", 0);
        sink.event(&format!("Authentication {JWT}"), 0);
        end(sink, "GET /");
    });
    let [(1, texts, ..)] = &spans[..] else { panic!("{spans:?}") };
    assert!(texts.iter().all(|text| !text.contains(JWT)), "{texts:?}");
    assert_eq!(texts.iter().filter(|text| text.starts_with("Authentication")).count(), 1);
}

#[test]
fn a_masked_text_of_a_resource_speaks_for_no_other() {
    let masked = "token=...[40]";
    let secret = format!("token={}", "9f8a7c6b5d4e3f2a1b0c".repeat(2));
    let names = |with_resources: bool| {
        let spans = kept(|sink| {
            for _ in 0..4 * usize::from(with_resources) {
                sink.resource();
                sink.resource_attribute("service.name", Value::Str(&secret));
                sink.span_start();
                end(sink, "GET /");
            }
            sink.resource();
            sink.span_start();
            end(sink, masked);
        });
        spans.last().map(|(leaks, ..)| *leaks)
    };
    assert_eq!(names(true), names(false));
}

#[test]
fn long_keys_are_not_remembered() {
    let dialects = Dialects::built_in().expect("shipped map");
    let (mut words, mut kept) = (Words::default(), Kept::default());
    let mut intake = Intake::new(&dialects, &mut words, &mut kept);
    intake.resource();
    intake.span_start();
    intake.attribute(&"k".repeat(MAX_KEY), Value::Int(1));
    intake.attribute(&"k".repeat(MAX_KEY + 1), Value::Int(1));
    assert_eq!(intake.known.len(), 1);
}

/// Guarantees: a name that was left out, as it is no text, is not known the next time, and nor is another one.
#[test]
fn a_name_that_is_no_text_is_not_remembered() {
    let dialects = Dialects::built_in().expect("shipped map");
    let (mut words, mut kept) = (Words::default(), Kept::default());
    let mut intake = Intake::new(&dialects, &mut words, &mut kept);
    intake.resource();
    for _ in 0..4 {
        for bytes in [&b"\xff"[..], b""] {
            intake.span_start();
            assert!(!intake.recall_name(bytes));
            end(&mut intake, "");
        }
    }
    for known in [false, false, false, true] {
        intake.span_start();
        assert_eq!(intake.recall_name(b"GET /"), known);
        end(&mut intake, "GET /");
    }
}

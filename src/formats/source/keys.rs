//! What an object is, told by its keys.

use super::Format;
use crate::boundary::Boundary;

/// What a key of an object says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Its value is an object that holds a list of elements.
    Wrapper,
    /// Its value is a list of OTLP `ResourceSpans`.
    Otlp,
    /// Its value is a list of Jaeger traces.
    Jaeger,
    /// The object is an element itself. Of Zipkin's two versions, either.
    Element(Format),
}

/// What one key, quotes included, says.
pub(super) fn meaning(key: &[u8]) -> Option<Meaning> {
    Some(match key {
        // Jaeger's v3 query API, and Grafana Tempo's second.
        b"\"result\"" | b"\"trace\"" => Meaning::Wrapper,
        // The first is OTLP; Grafana Tempo's first query API has the last.
        b"\"resourceSpans\"" | b"\"resource_spans\"" | b"\"batches\"" => Meaning::Otlp,
        b"\"data\"" => Meaning::Jaeger,
        b"\"scopeSpans\"" | b"\"scope_spans\"" | b"\"instrumentationLibrarySpans\"" | b"\"resource\"" => {
            Meaning::Element(Format::OtlpJson)
        }
        b"\"traceID\"" | b"\"spans\"" | b"\"processes\"" => Meaning::Element(Format::JaegerJson),
        b"\"traceId\"" | b"\"id\"" | b"\"localEndpoint\"" | b"\"annotations\"" | b"\"binaryAnnotations\"" => {
            Meaning::Element(Format::ZipkinV2)
        }
        _ => return None,
    })
}

/// What an object is: the first of its keys that says anything.
pub(super) fn meaning_of(object: &[u8]) -> Option<Meaning> {
    Members::of(object).find_map(|member| meaning(member.key))
}

/// Whether a Zipkin span is of the first version, which names a host beside each annotation.
pub(super) fn is_zipkin_v1(span: &[u8]) -> bool {
    Members::of(span).any(|member| match member.key {
        b"\"binaryAnnotations\"" => true,
        b"\"annotations\"" => memchr::memmem::find(member.value(), b"\"endpoint\"").is_some(),
        _ => false,
    })
}

/// The members of an object, as far as their keys are whole.
struct Members<'a> {
    /// The value of the member given last, and all that follows: its end is looked for when the next is asked for, which
    /// may never be.
    rest: &'a [u8],
    first: bool,
}

/// One of them.
struct Member<'a> {
    /// With its quotes.
    key: &'a [u8],
    /// What begins with the value.
    rest: &'a [u8],
}

impl<'a> Members<'a> {
    fn of(object: &'a [u8]) -> Self {
        Self { rest: object.trim_ascii_start().strip_prefix(b"{").unwrap_or_default(), first: true }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        let after = if std::mem::take(&mut self.first) { self.rest } else { split(self.rest)?.1 };
        let start = after.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b',')?;
        let (key, after) = split(after.get(start..)?)?;
        self.rest = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        key.starts_with(b"\"").then_some(Member { key, rest: self.rest })
    }
}

impl<'a> Member<'a> {
    fn value(&self) -> &'a [u8] {
        split(self.rest).map_or(self.rest, |(value, _)| value)
    }
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(Boundary::of(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings() {
        for (object, expected) in [
            (r#"{"resourceSpans":[{"resource":{"#, Some(Meaning::Otlp)),
            (r#"{"partial": {"id": 1}, "resource" : {}}"#, Some(Meaning::Element(Format::OtlpJson))),
            (r#"{"total":0,"limit":0,"data":["#, Some(Meaning::Jaeger)),
            (r#"{"result":{"resourceSpans":[]}}"#, Some(Meaning::Wrapper)),
            (r#"{"traceID":"a","spans":["#, Some(Meaning::Element(Format::JaegerJson))),
            (r#"{"duration":1,"name":"traceID","id":"a"}"#, Some(Meaning::Element(Format::ZipkinV2))),
            (r#"{"error":"none"}"#, None),
            ("{}", None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(meaning_of(object.as_bytes()), expected, "{object}");
        }
    }

    #[test]
    fn zipkin_versions() {
        for (span, first) in [
            (r#"{"id":"1","binaryAnnotations":[]}"#, true),
            (r#"{"id":"1","annotations":[{"value":"sr","endpoint":{}}]}"#, true),
            (r#"{"id":"1","annotations":[{"value":"sr"}],"tags":{"endpoint":"x"}}"#, false),
            (r#"{"id":"1"}"#, false),
        ] {
            assert_eq!(is_zipkin_v1(span.as_bytes()), first, "{span}");
        }
    }
}

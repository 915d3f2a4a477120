//! What a file holds, told from its first bytes.

use crate::otlp::protobuf;

/// Bytes looked at. Enough for any indentation and for a first line that is damaged.
pub(super) const HEAD: usize = 64 << 10;

/// How the file is cut into parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One OTLP `TracesData`: `ResourceSpans` after `ResourceSpans`.
    Protobuf,
    /// Messages, each after its length in 4 bytes, most significant first: what the OpenTelemetry
    /// Collector's file exporter writes.
    Framed,
    /// JSON values, one or many.
    Json,
}

/// The shape of the file that starts with `head`, if it is any of ours.
///
/// A protobuf message may begin like JSON (`0a 7b` is a line feed and a brace, or a field of 123 bytes), but no
/// message goes on like the first key of an object.
pub(super) fn shape(head: &[u8]) -> Option<Shape> {
    let (length, message) = head.split_first_chunk::<4>().unwrap_or((&[0; 4], b""));
    if json(head) || (is_text(head) && has_json_line(head)) {
        Some(Shape::Json)
    } else if protobuf::begins(head) {
        Some(Shape::Protobuf)
    } else if !is_text(length)
        && *length != [0; 4]
        && (protobuf::begins(message) || json(message) || message.starts_with(&super::inflate::ZSTD))
    {
        // Four characters of text would be a length of more than 150 MB.
        Some(Shape::Framed)
    } else {
        has_json_line(head).then_some(Shape::Json)
    }
}

/// Whether `bytes` begin like text: no message of ours goes on so long without a control character.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    !bytes.iter().take(64).any(control)
}

/// Whether a line after the first begins like JSON: those before it may be damaged, or no part of the traces.
fn has_json_line(head: &[u8]) -> bool {
    let mut ends = memchr::memchr_iter(b'\n', head);
    ends.any(|end| {
        let line = head.get(end + 1..).unwrap_or_default();
        matches!(line.first(), Some(b'{' | b'[')) && json(line)
    })
}

/// Whether `bytes` begin like an object or a list of objects.
pub(super) fn json(bytes: &[u8]) -> bool {
    let mut rest = trim(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    for _lists in 0..=2 {
        match rest.split_first() {
            Some((b'{', inside)) => return key(inside).is_some(),
            Some((b'[', inside)) => rest = trim(inside),
            Some((b']', _)) => return rest.len() < bytes.len(),
            _ => return false,
        }
    }
    false
}

/// The first key of the object whose inside is given, quotes included, or nothing of an empty one.
pub(super) fn key(inside: &[u8]) -> Option<&[u8]> {
    let inside = trim(inside);
    if inside.starts_with(b"}") {
        return Some(b"");
    }
    let text = inside.strip_prefix(b"\"")?;
    let end = text.iter().take(64).position(|&byte| byte == b'"' || byte < b' ')?;
    trim(text.get(end..)?.strip_prefix(b"\"")?).starts_with(b":").then(|| inside.get(..end + 2))?
}

fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        for (head, expected) in [
            (&b"{\"resourceSpans\":["[..], Some(Shape::Json)),
            (b"\xef\xbb\xbf\n {\n \"data\" : [", Some(Shape::Json)),
            (b"[[{\"traceId\":", Some(Shape::Json)),
            (b"[]", Some(Shape::Json)),
            (b"{}", Some(Shape::Json)),
            (b"half a line\"}]}\n{\"resourceSpans\":[", Some(Shape::Json)),
            (b"{bad\n{\"resourceSpans\":[", Some(Shape::Json)),
            (b"# c\n{\"resourceSpans\":[", Some(Shape::Json)),
            (b"\n12\n{\"resourceSpans\":[", Some(Shape::Json)),
            (b"\n#\n c\n{\"resourceSpans\":[", Some(Shape::Json)), // 35 bytes, and a resource of 32
            (b"\0\0\0\0\n{\"resourceSpans\":[", Some(Shape::Json)), // what a crash leaves of a block
            (b"\"x\"\n{\n \"resourceSpans\":[", Some(Shape::Json)),
            (b"\x0a\x06\x0a\x02\x0a\x00\x12\x00", Some(Shape::Protobuf)),
            (b"\x0a\x7b\x0a\x22\x0a\x20", Some(Shape::Protobuf)), // 123 bytes, and a resource of 34
            (b"\x0a\x80\x80\x04\x12\x80\x80\x03", Some(Shape::Protobuf)), // written by Go: spans first
            (b"\x00\x00\x00\x08\x0a\x06\x0a\x02\x0a\x00\x12\x00", Some(Shape::Framed)),
            (b"\x00\x00\x00\x10{\"resourceSpans\":", Some(Shape::Framed)),
            (b"\x00\x00\x00\x10\x28\xb5\x2f\xfd", Some(Shape::Framed)),
            (b"", None),
            (b"# a README\n", None),
            (b"{not json", None),
            (b"\x7fELF\x02\x01\x01", None),
            (b"\x0a\x0a\x0a\x0a\x0a", None),
        ] {
            assert_eq!(shape(head), expected, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn keys() {
        for (inside, expected) in
            [(" \"data\" : 1", Some("\"data\"")), ("}", Some("")), ("\"data\"", None), ("\"da\nta\":", None)]
        {
            assert_eq!(key(inside.as_bytes()), expected.map(str::as_bytes), "{inside}");
        }
    }
}

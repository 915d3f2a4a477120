//! Escapes in JSON strings: RFC 8259 section 7.

use memchr::memchr;

/// What `raw` says. An escape that does not exist stands for itself, and half a surrogate pair for U+FFFD: a
/// JavaScript string cut in the middle of a character has such a half.
pub(super) fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at_checked(at).unwrap_or((rest, b""));
        out.extend_from_slice(plain);
        let (size, byte) = match escape.get(1) {
            Some(b'u') => {
                let (character, size) = unicode(escape).unwrap_or(('\\', 1));
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                rest = escape.get(size..).unwrap_or_default();
                continue;
            }
            Some(b'n') => (2, b'\n'),
            Some(b't') => (2, b'\t'),
            Some(b'r') => (2, b'\r'),
            Some(b'b') => (2, 8),
            Some(b'f') => (2, 12),
            Some(&same @ (b'"' | b'\\' | b'/')) => (2, same),
            _ => (1, b'\\'),
        };
        out.push(byte);
        rest = escape.get(size..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// The character that `\uXXXX`, or a pair of them, stands for, and how many bytes that is written in.
fn unicode(escape: &[u8]) -> Option<(char, usize)> {
    let first = hex4(escape)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, 6));
    }
    let second = escape.get(6..).and_then(hex4).filter(|second| (0xdc00..0xe000).contains(second));
    match second {
        Some(second) if first < 0xdc00 => {
            let character = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?;
            Some((character, 12))
        }
        _ => Some((char::REPLACEMENT_CHARACTER, 6)),
    }
}

fn hex4(escape: &[u8]) -> Option<u32> {
    let digits = escape.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |sum, &digit| Some(sum << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes() {
        for (raw, expected) in [
            (r"plain", "plain"),
            (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r"a\u0026b", "a&b"),
            (r"\u00e4\uD83D\uDE00!", "\u{e4}\u{1f600}!"),
            (r"cut \ud83d", "cut \u{fffd}"),
            (r"\ude00\ud83d\u0041", "\u{fffd}\u{fffd}A"),
            (r"\x41\u12", r"\x41\u12"),
            ("\\", "\\"),
        ] {
            assert_eq!(String::from_utf8(unescape(raw.as_bytes())).unwrap(), expected, "{raw}");
        }
    }

    proptest! {
        /// What serde_json writes, we read.
        #[test]
        fn any_string(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let raw = json.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            prop_assert_eq!(unescape(raw.as_bytes()), text.into_bytes());
        }
    }
}

//! Escapes in JSON strings: RFC 8259 section 7.

use memchr::memchr;

/// What `raw` says. An escape that does not exist stands for itself, and half a surrogate pair for U+FFFD: a
/// JavaScript string cut in the middle of a character has such a half.
pub(super) fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = memchr(b'\\', rest.as_bytes()).and_then(|at| rest.split_at_checked(at))
    {
        out.push_str(plain);
        let (size, character) = match escape.as_bytes().get(1) {
            Some(b'u') => unicode(escape.as_bytes()).unwrap_or((1, '\\')),
            Some(b'n') => (2, '\n'),
            Some(b't') => (2, '\t'),
            Some(b'r') => (2, '\r'),
            Some(b'b') => (2, '\u{8}'),
            Some(b'f') => (2, '\u{c}'),
            Some(&same @ (b'"' | b'\\' | b'/')) => (2, char::from(same)),
            _ => (1, '\\'),
        };
        out.push(character);
        rest = escape.get(size..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// How many bytes `\uXXXX`, or a pair of them, is written in, and the character that it stands for.
fn unicode(escape: &[u8]) -> Option<(usize, char)> {
    let first = hex4(escape)?;
    if let Some(character) = char::from_u32(first) {
        return Some((6, character));
    }
    let second = escape.get(6..).and_then(hex4).filter(|second| (0xdc00..0xe000).contains(second));
    match second {
        Some(second) if first < 0xdc00 => {
            let character = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?;
            Some((12, character))
        }
        _ => Some((6, char::REPLACEMENT_CHARACTER)),
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
            assert_eq!(unescape(raw), expected, "{raw}");
        }
    }

    proptest! {
        /// What serde_json writes, we read.
        #[test]
        fn any_string(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let raw = json.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
            prop_assert_eq!(unescape(raw), text);
        }
    }
}

//! Whether text is random or was written by somebody; and whether it stands in for a value.

use super::{mask, work};

/// Shortest text that counts as random.
const MIN_LEN: usize = 16;

/// Most that is read of a text; longer text is as random as its beginning.
const MAX_READ: usize = 4096;

/// Whether text looks drawn at random from hex, base64, base62 or as a UUID: long enough, with digits, and changing
/// between small letters, capitals and digits far more often than words do. What comes before its first letter or
/// digit, and from the first character on that stands in none of these, does not count.
pub(super) fn is_random(text: &[u8]) -> bool {
    let text = text.get(..MAX_READ).unwrap_or(text);
    work::count(text.len());
    let start = text.iter().position(u8::is_ascii_alphanumeric).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or(&[]);
    let is_of_set = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'/' | b'=' | b'.' | b'~' | b'%')
    };
    let len = text.iter().position(|byte| !is_of_set(byte)).unwrap_or(text.len());
    let text = text.get(..len).unwrap_or(&[]);
    if text.len() < MIN_LEN {
        return false;
    }
    let (mut digits, mut letters, mut changes) = (0_usize, 0_usize, 0_usize);
    let mut last = 0_u8;
    let mut seen = [0_u64; 2];
    for byte in text {
        let class = match byte {
            b'0'..=b'9' => 1,
            b'a'..=b'z' => 2,
            b'A'..=b'Z' => 3,
            _ => 0,
        };
        if let Some(word) = seen.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
        digits += usize::from(class == 1);
        letters += usize::from(class > 1);
        if class != 0 {
            // A capital and then small letters is how words begin.
            changes += usize::from(last != 0 && class != last && !(last == 3 && class == 2));
            last = class;
        }
    }
    let distinct = seen.iter().map(|word| word.count_ones()).sum::<u32>();
    let mixed = digits >= 2 && letters >= 2 && changes * 6 >= text.len();
    let restless = changes * 4 >= text.len();
    distinct >= 8 && letters >= 2 && (mixed || restless)
}

/// Whether a value stands in for another: a placeholder, a masked value, a word for having none.
///
/// All of the value has to be that. Anyone can write such a mark beside a credential.
pub(super) fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 22] = [
        "true",
        "false",
        "null",
        "nil",
        "none",
        "undefined",
        "yes",
        "no",
        "empty",
        "unset",
        "set",
        "present",
        "string",
        "required",
        "optional",
        "n/a",
        "redacted",
        "filtered",
        "masked",
        "hidden",
        "removed",
        "obfuscated",
    ];
    work::count(value.len().min(MAX_READ));
    if value.len() > MAX_READ {
        return false;
    }
    let value = value.trim();
    let inner = inside(value);
    if inner.is_empty() || mask::is_mask(inner) || is_starred(inner) {
        return true;
    }
    if inner.len() < value.len() && is_variable(inner) {
        return true;
    }
    if let Some(rest) = value.strip_prefix(['$', ':', '@', '%']) {
        let variable = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        if (rest.len() <= 4 && rest.bytes().all(|byte| byte.is_ascii_digit())) || rest.bytes().all(variable) {
            return true;
        }
    }
    let word = inner.trim_matches(|c: char| c.is_ascii_punctuation());
    WORDS.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// What stands in brackets, or all of it. `{{ token }}`, `<token>`, `${TOKEN}`
fn inside(value: &str) -> &str {
    const BRACKETS: [(&str, char); 7] =
        [("{", '}'), ("<", '>'), ("[", ']'), ("(", ')'), ("${", '}'), ("%{", '}'), ("#{", '}')];
    let mut inner = value;
    for _ in 0..3 {
        let within = |(open, close): &(&str, char)| inner.strip_prefix(open)?.strip_suffix(*close);
        let Some(next) = BRACKETS.iter().find_map(within) else { break };
        inner = next.trim();
    }
    inner
}

/// Whether text is nothing but stars or the like, or stars that leave no more to be seen than our own masks do.
fn is_starred(text: &str) -> bool {
    if text.bytes().all(|byte| matches!(byte, b'*' | b'x' | b'X' | b'#' | b'.' | b'-' | b'_' | b'?')) {
        return true;
    }
    let stars = text.bytes().filter(|byte| *byte == b'*').count();
    stars >= 3 && text.chars().count() - stars <= 4
}

/// Whether text in brackets names what is to be filled in there, as `DB_PASSWORD`, `your-token` and `0` do. Small
/// letters and digits together are no name: a password in brackets is still one.
fn is_variable(text: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/, ".contains(&byte);
    let has = |want: fn(&u8) -> bool| text.as_bytes().iter().any(want);
    text.len() <= 64
        && text.bytes().all(is_name)
        && (!has(u8::is_ascii_digit)
            || text.len() <= 2
            || (text.len() <= 32 && has(u8::is_ascii_uppercase) && !has(u8::is_ascii_lowercase)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_and_written() {
        for (text, expected) in [
            ("2aaa7d4d-faf0-4dea-bdbe-568df6c1f92d", true),
            ("2aaa7d4d-faf0-4dea-bdbe-568", true),
            ("9f86d081884c7d659a2feaa0c55ad015", true),
            ("dGhpcyBpcyBhIHNlY3JldA", true),
            ("AbCdEfGhIjKlMnOpQrStUvWx", true),
            ("1234567890123456789", false),
            ("checkoutservice-production", false),
            ("getProductCatalogByCategoryAndVendor", false),
            ("reset-password-2024-confirm", false),
            ("2024-01-31T12-30-00", false),
            ("aaaaaaaa1111aaaa1111", false),
            ("short1A2b3C", false),
            ("with a space 1a2b3c4d5e6f", false),
            ("2aaa7d4d-faf0-4dea-bdbe-568df6c1f92d...[", true),
            ("!2aaa7d4d-faf0-4dea-bdbe-568df6c1f92d!", true),
            (&"2aaa7d4d-faf0-4dea-".repeat(400), true),
        ] {
            assert_eq!(is_random(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn placeholders() {
        for (text, expected) in [
            ("****", true),
            ("abcd****", true),
            ("REDACTED", true),
            ("[Filtered]", true),
            ("<redacted>", true),
            ("{token}", true),
            (":token", true),
            ("<token>", true),
            ("$1", true),
            ("?", true),
            ("${DB_PASSWORD}", true),
            ("%s", true),
            ("@password", true),
            ("eyJh...[120]", true),
            ("hunter2***", false),
            ("***hunter2", false),
            ("hunter2...[", false),
            ("hunter2horse...[7]", false),
            ("hunter2-redacted", false),
            ("[redacted] hunter2", false),
            ("[hunter2", false),
            ("{hunter2horse}", false),
            ("${hunter2horse", false),
            ("{{ token }}", true),
            ("${OAUTH2_SECRET}", true),
            ("<your-token-here>", true),
            ("{0}", true),
            ("{8675309}", false),
            ("[REDACTED]", true),
            ("**redacted**", true),
            ("$12345678", false),
            ("null", true),
            ("$ecret1", false),
            ("hunter2", false),
            ("%41bc", false),
        ] {
            assert_eq!(is_placeholder(text), expected, "{text}");
        }
    }
}

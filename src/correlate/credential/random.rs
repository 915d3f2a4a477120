//! Whether text is random or was written by somebody; and whether it stands in for a value.

/// Shortest text that counts as random.
const MIN_LEN: usize = 16;

/// Whether text looks drawn at random from hex, base64, base62 or as a UUID: long enough, with digits, and changing
/// between small letters, capitals and digits far more often than words do.
pub(super) fn is_random(text: &[u8]) -> bool {
    if text.len() < MIN_LEN || text.len() > 4096 {
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
            b'-' | b'_' | b'+' | b'/' | b'=' | b'.' | b'~' | b'%' => 0,
            _ => return false,
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
pub(super) fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 16] = [
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
    ];
    const MARKS: [&str; 6] = ["redacted", "filtered", "masked", "hidden", "removed", "obfuscated"];
    let value = value.trim();
    if value.is_empty() || value.contains("***") || value.contains(super::CUT) {
        return true;
    }
    if value.bytes().all(|byte| matches!(byte, b'*' | b'x' | b'X' | b'#' | b'.' | b'-' | b'_' | b'?')) {
        return true;
    }
    if value.starts_with(['{', '<', '[']) || value.starts_with("${") || value.starts_with("%{") {
        return true;
    }
    if let Some(rest) = value.strip_prefix(['$', ':', '@', '%']) {
        let variable = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        if rest.bytes().all(|byte| byte.is_ascii_digit()) || rest.bytes().all(variable) {
            return true;
        }
    }
    if value.len() > 64 {
        return false;
    }
    let lower = value.to_ascii_lowercase();
    WORDS.contains(&lower.as_str()) || MARKS.iter().any(|mark| lower.contains(mark))
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
            ("null", true),
            ("$ecret1", false),
            ("hunter2", false),
            ("%41bc", false),
        ] {
            assert_eq!(is_placeholder(text), expected, "{text}");
        }
    }
}

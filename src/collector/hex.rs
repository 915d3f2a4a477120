//! Ids as they are written: hex digits.

/// An id of so many bytes, of two digits each and nothing else.
pub(crate) fn id<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    let digits = text.as_bytes();
    let mut id = [0; BYTES];
    (digits.len() == 2 * BYTES).then_some(())?;
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(id)
}

/// So many bytes as digits, and back.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| id::<1>(std::str::from_utf8(pair).ok()?).map(|[byte]| byte);
    rest.is_empty().then_some(())?;
    pairs.iter().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use hopseal_correlate::finding::FindingId;

    use super::*;

    #[test]
    fn table() {
        for (text, expected) in [
            ("00ff", Some([0, 255])),
            ("00FF", Some([0, 255])),
            ("1234", Some([0x12, 0x34])),
            ("123", None),
            ("12345", None),
            ("", None),
            ("+123", None),
            ("12 4", None),
            ("12g4", None),
            ("1\u{e9}4", None),
        ] {
            assert_eq!(id(text), expected, "{text}");
        }
        for some in [&b""[..], b"orders", b"\xff\x00"] {
            assert_eq!(bytes(&text(some)).as_deref(), Some(some));
        }
        assert_eq!((bytes("0"), bytes("0g")), (None, None));
        // As a finding's id is written.
        let written = FindingId([0xab; 16]);
        assert_eq!(id(&written.to_string()).map(FindingId), Some(written));
    }
}

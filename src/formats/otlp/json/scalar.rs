//! Ids, numbers and names of OTLP JSON, in all spellings in use.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Padded or not: protobuf's JSON mapping takes both.
const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// The bytes of an id of `N` bytes: hexadecimal, as OTLP asks, or base64, as protobuf's JSON mapping has it and some
/// senders write. A trace id of half the length is one of 64 bits, and stands in the last 8.
#[inline]
pub(super) fn id<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut id = [0; N];
    if text.len() == 2 * N {
        return hex(text.as_bytes(), &mut id).then_some(id);
    }
    if N == 16 && text.len() == N {
        return hex(text.as_bytes(), id.get_mut(N / 2..)?).then_some(id);
    }
    let bytes = base64(text)?;
    id = bytes.try_into().ok()?;
    Some(id)
}

/// Without a branch on what a digit is: in an id that is as good as random.
fn hex(text: &[u8], bytes: &mut [u8]) -> bool {
    let (pairs, _) = text.as_chunks::<2>();
    let mut valid = true;
    for (&[high, low], byte) in pairs.iter().zip(bytes) {
        valid &= high.is_ascii_hexdigit() & low.is_ascii_hexdigit();
        *byte = nibble(high) << 4 | nibble(low);
    }
    valid
}

/// `0`-`9` are 0x30.., letters 0x41.. and 0x61..: the low half, and 9 more for a letter.
fn nibble(digit: u8) -> u8 {
    (digit & 0x0f) + 9 * (digit >> 6)
}

/// Either alphabet.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

/// A number that is not negative. JavaScript writes large ones as `1.7e18`. Nothing is 0.
#[inline]
pub(super) fn unsigned(text: &str) -> Option<u64> {
    let digits = text.bytes().try_fold(0u64, |sum, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    });
    digits.or_else(|| {
        let number = double(text)?;
        (number.fract() == 0.0 && (0.0..18_446_744_073_709_551_616.0).contains(&number))
            .then_some(number as u64)
    })
}

/// A number.
#[inline]
pub(super) fn signed(text: &str) -> Option<i64> {
    match text.strip_prefix('-') {
        Some(digits) => unsigned(digits).and_then(|number| 0i64.checked_sub_unsigned(number)),
        None => unsigned(text).and_then(|number| i64::try_from(number).ok()),
    }
}

/// A double, or one of the names that JSON has no number for: `NaN`, `Infinity`, `-Infinity`.
pub(super) fn double(text: &str) -> Option<f64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let trace = [0x5b, 0x8e, 0xfb, 0xf8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xff, 0x10];
        let half = [0, 0, 0, 0, 0, 0, 0, 0, 0x5b, 0x8e, 0xfb, 0xf8, 0, 1, 2, 3];
        for (text, expected) in [
            ("5b8efbf800010203040506070809ff10", Some(trace)),
            ("5B8EFBF800010203040506070809FF10", Some(trace)),
            ("W477+AABAgMEBQYHCAn/EA==", Some(trace)),
            ("W477+AABAgMEBQYHCAn/EA", Some(trace)),
            ("W477-AABAgMEBQYHCAn_EA", Some(trace)),
            ("5b8efbf800010203", Some(half)),
            ("5b8efbf800010203040506070809ff1", None),
            ("5b8efbf800010203040506070809ff1g", None),
            ("", None),
        ] {
            assert_eq!(id::<16>(text), expected, "{text}");
        }
        assert_eq!(id::<8>("5b8efbf800010203"), Some([0x5b, 0x8e, 0xfb, 0xf8, 0, 1, 2, 3]));
        assert_eq!(id::<8>("W477+AABAgM="), Some([0x5b, 0x8e, 0xfb, 0xf8, 0, 1, 2, 3]));
        assert_eq!(id::<8>("5b8efbf8"), None);
    }

    #[test]
    fn every_hex_digit_and_no_other_byte() {
        for byte in 0..=255u8 {
            let mut out = [0; 1];
            let valid = hex(&[b'0', byte], &mut out);
            assert_eq!(valid.then_some(u32::from(out[0])), char::from(byte).to_digit(16), "{byte}");
        }
    }

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("1e3", Some(1000)),
            ("1.5", None),
            ("0x10", None),
            ("ten", None),
        ] {
            assert_eq!(signed(text), expected, "{text}");
        }
        assert_eq!(unsigned("18446744073709551615"), Some(u64::MAX));
        assert_eq!(unsigned("18446744073709551616"), None);
        assert_eq!(unsigned("-1"), None);
        assert!(double("NaN").is_some_and(f64::is_nan));
        assert_eq!(double("-Infinity"), Some(f64::NEG_INFINITY));
    }
}

//! Ed25519 public keys that must not be used.

/// `y` of the points of small order, the sign of `x` left out (RFC 8032 section 5.1.2). Under such a key one signature is
/// valid for many messages, or for all.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

/// Whether a public key is one that nobody honest has: a point of small order, or one written with a number that is not
/// reduced (RFC 8032 section 5.1.3).
///
/// ```
/// use hopseal_identity::ed25519::is_weak;
/// let mut identity = [0; 32];
/// identity[0] = 1;
/// assert!(is_weak(&identity));
/// assert!(!is_weak(&[0x58; 32]));
/// ```
#[must_use]
pub fn is_weak(key: &[u8; 32]) -> bool {
    let mut y = *key;
    let [first, middle @ .., last] = &mut y;
    *last &= 0x7f;
    let not_reduced = *first >= 0xed && *last == 0x7f && middle.iter().all(|byte| *byte == 0xff);
    not_reduced || SMALL_ORDER.contains(&y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_them_in_each_spelling() {
        for small in SMALL_ORDER {
            let mut other_sign = small;
            other_sign[31] |= 0x80;
            assert!(is_weak(&small) && is_weak(&other_sign), "{small:02x?}");
        }
        let reduced = SMALL_ORDER[4];
        for first in 0xed..=0xff_u8 {
            let mut key = reduced;
            key[0] = first;
            assert!(is_weak(&key), "{first:02x}");
        }
        // RFC 8032 section 7.1, test 1.
        assert!(!is_weak(
            b"\xd7\x5a\x98\x01\x82\xb1\x0a\xb7\xd5\x4b\xfe\xd3\xc9\x64\x07\x3a\
            \x0e\xe1\x72\xf3\xda\xa6\x23\x25\xaf\x02\x1a\x68\xf7\x07\x51\x1a"
        ));
    }
}

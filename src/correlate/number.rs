//! Numbers in as few groups of seven bits as they need, the lowest group first; all but the last have the eighth bit set.
//!
//! The same as Protocol Buffers' varints (<https://protobuf.dev/programming-guides/encoding/#varints>).

/// Appends a number.
///
/// ```
/// use hopseal_correlate::number;
///
/// let mut bytes = Vec::new();
/// number::put(&mut bytes, 300);
/// assert_eq!(bytes, [0xac, 0x02]);
/// assert_eq!(number::take(&bytes), Some((300, &[][..])));
/// ```
#[inline]
pub fn put(to: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// The number at the front, and what stands behind it; `None` where none is whole, or it is none of 64 bits.
#[inline]
#[must_use]
pub fn take(bytes: &[u8]) -> Option<(u64, &[u8])> {
    // Nearly all are of one or two bytes.
    match *bytes {
        [byte @ ..0x80, ref rest @ ..] => Some((u64::from(byte), rest)),
        [low, high @ ..0x80, ref rest @ ..] => Some((u64::from(low & 0x7f) | u64::from(high) << 7, rest)),
        _ => take_long(bytes),
    }
}

fn take_long(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (mut number, mut rest) = (0_u64, bytes);
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        let bits = u64::from(byte & 0x7f);
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return (number >> shift == bits).then_some((number, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_is_taken((number, by) in (any::<u64>(), 0..64_u32), behind in any::<Vec<u8>>()) {
            let number = number >> by;
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            prop_assert_eq!(bytes.len(), (64 - (number | 1).leading_zeros()).div_ceil(7) as usize);
            prop_assert!((0..bytes.len()).all(|len| take(&bytes[..len]).is_none()));
            bytes.extend(&behind);
            prop_assert_eq!(take(&bytes), Some((number, behind.as_slice())));
        }

        #[test]
        fn nothing_of_more_than_64_bits_is_taken(bytes in prop::collection::vec(0x80..=0xff_u8, 9), last in 2..=0x7f_u8) {
            for end in [&[last][..], &[0x80, 0]] {
                let number = [&bytes, end].concat();
                prop_assert!(take(&number).is_none(), "{number:x?}");
            }
        }
    }
}

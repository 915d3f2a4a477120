//! Whether two texts are the same, which is asked some twenty times of each span.

/// Whether two texts are the same.
///
/// Most are short words and alike: to look at both ends is quicker than to call the C library, and enough where they meet. What
/// is more, its comparison of two empty texts is slow on processors with AVX-512: it masks out a load from where nothing is mapped.
///
/// ```
/// use hopseal_correlate::same::is_same;
///
/// assert!(is_same(b"GET /orders", b"GET /orders"));
/// assert!(!is_same(b"GET /orders", b"PUT /orders"));
/// ```
#[inline]
#[must_use]
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    // Words stand where they stood.
    if std::ptr::eq(one, other) {
        return true;
    }
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        0..4 => one.iter().eq(other),
        4..8 => has_same_ends::<4>(one, other),
        8..16 => has_same_ends::<8>(one, other),
        16..32 => has_same_ends::<16>(one, other),
        32..64 => has_same_ends::<32>(one, other),
        64..=128 => has_same_ends::<64>(one, other),
        _ => one == other,
    }
}

#[inline]
fn has_same_ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
    one.first_chunk::<N>() == other.first_chunk::<N>() && one.last_chunk::<N>() == other.last_chunk::<N>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_as_to_compare_byte_by_byte() {
        let text: Vec<u8> = (0..200).collect();
        for len in 0..text.len() {
            let one = &text[..len];
            let mut other = one.to_vec();
            assert!(is_same(one, &other) && is_same(one, one));
            assert!(!is_same(one, &text[..=len]));
            for at in 0..len {
                other[at] ^= 1;
                assert!(!is_same(one, &other), "byte {at} of {len}");
                other[at] ^= 1;
            }
        }
    }
}

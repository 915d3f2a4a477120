//! Sizes as people write them.

/// Reads a number of bytes, with `K`, `M` or `G` for powers of 1024.
///
/// ```
/// assert_eq!(hopseal_collector::size::bytes("64M"), Ok(64 << 20));
/// assert!(hopseal_collector::size::bytes("64MB").is_err());
/// ```
///
/// # Errors
/// What to write instead.
pub fn bytes(text: &str) -> Result<usize, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'K' | 'k')) => (text.get(..at), 1 << 10),
        Some((at, 'M' | 'm')) => (text.get(..at), 1 << 20),
        Some((at, 'G' | 'g')) => (text.get(..at), 1 << 30),
        _ => (Some(text), 1),
    };
    digits
        .and_then(|digits| digits.parse::<usize>().ok())
        .and_then(|count| count.checked_mul(unit))
        .ok_or_else(|| "a size is a number of bytes, with K, M or G for powers of 1024".to_owned())
}

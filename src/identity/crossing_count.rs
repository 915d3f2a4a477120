//! `hopseal.hop`: how many crossings an identity has behind it, and a running hash over them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use sha2::Digest as _;

/// Crossings counted and hashed. It travels in baggage beside the seal, which does not cover it, and each call moves
/// it on: what left a hop and what arrived at the next must be the same. A hop whose span never arrived shows.
///
/// ```text
/// count "." BASE64URL(hash)      count: 0 to 65535, plain decimal; hash: 16 bytes
/// next hash = first 16 bytes of SHA-256("hopseal-hop-1" hash | length of workload, u16 | workload | span id)
/// ```
/// The workload is that of the caller, the span id that of its exit span, so that two calls of one hop differ.
/// Integers are big-endian. The first call starts from [`CrossingCount::START`].
///
/// ```
/// use hopseal_identity::CrossingCount;
/// let first = CrossingCount::START.next("spiffe://example.org/gateway", [1; 8]);
/// assert_eq!(CrossingCount::parse(&first.to_string()), Some(first));
/// assert_eq!(first.count, 1);
/// assert_eq!(CrossingCount::parse("01.AAAAAAAAAAAAAAAAAAAAAA"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrossingCount {
    /// Crossings so far. Stays at its largest value rather than begin again.
    pub count: u16,
    /// Hash over them.
    pub hash: [u8; 16],
}

impl CrossingCount {
    /// Before the first crossing.
    pub const START: Self = Self { count: 0, hash: [0; 16] };

    /// Reads the one spelling of a value; `None` for any other.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (count, encoded) = text.split_once('.')?;
        let plain =
            count.bytes().all(|byte| byte.is_ascii_digit()) && (count == "0" || !count.starts_with('0'));
        let count = plain.then(|| count.parse().ok()).flatten()?;
        let mut hash = [0; 18];
        let len = BASE64URL.decode_slice(encoded, &mut hash).ok()?;
        Some(Self { count, hash: hash.get(..len)?.try_into().ok()? })
    }

    /// What leaves `workload` by the call of the span `exit`.
    #[must_use]
    pub fn next(self, workload: &str, exit: [u8; 8]) -> Self {
        let mut hasher = sha2::Sha256::new_with_prefix(b"hopseal-hop-1");
        hasher.update(self.hash);
        hasher.update(u16::try_from(workload.len()).unwrap_or(u16::MAX).to_be_bytes());
        hasher.update(workload);
        hasher.update(exit);
        let digest: [u8; 32] = hasher.finalize().into();
        Self { count: self.count.saturating_add(1), hash: digest.first_chunk().copied().unwrap_or_default() }
    }
}

impl std::fmt::Display for CrossingCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.count, BASE64URL.encode(self.hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_is_read() {
        let hash = "AAAAAAAAAAAAAAAAAAAAAA";
        for (text, read) in [
            (format!("0.{hash}"), true),
            (format!("65535.{hash}"), true),
            (format!("65536.{hash}"), false),
            (format!("00.{hash}"), false),
            (format!("+1.{hash}"), false),
            (format!(".{hash}"), false),
            (format!("1.{hash}=="), false),
            (format!("1.{hash}A"), false),
            ("1.AAAAAAAAAAAAAAAAAAAAAB".to_owned(), false), // bits after the end
            (hash.to_owned(), false),
        ] {
            assert_eq!(CrossingCount::parse(&text).is_some(), read, "{text}");
        }
    }

    /// Other languages have to come to the same value.
    #[test]
    fn golden() {
        let first = CrossingCount::START.next("spiffe://example.org/gateway", [0, 1, 2, 3, 4, 5, 6, 7]);
        let second = first.next("spiffe://example.org/orders", [8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(
            (first.to_string(), second.to_string()),
            ("1.LpgLttfJcuXE-mnGPUWpIA".to_owned(), "2.ZAxdoDmnoi_GNzrGRKNOVw".to_owned())
        );
    }
}

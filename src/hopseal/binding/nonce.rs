//! Nonces that we hand out and keep no list of (RFC 9449 section 9).

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::clock::UnixTime;
use crate::jose::decode;
use crate::secret::Secret;

/// Fewest bytes of a secret.
const MIN_SECRET: usize = 32;

/// Makes and recognizes nonces: a time and its HMAC, so that every replica of a service knows those of the others.
///
/// ```
/// use hopseal::{Nonces, Secret, UnixTime};
/// let nonces = Nonces::new(&Secret::new("of 32 bytes or more, and random!"), 300).ok_or("too short")?;
/// let nonce = nonces.issue(UnixTime(1_800_000_000)); // for the header `DPoP-Nonce`
/// assert!(nonces.check(&nonce, UnixTime(1_800_000_300)));
/// assert!(!nonces.check(&nonce, UnixTime(1_800_000_301)));
/// # Ok::<(), &str>(())
/// ```
pub struct Nonces {
    key: hmac::Key,
    lifetime: u64,
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Nonces {
    /// Nonces that are good for so many seconds. `None` if the secret has fewer than 32 bytes.
    #[must_use]
    pub fn new(secret: &Secret, lifetime: u64) -> Option<Self> {
        let secret = secret.expose().as_bytes();
        (secret.len() >= MIN_SECRET)
            .then(|| Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), lifetime })
    }

    /// A new one.
    #[must_use]
    pub fn issue(&self, now: UnixTime) -> String {
        let mut nonce = now.0.to_be_bytes().to_vec();
        nonce.extend(self.tag(now));
        URL_SAFE_NO_PAD.encode(nonce)
    }

    /// Whether it is one of ours, and neither too old nor from the future.
    #[must_use]
    pub fn check(&self, nonce: &str, now: UnixTime) -> bool {
        let Some((time, tag)) = decode(nonce).and_then(|bytes| {
            let (time, tag) = bytes.split_first_chunk::<8>()?;
            Some((UnixTime(u64::from_be_bytes(*time)), <[u8; 16]>::try_from(tag).ok()?))
        }) else {
            return false;
        };
        let ours = aws_lc_rs::constant_time::verify_slices_are_equal(&tag, &self.tag(time)).is_ok();
        ours && time <= now && now.since(time) <= self.lifetime
    }

    fn tag(&self, time: UnixTime) -> [u8; 16] {
        let tag =
            hmac::sign(&self.key, &[b"hopseal dpop nonce\0".as_slice(), &time.0.to_be_bytes()].concat());
        let mut short = [0; 16];
        short.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_fresh_and_whole() {
        let nonces = |secret: &str| Nonces::new(&Secret::new(secret), 60).expect("long enough");
        let (ours, other) =
            (nonces("0123456789abcdef0123456789abcdef"), nonces("0123456789abcdef0123456789abcdeF"));
        let (now, nonce) = (UnixTime(1000), ours.issue(UnixTime(1000)));
        assert!(ours.check(&nonce, now));
        assert!(!other.check(&nonce, now));
        assert!(!ours.check(&nonce, UnixTime(999)), "from the future");
        assert!(!ours.check(&ours.issue(UnixTime(0)), now), "too old");
        for text in
            ["", "AAAA", &format!("{nonce}A"), &format!("{nonce}AAAA"), nonce.get(1..).expect("ASCII")]
        {
            assert!(!ours.check(text, now), "{text}");
        }
        assert!(Nonces::new(&Secret::new("short"), 60).is_none());
        assert!(!format!("{ours:?}").contains("0123"));
    }
}

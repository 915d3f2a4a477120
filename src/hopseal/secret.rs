//! Credentials in memory: wiped when dropped, masked when shown.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// A credential as it was presented.
///
/// It is wiped when dropped and cannot be cloned; `Debug` shows its [`Fingerprint`] and length alone.
///
/// ```
/// use hopseal::Token;
/// let token = Token::new("eyJhbGciOiJub25lIn0.e30.");
/// assert_eq!(format!("{token:?}"), "Token(4badc4f0c891b654, 24 bytes)");
/// ```
pub struct Token(Zeroizing<Box<str>>);

impl Token {
    /// Takes a credential, without the scheme in front.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Takes the credential out of the value of an `Authorization` header: scheme `Bearer` (RFC 6750 section 2.1) or
    /// `DPoP` (RFC 9449 section 7.1) in any case, then one `b64token`. `None` for anything else.
    #[must_use]
    pub fn from_authorization(value: &str) -> Option<Self> {
        let (scheme, token) = value.split_once(' ')?;
        let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("dpop");
        let token = token.trim_start_matches(' ');
        let body = token.trim_end_matches('=');
        let legal = |letter: u8| letter.is_ascii_alphanumeric() || b"-._~+/".contains(&letter);
        (known && !body.is_empty() && body.bytes().all(legal)).then(|| Self::new(token))
    }

    /// What tells this credential from others in logs and on spans.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let digest: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        Fingerprint([a, b, c, d, e, f, g, h])
    }

    /// The credential itself. For verifiers; it must not be kept or shown.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, {} bytes)", self.fingerprint(), self.0.len())
    }
}

/// The first 64 bits of a credential's SHA-256. The credential cannot be had from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 8]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Text of the configuration that must not be shown: a key, a client's secret. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bearer_token_or_none() {
        for (value, token) in [
            ("Bearer abc.def-_~+/==", Some("abc.def-_~+/==")),
            ("bearer  abc", Some("abc")),
            ("DPoP abc", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("Bearer ==", None),
            ("Bearer a b", None),
            ("Bearer a=b", None),
            ("Bearer a, Bearer b", None),
            ("Bearer a\u{e9}", None),
        ] {
            let read = Token::from_authorization(value);
            assert_eq!(read.as_ref().map(Token::expose), token, "{value}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let token = Token::new("abc");
        assert_eq!(format!("{token:?}"), "Token(ba7816bf8f01cfea, 3 bytes)"); // FIPS 180-4, "abc"
        assert_eq!(format!("{:?}", Secret::new("abc")), "Secret(..)");
    }
}

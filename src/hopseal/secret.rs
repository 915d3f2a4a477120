//! Credentials in memory: wiped when dropped, masked when shown.

use std::fmt;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// An authentication scheme: how a token is presented, or asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// A token that whoever holds it may use (RFC 6750).
    Bearer,
    /// A token bound to a key that must be shown to be held (RFC 9449).
    Dpop,
}

/// A credential as it was presented.
///
/// It is wiped when dropped and cannot be cloned; `Debug` shows its [`Fingerprint`] and length alone.
///
/// ```
/// use hopseal::Token;
/// let token = Token::new("eyJhbGciOiJub25lIn0.e30.");
/// assert_eq!(format!("{token:?}"), "Token(4badc4f0c891b654, 24 bytes)");
/// ```
pub struct Token {
    text: Zeroizing<Box<str>>,
    scheme: Option<Scheme>,
}

impl Token {
    /// Takes a credential that was presented in another way than with a scheme in front.
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self { text: Zeroizing::new(text.into()), scheme: None }
    }

    /// Takes the credential out of the value of an `Authorization` header: scheme `Bearer` (RFC 6750 section 2.1) or
    /// `DPoP` (RFC 9449 section 7.1) in any case, then one `b64token`. `None` for anything else. Which of the two it was is
    /// kept: a token that is bound to a key is good with the latter alone, and any other with the former.
    #[must_use]
    pub fn from_authorization(value: &str) -> Option<Self> {
        let (scheme, token) = value.split_once(' ')?;
        let scheme = match scheme {
            bearer if bearer.eq_ignore_ascii_case("bearer") => Scheme::Bearer,
            dpop if dpop.eq_ignore_ascii_case("dpop") => Scheme::Dpop,
            _ => return None,
        };
        let token = token.trim_start_matches(' ');
        let body = token.trim_end_matches('=');
        // Of all bytes at once, not of one after the other until one is not: several at a time are looked at by one instruction.
        let whole = !body.is_empty() & body.bytes().fold(true, |whole, letter| whole & is_token68(letter));
        whole.then(|| Self { scheme: Some(scheme), ..Self::new(token) })
    }

    /// The scheme that it was presented with, if it was.
    #[must_use]
    pub const fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// What tells this credential from others in logs.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.text.as_bytes())
    }

    /// The credential itself. For verifiers; it must not be kept or shown.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

/// RFC 9110 section 11.2, without the `=` at the end.
const fn is_token68(letter: u8) -> bool {
    ((letter | 0x20).wrapping_sub(b'a') < 26)
        | (letter.wrapping_sub(b'0') < 10)
        | (letter == b'-')
        | (letter == b'.')
        | (letter == b'_')
        | (letter == b'~')
        | (letter == b'+')
        | (letter == b'/')
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, {} bytes)", self.fingerprint(), self.text.len())
    }
}

/// A credential's SHA-256, shown by its first 64 bits. The credential cannot be had from it, but who has it can tell that it is
/// that one: for our own logs, and on spans, which others read, under the key of the trust domain
/// (`hopseal.token_fingerprint`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub(crate) [u8; 32]);

impl Fingerprint {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// All of the SHA-256.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
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
            let scheme = if value.starts_with('D') { Scheme::Dpop } else { Scheme::Bearer };
            assert_eq!(read.and_then(|read| read.scheme()), token.map(|_| scheme), "{value}");
        }
    }

    #[test]
    fn the_characters_of_a_token_are_those_of_the_rfc() {
        for letter in 0..=u8::MAX {
            let legal = letter.is_ascii_alphanumeric() || b"-._~+/".contains(&letter);
            assert_eq!(is_token68(letter), legal, "{letter}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let token = Token::new("abc");
        assert_eq!(format!("{token:?}"), "Token(ba7816bf8f01cfea, 3 bytes)"); // FIPS 180-4, "abc"
        assert_eq!(format!("{:?}", Secret::new("abc")), "Secret(..)");
    }
}

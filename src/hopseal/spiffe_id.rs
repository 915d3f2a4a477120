//! SPIFFE IDs.

use std::fmt;

use crate::Reason;
use crate::outcome::Refused;

/// Longest id (SPIFFE ID section 2.3).
const MAX_BYTES: usize = 2048;
/// Longest name of a trust domain.
const MAX_DOMAIN: usize = 255;

/// The SPIFFE ID of a workload: `spiffe://` trust domain `/` path. One text for one id, so that they are compared byte by
/// byte.
///
/// ```
/// use hopseal::SpiffeId;
/// let id = SpiffeId::parse("spiffe://prod.example/orders")?;
/// assert_eq!((id.trust_domain(), id.path()), ("prod.example", "/orders"));
/// assert!(SpiffeId::parse("spiffe://prod.example/a/../orders").is_err());
/// # Ok::<(), hopseal::Refused>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    text: String,
    /// Where the path begins.
    path: usize,
}

impl SpiffeId {
    /// Reads the id of a workload (SPIFFE ID section 2).
    ///
    /// # Errors
    /// [`Refused`] with [`Reason::Claim`]: another scheme; a trust domain with other than lower-case letters, digits or
    /// `.-_`, a port or a user; no path, or one with empty segments, `.`, `..`, a `/` at the end, or characters other than
    /// letters, digits or `.-_`; a query or a fragment; over 2048 bytes.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        const SCHEME: &str = "spiffe://";
        let fault = || Refused::new(Reason::Claim, "no SPIFFE ID of a workload");
        let rest = text.strip_prefix(SCHEME).filter(|_| text.len() <= MAX_BYTES).ok_or_else(fault)?;
        let (domain, path) = rest.split_once('/').ok_or_else(fault)?;
        let name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let segment =
            |part: &str| !part.is_empty() && part != "." && part != ".." && part.bytes().all(letter);
        let legal = (1..=MAX_DOMAIN).contains(&domain.len()) && domain.bytes().all(name);
        if !legal || !path.split('/').all(segment) {
            return Err(fault());
        }
        Ok(Self { text: text.to_owned(), path: SCHEME.len() + domain.len() })
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        self.text.get("spiffe://".len()..self.path).unwrap_or_default()
    }

    /// The path, from its `/` on.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text.get(self.path..).unwrap_or_default()
    }

    /// The whole id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_workloads_and_what_is_none() {
        let long = format!("spiffe://a/{}", "p".repeat(2037));
        for good in ["spiffe://a/b", "spiffe://a.b-c_1/Z/.x/...", long.as_str()] {
            assert_eq!(SpiffeId::parse(good).expect(good).as_str(), good);
        }
        for bad in [
            "",
            "spiffe://",
            "spiffe://a",
            "spiffe://a/",
            "spiffe:///b",
            "spiffe://a//b",
            "spiffe://a/b/",
            "spiffe://a/./b",
            "spiffe://a/../b",
            "spiffe://A/b",
            "spiffe://a:80/b",
            "spiffe://u@a/b",
            "spiffe://a/b?c",
            "spiffe://a/b#c",
            "spiffe://a/%62",
            "spiffe://a/\u{e9}",
            "SPIFFE://a/b",
            "https://a/b",
            " spiffe://a/b",
            &format!("{long}p"),
            &format!("spiffe://{}/b", "a".repeat(256)),
        ] {
            assert!(SpiffeId::parse(bad).is_err(), "{bad}");
        }
    }
}

//! What is noted of a credential in a record.

use super::{Ground, Hit, shape};

/// What the span or resource that held it is to the finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It stood in a span.
    Span,
    /// It stood in a resource: every span of the service carries it.
    Resource,
}

/// A credential that was seen, without the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leak<'t> {
    pub(crate) class: &'t str,
    /// The attribute key, or which part of the span.
    pub(crate) key: &'t str,
    pub(crate) masked: &'t str,
    pub(crate) ground: Ground,
    pub(crate) origin: Origin,
    /// When it ends, in seconds since the Unix epoch, where it says so.
    pub(crate) expires_at: Option<u64>,
}

/// Grounds by their letter in a record.
const GROUNDS: [(Ground, &str); 5] = [
    (Ground::Form, "f"),
    (Ground::Name, "n"),
    (Ground::Cut, "c"),
    (Ground::Place, "p"),
    (Ground::Example, "e"),
];

impl<'t> Leak<'t> {
    /// What to note of `hit` in `text`, which is not kept; `masked` is what may be shown of it.
    pub(crate) fn new(hit: &Hit, text: &str, key: &'t str, masked: &'t str, origin: Origin) -> Self {
        let token = text.get(hit.start..hit.end).unwrap_or("");
        let expires_at = if hit.class == "jwt" { shape::expiry(token) } else { None };
        Self { class: hit.class, key, masked, ground: hit.ground, origin, expires_at }
    }

    /// Hands the text of a record's field to `put`, in parts. `shown` lets no separator into `masked`; the key comes
    /// last because it can hold one.
    pub(crate) fn write(&self, put: impl FnOnce(&[&str])) {
        let ground =
            GROUNDS.iter().find(|(ground, _)| *ground == self.ground).map_or("", |(_, letter)| letter);
        let origin = if self.origin == Origin::Resource { "r" } else { "s" };
        let expires_at = self.expires_at.map(|at| at.to_string()).unwrap_or_default();
        put(&[self.class, "\0", ground, "\0", origin, "\0", &expires_at, "\0", self.masked, "\0", self.key]);
    }

    /// Reads it back; `None` for text that [`write`](Self::write) did not make.
    pub(crate) fn read(text: &'t str) -> Option<Self> {
        let mut parts = text.splitn(6, '\0');
        let (class, ground, origin) = (parts.next()?, parts.next()?, parts.next()?);
        let (expires_at, masked, key) = (parts.next()?, parts.next()?, parts.next()?);
        let (ground, _) = GROUNDS.iter().find(|(_, letter)| *letter == ground)?;
        let origin = if origin == "r" { Origin::Resource } else { Origin::Span };
        Some(Self { class, key, masked, ground: *ground, origin, expires_at: expires_at.parse().ok() })
    }
}

//! What happens, told to whoever counts it or writes it down.

use std::fmt;
use std::time::Duration;

use crate::principal::Credential;

/// Something that happened. Texts are of closed sets or names of the registry: they can be labels as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Observed<'o> {
    /// Keys of an issuer were fetched, or not.
    KeysFetched {
        /// The name that the registry gives the issuer.
        issuer: &'o str,
        /// `new` for another set, `same`, or why not: the word of a `keys::FetchFault`.
        outcome: &'static str,
        /// How long it took.
        took: Duration,
    },
    /// Keys of a set that are not used, as they are not in order.
    KeysSkipped {
        /// The name that the registry gives the issuer.
        issuer: &'o str,
        /// How many.
        count: usize,
    },
    /// Keys past their soft age serve, as they could not be refreshed yet.
    KeysStale {
        /// The name that the registry gives the issuer.
        issuer: &'o str,
        /// Seconds since the issuer confirmed them.
        age: u64,
    },
    /// There are no keys to decide with.
    KeysUnavailable {
        /// The name that the registry gives the issuer.
        issuer: &'o str,
    },
    /// A key id that is not the issuer's.
    UnknownKid {
        /// The name that the registry gives the issuer.
        issuer: &'o str,
        /// `fetched`: the issuer was asked for it; `remembered`: it was asked for it before; `cooldown`: it was not asked.
        outcome: &'static str,
    },
    /// An issuer was asked about a token (RFC 7662).
    Introspected {
        /// The name that the registry gives the issuer.
        issuer: &'o str,
        /// `active`, `inactive`, `refused` for one that is active and not good here, or why nothing was said.
        outcome: &'static str,
        /// How long it took.
        took: Duration,
    },
    /// An answer about a token was at hand.
    IntrospectionCached {
        /// The name that the registry gives the issuer.
        issuer: &'o str,
    },
    /// A credential was validated, or not.
    Validated {
        /// What it was to be.
        credential: Credential,
        /// `verified`, the reason that it is refused for, or `undecided`.
        outcome: &'static str,
        /// Whether the answer was remembered, so that no signature was looked at.
        remembered: bool,
    },
    /// A credential to send out was asked for.
    CredentialFetched {
        /// How the caller calls the server that issues it.
        server: &'o str,
        /// `ok`, or why not.
        outcome: &'static str,
        /// How long it took.
        took: Duration,
    },
    /// A refresh token was refused: used before, by another than us, or withdrawn (RFC 9700 section 4.14.2).
    RefreshRefused {
        /// How the caller calls the server that issued it.
        server: &'o str,
    },
    /// A security event came (RFC 8417).
    EventReceived {
        /// The name that the registry gives the issuer.
        issuer: &'o str,
        /// The kind of event, or the reason that it is refused for.
        outcome: &'static str,
    },
    /// How far a feed of security events is behind.
    FeedLag {
        /// The name that the registry gives the issuer.
        issuer: &'o str,
        /// Seconds since it was last heard of.
        seconds: u64,
    },
    /// Something of an identity was about to leave for where it may not go.
    LeakStopped {
        /// `seal`: that of the request; `baggage`: members that others wrote; `token`: the caller's token, or a Txn-Token.
        what: &'static str,
    },
}

/// Who is told. Called where it happens, often: it must be quick, and must not block or panic.
pub trait Observer: fmt::Debug + Send + Sync {
    /// Something happened.
    fn observe(&self, observed: &Observed<'_>);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn observe(&self, _: &Observed<'_>) {}
}

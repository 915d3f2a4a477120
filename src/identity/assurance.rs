//! How sure we are of a hop's identity, and why that word is believed.

/// One word for what is known of the identity at a hop.
///
/// ```
/// use hopseal_identity::Assurance;
/// assert!(Assurance::Sealed.is_identified());
/// assert_eq!(Assurance::parse("anonymous"), Some(Assurance::Anonymous));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assurance {
    /// No evidence either way.
    Unknown,
    /// Positive evidence that there was no credential.
    Anonymous,
    /// A credential was presented and found bad.
    Refused,
    /// An identity is named and nothing proves it.
    Asserted,
    /// No credential travelled; a valid seal, bound to this trace, vouches for the identity.
    Sealed,
    /// A credential was validated at this very hop.
    Verified,
}

impl Assurance {
    /// Every word, weakest first.
    pub const ALL: [Self; 6] =
        [Self::Unknown, Self::Anonymous, Self::Refused, Self::Asserted, Self::Sealed, Self::Verified];

    /// The word as every output writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Anonymous => "anonymous",
            Self::Refused => "refused",
            Self::Asserted => "asserted",
            Self::Sealed => "sealed",
            Self::Verified => "verified",
        }
    }

    /// Reads the word back; `None` for any other.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assurance| assurance.as_str() == word)
    }

    /// Whether a principal is named at all: verified, sealed or asserted.
    #[must_use]
    pub const fn is_identified(self) -> bool {
        matches!(self, Self::Asserted | Self::Sealed | Self::Verified)
    }
}

/// Why an [`Assurance`] is believed. Spans can be sent by anyone: only the last two count as proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// The span says so.
    Claimed,
    /// The seal on the span was checked again, here, with public keys.
    Reverified,
    /// The sender proved by mTLS or OIDC that it may speak for that service.
    AuthenticatedSender,
}

impl Basis {
    /// The word as every output writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Reverified => "reverified",
            Self::AuthenticatedSender => "authenticated_sender",
        }
    }

    /// Whether somebody other than the span vouches for it.
    #[must_use]
    pub const fn is_proven(self) -> bool {
        !matches!(self, Self::Claimed)
    }
}

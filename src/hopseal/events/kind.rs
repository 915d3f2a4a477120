//! Kinds of events.

use std::fmt;

/// What happened, as far as it is of use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A session ended, or all of a subject's (CAEP 1.0 section 3.1).
    SessionRevoked,
    /// What tokens say of a subject is no longer so (CAEP 1.0 section 3.2).
    TokenClaimsChange,
    /// A password or key of a subject changed (CAEP 1.0 section 3.3).
    CredentialChange,
    /// An account was disabled or deleted, or its sessions ended (RISC 1.0 section 2).
    AccountClosed,
    /// A user logged out (OpenID Connect Back-Channel Logout 1.0).
    Logout,
    /// A sign of life of the feed (SSF 1.0 section 8.1.4).
    Verification,
    /// The feed was stopped, paused or started (SSF 1.0 section 8.1.5).
    StreamUpdated,
    /// Another, from which nothing follows here.
    Other,
}

/// Identifiers of events. Some have a twin of a version before.
const NAMES: [(&str, EventKind); 10] = [
    ("https://schemas.openid.net/secevent/caep/event-type/session-revoked", EventKind::SessionRevoked),
    ("https://schemas.openid.net/secevent/caep/event-type/token-claims-change", EventKind::TokenClaimsChange),
    ("https://schemas.openid.net/secevent/caep/event-type/credential-change", EventKind::CredentialChange),
    ("https://schemas.openid.net/secevent/risc/event-type/account-disabled", EventKind::AccountClosed),
    ("https://schemas.openid.net/secevent/risc/event-type/account-purged", EventKind::AccountClosed),
    ("https://schemas.openid.net/secevent/risc/event-type/sessions-revoked", EventKind::AccountClosed),
    ("https://schemas.openid.net/secevent/ssf/event-type/verification", EventKind::Verification),
    ("https://schemas.openid.net/secevent/sse/event-type/verification", EventKind::Verification),
    ("https://schemas.openid.net/secevent/ssf/event-type/stream-updated", EventKind::StreamUpdated),
    ("https://schemas.openid.net/secevent/sse/event-type/stream-updated", EventKind::StreamUpdated),
];

impl EventKind {
    /// Of an identifier.
    pub(super) fn of(name: &str) -> Self {
        NAMES.iter().find(|(known, _)| *known == name).map_or(Self::Other, |(_, kind)| *kind)
    }

    /// The word in labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionRevoked => "session_revoked",
            Self::TokenClaimsChange => "token_claims_change",
            Self::CredentialChange => "credential_change",
            Self::AccountClosed => "account_closed",
            Self::Logout => "logout",
            Self::Verification => "verification",
            Self::StreamUpdated => "stream_updated",
            Self::Other => "other",
        }
    }

    /// Whether credentials of the subject are no longer good.
    pub(super) const fn revokes(self) -> bool {
        matches!(
            self,
            Self::SessionRevoked
                | Self::TokenClaimsChange
                | Self::CredentialChange
                | Self::AccountClosed
                | Self::Logout
        )
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

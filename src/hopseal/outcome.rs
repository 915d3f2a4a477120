//! What comes of validating a credential.

use std::sync::Arc;

use hopseal_identity::{Method, Reason};

use crate::clock::UnixTime;
use crate::principal::{Credential, Principal};
use crate::secret::Fingerprint;

/// The answer to a credential. "No" is an answer too; only where none could be found is there an [`Undecided`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validated {
    /// The credential is good, and this is what it says.
    Verified(Arc<Verified>),
    /// The credential is bad.
    Refused(Refused),
}

impl Validated {
    /// What a good credential says.
    #[must_use]
    pub fn verified(&self) -> Option<&Verified> {
        match self {
            Self::Verified(verified) => Some(verified),
            Self::Refused(_) => None,
        }
    }

    /// Why a bad one is refused.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Verified(_) => None,
            Self::Refused(refused) => Some(refused),
        }
    }
}

/// Proof that a credential was validated: only the verifiers of this crate make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub(crate) principal: Principal,
    pub(crate) evidence: Evidence,
    #[cfg(feature = "seal")]
    kept: Kept,
}

impl Verified {
    #[cfg(any(feature = "jwt", all(feature = "seal", test)))]
    pub(crate) fn new(evidence: Evidence, principal: Principal) -> Self {
        Self {
            principal,
            evidence,
            #[cfg(feature = "seal")]
            kept: Kept::default(),
        }
    }

    /// What the first who asked made of it, for as long as it is remembered itself: a credential comes more than once. `None` where
    /// that was something else.
    #[cfg(feature = "seal")]
    pub(crate) fn kept<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> Arc<T>) -> Option<Arc<T>> {
        Arc::clone(self.kept.0.get_or_init(|| make())).downcast().ok()
    }

    /// Who it is.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// How that was found out.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

/// What can be worked out of it again, and is no part of it.
#[cfg(feature = "seal")]
#[derive(Default)]
struct Kept(std::sync::OnceLock<Arc<dyn std::any::Any + Send + Sync>>);

#[cfg(feature = "seal")]
impl Clone for Kept {
    /// Nothing: of a copy, something else may be made.
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(feature = "seal")]
impl PartialEq for Kept {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[cfg(feature = "seal")]
impl Eq for Kept {}

#[cfg(feature = "seal")]
impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

/// How a credential was verified: what goes on the span besides the principal. Never the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// What sort of credential it was.
    pub credential: Credential,
    /// The name that the registry gives the issuer.
    pub issuer: String,
    /// The algorithm of the signature, as JOSE or PASETO writes it. `None` where none was verified here: another did, or TLS.
    pub algorithm: Option<&'static str>,
    /// The id of the key, if the credential names it.
    pub kid: Option<String>,
    /// The credential's own id (`jti`, or `txn` of a Txn-Token).
    pub token_id: Option<String>,
    /// The subject (`sub`): the principal's id, unless the registry takes that from another claim.
    pub subject: String,
    /// The audience that was found to be ours. `None` for a certificate, which names none.
    pub audience: Option<String>,
    /// When it was issued, if it says so (`iat`).
    pub issued_at: Option<UnixTime>,
    /// When it began to be valid, if it says so (`nbf`). When it ends is with the principal.
    pub not_before: Option<UnixTime>,
    /// What its holder must prove to hold (`cnf`), if it is not good in anybody's hands. That was checked.
    pub confirmation: Option<Confirmation>,
    /// Tells the credential from others.
    pub fingerprint: Fingerprint,
    /// Whether the header brought a key or the address of one (`jwk`, `jku`, `x5c`, `x5u`), which was not looked at:
    /// harmless, and worth counting.
    pub offered_key: bool,
    /// The proxy that validated it in our place, by its SPIFFE ID. `None` where it was validated here.
    pub proxy: Option<String>,
}

impl Evidence {
    /// How it was established, in one word for spans (`hopseal.method`): `proxy`, or the kind of credential.
    #[must_use]
    pub fn method(&self) -> &'static str {
        if self.proxy.is_some() { Method::Proxy.as_str() } else { self.credential.as_str() }
    }
}

/// What a credential is bound to (RFC 7800): digests of keys, of which the holder must prove each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmation {
    /// Thumbprint of the key that signs DPoP proofs (`jkt`, RFC 9449 section 6.1).
    pub jkt: Option<[u8; 32]>,
    /// SHA-256 of the client's certificate (`x5t#S256`, RFC 8705 section 3.1).
    pub x5t_s256: Option<[u8; 32]>,
}

/// A bad credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Refused {
    reason: Reason,
    detail: String,
}

impl Refused {
    /// A refusal.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    /// Why, in one word of a closed set.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// Why, for those who read logs. May quote names and claims of the credential, cut short; never so much of it that it
    /// could be used. Not for clients.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<Result<Verified, Refused>> for Validated {
    fn from(result: Result<Verified, Refused>) -> Self {
        match result {
            Ok(verified) => Self::Verified(Arc::new(verified)),
            Err(refused) => Self::Refused(refused),
        }
    }
}

impl From<Refused> for Validated {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// No answer could be found: the caller should be told to try again (503), not that its credential is bad (401).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undecided {
    /// There are no keys of the issuer to verify with.
    #[error("no keys of `{issuer}` are at hand")]
    NoKeys {
        /// The name that the registry gives the issuer.
        issuer: String,
    },
    /// The issuer could not be asked about the token.
    #[error("`{issuer}` cannot be asked")]
    Unanswered {
        /// The name that the registry gives the issuer.
        issuer: String,
    },
    /// Tokens of the issuer are opaque, and nobody was set up to ask it by the rules of this registry: a fault of ours.
    #[error("nobody is set up to ask `{issuer}` about tokens")]
    NotAsked {
        /// The name that the registry gives the issuer.
        issuer: String,
    },
    /// An opaque token does not say whose it is, several issuers are asked about tokens, and the request was not said to
    /// expect one of them: a fault of ours.
    #[error("several issuers are asked about tokens, and none was named")]
    WhichIssuer,
    /// There is no room to remember another proof or token that may be used once, so that it would not be noticed if it came
    /// again.
    #[error("no room to remember what may be used once")]
    NoRoom,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_says_both() {
        let refused = Refused::new(Reason::UnknownKey, "no key `k9`");
        assert_eq!(refused.to_string(), "unknown_key: no key `k9`");
        assert_eq!(Validated::from(refused.clone()).refused(), Some(&refused));
    }
}

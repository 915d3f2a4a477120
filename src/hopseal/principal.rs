//! Who acts, for whom, and with what right, as a verifier found it.

use std::fmt;

use hopseal_identity::{Kind, Method};

use crate::clock::UnixTime;

/// A verified identity acting at a hop.
///
/// Who it is, is the pair of [`issuer`](Self::issuer) and [`id`](Self::id), compared byte by byte: a subject is unique
/// with its issuer alone (RFC 8725 section 3.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Its id at the issuer: `sub`, unless the registry maps another claim.
    pub id: String,
    /// Who vouches for it: `iss`, a trust domain.
    pub issuer: String,
    /// What sort it is.
    pub kind: Kind,
    /// The tenant that it acts in.
    pub tenant: Option<String>,
    /// The OAuth client that it acts through.
    pub client: Option<String>,
    /// The session at the issuer.
    pub session: Option<String>,
    /// Who acts for it, most recent first (`act`, RFC 8693 section 4.1).
    pub actors: Vec<Acting>,
    /// OAuth scopes, sorted.
    pub scopes: Vec<String>,
    /// Roles, sorted.
    pub roles: Vec<String>,
    /// When the credential that says so runs out.
    pub expiry: UnixTime,
}

/// One link of a delegation chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acting {
    /// Its id at the issuer.
    pub id: String,
    /// Its issuer, if that is said.
    pub issuer: Option<String>,
    /// Its kind, if that is said.
    pub kind: Option<Kind>,
}

impl Acting {
    /// The same, as the wire contract has it.
    #[must_use]
    pub fn as_actor(&self) -> hopseal_identity::Actor<'_> {
        hopseal_identity::Actor { kind: self.kind, id: &self.id }
    }
}

/// A kind of credential. What is accepted as one is never accepted as another (RFC 8725 section 3.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Credential {
    /// An OAuth access token as a JWT, after RFC 9068 or plain.
    AccessToken,
    /// An OpenID Connect ID token (OpenID Connect Core 1.0 section 2).
    IdToken,
    /// A workload's JWT-SVID (SPIFFE).
    JwtSvid,
    /// A transaction token (draft-ietf-oauth-transaction-tokens).
    TxnToken,
    /// A PASETO, `v4.public` or `v4.local`.
    Paseto,
    /// A token that only its issuer can read (RFC 7662).
    Opaque,
    /// A workload's X.509-SVID (SPIFFE): the certificate that it showed.
    X509Svid,
}

impl Credential {
    /// How an identity is established by it, as the wire contract calls that.
    #[must_use]
    pub const fn method(self) -> Method {
        match self {
            Self::AccessToken => Method::AccessToken,
            Self::IdToken => Method::IdToken,
            Self::JwtSvid => Method::JwtSvid,
            Self::TxnToken => Method::TxnToken,
            Self::Paseto => Method::Paseto,
            Self::Opaque => Method::Opaque,
            Self::X509Svid => Method::X509Svid,
        }
    }

    /// The word on spans, in labels and in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.method().as_str()
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

//! An issuer and its rules, resolved.

use sha2::{Digest as _, Sha256};

use super::policy::{EventFeed, SealerEntry};
use crate::algorithm::Algorithm;
use crate::principal::Credential;
use crate::secret::Secret;

/// What sort of issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssuerKind {
    /// An OpenID provider; keys by its discovery document (OpenID Connect Discovery 1.0).
    Oidc,
    /// An OAuth 2.0 authorization server; keys by its metadata (RFC 8414).
    #[serde(rename = "oauth2")]
    OAuth2,
    /// Keys at an address.
    Jwks,
    /// Keys in the registry.
    Static,
    /// PASETO v4, keys as PASERK.
    Paseto,
    /// Opaque tokens that the issuer is asked about (RFC 7662).
    Introspection,
    /// A SPIFFE trust domain.
    Spiffe,
    /// A transaction token service.
    TxnToken,
    /// Services that seal baggage.
    Seal,
}

/// Where the keys of an issuer are, or whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// In the metadata document of the issuer: `/.well-known/openid-configuration` after the issuer's path.
    OpenIdDiscovery,
    /// In the metadata document of the issuer: `/.well-known/oauth-authorization-server` before the issuer's path.
    OAuthMetadata,
    /// At an address that holds a JWK set.
    JwksUri(String),
    /// At the Workload API of SPIFFE, behind this socket: `unix:///run/spire/agent.sock`.
    WorkloadApi(String),
    /// In this JWK set.
    Jwks(Secret),
    /// In these keys.
    Paserk(Vec<Secret>),
    /// With whoever answers at an introspection endpoint.
    Introspection {
        /// The address of the endpoint.
        endpoint: String,
        /// Our id as a client there.
        client_id: String,
        /// Our secret as a client there.
        client_secret: Secret,
    },
}

/// Which claim says what. A path names a claim, or after dots one inside of it; a claim whose own name is the whole path
/// goes first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The principal's id. Default `sub`.
    pub id: String,
    /// Its tenant.
    pub tenant: Option<String>,
    /// Its roles: a list, or one text.
    pub roles: Option<String>,
    /// Its scopes: words separated by spaces (RFC 9068 section 2.2.3), or a list. Default `scope`.
    pub scopes: String,
    /// Its session. Default `sid`.
    pub session: String,
    /// The client. Default `client_id`, and `azp` for ID tokens.
    pub client: Option<String>,
    /// Who acts for it. Default `act`.
    pub actors: String,
    /// Its kind, as a claim that says `user`, `service` or `agent`. By default a token whose subject is its client is a
    /// service's, and any other a user's.
    pub kind: Option<String>,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            id: "sub".to_owned(),
            tenant: None,
            roles: None,
            scopes: "scope".to_owned(),
            session: "sid".to_owned(),
            client: None,
            actors: "act".to_owned(),
            kind: None,
        }
    }
}

/// An issuer that is trusted, within its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    pub(super) name: String,
    pub(super) kind: IssuerKind,
    pub(super) id: String,
    pub(super) source: Source,
    pub(super) tokens: Vec<Credential>,
    pub(super) audiences: Vec<String>,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) types: Vec<String>,
    pub(super) max_lifetime: u64,
    pub(super) skew: u64,
    pub(super) claims: Claims,
    pub(super) feed: Option<EventFeed>,
    pub(super) sealers: Vec<SealerEntry>,
    pub(super) loopback_http: bool,
}

impl Issuer {
    /// How the registry calls it: `hopseal.iss` on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What sort it is.
    #[must_use]
    pub const fn kind(&self) -> IssuerKind {
        self.kind
    }

    /// Its id: `iss` to the letter, or the name of the trust domain.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where its keys are.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// Whether credentials of that kind are accepted from it.
    #[must_use]
    pub fn accepts(&self, credential: Credential) -> bool {
        self.tokens.contains(&credential)
    }

    /// The audiences that are ours. One of them must be among those of the credential.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// The algorithms that it is trusted with: all symmetric, or none.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// The types (`typ`) that its access tokens may have, in lower case and without `application/`.
    #[must_use]
    pub fn types(&self) -> &[String] {
        &self.types
    }

    /// For how many seconds a credential of it may be valid.
    #[must_use]
    pub const fn max_lifetime(&self) -> u64 {
        self.max_lifetime
    }

    /// How many seconds its clock and ours may be apart.
    #[must_use]
    pub const fn skew(&self) -> u64 {
        self.skew
    }

    /// Which claim says what.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The security events and logouts that it sends, if it does.
    #[must_use]
    pub const fn feed(&self) -> Option<&EventFeed> {
        self.feed.as_ref()
    }

    /// The services that may seal, of an issuer of the kind [`Seal`](IssuerKind::Seal).
    #[must_use]
    pub fn sealers(&self) -> &[SealerEntry] {
        &self.sealers
    }

    /// Whether plain `http` to this machine itself is allowed. Never to another.
    #[must_use]
    pub const fn allows_loopback_http(&self) -> bool {
        self.loopback_http
    }

    /// Whether a credential could be judged by the rules of both.
    pub(super) fn clashes(&self, other: &Self) -> bool {
        let same = self.kind == IssuerKind::Seal && other.kind == IssuerKind::Seal
            || self.kind == IssuerKind::Introspection && other.kind == IssuerKind::Introspection
            || self.tokens.iter().any(|token| other.accepts(*token));
        same && self.id == other.id
    }

    /// Everything that matters goes in. `Debug` shows all but what is secret, which goes in by itself.
    pub(super) fn digest(&self, digest: &mut Sha256) {
        let mut put = |text: &str| {
            digest.update(text.len().to_le_bytes());
            digest.update(text.as_bytes());
        };
        put(&format!("{self:?}"));
        match &self.source {
            Source::Jwks(keys) => put(keys.expose()),
            Source::Paserk(keys) => keys.iter().for_each(|key| put(key.expose())),
            Source::Introspection { client_secret, .. } => put(client_secret.expose()),
            Source::OpenIdDiscovery | Source::OAuthMetadata | Source::JwksUri(_) | Source::WorkloadApi(_) => {
            }
        }
    }
}

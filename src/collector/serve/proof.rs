//! By what somebody is known: a token or a certificate, shown and verified.
//!
//! A token goes first: it was put there for us. A certificate was verified when the connection was made.

use hopseal::http::{Http, HttpError, HttpSettings};
use hopseal::introspection::Introspector;
use hopseal::keys::{KeyStore, KeyStoreError};
use hopseal::{
    CacheConfig, Challenge, Credential, Expected, Reason, Registry, Scheme, Token, Validated, Validator,
};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use rustls_pki_types::CertificateDer;

use super::refusal::Refusal;

/// By what somebody is known. Each is compared to the letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum KnownBy {
    /// A URI in a certificate: a SPIFFE ID.
    Uri(String),
    /// A DNS name in a certificate.
    Dns(String),
    /// The subject of a token, and the name that the registry gives the issuer.
    Token { issuer: String, subject: String },
    /// A role that a token says its subject has.
    Role { issuer: String, role: String },
}

impl KnownBy {
    /// Who it is, for a trail of who said what.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Uri(name) | Self::Dns(name) => name.clone(),
            Self::Token { issuer, subject: name } | Self::Role { issuer, role: name } => {
                format!("{name} ({issuer})")
            }
        }
    }

    /// The name that the registry gives the issuer, if it is by a token.
    pub(crate) fn issuer(&self) -> Option<&str> {
        match self {
            Self::Uri(_) | Self::Dns(_) => None,
            Self::Token { issuer, .. } | Self::Role { issuer, .. } => Some(issuer),
        }
    }
}

/// Tokens cannot be validated by this registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ProofError {
    /// The client that asks issuers cannot be made.
    #[error("cannot ask issuers")]
    Http(#[source] HttpError),
    /// Keys cannot be had as the registry says.
    #[error("keys of issuers")]
    Keys(#[source] KeyStoreError),
    /// Issuers cannot be asked as the registry says.
    #[error("issuers that are asked about tokens: {0}")]
    Introspection(String),
}

/// What is on the other side of a connection.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    uris: Vec<String>,
    names: Vec<String>,
    certificate: Option<CertificateDer<'static>>,
}

impl Peer {
    /// Whoever showed these certificates, its own first, which were verified.
    pub(crate) fn of(certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let Some(leaf) = certificates.and_then(<[_]>::first) else { return Self::default() };
        let Ok(read) = webpki::EndEntityCert::try_from(leaf) else { return Self::default() };
        Self {
            uris: read.valid_uri_names().map(str::to_owned).collect(),
            names: read.valid_dns_names().map(str::to_ascii_lowercase).collect(),
            certificate: Some(leaf.clone().into_owned()),
        }
    }

    fn proof(&self) -> Proof {
        let uris = self.uris.iter().map(|uri| KnownBy::Uri(uri.clone()));
        let names = self.names.iter().map(|name| KnownBy::Dns(name.clone()));
        match self.certificate {
            Some(_) => Proof::Shown(uris.chain(names).collect()),
            None => Proof::Nothing,
        }
    }
}

/// What somebody showed, and was found good.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nothing.
    Nothing,
    /// What they may be known by, the most telling first.
    Shown(Vec<KnownBy>),
}

/// Validates tokens by a registry, asking whom it names.
pub(crate) fn validator(registry: Registry) -> Result<Validator<KeyStore>, ProofError> {
    let http = Http::new(&HttpSettings::default()).map_err(ProofError::Http)?;
    let introspector = Introspector::builder(&registry, http.clone()).build();
    let introspector = introspector.map_err(|error| ProofError::Introspection(error.to_string()))?;
    let keys = KeyStore::builder(&registry, http).build().map_err(ProofError::Keys)?;
    Ok(Validator::new(&registry, keys).cache(CacheConfig::default()).with_introspector(introspector))
}

/// What a request shows of who sends it.
///
/// # Errors
/// [`Refusal`]: a bad credential, or one of which nobody can tell.
pub(crate) async fn prove(
    tokens: Option<&Validator<KeyStore>>,
    headers: &HeaderMap,
    peer: &Peer,
) -> Result<Proof, Refusal> {
    let Some(tokens) = tokens else { return Ok(peer.proof()) };
    let Some(token) = bearer(headers)? else { return Ok(peer.proof()) };
    // A JWT has two dots; of what has not, its issuer is asked.
    let is_jwt = token.expose().matches('.').count() == 2;
    let mut expected = Expected::from(if is_jwt { Credential::AccessToken } else { Credential::Opaque });
    if let Some(certificate) = &peer.certificate {
        expected = expected.certificate(certificate);
    }
    match tokens.validate(&token, expected).await {
        Err(undecided) => {
            tracing::warn!(%undecided, "a token cannot be validated");
            Err(Refusal::Undecided)
        }
        Ok(Validated::Refused(refused)) => {
            tracing::debug!(%refused, token = %token.fingerprint(), "a token is refused");
            Err(bad(refused.reason()))
        }
        Ok(Validated::Verified(verified)) => {
            let issuer = &verified.evidence().issuer;
            let principal = verified.principal();
            let subject = KnownBy::Token { issuer: issuer.clone(), subject: principal.id.clone() };
            let role = |role: &String| KnownBy::Role { issuer: issuer.clone(), role: role.clone() };
            Ok(Proof::Shown(std::iter::once(subject).chain(principal.roles.iter().map(role)).collect()))
        }
    }
}

/// The one token of the request. Other schemes are for somebody else.
fn bearer(headers: &HeaderMap) -> Result<Option<Token>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, another) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    if another.is_some() {
        return Err(bad(Reason::Duplicate));
    }
    let text = HeaderValue::to_str(value).map_err(|_| bad(Reason::Malformed))?;
    match text.split(' ').next() {
        Some(scheme) if scheme.eq_ignore_ascii_case("bearer") => {
            Token::from_authorization(text).map(Some).ok_or_else(|| bad(Reason::Malformed))
        }
        _ => Ok(None),
    }
}

fn bad(reason: Reason) -> Refusal {
    Refusal::BadCredential(Challenge::new(Scheme::Bearer).refused(reason).to_string())
}

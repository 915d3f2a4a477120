//! Who sends, by a token or a certificate, and for which services it may speak.
//!
//! A token goes first: it was put there for us. A certificate was verified when the connection was made.

use std::collections::HashMap;
use std::sync::Arc;

use hopseal::http::{Http, HttpError, HttpSettings};
use hopseal::introspection::Introspector;
use hopseal::keys::{KeyStore, KeyStoreError};
use hopseal::{
    CacheConfig, Challenge, Credential, Expected, Reason, Registry, Scheme, Token, Validated, Validator,
};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use rustls_pki_types::CertificateDer;

use super::delivery::{Sender, SenderId};
use super::refusal::Refusal;

/// By what a sender is known. Each is compared to the letter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum KnownBy {
    /// A URI in its certificate: its SPIFFE ID.
    Uri(String),
    /// A DNS name in its certificate.
    Dns(String),
    /// The subject of its token, and the name that the registry gives the issuer.
    Token { issuer: String, subject: String },
}

/// Who may send, and how they prove who they are.
#[derive(Debug, Default)]
pub(crate) struct Senders {
    /// Whether nobody else may.
    pub(crate) required: bool,
    pub(crate) known: HashMap<KnownBy, Arc<SenderId>>,
    pub(crate) tokens: Option<Validator<KeyStore>>,
}

/// Tokens cannot be validated by this registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SendersError {
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
}

/// Validates tokens by a registry, asking whom it names.
pub(crate) fn validator(registry: Registry) -> Result<Validator<KeyStore>, SendersError> {
    let http = Http::new(&HttpSettings::default()).map_err(SendersError::Http)?;
    let introspector = Introspector::builder(&registry, http.clone()).build();
    let introspector = introspector.map_err(|error| SendersError::Introspection(error.to_string()))?;
    let keys = KeyStore::builder(&registry, http).build().map_err(SendersError::Keys)?;
    Ok(Validator::new(registry, keys).cache(CacheConfig::default()).with_introspector(introspector))
}

impl Senders {
    /// Who it is.
    ///
    /// # Errors
    /// [`Refusal`]: a bad credential, or none or a stranger's where one is required.
    pub(crate) async fn identify(&self, headers: &HeaderMap, peer: &Peer) -> Result<Sender, Refusal> {
        if let Some(tokens) = &self.tokens
            && let Some(token) = bearer(headers)?
        {
            return self.by_token(tokens, &token, peer).await;
        }
        if let Some(sender) = self.by_certificate(peer) {
            return Ok(Sender::Authenticated(sender));
        }
        match (self.required, &peer.certificate) {
            (false, _) => Ok(Sender::Unauthenticated),
            (true, Some(_)) => Err(Refusal::Stranger),
            (true, None) => Err(Refusal::NoCredential),
        }
    }

    async fn by_token(
        &self,
        tokens: &Validator<KeyStore>,
        token: &Token,
        peer: &Peer,
    ) -> Result<Sender, Refusal> {
        // A JWT has two dots; of what has not, its issuer is asked.
        let is_jwt = token.expose().matches('.').count() == 2;
        let mut expected = Expected::from(if is_jwt { Credential::AccessToken } else { Credential::Opaque });
        if let Some(certificate) = &peer.certificate {
            expected = expected.certificate(certificate);
        }
        match tokens.validate(token, expected).await {
            Err(undecided) => {
                tracing::warn!(%undecided, "the token of a sender cannot be validated");
                Err(Refusal::Undecided)
            }
            Ok(Validated::Refused(refused)) => {
                tracing::debug!(%refused, token = %token.fingerprint(), "the token of a sender is refused");
                Err(bad(refused.reason()))
            }
            Ok(Validated::Verified(verified)) => {
                let issuer = verified.evidence().issuer.clone();
                let by = KnownBy::Token { issuer, subject: verified.principal().id.clone() };
                match self.known.get(&by) {
                    Some(sender) => Ok(Sender::Authenticated(Arc::clone(sender))),
                    None if self.required => Err(Refusal::Stranger),
                    None => Ok(Sender::Unauthenticated),
                }
            }
        }
    }

    fn by_certificate(&self, peer: &Peer) -> Option<Arc<SenderId>> {
        let uris = peer.uris.iter().map(|uri| KnownBy::Uri(uri.clone()));
        let names = peer.names.iter().map(|name| KnownBy::Dns(name.clone()));
        uris.chain(names).find_map(|by| self.known.get(&by)).map(Arc::clone)
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

//! What those are told who are turned away.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};

use crate::challenge::Challenge;
use crate::outcome::{Refused, Undecided};
use crate::secret::Scheme;

/// Why a request is turned away.
#[derive(Debug)]
pub(crate) enum Turned {
    NoCredential,
    Refused(Refused),
    /// It is good, and these scopes, separated by spaces, are needed.
    Scope(String),
    Undecided(Undecided),
    /// A fault of ours: the system has no randomness.
    Broken,
}

/// How an answer is put.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner<'m> {
    pub(crate) realm: Option<&'m str>,
    pub(crate) scheme: Scheme,
    /// The caller speaks gRPC, in which a status of HTTP says nothing.
    pub(crate) grpc: bool,
    pub(crate) proofs: Option<Proofs<'m>>,
}

/// What is asked of proofs (RFC 9449), where they are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proofs<'m> {
    pub(crate) algorithms: &'m [&'static str],
    /// To be held by the next one.
    pub(crate) nonce: Option<&'m HeaderValue>,
}

/// Where a nonce is handed out (RFC 9449 section 8).
pub(super) const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

impl Proofs<'_> {
    /// Tells those who came otherwise that proofs are taken too (RFC 9449 section 7.2), and all who are to prove something what to hold.
    fn challenge(self, turned: &Turned, manner: Manner<'_>, headers: &mut HeaderMap) {
        let lacking = matches!(turned, Turned::NoCredential | Turned::Refused(_));
        if lacking && manner.scheme == Scheme::Bearer {
            let beside = Turned::NoCredential.challenge(Manner { scheme: Scheme::Dpop, ..manner });
            let value = beside.and_then(|beside| HeaderValue::from_str(&beside.to_string()).ok());
            headers.extend(value.map(|value| (WWW_AUTHENTICATE, value)));
        }
        if let Some(nonce) = self.nonce.filter(|_| lacking) {
            headers.insert(NONCE, nonce.clone());
        }
    }
}

impl Default for Manner<'_> {
    fn default() -> Self {
        Self { realm: None, scheme: Scheme::Bearer, grpc: false, proofs: None }
    }
}

impl<'m> Manner<'m> {
    pub(super) fn of(headers: &HeaderMap, realm: Option<&'m str>, scheme: Scheme) -> Self {
        Self { realm, scheme, grpc: is_grpc(headers), proofs: None }
    }

    pub(super) const fn asking(mut self, proofs: Option<Proofs<'m>>) -> Self {
        self.proofs = proofs;
        self
    }
}

/// Whether a request is one of gRPC, by its content type.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.and_then(|kind| kind.get(..16)).is_some_and(|kind| kind.eq_ignore_ascii_case(b"application/grpc"))
}

/// Codes of gRPC (<https://grpc.io/docs/guides/status-codes/>).
pub(crate) mod code {
    pub(crate) const PERMISSION_DENIED: u8 = 7;
    pub(crate) const UNAVAILABLE: u8 = 14;
    pub(crate) const UNAUTHENTICATED: u8 = 16;
}

impl Turned {
    /// The challenge, where it is the caller's to do better.
    pub(crate) fn challenge(&self, manner: Manner<'_>) -> Option<Challenge> {
        let mut challenge = Challenge::new(manner.scheme);
        if let Some(realm) = manner.realm {
            challenge = challenge.realm(realm);
        }
        if let Some(proofs) = manner.proofs {
            challenge = challenge.proof_algorithms(proofs.algorithms);
        }
        match self {
            Self::Undecided(_) | Self::Broken => None,
            Self::NoCredential => Some(challenge),
            Self::Refused(refused) => Some(challenge.refused(refused.reason())),
            Self::Scope(scope) => Some(challenge.scope_needed(scope)),
        }
    }

    /// The code of gRPC.
    pub(crate) const fn code(&self) -> u8 {
        match self {
            Self::NoCredential | Self::Refused(_) => code::UNAUTHENTICATED,
            Self::Scope(_) => code::PERMISSION_DENIED,
            Self::Undecided(_) | Self::Broken => code::UNAVAILABLE,
        }
    }

    /// What a client may be told, in characters that need no encoding.
    pub(crate) const fn told(&self) -> &'static str {
        match self {
            Self::NoCredential => "no credential",
            Self::Refused(refused) => refused.reason().told(),
            Self::Scope(_) => "more scopes are needed",
            Self::Undecided(_) | Self::Broken => "the credential cannot be judged now",
        }
    }

    /// The answer, with what is not for clients in its extensions, for those who keep logs.
    pub(crate) fn answer<B: Default>(self, manner: Manner<'_>) -> Response<B> {
        let mut response = Response::new(B::default());
        let challenge = self.challenge(manner);
        let headers = response.headers_mut();
        if manner.grpc {
            // Trailers alone: all there is to say stands in the head.
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from(u16::from(self.code())));
            headers.insert(HeaderName::from_static("grpc-message"), HeaderValue::from_static(self.told()));
        } else {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let value =
            challenge.as_ref().and_then(|challenge| HeaderValue::from_str(&challenge.to_string()).ok());
        if let Some(value) = value {
            headers.append(WWW_AUTHENTICATE, value);
        }
        if let Some(proofs) = manner.proofs {
            proofs.challenge(&self, manner, headers);
        }
        if !manner.grpc {
            let status = challenge.map(|challenge| challenge.status());
            let status = status.and_then(|status| StatusCode::from_u16(status).ok());
            *response.status_mut() = status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        }
        match self {
            Self::Refused(refused) => drop(response.extensions_mut().insert(refused)),
            Self::Undecided(undecided) => drop(response.extensions_mut().insert(undecided)),
            Self::NoCredential | Self::Scope(_) | Self::Broken => {}
        }
        response
    }
}

//! Who is on the other side of the connection, and what a proxy there says of others.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use crate::clock::UnixTime;
#[cfg(feature = "jwt")]
use crate::mesh::Forwarded;
#[cfg(feature = "jwt")]
use crate::outcome::Refused;
use crate::outcome::Verified;
use crate::principal::Credential;

/// The workload on the other side of the connection, by its certificate: whoever accepts connections validates it, once for each
/// (`Validator::validate_peer`), and puts this into the extensions of its requests.
///
/// Nothing of it counts once the certificate has ended.
#[derive(Debug, Clone)]
pub struct Peer(Arc<Verified>);

impl Peer {
    /// As validated; `None` for what is no certificate of the peer itself, such as a token.
    #[must_use]
    pub fn new(verified: Arc<Verified>) -> Option<Self> {
        let evidence = verified.evidence();
        let itself = evidence.credential == Credential::X509Svid && evidence.proxy.is_none();
        itself.then_some(Self(verified))
    }

    /// As validated.
    #[must_use]
    pub const fn verified(&self) -> &Arc<Verified> {
        &self.0
    }
}

/// Which headers of proxies are read.
#[derive(Debug, Clone, Default)]
pub(super) struct ProxyHeaders {
    /// `x-forwarded-client-cert`.
    pub(super) certificates: bool,
    /// The claims of an access token.
    pub(super) claims: Option<HeaderName>,
}

/// Who stands behind a request, apart from its credential.
#[derive(Debug, Default)]
pub(super) struct Company {
    /// Who is on the other side of the connection: a workload, or a proxy.
    pub(super) direct: Option<Arc<Verified>>,
    /// The workload that calls: the one on the other side, or the one that a declared proxy there saw.
    pub(super) caller: Option<Arc<Verified>>,
}

impl Company {
    /// What is known before anybody is asked.
    pub(super) fn of(extensions: &http::Extensions, now: UnixTime) -> Self {
        let direct = extensions.get::<Peer>().map(|peer| &peer.0);
        let direct = direct.filter(|peer| now <= peer.principal().expiry).cloned();
        Self { caller: direct.clone(), direct }
    }

    /// SHA-256 of the certificate of the workload that calls.
    pub(super) fn certificate(&self) -> Option<[u8; 32]> {
        self.caller.as_ref().map(|caller| *caller.evidence().fingerprint.sha256())
    }
}

/// All values of a header as one; `None` where there is none, or one that is not visible ASCII.
pub(super) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Result<Vec<&str>, _> = headers.get_all(name).iter().map(http::HeaderValue::to_str).collect();
    values.ok().filter(|values| !values.is_empty()).map(|values| values.join(","))
}

/// What comes of the claims that a proxy forwarded, where anything does.
#[cfg(feature = "jwt")]
#[derive(Debug)]
pub enum ForwardedClaims {
    /// A declared proxy says so, and they are good.
    Verified(Arc<Verified>),
    /// A declared proxy says so, and they are not.
    Refused(Refused),
    /// Somebody says so.
    Asserted {
        /// Who it would be.
        principal: Box<crate::Principal>,
        /// The issuer, by its name in the registry.
        issuer: String,
    },
}

#[cfg(feature = "jwt")]
impl<K: crate::keys::KeySource> crate::Validator<K> {
    pub(super) fn claims_of_proxy(&self, peer: Option<&Verified>, header: &str) -> Option<ForwardedClaims> {
        match self.forwarded_claims(peer, header, None) {
            Forwarded::Verified(verified) => Some(ForwardedClaims::Verified(verified)),
            Forwarded::Asserted { principal, issuer } => {
                Some(ForwardedClaims::Asserted { principal, issuer })
            }
            // Anybody can send a header that is wrong; from a proxy that is believed it is an answer.
            Forwarded::Refused(refused) => self.believes(peer).then_some(ForwardedClaims::Refused(refused)),
        }
    }

    pub(super) fn certificate_of_proxy(
        &self,
        peer: Option<&Verified>,
        header: &str,
    ) -> Option<Arc<Verified>> {
        match self.forwarded_certificate(peer, header) {
            Forwarded::Verified(verified) => Some(verified),
            Forwarded::Asserted { .. } | Forwarded::Refused(_) => None,
        }
    }
}

//! What a credential is held to besides the rules of its issuer.

use sha2::{Digest as _, Sha256};

use crate::principal::Credential;
use crate::secret::Token;

/// What a credential is expected to be: its kind, and what only this request knows of it.
///
/// ```
/// use hopseal::{Credential, Expected, Token};
/// let plain = Expected::from(Credential::AccessToken);
/// let narrow = Expected::from(Credential::AccessToken).audience("orders-admin");
/// # let access_token = Token::new("abc");
/// let login = Expected::from(Credential::IdToken).nonce("n-0S6_WzA2Mj").access_token(&access_token);
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Expected<'e> {
    pub(crate) credential: Credential,
    pub(crate) issuer: Option<&'e str>,
    pub(crate) audience: Option<&'e str>,
    pub(crate) nonce: Option<&'e str>,
    pub(crate) access_token: Option<&'e Token>,
    pub(crate) assertion: &'e [u8],
    pub(crate) proof: Option<Proof<'e>>,
    pub(crate) certificate: Option<[u8; 32]>,
    pub(crate) once: bool,
}

/// A DPoP proof, and the request that it came with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proof<'e> {
    pub(crate) token: &'e Token,
    pub(crate) method: &'e str,
    pub(crate) uri: &'e str,
}

impl From<Credential> for Expected<'_> {
    fn from(credential: Credential) -> Self {
        Self {
            credential,
            issuer: None,
            audience: None,
            nonce: None,
            access_token: None,
            assertion: &[],
            proof: None,
            certificate: None,
            once: false,
        }
    }
}

impl<'e> Expected<'e> {
    /// An opaque token of the issuer that the registry calls so. Such a token does not say whose it is; where one issuer alone
    /// is asked about tokens it need not be said. Tokens of other kinds name their issuers, and this does not count.
    pub const fn issuer(mut self, name: &'e str) -> Self {
        self.issuer = Some(name);
        self
    }

    /// This audience, and not just any of those that the registry calls ours. It must be one of them.
    pub const fn audience(mut self, audience: &'e str) -> Self {
        self.audience = Some(audience);
        self
    }

    /// The `nonce` that was sent with the authentication request: an ID token must repeat it (OpenID Connect Core 1.0 section
    /// 3.1.3.7, 11).
    pub const fn nonce(mut self, nonce: &'e str) -> Self {
        self.nonce = Some(nonce);
        self
    }

    /// The access token that came with an ID token: if that has an `at_hash`, it must be of this one (OpenID Connect Core 1.0
    /// section 3.1.3.8).
    pub const fn access_token(mut self, token: &'e Token) -> Self {
        self.access_token = Some(token);
        self
    }

    /// The DPoP proof that came with the request: the one value of its `DPoP` header, its method, and its address as the client
    /// knows it (RFC 9449 section 4.3). A token that is bound to a key is good with one alone, and under the scheme `DPoP`: a
    /// proof beside the scheme `Bearer` is not to be handed over (section 7.1).
    pub const fn proof(mut self, proof: &'e Token, method: &'e str, uri: &'e str) -> Self {
        self.proof = Some(Proof { token: proof, method, uri });
        self
    }

    /// The certificate of the client, in DER, as mutual TLS established it (RFC 8705 section 3). A token that is bound to a
    /// certificate is good with that alone.
    pub fn certificate(mut self, der: &[u8]) -> Self {
        self.certificate = Some(Sha256::digest(der).into());
        self
    }

    /// The same, by its SHA-256.
    pub const fn certificate_sha256(mut self, sha256: [u8; 32]) -> Self {
        self.certificate = Some(sha256);
        self
    }

    /// It may be used once, here: its id (`jti`, `txn`) is remembered until it has ended. Replicas do not know of each other's.
    pub const fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// The implicit assertion of a PASETO: bytes that were authenticated and did not travel, such as the id of the trace.
    pub const fn implicit_assertion(mut self, assertion: &'e [u8]) -> Self {
        self.assertion = assertion;
        self
    }
}

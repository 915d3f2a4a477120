//! What a credential is held to besides the rules of its issuer.

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
    pub(crate) audience: Option<&'e str>,
    pub(crate) nonce: Option<&'e str>,
    pub(crate) access_token: Option<&'e Token>,
    pub(crate) assertion: &'e [u8],
}

impl From<Credential> for Expected<'_> {
    fn from(credential: Credential) -> Self {
        Self { credential, audience: None, nonce: None, access_token: None, assertion: &[] }
    }
}

impl<'e> Expected<'e> {
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

    /// The implicit assertion of a PASETO: bytes that were authenticated and did not travel, such as the id of the trace.
    pub const fn implicit_assertion(mut self, assertion: &'e [u8]) -> Self {
        self.assertion = assertion;
        self
    }
}

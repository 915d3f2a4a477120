//! The front door: a credential in, an answer out.

#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

use crate::claims::{Expected, Jwt};
use crate::clock::{Clock, SystemClock};
use crate::keys::{FixedKeys, FixedKeysError, KeySource};
use crate::outcome::{Refused, Undecided, Validated, Verified};
use crate::reason::Reason;
use crate::registry::Registry;
use crate::secret::Token;
#[cfg(feature = "paseto")]
use crate::{
    clock::UnixTime,
    paseto::{Paseto, PasetoKeys},
    principal::Credential,
};

/// Validates credentials by a trust registry.
///
/// The issuer that a credential names decides on its rules and keys, and no other is tried. What the registry does not say
/// and this request alone knows is [`Expected`].
///
/// ```
/// use hopseal::{Credential, Registry, Token, UnixTime, Validated, Validator};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::from_yaml(r#"
/// issuers:
///   - name: staff
///     kind: static
///     issuer: https://id.example
///     jwks: '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
///     audiences: [orders]
///     algorithms: [EdDSA]
/// "#)?;
/// let validator = Validator::fixed(registry)?.clock(UnixTime(1_800_000_000));
/// let header = "Bearer \
///     eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJvcmRlcn\
///     MiLCJzdWIiOiJhbGljZSIsImNsaWVudF9pZCI6InNob3AiLCJqdGkiOiJqMSIsImlhdCI6MTgwMDAwMDAwMCwiZXhwIjoxO\
///     DAwMDAwNjAwLCJzY29wZSI6IndyaXRlIHJlYWQifQ.hm5_NiLL5-Kwr5MdNlBz3dOgXEohre6AYgxjWp964SbwkhmKbFCWu\
///     RL3B0gxwBTDKbLsFRHkSf656nRDwmAtDw";
/// let token = Token::from_authorization(header).ok_or("no token")?;
/// match validator.validate(&token, Credential::AccessToken).await? {
///     Validated::Verified(verified) => assert_eq!(verified.principal().id, "alice"),
///     Validated::Refused(refused) => panic!("{refused}"), // 401, with a `Challenge`
/// }
/// # Ok(())
/// # }
/// ```
///
/// An `Err` means that there is no answer, as with an identity provider that cannot be reached: 503, not 401.
#[derive(Debug)]
pub struct Validator<K> {
    trust: RwLock<Arc<Trust<K>>>,
    clock: Arc<dyn Clock>,
}

/// What is trusted, as a whole: a request is judged by one version of it.
#[derive(Debug)]
struct Trust<K> {
    registry: Registry,
    keys: K,
    #[cfg(feature = "paseto")]
    paseto: PasetoKeys,
}

impl<K> Trust<K> {
    fn new(registry: Registry, keys: K) -> Arc<Self> {
        Arc::new(Self {
            #[cfg(feature = "paseto")]
            paseto: PasetoKeys::of(&registry),
            registry,
            keys,
        })
    }
}

impl Validator<FixedKeys> {
    /// A validator for issuers whose keys stand in the registry itself. It needs no network.
    ///
    /// # Errors
    /// [`FixedKeysError`] for the first key that cannot be used.
    pub fn fixed(registry: Registry) -> Result<Self, FixedKeysError> {
        let keys = FixedKeys::of(&registry)?;
        Ok(Self::new(registry, keys))
    }
}

impl<K: KeySource> Validator<K> {
    /// A validator by the system's clock.
    #[must_use]
    pub fn new(registry: Registry, keys: K) -> Self {
        Self { trust: RwLock::new(Trust::new(registry, keys)), clock: Arc::new(SystemClock) }
    }

    /// By another clock. A [`UnixTime`](crate::UnixTime) is a clock that stands still.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Trusts another registry from now on, and takes its keys from there. Requests that are being judged are judged by the
    /// one before.
    pub fn reload(&self, registry: Registry, keys: K) {
        let trust = Trust::new(registry, keys);
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = trust;
    }

    fn trust(&self) -> Arc<Trust<K>> {
        Arc::clone(&self.trust.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Validates a credential: `expected` is its [kind](crate::Credential), or an [`Expected`] that says more.
    ///
    /// # Errors
    /// [`Undecided`] if no answer could be found.
    pub async fn validate<'e>(
        &self,
        token: &Token,
        expected: impl Into<Expected<'e>> + Send,
    ) -> Result<Validated, Undecided> {
        let expected = expected.into();
        let judged = judge(&self.trust(), token, &expected, self.clock.as_ref()).await?;
        Ok(judged.into())
    }
}

/// Judges a credential, remembering nothing.
async fn judge<K: KeySource>(
    trust: &Trust<K>,
    token: &Token,
    expected: &Expected<'_>,
    clock: &dyn Clock,
) -> Result<Result<Verified, Refused>, Undecided> {
    #[cfg(feature = "paseto")]
    if expected.credential == Credential::Paseto {
        return Ok(judge_paseto(trust, token, expected, clock.now()));
    }
    let found = Jwt::parse(token).and_then(|jwt| {
        let issuer = jwt.issuer(&trust.registry, expected.credential)?;
        Ok((jwt, issuer))
    });
    let (jwt, issuer) = match found {
        Ok(found) => found,
        Err(refused) => return Ok(Err(refused)),
    };
    let keys = trust.keys.keys(issuer, jwt.kid()).await?;
    // Not before the keys are there: that may have taken a while.
    let verified = jwt.verify(issuer, &keys, expected, clock.now());
    Ok(verified.and_then(bound))
}

#[cfg(feature = "paseto")]
fn judge_paseto<K>(
    trust: &Trust<K>,
    token: &Token,
    expected: &Expected<'_>,
    now: UnixTime,
) -> Result<Verified, Refused> {
    let paseto = Paseto::parse(token)?;
    let issuer = paseto.issuer(&trust.registry, &trust.paseto)?;
    paseto.verify(issuer, &trust.paseto, expected, now)
}

/// A credential that is bound to a key is good in the hands of its holder alone.
fn bound(verified: Verified) -> Result<Verified, Refused> {
    match verified.evidence.confirmation {
        None => Ok(verified),
        Some(_) => Err(Refused::new(Reason::Proof, "bound, and nothing was proved")),
    }
}

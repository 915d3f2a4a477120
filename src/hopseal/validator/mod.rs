//! The front door: a credential in, an answer out.

mod judge;
mod opaque;
mod peer;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

use judge::Judged;

use crate::binding::{self, Dpop, Used};
#[cfg(feature = "cache")]
use crate::cache::{Answers, CacheConfig, CacheStats};
use crate::claims::Expected;
use crate::clock::{Clock, SystemClock};
#[cfg(feature = "introspection")]
use crate::introspection::Introspector;
use crate::keys::{FixedKeys, FixedKeysError, KeySource};
use crate::mesh::Proxies;
use crate::observe::{Observed, Observer};
use crate::outcome::{Undecided, Validated, Verified};
#[cfg(feature = "paseto")]
use crate::paseto::PasetoKeys;
use crate::registry::{Issuer, MAX_SKEW, Registry};
use crate::revocation::Revocations;
use crate::secret::Token;

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
/// let validator = Validator::fixed(&registry)?.clock(UnixTime(1_800_000_000));
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
    revocations: Arc<Revocations>,
    dpop: Dpop,
    used: Used,
    proxies: Proxies,
    observer: Option<Arc<dyn Observer>>,
    #[cfg(feature = "cache")]
    answers: Option<Answers>,
}

/// What is trusted, as a whole: a request is judged by one version of it.
#[derive(Debug)]
struct Trust<K> {
    /// Which one: it grows with each.
    generation: u64,
    registry: Registry,
    keys: Arc<K>,
    #[cfg(feature = "paseto")]
    paseto: PasetoKeys,
    #[cfg(feature = "introspection")]
    introspector: Option<Introspector>,
}

impl<K> Trust<K> {
    fn new(registry: &Registry, keys: Arc<K>, generation: u64) -> Self {
        Self {
            generation,
            #[cfg(feature = "paseto")]
            paseto: PasetoKeys::of(registry),
            registry: registry.clone(),
            keys,
            #[cfg(feature = "introspection")]
            introspector: None,
        }
    }
}

impl Validator<FixedKeys> {
    /// A validator for issuers whose keys stand in the registry itself. It needs no network.
    ///
    /// # Errors
    /// [`FixedKeysError`] for the first key that cannot be used.
    pub fn fixed(registry: &Registry) -> Result<Self, FixedKeysError> {
        let keys = FixedKeys::of(registry)?;
        Ok(Self::new(registry, keys))
    }
}

impl<K: KeySource> Validator<K> {
    /// A validator by the system's clock. It keeps a copy of the registry.
    #[must_use]
    pub fn new(registry: &Registry, keys: K) -> Self {
        Self {
            trust: RwLock::new(Arc::new(Trust::new(registry, Arc::new(keys), 0))),
            clock: Arc::new(SystemClock),
            revocations: Arc::default(),
            dpop: Dpop::default(),
            used: Used::default(),
            proxies: Proxies::default(),
            observer: None,
            #[cfg(feature = "cache")]
            answers: None,
        }
    }

    /// By another clock. A [`UnixTime`](crate::UnixTime) is a clock that stands still.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Tells each answer of [`validate`](Self::validate) to an observer.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// With revocations that others know of too, such as a receiver of security events. Without, it has some of its own.
    #[must_use]
    pub fn with_revocations(mut self, revocations: Arc<Revocations>) -> Self {
        self.revocations = revocations;
        self
    }

    /// With other settings for proofs of possession.
    #[must_use]
    pub fn with_dpop(mut self, dpop: Dpop) -> Self {
        self.dpop = dpop;
        self
    }

    /// With room for so many tokens that may be used once. By default 100 000.
    #[must_use]
    pub fn with_room_for_used(mut self, capacity: usize) -> Self {
        self.used = Used::with_capacity(capacity);
        self
    }

    /// The time by its clock.
    #[cfg(feature = "tower")]
    pub(crate) fn now(&self) -> crate::clock::UnixTime {
        self.clock.now()
    }

    /// What proofs of possession are held to.
    #[must_use]
    pub const fn dpop(&self) -> &Dpop {
        &self.dpop
    }

    /// Remembers what was verified. It answers all the same as if it did not.
    #[cfg(feature = "cache")]
    #[must_use]
    pub fn cache(mut self, config: CacheConfig) -> Self {
        self.answers = Some(Answers::new(config));
        self
    }

    /// The revocations that it looks at.
    #[must_use]
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// What its cache did so far. `None` without one.
    #[cfg(feature = "cache")]
    #[must_use]
    pub fn cache_stats(&self) -> Option<CacheStats> {
        self.answers.as_ref().map(Answers::stats)
    }

    /// Forgets what was verified. What happens in the usual course of things needs no such call.
    #[cfg(feature = "cache")]
    pub fn forget(&self) {
        if let Some(answers) = &self.answers {
            answers.clear();
        }
        #[cfg(feature = "introspection")]
        if let Some(introspector) = &self.trust().introspector {
            introspector.forget();
        }
    }

    /// Trusts another registry from now on, and takes its keys from there. Requests that are being judged are judged by the
    /// one before. Who was set up to ask issuers about tokens goes on with those whose rules stay as they were.
    pub fn reload(&self, registry: &Registry, keys: K) {
        self.change(|trust| {
            let next = Trust::new(registry, Arc::new(keys), trust.generation.wrapping_add(1));
            #[cfg(feature = "introspection")]
            let next = Trust { introspector: trust.introspector.clone(), ..next };
            next
        });
    }

    /// Puts another version in the place of this one, at once and as a whole.
    fn change(&self, next: impl FnOnce(&Trust<K>) -> Trust<K>) {
        let mut trust = self.trust.write().unwrap_or_else(PoisonError::into_inner);
        *trust = Arc::new(next(&trust));
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
        let judged = self.judge(token, &expected).await;
        let remembered = judged.as_ref().is_ok_and(|judged| judged.remembered);
        let validated = judged.and_then(|judged| match judged.result {
            Ok(verified) => self.hold(token, verified, &expected),
            Err(refused) => Ok(refused.into()),
        });
        if let Some(observer) = &self.observer {
            let outcome = match &validated {
                Ok(Validated::Verified(_)) => "verified",
                Ok(Validated::Refused(refused)) => refused.reason().as_str(),
                Err(_) => "undecided",
            };
            observer.observe(&Observed::Validated { credential: expected.credential, outcome, remembered });
        }
        validated
    }

    /// Holds a good token to what does not stand in it: that it was not withdrawn, and who shows it.
    fn hold(
        &self,
        token: &Token,
        verified: Arc<Verified>,
        expected: &Expected<'_>,
    ) -> Result<Validated, Undecided> {
        if let Err(refused) = self.revocations.check(&verified) {
            return Ok(refused.into());
        }
        // Last, as a proof is good once.
        let now = self.clock.now();
        if let Err(refused) = binding::check(&self.dpop, token, &verified, expected, now)? {
            return Ok(refused.into());
        }
        if expected.once {
            let skew =
                self.trust().registry.issuer(&verified.evidence().issuer).map_or(MAX_SKEW, Issuer::skew);
            let until = verified.principal().expiry.plus(skew);
            if let Err(refused) = self.used.first(&verified, until, now)? {
                return Ok(refused.into());
            }
        }
        Ok(Validated::Verified(verified))
    }

    async fn judge(&self, token: &Token, expected: &Expected<'_>) -> Result<Judged, Undecided> {
        let (trust, clock) = (self.trust(), self.clock.as_ref());
        #[cfg(feature = "cache")]
        if let Some(answers) = &self.answers {
            return judge::recall(answers, &trust, token, expected, clock).await;
        }
        Box::pin(judge::judge(&trust, token, expected, clock)).await
    }
}

//! Making seals.

use std::sync::Arc;
#[cfg(feature = "otel")]
use std::sync::OnceLock;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hopseal_identity::attribute::{ACT, EXP, IAT, ISS, KIND, RESEALED, SUB, TENANT, TXN};
use hopseal_identity::baggage::{Carried, CarriedError};
use hopseal_identity::member::{self, Resealed};
use hopseal_identity::pseudonym::Pseudonyms;
use hopseal_identity::seal::{Binding, MAX_LIFETIME, Members, MintError, SealFault};

use super::checker::SealChecker;
use super::keys::SealingKeys;
use super::sealers::Sealers;
#[cfg(feature = "otel")]
use super::waiting::Waiting;
use crate::clock::UnixTime;
use crate::outcome::Verified;

/// Default lifetime of a seal, in seconds.
const LIFETIME: u64 = 120;
/// Shortest lifetime that may be asked for.
const MIN_LIFETIME: u64 = 60;

/// Makes the seals of this service: over what it validated itself, and, if it is registered for that, over what another sealed.
#[derive(Debug)]
pub struct Sealer {
    keys: SealingKeys,
    sealers: Arc<Sealers>,
    pseudonyms: Arc<Pseudonyms>,
    lifetime: u64,
    #[cfg(feature = "otel")]
    waiting: Waiting,
}

/// What an identity is called as it travels, whenever and in whatever trace.
#[derive(Debug)]
pub(super) struct Named {
    /// By whose keys.
    by: Arc<Pseudonyms>,
    pub(super) sub: Arc<str>,
    pub(super) act: Option<Arc<str>>,
    /// None also for one that cannot travel.
    pub(super) tenant: Option<Arc<str>>,
    /// What else stands on each of its spans.
    #[cfg(feature = "otel")]
    pub(super) told: OnceLock<Told>,
}

/// Attributes of spans.
#[cfg(feature = "otel")]
pub(crate) type Told = Vec<(&'static str, opentelemetry::Value)>;

/// An identity that is not sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// No key of ours has begun.
    #[error("no key for sealing has begun")]
    NoKey,
    /// The rules do not let this service seal such an identity.
    #[error("`{kid}` may not seal this identity")]
    NotAllowed {
        /// The key.
        kid: String,
    },
    /// The credential has ended: there is nothing to vouch for any more.
    #[error("the credential has ended")]
    Ended,
    /// A part of the identity cannot travel.
    #[error("`{0}` cannot travel")]
    Member(&'static str),
    /// The system has no randomness for the id of a transaction.
    #[error("no randomness for the id of a transaction")]
    Random,
    /// The sealing itself.
    #[error("not sealed")]
    Mint(#[source] MintError),
}

/// A seal from which none is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResealError {
    /// It is not valid.
    #[error("the seal is not valid: {}", .0.as_str())]
    Seal(SealFault),
    /// This service is not registered for it.
    #[error("this service may not re-seal")]
    NotAllowed,
    /// It was re-sealed too often, or first sealed too long ago.
    #[error("re-sealed too often or for too long")]
    Spent,
    /// No seal could be made.
    #[error("not re-sealed")]
    Make(#[source] SealError),
}

/// The id of a transaction: the same across restarts of the trace (`txn`, RFC 8417 section 2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Txn(Arc<str>);

impl Txn {
    /// A new one, of 128 random bits; `None` when the system has no randomness to give.
    #[must_use]
    pub fn random() -> Option<Self> {
        let mut bytes = [0; 16];
        rand::fill(&mut bytes).ok()?;
        let mut text = [0; 22];
        BASE64URL.encode_slice(bytes, &mut text).ok()?;
        std::str::from_utf8(&text).ok().map(|text| Self(text.into()))
    }

    /// That of a transaction token; `None` when it is empty or too long to travel.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        member::escape(text).map(|value| Self(value.into()))
    }

    /// That of an identity that travels, if there is one.
    #[must_use]
    pub fn of(carried: &Carried) -> Option<Self> {
        carried.get(TXN).map(|value| Self(value.into()))
    }

    /// As the value of `hopseal.txn`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[cfg(feature = "otel")]
    pub(crate) const fn shared(&self) -> &Arc<str> {
        &self.0
    }
}

impl Sealer {
    /// A sealer with these keys, by these rules. Its seals live for 120 seconds.
    #[must_use]
    pub const fn new(keys: SealingKeys, sealers: Arc<Sealers>, pseudonyms: Arc<Pseudonyms>) -> Self {
        Self {
            keys,
            sealers,
            pseudonyms,
            lifetime: LIFETIME,
            #[cfg(feature = "otel")]
            waiting: Waiting::new(),
        }
    }

    /// Its seals live for so many seconds: 60 to 300, or what is nearest.
    #[must_use]
    pub fn lifetime(mut self, seconds: u64) -> Self {
        self.lifetime = seconds.clamp(MIN_LIFETIME, MAX_LIFETIME);
        self
    }

    /// The keys.
    #[must_use]
    pub const fn keys(&self) -> &SealingKeys {
        &self.keys
    }

    /// How the subjects are called.
    #[must_use]
    pub fn pseudonyms(&self) -> &Pseudonyms {
        &self.pseudonyms
    }

    /// Seals what was validated, for a trace. Nothing else can be sealed: only a verifier makes a [`Verified`].
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(
        &self,
        verified: &Verified,
        txn: &Txn,
        trace_id: [u8; 16],
        now: UnixTime,
    ) -> Result<Carried, SealError> {
        self.seal_named(&self.name(verified), verified, txn, trace_id, now)
    }

    /// What a subject is called as its identity travels. Worked out once for a credential that is remembered.
    pub(super) fn name(&self, verified: &Verified) -> Arc<Named> {
        let kept = verified.kept(|| Arc::new(self.name_anew(verified)));
        kept.filter(|named: &Arc<Named>| Arc::ptr_eq(&named.by, &self.pseudonyms))
            // Another sealer of this process, which has other keys, came first.
            .unwrap_or_else(|| Arc::new(self.name_anew(verified)))
    }

    fn name_anew(&self, verified: &Verified) -> Named {
        let (principal, key) = (verified.principal(), self.pseudonyms.current());
        let actors = principal.actors.iter().map(|actor| (actor.as_actor(), actor.issuer.as_deref()));
        Named {
            by: Arc::clone(&self.pseudonyms),
            sub: key.of(&principal.issuer, &principal.id).into(),
            act: key.actors(actors).map(Into::into),
            tenant: principal.tenant.as_deref().and_then(member::escape).map(Into::into),
            #[cfg(feature = "otel")]
            told: OnceLock::new(),
        }
    }

    /// Seals under names that were made before.
    pub(super) fn seal_named(
        &self,
        named: &Named,
        verified: &Verified,
        txn: &Txn,
        trace_id: [u8; 16],
        now: UnixTime,
    ) -> Result<Carried, SealError> {
        let principal = verified.principal();
        if principal.tenant.is_some() && named.tenant.is_none() {
            return Err(SealError::Member(TENANT));
        }
        let mut members = Members::default();
        for (name, value) in [
            (SUB, Some(&*named.sub)),
            (KIND, Some(principal.kind.as_str())),
            (ISS, Some(verified.evidence().issuer.as_str())),
            (TENANT, named.tenant.as_deref()),
            (ACT, named.act.as_deref()),
            (TXN, Some(txn.as_str())),
        ] {
            if let Some(value) = value {
                members.set(name, value).map_err(|_| SealError::Member(name))?;
            }
        }
        self.make(members, trace_id, now, principal.expiry)
    }

    /// How long its seals live, in seconds.
    pub(super) const fn lives(&self) -> u64 {
        self.lifetime
    }

    /// The spans that wait for a seal.
    #[cfg(feature = "otel")]
    pub(crate) const fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Makes a seal from one that another service made for the trace `from`: the same identity, for the trace `to`, which may be
    /// the same. Never wider, as nothing of it changes but its time and where it comes from.
    ///
    /// # Errors
    /// [`ResealError`].
    pub fn reseal(
        &self,
        checker: &SealChecker,
        carried: &Carried,
        from: [u8; 16],
        to: [u8; 16],
        now: UnixTime,
    ) -> Result<Carried, ResealError> {
        let key = self.keys.at(now).ok_or(ResealError::Make(SealError::NoKey))?;
        let rule = self.sealers.of_kid(key.kid()).and_then(|rule| rule.reseals());
        let bounds = rule.ok_or(ResealError::NotAllowed)?;
        checker.check_waited(carried, from, now, bounds.max_wait).map_err(ResealError::Seal)?;
        // It was checked: both are there.
        let seal = carried.seal().ok_or(ResealError::Seal(SealFault::Missing))?;
        let iat =
            carried.get(IAT).and_then(member::seconds).ok_or(ResealError::Seal(SealFault::Incomplete))?;
        let before = carried.get(RESEALED).and_then(Resealed::parse);
        let resealed = Resealed {
            count: before.map_or(0, |before| before.count).saturating_add(1),
            first: before.map_or(iat, |before| before.first),
            previous: Resealed::digest(seal),
        };
        let spent = before.is_some_and(|before| before.count == u8::MAX);
        if spent || !bounds.permits(resealed, now.0) {
            return Err(ResealError::Spent);
        }
        let resealed = resealed.to_string();
        let mut members = Members::default();
        for (name, value) in carried.members().iter().filter(|(name, _)| ![IAT, EXP, RESEALED].contains(name))
        {
            members.set(name, value).map_err(|_| ResealError::Make(SealError::Member(name)))?;
        }
        members.set(RESEALED, &resealed).map_err(|_| ResealError::Make(SealError::Member(RESEALED)))?;
        self.make(members, to, now, UnixTime(u64::MAX)).map_err(ResealError::Make)
    }

    /// Adds the times and the seal.
    fn make(
        &self,
        members: Members<'_>,
        trace_id: [u8; 16],
        now: UnixTime,
        end: UnixTime,
    ) -> Result<Carried, SealError> {
        let key = self.keys.at(now).ok_or(SealError::NoKey)?;
        let exp = now.plus(self.lifetime).min(end);
        if exp <= now {
            return Err(SealError::Ended);
        }
        let (iat, exp) = (now.to_string(), exp.to_string());
        let mut members = members; // borrows for as short as the times
        let mut timed = |name, value| members.set(name, value).map_err(|_| SealError::Member(name));
        timed(IAT, &iat)?;
        timed(EXP, &exp)?;
        let trust_domain = self.sealers.trust_domain();
        // Before the signature, which is what costs.
        if !self.sealers.of_kid(key.kid()).is_some_and(|rule| rule.permits(&members)) {
            return Err(SealError::NotAllowed { kid: key.kid().to_owned() });
        }
        // No trust domain is taken that a seal cannot be bound to.
        let binding = Binding::new(trust_domain, trace_id).ok_or(SealError::Mint(MintError::Sign))?;
        let seal = key.seal(&binding, &members).map_err(SealError::Mint)?;
        Carried::new(&members, Some(&seal), None).map_err(|error| match error {
            CarriedError::Illegal(name) | CarriedError::Incomplete(name) => SealError::Member(name),
            _ => SealError::Mint(MintError::Sign),
        })
    }
}

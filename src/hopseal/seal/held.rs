//! An identity whose credential is at hand.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hopseal_identity::attribute::EXP;
use hopseal_identity::baggage::Carried;
use hopseal_identity::member;

use super::sealer::{Named, SealError, Sealer, Txn};
use crate::clock::UnixTime;
use crate::outcome::Verified;

/// What was validated at this hop, with the means to seal it: sealed when it first leaves, and anew for as long as the
/// credential is good. What is never asked for is never made: neither seal nor pseudonym nor id of a transaction.
#[derive(Debug)]
pub struct Held {
    sealer: Arc<Sealer>,
    verified: Arc<Verified>,
    txn: OnceLock<Txn>,
    named: OnceLock<Arc<Named>>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// For which trace the span waits for its seal, and of what time that will be.
    promised: Option<([u8; 16], UnixTime)>,
    made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    trace_id: [u8; 16],
    carried: Carried,
    #[cfg(feature = "otel")]
    at: UnixTime,
    /// When it is renewed.
    until: UnixTime,
    end: UnixTime,
}

impl Held {
    /// Keeps what was validated, as part of a transaction.
    #[must_use]
    pub fn new(sealer: Arc<Sealer>, verified: Arc<Verified>, txn: Txn) -> Self {
        Self { txn: OnceLock::from(txn), ..Self::in_new_transaction(sealer, verified) }
    }

    /// The same, as part of a transaction of its own.
    #[must_use]
    pub fn in_new_transaction(sealer: Arc<Sealer>, verified: Arc<Verified>) -> Self {
        Self { sealer, verified, txn: OnceLock::new(), named: OnceLock::new(), kept: Mutex::default() }
    }

    /// What was validated.
    #[must_use]
    pub const fn verified(&self) -> &Arc<Verified> {
        &self.verified
    }

    /// The transaction. `None` when it would be a new one and the system has no randomness for its id.
    #[must_use]
    pub fn txn(&self) -> Option<&Txn> {
        match self.txn.get() {
            Some(txn) => Some(txn),
            None => {
                let txn = Txn::random()?;
                Some(self.txn.get_or_init(|| txn))
            }
        }
    }

    /// The sealer.
    #[cfg(feature = "otel")]
    pub(crate) const fn sealer(&self) -> &Arc<Sealer> {
        &self.sealer
    }

    fn named(&self) -> &Named {
        self.named.get_or_init(|| self.sealer.name(&self.verified))
    }

    /// The pseudonym of its subject.
    #[cfg(feature = "otel")]
    pub(crate) fn pseudonym(&self) -> &Arc<str> {
        &self.named().sub
    }

    /// Tenant and actors as they travel, as far as they do.
    #[cfg(feature = "otel")]
    pub(crate) fn members(&self) -> impl Iterator<Item = (&'static str, &Arc<str>)> {
        use hopseal_identity::attribute::{ACT, TENANT};
        let named = self.named();
        let members = [(TENANT, named.tenant.as_ref()), (ACT, named.act.as_ref())];
        members.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    /// What stands on each span of whatever trace: told once for a credential that is remembered.
    #[cfg(feature = "otel")]
    pub(crate) fn told(&self, tell: impl FnOnce() -> super::sealer::Told) -> &super::sealer::Told {
        self.named().told.get_or_init(tell)
    }

    /// What stands for an actor.
    #[cfg(feature = "otel")]
    pub(crate) fn actor_digest(&self, actor: &crate::Acting) -> String {
        self.sealer.pseudonyms().current().actor(actor.as_actor(), actor.issuer.as_deref())
    }

    /// The fingerprint of its credential, as others may see it.
    #[cfg(feature = "otel")]
    pub(crate) fn fingerprint(&self) -> String {
        self.sealer.pseudonyms().current().fingerprint(self.verified.evidence().fingerprint.sha256())
    }

    /// What stands for a session of the issuer.
    #[cfg(feature = "otel")]
    pub(crate) fn session_digest(&self, session: &str) -> String {
        // No subject begins so: a session is never taken for one.
        self.sealer
            .pseudonyms()
            .current()
            .of(&self.verified.principal().issuer, &format!("\0session\0{session}"))
    }

    /// The identity, with a seal that was made in this second: it says that the credential was good now.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn sealed_now(&self, trace_id: [u8; 16], now: UnixTime) -> Result<Carried, SealError> {
        let txn = self.txn().ok_or(SealError::Random)?;
        self.sealer.seal_named(self.named(), &self.verified, txn, trace_id, now)
    }

    /// Remembers that a span of this trace waits for a seal of that time: if the identity leaves soon, it leaves with the same.
    #[cfg(feature = "otel")]
    pub(crate) fn promise(&self, trace_id: [u8; 16], at: UnixTime) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).promised.get_or_insert((trace_id, at));
    }

    /// The identity with a seal of the time when it was validated, for the span: the one that it left with, if that is of then.
    ///
    /// # Errors
    /// [`SealError`].
    #[cfg(feature = "otel")]
    pub(crate) fn sealed_at(&self, trace_id: [u8; 16], at: UnixTime) -> Result<Carried, SealError> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.made.as_ref().filter(|made| made.trace_id == trace_id && made.at == at) {
            Some(made) => Ok(made.carried.clone()),
            None => {
                drop(kept);
                self.sealed_now(trace_id, at)
            }
        }
    }

    /// The identity, sealed for a trace: the seal that was made before while more than half of its life is left, else a new one;
    /// and for as long as none can be made, the old one to its end.
    ///
    /// # Errors
    /// [`SealError`], when there is none that has not ended.
    pub fn carried(&self, trace_id: [u8; 16], now: UnixTime) -> Result<Carried, SealError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = kept.made.as_ref().filter(|made| made.trace_id == trace_id);
        if let Some(made) = same.filter(|made| now < made.until) {
            return Ok(made.carried.clone());
        }
        let first = kept.promised.filter(|_| same.is_none()).map(|(trace, at)| (trace == trace_id, at));
        let at = match first {
            Some((true, at)) if self.is_young(at, now) => at,
            _ => now,
        };
        match self.sealed_now(trace_id, at) {
            Ok(carried) => {
                let end = carried.get(EXP).and_then(member::seconds).map_or(at, UnixTime);
                let until = at.plus(end.since(at).div_ceil(2));
                kept.made = Some(Made {
                    trace_id,
                    carried: carried.clone(),
                    #[cfg(feature = "otel")]
                    at,
                    until,
                    end,
                });
                Ok(carried)
            }
            Err(error) => same.filter(|made| now < made.end).map(|made| made.carried.clone()).ok_or(error),
        }
    }

    /// Whether a seal of that time would have more than half of its life before it, and a credential.
    fn is_young(&self, at: UnixTime, now: UnixTime) -> bool {
        at <= now && now.since(at) < self.sealer.lives() / 2 && now < self.verified.principal().expiry
    }
}

//! An identity whose credential is at hand.

use std::sync::{Arc, Mutex, PoisonError};

use hopseal_identity::attribute::EXP;
use hopseal_identity::baggage::Carried;
use hopseal_identity::member;

use super::sealer::{SealError, Sealer, Txn};
use crate::clock::UnixTime;
use crate::outcome::Verified;

/// What was validated at this hop, with the means to seal it: sealed when it first leaves, and anew for as long as the
/// credential is good.
#[derive(Debug)]
pub struct Held {
    sealer: Arc<Sealer>,
    verified: Arc<Verified>,
    txn: Txn,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    trace_id: [u8; 16],
    carried: Carried,
    /// When it is renewed.
    until: UnixTime,
    end: UnixTime,
}

impl Held {
    /// Keeps what was validated, as part of a transaction.
    #[must_use]
    pub const fn new(sealer: Arc<Sealer>, verified: Arc<Verified>, txn: Txn) -> Self {
        Self { sealer, verified, txn, kept: Mutex::new(None) }
    }

    /// What was validated.
    #[must_use]
    pub const fn verified(&self) -> &Arc<Verified> {
        &self.verified
    }

    /// The transaction.
    #[must_use]
    pub const fn txn(&self) -> &Txn {
        &self.txn
    }

    /// The pseudonym of its subject.
    #[cfg(feature = "otel")]
    pub(crate) fn pseudonym(&self) -> String {
        let principal = self.verified.principal();
        self.sealer.pseudonyms().current().of(&principal.issuer, &principal.id)
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
        self.sealer.seal(&self.verified, &self.txn, trace_id, now)
    }

    /// The identity, sealed for a trace: the seal that was made before while more than half of its life is left, else a new one;
    /// and for as long as none can be made, the old one to its end.
    ///
    /// # Errors
    /// [`SealError`], when there is none that has not ended.
    pub fn carried(&self, trace_id: [u8; 16], now: UnixTime) -> Result<Carried, SealError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = kept.as_ref().filter(|kept| kept.trace_id == trace_id);
        if let Some(kept) = same.filter(|kept| now < kept.until) {
            return Ok(kept.carried.clone());
        }
        match self.sealer.seal(&self.verified, &self.txn, trace_id, now) {
            Ok(carried) => {
                let end = carried.get(EXP).and_then(member::seconds).map_or(now, UnixTime);
                let until = now.plus(end.since(now).div_ceil(2));
                *kept = Some(Kept { trace_id, carried: carried.clone(), until, end });
                Ok(carried)
            }
            Err(error) => same.filter(|kept| now < kept.end).map(|kept| kept.carried.clone()).ok_or(error),
        }
    }
}

//! Checking the seals of others.

use std::sync::{Arc, PoisonError, RwLock};

use hopseal_identity::attribute::{EXP, IAT};
use hopseal_identity::baggage::Carried;
use hopseal_identity::member;
use hopseal_identity::seal::{Binding, Clock, KeySet, MAX_LIFETIME, SealFault, Verdict, check, in_time};

use super::sealers::Sealers;
use super::seen::Seen;
use crate::clock::UnixTime;

/// Checks seals: the signature, the trace, the time, and whether who sealed may seal such an identity.
#[derive(Debug)]
pub struct SealChecker {
    keys: RwLock<(u64, Arc<KeySet>)>,
    sealers: Arc<Sealers>,
    leeway: u64,
    seen: Seen,
}

/// Proof that an identity carries a valid seal: only [`SealChecker`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    carried: Carried,
    kid: String,
    workload: String,
}

impl Sealed {
    /// The identity.
    #[must_use]
    pub const fn carried(&self) -> &Carried {
        &self.carried
    }

    /// The key that sealed it.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The workload that sealed it, by the rules.
    #[must_use]
    pub fn workload(&self) -> &str {
        &self.workload
    }
}

impl SealChecker {
    /// Checks with the public keys of a trust domain, by its rules. Clocks may be `leeway` seconds apart.
    #[must_use]
    pub fn new(keys: KeySet, sealers: Arc<Sealers>, leeway: u64) -> Self {
        Self { keys: RwLock::new((0, Arc::new(keys))), sealers, leeway, seen: Seen::default() }
    }

    /// Takes other keys from now on. A set that is empty is not taken: good keys are never given up for none.
    pub fn replace_keys(&self, keys: KeySet) -> bool {
        let taken = !keys.is_empty();
        if taken {
            let mut now = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            // What was good by the keys before has to show itself again.
            *now = (now.0.wrapping_add(1), Arc::new(keys));
        }
        taken
    }

    /// Checks the seal of an identity that came with a trace, at the time when the hop began.
    ///
    /// # Errors
    /// The [`SealFault`] that makes it an assertion and no more.
    pub fn check(&self, carried: &Carried, trace_id: [u8; 16], at: UnixTime) -> Result<Sealed, SealFault> {
        let seal = carried.seal().ok_or(SealFault::Missing)?;
        let binding = Binding::new(self.sealers.trust_domain(), trace_id).ok_or(SealFault::Signature)?;
        let (epoch, keys) = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        let clock = Clock { at: at.0, leeway: self.leeway };
        let members = carried.members();
        let kid = match self.seen.kid(trace_id, carried, epoch) {
            Some(kid) => {
                in_time(&members, clock)?;
                (*kid).to_owned()
            }
            None => match check(&keys, &binding, &members, seal, clock) {
                Verdict::Valid { kid } => {
                    self.seen.put(trace_id, carried, epoch, &kid);
                    kid
                }
                Verdict::Broken(fault) => return Err(fault),
                // Who could check it could have made it.
                Verdict::Symmetric => return Err(SealFault::Algorithm),
            },
        };
        let rule =
            self.sealers.of_kid(&kid).filter(|rule| rule.permits(&members)).ok_or(SealFault::Sealer)?;
        Ok(Sealed { carried: carried.clone(), kid, workload: rule.workload().to_owned() })
    }

    /// The same for a seal that may have ended as much as `wait` seconds before.
    pub(super) fn check_waited(
        &self,
        carried: &Carried,
        trace_id: [u8; 16],
        now: UnixTime,
        wait: u64,
    ) -> Result<Sealed, SealFault> {
        let time = |name| carried.get(name).and_then(member::seconds);
        let end = time(EXP).zip(time(IAT)).map(|(exp, iat)| exp.min(iat.saturating_add(MAX_LIFETIME)));
        let at = match end {
            Some(end) if now.0 > end && now.0 <= end.saturating_add(wait) => UnixTime(end),
            _ => now,
        };
        self.check(carried, trace_id, at)
    }
}

//! Credentials that are no longer good though their time is not over.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};

use crate::Reason;
use crate::clock::UnixTime;
use crate::outcome::{Refused, Verified};

/// What is withdrawn. Issuers go by their own id (`iss`, a trust domain), as [`Principal::issuer`](crate::Principal) has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// One credential, by its id (`jti`; `txn` of a Txn-Token).
    Token {
        /// Its issuer.
        issuer: String,
        /// Its id.
        id: String,
        /// When it has ended by itself. The revocation is forgotten then.
        until: UnixTime,
    },
    /// Every credential of a session (`sid`), those to come too.
    Session {
        /// Its issuer.
        issuer: String,
        /// Its id.
        id: String,
        /// When the last of them will have ended. The revocation is forgotten then.
        until: UnixTime,
    },
    /// Every credential of a subject that was issued up to a moment.
    Subject {
        /// Its issuer.
        issuer: String,
        /// The subject (`sub`).
        id: String,
        /// The last second of those that are withdrawn. Credentials that do not say when they were issued are, too.
        issued_until: UnixTime,
        /// When the last of them will have ended. The revocation is forgotten then.
        until: UnixTime,
    },
    /// Every credential of an issuer that was issued up to a moment. This is never forgotten.
    Issuer {
        /// The issuer.
        issuer: String,
        /// The last second of those that are withdrawn. Credentials that do not say when they were issued are, too.
        issued_until: UnixTime,
    },
}

/// A revocation that there is no room for. It does not hold: the caller has to do something wider, such as withdrawing all that
/// its issuer issued until now, for which there is always room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no room for another revocation")]
pub struct RevocationsFull;

/// The revocations that hold: looked at for every credential, also for those whose verification is remembered.
///
/// ```
/// use hopseal::{Revocation, Revocations, UnixTime};
/// let revocations = Revocations::default();
/// let issuer = "https://id.example".to_owned();
/// let logout = Revocation::Session { issuer, id: "s1".to_owned(), until: UnixTime(1_800_086_400) };
/// revocations.revoke(logout, UnixTime(1_800_000_000))?;
/// assert_eq!(revocations.len(), 1);
/// # Ok::<(), hopseal::RevocationsFull>(())
/// ```
pub struct Revocations {
    issuers: RwLock<HashMap<String, OfIssuer>>,
    capacity: usize,
}

#[derive(Default)]
struct OfIssuer {
    /// With when to forget them.
    tokens: HashMap<String, UnixTime>,
    sessions: HashMap<String, UnixTime>,
    /// With the last second of those withdrawn before.
    subjects: HashMap<String, (UnixTime, UnixTime)>,
    issued_until: Option<UnixTime>,
}

impl Default for Revocations {
    /// With room for 100 000.
    fn default() -> Self {
        Self::with_capacity(100_000)
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocations").field("len", &self.len()).field("capacity", &self.capacity).finish()
    }
}

impl Revocations {
    /// With room for so many, those of whole issuers not counted. None is ever dropped for another.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { issuers: RwLock::default(), capacity }
    }

    /// Withdraws from now on. Again, it takes the later of the times.
    ///
    /// # Errors
    /// [`RevocationsFull`] if there is no room, also after all were forgotten whose time is over.
    pub fn revoke(&self, revocation: Revocation, now: UnixTime) -> Result<(), RevocationsFull> {
        let mut issuers = self.issuers.write().unwrap_or_else(PoisonError::into_inner);
        if let Revocation::Issuer { issuer, issued_until } = revocation {
            let slot = &mut issuers.entry(issuer).or_default().issued_until;
            *slot = (*slot).max(Some(issued_until));
            return Ok(());
        }
        if count(&issuers) >= self.capacity {
            for of in issuers.values_mut() {
                of.tokens.retain(|_, until| now < *until);
                of.sessions.retain(|_, until| now < *until);
                of.subjects.retain(|_, (_, until)| now < *until);
            }
            if count(&issuers) >= self.capacity {
                return Err(RevocationsFull);
            }
        }
        let later = |slot: &mut UnixTime, time: UnixTime| *slot = (*slot).max(time);
        match revocation {
            Revocation::Token { issuer, id, until } => {
                later(issuers.entry(issuer).or_default().tokens.entry(id).or_insert(until), until);
            }
            Revocation::Session { issuer, id, until } => {
                later(issuers.entry(issuer).or_default().sessions.entry(id).or_insert(until), until);
            }
            Revocation::Subject { issuer, id, issued_until, until } => {
                let subjects = &mut issuers.entry(issuer).or_default().subjects;
                let slot = subjects.entry(id).or_insert((issued_until, until));
                later(&mut slot.0, issued_until);
                later(&mut slot.1, until);
            }
            Revocation::Issuer { .. } => {} // above
        }
        Ok(())
    }

    /// How many there are, those of whole issuers not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        count(&self.issuers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there are none, those of whole issuers not counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a credential that is good otherwise was withdrawn.
    ///
    /// # Errors
    /// [`Refused`] with [`Reason::Revoked`] if it was.
    pub fn check(&self, verified: &Verified) -> Result<(), Refused> {
        let issuers = self.issuers.read().unwrap_or_else(PoisonError::into_inner);
        let (principal, evidence) = (verified.principal(), verified.evidence());
        let Some(of) = issuers.get(&principal.issuer) else { return Ok(()) };
        let is_in = |list: &HashMap<String, UnixTime>, id: &Option<String>| {
            id.as_ref().is_some_and(|id| list.contains_key(id))
        };
        let up_to = |until: UnixTime| evidence.issued_at.is_none_or(|issued_at| issued_at <= until);
        let what = if is_in(&of.tokens, &evidence.token_id) {
            "it was revoked"
        } else if is_in(&of.sessions, &principal.session) {
            "its session was"
        } else if of.subjects.get(&evidence.subject).is_some_and(|(issued_until, _)| up_to(*issued_until)) {
            "its subject was"
        } else if of.issued_until.is_some_and(up_to) {
            "all of its issuer were, up to then"
        } else {
            return Ok(());
        };
        Err(Refused::new(Reason::Revoked, what))
    }
}

fn count(issuers: &HashMap<String, OfIssuer>) -> usize {
    issuers.values().map(|of| of.tokens.len() + of.sessions.len() + of.subjects.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(id: &str, until: u64) -> Revocation {
        Revocation::Token { issuer: "a".to_owned(), id: id.to_owned(), until: UnixTime(until) }
    }

    #[test]
    fn no_revocation_is_dropped_for_another() {
        let revocations = Revocations::with_capacity(2);
        assert_eq!(revocations.revoke(token("1", 10), UnixTime(0)), Ok(()));
        assert_eq!(revocations.revoke(token("2", 20), UnixTime(0)), Ok(()));
        assert_eq!(revocations.revoke(token("3", 30), UnixTime(9)), Err(RevocationsFull));
        let issuer = Revocation::Issuer { issuer: "a".to_owned(), issued_until: UnixTime(9) };
        assert_eq!(
            revocations.revoke(issuer, UnixTime(9)),
            Ok(()),
            "there is always room for a whole issuer"
        );
        assert_eq!(revocations.revoke(token("3", 30), UnixTime(10)), Ok(()), "the first is over");
        assert_eq!(revocations.len(), 2);
    }

    #[test]
    fn the_later_time_counts() {
        for until in [10, 20, 5] {
            let subject = |issued_until: u64| Revocation::Subject {
                issuer: "a".to_owned(),
                id: "b".to_owned(),
                issued_until: UnixTime(issued_until),
                until: UnixTime(until),
            };
            let room = Revocations::with_capacity(2);
            room.revoke(subject(until), UnixTime(0)).expect("room");
            room.revoke(subject(7), UnixTime(0)).expect("room");
            let issuers = room.issuers.read().expect("no panic");
            assert_eq!(issuers["a"].subjects["b"], (UnixTime(until.max(7)), UnixTime(until)));
        }
    }
}

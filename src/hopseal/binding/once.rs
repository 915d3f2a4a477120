//! Tokens that may be used once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::Reason;
use crate::clock::UnixTime;
use crate::outcome::{Refused, Undecided, Verified};

/// The tokens that were used, until they have ended by themselves.
///
/// A clock that is set back makes tokens good again that were forgotten: what could have been forgotten is not accepted.
pub(crate) struct Used {
    used: Mutex<State>,
    capacity: usize,
}

#[derive(Default)]
struct State {
    /// With when to forget them.
    until: HashMap<[u8; 32], UnixTime>,
    /// The latest of those that were forgotten.
    forgotten: UnixTime,
}

impl Default for Used {
    /// With room for 100 000.
    fn default() -> Self {
        Self::with_capacity(100_000)
    }
}

impl fmt::Debug for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.used.lock().unwrap_or_else(PoisonError::into_inner).until.len();
        f.debug_struct("Used").field("held", &held).field("capacity", &self.capacity).finish()
    }
}

impl Used {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { used: Mutex::default(), capacity }
    }

    /// Whether this is the first time, for a token that is good until `until`.
    pub(crate) fn first(
        &self,
        verified: &Verified,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<Result<(), Refused>, Undecided> {
        let evidence = verified.evidence();
        let Some(id) = &evidence.token_id else {
            // Two of them could not be told apart.
            return Ok(Err(Refused::new(Reason::MissingClaim, "no `jti`, and it may be used once")));
        };
        let digest =
            Sha256::new().chain_update(&evidence.issuer).chain_update([0]).chain_update(id).finalize();
        let mut state = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if until <= state.forgotten || state.until.contains_key(<[u8; 32]>::from(digest).as_slice()) {
            return Ok(Err(Refused::new(Reason::Replayed, "it was used before")));
        }
        if state.until.len() >= self.capacity {
            let over = state.until.values().copied().filter(|until| *until <= now).max();
            state.forgotten = state.forgotten.max(over.unwrap_or(UnixTime(0)));
            state.until.retain(|_, until| now < *until);
            if state.until.len() >= self.capacity {
                return Err(Undecided::NoRoom);
            }
        }
        state.until.insert(digest.into(), until);
        Ok(Ok(()))
    }
}

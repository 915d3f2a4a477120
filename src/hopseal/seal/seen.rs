//! Seals that were found good before: the requests of one trace bring the same one again and again.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use hopseal_identity::baggage::Carried;

/// How many are remembered, each in the one place that its hash says: what comes there next takes it.
const PLACES: usize = 1024;

/// Of which seals the signature is good, by which key. Whether it is their time, and whether the rules are met, is not remembered.
pub(super) struct Seen {
    hasher: RandomState,
    places: Mutex<Box<[Option<Good>]>>,
}

#[derive(Clone)]
struct Good {
    trace_id: [u8; 16],
    /// All that was signed, and the signature.
    carried: Carried,
    kid: Arc<str>,
    epoch: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { hasher: RandomState::new(), places: Mutex::new(vec![None; PLACES].into()) }
    }
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seen(..)")
    }
}

impl Seen {
    /// A place for a seal in a trace. Nobody outside can tell which: two of an enemy's choosing cannot be made to meet.
    fn place(&self, trace_id: [u8; 16], seal: &str) -> usize {
        // The signature is at the end, and differs where anything does.
        let tail = seal.as_bytes().rchunks(64).next().unwrap_or_default();
        let hash = self.hasher.hash_one((trace_id, tail));
        usize::try_from(hash % 1024).unwrap_or(0)
    }

    /// The key, if these very bytes were found good in this trace, with the keys of this epoch.
    pub(super) fn kid(&self, trace_id: [u8; 16], carried: &Carried, epoch: u64) -> Option<Arc<str>> {
        let place = self.place(trace_id, carried.seal()?);
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let good = places.get(place)?.as_ref()?;
        let same =
            good.trace_id == trace_id && good.epoch == epoch && good.carried.as_str() == carried.as_str();
        same.then(|| Arc::clone(&good.kid))
    }

    /// The signature is good.
    pub(super) fn put(&self, trace_id: [u8; 16], carried: &Carried, epoch: u64, kid: &str) {
        let Some(seal) = carried.seal() else { return };
        let place = self.place(trace_id, seal);
        let good = Good { trace_id, carried: carried.clone(), kid: kid.into(), epoch };
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get_mut(place) {
            *place = Some(good);
        }
    }
}

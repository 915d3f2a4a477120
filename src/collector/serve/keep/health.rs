//! How a keeper is.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::Keeper;
use crate::serve::health::Unready;

impl Keeper {
    /// Whether all of its threads run: one that panicked leaves nobody to take spans, and what it had is in the journal.
    pub(crate) fn is_whole(&self) -> bool {
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.iter().all(|thread| !thread.is_finished())
    }

    /// From now on it says that a thread is lost, which somebody else saw.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether more is judged and in no segment than there may be: the store is slow or fails, and what is taken on would wait in
    /// memory, judged, for as long as that lasts.
    pub(super) fn is_behind(&self) -> bool {
        let held = self.held.load(Ordering::Relaxed).saturating_add(self.unclosed.load(Ordering::Relaxed));
        held > self.settings.held_hops.saturating_mul(self.shards.len())
    }

    /// Why nothing would be taken now.
    pub(super) fn reasons(&self) -> Vec<Unready> {
        let all = [
            (self.stopping.load(Ordering::Acquire), Unready::Stopping),
            (self.full.load(Ordering::Acquire), Unready::DiskFull),
            (self.is_behind(), Unready::StoreBehind),
            (self.failing.load(Ordering::Relaxed), Unready::JournalFailing),
            (self.lost.load(Ordering::Acquire) || !self.is_whole(), Unready::ThreadLost),
        ];
        all.into_iter().filter(|(is_so, _)| *is_so).map(|(_, unready)| unready).collect()
    }
}

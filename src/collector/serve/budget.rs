//! Memory for what is being received, taken before it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::pool::{Buffer, Pool};

/// So many bytes for all requests together.
#[derive(Debug)]
pub(crate) struct Budget {
    total: usize,
    taken: AtomicUsize,
    /// Buffers for what is received.
    pool: Arc<Pool>,
}

impl Budget {
    pub(crate) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self { total, taken: AtomicUsize::new(0), pool: Arc::default() })
    }

    /// Takes bytes, if there are so many. Nobody waits: who does not get any is to come again.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let mut share = Share { budget: Arc::clone(self), bytes: 0 };
        share.resize(bytes).then_some(share)
    }

    /// An empty buffer with room for so many bytes, which somebody has taken.
    pub(crate) fn buffer(&self, bytes: usize) -> Buffer {
        self.pool.buffer(bytes)
    }

    /// Bytes that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// Bytes taken, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    /// Makes it so many bytes. False, and as it was, if there are not so many left.
    #[must_use]
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        let change = |taken: usize| {
            let taken = taken.checked_sub(self.bytes)?.checked_add(bytes)?;
            (taken <= self.budget.total || bytes <= self.bytes).then_some(taken)
        };
        let changed = self.budget.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok();
        if changed {
            self.bytes = bytes;
        }
        changed
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_bounded_and_comes_back() {
        let budget = Budget::new(100);
        let mut first = budget.take(60).expect("room");
        assert!(budget.take(41).is_none());
        assert!(!first.resize(101));
        assert!(first.resize(100));
        assert!(budget.take(1).is_none());
        assert!(first.resize(10));
        let second = budget.take(90).expect("room");
        assert_eq!(budget.taken(), 100);
        drop(first);
        assert_eq!(budget.taken(), 90);
        drop(second);
        assert_eq!((budget.taken(), budget.take(usize::MAX).is_none()), (0, true));
    }
}

//! Memory for what is being received, taken before it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::metrics::gauge::Gauge;

use super::pool::{Buffer, Pool};

/// So many bytes for all requests together.
#[derive(Debug)]
pub(crate) struct Budget {
    total: usize,
    taken: AtomicUsize,
    /// Shows what is taken.
    gauge: Gauge,
    /// Buffers for what is received.
    pool: Arc<Pool>,
}

impl Budget {
    #[cfg(test)]
    pub(crate) fn new(total: usize) -> Arc<Self> {
        Self::counted(total, Gauge::default())
    }

    /// So many bytes, and what shows how many of them are taken.
    pub(crate) fn counted(total: usize, gauge: Gauge) -> Arc<Self> {
        Arc::new(Self { total, taken: AtomicUsize::new(0), gauge, pool: Arc::default() })
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
    #[cfg(test)]
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
            self.budget.gauge.inc_by(signed(bytes).saturating_sub(signed(self.bytes)));
            self.bytes = bytes;
        }
        changed
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.gauge.dec_by(signed(self.bytes));
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_bounded_and_comes_back() {
        let shown = Gauge::default();
        let budget = Budget::counted(100, shown.clone());
        let mut first = budget.take(60).expect("room");
        assert!(budget.take(41).is_none());
        assert!(!first.resize(101));
        assert!(first.resize(100));
        assert!(budget.take(1).is_none());
        assert!(first.resize(10));
        let second = budget.take(90).expect("room");
        assert_eq!((budget.taken(), shown.get()), (100, 100));
        drop(first);
        assert_eq!((budget.taken(), shown.get()), (90, 90));
        drop(second);
        assert_eq!((budget.taken(), shown.get(), budget.take(usize::MAX).is_none()), (0, 0, true));
    }
}

//! What is found of many traces: at once, and of windows that are over.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use hopseal_correlate::across::{Across, News};
use hopseal_correlate::judge::Verdict;

use super::{Keeper, Unsaved};
use crate::serve::clock::nanos;
use crate::serve::guard::guarded;
use crate::serve::store::{Batch, Store as _, StoreError};

impl Keeper {
    /// Adds what a shard gathered, by window, and what it shows at once.
    pub(super) fn gather(&self, across: BTreeMap<u64, Across>, unsaved: &mut Unsaved, now: u64) {
        let rules = self.rules.load();
        let before = unsaved.batch.room();
        for (begin, across) in across {
            let Unsaved { over_time, counts, batch, .. } = unsaved;
            let news = guarded(|| over_time.add(begin, across, now, &rules.policy));
            let News { verdict, retracted } = news.unwrap_or_else(|panicked| {
                counts.broken_windows += 1;
                tracing::error!(place = %panicked, "some traces cannot be counted by a fault of ours, and are left out");
                News::default()
            });
            raise(verdict, batch);
            batch.retracted.extend(retracted);
        }
        self.held.fetch_add(unsaved.batch.room().saturating_sub(before), Ordering::Relaxed);
    }

    /// Judges windows of many traces that are over.
    pub(super) fn judge_windows(&self, unsaved: &mut Unsaved, now: u64) -> Result<(), StoreError> {
        let window = self.settings.window;
        let grace = nanos(window.settle + window.max_age);
        let Unsaved { over_time, baseline, batch, counts, .. } = unsaved;
        let baseline_of_all = self.given.as_ref().unwrap_or(baseline);
        let rules = self.rules.load();
        // A window counts as judged before it is: one that panics is not tried again.
        let verdicts = guarded(|| over_time.judge(now, grace, &rules.policy, Some(baseline_of_all)));
        let verdicts = verdicts.unwrap_or_else(|panicked| {
            counts.broken_windows += 1;
            tracing::error!(place = %panicked, "an hour of traces cannot be judged by a fault of ours, and is left out");
            Vec::new()
        });
        if verdicts.is_empty() {
            return Ok(());
        }
        let before = batch.room();
        verdicts.into_iter().for_each(|verdict| raise(verdict, batch));
        self.held.fetch_add(batch.room().saturating_sub(before), Ordering::Relaxed);
        *baseline = self.store.catalogue(now)?;
        Ok(())
    }
}

/// Adds what was found.
fn raise(verdict: Verdict, batch: &mut Batch) {
    batch.raise(verdict.findings);
    for suppressed in verdict.suppressed {
        let key = (suppressed.finding.rule, suppressed.reason, suppressed.finding.service);
        *batch.quieted.entry(key).or_default() += 1;
    }
}

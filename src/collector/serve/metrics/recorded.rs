//! What is recorded as it happens, for those who ask and for those who are told at once: it cannot be read back later.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::metrics::{Counter as SentCounter, Histogram as SentHistogram};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::labels::Attributes;

/// Upper bounds of histograms of times, in seconds.
pub(super) const SECONDS: [f64; 10] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// Counts by labels of which nobody has a list.
#[derive(Debug)]
pub(crate) struct Counted<L> {
    pub(super) family: Family<L, Counter>,
    /// Once somebody is to be told.
    pub(super) sent: Arc<OnceLock<SentCounter<u64>>>,
}

impl<L: Attributes> Default for Counted<L> {
    fn default() -> Self {
        Self { family: Family::default(), sent: Arc::default() }
    }
}

impl<L: Attributes> Counted<L> {
    pub(crate) fn add(&self, labels: &L, count: u64) {
        self.family.get_or_create(labels).inc_by(count);
        if let Some(sent) = self.sent.get() {
            sent.add(count, &labels.attributes());
        }
    }
}

/// Lengths of time.
#[derive(Debug)]
pub(crate) struct Times<L> {
    pub(super) family: Family<L, Histogram>,
    /// Once somebody is to be told.
    pub(super) sent: Arc<OnceLock<SentHistogram<f64>>>,
}

impl<L: Attributes> Default for Times<L> {
    fn default() -> Self {
        Self { family: Family::new_with_constructor(|| Histogram::new(SECONDS)), sent: Arc::default() }
    }
}

impl<L: Attributes> Times<L> {
    /// From nothing, so that the first is an increase to whoever asks for one.
    pub(super) fn begin(&self, labels: &L) {
        drop(self.family.get_or_create(labels));
    }

    pub(crate) fn observe(&self, labels: &L, time: Duration) {
        let seconds = time.as_secs_f64();
        self.family.get_or_create(labels).observe(seconds);
        if let Some(sent) = self.sent.get() {
            sent.record(seconds, &labels.attributes());
        }
    }
}

//! Findings as they are committed, for whoever watches.
//!
//! What is told is kept once, however many watch, and no longer than the last [`KEPT`] of it: who is slower than that is
//! told how much was missed.

use std::collections::HashSet;
use std::sync::Arc;

use hopseal_correlate::finding::{Finding, FindingId};
use tokio::sync::broadcast::{Receiver, Sender, channel, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::store::{Batch, Changed};

/// What is kept for those who are slow.
const KEPT: usize = 512;
/// How many may watch at a time.
const VIEWERS: usize = 256;
/// Letters of a text that are told; the rest is on the page of the finding.
const LETTERS: usize = 400;

/// What is told.
#[derive(Debug, Clone)]
pub(crate) enum TailEvent {
    /// A finding that did not stand before.
    Opened(Arc<Noticed>),
    /// One stands no more.
    Retracted(FindingId),
    /// So many were told while nobody read.
    Missed(u64),
}

/// What is told of a finding. Names no principal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Noticed {
    pub(crate) id: FindingId,
    pub(crate) rule: &'static str,
    pub(crate) severity: &'static str,
    pub(crate) confidence: &'static str,
    pub(crate) caller: Option<String>,
    pub(crate) service: String,
    pub(crate) operation: String,
    pub(crate) message: String,
    /// Where it is looked at, as 32 and 16 hex digits.
    pub(crate) place: Option<(String, Option<String>)>,
    /// When the hop began; 0 when not known.
    pub(crate) at: u64,
}

impl From<&Finding> for Noticed {
    fn from(finding: &Finding) -> Self {
        let span = finding.span_id.map(|span| span.to_string());
        Self {
            id: finding.id,
            rule: finding.rule.as_str(),
            severity: finding.severity.as_str(),
            confidence: finding.confidence.as_str(),
            caller: finding.caller.as_deref().map(cut),
            service: cut(&finding.service),
            operation: cut(&finding.operation),
            message: cut(&finding.message),
            place: finding.trace_id.map(|trace| (trace.to_string(), span)),
            at: finding.at,
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}\u{2026}", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// See the [module](self).
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    told: Sender<TailEvent>,
    places: Arc<Semaphore>,
}

impl Default for Tail {
    fn default() -> Self {
        Self { told: channel(KEPT).0, places: Arc::new(Semaphore::new(VIEWERS)) }
    }
}

impl Tail {
    /// Tells what a batch that was committed changed.
    pub(crate) fn tell(&self, batch: &Batch, changed: &Changed) {
        if self.told.receiver_count() == 0 {
            return;
        }
        let new: HashSet<FindingId> = changed.opened.iter().copied().collect();
        // Nobody can read what came before these: it is told as a number.
        let unread = new.len().saturating_sub(KEPT / 2);
        let not_told = unread + changed.retracted.len().saturating_sub(KEPT / 4);
        let tell = |told| _ = self.told.send(told);
        if not_told > 0 {
            tell(TailEvent::Missed(not_told as u64));
        }
        let opened = batch.raised.iter().filter(|finding| new.contains(&finding.id));
        opened.skip(unread).for_each(|finding| tell(TailEvent::Opened(Arc::new(finding.into()))));
        changed.retracted.iter().take(KEPT / 4).for_each(|id| tell(TailEvent::Retracted(*id)));
    }

    /// Watches from now on; none when too many do.
    pub(crate) fn watch(&self) -> Option<Viewer> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some(Viewer { told: self.told.subscribe(), _place: place })
    }
}

/// One who watches.
#[derive(Debug)]
pub(crate) struct Viewer {
    told: Receiver<TailEvent>,
    _place: OwnedSemaphorePermit,
}

impl Viewer {
    /// What is told next; none once nobody is left to tell.
    pub(crate) async fn next(&mut self) -> Option<TailEvent> {
        match self.told.recv().await {
            Ok(told) => Some(told),
            Err(RecvError::Lagged(missed)) => Some(TailEvent::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use hopseal_correlate::finding::Subject;
    use hopseal_correlate::rule::Rule;

    use super::*;
    use crate::serve::store::testing::trace_id;

    /// A batch of these findings, all of which are new, and one that is not.
    fn tell(tail: &Tail, findings: std::ops::Range<u64>) {
        let finding = |number| Finding::new(Rule::AuditGap, Subject::Trace(trace_id(number)), "");
        let mut raised: Vec<Finding> = findings.map(finding).collect();
        let opened = raised.iter().map(|finding| finding.id).collect();
        raised.push(finding(1_000_000));
        tail.tell(&Batch { raised, ..Batch::default() }, &Changed { opened, ..Changed::default() });
    }

    fn summed(viewer: &mut Viewer) -> (usize, u64) {
        let (mut raised, mut missed) = (0, 0);
        while let Ok(told) = viewer.told.try_recv().or_else(|error| match error {
            tokio::sync::broadcast::error::TryRecvError::Lagged(missed) => Ok(TailEvent::Missed(missed)),
            error => Err(error),
        }) {
            match told {
                TailEvent::Opened(_) => raised += 1,
                TailEvent::Missed(number) => missed += number,
                TailEvent::Retracted(_) => {}
            }
        }
        (raised, missed)
    }

    /// Scenario: as many watch as may; one reads nothing while findings come in dozens, and then one turn raises thousands.
    /// Guarantees: what is kept is bounded; who was too slow is told how many were missed; one more is turned away until
    /// somebody leaves.
    #[test]
    fn who_is_slow_is_told_what_was_missed() {
        let tail = Tail::default();
        let mut viewers: Vec<Viewer> = (0..VIEWERS).map(|_| tail.watch().expect("a place")).collect();
        assert!(tail.watch().is_none());
        let mut slow = viewers.pop().expect("a viewer");
        drop(viewers.pop());
        assert!(tail.watch().is_some());
        for turn in 0..20 {
            tell(&tail, turn * 50..turn * 50 + 50);
            assert!(viewers.iter_mut().all(|viewer| summed(viewer) == (50, 0)));
        }
        assert_eq!(summed(&mut slow), (KEPT, 1000 - KEPT as u64));
        tell(&tail, 0..5000);
        assert_eq!(summed(&mut slow), (KEPT / 2, 5000 - KEPT as u64 / 2));
    }

    /// Guarantees: of findings taken back in one turn, those that are not told are counted as missed.
    #[test]
    fn what_is_taken_back_is_told_or_counted() {
        for (count, expected) in [(KEPT / 4, 0), (KEPT / 4 + 1, 1), (5_000, 5_000 - KEPT as u64 / 4)] {
            let tail = Tail::default();
            let mut viewer = tail.watch().expect("a place");
            let retracted = (0..count as u128).map(|number| FindingId(number.to_be_bytes())).collect();
            tail.tell(&Batch::default(), &Changed { retracted, ..Changed::default() });
            let (mut told, mut missed) = (0, 0);
            while let Ok(one) = viewer.told.try_recv() {
                match one {
                    TailEvent::Retracted(_) => told += 1,
                    TailEvent::Missed(number) => missed += number,
                    TailEvent::Opened(_) => panic!("none is opened"),
                }
            }
            assert_eq!((told, missed), (count.min(KEPT / 4), expected));
        }
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(cut(&"\u{e9}".repeat(LETTERS)), "\u{e9}".repeat(LETTERS));
        assert_eq!(cut(&"\u{e9}".repeat(LETTERS + 1)).chars().count(), LETTERS + 1);
    }
}

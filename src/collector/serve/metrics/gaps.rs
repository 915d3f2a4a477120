//! Why not all of a trace was there. To have judged it early is a bound of ours, and none who has to be woken: what was not there may be
//! on the way. Only what still is not there once it is judged again is lost.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use hopseal_correlate::finding::{Finding, FindingId};
use hopseal_correlate::rule::Rule;

use crate::serve::store::{Batch, Changed};

/// Traces judged early that are remembered until they are judged again. Of one that is forgotten nothing more is counted.
const MOST: usize = 1 << 16;

/// Which traces were judged early, and nothing else is known to be missing.
#[derive(Debug, Default)]
pub(super) struct Gaps(Mutex<Early>);

#[derive(Debug, Default)]
struct Early {
    known: HashSet<FindingId>,
    /// The oldest first, those that are known no more too.
    order: VecDeque<FindingId>,
}

impl Early {
    fn remember(&mut self, id: FindingId) {
        if !self.known.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl Gaps {
    /// Tells of each gap that was committed why it is one, `early` or `lost`: once, and again should one that was early be lost after all.
    pub(super) fn tell(&self, batch: &Batch, changed: &Changed, mut count: impl FnMut(&'static str)) {
        let of_traces = batch.raised.iter().filter(|finding| finding.rule == Rule::AuditGap);
        // Of one that was found more than once the last counts.
        let gaps: HashMap<FindingId, bool> = of_traces.map(|gap| (gap.id, is_early(gap))).collect();
        let opened: HashSet<&FindingId> = changed.opened.iter().collect();
        let mut early = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, is_early) in gaps {
            match (is_early, opened.contains(&id)) {
                (true, true) => {
                    early.remember(id);
                    count("early");
                }
                (false, true) => count("lost"),
                (false, false) if early.known.remove(&id) => count("lost"),
                (_, false) => {}
            }
        }
        for id in &changed.retracted {
            early.known.remove(id);
        }
    }
}

/// Whether all that is missing may have been on the way: parents are then, too. What senders say they dropped, two bodies of one span and
/// parents in a circle are none of it.
fn is_early(gap: &Finding) -> bool {
    let has = |name: &str| gap.evidence.contains_key(name);
    has("closed_early") && !["dropped", "conflicts", "cycles"].into_iter().any(has)
}

#[cfg(test)]
mod tests {
    use hopseal_correlate::finding::Subject;

    use super::*;
    use crate::serve::store::testing::trace_id;

    fn gap(number: u64, evidence: &[&'static str]) -> Finding {
        let gap = Finding::new(Rule::AuditGap, Subject::Trace(trace_id(number)), "");
        evidence.iter().fold(gap, |gap, name| gap.evidence(name, "1"))
    }

    /// Guarantees: what was judged early is no loss, until it is judged again and still is not whole; then it is one, once.
    #[test]
    fn what_was_judged_early_is_lost_only_if_it_never_comes() {
        let whole = Changed::default();
        let opened = |id| Changed { opened: vec![id], ..Changed::default() };
        let retracted = |id| Changed { retracted: vec![id], ..Changed::default() };
        let id = gap(1, &[]).id;
        let gaps = Gaps::default();
        for (raised, changed, expected) in [
            (vec![gap(1, &["closed_early", "missing_parents"])], opened(id), vec!["early"]),
            (vec![gap(1, &["closed_early"])], whole.clone(), vec![]),
            (vec![gap(1, &["missing_parents"])], whole.clone(), vec!["lost"]),
            (vec![gap(1, &["missing_parents"])], whole.clone(), vec![]),
            (vec![gap(2, &["missing_parents"])], opened(gap(2, &[]).id), vec!["lost"]),
            (vec![gap(3, &["closed_early", "dropped"])], opened(gap(3, &[]).id), vec!["lost"]),
            // Whole within one turn, and whole later.
            (vec![gap(4, &["closed_early"]), gap(4, &["cycles"])], opened(gap(4, &[]).id), vec!["lost"]),
            (vec![gap(5, &["closed_early"])], opened(gap(5, &[]).id), vec!["early"]),
            (vec![], retracted(gap(5, &[]).id), vec![]),
            (vec![gap(5, &["missing_parents"])], whole.clone(), vec![]),
        ] {
            let (batch, mut counted) = (Batch { raised, ..Batch::default() }, Vec::new());
            gaps.tell(&batch, &changed, |cause| counted.push(cause));
            assert_eq!(counted, expected, "{:?}", batch.raised);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let gaps = Gaps::default();
        for number in 0..MOST as u64 + 9 {
            let early = gap(number + 1, &["closed_early"]);
            let changed = Changed { opened: vec![early.id], ..Changed::default() };
            gaps.tell(&Batch { raised: vec![early], ..Batch::default() }, &changed, |_| {});
        }
        let early = gaps.0.lock().expect("no panic");
        assert_eq!((early.known.len(), early.order.len()), (MOST, MOST));
    }
}

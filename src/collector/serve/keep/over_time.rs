//! What rules over many traces rest on, by window of event time, and when a window is over.
//!
//! A trace counts in the window in which its first hop begins. A window is over once its time has passed and nothing was added to it for
//! a while; it is judged together with the one before, where traces may have begun that reach into it. It is kept until the
//! next one is over, so that what comes late is counted still. Times are the senders': what says that it begins after the next window
//! counts in none, else a clock that is ahead would keep windows that are never over.
//!
//! What is of no window, a credential that was used before, is told of as it comes ([`Recent`]).
//!
//! What was added is kept with the batch that it came with, and all of it anew once that makes half of what is kept: so a process
//! that is killed forgets nothing that was counted, and what is written stays in proportion to what comes.

use std::collections::BTreeMap;

use hopseal_correlate::across::{Across, News, Recent, window_of};
use hopseal_correlate::catalogue::Catalogue;
use hopseal_correlate::judge::Verdict;
use hopseal_correlate::policy::Policy;
use hopseal_correlate::rule::Cx;

use crate::serve::guard::guarded;
use crate::serve::store::Gathered;

/// Windows kept. Times are the senders' choice: what would make one more counts in the oldest.
const MAX_WINDOWS: usize = 8;
/// Where in what is kept [`Recent`] stands: no window begins then.
const RECENT: u64 = i64::MAX.cast_unsigned();
/// Among windows, where what is of traces that were counted before stands: it is of no window.
const AGAIN: u64 = RECENT - 1;
/// Bytes added before all is written anew, at least.
const FEW: usize = 1 << 20;

#[derive(Debug, Default)]
struct Window {
    across: Across,
    /// When something was last added.
    touched: u64,
    judged: bool,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct OverTime {
    windows: BTreeMap<u64, Window>,
    recent: Recent,
    /// What was added and is not kept yet.
    added: Vec<(u64, Vec<u8>)>,
    /// Bytes kept: of all at once, and of what was added since.
    kept: (usize, usize),
    /// Whether all is to be kept anew: some of what is kept is over, or may be kept twice.
    is_stale: bool,
}

/// Counts a trace. Returns whether it counts: not where it begins too far ahead.
pub(crate) fn observe(windows: &mut BTreeMap<u64, Across>, cx: &Cx<'_>, now: u64) -> bool {
    let last = last(now, cx.policy);
    let begin = begin(cx);
    if begin > last {
        return false;
    }
    let of_hops = || cx.hops.iter().map(|hop| window_of(cx.entry(hop).start, cx.policy));
    // What it reaches into is judged too, whether or not anything begins there.
    let others = of_hops().filter(|other| *other != begin && *other <= last);
    others.for_each(|other| _ = window(windows, other));
    window(windows, begin).observe(cx);
    true
}

/// Takes note of what is known better of a trace that was counted.
pub(crate) fn observe_again(windows: &mut BTreeMap<u64, Across>, cx: &Cx<'_>, now: u64) {
    if begin(cx) <= last(now, cx.policy)
        && let Some(again) = Across::again(cx)
    {
        windows.entry(AGAIN).or_default().merge(again);
    }
}

/// The window that a trace counts in.
fn begin(cx: &Cx<'_>) -> u64 {
    let of_hops = cx.hops.iter().map(|hop| window_of(cx.entry(hop).start, cx.policy));
    // Spans that are no hops may say no time.
    let start = || cx.trace.spans().first().map_or(0, |span| span.start);
    of_hops.min().unwrap_or_else(|| window_of(start(), cx.policy))
}

/// The last window that may begin by now, clocks being what they are: the next one.
fn last(now: u64, policy: &Policy) -> u64 {
    window_of(now, policy).saturating_add(policy.thresholds.window)
}

/// The state for the window that begins then, new or not, of at most [`MAX_WINDOWS`].
fn window<T: Default>(windows: &mut BTreeMap<u64, T>, begin: u64) -> &mut T {
    windows.entry(place(windows, begin)).or_default()
}

/// The window that what begins then counts in.
fn place<T>(windows: &BTreeMap<u64, T>, begin: u64) -> u64 {
    let oldest = windows.first_key_value().map(|(oldest, _)| *oldest);
    let count = windows.len() - usize::from(windows.contains_key(&AGAIN));
    let is_full = count >= MAX_WINDOWS && !windows.contains_key(&begin);
    oldest.filter(|_| is_full).unwrap_or(begin)
}

impl OverTime {
    /// Adds what was gathered of traces that begin in the window that begins then. Returns what is found or no more found at once.
    pub(crate) fn add(&mut self, begin: u64, across: Across, now: u64, policy: &Policy) -> News {
        let mut bytes = Vec::new();
        across.write(&mut bytes);
        let begin = if begin == AGAIN { begin } else { place(&self.windows, begin) };
        let news = self.put(begin, across, now, policy);
        // Not before: what makes it panic would do so at each start.
        self.kept.1 += bytes.len();
        self.added.push((begin, bytes));
        news
    }

    fn put(&mut self, begin: u64, mut across: Across, now: u64, policy: &Policy) -> News {
        let news = self.recent.take(&mut across, policy);
        if begin == AGAIN {
            return news;
        }
        let window = self.windows.entry(begin).or_default();
        window.across.merge(across);
        (window.touched, window.judged) = (now, false);
        news
    }

    /// What an earlier process had gathered. What another version wrote is left out.
    pub(crate) fn recall(kept: &[(u64, Vec<u8>)], now: u64, policy: &Policy) -> Self {
        let mut all = Self::default();
        // What was known of credentials first: what was gathered since adds to it.
        let (recent, gathered): (Vec<_>, Vec<_>) = kept.iter().partition(|(begin, _)| *begin == RECENT);
        for (begin, bytes) in recent.into_iter().chain(gathered) {
            let read = guarded(|| match *begin {
                RECENT => all.recent.read(bytes).is_some(),
                // It was told of then.
                _ => Across::read(bytes).map(|across| all.put(*begin, across, now, policy)).is_some(),
            });
            if !matches!(read, Ok(true)) {
                tracing::warn!(
                    "some of what rules over many traces rest on cannot be read back, and is left out"
                );
                all.is_stale = true;
            }
        }
        all.kept.1 = kept.iter().map(|(_, bytes)| bytes.len()).sum();
        all
    }

    /// What is to be kept: what was added, or all of it.
    pub(crate) fn save(&mut self) -> Gathered {
        let (all, since) = self.kept;
        let added = std::mem::take(&mut self.added);
        if !self.is_stale && since <= FEW.max(all) {
            return Gathered { whole: false, parts: added };
        }
        let recent = self.recent.write(FEW).into_iter();
        let mut parts: Vec<(u64, Vec<u8>)> = recent.map(|bytes| (RECENT, bytes)).collect();
        for (begin, window) in &self.windows {
            let mut bytes = Vec::new();
            window.across.write(&mut bytes);
            parts.push((*begin, bytes));
        }
        self.kept = (parts.iter().map(|(_, bytes)| bytes.len()).sum(), 0);
        self.is_stale = false;
        Gathered { whole: true, parts }
    }

    /// What was to be kept may be or not.
    pub(crate) const fn failed(&mut self) {
        self.is_stale = true;
    }

    /// Credentials and transactions that are remembered, and how many were forgotten for want of room.
    pub(crate) fn remembered(&self) -> (usize, u64) {
        self.recent.counts()
    }

    /// What was gathered of the window that begins then.
    #[cfg(test)]
    pub(crate) fn of_window(&self, begin: u64) -> Option<Vec<u8>> {
        let window = self.windows.get(&begin)?;
        let mut bytes = Vec::new();
        window.across.write(&mut bytes);
        Some(bytes)
    }

    /// Judges the windows that are over. `grace`: how long after its end, and after the last addition.
    pub(crate) fn judge(
        &mut self,
        now: u64,
        grace: u64,
        policy: &Policy,
        baseline: Option<&Catalogue>,
    ) -> Vec<Verdict> {
        let length = policy.thresholds.window.max(1);
        let is_over = |begin: u64, window: &Window| {
            !window.judged
                && begin.saturating_add(length).saturating_add(grace) <= now
                && window.touched.saturating_add(grace) <= now
        };
        let over: Vec<u64> = self
            .windows
            .iter()
            .filter(|(begin, window)| is_over(**begin, window))
            .map(|(begin, _)| *begin)
            .collect();
        let mut verdicts = Vec::new();
        self.is_stale |= !over.is_empty();
        for begin in over {
            let before = begin.checked_sub(length).and_then(|before| self.windows.get(&before));
            let mut whole = before.map(|before| before.across.clone()).unwrap_or_default();
            let Some(window) = self.windows.get_mut(&begin) else { continue };
            whole.merge(window.across.clone());
            window.judged = true;
            verdicts.push(whole.finish_window(begin, policy, baseline));
        }
        // The last one that is over is needed with the next.
        let last = self.windows.iter().filter(|(_, window)| window.judged).map(|(begin, _)| *begin).max();
        self.windows.retain(|begin, window| !window.judged || Some(*begin) == last);
        verdicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    #[test]
    fn a_window_is_over_when_its_time_has_passed_and_nothing_comes() {
        let (policy, mut windows) = (Policy::default(), OverTime::default());
        windows.add(10 * HOUR, Across::default(), 10 * HOUR + 5, &policy);
        windows.add(11 * HOUR, Across::default(), 11 * HOUR + 5, &policy);
        for (now, judged, kept) in [
            (11 * HOUR, 0, 2),
            (11 * HOUR + 9, 0, 2),
            (11 * HOUR + 10, 1, 2),
            (11 * HOUR + 11, 0, 2),
            (12 * HOUR + 10, 1, 1),
            (20 * HOUR, 0, 1),
        ] {
            assert_eq!(windows.judge(now, 10, &policy, None).len(), judged, "{now}");
            assert_eq!(windows.windows.len(), kept, "{now}");
        }
        // Late, and counted again.
        windows.add(11 * HOUR, Across::default(), 20 * HOUR, &policy);
        assert_eq!(windows.judge(20 * HOUR + 9, 10, &policy, None).len(), 0);
        assert_eq!(windows.judge(20 * HOUR + 10, 10, &policy, None).len(), 1);
    }

    #[test]
    fn what_was_added_is_kept_and_all_of_it_now_and_then() {
        let policy = Policy::default();
        let mut windows = OverTime::default();
        assert_eq!(windows.save(), Gathered::default());
        let mut kept = Gathered::default();
        for number in 0..3 {
            windows.add(number % 2 * HOUR, Across::default(), 0, &policy);
            let added = windows.save();
            assert!(!added.whole && added.parts.len() == 1);
            kept.append(added);
        }
        // Nothing is kept twice, and what cannot have been kept is kept anew.
        assert_eq!(windows.save(), Gathered::default());
        windows.failed();
        let all = windows.save();
        assert!(all.whole && all.parts.len() == 2, "{all:?}");
        let mut again = OverTime::recall(&kept.parts, 5, &policy);
        again.failed();
        assert_eq!(again.save(), all);
        // What was added is as much as all.
        windows.kept = (FEW + 1, FEW + 1);
        windows.add(HOUR, Across::default(), 0, &policy);
        assert!(windows.save().whole);
        windows.kept.1 = FEW - 1000;
        windows.add(HOUR, Across::default(), 0, &policy);
        assert!(!windows.save().whole);
        // So that what is over is forgotten.
        assert!(!windows.judge(9 * HOUR, 1, &policy, None).is_empty());
        assert!(windows.save().whole);
    }

    #[test]
    fn nobody_makes_windows_without_end() {
        let (policy, mut windows) = (Policy::default(), OverTime::default());
        (0..100).for_each(|number| _ = windows.add(number * HOUR, Across::default(), 0, &policy));
        assert_eq!(windows.windows.len(), MAX_WINDOWS);
        // And the next process has the same.
        let kept = windows.save();
        let again = OverTime::recall(&kept.parts, 0, &policy);
        assert!(again.windows.keys().eq(windows.windows.keys()));
        assert_eq!(kept.parts.last().map(|(begin, _)| *begin), Some(0), "counted in the oldest");
    }

    #[test]
    fn what_cannot_be_read_back_is_left_out_and_nothing_else() {
        let policy = Policy::default();
        let mut windows = OverTime::default();
        _ = windows.add(HOUR, Across::default(), 0, &policy);
        let mut kept = windows.save().parts;
        kept.extend([(2 * HOUR, vec![7]), (RECENT, vec![7])]);
        let mut again = OverTime::recall(&kept, 0, &policy);
        assert!(again.windows.keys().eq([&HOUR]));
        assert!(again.save().whole, "it does not come again");
    }
}

//! What rules over many traces rest on, by window of event time, and when a window is over.
//!
//! A trace counts in the window in which its first hop begins. A window is over once its time has passed and nothing was added to it for
//! a while; it is judged together with the one before, where traces may have begun that reach into it. It is kept until the
//! next one is over, so that what comes late is counted still. Times are the senders': what says that it begins after the next window
//! counts in none, else a clock that is ahead would keep windows that are never over.

use std::collections::BTreeMap;

use hopseal_correlate::across::{Across, window_of};
use hopseal_correlate::catalogue::Catalogue;
use hopseal_correlate::judge::Verdict;
use hopseal_correlate::policy::Policy;
use hopseal_correlate::rule::Cx;

/// Windows kept. Times are the senders' choice: what would make one more counts in the oldest.
const MAX_WINDOWS: usize = 32;

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
    /// Whether there is something to save, when it was last saved, and in how many bytes.
    changed: bool,
    saved: (u64, usize),
}

/// State of more bytes than this is not saved with each turn, but only this often, in nanoseconds: a process that is killed
/// forgets what was counted since.
const OFTEN: usize = 1 << 20;
const SELDOM: u64 = 30_000_000_000;

/// Counts a trace. Returns whether it counts: not where it begins too far ahead.
pub(crate) fn observe(windows: &mut BTreeMap<u64, Across>, cx: &Cx<'_>, now: u64) -> bool {
    let last = last(now, cx.policy);
    let of_hops = || cx.hops.iter().map(|hop| window_of(cx.entry(hop).start, cx.policy));
    // Spans that are no hops may say no time.
    let start = || cx.trace.spans().first().map_or(0, |span| span.start);
    let begin = of_hops().min().unwrap_or_else(|| window_of(start(), cx.policy));
    if begin > last {
        return false;
    }
    // What it reaches into is judged too, whether or not anything begins there.
    let others = of_hops().filter(|other| *other != begin && *other <= last);
    others.for_each(|other| _ = window(windows, other));
    window(windows, begin).observe(cx);
    true
}

/// The last window that may begin by now, clocks being what they are: the next one.
fn last(now: u64, policy: &Policy) -> u64 {
    window_of(now, policy).saturating_add(policy.thresholds.window)
}

/// The state for the window that begins then, new or not, of at most [`MAX_WINDOWS`].
fn window<T: Default>(windows: &mut BTreeMap<u64, T>, begin: u64) -> &mut T {
    let oldest = windows.first_key_value().map(|(oldest, _)| *oldest);
    let is_full = windows.len() >= MAX_WINDOWS && !windows.contains_key(&begin);
    windows.entry(oldest.filter(|_| is_full).unwrap_or(begin)).or_default()
}

impl OverTime {
    /// Adds what was gathered of traces that begin in the window that begins then.
    pub(crate) fn add(&mut self, begin: u64, across: Across, now: u64) {
        let window = window(&mut self.windows, begin);
        window.across.merge(across);
        (window.touched, window.judged) = (now, false);
        self.changed = true;
    }

    /// What an earlier process had gathered. What another version wrote is left out.
    pub(crate) fn recall(kept: &[(u64, Vec<u8>)], now: u64) -> Self {
        let mut windows = Self::default();
        for (begin, bytes) in kept {
            if let Some(across) = Across::read(bytes) {
                windows.add(*begin, across, now);
            }
        }
        windows
    }

    /// All that was gathered, if it is time to save it: `is_last`, as nobody asks again.
    pub(crate) fn save(&mut self, now: u64, is_last: bool) -> Option<Vec<(u64, Vec<u8>)>> {
        let (at, bytes) = self.saved;
        if !self.changed || (!is_last && bytes > OFTEN && now < at.saturating_add(SELDOM)) {
            return None;
        }
        let write = |(begin, window): (&u64, &Window)| {
            let mut bytes = Vec::new();
            window.across.write(&mut bytes);
            (*begin, bytes)
        };
        let all: Vec<(u64, Vec<u8>)> = self.windows.iter().map(write).collect();
        self.changed = false;
        self.saved = (now, all.iter().map(|(_, bytes)| bytes.len()).sum());
        Some(all)
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
        self.changed |= !over.is_empty();
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
        windows.add(10 * HOUR, Across::default(), 10 * HOUR + 5);
        windows.add(11 * HOUR, Across::default(), 11 * HOUR + 5);
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
        windows.add(11 * HOUR, Across::default(), 20 * HOUR);
        assert_eq!(windows.judge(20 * HOUR + 9, 10, &policy, None).len(), 0);
        assert_eq!(windows.judge(20 * HOUR + 10, 10, &policy, None).len(), 1);
    }

    #[test]
    fn what_is_large_is_saved_less_often() {
        let mut windows = OverTime::default();
        assert_eq!(windows.save(0, true), None);
        windows.add(HOUR, Across::default(), 0);
        let saved = windows.save(0, false).expect("changed");
        assert_eq!(windows.save(1, true), None);
        assert_eq!(OverTime::recall(&saved, 5).save(5, false), Some(saved));
        for (now, is_last, is_saved) in
            [(SELDOM - 1, false, false), (SELDOM - 1, true, true), (2 * SELDOM, false, true)]
        {
            windows.saved.1 = OFTEN + 1;
            windows.add(HOUR, Across::default(), 1);
            assert_eq!(windows.save(now, is_last).is_some(), is_saved, "{now} {is_last}");
        }
    }

    #[test]
    fn nobody_makes_windows_without_end() {
        let mut windows = OverTime::default();
        (0..100).for_each(|number| windows.add(number * HOUR, Across::default(), 0));
        assert_eq!(windows.windows.len(), MAX_WINDOWS);
    }
}

//! Judged traces that have more to say once something is found out elsewhere.

use std::collections::HashMap;
use std::hash::Hash;

use hopseal_correlate::sink::TraceId;

use super::windows::Windows;

/// Traces that are remembered. Of what comes beyond them nothing is said later.
const MOST: usize = 1 << 18;

/// Traces by what they wait for.
#[derive(Debug)]
pub(super) struct Waiting<K> {
    traces: HashMap<K, Vec<TraceId>>,
    count: usize,
}

impl<K> Default for Waiting<K> {
    fn default() -> Self {
        Self { traces: HashMap::new(), count: 0 }
    }
}

impl<K: Eq + Hash> Waiting<K> {
    /// A trace waits.
    pub(super) fn add(&mut self, what: K, trace_id: TraceId) {
        if self.count >= MOST {
            return;
        }
        let traces = self.traces.entry(what).or_default();
        // One trace waits for many spans of the same.
        if traces.last() != Some(&trace_id) {
            traces.push(trace_id);
            self.count += 1;
        }
    }

    /// It was found out: those that wait for it are judged again.
    pub(super) fn end(&mut self, what: &K, windows: &mut Windows) {
        let Some(traces) = self.traces.remove(what) else { return };
        self.count -= traces.len();
        traces.into_iter().for_each(|trace_id| windows.again(trace_id));
    }

    /// Forgets traces that are gone, once there are many.
    pub(super) fn sweep(&mut self, windows: &Windows) {
        if self.count < MOST / 2 {
            return;
        }
        for traces in self.traces.values_mut() {
            traces.retain(|trace_id| windows.get(*trace_id).is_some());
        }
        self.traces.retain(|_, traces| !traces.is_empty());
        self.count = self.traces.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::WindowSettings;
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_forgotten_with_its_trace() {
        let mut windows = Windows::new(WindowSettings::default());
        let id = |number: usize| TraceId((number as u128 + 1).to_be_bytes());
        windows.add(id(0), b"a record", 1, 1);
        let mut waiting = Waiting::default();
        for number in 0..2 * MOST {
            waiting.add(number % 3, id(number));
        }
        assert_eq!(waiting.count, MOST);
        waiting.sweep(&windows);
        assert_eq!((waiting.count, waiting.traces.len()), (1, 1));
        waiting.end(&0, &mut windows);
        assert_eq!((waiting.count, waiting.traces.len()), (0, 0));
    }
}

//! What earlier processes judged and let go: spans of it that come now are not taken for a whole trace.

use std::collections::HashSet;

use hopseal_correlate::sink::TraceId;

use super::super::MINUTE;
use super::recent::Recent;

/// Hops of the segments that are looked at: those closed last.
const HOPS: u64 = 1 << 22;

/// How far apart in time spans of one trace are looked for, in nanoseconds.
const APART: u64 = 10 * MINUTE;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    /// In no segment yet.
    traces: HashSet<TraceId>,
    segments: Vec<Judged>,
}

/// What is in a segment. It is read once, since each trace that comes is asked about.
#[derive(Debug)]
struct Judged {
    first: u64,
    last: u64,
    /// In order.
    traces: Vec<TraceId>,
}

impl Earlier {
    /// A segment that cannot be read says nothing.
    pub(super) fn of(recent: &Recent) -> Self {
        let mut segments = recent.segments().to_vec();
        segments.sort_unstable_by_key(|segment| std::cmp::Reverse(segment.high));
        let mut before = 0;
        segments.retain(|segment| {
            let is_near = before < HOPS;
            before = segment.hops.saturating_add(before);
            is_near
        });
        let judged = segments.iter().map(|segment| Judged {
            first: segment.first,
            last: segment.last,
            traces: segment.judged().unwrap_or_default(),
        });
        Self { traces: recent.traces().collect(), segments: judged.collect() }
    }

    /// Whether a trace was judged whole, of which these are the times of some spans.
    pub(crate) fn has(&self, trace_id: TraceId, times: impl Iterator<Item = u64> + Clone) -> bool {
        let covers = |segment: &&Judged| {
            let around = segment.first.saturating_sub(APART)..=segment.last.saturating_add(APART);
            times.clone().any(|time| around.contains(&time))
        };
        self.traces.contains(&trace_id)
            || self.segments.iter().filter(covers).any(|it| it.traces.binary_search(&trace_id).is_ok())
    }
}

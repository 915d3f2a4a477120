//! What earlier processes judged and let go: spans of it that come now are not taken for a whole trace.

use std::collections::HashSet;

use hopseal_correlate::sink::TraceId;

use super::super::MINUTE;
use super::super::segment::Segments;
use super::recent::Recent;

/// Segments that are looked at: those closed last.
const SEGMENTS: usize = 16;

/// How far apart in time spans of one trace are looked for, in nanoseconds.
const APART: u64 = 10 * MINUTE;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    /// In no segment yet.
    traces: HashSet<TraceId>,
    segments: Segments,
}

impl Earlier {
    pub(super) fn of(recent: &Recent) -> Self {
        let mut segments = recent.segments().to_vec();
        // Their names begin with the day, and are in the order in which they were closed.
        segments.sort_by(|a, b| b.path.cmp(&a.path));
        segments.truncate(SEGMENTS);
        Self { traces: recent.traces().collect(), segments }
    }

    /// Whether a trace was judged whole, of which these are the times of some spans. A segment that cannot be read says nothing.
    pub(crate) fn has(&self, trace_id: TraceId, times: impl Iterator<Item = u64> + Clone) -> bool {
        let covers = |first: u64, last: u64| {
            let around = first.saturating_sub(APART)..=last.saturating_add(APART);
            times.clone().any(|time| around.contains(&time))
        };
        self.traces.contains(&trace_id)
            || self.segments.iter().filter(|segment| covers(segment.first, segment.last)).any(|segment| {
                segment
                    .trace(trace_id)
                    .is_ok_and(|block| block.traces.iter().any(|judged| judged.version > 0))
            })
    }
}

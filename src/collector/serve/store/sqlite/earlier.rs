//! What earlier processes judged and let go: spans of it that come now are not taken for a whole trace.

use std::collections::HashSet;

use hopseal_correlate::sink::TraceId;

use super::super::MINUTE;
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
        // Their names begin with the day, and are in the order in which they were closed.
        segments.sort_by(|a, b| b.path.cmp(&a.path));
        segments.truncate(SEGMENTS);
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

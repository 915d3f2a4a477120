//! What the store is told.

use std::time::Duration;

/// How long what was found is kept, and in how much room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreSettings {
    /// Days that hops are kept; `None` is for ever. Default 400.
    pub(crate) days: Option<u32>,
    /// Bytes of all that is in the folder. Past it hops of the oldest days go, and then the oldest of the current day. Default: no bound.
    pub(crate) bytes: Option<u64>,
    /// Free bytes of the disk under which nothing is taken any more. Default 1 GiB.
    pub(crate) refuse_under: u64,
    /// Free bytes of the disk under which an alarm is raised. Default 5 GiB.
    pub(crate) alarm_under: u64,
    /// Hops that a segment is closed at. Default 262 144.
    pub(crate) segment_hops: usize,
    /// Age that a segment is closed at. Default 10 min.
    pub(crate) segment_age: Duration,
    /// Hops that segments are merged up to. Default 4 194 304.
    pub(crate) merged_hops: u64,
    /// Whether files that an earlier process left half done are removed at the start: by the one process that writes.
    pub(crate) mends: bool,
    /// Days after which what a service has shown of identities counts no more. Default 30.
    pub(crate) capability_days: u32,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            days: Some(400),
            bytes: None,
            refuse_under: 1 << 30,
            alarm_under: 5 << 30,
            segment_hops: 1 << 18,
            segment_age: Duration::from_secs(600),
            merged_hops: 1 << 22,
            mends: true,
            capability_days: 30,
        }
    }
}

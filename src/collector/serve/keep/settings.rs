//! What the keeper is told: plain values, so that neither configuration nor tests stand in its way.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::slab::MOST;
use crate::serve::store::StoreSettings;

/// When an answer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Once the spans are on the disk.
    Disk,
    /// Once the spans are in memory: what is not yet judged is lost with the process.
    Memory,
}

/// Everything the keeper has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeepSettings {
    /// The one directory that everything is kept in. Made if it is not there.
    pub(crate) folder: PathBuf,
    /// When an answer is given. Default: once on the disk.
    pub(crate) durability: Durability,
    /// Threads that read and judge, each with its own traces. Default 1; at most 64.
    pub(crate) shards: NonZeroUsize,
    /// Bytes of deliveries that may be waiting to be read. Past it the answer is "later". Default 64 MiB.
    pub(crate) waiting_bytes: usize,
    /// Hops, for each shard, that may be judged and in no segment yet: where the store cannot keep them, or not as quickly as they come.
    /// Past it the answer is "later". Some 100 bytes each; a finding that cannot be kept counts as eight. Default 1 048 576, four
    /// segments.
    pub(crate) held_hops: usize,
    /// When a trace is judged.
    pub(crate) window: WindowSettings,
    /// What the store is told.
    pub(crate) store: StoreSettings,
}

/// When a trace is taken as complete, and how much is kept open meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WindowSettings {
    /// Quiet time after the last span before a trace is judged. Default 10 s.
    pub(crate) settle: Duration,
    /// A trace that is never quiet is judged at this age, as one of which more may come, and again each time it has
    /// passed, until it is quiet. Default 2 min.
    pub(crate) max_age: Duration,
    /// The longest a trace is kept, from its first span in this process, and with it the journal. What comes after is judged by itself.
    /// Default 30 min.
    pub(crate) max_life: Duration,
    /// How long a judged trace is kept, so that late spans are judged together with it. Default 2 min.
    pub(crate) late: Duration,
    /// Bytes of spans kept open. Past it the oldest traces are judged early, and counted. Default 512 MiB.
    pub(crate) open_bytes: usize,
    /// Bytes of judged spans kept for late ones; the oldest go first. Default 256 MiB.
    pub(crate) judged_bytes: usize,
    /// Bytes of the spans judged of one trace. What comes after them is counted as dropped. Default 64 MiB.
    pub(crate) trace_bytes: usize,
}

impl WindowSettings {
    /// Bytes that may be kept, open and judged: half of what there are numbers for, since for a moment there may be more.
    pub(crate) const MOST: u64 = MOST / 2;
}

impl KeepSettings {
    /// Everything as it is by default, in this folder.
    #[must_use]
    pub(crate) fn of(folder: PathBuf) -> Self {
        Self {
            folder,
            durability: Durability::Disk,
            shards: NonZeroUsize::MIN,
            waiting_bytes: 64 << 20,
            held_hops: 1 << 20,
            window: WindowSettings::default(),
            store: StoreSettings::default(),
        }
    }
}

impl Default for WindowSettings {
    fn default() -> Self {
        Self {
            settle: Duration::from_secs(10),
            max_age: Duration::from_secs(120),
            max_life: Duration::from_secs(1800),
            late: Duration::from_secs(120),
            open_bytes: 512 << 20,
            judged_bytes: 256 << 20,
            trace_bytes: 64 << 20,
        }
    }
}

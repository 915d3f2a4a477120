//! Why nothing is taken.

/// A reason for which whatever is sent is turned away, whoever sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unready {
    /// Not all ports are bound.
    Starting,
    /// It is told to end.
    Stopping,
    /// The disk has less free room than `store.refuse_under`.
    DiskFull,
    /// The store cannot keep what was judged, or not as quickly as it comes.
    StoreBehind,
    /// What was written last to the journal did not come to the disk.
    JournalFailing,
    /// A thread ended by a fault of ours. The process ends, too.
    ThreadLost,
}

impl Unready {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Starting,
        Self::Stopping,
        Self::DiskFull,
        Self::StoreBehind,
        Self::JournalFailing,
        Self::ThreadLost,
    ];

    /// The word in answers and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::DiskFull => "disk_full",
            Self::StoreBehind => "store_behind",
            Self::JournalFailing => "journal_failing",
            Self::ThreadLost => "thread_lost",
        }
    }
}

//! Removes what is kept no longer: days that are too old, and the oldest of what there is no room for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::Transaction;

use super::super::segment::{Segment, Segments};
use super::super::{DAY, MINUTE, StoreError};
use super::tend::{FOLDER, day_of};
use super::{SqliteStore, covered, int, listed, revised};

/// What is removed.
#[derive(Debug, PartialEq)]
struct Going {
    /// The first day that is kept.
    first: u64,
    /// Segments of the current day that there is no room for.
    crowded: Segments,
    /// Whether there is too much all the same.
    is_cramped: bool,
}

impl Going {
    /// Days before `first` are too old. So many bytes are too many: whole days go for them, and of today the oldest segments.
    fn of(segments: &[Arc<Segment>], first: u64, mut over: u64, today: u64) -> Self {
        let mut going = Self { first, crowded: Vec::new(), is_cramped: false };
        let mut days: BTreeMap<u64, u64> = BTreeMap::new();
        for segment in segments.iter().filter(|segment| segment.day < today) {
            *days.entry(segment.day).or_default() += segment.bytes;
        }
        for (day, bytes) in days {
            if day < first || over > 0 {
                over = over.saturating_sub(bytes);
                going.first = going.first.max(day + 1);
            }
        }
        let mut left: Segments = segments.iter().filter(|segment| segment.day >= today).cloned().collect();
        left.sort_unstable_by_key(|segment| (segment.day, segment.low));
        for segment in left {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(segment.bytes);
            going.crowded.push(segment);
        }
        going.is_cramped = over > 0;
        going
    }
}

/// Bytes of files in a folder and below, but for those of hops. What cannot be looked at counts as nothing: it may be gone by now.
fn beside_hops(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_file() => data.len(),
        Ok(data) if data.is_dir() && entry.file_name() != FOLDER => beside_hops(&entry.path()),
        _ => 0,
    });
    bytes.sum()
}

impl SqliteStore {
    /// Removes what is kept no longer. Returns the segments removed.
    pub(super) fn forget(&self, now: u64) -> Result<u64, StoreError> {
        let (segments, today) = (self.recent().segments(), day_of(now));
        let over = self.settings.bytes.map_or(0, |most| {
            let hops: u64 = segments.iter().map(|segment| segment.bytes).sum();
            let beside = beside_hops(&self.folder).saturating_sub(self.unused());
            hops.saturating_add(beside).saturating_sub(most)
        });
        let first = self.settings.days.map_or(0, |days| today.saturating_sub(u64::from(days)));
        let Going { first, crowded, is_cramped } = Going::of(&segments, first, over, today);
        drop(segments);
        if is_cramped && !self.cramped.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                bytes = over,
                "no room is left for hops: what is kept beside them takes all there is, and more"
            );
        }
        let is_first = first > 0 && self.forgotten.load(Ordering::Relaxed) != first;
        if !is_first && crowded.is_empty() {
            return Ok(0);
        }
        let mut writer = self.writer();
        let transaction = writer.connection.transaction()?;
        for segment in &crowded {
            listed::remove(&transaction, &self.folder, segment)?;
        }
        if is_first {
            self.forget_before(&transaction, first, today)?;
        }
        let revised = revised::read(&transaction)?;
        transaction.commit()?;
        self.forgotten.store(first, Ordering::Relaxed);
        let gone = {
            let mut recent = self.recent_mut();
            let is_gone = |segment: &Arc<Segment>| {
                segment.day < first || crowded.iter().any(|crowded| crowded.path == segment.path)
            };
            let (gone, kept): (Segments, Segments) = recent.segments().iter().cloned().partition(is_gone);
            recent.set_segments(kept);
            recent.set_revised(revised);
            gone
        };
        drop(writer);
        drop(crowded);
        let count = gone.len() as u64;
        self.doom(gone);
        self.sweep()?;
        Ok(count)
    }

    /// Bytes of the catalog that are free for what comes: it does not shrink.
    fn unused(&self) -> u64 {
        let reader = self.reader();
        let asked =
            |name: &str| reader.pragma_query_value(None, name, |row| row.get::<_, u64>(0)).unwrap_or(0);
        asked("freelist_count").saturating_mul(asked("page_size"))
    }

    /// Removes all that is of days before `first`.
    fn forget_before(&self, transaction: &Transaction<'_>, first: u64, today: u64) -> Result<(), StoreError> {
        let cut = int(first.saturating_mul(DAY));
        let minute = int(first.saturating_mul(DAY) / MINUTE);
        transaction.execute("DELETE FROM segment WHERE day < ?1", [int(first)])?;
        transaction.execute("DELETE FROM edge WHERE minute < ?1", [minute])?;
        transaction.execute("DELETE FROM edge_sum WHERE minutes IN (60, 1440) AND minute < ?1", [minute])?;
        covered::forget(transaction, minute)?;
        // Once a day: all sums by the day are looked at, and those name all that the others do.
        let named = "SELECT caller FROM edge_sum WHERE minutes = 1440 UNION \
            SELECT service FROM edge_sum WHERE minutes = 1440";
        transaction.execute(&format!("DELETE FROM name WHERE id NOT IN ({named})"), [])?;
        transaction.execute("DELETE FROM finding WHERE changed < ?1 AND at < ?1", [cut])?;
        transaction
            .execute("DELETE FROM said WHERE at < ?1 AND finding NOT IN (SELECT id FROM finding)", [cut])?;
        transaction.execute("DELETE FROM quieted WHERE day < ?1", [int(first)])?;
        transaction.execute("DELETE FROM revised WHERE at < ?1", [cut])?;
        // As long as there are hops of it, and as long as it counts.
        let counts_since = today.saturating_sub(u64::from(self.settings.capability_days));
        transaction.execute("DELETE FROM shown WHERE seen < ?1", [int(first.min(counts_since))])?;
        transaction.execute("DELETE FROM sends WHERE seen < ?1", [int(first.min(counts_since))])?;
        transaction.execute(
            "DELETE FROM validating WHERE NOT EXISTS (SELECT 1 FROM shown WHERE shown.service = validating.service \
             AND shown.namespace = validating.namespace AND shown.environment = validating.environment)",
            [],
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use hopseal_correlate::catalogue::Shown;
    use hopseal_correlate::record::Service;
    use hopseal_identity::Assurance;

    use super::super::super::testing::{EPOCH, Sketch, add};
    use super::super::super::{Batch, EdgeQuery, HopQuery, Interval, Store as _, StoreSettings};
    use super::*;

    const HOP: Sketch = Sketch {
        caller: "",
        service: "gateway",
        principal: "alice",
        issuer: "",
        assurance: Assurance::Verified,
        start: 0,
    };

    fn open(folder: &Path, days: Option<u32>, bytes: Option<u64>) -> SqliteStore {
        let settings = StoreSettings { segment_hops: 1, days, bytes, ..StoreSettings::default() };
        SqliteStore::open(folder, settings).expect("a store")
    }

    /// Keeps a trace, and closes a segment.
    fn keep(store: &SqliteStore, trace: u64, at: u64) {
        let mut batch = Batch { at, ..Batch::default() };
        let hop = Sketch { start: (at - EPOCH) / 1_000_000 + trace, ..HOP };
        add(batch.block_mut(), trace, 1, &[hop]);
        store.commit(&batch).expect("kept");
        store.tend(at).expect("tended");
    }

    fn count(store: &SqliteStore, table: &str) -> u64 {
        let query = format!("SELECT count(*) FROM {table}");
        store.reader().query_row(&query, [], |row| row.get(0)).expect("a count")
    }

    /// Guarantees: whole days go, the oldest first, and of the current day its oldest segments, as many as it takes.
    #[test]
    fn the_oldest_goes_first() {
        // By day, and the first block in it; each is of ten bytes.
        let segment = |(day, low): (u64, u64)| {
            let (high, hops, bytes, first, last) = (low, 1, 10, 0, 0);
            let path = PathBuf::from(low.to_string());
            Arc::new(Segment { path, day, low, high, hops, bytes, first, last, index: None })
        };
        let all: Segments = [(7, 6), (5, 1), (7, 5), (6, 3), (5, 2), (7, 4)].map(segment).to_vec();
        for (first, over, kept, crowded, is_cramped) in [
            (0, 0, 0, vec![], false),
            (6, 0, 6, vec![], false),
            (0, 1, 6, vec![], false),
            (0, 20, 6, vec![], false),
            (0, 21, 7, vec![], false),
            (6, 21, 7, vec![], false),
            (0, 31, 7, vec![4], false),
            (0, 41, 7, vec![4, 5], false),
            (0, 60, 7, vec![4, 5, 6], false),
            (0, 61, 7, vec![4, 5, 6], true),
        ] {
            let going = Going::of(&all, first, over, 7);
            let low: Vec<u64> = going.crowded.iter().map(|segment| segment.low).collect();
            assert_eq!((going.first, low, going.is_cramped), (kept, crowded, is_cramped), "{first} {over}");
        }
    }

    /// Guarantees: hops of days that are too old are removed with what was counted of them, and hops for which there is no
    /// room, of which what was counted and found stays where they were of the current day.
    #[test]
    fn days_are_removed_when_they_are_old_or_too_large() {
        for (days, bytes, left, counted) in
            [(Some(1), None, 2, 2), (None, Some(1), 0, 4), (None, Some(1 << 30), 4, 4), (None, None, 4, 4)]
        {
            let folder = tempfile::tempdir().expect("a folder");
            let store = open(folder.path(), days, bytes);
            (0..4).for_each(|day| keep(&store, day, EPOCH + day * DAY));
            assert_eq!(store.hops(&HopQuery::any(9)).expect("hops").len(), left, "{days:?} {bytes:?}");
            let edges = store.edges(&EdgeQuery::of(Interval::ALWAYS)).expect("edges");
            assert_eq!(edges.iter().map(|edge| edge.hops).sum::<u64>(), counted, "{days:?} {bytes:?}");
        }
    }

    /// Scenario: a folder takes just what it may, then a little more: by hops, or by a file of the journal.
    /// Guarantees: all that is in it counts; the oldest segment of the day goes, for the next process too, and its file; the others, and what
    /// was found, stay.
    #[test]
    fn all_that_is_in_the_folder_counts() {
        use hopseal_correlate::finding::{Finding, Subject};
        use hopseal_correlate::rule::Rule;
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path(), None, None);
        (0..3).for_each(|trace| keep(&store, trace, EPOCH));
        let subject = Subject::Trace(super::super::super::testing::trace_id(0));
        let raised = vec![Finding::new(Rule::AuditGap, subject, "").grouped()];
        store.commit(&Batch { at: EPOCH, raised, ..Batch::default() }).expect("kept");
        drop(store);
        let journal = folder.path().join("journal");
        std::fs::create_dir_all(&journal).expect("a folder");
        let hops = |store: &SqliteStore| store.hops(&HopQuery::any(9)).expect("hops").len();
        let taken = {
            let store = open(folder.path(), None, None);
            let of_hops: u64 = store.recent().segments().iter().map(|segment| segment.bytes).sum();
            of_hops + beside_hops(folder.path()) - store.unused()
        };
        for (more, left) in [(0, 3), (1, 2)] {
            std::fs::write(journal.join("000000000001.log"), vec![0; more]).expect("written");
            let store = open(folder.path(), None, Some(taken));
            assert_eq!(store.tend(EPOCH).expect("tended").removed, 3 - left as u64);
            assert_eq!((hops(&store), store.segments()), (left, left as u64));
            let store = open(folder.path(), None, None);
            assert_eq!((hops(&store), count(&store, "finding")), (left, 1));
            let oldest = folder.path().join("hops/day=2026-01-01/000000000001-000000000001.parquet");
            assert_eq!(oldest.exists(), left == 3);
        }
    }

    /// Guarantees: what services showed is forgotten once no hops of them are kept and it counts for nothing, and not before; and so are names,
    /// and services that were seen to ask.
    #[test]
    fn what_was_shown_goes_with_the_hops() {
        for (days, capability_days, last) in [(1, 30, 30), (90, 30, 90), (1, 0, 1)] {
            let folder = tempfile::tempdir().expect("a folder");
            let settings = StoreSettings {
                days: Some(days),
                capability_days,
                segment_hops: 1,
                ..StoreSettings::default()
            };
            let store = SqliteStore::open(folder.path(), settings).expect("a store");
            let service = |name| Service { name, namespace: "shop", environment: "" };
            let mut batch = Batch { at: EPOCH, ..Batch::default() };
            batch.shown.add(service("orders"), "GET /", Shown { hops: 2, identified: 1 });
            batch.shown.sends("broker");
            batch.validating.add(service("orders"));
            add(batch.block_mut(), 1, 1, &[HOP]);
            store.commit(&batch).expect("kept");
            let counted = || ["shown", "sends", "validating"].map(|table| count(&store, table));
            for (day, left) in [(last, 1), (last + 1, 0)] {
                store.tend(EPOCH + day * DAY).expect("tended");
                assert_eq!(counted(), [left; 3], "{days} {capability_days} {day}");
            }
            // Of the day after, so that some names are left.
            let names = |store: &SqliteStore| store.services().expect("names");
            let (store, day) = (&store, last + 2);
            let mut batch = Batch { at: EPOCH + day * DAY, ..Batch::default() };
            let hop = Sketch { service: "stock", start: day * DAY / 1_000_000, ..HOP };
            add(batch.block_mut(), 2, 1, &[hop]);
            store.commit(&batch).expect("kept");
            store.tend(EPOCH + (day + 1) * DAY).expect("tended");
            assert_eq!((names(store), count(store, "name")), (vec!["stock".to_owned()], 2));
        }
    }
}

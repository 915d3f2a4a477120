//! Merges segments of one day, so that there are few: to look for something takes a look at each.
//!
//! In this order: the file of the new one, whole and on the disk; then one transaction that lists it in place of those that it is made
//! of; then the readers; and at last those are removed, once nobody looks at them any more. What a kill leaves behind is in no
//! list, and is removed at the next start.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use hopseal_correlate::sink::TraceId;

use super::super::segment::{self, Segment};
use super::super::{Merged, StoreError};
use super::revised::{self, Seen};
use super::{SqliteStore, listed, tend};

/// Segments that are merged at once, at most: some memory is taken for each.
const PARTS: usize = 16;

/// Segments to merge, in the order in which they were closed: neighbours of one day that together have no more than so many hops.
/// Those of a day that is over; and so many of a day that goes on that none is written again for the sake of few hops.
/// Not those that could not be read for that.
fn ripe<'s>(
    segments: &'s [Arc<Segment>],
    most: u64,
    today: u64,
    unreadable: &HashSet<PathBuf>,
) -> Option<&'s [Arc<Segment>]> {
    for begin in 0..segments.len() {
        let rest = segments.get(begin..)?;
        let (mut hops, mut count) = (0, 0);
        let mut largest = 0;
        let day = rest.first()?.day;
        for segment in rest.iter().take(PARTS) {
            if segment.day != day || hops + segment.hops > most || unreadable.contains(&segment.path) {
                break;
            }
            hops += segment.hops;
            largest = largest.max(segment.hops);
            count += 1;
        }
        let is_full = count == PARTS || rest.get(count).is_some_and(|next| next.day == day);
        if count > 1 && (day < today || (is_full && largest <= hops / 4)) {
            return rest.get(..count);
        }
    }
    None
}

impl SqliteStore {
    /// See [`Store::merge`](super::super::Store::merge).
    pub(super) fn merge_some(&self, now: u64, is_over: &dyn Fn() -> bool) -> Result<Merged, StoreError> {
        let merged = self.merge_ripe(now, is_over);
        // It may be that somebody looked at what was merged before, and does no longer.
        let swept = self.sweep();
        merged.and_then(|merged| swept.map(|()| merged))
    }

    /// Waits until nobody merges.
    pub(crate) fn wait_for_merge(&self) {
        drop(self.merging.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn merge_ripe(&self, now: u64, is_over: &dyn Fn() -> bool) -> Result<Merged, StoreError> {
        let mut unreadable = self.merging.lock().unwrap_or_else(PoisonError::into_inner);
        if is_over() {
            return Err(StoreError::Stopped);
        }
        let snapshot = self.recent().snapshot().of_segments();
        let mut segments = snapshot.segments().to_vec();
        segments.sort_unstable_by_key(|segment| (segment.day, segment.low));
        let Some(parts) = ripe(&segments, self.settings.merged_hops, tend::day_of(now), &unreadable) else {
            return Ok(Merged::default());
        };
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return Ok(Merged::default()) };
        let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
        // Both are there for a while, and that must be no reason to refuse anything.
        if self.free().is_some_and(|free| free < bytes.saturating_add(self.settings.refuse_under)) {
            return Ok(Merged::default());
        }
        let path = tend::path(&self.folder, first.day, first.low, last.high);
        let mut seen = Seen::new(snapshot.revised());
        let is_last = |trace_id, version| seen.is_last(trace_id, version);
        let written = segment::merge(&*self.disk, &path, parts, is_last, is_over).inspect_err(|error| {
            if let StoreError::Segment { path, .. } | StoreError::File { path, .. } = error
                && parts.iter().any(|part| part.path == *path)
            {
                // Else the same would be tried, and nothing else, for ever.
                unreadable.insert(path.clone());
            }
        })?;
        let merged = Merged { segments: parts.len() as u64, hops: written.hops, bytes: written.bytes };
        let new = listed::written(path, first.day, (first.low, last.high), written);
        let settled = seen.settled();
        drop(snapshot);
        self.switch(parts, new, merged, settled)
    }

    /// Lists one segment in place of others, for the next process and for readers. Of the settled traces one version alone is in it.
    fn switch(
        &self,
        parts: &[Arc<Segment>],
        new: Segment,
        merged: Merged,
        settled: Vec<(TraceId, u32)>,
    ) -> Result<Merged, StoreError> {
        let mut writer = self.writer();
        let transaction = writer.connection.transaction()?;
        let mut are_there = true;
        for part in parts {
            are_there &= listed::remove(&transaction, &self.folder, part)?;
        }
        if !are_there {
            // The day was removed meanwhile.
            self.doom([Arc::new(new)]);
            return Ok(Merged::default());
        }
        if new.hops > 0 {
            listed::insert(&transaction, &self.folder, &new)?;
        }
        let settled = self.recent().still(settled);
        revised::strike(&transaction, &settled)?;
        transaction.commit()?;
        let mut recent = self.recent_mut();
        recent.strike(&settled);
        let mut segments = recent.segments().to_vec();
        segments.retain(|segment| !parts.iter().any(|part| part.path == segment.path));
        let new = Arc::new(new);
        if new.hops > 0 {
            segments.push(new)
        } else {
            self.doom([new])
        }
        recent.set_segments(segments);
        self.doom(parts.iter().cloned());
        Ok(merged)
    }

    /// Has files removed once nobody looks at them.
    pub(super) fn doom(&self, segments: impl IntoIterator<Item = Arc<Segment>>) {
        self.doomed.lock().unwrap_or_else(PoisonError::into_inner).extend(segments);
    }

    /// Removes what nobody looks at any more.
    pub(super) fn sweep(&self) -> Result<(), StoreError> {
        // Taken out meanwhile: to remove a large file takes a while.
        let mut doomed = std::mem::take(&mut *self.doomed.lock().unwrap_or_else(PoisonError::into_inner));
        let mut failed = None;
        doomed.retain(|segment| {
            if Arc::strong_count(segment) > 1 {
                return true;
            }
            match self.disk.remove(&segment.path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    failed = Some(StoreError::File { path: segment.path.clone(), source });
                    true
                }
                _ => false,
            }
        });
        self.doom(doomed);
        failed.map_or(Ok(()), Err)
    }

    /// Free bytes of the disk, where that can be told.
    fn free(&self) -> Option<u64> {
        self.disk.free(&self.folder).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

    use hopseal_identity::Assurance;

    use super::super::super::testing::{EPOCH, Sketch, add, trace_id};
    use super::super::super::{Batch, DAY, HopQuery, Store as _, StoreSettings};
    use super::*;

    fn listed(day: u64, hops: u64) -> Arc<Segment> {
        let path = PathBuf::from(format!("{day}/{hops}"));
        let (low, high, bytes, first, last) = (0, 0, 0, 0, 0);
        Arc::new(Segment { path, day, low, high, hops, bytes, first, last, index: None })
    }

    /// What is merged of segments, by their day and hops: where it begins, and how many.
    #[test]
    fn so_many_that_none_is_written_again_for_few_hops() {
        let many = |day: u64, count: usize, hops: u64| vec![(day, hops); count];
        for (segments, expected) in [
            (vec![], None),
            (many(7, 15, 10), None),
            (many(7, 16, 10), Some((0, 16))),
            (many(7, 40, 10), Some((0, 16))),
            // They have no more than 1000 together.
            (many(7, 15, 99), Some((0, 10))),
            (many(7, 9, 99), None),
            // A large one is not written again for the sake of small ones, before the day is over.
            ([many(7, 1, 600), many(7, 15, 10)].concat(), None),
            ([many(7, 1, 600), many(7, 16, 10)].concat(), Some((1, 16))),
            ([many(6, 1, 600), many(6, 3, 10), many(7, 3, 10)].concat(), Some((0, 4))),
            ([many(6, 1, 600), many(6, 2, 500), many(7, 3, 10)].concat(), Some((1, 2))),
            ([many(5, 1, 10), many(6, 1, 10), many(7, 1, 10)].concat(), None),
        ] {
            let segments: Vec<_> = segments.iter().map(|(day, hops)| listed(*day, *hops)).collect();
            let found = ripe(&segments, 1000, 7, &HashSet::new()).map(|parts| {
                let begin = segments.iter().position(|segment| Arc::ptr_eq(segment, &parts[0]));
                (begin.expect("one of them"), parts.len())
            });
            assert_eq!(found, expected, "{segments:?}");
        }
    }

    fn files(folder: &Path) -> Vec<String> {
        let days =
            std::fs::read_dir(folder.join("hops")).expect("a folder").map(|day| day.expect("a day").path());
        let names = days.flat_map(|day| std::fs::read_dir(day).expect("a folder"));
        let mut names: Vec<_> =
            names.map(|file| file.expect("a file").file_name().into_string().expect("a name")).collect();
        names.sort();
        names
    }

    /// A store of four segments of one hop each; the trace of the first was judged again, and the days are over in `DAY`.
    fn store(folder: &Path) -> SqliteStore {
        let settings = StoreSettings { segment_hops: 1, refuse_under: 0, ..StoreSettings::default() };
        let store = SqliteStore::open(folder, settings).expect("a store");
        for (trace, version) in [(1, 1), (2, 1), (3, 1), (1, 2)] {
            let mut batch = Batch { at: EPOCH, ..Batch::default() };
            let hop = Sketch {
                caller: "",
                service: "gateway",
                principal: "alice",
                issuer: "",
                assurance: Assurance::Verified,
                start: trace * 1000 + u64::from(version),
            };
            add(batch.block_mut(), trace, version, &[hop]);
            store.commit(&batch).expect("kept");
            store.tend(EPOCH).expect("tended");
        }
        store
    }

    /// Scenario: somebody looks at the segments while they are merged.
    /// Guarantees: what they are made of stays until nobody looks at it; who comes later sees the same hops in one segment, without
    /// those of the version that was replaced.
    #[test]
    fn who_looks_while_they_are_merged_sees_what_was_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let (before, parts) = (store.hops(&HopQuery::any(9)).expect("hops"), files(folder.path()));
        assert_eq!((before.len(), parts.len()), (3, 4));
        let snapshot = store.recent().snapshot();
        let merged = store.merge(EPOCH + DAY, &|| false).expect("merged");
        assert_eq!((merged.segments, merged.hops), (4, 3));
        let mut found = Vec::new();
        snapshot.look(&HopQuery::any(9), &mut found).expect("hops");
        found.sort_by_key(|hop| std::cmp::Reverse(hop.cursor()));
        assert_eq!(found, before);
        assert_eq!(files(folder.path()).len(), 5);
        drop(snapshot);
        assert_eq!(store.merge(EPOCH + DAY, &|| false).expect("nothing to merge"), Merged::default());
        assert_eq!(files(folder.path()), ["000000000001-000000000004.parquet"]);
        for store in [store, SqliteStore::open(folder.path(), StoreSettings::default()).expect("a store")] {
            assert_eq!(store.hops(&HopQuery::any(9)).expect("hops"), before);
            let trace = store.trace(trace_id(1)).expect("a trace").expect("there");
            assert_eq!((trace.judged.version, trace.hops.len()), (2, 1));
            assert_eq!(store.segments(), 1);
        }
    }

    /// Scenario: one file of a day that is over is damaged, and another is not there.
    /// Guarantees: that is said, of each once, and the rest is merged; whoever asks for what was in them is told, not left without it.
    #[test]
    fn what_cannot_be_read_holds_up_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let mut paths: Vec<_> =
            store.recent().segments().iter().map(|segment| segment.path.clone()).collect();
        paths.sort();
        std::fs::write(&paths[0], "no Parquet").expect("damaged");
        std::fs::remove_file(&paths[1]).expect("removed");
        for path in &paths[..2] {
            let said = store.merge(EPOCH + DAY, &|| false).expect_err("unreadable").to_string();
            assert!(said.contains(&path.display().to_string()), "{said}");
        }
        let merged = store.merge(EPOCH + DAY, &|| false).expect("merged");
        assert_eq!((merged.segments, store.segments()), (2, 3));
        assert_eq!(store.merge(EPOCH + DAY, &|| false).expect("nothing to merge"), Merged::default());
        assert!(store.hops(&HopQuery::any(9)).is_err());
    }

    /// Guarantees: of days that are removed while their segments are merged nothing comes back; and who has to stop leaves all as it was.
    #[test]
    fn what_is_removed_meanwhile_stays_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let stopped = store.merge(EPOCH + DAY, &|| true);
        assert!(matches!(stopped, Err(StoreError::Stopped)), "{stopped:?}");
        assert_eq!(files(folder.path()).len(), 4);
        let at = EPOCH + 500 * DAY;
        let forget = || _ = store.tend(at).expect("tended");
        let merged = store.merge(EPOCH + DAY, &|| {
            forget();
            false
        });
        assert_eq!(merged.expect("nothing to merge"), Merged::default());
        assert_eq!(store.hops(&HopQuery::any(9)).expect("hops"), []);
        assert_eq!(files(folder.path()), <[&str; 0]>::default());
    }

    /// Scenario: a trace is judged once more while its two earlier versions are merged.
    /// Guarantees: its last version alone is seen, then and by the next process.
    #[test]
    fn what_is_judged_again_meanwhile_is_seen_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = StoreSettings { segment_hops: 1, refuse_under: 0, ..StoreSettings::default() };
        let store = SqliteStore::open(folder.path(), settings).expect("a store");
        let judged = |version: u32| {
            let mut batch = Batch { at: EPOCH, ..Batch::default() };
            let hop = |at: u64| Sketch {
                caller: "",
                service: "gateway",
                principal: "alice",
                issuer: "",
                assurance: Assurance::Verified,
                start: at,
            };
            let hops: Vec<Sketch> = (0..u64::from(version)).map(hop).collect();
            add(batch.block_mut(), 7, version, &hops);
            store.commit(&batch).expect("kept");
        };
        for version in [1, 2] {
            judged(version);
            store.tend(EPOCH).expect("tended");
        }
        let asked = AtomicU32::new(0);
        let merged = store.merge(EPOCH + DAY, &|| {
            // The first time nothing was looked at yet.
            if asked.fetch_add(1, Ordering::SeqCst) == 1 {
                judged(3);
            }
            false
        });
        assert_eq!(merged.expect("merged").hops, 2);
        let seen = |store: &SqliteStore| store.hops(&HopQuery::any(9)).expect("hops").len();
        assert_eq!((seen(&store), store.recent().snapshot().revised().len()), (3, 1));
        drop(store);
        let store = SqliteStore::open(folder.path(), settings).expect("a store");
        assert_eq!((seen(&store), store.recent().snapshot().revised().len()), (3, 1));
    }

    /// Says that it is over once it is dropped.
    struct Over<'o>(&'o AtomicBool);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    /// Scenario: one thread keeps traces, some of them anew, and closes segments; another merges them; a third asks.
    /// Guarantees: whoever asks finds each trace that was kept by then whole and once, in its last version or one that came meanwhile.
    #[test]
    fn what_comes_while_they_are_merged_is_there_once() {
        const TRACES: u64 = 120;
        let folder = tempfile::tempdir().expect("a folder");
        let settings = StoreSettings { segment_hops: 6, refuse_under: 0, ..StoreSettings::default() };
        let store = SqliteStore::open(folder.path(), settings).expect("a store");
        // By trace, the last version that was kept.
        let kept: Vec<AtomicU32> = (0..TRACES).map(|_| AtomicU32::new(0)).collect();
        let keep = |trace: u64, version: u32| {
            let mut batch = Batch { at: EPOCH, ..Batch::default() };
            let hop = |start| Sketch {
                caller: "",
                service: "gateway",
                principal: "alice",
                issuer: "",
                assurance: Assurance::Verified,
                start,
            };
            // One hop more in each version.
            let hops: Vec<Sketch> = (0..=u64::from(version)).map(|place| hop(trace * 10 + place)).collect();
            add(batch.block_mut(), trace, version, &hops);
            store.commit(&batch).expect("kept");
            kept[trace as usize].store(version, Ordering::SeqCst);
            store.tend(EPOCH).expect("tended");
        };
        let (is_over, merged) = (AtomicBool::new(false), AtomicU64::new(0));
        let look = |trace: u64| {
            let before = kept[trace as usize].load(Ordering::SeqCst);
            let found = store.trace(trace_id(trace)).expect("an answer");
            let (version, hops) = found.map_or((0, 0), |found| (found.judged.version, found.hops.len()));
            assert!(version >= before, "trace {trace}: {version} after {before}");
            assert_eq!(hops, if version == 0 { 0 } else { version as usize + 1 }, "trace {trace}");
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Whatever comes of it, nobody waits for more.
                let _over = Over(&is_over);
                for trace in 0..TRACES {
                    keep(trace, 1);
                    if trace % 3 == 2 {
                        keep(trace / 2, 2);
                    }
                }
            });
            scope.spawn(|| {
                loop {
                    let is_last = is_over.load(Ordering::SeqCst);
                    let done = store.merge(EPOCH + DAY, &|| false).expect("merged");
                    merged.fetch_add(done.segments, Ordering::SeqCst);
                    if is_last && done.segments == 0 {
                        break;
                    }
                }
            });
            while !is_over.load(Ordering::SeqCst) {
                (0..TRACES).step_by(7).for_each(look);
            }
        });
        (0..TRACES).for_each(look);
        let spans: Vec<_> =
            store.hops(&HopQuery::any(1000)).expect("hops").iter().map(|hop| hop.span_id).collect();
        let expected: usize = kept.iter().map(|version| version.load(Ordering::SeqCst) as usize + 1).sum();
        assert_eq!((spans.len(), spans.iter().collect::<HashSet<_>>().len()), (expected, expected));
        assert!(merged.load(Ordering::SeqCst) > 20, "{merged:?}");
    }
}

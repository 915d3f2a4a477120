//! Closes segments, and mends what a kill left behind.
//!
//! A segment is closed in this order: its file, whole and on the disk; then one transaction that names it and drops the
//! blocks it was made of; then the readers. A file that no transaction names is of a process that was killed between, and is
//! removed at the next start; its hops are in the blocks still.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hopseal_correlate::policy::Date;

use super::super::segment::{self, Segments};
use super::super::{DAY, StoreError};
use super::revised::{self, Seen};
use super::{SqliteStore, int, listed};
use crate::serve::clock::nanos;

/// What they are in, beside the catalog.
pub(super) const FOLDER: &str = "hops";

pub(super) fn day_of(at: u64) -> u64 {
    at / DAY
}

/// Where the segment of a day is that was made of the blocks from `low` to `high`.
pub(super) fn path(folder: &Path, day: u64, low: u64, high: u64) -> PathBuf {
    let name = format!("day={}/{low:012}-{high:012}.parquet", Date::of(day.saturating_mul(DAY)));
    folder.join(FOLDER).join(name)
}

impl SqliteStore {
    /// Closes a segment if it is time. Returns its hops.
    pub(super) fn seal(&self, now: u64) -> Result<u64, StoreError> {
        let age = nanos(self.settings.segment_age);
        let (ripe, snapshot) = {
            let recent = self.recent();
            let ripe = recent.ripe(self.settings.segment_hops, now.saturating_sub(age), day_of);
            (ripe, recent.snapshot())
        };
        let (Some(first), Some(last)) = (ripe.first(), ripe.last()) else { return Ok(0) };
        let mut seen = Seen::new(snapshot.revised());
        let rows = segment::Rows::of(ripe.iter().map(|held| &*held.block), |judged| {
            seen.is_last(judged.trace_id, judged.version)
        });
        let segment = match rows.is_empty() {
            true => None,
            false => {
                let day = day_of(first.at);
                let path = path(&self.folder, day, first.seq, last.seq);
                let written = segment::write(&*self.disk, &path, &rows)?;
                Some(listed::written(path, day, (first.seq, last.seq), written))
            }
        };
        // Let go of, so that it needs not be copied to strike something out.
        let settled = seen.settled();
        drop(snapshot);
        let mut writer = self.writer();
        let transaction = writer.connection.transaction()?;
        if let Some(segment) = &segment {
            listed::insert(&transaction, &self.folder, segment)?;
        }
        transaction.execute("DELETE FROM block WHERE seq <= ?1", [int(last.seq)])?;
        let hops = rows.len() as u64;
        drop(rows);
        let settled = self.recent().still(settled);
        revised::strike(&transaction, &settled)?;
        transaction.commit()?;
        let mut recent = self.recent_mut();
        recent.seal(last.seq, segment);
        recent.strike(&settled);
        Ok(hops)
    }
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::File { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Removes files of segments that are in no catalog.
pub(super) fn mend(folder: &Path, known: &Arc<Segments>) -> Result<(), StoreError> {
    let known: HashSet<&Path> = known.iter().map(|segment| segment.path.as_path()).collect();
    let list = |path: &Path| -> Result<Vec<PathBuf>, StoreError> {
        let failed = |source| StoreError::File { path: path.to_owned(), source };
        match std::fs::read_dir(path) {
            Ok(entries) => {
                entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(failed)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(source) => Err(failed(source)),
        }
    };
    for day in list(&folder.join(FOLDER))?.iter().filter(|path| path.is_dir()) {
        for file in list(day)? {
            let is_ours = file.extension().is_some_and(|kind| kind == "parquet" || kind == "tmp");
            if is_ours && !known.contains(file.as_path()) {
                remove(&file)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::block::{Block, Hop, Text, Texts};
    use super::super::super::testing::{EPOCH, Sketch, add, block, sketch};
    use super::super::super::{Batch, HopQuery, Store as _, StoreSettings};
    use super::*;
    use crate::serve::disk::FileSystem;
    use hopseal_correlate::hop::{HopKind, Outcome};
    use hopseal_correlate::sink::{SpanId, TraceId};
    use hopseal_identity::{Assurance, Basis, Kind};
    use proptest::prelude::*;
    use std::time::Duration;

    const HOP: Sketch = Sketch {
        caller: "",
        service: "gateway",
        principal: "alice",
        issuer: "",
        assurance: Assurance::Verified,
        start: 0,
    };

    fn open(folder: &Path, settings: StoreSettings) -> SqliteStore {
        SqliteStore::open(folder, settings).expect("a store")
    }

    fn at_once() -> StoreSettings {
        StoreSettings { segment_hops: 1, ..StoreSettings::default() }
    }

    /// When a hop began and ended, as any sender may say.
    fn time() -> impl Strategy<Value = (u64, u64)> {
        let any = || prop_oneof![Just(0), Just(u64::MAX), Just(1 << 63), any::<u64>(), Just(EPOCH)];
        (any(), any())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Guarantees: what is written of some blocks is what they said, in one segment or in one each that are merged, but for versions
        /// that were replaced; and the least and the most of a text are kept where it is the same in all rows.
        #[test]
        fn a_segment_says_what_the_blocks_said(
            mut blocks in prop::collection::vec(block(), 1..5),
            times in prop::collection::vec(time(), 0..40),
            choices in prop::collection::vec(any::<u64>(), 1..9),
            is_alike in any::<bool>(),
        ) {
            let (mut times, mut choices) = (times.into_iter(), choices.into_iter().cycle());
            for (block, number) in blocks.iter_mut().zip(0_u8..) {
                for (trace, at) in block.traces.iter_mut().zip(0_u8..) {
                    (trace.trace_id.0[0], trace.trace_id.0[1]) = (number, at);
                }
                for hop in &mut block.hops {
                    (hop.start, hop.end) = times.next().unwrap_or((hop.start, hop.end));
                    let choice = choices.next().unwrap_or_default();
                    vary(hop, choice, &mut block.texts);
                    if is_alike {
                        hop.texts.environment = block.texts.add("prod");
                    }
                }
            }
            let folder = tempfile::tempdir().expect("a folder");
            let write = |name: &str, blocks: &[&Block]| {
                let path = folder.path().join(name);
                let rows = segment::Rows::of(blocks.iter().copied(), |_| true);
                let written = segment::write(&FileSystem, &path, &rows).expect("written");
                Arc::new(listed::written(path, 0, (1, 1), written))
            };
            let shown = |blocks: &[&Block]| {
                let mut shown: Vec<_> = blocks
                    .iter()
                    .flat_map(|block| block.each().map(|(judged, hops)| (&block.texts, judged, hops)))
                    .flat_map(|(texts, judged, hops)| {
                        let hops = hops.iter().zip(0..);
                        hops.map(|(hop, place)| super::super::HopRecord::of(texts, judged, hop, place))
                    })
                    .collect();
                shown.sort_by_key(|hop| (hop.trace_id, hop.place));
                shown
            };
            let blocks: Vec<&Block> = blocks.iter().collect();
            let one = write("day/one.parquet", &blocks);
            prop_assert_eq!(shown(&[&one.whole().expect("read")]), shown(&blocks));
            let parts = blocks.iter().zip(0..);
            let parts = parts.map(|(block, number)| write(&format!("day/part{number}.parquet"), &[*block]));
            let parts: Vec<_> = parts.collect();
            let path = folder.path().join("day/merged.parquet");
            let stays = |trace_id: TraceId, _: u32| trace_id.0[1] % 3 != 1;
            let merged = segment::merge(&FileSystem, &path, &parts, stays, &|| false).expect("merged");
            let merged = listed::written(path, 0, (1, 1), merged);
            let mut all = shown(&blocks);
            let are_alike = all.windows(2).all(|pair| pair[0].environment == pair[1].environment);
            if !all.is_empty() {
                prop_assert_eq!(one.tells("environment").expect("read"), are_alike);
            }
            all.retain(|hop| stays(hop.trace_id, 1));
            if !all.is_empty() {
                prop_assert_eq!(merged.tells("environment").expect("read"), are_alike);
            }
            prop_assert_eq!(shown(&[&merged.whole().expect("read")]), all);
        }
    }

    /// Scenario: texts of 64 KiB, none twice, so that no dictionary has room for those of a row group.
    /// Guarantees: they are written, merged and read all the same.
    #[test]
    fn texts_that_no_dictionary_has_room_for_are_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut expected = Vec::new();
        let parts = (0..3_u64).map(|part| {
            let mut block = Block::default();
            for number in 0..40 {
                let (caller, service, principal, issuer) = ("", "gateway", "alice", "");
                let assurance = Assurance::Asserted;
                let hop = Sketch { caller, service, principal, issuer, assurance, start: number };
                add(&mut block, part * 40 + number, 1, &[hop]);
                let text = format!("{part} {number:05} ").repeat(8 << 10);
                if let Some(hop) = block.hops.last_mut() {
                    hop.texts.operation = block.texts.add(&text);
                }
                expected.push(text);
            }
            let path = folder.path().join(format!("day/{part}.parquet"));
            let written = segment::write(&FileSystem, &path, &segment::Rows::of([&block], |_| true));
            Arc::new(listed::written(path, 0, (1, 1), written.expect("written")))
        });
        let parts: Vec<_> = parts.collect();
        let path = folder.path().join("day/merged.parquet");
        let merged = segment::merge(&FileSystem, &path, &parts, |_, _| true, &|| false).expect("merged");
        let read = listed::written(path, 0, (1, 1), merged).whole().expect("read");
        let mut found: Vec<_> = read.hops.iter().map(|hop| read.texts.get(hop.texts.operation)).collect();
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    /// Gives a hop some of everything that it may have.
    fn vary(hop: &mut Hop, choice: u64, texts: &mut Texts) {
        let one_of = |by: u32, count: u64| (choice.rotate_right(by) % count) as usize;
        hop.parent =
            SpanId::new((choice & choice.rotate_left(1)).to_be_bytes()).filter(|_| choice.is_multiple_of(2));
        hop.kind = [HopKind::Entry, HopKind::Rpc, HopKind::Messaging][one_of(1, 3)];
        hop.outcome =
            [Outcome::Succeeded, Outcome::Rejected, Outcome::Failed, Outcome::Unknown][one_of(3, 4)];
        hop.basis = [Basis::Claimed, Basis::Reverified, Basis::AuthenticatedSender][one_of(5, 3)];
        if hop.texts.principal != Text::default() {
            hop.principal_kind = [Kind::User, Kind::Service, Kind::Agent][one_of(7, 3)];
        }
        let mut text = |name: &str, by: u32| match one_of(by, 4) {
            0 => Text::default(),
            number => texts.add(&format!("{name}{number}")),
        };
        hop.texts.namespace = text("namespace", 9);
        hop.texts.environment = text("environment", 11);
        hop.texts.via = text("via", 13);
        hop.texts.method = text("method", 15);
        hop.texts.tenant = text("tenant", 17);
        hop.texts.actors = text("actors", 19);
    }

    /// Scenario: a process is killed after the file of a segment was written and before the catalog names it.
    /// Guarantees: the next one removes the file, finds every hop once, and closes the segment again.
    #[test]
    fn a_file_that_nothing_names_is_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(folder.path(), at_once());
        let mut batch = Batch { at: EPOCH, ..Batch::default() };
        let hop = proptest::strategy::ValueTree::current(
            &sketch().new_tree(&mut proptest::test_runner::TestRunner::deterministic()).expect("a hop"),
        );
        add(batch.block_mut(), 1, 1, &[hop]);
        store.commit(&batch).expect("kept");
        let orphan = folder.path().join("hops/day=2026-01-01/000000000001-000000000001.parquet");
        segment::write(&FileSystem, &orphan, &segment::Rows::of([&*batch.block_mut()], |_| true))
            .expect("written");
        drop(store);
        let store = open(folder.path(), at_once());
        assert!(!orphan.exists());
        assert_eq!(store.hops(&HopQuery::any(9)).expect("hops").len(), 1);
        assert_eq!(store.tend(EPOCH + 1).expect("tended").sealed, 1);
        assert!(orphan.exists());
        assert_eq!(store.hops(&HopQuery::any(9)).expect("hops").len(), 1);
        drop(store);
        assert_eq!(open(folder.path(), at_once()).hops(&HopQuery::any(9)).expect("hops").len(), 1);
    }

    /// Segments are named by the blocks that went into them.
    #[test]
    fn a_number_is_never_used_again() {
        let folder = tempfile::tempdir().expect("a folder");
        for number in 0..4 {
            let store = open(folder.path(), at_once());
            let mut batch = Batch { at: EPOCH, ..Batch::default() };
            add(batch.block_mut(), number, 1, &[HOP]);
            store.commit(&batch).expect("kept");
            assert_eq!(store.tend(EPOCH).expect("tended").sealed, 1);
            assert_eq!(store.hops(&HopQuery::any(9)).expect("hops").len() as u64, number + 1);
        }
    }

    /// Guarantees: hops that are too few for a segment are in one all the same once they are old enough.
    #[test]
    fn what_is_old_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let age = Duration::from_secs(7);
        let store = open(folder.path(), StoreSettings { segment_age: age, ..StoreSettings::default() });
        let mut batch = Batch { at: EPOCH, ..Batch::default() };
        add(batch.block_mut(), 1, 1, &[HOP]);
        store.commit(&batch).expect("kept");
        let tended = |after: Duration| {
            let sealed = store.tend(EPOCH + nanos(after)).expect("tended").sealed;
            (sealed, store.unclosed())
        };
        assert_eq!(tended(age - Duration::from_nanos(1)), (0, 1));
        assert_eq!(tended(age), (1, 0));
        assert_eq!(tended(age), (0, 0));
    }

    /// Scenario: a trace is judged again before its hops go into a file, or after that: then both files are merged.
    /// Guarantees: nothing is noted of it once its last version alone is there, and nobody sees another, in the next process either.
    #[test]
    fn what_was_judged_again_is_not_noted_for_ever() {
        for closes_between in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let store = open(folder.path(), at_once());
            for version in [1, 2] {
                let mut batch = Batch { at: EPOCH, ..Batch::default() };
                add(batch.block_mut(), 7, version, &[HOP, HOP][..version as usize]);
                store.commit(&batch).expect("kept");
                if closes_between {
                    assert!(store.tend(EPOCH).expect("tended").sealed > 0);
                }
            }
            let noted = |store: &SqliteStore| store.recent().snapshot().revised().len();
            let seen = |store: &SqliteStore| store.hops(&HopQuery::any(9)).expect("hops").len();
            assert_eq!((noted(&store), seen(&store)), (1, 2));
            match closes_between {
                false => assert_eq!(store.tend(EPOCH).expect("tended").sealed, 2),
                true => assert_eq!(store.merge(EPOCH + DAY, &|| false).expect("merged").hops, 2),
            }
            assert_eq!((noted(&store), seen(&store)), (0, 2));
            drop(store);
            let store = open(folder.path(), at_once());
            assert_eq!((noted(&store), seen(&store)), (0, 2));
        }
    }
}

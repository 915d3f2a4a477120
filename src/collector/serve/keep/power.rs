//! The power goes at any moment, and operations of the disk fail: what was answered for is there, once.
//!
//! Files of ours are on a disk that loses what no sync covers; in every other history those of SQLite are too, and in the rest they are
//! as they were, as after a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hopseal_correlate::sink::SpanId;
use hopseal_tests::generator::otlp;
use hopseal_tests::generator::span::{Attributes, Kind, Span, SpanId as SpanIdOf, TraceId as TraceIdOf};
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::settings::WindowSettings;
use super::tests::{NOW, corpus, delivery, rules, send};
use super::*;
use crate::serve::clock::TestClock;
use crate::serve::disk::faulty::{Faults, Faulty};
use crate::serve::store::{DAY, HopQuery, Interval, StoreSettings};

/// How many histories; each has [`LIVES`] processes.
const HISTORIES: &str = "HOPSEAL_CRASH_HISTORIES";
/// The seed of the first.
const SEED: &str = "HOPSEAL_CRASH_SEED";
const LIVES: u64 = 4;
/// Steps of a process, unless the power goes before.
const STEPS: usize = 24;

/// Traces of three hops.
fn spans() -> Vec<Span> {
    let corpus = corpus(7, 20);
    let mut services: Vec<&Span> = Vec::new();
    for span in corpus.iter().filter(|span| span.kind == Kind::Server) {
        if services.iter().all(|other| other.resource != span.resource) {
            services.push(span);
        }
    }
    let span = |number: usize| {
        let place = number % 3;
        let id = |number: usize| SpanIdOf((number as u64 + 1).to_be_bytes());
        Span {
            trace: TraceIdOf((number as u128 / 3 + 1).to_be_bytes()),
            id: id(number),
            parent: (place > 0).then(|| id(number - 1)),
            name: format!("GET /{place}"),
            start: NOW + number as u64 * 1_000_000_000,
            end: NOW + number as u64 * 1_000_000_000 + 1_000_000,
            attributes: Attributes::default(),
            events: Vec::new(),
            links: Vec::new(),
            ..(*services.get(place).expect("three services")).clone()
        }
    };
    (0..180).map(span).collect()
}

/// What was sent and answered for.
#[derive(Default)]
struct Sent {
    /// By processes that are gone: whoever sent it has given up.
    before: BTreeSet<usize>,
    tried: BTreeSet<usize>,
    answered: BTreeSet<usize>,
}

struct History {
    folder: tempfile::TempDir,
    clock: Arc<TestClock>,
    dice: ChaCha8Rng,
    /// Each is a hop.
    spans: Vec<Span>,
    sent: Sent,
}

fn id(span: &Span) -> (TraceId, SpanId) {
    (TraceId(span.trace.0), SpanId(span.id.0))
}

impl History {
    fn start(&self, disk: Arc<dyn Disk>) -> Result<Keeper, KeepError> {
        let mut settings = KeepSettings::of(self.folder.path().to_owned());
        settings.shards = std::num::NonZeroUsize::new(2).expect("some");
        settings.window = WindowSettings {
            settle: Duration::from_secs(10),
            late: Duration::from_secs(60),
            ..WindowSettings::default()
        };
        settings.store =
            StoreSettings { refuse_under: 0, segment_hops: 20, merged_hops: 80, ..settings.store };
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        Keeper::start_on(disk, settings, rules(), None, clock, Arc::new(Metrics::new()))
    }

    /// One process, from its start to its end.
    fn live(&mut self, faults: Faults) {
        let folder = self.folder.path();
        let of_sqlite = ["catalog.sqlite", "catalog.sqlite-wal", "catalog.sqlite-journal"];
        let held =
            ["journal", "hops"].into_iter().chain(of_sqlite.into_iter().filter(|_| faults.with_sqlite));
        let held: Vec<_> = held.map(|name| folder.join(name)).collect();
        let disk = Faulty::of(&held, faults);
        hopseal_tests_vfs::watch(folder, Arc::new(disk.clone())).expect("a file system");
        if let Ok(keeper) = self.start(Arc::new(disk.clone())) {
            for _ in 0..STEPS {
                match self.dice.random_range(0..6) {
                    0 | 1 => {
                        self.clock.advance(Duration::from_secs(self.dice.random_range(1..40)));
                        // What could not be kept is kept later.
                        let _ = keeper.turn();
                    }
                    2 => _ = self.merge(&keeper),
                    _ => self.deliver(&keeper),
                }
                if disk.is_off() {
                    break;
                }
            }
            keeper.end();
        }
        disk.wreck();
        hopseal_tests_vfs::unwatch(self.folder.path());
        self.sent.before = self.sent.tried.clone();
    }

    /// Merges segments as if the day were over.
    fn merge(&self, keeper: &Keeper) -> Result<(), StoreError> {
        while keeper.store.merge(self.clock.now() + 2 * DAY, &|| false)?.segments > 0 {}
        Ok(())
    }

    /// Sends a few spans that were not answered for, of traces that began of late.
    fn deliver(&mut self, keeper: &Keeper) {
        let Sent { before, answered, .. } = &self.sent;
        let is_over = |at: &usize| answered.contains(at) || before.contains(at);
        let missing: Vec<usize> = (0..self.spans.len()).filter(|at| !is_over(at)).take(12).collect();
        let chosen: Vec<usize> = missing.sample(&mut self.dice, 4).copied().collect();
        let spans: Vec<Span> = chosen.iter().map(|at| self.spans[*at].clone()).collect();
        self.sent.tried.extend(&chosen);
        if send(keeper, delivery(otlp::encode(&spans))).is_ok() {
            self.sent.answered.extend(chosen);
        }
    }

    /// What is there once all is quiet.
    fn settle(&self, seed: u64) {
        let keeper =
            self.start(Arc::new(FileSystem)).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        for _ in 0..4 {
            self.clock.advance(Duration::from_secs(11));
            keeper.turn().expect("kept");
        }
        let store = keeper.store();
        let hops = store.hops(&HopQuery::any(1_000_000)).expect("hops");
        self.merge(&keeper).expect("merged");
        assert_eq!(store.hops(&HopQuery::any(1_000_000)).expect("hops"), hops, "merged with seed {seed}");
        let mut found: BTreeMap<(TraceId, SpanId), u32> = BTreeMap::new();
        hops.iter().for_each(|hop| *found.entry((hop.trace_id, hop.span_id)).or_default() += 1);
        let twice = found.iter().filter(|(_, times)| **times > 1);
        let twice: Vec<_> =
            twice.map(|((id, span_id), _)| (id, span_id, keeper.store.told_of(*id).expect("read"))).collect();
        assert!(twice.is_empty(), "there twice, with seed {seed}: {twice:?}");
        let ids =
            |which: &BTreeSet<usize>| which.iter().map(|at| id(&self.spans[*at])).collect::<BTreeSet<_>>();
        let (answered, tried) = (ids(&self.sent.answered), ids(&self.sent.tried));
        let lost: Vec<_> = answered.iter().filter(|id| !found.contains_key(id)).collect();
        assert!(lost.is_empty(), "lost {} of {}, with seed {seed}: {lost:?}", lost.len(), answered.len());
        assert!(found.keys().all(|id| tried.contains(id)), "something that nobody sent");
        let counted: u64 = store.edges(Interval::ALWAYS).expect("edges").iter().map(|edge| edge.hops).sum();
        assert_eq!(counted, hops.len() as u64, "counted with seed {seed}");
        keeper.stop().expect("stopped");
    }
}

/// Scenario: a service takes spans of traces that arrive in parts, and merges segments, while operations of its disk fail and, at one of them, the
/// power goes: what no sync covers is there, is not, or is something else. Another starts in what is left; and so on.
/// Guarantees: every span that was answered for is in the trail, once; no file is written or synced again whose sync failed.
#[test]
fn no_power_cut_and_no_fault_loses_what_was_answered_for() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (first, histories): (u64, u64) = (number(SEED, 0), number(HISTORIES, 12));
    let spans = spans();
    let mut answered = 0;
    for seed in first..first + histories {
        let mut history = History {
            folder: tempfile::tempdir().expect("a folder"),
            clock: TestClock::at(NOW),
            dice: ChaCha8Rng::seed_from_u64(seed),
            spans: spans.clone(),
            sent: Sent::default(),
        };
        let with_sqlite = !seed.is_multiple_of(2);
        for _ in 0..LIVES {
            let dice = &mut history.dice;
            let faults = Faults {
                seed: dice.next_u64(),
                power: dice.random_range(1..if with_sqlite { 1200 } else { 120 }),
                with_sqlite,
                one_in: [None, Some(20), Some(6)].choose(dice).copied().flatten(),
            };
            history.live(faults);
        }
        history.settle(seed);
        answered += history.sent.answered.len();
    }
    assert!(answered > 20 * histories as usize, "{answered} spans");
}

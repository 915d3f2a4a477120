//! The power goes at any moment, and operations of the disk fail: what was answered for is there, once, and what follows from it: findings
//! and what became of them, what was said of those and is noted for who is told, what rules over time rest on, and counts.
//!
//! Files of ours are on a disk that loses what no sync covers; in every other history those of SQLite are too, and in the rest they are
//! as they were, as after a kill.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hopseal_correlate::finding::FindingId;
use hopseal_correlate::hop::Outcome;
use hopseal_correlate::policy::Policy;
use hopseal_correlate::sink::SpanId;
use hopseal_tests::generator::otlp;
use hopseal_tests::generator::span::{Attributes, Kind, Span, SpanId as SpanIdOf, TraceId as TraceIdOf};
use rand::seq::IndexedRandom as _;
use rand::{Rng, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::settings::WindowSettings;
use super::tests::{NOW, but_asking, checked_by, corpus, delivery, named, rules, send};
use super::*;
use crate::serve::clock::TestClock;
use crate::serve::disk::faulty::{Faults, Faulty};
use crate::serve::store::{
    DAY, EdgeQuery, EdgeRow, FindingQuery, FindingRecord, HopQuery, HopRecord, Interval, Said, State,
    StoreSettings,
};

/// How many histories; each has [`LIVES`] processes.
const HISTORIES: &str = "HOPSEAL_CRASH_HISTORIES";
/// The seed of the first.
const SEED: &str = "HOPSEAL_CRASH_SEED";
const LIVES: u64 = 4;
/// Steps of a process, unless the power goes before.
const STEPS: usize = 24;

/// Who is told of findings.
const RECEIVER: &str = "pager";
/// Nanoseconds of an hour.
const HOUR: u64 = 3_600_000_000_000;

/// Whether all of a trace is sent at once. Such begin an hour later than others: what rules over time rest on in that hour does not depend on
/// how many of its spans had come when it was first judged.
fn is_whole(at: usize) -> bool {
    at / 3 % 3 == 2
}

/// Traces of three hops; in some of them the identity is lost or changed.
fn spans() -> Vec<Span> {
    let corpus = corpus(7, 20);
    let mut services: Vec<&Span> = Vec::new();
    for span in corpus.iter().filter(|span| span.kind == Kind::Server) {
        if services.iter().all(|other| other.resource != span.resource) {
            services.push(span);
        }
    }
    let span = |number: usize| {
        let (trace, place) = (number / 3, number % 3);
        let id = |number: usize| SpanIdOf((number as u64 + 1).to_be_bytes());
        let start = NOW + number as u64 * 1_000_000_000 + if is_whole(number) { HOUR } else { 0 };
        let mut attributes = Attributes::default();
        match (place, trace % 5) {
            (2, 0) => {}
            (2, 1) => attributes.set("enduser.id", "bob".to_owned()),
            _ => attributes.set("enduser.id", "ann".to_owned()),
        }
        Span {
            trace: TraceIdOf((trace as u128 + 1).to_be_bytes()),
            id: id(number),
            parent: (place > 0).then(|| id(number - 1)),
            name: format!("GET /{place}"),
            start,
            end: start + 1_000_000,
            attributes,
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
    /// What was said of findings, in this order, and whether that was answered for.
    said: Vec<(FindingId, Said, bool)>,
}

struct History {
    folder: tempfile::TempDir,
    clock: Arc<TestClock>,
    dice: ChaCha8Rng,
    /// Each is a hop.
    spans: Vec<Span>,
    /// What services show, in a file.
    catalogue: PathBuf,
    sent: Sent,
}

fn id(span: &Span) -> (TraceId, SpanId) {
    (TraceId(span.trace.0), SpanId(span.id.0))
}

impl History {
    fn start(&self, disk: Arc<dyn Disk>) -> Result<Keeper, KeepError> {
        self.start_in(self.folder.path(), disk)
    }

    fn start_in(&self, folder: &Path, disk: Arc<dyn Disk>) -> Result<Keeper, KeepError> {
        let mut settings = KeepSettings::of(folder.to_owned());
        settings.shards = std::num::NonZeroUsize::new(2).expect("some");
        settings.window = WindowSettings {
            settle: Duration::from_secs(10),
            late: Duration::from_secs(60),
            ..WindowSettings::default()
        };
        settings.store =
            StoreSettings { refuse_under: 0, segment_hops: 20, merged_hops: 80, ..settings.store };
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let catalogue = Some(crate::check::load_catalogue(&self.catalogue).expect("a catalogue"));
        Keeper::start_on(disk, settings, rules(), catalogue, clock, Arc::new(Metrics::new()))
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
                match self.dice.random_range(0..7) {
                    0 | 1 => {
                        self.clock.advance(Duration::from_secs(self.dice.random_range(1..40)));
                        // What could not be kept is kept later.
                        let _ = keeper.turn();
                    }
                    2 => _ = self.merge(&keeper),
                    3 => self.say(&keeper),
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
        let chosen = missing.sample(&mut self.dice, 4).copied();
        let chosen: BTreeSet<usize> = chosen
            .flat_map(|at| if is_whole(at) { at / 3 * 3..at / 3 * 3 + 3 } else { at..at + 1 })
            .collect();
        let spans: Vec<Span> = chosen.iter().map(|at| self.spans[*at].clone()).collect();
        self.sent.tried.extend(&chosen);
        if send(keeper, delivery(otlp::encode(&spans))).is_ok() {
            self.sent.answered.extend(chosen);
        }
    }

    /// Somebody says what becomes of a finding.
    fn say(&mut self, keeper: &Keeper) {
        let found = keeper.store.findings(&FindingQuery { limit: 50, ..FindingQuery::default() });
        let found: Vec<FindingRecord> = found.unwrap_or_default();
        let Some(finding) = found.choose(&mut self.dice) else { return };
        let state = *[State::Acknowledged, State::Resolved, State::Open].choose(&mut self.dice).expect("one");
        let note = self.sent.said.len().to_string();
        let said = Said { state, note, at: self.clock.now(), who: "ann".to_owned() };
        let is_kept = keeper.store.set_state(finding.id, &said).is_ok_and(|is_there| is_there);
        self.sent.said.push((finding.id, said, is_kept));
    }

    /// What is there once all is quiet.
    fn settle(&self, seed: u64) -> Compared {
        let keeper =
            self.start(Arc::new(FileSystem)).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        self.be_quiet(&keeper);
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
        assert_eq!(
            store.edges(&EdgeQuery::of(Interval::ALWAYS)).expect("edges"),
            edges(&hops),
            "counted with seed {seed}"
        );
        self.covers(&keeper, &hops, seed);
        let there: Vec<Span> =
            self.spans.iter().filter(|span| found.contains_key(&id(span))).cloned().collect();
        let findings = keeper.store.findings(&FindingQuery { limit: 1_000_000, ..FindingQuery::default() });
        let findings = findings.expect("findings");
        let compared = Compared {
            findings: self.finds(&keeper, &there, &findings, seed),
            said: self.says(&keeper, &findings, seed),
            windows: self.gathers(&keeper, &there, seed),
        };
        keeper.stop().expect("stopped");
        compared
    }

    fn be_quiet(&self, keeper: &Keeper) {
        for _ in 0..4 {
            self.clock.advance(Duration::from_secs(11));
            keeper.turn().expect("kept");
        }
    }

    /// Coverage by service is that of the hops.
    fn covers(&self, keeper: &Keeper, hops: &[HopRecord], seed: u64) {
        let mut expected: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for hop in hops {
            let sum = expected.entry(hop.service.clone()).or_default();
            *sum = (sum.0 + 1, sum.1 + u64::from(hop.assurance.is_identified()));
        }
        let mut found: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (service, point) in keeper.store.coverage_by_service(Interval::ALWAYS, 1440).expect("coverage") {
            let sum = found.entry(service).or_default();
            *sum = (sum.0 + point.hops, sum.1 + point.identified);
        }
        assert_eq!(found, expected, "covered with seed {seed}");
    }

    /// Findings of traces that were judged whole are those of `check` in the spans that are there. Returns of how many traces.
    fn finds(&self, keeper: &Keeper, there: &[Span], findings: &[FindingRecord], seed: u64) -> usize {
        let expected = checked_by(there, Some(&self.catalogue), None);
        let mut compared = 0;
        let traces: BTreeSet<TraceId> = there.iter().map(|span| TraceId(span.trace.0)).collect();
        let said: BTreeSet<FindingId> = self.sent.said.iter().map(|(id, ..)| *id).collect();
        for trace_id in traces {
            // What came when the rest was gone was judged by itself.
            if keeper.store.told_of(trace_id).expect("read").iter().any(|(version, _)| *version == 0) {
                continue;
            }
            compared += 1;
            let expected = expected.iter().filter(|finding| finding.trace_id == Some(trace_id)).cloned();
            let expected = but_asking(named(&expected.collect::<Vec<_>>()));
            let line = |finding: &FindingRecord| {
                format!("{} {} {:?}", finding.id, finding.rule.as_str(), finding.severity)
            };
            let of_trace = || findings.iter().filter(|finding| finding.trace_id == Some(trace_id));
            // Somebody may have said that it is mended, or stands again.
            let is_over = |finding: &&FindingRecord| finding.state == State::Retracted;
            let stands = |finding: &&FindingRecord| !is_over(finding) && !said.contains(&finding.id);
            let all = but_asking(of_trace().map(line).collect());
            let standing = but_asking(of_trace().filter(stands).map(line).collect());
            let over = but_asking(of_trace().filter(is_over).map(line).collect());
            let told = keeper.store.told_of(trace_id).expect("read");
            for (what, wrong) in [
                ("lost", expected.difference(&all).collect::<Vec<_>>()),
                ("too much", standing.difference(&expected).collect()),
                ("retracted", over.intersection(&expected).collect()),
            ] {
                assert!(wrong.is_empty(), "{what} with seed {seed}: {wrong:?} of {told:?}");
            }
        }
        compared
    }

    /// What was said of findings is there, once and in its order; and each state of a finding is noted for who is told, once. Returns how much
    /// was said.
    fn says(&self, keeper: &Keeper, findings: &[FindingRecord], seed: u64) -> usize {
        let changes = keeper.store.changes(RECEIVER, 1_000_000).expect("changes");
        assert_eq!(changes.missed, 0, "seed {seed}");
        let mut count = 0;
        for finding in findings {
            let mut kept = keeper.store.said(finding.id, 1_000).expect("said");
            kept.reverse();
            count += kept.len();
            let of_it = || self.sent.said.iter().filter(|(id, ..)| *id == finding.id);
            let is_there = |said: &Said| kept.contains(said);
            let expected: Vec<&Said> = of_it()
                .filter(|(_, said, is_kept)| *is_kept || is_there(said))
                .map(|(_, said, _)| said)
                .collect();
            assert_eq!(kept.iter().collect::<Vec<_>>(), expected, "said with seed {seed}");

            let of_it = changes.changes.iter().filter(|change| change.finding.id == finding.id);
            let states: Vec<State> = of_it.map(|change| change.state).collect();
            assert_eq!(states.first(), Some(&State::Open), "noted with seed {seed}: {states:?}");
            assert_eq!(states.last(), Some(&finding.state), "noted with seed {seed}: {states:?}");
            assert!(
                states.windows(2).all(|two| two[0] != two[1]),
                "noted twice with seed {seed}: {states:?}"
            );
        }
        let noted: BTreeSet<FindingId> = changes.changes.iter().map(|change| change.finding.id).collect();
        assert_eq!(noted, findings.iter().map(|finding| finding.id).collect(), "seed {seed}");
        count
    }

    /// What rules over time rest on is what a service gathers to which nothing happens, of the same spans. Returns of how many.
    fn gathers(&self, keeper: &Keeper, there: &[Span], seed: u64) -> usize {
        let whole = |keeper: &Keeper| {
            let windows = keeper.store.learned(NOW).expect("learned").windows;
            OverTime::recall(&windows, NOW, &Policy::default()).of_window(NOW + HOUR)
        };
        let folder = tempfile::tempdir().expect("a folder");
        let twin = self.start_in(folder.path(), Arc::new(FileSystem)).expect("a keeper");
        let spans: Vec<Span> = there.iter().filter(|span| span.start >= NOW + HOUR).cloned().collect();
        send(&twin, delivery(otlp::encode(&spans))).expect("taken");
        self.be_quiet(&twin);
        let gathered = whole(keeper);
        assert!(gathered == whole(&twin), "rules over time rest on something else with seed {seed}");
        twin.stop().expect("stopped");
        gathered.map_or(0, |_| spans.len())
    }
}

/// What was there to compare.
#[derive(Debug, Default)]
struct Compared {
    findings: usize,
    said: usize,
    windows: usize,
}

/// Hops by caller, service, assurance and basis.
fn edges(hops: &[HopRecord]) -> Vec<EdgeRow> {
    let mut edges: Vec<EdgeRow> = Vec::new();
    for hop in hops {
        let (caller, service) = (hop.caller.clone().unwrap_or_default(), hop.service.clone());
        let (assurance, basis) = (hop.assurance, hop.basis);
        let is_same = |edge: &&mut EdgeRow| {
            (&edge.caller, &edge.service, edge.assurance, edge.basis) == (&caller, &service, assurance, basis)
        };
        let edge = match edges.iter_mut().find(is_same) {
            Some(edge) => edge,
            None => edges.push_mut(EdgeRow {
                at: 0,
                caller,
                service,
                assurance,
                basis,
                hops: 0,
                failed: 0,
                uncovered: 0,
            }),
        };
        edge.hops += 1;
        edge.failed += u64::from(matches!(hop.outcome, Outcome::Rejected | Outcome::Failed));
        edge.uncovered += u64::from(hop.uncovered);
    }
    edges.sort();
    edges
}

/// Scenario: a service takes spans of traces that arrive in parts, and merges segments, while operations of its disk fail and, at one of them, the
/// power goes: what no sync covers is there, is not, or is something else. Another starts in what is left; and so on.
/// Guarantees: every span that was answered for is in the trail, once, and so is all that follows from them and what somebody said of it; no
/// file is written or synced again whose sync failed.
#[test]
fn no_power_cut_and_no_fault_loses_what_was_answered_for() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let (first, histories): (u64, u64) = (number(SEED, 0), number(HISTORIES, 12));
    let spans = spans();
    let shown = tempfile::tempdir().expect("a folder");
    let catalogue = shown.path().join("catalogue");
    checked_by(&spans, None, Some(&catalogue));
    let (mut answered, mut compared) = (0, Compared::default());
    for seed in first..first + histories {
        let mut history = History {
            folder: tempfile::tempdir().expect("a folder"),
            clock: TestClock::at(NOW),
            dice: ChaCha8Rng::seed_from_u64(seed),
            spans: spans.clone(),
            catalogue: catalogue.clone(),
            sent: Sent::default(),
        };
        let first = history.start(Arc::new(FileSystem)).expect("a keeper");
        first.store().receivers(&[RECEIVER]).expect("noted");
        first.stop().expect("stopped");
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
        let Compared { findings, said, windows } = history.settle(seed);
        compared.findings += findings;
        compared.said += said;
        compared.windows += windows;
        answered += history.sent.answered.len();
    }
    assert!(answered > 20 * histories as usize, "{answered} spans");
    let Compared { findings, said, windows } = compared;
    assert!(findings.min(said).min(windows) > histories as usize, "{compared:?}");
}

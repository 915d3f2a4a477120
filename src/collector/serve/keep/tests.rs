use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hopseal_correlate::finding::Finding;
use hopseal_correlate::report::ListHops;
use hopseal_correlate::survey::WHEN_ASKING;
use hopseal_tests::generator::span::Span;
use hopseal_tests::generator::{Settings as Size, generate, otlp};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::settings::WindowSettings;
use super::*;
use crate::check;
use crate::serve::clock::TestClock;
use crate::serve::delivery::{Encoding, Sender as From, SenderId, ServicePattern};
use crate::serve::store::{FindingQuery, HopQuery, State, StoreSettings};

/// 2026-01-01T00:00:00Z.
const NOW: u64 = 1_767_225_600_000_000_000;

fn rules() -> Arc<Rules> {
    let (policy, dialects) = check::load_policy(None).expect("the default policy");
    Arc::new(Rules { policy, dialects, seals: None })
}

/// A keeper with a folder and a clock of its own.
struct Lab {
    folder: tempfile::TempDir,
    clock: Arc<TestClock>,
    shards: usize,
    catalogue: Option<Catalogue>,
    window: WindowSettings,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            folder,
            clock: TestClock::at(NOW),
            shards: 1,
            catalogue: None,
            window: WindowSettings::default(),
        }
    }

    fn start(&self) -> Keeper {
        let mut settings = KeepSettings::of(self.folder.path().to_owned());
        settings.shards = NonZeroUsize::new(self.shards).expect("some");
        settings.window = self.window;
        settings.store = StoreSettings { refuse_under: 0, ..settings.store };
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        Keeper::start(settings, rules(), self.catalogue.clone(), clock).expect("a keeper")
    }

    /// Lets every trace settle, be judged, and everything that follows from it.
    fn settle(&self, keeper: &Keeper) {
        self.clock.advance(self.window.settle + Duration::from_secs(1));
        for _ in 0..4 {
            keeper.turn().expect("kept");
        }
    }
}

fn delivery(body: Vec<u8>) -> Delivery {
    Delivery {
        encoding: Encoding::OtlpProtobuf,
        body: Bytes::from(body),
        sender: From::Unauthenticated,
        received_unix_nano: NOW,
    }
}

fn send(keeper: &Keeper, delivery: Delivery) -> Result<Accepted, Refused> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(keeper.accept(delivery))
}

fn corpus(seed: u64, traces: usize) -> Vec<Span> {
    generate(Size { seed, traces }).spans
}

/// What `check` finds in these spans, and the catalogue that it found it with.
fn checked(spans: &[Span]) -> (Vec<Finding>, Catalogue) {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, catalogue) = (folder.path().join("spans"), folder.path().join("catalogue"));
    std::fs::write(&file, otlp::encode(spans)).expect("written");
    let run = |given: Option<&Path>, write: Option<&Path>| {
        let settings = check::Settings {
            catalogue: given.map(Path::to_owned),
            write_catalogue: write.map(Path::to_owned),
            list: ListHops::None,
            ..check::Settings::of(vec![file.clone()])
        };
        check::run(&settings, &mut Vec::new()).expect("a check").report.findings
    };
    run(None, Some(&catalogue));
    (run(Some(&catalogue), None), check::load_catalogue(&catalogue).expect("a catalogue"))
}

/// Findings about one trace each, as one line each.
fn lines(findings: &[Finding]) -> BTreeSet<String> {
    let of_trace = findings.iter().filter(|finding| finding.trace_id.is_some() && !is_across(finding));
    of_trace
        .map(|finding| format!("{} {} {:?}", finding.id, finding.rule.as_str(), finding.severity))
        .collect()
}

/// Rules over many traces may be about one of them.
fn is_across(finding: &Finding) -> bool {
    finding.rule.as_str() == "replay_across_traces" || finding.rule.as_str() == "session_multi_principal"
}

fn kept(keeper: &Keeper) -> BTreeSet<String> {
    let query = FindingQuery { state: Some(State::Open), limit: 1_000_000, ..FindingQuery::default() };
    let found = keeper.store().findings(&query).expect("findings");
    found
        .iter()
        .filter(|finding| finding.trace_id.is_some())
        .map(|finding| format!("{} {} {:?}", finding.id, finding.rule.as_str(), finding.severity))
        .collect()
}

/// Scenario: a corpus of known faults arrives span by span in any order, in batches of any size, over any number of
/// shards, some of it twice.
/// Guarantees: what is found of single traces is what `check` finds in the same spans with the same catalogue.
#[test]
fn live_is_the_same_as_check() {
    for (seed, shards) in [(1, 1), (2, 1), (3, 3)] {
        let spans = corpus(seed, 300);
        let (findings, catalogue) = checked(&spans);
        let lab = Lab { shards, catalogue: Some(catalogue), ..Lab::new() };
        let keeper = lab.start();
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<Span> = spans.clone();
        order.shuffle(&mut dice);
        let mut rest = order.as_slice();
        let mut sent = 0;
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(dice.random_range(1..200).min(rest.len()));
            let body = otlp::encode(batch);
            for _ in 0..dice.random_range(1..=2) {
                let accepted = send(&keeper, delivery(body.clone())).expect("taken");
                assert_eq!((accepted.spans, accepted.rejected), (batch.len() as u64, 0));
            }
            sent += batch.len();
            rest = after;
        }
        assert_eq!(sent, spans.len());
        lab.settle(&keeper);
        let (expected, kept) = (lines(&findings), kept(&keeper));
        let missing: Vec<_> = expected.difference(&kept).collect();
        let more: Vec<_> = kept.difference(&expected).collect();
        assert!(missing.is_empty() && more.is_empty(), "seed {seed}: missing {missing:#?}, more {more:#?}");
        assert!(expected.len() > 20);
        keeper.stop().expect("stopped");
    }
}

/// Scenario: the process ends after the answer and before anything was judged; the next one finds the journal.
/// Guarantees: it judges the same, once; another start changes nothing.
#[test]
fn what_was_answered_for_is_judged_by_the_next_process() {
    let spans = corpus(4, 120);
    let (findings, catalogue) = checked(&spans);
    let lab = Lab { catalogue: Some(catalogue), ..Lab::new() };
    let keeper = lab.start();
    for batch in spans.chunks(64) {
        send(&keeper, delivery(otlp::encode(batch))).expect("taken");
    }
    // As after a kill: no turn, no stop.
    std::mem::forget(keeper);
    let keeper = lab.start();
    lab.settle(&keeper);
    assert_eq!(kept(&keeper), lines(&findings));
    let hops = keeper.store().hops(&HopQuery::any(1_000_000)).expect("hops");
    std::mem::forget(keeper);
    let keeper = lab.start();
    lab.settle(&keeper);
    assert_eq!(keeper.store().hops(&HopQuery::any(1_000_000)).expect("hops"), hops);
    assert_eq!(kept(&keeper), lines(&findings));
    keeper.stop().expect("stopped");
}

/// Scenario: spans of a trace come when it has been judged.
/// Guarantees: it is judged again with all of its spans, as `check` would, and what was said too early is retracted.
#[test]
fn late_spans_open_a_trace_again() {
    let spans = corpus(5, 120);
    let (findings, catalogue) = checked(&spans);
    let lab = Lab { catalogue: Some(catalogue), ..Lab::new() };
    let keeper = lab.start();
    let (early, late): (Vec<_>, Vec<_>) =
        spans.iter().cloned().enumerate().partition(|(number, _)| number % 3 != 0);
    for part in [early, late] {
        let part: Vec<Span> = part.into_iter().map(|(_, span)| span).collect();
        send(&keeper, delivery(otlp::encode(&part))).expect("taken");
        lab.settle(&keeper);
    }
    // Which services ask is learned, also from half a trace, and not unlearned.
    let but_one = |lines: BTreeSet<String>| -> Vec<String> {
        lines.into_iter().filter(|line| !line.contains(WHEN_ASKING.as_str())).collect()
    };
    assert_eq!(but_one(kept(&keeper)), but_one(lines(&findings)));
    let query = FindingQuery { state: Some(State::Retracted), limit: 10, ..FindingQuery::default() };
    assert!(!keeper.store().findings(&query).expect("findings").is_empty());
    assert!(keeper.counts().windows.reopened > 0);
    keeper.stop().expect("stopped");
}

#[test]
fn what_is_no_spans_is_refused_and_what_is_empty_is_not() {
    let lab = Lab::new();
    let keeper = lab.start();
    assert!(matches!(send(&keeper, delivery(vec![7; 40])), Err(Refused::Malformed(_))));
    assert_eq!(send(&keeper, delivery(Vec::new())), Ok(Accepted::default()));
    keeper.stop().expect("stopped");
}

/// Scenario: a sender that proved who it is speaks for its own service, then another for a service that is not its own.
/// Guarantees: the first is proven; the second is found out, and proves nothing.
#[test]
fn who_may_speak_for_a_service_proves_its_hops() {
    let spans = corpus(6, 3);
    let lab = Lab::new();
    let keeper = lab.start();
    let sender = |name: &str, pattern: &str| {
        let may_speak_for = vec![ServicePattern::parse(pattern).expect("a pattern")];
        From::Authenticated(Arc::new(SenderId { name: name.to_owned(), may_speak_for }))
    };
    for (pattern, proven) in [("*", true), ("nobody", false)] {
        let mut spans = spans.clone();
        // Other traces.
        spans.iter_mut().for_each(|span| span.trace.0[0] ^= if proven { 1 } else { 2 });
        let delivery = Delivery { sender: sender("mallory", pattern), ..delivery(otlp::encode(&spans)) };
        send(&keeper, delivery).expect("taken");
        lab.settle(&keeper);
        let hops = keeper.store().hops(&HopQuery::any(1000)).expect("hops");
        let seen = hops.iter().filter(|hop| hop.basis.is_proven()).count();
        assert!(seen > 0);
        let query = FindingQuery {
            rule: Some(hopseal_correlate::rule::Rule::SourceSpoof),
            limit: 9,
            ..Default::default()
        };
        assert_eq!(keeper.store().findings(&query).expect("findings").is_empty(), proven);
    }
    keeper.stop().expect("stopped");
}

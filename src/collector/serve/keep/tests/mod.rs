mod bounds;
mod broken;
mod cut;
mod health;
mod same;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hopseal_correlate::finding::{Finding, FindingId};
use hopseal_correlate::report::ListHops;
use hopseal_correlate::rule::Rule;
use hopseal_correlate::survey::WHEN_ASKING;
use hopseal_tests::generator::span::{Kind as SpanKind, Link, Span};
use hopseal_tests::generator::{Settings as Size, generate, otlp};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::settings::WindowSettings;
use super::*;
use crate::check;
use crate::output;
use crate::serve::clock::TestClock;
use crate::serve::delivery::{Encoding, Sender as From, SenderId, ServicePattern};
use crate::serve::store::{FindingQuery, HopQuery, State, StoreSettings};

/// 2026-01-01T00:00:00Z.
pub(super) const NOW: u64 = 1_767_225_600_000_000_000;

pub(super) fn rules() -> Arc<ArcSwap<Rules>> {
    let (policy, dialects) = check::load_policy(None).expect("the default policy");
    Arc::new(ArcSwap::from_pointee(Rules { policy, dialects: Arc::new(dialects), seals: None }))
}

/// A keeper with a folder and a clock of its own.
pub(super) struct Lab {
    pub(super) folder: tempfile::TempDir,
    pub(super) clock: Arc<TestClock>,
    shards: usize,
    catalogue: Option<Catalogue>,
    window: WindowSettings,
    refuse_under: u64,
    waiting_bytes: usize,
    held_hops: usize,
    durability: Durability,
}

impl Lab {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            folder,
            clock: TestClock::at(NOW),
            shards: 1,
            catalogue: None,
            window: WindowSettings::default(),
            refuse_under: 0,
            waiting_bytes: 64 << 20,
            held_hops: 1 << 20,
            durability: Durability::Disk,
        }
    }

    pub(super) fn start(&self) -> Keeper {
        let mut settings = KeepSettings::of(self.folder.path().to_owned());
        settings.shards = NonZeroUsize::new(self.shards).expect("some");
        settings.window = self.window;
        settings.durability = self.durability;
        (settings.waiting_bytes, settings.held_hops) = (self.waiting_bytes, self.held_hops);
        settings.store = StoreSettings { refuse_under: self.refuse_under, ..settings.store };
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        Keeper::start(settings, rules(), self.catalogue.clone(), clock, Arc::new(Metrics::new()))
            .expect("a keeper")
    }

    /// Lets every trace settle, be judged, and everything that follows from it.
    pub(super) fn settle(&self, keeper: &Keeper) {
        self.clock.advance(self.window.settle + Duration::from_secs(1));
        for _ in 0..4 {
            keeper.turn().expect("kept");
        }
    }
}

/// As when the process is killed, which lets go of the folder.
fn die(keeper: Keeper) {
    keeper.unlock();
    std::mem::forget(keeper);
}

pub(super) fn delivery(body: Vec<u8>) -> Delivery {
    Delivery { encoding: Encoding::OtlpProtobuf, body: Bytes::from(body), sender: From::Unauthenticated }
}

pub(super) fn send(keeper: &Keeper, delivery: Delivery) -> Result<Accepted, Refused> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(keeper.accept(delivery))
}

pub(super) fn corpus(seed: u64, traces: usize) -> Vec<Span> {
    generate(Size { seed, traces }).spans
}

/// Spans of as many traces, each its only one, in which somebody was verified and `shows` that.
fn verified(count: usize, shows: &[(&'static str, &str)]) -> Vec<Span> {
    let first =
        corpus(11, 60).into_iter().filter(|span| span.parent.is_none() && span.kind == SpanKind::Server);
    let mut spans: Vec<Span> = first.take(count).collect();
    for span in &mut spans {
        for (name, value) in [("hopseal.sub", "p-1"), ("hopseal.assurance", "verified")].iter().chain(shows) {
            span.attributes.set(name, *value);
        }
    }
    spans
}

/// A credential that may be used once.
const ONE_TIME: [(&str, &str); 2] = [("hopseal.token_fingerprint", "f-1"), ("hopseal.one_time", "true")];

/// Spans that begin about now.
fn spans_of_now(seed: u64, traces: usize) -> Vec<Span> {
    let mut spans = corpus(seed, traces);
    let first = spans.iter().map(|span| span.start).min().expect("some");
    for span in &mut spans {
        (span.start, span.end) = (span.start - first + NOW, span.end - first + NOW);
    }
    spans
}

/// What `check` finds in these spans, and the catalogue that it found it with.
fn checked(spans: &[Span]) -> (Vec<Finding>, Catalogue) {
    let folder = tempfile::tempdir().expect("a folder");
    let catalogue = folder.path().join("catalogue");
    checked_by(spans, None, Some(&catalogue));
    (checked_by(spans, Some(&catalogue), None), check::load_catalogue(&catalogue).expect("a catalogue"))
}

/// What `check` finds in these spans by the catalogue in a file; what they show is written into another.
pub(super) fn checked_by(spans: &[Span], given: Option<&Path>, write: Option<&Path>) -> Vec<Finding> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("spans");
    std::fs::write(&file, otlp::encode(spans)).expect("written");
    let settings = check::Settings {
        catalogue: given.map(Path::to_owned),
        write_catalogue: write.map(Path::to_owned),
        list: ListHops::None,
        ..check::Settings::of(vec![file])
    };
    check::run(&settings, &mut Vec::new()).expect("a check").report.findings
}

/// Findings about one trace each, as one line each, but for what they say: how often a span came is part of it.
pub(super) fn named(findings: &[Finding]) -> BTreeSet<String> {
    let named =
        |finding: &Finding| format!("{} {} {:?}", finding.id, finding.rule.as_str(), finding.severity);
    of_one_trace(findings).map(named).collect()
}

fn of_one_trace(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.trace_id.is_some() && !is_across(finding))
}

/// Findings about one trace each, as one line each: all that is said of them.
fn lines(findings: &[Finding]) -> BTreeSet<String> {
    of_one_trace(findings).map(|finding| output::finding(finding).expect("a finding")).collect()
}

/// Rules over many traces may be about one of them.
fn is_across(finding: &Finding) -> bool {
    finding.rule.as_str() == "replay_across_traces" || finding.rule.as_str() == "session_multi_principal"
}

fn kept(keeper: &Keeper) -> BTreeSet<String> {
    let query = FindingQuery { state: Some(State::Open), limit: 1_000_000, ..FindingQuery::default() };
    let found = keeper.store().findings(&query).expect("findings");
    found.iter().filter(|finding| finding.trace_id.is_some()).map(|finding| finding.body.clone()).collect()
}

/// Whether two sets are the same, and if not, in what they differ.
fn same(found: BTreeSet<String>, expected: BTreeSet<String>) {
    let missing: Vec<_> = expected.difference(&found).take(10).collect();
    let more: Vec<_> = found.difference(&expected).take(10).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing {missing:#?}, more {more:#?}");
}

/// Which services ask is learned, also from half a trace, and not unlearned.
pub(super) fn but_asking(lines: BTreeSet<String>) -> BTreeSet<String> {
    lines.into_iter().filter(|line| !line.contains(WHEN_ASKING.as_str())).collect()
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
    die(keeper);
    let keeper = lab.start();
    lab.settle(&keeper);
    same(kept(&keeper), lines(&findings));
    let hops = keeper.store().hops(&HopQuery::any(1_000_000)).expect("hops");
    die(keeper);
    let keeper = lab.start();
    lab.settle(&keeper);
    assert_eq!(keeper.store().hops(&HopQuery::any(1_000_000)).expect("hops"), hops);
    same(kept(&keeper), lines(&findings));
    keeper.stop().expect("stopped");
}

#[test]
fn what_is_no_spans_is_refused_and_what_is_empty_is_not() {
    let lab = Lab::new();
    let keeper = lab.start();
    let json = |text: &str| Delivery { encoding: Encoding::OtlpJson, ..delivery(text.as_bytes().to_vec()) };
    for wrong in [delivery(vec![7; 40]), json("{"), json("7")] {
        let answer = send(&keeper, wrong.clone());
        assert!(matches!(answer, Err(Refused::Malformed(_))), "{wrong:?}: {answer:?}");
    }
    // A resource without scopes, and one whose scope has no spans.
    let envelopes = vec![0x0a, 0x00, 0x0a, 0x02, 0x12, 0x00];
    for empty in [
        delivery(Vec::new()),
        delivery(envelopes),
        json("{}"),
        json(r#"{"resourceSpans":[{},{"scopeSpans":[{"spans":[]}]}]}"#),
    ] {
        assert_eq!(send(&keeper, empty), Ok(Accepted::default()));
    }
    keeper.stop().expect("stopped");
}

/// Guarantees: a span of Zipkin that is taken with a part of it left out is told of, and not counted as refused.
#[test]
fn a_fault_in_a_span_that_is_taken_refuses_nothing() {
    let lab = Lab::new();
    let keeper = lab.start();
    let json = br#"[{"traceId":"1","id":"2","remoteEndpoint":{"port":65536}}]"#.to_vec();
    let protobuf = b"\x0a\x1a\x0a\x08aaaaaaaa\x1a\x08bbbbbbbb\x4a\x04\x20\x80\x80\x04".to_vec();
    for (encoding, body) in [(Encoding::ZipkinJson, json), (Encoding::ZipkinProtobuf, protobuf)] {
        let accepted = send(&keeper, Delivery { encoding, ..delivery(body) }).expect("taken");
        assert_eq!((accepted.spans, accepted.rejected), (1, 0), "{encoding:?}");
        assert!(accepted.reason.is_some_and(|reason| reason.contains("port")), "{encoding:?}");
    }
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
        let query = FindingQuery { rule: Some(Rule::SourceSpoof), limit: 9, ..Default::default() };
        assert_eq!(keeper.store().findings(&query).expect("findings").is_empty(), proven);
    }
    keeper.stop().expect("stopped");
}

/// Scenario: a sender that proves who it is calls a service of which nothing is seen. Spans of that service come then, of the same sender or
/// of somebody, until the trace is judged while it is busy; then nothing more comes.
/// Guarantees: nobody takes back what rests on the word of somebody more to be trusted, however long it takes.
#[test]
fn who_is_trusted_less_takes_nothing_back() {
    let spans = corpus(6, 30);
    let root =
        spans.iter().find(|span| span.parent.is_none() && span.kind == SpanKind::Server).expect("some");
    let mut call = Span { parent: Some(root.id), kind: SpanKind::Client, ..root.clone() };
    call.id.0[0] ^= 1;
    call.attributes.set("http.request.method", "GET");
    call.attributes.set("server.address", "inventory.internal");
    let mut answer = Span { parent: Some(call.id), ..root.clone() };
    answer.id.0[0] ^= 2;
    Arc::make_mut(&mut answer.resource).service = "inventory".to_owned();
    let may_speak_for = vec![ServicePattern::parse("*").expect("a pattern")];
    let known = From::Authenticated(Arc::new(SenderId { name: "known".to_owned(), may_speak_for }));
    for (sender, becomes) in [(known.clone(), State::Retracted), (From::Unauthenticated, State::Open)] {
        let window = WindowSettings { max_age: Duration::from_secs(20), ..WindowSettings::default() };
        let lab = Lab { window, ..Lab::new() };
        let keeper = lab.start();
        let called = otlp::encode(&[root.clone(), call.clone()]);
        send(&keeper, Delivery { sender: known.clone(), ..delivery(called) }).expect("taken");
        lab.settle(&keeper);
        let found = || {
            let query = FindingQuery { rule: Some(Rule::BlindHop), limit: 9, ..FindingQuery::default() };
            let found = keeper.store().findings(&query).expect("findings");
            found.iter().map(|finding| finding.state).collect::<Vec<_>>()
        };
        assert_eq!(found(), [State::Open]);
        while keeper.counts().windows.old == 0 {
            let answered = delivery(otlp::encode(std::slice::from_ref(&answer)));
            send(&keeper, Delivery { sender: sender.clone(), ..answered }).expect("taken");
            lab.clock.advance(Duration::from_secs(6));
            keeper.turn().expect("kept");
        }
        lab.settle(&keeper);
        assert_eq!(found(), [becomes]);
        keeper.stop().expect("stopped");
    }
}

/// Scenario: a thread with half of the traces ends by a fault, others go on and have their turns; then the process ends.
/// Guarantees: it is said that not all is well, and the next process finds every trace: the journal kept what nobody judged.
#[test]
fn what_a_lost_thread_had_is_read_back() {
    let spans = corpus(5, 60);
    let (findings, catalogue) = checked(&spans);
    let lab = Lab { shards: 2, catalogue: Some(catalogue), ..Lab::new() };
    let keeper = lab.start();
    for batch in spans.chunks(50) {
        send(&keeper, delivery(otlp::encode(batch))).expect("taken");
    }
    assert!(keeper.is_whole());
    keeper.shards[1].send(ToShard::Stop).expect("there");
    while keeper.is_whole() {
        std::thread::yield_now();
    }
    assert_eq!(keeper.unready(), [Unready::ThreadLost]);
    lab.settle(&keeper);
    assert!(kept(&keeper).len() < lines(&findings).len());
    lab.clock.advance(lab.window.late + Duration::from_secs(60));
    lab.settle(&keeper);
    die(keeper);
    let keeper = lab.start();
    lab.settle(&keeper);
    same(but_asking(kept(&keeper)), but_asking(lines(&findings)));
    keeper.stop().expect("stopped");
}

/// Scenario: a second process is started on the folder of one that runs, and again once that has ended.
/// Guarantees: it is turned away, and nothing of the first is lost; then it starts.
#[test]
fn a_folder_is_kept_by_one_process() {
    let lab = Lab::new();
    let keeper = lab.start();
    let second = || {
        let (settings, clock) = (KeepSettings::of(lab.folder.path().to_owned()), Arc::clone(&lab.clock) as _);
        Keeper::start(settings, rules(), None, clock, Arc::new(Metrics::new()))
    };
    let spans = corpus(3, 2);
    send(&keeper, delivery(otlp::encode(&spans))).expect("taken");
    assert!(matches!(second(), Err(KeepError::Taken { .. })));
    keeper.stop().expect("stopped");
    let next = second().expect("a keeper");
    lab.settle(&next);
    assert!(next.store().trace(TraceId(spans[0].trace.0)).expect("a store").is_some());
    next.stop().expect("stopped");
}

/// Scenario: the folder holds the journal of a version that kept it in a data base.
/// Guarantees: nothing starts, and what is in it is not passed over in silence.
#[test]
fn a_journal_that_cannot_be_read_is_not_passed_over() {
    let lab = Lab::new();
    let old = lab.folder.path().join("journal.sqlite");
    std::fs::write(&old, "").expect("written");
    let settings = KeepSettings::of(lab.folder.path().to_owned());
    let start = || {
        let clock = Arc::clone(&lab.clock) as _;
        Keeper::start(settings.clone(), rules(), None, clock, Arc::new(Metrics::new()))
    };
    let refused = start().expect_err("an old journal").to_string();
    assert!(refused.contains(old.to_str().expect("text")), "{refused}");
    std::fs::remove_file(old).expect("removed");
    start().expect("a keeper").stop().expect("stopped");
}

/// Scenario: the operator would rather have answers at once than spans that outlive the process.
/// Guarantees: nothing is written before the answer, and what is judged is kept all the same.
#[test]
fn answers_need_not_wait_for_the_disk() {
    let lab = Lab { durability: Durability::Memory, ..Lab::new() };
    let keeper = lab.start();
    // Longer than a thread takes to end that has nothing to do.
    std::thread::sleep(Duration::from_millis(200));
    assert!(keeper.is_whole());
    send(&keeper, delivery(otlp::encode(&corpus(10, 3)))).expect("taken");
    let mut left = Left::open(Arc::new(FileSystem), &lab.folder.path().join("journal")).expect("a journal");
    left.each(|frame| panic!("{frame:?} was written")).expect("read");
    lab.settle(&keeper);
    assert!(!keeper.store().hops(&HopQuery::any(9)).expect("hops").is_empty());
    keeper.stop().expect("stopped");
}

/// Scenario: another version of the program left spans in its journal, and this one cannot read them.
/// Guarantees: the start fails with the file's name, and the file is as it was.
#[test]
fn what_another_version_left_is_not_lost() {
    let lab = Lab::new();
    let folder = lab.folder.path().join("journal");
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut sum = crc32fast::Hasher::new();
    sum.update(b"spans");
    let left = [&b"hopseal journal 1\n\x05\0\0\0"[..], &sum.finalize().to_le_bytes(), b"spans"].concat();
    let path = folder.join("000000000001.log");
    std::fs::write(&path, &left).expect("a file");
    let mut journal = Left::open(Arc::new(FileSystem), &folder).expect("a folder");
    let refused = journal.each(|frame| panic!("{frame:?}")).expect_err("not ours").to_string();
    assert!(refused.contains("000000000001.log") && refused.contains("another version"), "{refused}");
    assert_eq!(std::fs::read(&path).expect("there"), left);
}

/// Scenario: a finding that was sent out as a span comes back with the spans of its trace, by way of a Collector; then somebody else
/// makes a span that looks the same.
/// Guarantees: our own is overlooked; the other is a span as any.
#[test]
fn our_own_spans_are_not_judged() {
    let lab = Lab::new();
    let keeper = lab.start();
    let key = OwnKey::of(lab.folder.path()).expect("the key");
    let (trace_id, finding) = (TraceId([7; 16]), FindingId([9; 16]));
    let ours = key.span_id(finding, own::Says::Stands);
    let body = |span_id: &str| {
        let text = |key: &str, value: &str| serde_json::json!({"key": key, "value": {"stringValue": value}});
        let spans = serde_json::json!({"resourceSpans": [{
            "resource": {"attributes": [text("service.name", own::SERVICE)]},
            "scopeSpans": [{"spans": [{
                "traceId": trace_id.to_string(), "spanId": span_id, "name": "finding identity_dropped", "kind": 2,
                "startTimeUnixNano": "1790000000000000000", "endTimeUnixNano": "1790000000000000001",
                "attributes": [text(own::FINDING, &finding.to_string())],
            }]}],
        }]});
        let body = Bytes::from(spans.to_string());
        Delivery { encoding: Encoding::OtlpJson, body, sender: From::Unauthenticated }
    };
    let hops = || keeper.store().hops(&HopQuery::any(9)).expect("hops").len();
    for (span_id, expected) in [(ours.to_string(), 0), ("0101010101010101".to_owned(), 1)] {
        let accepted = send(&keeper, body(&span_id)).expect("taken");
        assert_eq!((accepted.spans, accepted.rejected), (expected as u64, 0), "{span_id}");
        lab.settle(&keeper);
        assert_eq!(hops(), expected, "{span_id}");
    }
    keeper.stop().expect("stopped");
}

/// Scenario: a call to a service of which nothing was ever seen, then one that this service makes, with nothing above it.
/// Guarantees: it is known to send spans from then on, and what was said of the call is taken back.
#[test]
fn a_service_that_only_calls_is_seen() {
    let lab = Lab::new();
    let keeper = lab.start();
    let text = |key: &str, value: &str| serde_json::json!({"key": key, "value": {"stringValue": value}});
    let body = |service: &str, id: &str, kind: u8, attributes: serde_json::Value| {
        let spans = serde_json::json!({"resourceSpans": [{
            "resource": {"attributes": [text("service.name", service)]},
            "scopeSpans": [{"spans": [{
                "traceId": id.repeat(16), "spanId": id.repeat(8), "name": "GET /", "kind": kind,
                "startTimeUnixNano": "1767225600000000000", "endTimeUnixNano": "1767225600000000001",
                "attributes": attributes,
            }]}],
        }]});
        Delivery {
            encoding: Encoding::OtlpJson,
            body: Bytes::from(spans.to_string()),
            sender: From::Unauthenticated,
        }
    };
    let call = [text("http.request.method", "GET"), text("peer.service", "cron"), text("http.route", "/")];
    for (body, expected) in [
        (body("shop", "01", 3, call.iter().cloned().collect()), vec!["blind_hop"]),
        (body("cron", "02", 3, serde_json::json!([])), vec![]),
    ] {
        send(&keeper, body).expect("taken");
        lab.settle(&keeper);
        let query = FindingQuery { state: Some(State::Open), limit: 9, ..FindingQuery::default() };
        let found = keeper.store().findings(&query).expect("findings");
        assert_eq!(found.iter().map(|finding| finding.rule.as_str()).collect::<Vec<_>>(), expected);
    }
    keeper.stop().expect("stopped");
}

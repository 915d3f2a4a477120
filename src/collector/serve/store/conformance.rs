//! What every store has to uphold: random histories, held against the store as it is meant.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use hopseal_correlate::catalogue::Shown;
use hopseal_correlate::finding::{Finding, FindingId, Severity, Subject, Who};
use hopseal_correlate::record::Service;
use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::SpanId;
use hopseal_identity::{Assurance, Basis, Kind};
use proptest::collection::vec;
use proptest::prelude::*;

use super::model::Model;
use super::testing::{EPOCH, Sketch, add, said, sketch, trace_id};
use super::{
    Batch, Cursor, DAY, EdgeQuery, FindingQuery, HopQuery, Interval, MINUTE, Said, SqliteStore, State, Store,
    StoreSettings,
};

/// Traces and findings of one history.
const TRACES: u64 = 6;
/// Who may be told of changes.
const RECEIVERS: [&str; 2] = ["on-call", "tickets"];

/// Something that happens to a store.
#[derive(Debug, Clone)]
enum Step {
    /// Traces are judged, some of them again, and findings raised and retracted.
    Commit {
        traces: Vec<(u64, Vec<Sketch>)>,
        stragglers: Vec<(u64, Sketch)>,
        raised: Vec<(u64, bool)>,
        retracted: Vec<u64>,
    },
    /// The same batch comes again.
    Again,
    /// Somebody sets the state of a finding.
    Set(u64, State),
    /// So many are told what becomes of findings.
    Receivers(usize),
    /// One of them is told of so many changes.
    Told(usize, usize),
    /// Segments are closed.
    Tend,
    /// They are merged, by somebody for whom the day is over.
    Merge,
    /// The process is killed, and another opens what it left.
    Killed,
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..TRACES;
    let state = prop::sample::select(State::ALL.to_vec());
    prop_oneof![
        5 => (
            vec((number.clone(), vec(sketch(), 0..4)), 0..4),
            vec((number.clone(), sketch()), 0..2),
            vec((number.clone(), any::<bool>()), 0..3),
            vec(number.clone(), 0..2),
        )
            .prop_map(|(mut traces, stragglers, raised, retracted)| {
                traces.sort_by_key(|(trace, _)| *trace);
                traces.dedup_by_key(|(trace, _)| *trace);
                Step::Commit { traces, stragglers, raised, retracted }
            }),
        1 => Just(Step::Again),
        2 => (number, state).prop_map(|(finding, state)| Step::Set(finding, state)),
        2 => (0..=RECEIVERS.len()).prop_map(Step::Receivers),
        2 => (0..RECEIVERS.len(), 0..4_usize).prop_map(|(who, count)| Step::Told(who, count)),
        3 => Just(Step::Tend),
        1 => Just(Step::Merge),
        1 => Just(Step::Killed),
    ]
}

/// The same finding, or what it is once more of its trace is known.
fn graver(mut finding: Finding, is_grave: bool) -> Finding {
    finding.severity = if is_grave { Severity::High } else { finding.severity };
    finding
}

fn finding(number: u64) -> Finding {
    // The last two are of one series.
    let subject = match number.checked_sub(TRACES - 2) {
        Some(window) => Subject::Operation {
            service: Service { name: "orders", ..Service::default() },
            operation: "GET /",
            window: window + 1,
        },
        None => Subject::Trace(trace_id(number)),
    };
    let rule = if number >= TRACES - 2 {
        Rule::UnauthenticatedEndpoint
    } else if number.is_multiple_of(2) {
        Rule::AuditGap
    } else {
        Rule::IdentityDropped
    };
    let mut finding = Finding::new(rule, subject, "").message("found").grouped();
    finding.service = "orders".to_owned();
    finding.caller = (number > 1).then(|| "gateway".to_owned());
    finding.severity = if number == 3 { Severity::Low } else { finding.severity };
    finding.at = EPOCH + number / 2 * MINUTE;
    let who = |id: &str| Who {
        id: id.to_owned(),
        kind: Kind::User,
        issuer: None,
        tenant: None,
        actors: Vec::new(),
    };
    finding.before = (number > 0).then(|| who(if number > 2 { "bob" } else { "alice" }));
    finding.here = (number % 3 == 1).then(|| who("bob"));
    finding
}

/// Asks two stores everything there is to ask.
fn same(store: &dyn Store, model: &dyn Store) -> Result<(), TestCaseError> {
    for trace in 0..TRACES {
        let id = trace_id(trace);
        prop_assert_eq!(store.trace(id).expect("a trace"), model.trace(id).expect("a trace"));
    }
    let many: Vec<_> = (0..=TRACES).rev().chain([0]).map(trace_id).collect();
    prop_assert_eq!(store.traces(&many).expect("traces"), model.traces(&many).expect("traces"));
    let all = (0..=TRACES).map(trace_id).collect();
    prop_assert_eq!(store.remembered(&all).expect("traces"), model.remembered(&all).expect("traces"));
    let some = |query: HopQuery| -> Result<(), TestCaseError> {
        prop_assert_eq!(store.hops(&query).expect("hops"), model.hops(&query).expect("hops"), "{:?}", query);
        Ok(())
    };
    let all = || HopQuery::any(1000);
    some(all())?;
    some(HopQuery::any(3))?;
    some(HopQuery { principals: vec!["alice".to_owned(), "nobody".to_owned()], ..all() })?;
    some(HopQuery { principals: vec!["nobody".to_owned()], ..all() })?;
    some(HopQuery { principals: vec!["bob".to_owned()], issuer: Some("main".to_owned()), ..all() })?;
    some(HopQuery {
        service: Some("orders".to_owned()),
        caller: Some("gateway".to_owned()),
        ..HopQuery::any(2)
    })?;
    some(HopQuery { assurance: Some(Assurance::Unknown), ..all() })?;
    let minute = Interval { from: EPOCH + MINUTE, to: EPOCH + 2 * MINUTE };
    some(HopQuery { interval: minute, ..all() })?;
    some(HopQuery { operation: Some("GET /".to_owned()), service: Some("orders".to_owned()), ..all() })?;
    some(HopQuery { operation: Some("POST /".to_owned()), ..all() })?;
    some(HopQuery { lasting: Interval { from: 2_000_000, to: 3_000_000 }, ..all() })?;
    let middle = Cursor { at: EPOCH + 2 * MINUTE, id: trace_id(3).0, place: 1, span: [0; 8] };
    some(HopQuery { after: Some(middle), ..HopQuery::any(4) })?;
    some(HopQuery { basis: Some(Basis::Reverified), ..all() })?;
    some(HopQuery { tenant: Some("acme".to_owned()), service: Some("orders".to_owned()), ..all() })?;
    some(HopQuery { tenant: Some("nobody's".to_owned()), ..all() })?;
    some(HopQuery { via: Some("mesh".to_owned()), ..HopQuery::any(3) })?;
    some(HopQuery { via: Some("edge-proxy\nmesh".to_owned()), ..all() })?;
    touched_alike(store, model)?;
    for query in [
        FindingQuery { limit: 100, ..FindingQuery::default() },
        FindingQuery { state: Some(State::Open), limit: 2, ..FindingQuery::default() },
        FindingQuery {
            rule: Some(Rule::AuditGap),
            severity: Some(Severity::Info),
            limit: 9,
            ..Default::default()
        },
        FindingQuery { service: Some("stock".to_owned()), limit: 9, ..FindingQuery::default() },
        FindingQuery { caller: Some("gateway".to_owned()), limit: 9, ..FindingQuery::default() },
        FindingQuery { caller: Some(String::new()), limit: 9, ..FindingQuery::default() },
        FindingQuery { interval: minute, limit: 9, ..FindingQuery::default() },
        FindingQuery {
            principals: vec!["nobody".to_owned(), "alice".to_owned()],
            limit: 9,
            ..FindingQuery::default()
        },
        FindingQuery {
            principals: vec!["bob".to_owned()],
            state: Some(State::Open),
            interval: Interval { from: EPOCH + MINUTE, to: u64::MAX },
            limit: 1,
            ..FindingQuery::default()
        },
        FindingQuery {
            group: Some(finding(2).group_id),
            state: Some(State::Open),
            limit: 2,
            ..FindingQuery::default()
        },
        FindingQuery {
            state: Some(State::Open),
            severity: Some(Severity::High),
            limit: 9,
            ..FindingQuery::default()
        },
        FindingQuery {
            after: Some(Cursor { at: EPOCH + MINUTE, id: [0x80; 16], place: 0, span: [0; 8] }),
            limit: 9,
            ..FindingQuery::default()
        },
    ] {
        let (found, meant) =
            (store.findings(&query).expect("findings"), model.findings(&query).expect("findings"));
        prop_assert_eq!(found, meant, "{:?}", query);
    }
    let from_then_on = Interval { from: EPOCH + MINUTE, to: u64::MAX };
    for interval in [Interval::ALWAYS, minute, from_then_on] {
        for (service, minutes) in [
            (None, None),
            (Some("orders"), None),
            (Some("nobody"), None),
            (None, Some(1)),
            (Some("stock"), Some(3)),
            (Some(""), Some(60)),
        ] {
            let query = EdgeQuery { service: service.map(str::to_owned), minutes, ..EdgeQuery::of(interval) };
            let all = model.edges(&query).expect("edges");
            // Page by page.
            let mut found = Vec::new();
            loop {
                let after = found.last().map(super::EdgeRow::cursor);
                let page = EdgeQuery { after, limit: 2, ..query.clone() };
                let mut page = store.edges(&page).expect("edges");
                let is_last = page.len() < 2;
                found.append(&mut page);
                if is_last {
                    break;
                }
            }
            prop_assert_eq!(&found, &all, "{:?}", query);
            prop_assert_eq!(store.edges(&query).expect("edges"), all, "{:?}", query);
        }
        for (service, minutes) in [(None, 1), (Some("orders"), 3), (Some("stock"), 60)] {
            for limit in [1, 2, 1000] {
                let (found, meant) = (
                    store.coverage(interval, service, minutes, limit).expect("coverage"),
                    model.coverage(interval, service, minutes, limit).expect("coverage"),
                );
                prop_assert_eq!(found, meant);
            }
        }
        for minutes in [1, 3, 60, 1440] {
            let (found, meant) = (
                store.coverage_by_service(interval, minutes).expect("coverage"),
                model.coverage_by_service(interval, minutes).expect("coverage"),
            );
            prop_assert_eq!(found, meant);
        }
    }
    prop_assert_eq!(store.services().expect("services"), model.services().expect("services"));
    for service in ["orders", "edge", "nobody"] {
        let (found, meant) =
            (store.operations(service).expect("operations"), model.operations(service).expect("operations"));
        prop_assert_eq!(found, meant, "{}", service);
    }
    for number in 0..4 {
        let id = finding(number).id;
        prop_assert_eq!(store.finding(id).expect("a finding"), model.finding(id).expect("a finding"));
        prop_assert_eq!(store.said(id, 2).expect("all"), model.said(id, 2).expect("all"));
    }
    for receiver in RECEIVERS {
        for limit in [2, 1000] {
            let meant = model.changes(receiver, limit).expect("changes");
            prop_assert_eq!(store.changes(receiver, limit).expect("changes"), meant);
        }
    }
    prop_assert_eq!(store.open_findings().expect("counts"), model.open_findings().expect("counts"));
    Ok(())
}

/// Asks both who touched services, page by page.
fn touched_alike(store: &dyn Store, model: &dyn Store) -> Result<(), TestCaseError> {
    let into = |service: &str| HopQuery { service: Some(service.to_owned()), ..HopQuery::any(1000) };
    for query in [
        into("orders"),
        into("nobody"),
        HopQuery::any(1000),
        HopQuery { limit: 2, ..into("stock") },
        HopQuery { limit: 1, ..HopQuery::any(1) },
        HopQuery { basis: Some(Basis::Reverified), limit: 2, ..into("orders") },
        HopQuery { caller: Some("gateway".to_owned()), via: Some("mesh".to_owned()), ..into("orders") },
        HopQuery {
            interval: Interval { from: EPOCH + MINUTE, to: EPOCH + 3 * MINUTE },
            limit: 2,
            ..HopQuery::any(2)
        },
    ] {
        let mut after = None;
        loop {
            let page = HopQuery { after, ..query.clone() };
            let found = store.touched(&page).expect("touched");
            prop_assert_eq!(&found, &model.touched(&page).expect("touched"), "{:?}", page);
            after = found.next;
            if after.is_none() {
                break;
            }
        }
    }
    Ok(())
}

fn judged(batch: &Batch) -> impl Iterator<Item = &super::Judged> {
    batch.blocks.iter().flat_map(|block| &block.traces)
}

fn batch(step: &Step, versions: &mut [u32], at: u64) -> Batch {
    let Step::Commit { traces, stragglers, raised, retracted } = step else { return Batch::default() };
    let mut batch = Batch { at, ..Batch::default() };
    for (trace, hops) in traces {
        let version = versions.get_mut(*trace as usize).expect("a trace");
        // A trace without hops leaves nothing in a segment by which to tell its version.
        if hops.is_empty() {
            continue;
        }
        *version += 1;
        add(batch.block_mut(), *trace, *version, hops);
    }
    for (trace, hop) in stragglers {
        if versions.get(*trace as usize).is_some_and(|version| *version > 0)
            && !judged(&batch).any(|judged| judged.trace_id == trace_id(*trace))
        {
            // Of another span than those that are there, and the same span says the same.
            let mut span = DefaultHasher::new();
            (hop.caller, hop.service, hop.principal, hop.issuer, hop.start).hash(&mut span);
            let mut late = super::Block::default();
            add(&mut late, *trace, 0, std::slice::from_ref(hop));
            late.hops.iter_mut().for_each(|hop| hop.span_id.0 = (span.finish() | 0xff << 56).to_be_bytes());
            batch.block_mut().append(&late);
        }
    }
    let block = batch.block_mut().clone();
    for hop in &block.hops {
        let text = |text| block.texts.get(text);
        let (name, operation) = (text(hop.texts.service), text(hop.texts.operation));
        let namespace = if hop.start.is_multiple_of(4_000_000) { "" } else { "shop" };
        let identified = u64::from(hop.assurance.is_identified());
        batch.shown.add(
            Service { name, namespace, environment: "" },
            operation,
            Shown { hops: 1, identified },
        );
    }
    batch.raised = raised.iter().map(|(number, is_grave)| graver(finding(*number), *is_grave)).collect();
    batch.retracted = retracted.iter().map(|number| finding(*number).id).collect();
    batch
}

/// Plays a history on the store that `open` opens, and on the model.
fn play(steps: &[Step], open: impl Fn() -> Box<dyn Store>) -> Result<(), TestCaseError> {
    let (mut store, model) = (open(), Model::default());
    let (mut versions, mut last) = ([0; TRACES as usize], Batch::default());
    for (step, number) in steps.iter().zip(1..) {
        let at = EPOCH + number * 1_000_000;
        match step {
            Step::Commit { .. } => {
                last = batch(step, &mut versions, at);
                let meant = model.commit(&last).expect("kept");
                prop_assert_eq!(store.commit(&last).expect("kept"), meant);
            }
            Step::Again => {
                // Spans that came late are told from each other by nothing.
                if judged(&last).all(|judged| judged.version > 0) {
                    let meant = model.commit(&last).expect("kept");
                    prop_assert_eq!(store.commit(&last).expect("kept"), meant);
                }
            }
            Step::Set(number, state) => {
                let id = finding(*number).id;
                let said = Said { who: at.to_string(), ..said(*state, "mended", at) };
                let set = |store: &dyn Store| store.set_state(id, &said).expect("set");
                prop_assert_eq!(set(&*store), set(&model));
            }
            Step::Receivers(count) => {
                for store in [&*store, &model] {
                    store.receivers(&RECEIVERS[..*count]).expect("noted");
                }
            }
            Step::Told(who, count) => {
                let up_to = model.changes(RECEIVERS[*who], *count).expect("changes").up_to;
                for store in [&*store, &model] {
                    store.told(RECEIVERS[*who], up_to).expect("noted");
                }
            }
            Step::Tend => {
                store.tend(at).expect("tended");
                last = Batch::default();
            }
            Step::Merge => while store.merge(at + 2 * DAY, &|| false).expect("merged").segments > 0 {},
            Step::Killed => {
                drop(store);
                store = open();
            }
        }
        same(&*store, &model)?;
    }
    Ok(())
}

fn sqlite(folder: &Path, segment_hops: usize) -> Box<dyn Store> {
    let settings = StoreSettings {
        segment_hops,
        merged_hops: segment_hops as u64 * 8,
        days: None,
        refuse_under: 0,
        ..StoreSettings::default()
    };
    Box::new(SqliteStore::open(folder, settings).expect("a store"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sqlite_answers_as_the_model(steps in vec(step(), 1..16), segment_hops in prop::sample::select(vec![1, 5, 100])) {
        let folder = tempfile::tempdir().expect("a folder");
        play(&steps, || sqlite(folder.path(), segment_hops))?;
    }
}

/// Scenario: a trace is judged while nothing can be kept, and let go; then one of its spans comes once more.
/// Guarantees: the span is kept and counted once, though both are in one batch.
#[test]
fn what_comes_late_in_the_batch_of_its_trace_is_kept_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let hop = |start| Sketch {
        caller: "gateway",
        service: "orders",
        principal: "alice",
        issuer: "",
        assurance: Assurance::Asserted,
        start,
    };
    let mut late = super::Block::default();
    add(&mut late, 1, 0, &[hop(0), hop(2)]);
    late.hops[1].span_id.0[0] = 0xff;
    for in_one_block in [true, false] {
        let mut batch = Batch { at: EPOCH, ..Batch::default() };
        add(batch.block_mut(), 1, 1, &[hop(0), hop(1)]);
        match in_one_block {
            true => batch.block_mut().append(&late),
            false => batch.blocks.push(late.clone().into()),
        }
        let (store, model) = (sqlite(&folder.path().join(in_one_block.to_string()), 100), Model::default());
        for store in [&*store, &model as &dyn Store] {
            store.commit(&batch).expect("kept");
            assert_eq!(store.hops(&HopQuery::any(9)).expect("hops").len(), 3);
            let edges = store.edges(&EdgeQuery::of(Interval::ALWAYS)).expect("edges");
            assert_eq!(edges.iter().map(|edge| edge.hops).sum::<u64>(), 3);
        }
    }
}

/// Scenario: somebody is never told, while more becomes of findings than is kept of it.
/// Guarantees: the last of it is known, and how much came before.
#[test]
fn of_who_is_never_told_so_many_changes_are_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path(), StoreSettings::default()).expect("a store");
    store.receivers(&["on-call"]).expect("noted");
    store.commit(&Batch { at: EPOCH, raised: vec![finding(0)], ..Batch::default() }).expect("kept");
    let catalog = rusqlite::Connection::open(folder.path().join("catalog.sqlite")).expect("a catalog");
    let many = "INSERT INTO change (finding, state, at) WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n \
                WHERE n < 120000) SELECT id, 0, 1 FROM finding, n";
    catalog.execute(many, []).expect("noted");
    let known = store.changes("on-call", 1).expect("changes");
    assert_eq!((known.missed, known.up_to, known.changes.len()), (20_001, 20_002, 1));
}

/// What services have shown is kept, and counts for no longer than it is told to.
#[test]
fn what_was_shown_is_forgotten_in_time() {
    use hopseal_correlate::catalogue::Capability;
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path(), 1);
    let service = Service { name: "orders", namespace: "shop", environment: "" };
    let mut batch = Batch { at: EPOCH, ..Batch::default() };
    batch.shown.add(service, "GET /", Shown { hops: 2, identified: 1 });
    batch.shown.sends("broker");
    batch.validating.add(service);
    store.commit(&batch).expect("kept");
    let mut later = Batch { at: EPOCH + 20 * DAY, ..Batch::default() };
    later.shown.add(service, "GET /", Shown { hops: 1, identified: 0 });
    store.commit(&later).expect("kept");
    for (days, expected, hops) in [
        // Of the two, one counts no more.
        (0, Capability::Operation, 2),
        (30, Capability::Operation, 2),
        (31, Capability::Never, 2),
        (51, Capability::Never, 0),
    ] {
        let learned = store.learned(EPOCH + days * DAY).expect("learned");
        assert_eq!(learned.catalogue.capability(service, "GET /"), expected, "{days}");
        assert_eq!(learned.catalogue.shown(service, "GET /").unwrap_or_default().hops, hops, "{days}");
        assert_eq!(learned.catalogue.knows("broker"), days <= 30, "{days}");
        assert!(learned.validating.has(service));
        assert_eq!(store.catalogue(EPOCH + days * DAY).expect("read"), learned.catalogue, "{days}");
    }
}

/// Scenario: a span of a trace that was judged whole comes again, alone, is judged by itself, and seems to have lost its parent; then with one
/// that is new.
/// Guarantees: nothing is said of what was known better; of what is new all is said.
#[test]
fn what_comes_again_says_nothing_new() {
    let folder = tempfile::tempdir().expect("a folder");
    for store in [sqlite(folder.path(), 1), Box::new(Model::default())] {
        let commit = |version: u32, hops: u64, raised: Vec<Finding>| {
            let mut batch = Batch { at: EPOCH, raised, ..Batch::default() };
            let hop = |start| Sketch {
                caller: "",
                service: "orders",
                principal: "ann",
                issuer: "",
                assurance: Assurance::Asserted,
                start,
            };
            let hops: Vec<Sketch> = (0..hops).map(hop).collect();
            add(batch.block_mut(), 1, version, &hops);
            store.commit(&batch).expect("kept").opened.len()
        };
        let about = |span_id: SpanId| {
            let subject = Subject::Span { trace_id: trace_id(1), span_id, server: true };
            Finding::new(Rule::BrokenContext, subject, "").grouped()
        };
        // Those of the first and of the third hop, and of a span that is none.
        let [first, third, other] =
            [(1 << 16) | 1, (1 << 16) | 3, 7_u64].map(|id| about(SpanId(id.to_be_bytes())));
        assert_eq!(commit(1, 2, Vec::new()), 0);
        assert_eq!(commit(0, 1, vec![first.clone(), other]), 1);
        assert_eq!(commit(0, 3, vec![first, third]), 2);
    }
}

/// What somebody said of something that goes on from window to window holds for the next, and for nothing else; that it was mended
/// does not.
#[test]
fn what_was_said_of_a_series_holds_on() {
    let of = |operation: &str, window: u64| {
        let service = Service { name: "orders", ..Service::default() };
        let subject = Subject::Operation { service, operation, window };
        Finding { at: EPOCH + window, ..Finding::new(Rule::OptionalAuthEndpoint, subject, "") }
    };
    for (state, holds) in [
        (State::Acknowledged, true),
        (State::Suppressed, true),
        (State::Open, false),
        (State::Resolved, false),
        (State::Retracted, false),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        for store in [sqlite(folder.path(), 1), Box::new(Model::default())] {
            let raise = |finding: &Finding, at| {
                let raised = vec![finding.clone()];
                store.commit(&Batch { at, raised, ..Batch::default() }).expect("kept").opened
            };
            let (first, other) = (of("GET /", 1), of("POST /", 2));
            assert_eq!(raise(&first, EPOCH), [first.id]);
            assert!(store.set_state(first.id, &said(state, "known", EPOCH + 1)).expect("set"));
            assert_eq!(raise(&other, EPOCH + 2), [other.id]);
            let mut expected = if holds { state } else { State::Open };
            // From one to the next, and to the one after.
            for window in [2, 3] {
                let next = of("GET /", window);
                assert_eq!(raise(&next, EPOCH + window).is_empty(), holds, "{state:?}");
                let kept = store.finding(next.id).expect("asked").expect("there");
                assert_eq!(kept.state, expected);
                let said = store.said(next.id, 9).expect("asked");
                let told: Vec<_> = said.iter().map(|said| (said.state, &*said.note, &*said.who)).collect();
                assert_eq!(told, if holds { vec![(state, "known", "ann")] } else { vec![] });
            }
            // Until somebody says otherwise. What comes late of an earlier window is nobody's answer.
            store.set_state(of("GET /", 3).id, &said(State::Resolved, "", EPOCH + 4)).expect("set");
            expected = State::Open;
            for window in [4, 0] {
                raise(&of("GET /", window), EPOCH + 5);
                let kept = store.finding(of("GET /", window).id).expect("asked").expect("there");
                assert_eq!(kept.state, expected);
            }
        }
    }
}

/// An id that nobody has.
#[test]
fn what_is_not_there_is_not_found() {
    let folder = tempfile::tempdir().expect("a folder");
    for store in [sqlite(folder.path(), 1), Box::new(Model::default())] {
        assert_eq!(store.trace(trace_id(1)).expect("no error"), None);
        assert!(!store.set_state(FindingId([1; 16]), &said(State::Resolved, "", EPOCH)).expect("no error"));
        assert_eq!(store.tend(EPOCH).expect("no error").sealed, 0);
    }
}

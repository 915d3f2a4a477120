//! What there is no room for.

use super::*;

/// Scenario: a delivery is larger than all that may wait to be read; and one comes while others wait.
/// Guarantees: alone it is taken, since it could never come otherwise; else it is to come later.
#[test]
fn one_delivery_may_be_as_large_as_any() {
    let lab = Lab { waiting_bytes: 10, ..Lab::new() };
    let keeper = lab.start();
    let large = || delivery(otlp::encode(&corpus(2, 2)));
    send(&keeper, large()).expect("taken");
    keeper.waiting.fetch_add(1, Ordering::Relaxed);
    assert!(matches!(send(&keeper, large()), Err(Refused::Overloaded { .. })));
    keeper.waiting.fetch_sub(1, Ordering::Relaxed);
    send(&keeper, large()).expect("taken");
    keeper.stop().expect("stopped");
}

/// Scenario: another process keeps the catalog to itself, so that nothing that was judged can be kept; then it lets go.
/// Guarantees: memory is bounded: past so many hops nothing is taken, whoever sends is told to come later, and all is well after.
#[test]
fn while_nothing_can_be_kept_no_more_is_taken_than_there_is_room_for() {
    let lab = Lab { held_hops: 20, ..Lab::new() };
    let keeper = lab.start();
    let other = rusqlite::Connection::open(lab.folder.path().join("catalog.sqlite")).expect("the catalog");
    other.execute_batch("BEGIN IMMEDIATE").expect("to itself");
    send(&keeper, delivery(otlp::encode(&corpus(3, 20)))).expect("taken");
    lab.clock.advance(lab.window.settle + Duration::from_secs(1));
    keeper.turn().expect_err("the catalog is taken");
    let more = || send(&keeper, delivery(otlp::encode(&corpus(4, 1))));
    assert!(matches!(more(), Err(Refused::Overloaded { .. })));
    assert_eq!(keeper.unready(), [Unready::StoreBehind]);
    other.execute_batch("ROLLBACK").expect("let go");
    keeper.turn().expect("kept");
    assert_eq!(keeper.held.load(Ordering::Relaxed), 0);
    // They are in no segment yet, and count until they are.
    assert!(matches!(more(), Err(Refused::Overloaded { .. })));
    lab.clock.advance(Duration::from_secs(3600));
    keeper.turn().expect("kept");
    assert_eq!(keeper.unready(), []);
    more().expect("taken");
    keeper.stop().expect("stopped");
}

/// Scenario: the same, and it is findings for which there is no room, those of rules over many traces among them.
/// Guarantees: they count too, until they are kept, and then no more.
#[test]
fn findings_that_cannot_be_kept_count() {
    let spans = spans_of_now(5, 400);
    let first = Lab::new();
    let keeper = first.start();
    send(&keeper, delivery(otlp::encode(&spans))).expect("taken");
    first.settle(&keeper);
    let hops = keeper.store().hops(&HopQuery::any(1_000_000)).expect("hops");
    let traces: HashSet<TraceId> = hops.iter().map(|hop| hop.trace_id).collect();
    assert!(!kept(&keeper).is_empty());
    keeper.stop().expect("stopped");

    let lab = Lab { held_hops: hops.len() + traces.len(), ..Lab::new() };
    let keeper = lab.start();
    let other = rusqlite::Connection::open(lab.folder.path().join("catalog.sqlite")).expect("the catalog");
    other.execute_batch("BEGIN IMMEDIATE").expect("to itself");
    send(&keeper, delivery(otlp::encode(&spans))).expect("taken");
    lab.clock.advance(lab.window.settle + Duration::from_secs(1));
    let more = || send(&keeper, delivery(otlp::encode(&corpus(4, 1))));
    keeper.turn().expect_err("the catalog is taken");
    assert!(matches!(more(), Err(Refused::Overloaded { .. })));
    lab.clock.advance(Duration::from_secs(3 * 3600));
    other.execute_batch("ROLLBACK").expect("let go");
    keeper.turn().expect("kept");
    let query = FindingQuery { limit: 1_000_000, ..FindingQuery::default() };
    let found = keeper.store().findings(&query).expect("findings");
    assert!(found.iter().any(|finding| finding.trace_id.is_none()));
    assert_eq!(keeper.held.load(Ordering::Relaxed), 0);
    more().expect("taken");
    keeper.stop().expect("stopped");
}

/// Scenario: the disk has less room than is to be kept free.
/// Guarantees: nothing is taken, and whoever sent it is told to come again.
#[test]
fn a_disk_that_is_nearly_full_takes_nothing() {
    let lab = Lab { refuse_under: u64::MAX, ..Lab::new() };
    let keeper = lab.start();
    let refused = send(&keeper, delivery(otlp::encode(&corpus(7, 1))));
    assert!(matches!(refused, Err(Refused::DiskFull { .. })));
    assert_eq!(keeper.unready(), [Unready::DiskFull]);
    assert!(keeper.counts().free > 0);
    keeper.stop().expect("stopped");
}

/// Scenario: more spans stay open than there is room for.
/// Guarantees: the oldest traces are judged early and say so, nothing that needs what may be on the way is found of them,
/// and once the rest has come they are judged as `check` judges them.
#[test]
fn what_there_is_no_room_for_is_judged_early_and_says_so() {
    let spans = corpus(8, 120);
    let (findings, catalogue) = checked(&spans);
    let window = WindowSettings { open_bytes: 64 << 10, ..WindowSettings::default() };
    let lab = Lab { catalogue: Some(catalogue), window, ..Lab::new() };
    let keeper = lab.start();
    let mut order = spans.clone();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(8));
    for batch in order.chunks(100) {
        send(&keeper, delivery(otlp::encode(batch))).expect("taken");
    }
    keeper.turn().expect("kept");
    let counts = keeper.counts();
    assert!(counts.windows.crowded > 0 && counts.open_bytes <= 64 << 10, "{counts:?}");
    let hops = keeper.store().hops(&HopQuery::any(1)).expect("hops");
    let trace = keeper.store().trace(hops[0].trace_id).expect("no error").expect("a trace");
    assert!(trace.judged.closed_early && !trace.judged.complete);
    // It comes again, and is quiet later than it would have been.
    let id = hops[0].trace_id;
    let again: Vec<Span> = spans.iter().filter(|span| span.trace.0 == id.0).cloned().collect();
    lab.clock.advance(Duration::from_secs(5));
    send(&keeper, delivery(otlp::encode(&again))).expect("taken");
    for _ in 0..3 {
        lab.clock.advance(Duration::from_secs(4));
        keeper.turn().expect("kept");
    }
    lab.settle(&keeper);
    assert!(!keeper.store().trace(id).expect("no error").expect("a trace").judged.closed_early);
    same(but_asking(kept(&keeper)), but_asking(lines(&findings)));
    keeper.stop().expect("stopped");
}

/// Scenario: a trace goes on and on, and is never quiet for as long as it takes.
/// Guarantees: it is judged all the same, says that more may come, and is whole in the end.
#[test]
fn a_trace_that_is_never_quiet_is_judged_all_the_same() {
    let spans = corpus(9, 30);
    let of = |span: &Span| spans.iter().filter(|other| other.trace == span.trace).count();
    let longest = spans.iter().max_by_key(|span| of(span)).expect("a span").trace;
    let spans: Vec<Span> = spans.iter().filter(|span| span.trace == longest).cloned().collect();
    assert!(spans.len() > 6);
    let window = WindowSettings { max_age: Duration::from_secs(20), ..WindowSettings::default() };
    let lab = Lab { window, ..Lab::new() };
    let keeper = lab.start();
    let trace = || keeper.store().trace(TraceId(longest.0)).expect("no error");
    for span in &spans {
        send(&keeper, delivery(otlp::encode(std::slice::from_ref(span)))).expect("taken");
        lab.clock.advance(Duration::from_secs(6));
        keeper.turn().expect("kept");
    }
    assert!(keeper.counts().windows.old > 0);
    assert!(trace().expect("judged").judged.closed_early);
    lab.settle(&keeper);
    let judged = trace().expect("judged").judged;
    assert!(!judged.closed_early && judged.version > 1);
    keeper.stop().expect("stopped");
}

/// Scenario: a credential that may be used once is used in a trace that is kept busy for longer than any is kept, and then in another.
/// Guarantees: the first is let go, and counts all the same.
#[test]
fn a_trace_that_is_let_go_while_it_is_busy_counts() {
    let window = WindowSettings {
        max_age: Duration::from_secs(20),
        max_life: Duration::from_secs(60),
        ..WindowSettings::default()
    };
    let lab = Lab { window, ..Lab::new() };
    // Traces are of some days.
    lab.clock.advance(Duration::from_secs(30 * 24 * 3600));
    let used = verified(2, &ONE_TIME);
    let keeper = lab.start();
    for _ in 0..20 {
        send(&keeper, delivery(otlp::encode(&used[..1]))).expect("taken");
        lab.clock.advance(Duration::from_secs(6));
        keeper.turn().expect("kept");
    }
    assert!(keeper.counts().windows.stragglers > 0);
    send(&keeper, delivery(otlp::encode(&used[1..]))).expect("taken");
    lab.settle(&keeper);
    let query = FindingQuery { rule: Some(Rule::ReplayAcrossTraces), limit: 9, ..FindingQuery::default() };
    assert_eq!(keeper.store().findings(&query).expect("findings").len(), 1);
    keeper.stop().expect("stopped");
}

/// Scenario: services with very long names send messages that consumers link to.
/// Guarantees: what is remembered of who sent them takes bounded room, and that some was let go for it is counted.
#[test]
fn who_sent_what_is_linked_to_takes_bounded_room() {
    for (length, forgets) in [(10, false), (8 << 10, true)] {
        let mut spans = corpus(13, 1_000);
        for span in &mut spans {
            let long = "n".repeat(length);
            Arc::make_mut(&mut span.resource).service += &long;
        }
        let lab = Lab { shards: 1, ..Lab::new() };
        let keeper = lab.start();
        send(&keeper, delivery(otlp::encode(&spans))).expect("taken");
        lab.settle(&keeper);
        let (kept, let_go) = keeper.counts().linked;
        assert!(kept > 0);
        assert_eq!(let_go > 0, forgets, "{kept} {let_go}");
        // Of which 1 MiB of texts are kept here, and the last in any case.
        assert!(!forgets || kept * length <= 2 << 20, "{kept}");
        keeper.stop().expect("stopped");
    }
}

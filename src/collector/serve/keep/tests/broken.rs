//! What panics by a fault of ours.

use hopseal_tests::generator::span::{Attributes, SpanId as SpanIdOf, TraceId as TraceIdOf};

use super::*;
use crate::serve::keep::shard::faults;
use crate::serve::store::{EdgeQuery, Interval};

/// A trace of two hops; the name of the second is `name`.
fn bad(number: u8, name: &str) -> Vec<Span> {
    let corpus = spans_of_now(1, 5);
    let first = corpus.iter().find(|span| span.kind == SpanKind::Server).expect("a hop");
    let other =
        corpus.iter().find(|span| span.resource.service != first.resource.service).expect("another service");
    let hop = |place: u8| Span {
        resource: Arc::clone(if place > 0 { &other.resource } else { &first.resource }),
        trace: TraceIdOf([number; 16]),
        id: SpanIdOf([place + 1; 8]),
        parent: (place > 0).then_some(SpanIdOf([place; 8])),
        name: if place > 0 { name } else { "GET /" }.to_owned(),
        flags: 0,
        attributes: Attributes::default(),
        events: Vec::new(),
        links: Vec::new(),
        ..first.clone()
    };
    vec![hop(0), hop(1)]
}

/// All that is there but for what names a time of ours, a line each.
fn all(keeper: &Keeper) -> BTreeSet<String> {
    let store = keeper.store();
    let learned = store.learned(NOW).expect("learned");
    let hops = store.hops(&HopQuery::any(1_000_000)).expect("hops");
    let edges = store.edges(&EdgeQuery::of(Interval::ALWAYS)).expect("edges");
    assert!(!learned.windows.is_empty());
    let lines = hops.iter().map(|hop| format!("{hop:?}"));
    let lines = lines.chain(edges.iter().map(|edge| format!("{edge:?}"))).chain(kept(keeper));
    lines.chain([format!("{:?}", learned.catalogue), format!("{:?}", learned.windows)]).collect()
}

/// Scenario: among others there is a trace that to judge panics, before anything of it is written or after; then late spans of it come, and
/// at last another process.
/// Guarantees: it is let go and counted, once; all else is as if it had never come; the journal forgets it, and the next process does not
/// try it.
#[test]
fn a_trace_that_cannot_be_judged_costs_itself() {
    let (spans, lab) = (spans_of_now(11, 40), Lab::new());
    let twin = lab.start();
    send(&twin, delivery(otlp::encode(&spans))).expect("taken");
    lab.settle(&twin);
    for fault in [faults::JUDGE, faults::RECORD] {
        let lab = Lab::new();
        let keeper = lab.start();
        let bad = bad(0xbd, fault);
        // It is judged between others.
        let (before, after) = spans.split_at(spans.len() / 2);
        send(&keeper, delivery(otlp::encode(&[before, &bad, after].concat()))).expect("taken");
        lab.settle(&keeper);
        assert!(keeper.is_whole());
        same(all(&keeper), all(&twin));
        let broken = |keeper: &Keeper| keeper.counts().broken;
        assert_eq!(broken(&keeper), 1, "{fault}");
        for _ in 0..2 {
            send(&keeper, delivery(otlp::encode(&bad[1..]))).expect("taken");
            lab.settle(&keeper);
            lab.clock.advance(lab.window.late + Duration::from_secs(1));
            lab.settle(&keeper);
        }
        same(all(&keeper), all(&twin));
        assert_eq!(broken(&keeper), 1, "{fault}");
        die(keeper);
        let keeper = lab.start();
        lab.settle(&keeper);
        same(all(&keeper), all(&twin));
        assert_eq!(broken(&keeper), 0, "{fault}");
        keeper.stop().expect("stopped");
    }
    twin.stop().expect("stopped");
}

/// Scenario: a request among others is such that to read it panics, when all of it is read.
/// Guarantees: it is refused, and not to be sent again; whatever was read before and comes after it is kept, and can be read back.
#[test]
fn a_request_that_cannot_be_read_costs_itself() {
    let (spans, lab) = (corpus(12, 30), Lab { shards: 2, ..Lab::new() });
    let (findings, catalogue) = checked(&spans);
    let lab = Lab { catalogue: Some(catalogue), ..lab };
    let keeper = lab.start();
    for some in spans.chunks(40) {
        // All of the same resources: what was noted of those for the journal is noted anew.
        let mut bad = some.to_vec();
        bad.iter_mut().for_each(|span| {
            span.trace.0[..8].fill(0xbd);
            faults::READ.clone_into(&mut span.name);
        });
        let refused = send(&keeper, delivery(otlp::encode(&bad)));
        assert!(matches!(refused, Err(Refused::Malformed(_))), "{refused:?}");
        send(&keeper, delivery(otlp::encode(some))).expect("taken");
    }
    assert!(keeper.is_whole());
    die(keeper);
    let keeper = lab.start();
    lab.settle(&keeper);
    same(kept(&keeper), lines(&findings));
    let hops = keeper.store().hops(&HopQuery::any(1_000_000)).expect("hops");
    let bad = hops.iter().filter(|hop| hop.trace_id.0[..8] == [0xbd; 8]).count();
    assert_eq!(bad, 0);
    keeper.stop().expect("stopped");
}

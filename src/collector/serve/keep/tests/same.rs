//! What is found live is what `check` finds.

use super::*;

/// Scenario: a corpus of known faults arrives span by span in any order, in batches of any size, over any number of
/// shards, some of it twice.
/// Guarantees: what is found of single traces is what `check` finds in the same spans, with the same catalogue, and where it is
/// learned with what `check` learns in its first pass.
#[test]
fn live_is_the_same_as_check() {
    for (seed, shards, is_given) in [(1, 1, true), (2, 1, true), (3, 3, true), (1, 1, false), (3, 3, false)] {
        let spans = corpus(seed, 300);
        let (findings, catalogue) = checked(&spans);
        let lab = Lab { shards, catalogue: is_given.then_some(catalogue), ..Lab::new() };
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
        same(kept(&keeper), lines(&findings));
        assert!(lines(&findings).len() > 20);
        keeper.stop().expect("stopped");
    }
}

/// Scenario: a corpus with every fault and every near miss that there is arrives in any order, most traces over half a minute and in
/// several pieces, while what is quiet is judged.
/// Guarantees: in the end the same is found of single traces as `check` finds, of nearly every rule, and what was said too early is
/// taken back.
#[test]
fn live_is_the_same_as_check_for_every_fault() {
    // As many as the generator takes to come to each of them.
    let spans = corpus(1, 6_000);
    let (findings, catalogue) = checked(&spans);
    let lab = Lab { shards: 2, catalogue: Some(catalogue), ..Lab::new() };
    let keeper = lab.start();
    let mut order: Vec<Span> = spans;
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    for batch in order.chunks(order.len() / 30) {
        send(&keeper, delivery(otlp::encode(batch))).expect("taken");
        lab.clock.advance(Duration::from_secs(2));
        keeper.turn().expect("kept");
    }
    assert!(keeper.counts().windows.reopened > 1_000);
    lab.settle(&keeper);
    same(but_asking(kept(&keeper)), but_asking(lines(&findings)));
    let rules: BTreeSet<&str> = findings.iter().map(|finding| finding.rule.as_str()).collect();
    assert!(rules.len() >= 30, "{rules:?}");
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
    same(but_asking(kept(&keeper)), but_asking(lines(&findings)));
    let query = FindingQuery { state: Some(State::Retracted), limit: 10, ..FindingQuery::default() };
    assert!(!keeper.store().findings(&query).expect("findings").is_empty());
    assert!(keeper.counts().windows.reopened > 0);
    keeper.stop().expect("stopped");
}

/// Scenario: a trace of which a span is missing was judged, and is delivered again, twice.
/// Guarantees: nothing of it is another, what is said of the missing span included.
#[test]
fn what_comes_twice_changes_nothing() {
    let lab = Lab::new();
    let keeper = lab.start();
    let all = corpus(6, 30);
    let trace =
        all.iter().find(|span| all.iter().any(|other| other.parent == Some(span.id))).expect("some").clone();
    let rest: Vec<Span> =
        all.into_iter().filter(|span| span.trace == trace.trace && span.id != trace.id).collect();
    let there =
        || format!("{:?}", keeper.store().trace(TraceId(trace.trace.0)).expect("read").expect("there"));
    send(&keeper, delivery(otlp::encode(&rest))).expect("taken");
    lab.settle(&keeper);
    let once = there();
    assert!(once.contains("audit_gap"), "{once}");
    for _ in 0..2 {
        send(&keeper, delivery(otlp::encode(&rest))).expect("taken");
        lab.settle(&keeper);
        assert_eq!(there(), once);
    }
    assert!(keeper.counts().windows.reopened > 0);
    keeper.stop().expect("stopped");
}

/// Nanoseconds.
const HOUR: u64 = 3_600_000_000_000;

/// What `check` finds of many traces in these spans is found of them live, whatever comes first of traces too far ahead to count.
fn over_time_as_in_check(spans: Vec<Span>, ahead: &[Span]) -> BTreeSet<String> {
    let (findings, catalogue) = checked(&spans);
    let lab = Lab { shards: 2, catalogue: Some(catalogue), ..Lab::new() };
    // Traces are of some days.
    lab.clock.advance(Duration::from_secs(30 * 24 * 3600));
    let keeper = lab.start();
    for batch in ahead.chunks(256) {
        send(&keeper, delivery(otlp::encode(batch))).expect("taken");
    }
    lab.settle(&keeper);
    assert_eq!(keeper.counts().windows.ahead > 0, !ahead.is_empty());
    let mut order = spans;
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(11));
    for batch in order.chunks(256) {
        send(&keeper, delivery(otlp::encode(batch))).expect("taken");
    }
    lab.settle(&keeper);
    // What was gathered outlives the process.
    die(keeper);
    let keeper = lab.start();
    lab.clock.advance(Duration::from_secs(30 * 24 * 3600));
    keeper.turn().expect("kept");
    let is_across = |rule: &str| {
        let rule = Rule::parse(rule).expect("a rule");
        matches!(rule.spec().number, "F13" | "F24" | "F25" | "F26" | "F27" | "F33" | "F35")
    };
    let query = FindingQuery { limit: 1_000_000, ..FindingQuery::default() };
    let found = keeper.store().findings(&query).expect("findings");
    let stands = |finding: &&crate::serve::store::FindingRecord| finding.state != State::Retracted;
    let found = found.iter().filter(stands).filter(|finding| is_across(finding.rule.as_str()));
    let expected = findings.iter().filter(|finding| is_across(finding.rule.as_str()));
    let line = |id: FindingId, rule: Rule| format!("{id} {}", rule.as_str());
    let expected: BTreeSet<String> = expected.map(|finding| line(finding.id, finding.rule)).collect();
    let rules = expected.iter().filter_map(|line| line.split(' ').nth(1)).map(str::to_owned);
    let rules: BTreeSet<String> = rules.collect();
    assert!(rules.len() >= 2, "{rules:?}");
    same(found.map(|finding| line(finding.id, finding.rule)).collect(), expected);
    keeper.stop().expect("stopped");
    rules
}

/// Scenario: the windows of a corpus pass; of one whose traces each have a span that says no time; and of one whose traces begin in
/// the window before that of all else.
/// Guarantees: what is found of many traces is what `check` finds in the same spans with the same catalogue.
#[test]
fn rules_over_many_traces_are_the_same_as_in_check() {
    let spans = corpus(11, 600);
    let mut without_time = spans.clone();
    let mut of_two_windows = spans.clone();
    let mut seen = HashSet::new();
    let firsts: Vec<usize> = (0..spans.len()).filter(|place| seen.insert(spans[*place].trace)).collect();
    for place in firsts {
        let first = &spans[place];
        let mut timeless = Span {
            id: first.id,
            parent: Some(first.id),
            kind: SpanKind::Internal,
            start: 0,
            end: 0,
            ..first.clone()
        };
        timeless.id.0[0] ^= 0x55;
        without_time.push(timeless);
        // Nothing else begins an hour early.
        of_two_windows[place].start -= HOUR;
    }
    [spans, without_time, of_two_windows].into_iter().for_each(|spans| _ = over_time_as_in_check(spans, &[]));
}

/// Scenario: some traces begin with a credential that may be used once, and that another used five hours before.
/// Guarantees: a credential that is used again is found, however long ago its first use was, and across restarts.
#[test]
fn a_replay_is_found_hours_later() {
    let mut spans = corpus(11, 600);
    let mut number = HashMap::new();
    for span in &mut spans {
        let next = number.len();
        let number = *number.entry(span.trace).or_insert(next);
        if number % 2 == 1 {
            (span.start, span.end) = (span.start + 5 * HOUR, span.end + 5 * HOUR);
        }
        if number < 40 && span.parent.is_none() && span.kind == SpanKind::Server {
            span.attributes.set("hopseal.sub", "p-1");
            span.attributes.set("hopseal.assurance", "verified");
            span.attributes.set("hopseal.token_fingerprint", format!("f-{}", number / 2).as_str());
            span.attributes.set("hopseal.one_time", "true");
        }
    }
    let found = over_time_as_in_check(spans, &[]);
    assert!(found.contains("replay_across_traces"), "{found:?}");
}

/// Scenario: one credential is used in three traces, each judged by itself; after the first all that is known is kept as a whole, and
/// after the second the process is killed.
/// Guarantees: the next knows of both.
#[test]
fn what_came_after_the_whole_is_known_as_well() {
    let lab = Lab::new();
    // Traces are of some days.
    lab.clock.advance(Duration::from_secs(30 * 24 * 3600));
    let used = verified(3, &ONE_TIME);
    let take = |keeper: &Keeper, span: &Span| {
        send(keeper, delivery(otlp::encode(std::slice::from_ref(span)))).expect("taken");
        lab.settle(keeper);
    };
    let keeper = lab.start();
    take(&keeper, &used[0]);
    keeper.unsaved().over_time.failed();
    keeper.turn().expect("kept");
    take(&keeper, &used[1]);
    die(keeper);
    let keeper = lab.start();
    take(&keeper, &used[2]);
    let query = FindingQuery { rule: Some(Rule::ReplayAcrossTraces), limit: 9, ..FindingQuery::default() };
    let found = keeper.store().findings(&query).expect("findings");
    let stands = found.iter().filter(|finding| finding.state == State::Open);
    let bodies: Vec<&str> = stands.map(|finding| finding.body.as_str()).collect();
    assert!(matches!(bodies[..], [body] if body.contains("in 3 traces")), "{bodies:?}");
    keeper.stop().expect("stopped");
}

/// Scenario: a transaction goes from one trace to another by a message; the consumer's is judged before the producer's; then a third trace,
/// which nothing links to them, is of the same transaction.
/// Guarantees: it is found as `check` finds it, by links that came to be known after a trace was counted.
#[test]
fn a_transaction_is_replayed_whatever_came_first() {
    let lab = Lab::new();
    lab.clock.advance(Duration::from_secs(30 * 24 * 3600));
    let mut used = verified(3, &[("hopseal.txn", "t-1")]);
    used[1].links = vec![Link { trace: used[0].trace, span: used[0].id }];
    let of_rule = |finding: &&Finding| finding.rule == Rule::ReplayAcrossTraces;
    let expected: Vec<String> = checked(&used)
        .0
        .iter()
        .filter(of_rule)
        .map(|finding| output::finding(finding).expect("a finding"))
        .collect();
    assert_eq!(expected.len(), 1);
    let keeper = lab.start();
    for place in [1, 0, 2] {
        send(&keeper, delivery(otlp::encode(std::slice::from_ref(&used[place])))).expect("taken");
        lab.settle(&keeper);
    }
    let query = FindingQuery { rule: Some(Rule::ReplayAcrossTraces), limit: 9, ..FindingQuery::default() };
    let found = keeper.store().findings(&query).expect("findings");
    assert_eq!(found.iter().map(|finding| finding.body.clone()).collect::<Vec<_>>(), expected);
    keeper.stop().expect("stopped");
}

/// Scenario: traces are judged early for want of room, once each, and the process is killed before they are judged again.
/// Guarantees: they count in rules over many traces once they are judged whole by the next.
#[test]
fn what_was_judged_early_counts_in_the_next_life() {
    let spans = corpus(11, 600);
    let (findings, catalogue) = checked(&spans);
    let window = WindowSettings { open_bytes: 64 << 10, ..WindowSettings::default() };
    let mut lab = Lab { shards: 2, catalogue: Some(catalogue), window, ..Lab::new() };
    lab.clock.advance(Duration::from_secs(30 * 24 * 3600));
    let keeper = lab.start();
    // Trace by trace, so that each is judged early once.
    let mut order = spans;
    order.sort_by_key(|span| span.trace.0);
    for batch in order.chunks(256) {
        send(&keeper, delivery(otlp::encode(batch))).expect("taken");
    }
    keeper.turn().expect("kept");
    assert!(keeper.counts().windows.crowded > 300);
    die(keeper);
    lab.window = WindowSettings::default();
    let keeper = lab.start();
    lab.settle(&keeper);
    lab.clock.advance(Duration::from_secs(30 * 24 * 3600));
    keeper.turn().expect("kept");
    let is_of_windows = |rule: &Rule| matches!(rule.spec().number, "F24" | "F25" | "F26" | "F33");
    let query = FindingQuery { state: Some(State::Open), limit: 1_000_000, ..FindingQuery::default() };
    let found = keeper.store().findings(&query).expect("findings");
    let found = found.iter().filter(|finding| is_of_windows(&finding.rule));
    let expected = findings.iter().filter(|finding| is_of_windows(&finding.rule));
    let expected: BTreeSet<String> = expected.map(|finding| finding.id.to_string()).collect();
    assert!(expected.len() > 2);
    same(found.map(|finding| finding.id.to_string()).collect(), expected);
    keeper.stop().expect("stopped");
}

/// Scenario: a sender whose clock is far ahead, each of its traces by another hour; then others send.
/// Guarantees: its traces count in no rule over time, and are counted as such; of the others all is found.
#[test]
fn a_clock_that_is_ahead_hides_nothing_of_others() {
    let mut ahead = corpus(12, 80);
    let mut hours: HashMap<_, u64> = HashMap::new();
    for span in &mut ahead {
        let next = hours.len() as u64 + 100 * 24;
        let hour = *hours.entry(span.trace).or_insert(next) * HOUR;
        (span.start, span.end) = (span.start + hour, span.end + hour);
    }
    over_time_as_in_check(corpus(11, 600), &ahead);
}

//! Traces while their spans arrive, step by step.

use proptest::prelude::*;

use hopseal_correlate::dialect::Dialects;
use hopseal_correlate::intake::{Intake, Records};
use hopseal_correlate::record::Record;
use hopseal_correlate::sink::{Position, Sink as _, SpanHead, SpanKind, Status};
use hopseal_correlate::words::Words;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn settings() -> WindowSettings {
    WindowSettings {
        settle: Duration::from_secs(2),
        late: Duration::from_secs(5),
        open_bytes: 20 << 10,
        judged_bytes: 20 << 10,
        trace_bytes: 4 << 10,
        ..WindowSettings::default()
    }
}

fn memory(windows: &Windows, open: bool) -> usize {
    windows.traces.values().filter(|kept| kept.open == open).map(|kept| kept.bytes()).sum()
}

/// Scenario: spans come twice, are judged, and are kept once; then another comes.
/// Guarantees: of each finding it is still known which spans came since.
#[test]
fn what_is_new_is_known_once_copies_are_gone() {
    let mut windows = Windows::new(settings());
    let id = TraceId([1; 16]);
    let span = |number: u8| {
        let head = SpanHead {
            trace_id: id,
            span_id: SpanId([number; 8]),
            parent: None,
            name: "",
            kind: SpanKind::Server,
            start: 1,
            end: 2,
            flags: 0,
            status: Status::Unset,
            dropped: 0,
            shared: false,
            trace_state: "",
        };
        let (dialects, mut words) = (Dialects::built_in().expect("shipped map"), Words::default());
        let mut intake = Intake::new(&dialects, &mut words, Made(Vec::new()));
        intake.span_start();
        intake.span_end(&head);
        intake.into_inner().0
    };
    [1, 2, 1, 2].iter().for_each(|number| windows.add(id, &span(*number), 1, SECOND));
    let (_, due) = windows.due(4 * SECOND).expect("due");
    let mut records = Vec::new();
    windows.read(windows.get(id).expect("kept"), &mut records);
    let within = |count| bodies(&records).take(count).map(<[u8]>::len).sum();
    let stood = |count| Stood { id: FindingId([1; 16]), span_id: None, within: within(count) };
    let findings = vec![stood(0), stood(1), stood(3), stood(4)];
    windows.settle(id, due, Last { version: 1, findings, ..Last::default() }, 4 * SECOND);
    windows.without_copies(id);
    windows.add(id, &span(3), 2, 4 * SECOND);
    let kept = windows.get(id).expect("kept");
    windows.read(kept, &mut records);
    let since = |stood: &Stood| bodies(records.get(stood.within..).expect("within")).count();
    assert_eq!(kept.last.findings.iter().map(since).collect::<Vec<_>>(), [3, 2, 1, 1]);
}

/// The record that was made last.
struct Made(Vec<u8>);

impl Records for Made {
    fn record(&mut self, record: &Record<'_>) {
        self.0 = record.to_bytes();
    }

    fn reject(&mut self, at: Position, reason: &str) {
        panic!("{at}: {reason}");
    }
}

#[test]
fn what_rests_on_several_things_is_judged_again_once() {
    let mut windows = Windows::new(settings());
    let (one, other) = (TraceId([1; 16]), TraceId([2; 16]));
    let judge = |windows: &mut Windows, now| -> Vec<(TraceId, Due)> {
        let mut judged = Vec::new();
        while let Some((trace_id, due)) = windows.due(now) {
            windows.settle(trace_id, due, Last { version: 1, ..Last::default() }, now);
            judged.push((trace_id, due));
        }
        judged
    };
    [one, other].iter().for_each(|id| windows.add(*id, &[7; 80], 1, SECOND));
    assert_eq!(judge(&mut windows, 4 * SECOND).len(), 2);
    [one, other, one].iter().for_each(|id| windows.again(*id));
    // Spans of the other come before its turn: it waits until that is quiet, and is whole.
    windows.add(other, &[8; 80], 2, 4 * SECOND);
    assert_eq!(judge(&mut windows, 4 * SECOND), [(one, Due::Again)]);
    assert_eq!(judge(&mut windows, 7 * SECOND), [(other, Due::Quiet)]);
    windows.again(one);
    assert_eq!(judge(&mut windows, 7 * SECOND), [(one, Due::Again)]);
}

/// Scenario: of one trace a span comes each second for ever, of another whenever it was judged, and of others once.
/// Guarantees: no run of the journal is needed for much longer than a trace may live, and what goes on is known as late.
#[test]
fn no_trace_keeps_the_journal_for_ever() {
    let (max_age, max_life) = (Duration::from_secs(4), Duration::from_secs(20));
    let settings =
        WindowSettings { max_age, max_life, open_bytes: 1 << 20, judged_bytes: 1 << 20, ..settings() };
    let mut windows = Windows::new(settings);
    let mut judged = 0;
    for second in 1..=100_u64 {
        let now = second * SECOND;
        windows.add(TraceId([1; 16]), &[7; 80], second, now);
        if second % 4 == 0 {
            windows.add(TraceId([2; 16]), &[7; 80], second, now);
        }
        windows.add(TraceId((3 + u128::from(second)).to_be_bytes()), &[7; 80], second, now);
        while let Some((trace_id, due)) = windows.due(now) {
            windows.settle(trace_id, due, Last { version: 1, ..Last::default() }, now);
            judged += 1;
        }
        windows.let_go(now);
        assert!(windows.first_run().is_none_or(|run| run + 24 >= second), "{second}");
        assert_eq!(
            (windows.open_bytes, windows.judged_bytes),
            (memory(&windows, true), memory(&windows, false))
        );
    }
    assert!(judged > 100 && windows.counts.old > 10);
    assert!((6..12).contains(&windows.counts.stragglers), "{:?}", windows.counts);
}

/// Scenario: a trace is judged early, more of it comes, and it is judged early again.
/// Guarantees: it is taken as whole once it was quiet after what came last, and not before.
#[test]
fn what_is_judged_early_twice_has_to_be_quiet_after_the_second_time() {
    let mut windows = Windows::new(WindowSettings { open_bytes: 1, ..settings() });
    let id = TraceId([1; 16]);
    for second in [1, 2] {
        windows.add(id, &[7; 80], second, second * SECOND);
        assert_eq!(windows.due(second * SECOND), Some((id, Due::Crowded)));
        windows.settle(id, Due::Crowded, Last { version: 1, ..Last::default() }, second * SECOND);
    }
    assert_eq!(windows.due(3 * SECOND), None);
    assert!(windows.get(id).is_some_and(|kept| kept.early));
    assert_eq!(windows.due(4 * SECOND), Some((id, Due::Again)));
    assert!(windows.get(id).is_some_and(|kept| !kept.early));
}

proptest! {
    /// What is counted is what is there, and stays within its bounds.
    #[test]
    fn memory_is_counted_and_bounded(steps in prop::collection::vec((0_u128..40, 0_usize..900, 0_u64..2), 1..300)) {
        let mut windows = Windows::new(settings());
        let mut now = SECOND;
        for ((trace, length, seconds), run) in steps.into_iter().zip(0..) {
            now += seconds * SECOND;
            windows.add(TraceId(trace.to_be_bytes()), &vec![7; length], run, now);
            while let Some((trace_id, due)) = windows.due(now) {
                windows.settle(trace_id, due, Last { version: 1, ..Last::default() }, now);
            }
            windows.let_go(now);
            prop_assert_eq!((windows.open_bytes, windows.judged_bytes), (memory(&windows, true), memory(&windows, false)));
            prop_assert_eq!(windows.open, windows.traces.values().filter(|kept| kept.open).count());
            prop_assert_eq!(windows.first_run(), windows.traces.values().map(|kept| kept.first_run).min());
            prop_assert!(windows.open_bytes <= settings().open_bytes && windows.judged_bytes <= settings().judged_bytes);
        }
    }
}

//! What happens to telemetry on its way: nothing here changes who did what, only what is left to see of it.

use std::collections::{BTreeMap, BTreeSet};

use super::Corpus;
use super::dice::Dice;
use super::span::{Kind, Span, SpanId, TraceId};
use super::truth::{Injected, Subject};

const SECOND_NANOS: u64 = 1_000_000_000;

/// How telemetry is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Damage {
    /// Spans lost, in a thousand.
    pub lost: u32,
    /// Spans sent twice, in a hundred.
    pub duplicated: u32,
    /// Whether spans arrive in random order.
    pub shuffled: bool,
    /// Spans that arrive after everything else, in a hundred.
    pub late: u32,
    /// Every service's clock is wrong by up to so many seconds.
    pub skew: u64,
    /// Traces in a hundred in which one service did not sample.
    pub unsampled: u32,
    /// Whether tracers send no OTLP flags.
    pub no_flags: bool,
}

/// Every condition under which accuracy is measured, by name.
pub const CONDITIONS: [(&str, Damage); 7] = {
    const NONE: Damage =
        Damage { lost: 0, duplicated: 0, shuffled: false, late: 0, skew: 0, unsampled: 0, no_flags: false };
    [
        ("undamaged", NONE),
        ("1% lost", Damage { lost: 10, ..NONE }),
        ("5% lost", Damage { lost: 50, ..NONE }),
        ("disorder", Damage { shuffled: true, duplicated: 10, late: 3, ..NONE }),
        ("skew 90 s", Damage { skew: 90, ..NONE }),
        ("unsampled", Damage { unsampled: 5, ..NONE }),
        ("no flags", Damage { no_flags: true, ..NONE }),
    ]
};

/// Damages `corpus`: the same seed, the same damage.
///
/// What the damage itself makes true is added to the truth: a trace with a hole has a gap in the audit, and a hop
/// below the hole has no context. Everything else stays in the truth as it was, whether it can still be seen or
/// not; [`Injected::decidable`] tells.
#[must_use]
pub fn damage(corpus: &Corpus, damage: Damage, seed: u64) -> Corpus {
    let mut dice = Dice::new(seed, 0);
    let mut spans = corpus.spans.clone();
    let sampled_out = unsampled(&spans, damage.unsampled, &mut dice);
    spans.retain(|span| {
        let lost = damage.lost > 0 && dice.between(0, 999) < u64::from(damage.lost);
        !lost && !sampled_out.contains(&(span.trace, span.resource.service.clone()))
    });
    skew(&mut spans, damage.skew, &mut dice);
    if damage.no_flags {
        spans.iter_mut().for_each(|span| span.flags = 0);
    }
    let mut truth = corpus.truth.clone();
    truth.injected.extend(holes(&corpus.spans, &spans));
    let again: Vec<Span> = spans.iter().filter(|_| dice.percent(damage.duplicated)).cloned().collect();
    spans.extend(again);
    if damage.shuffled {
        dice.shuffle(&mut spans);
    }
    let (late, mut spans): (Vec<Span>, Vec<Span>) =
        spans.into_iter().partition(|_| dice.percent(damage.late));
    spans.extend(late);
    Corpus { spans, truth }
}

/// The ids of `spans`, to ask [`Injected::decidable`] with.
#[must_use]
pub fn surviving(spans: &[Span]) -> BTreeSet<SpanId> {
    spans.iter().map(|span| span.id).collect()
}

fn unsampled(spans: &[Span], percent: u32, dice: &mut Dice) -> BTreeSet<(TraceId, String)> {
    let mut services: BTreeMap<TraceId, Vec<&String>> = BTreeMap::new();
    for span in spans {
        let known = services.entry(span.trace).or_default();
        if !known.contains(&&span.resource.service) {
            known.push(&span.resource.service);
        }
    }
    let mut out = BTreeSet::new();
    for (trace, services) in services {
        if services.len() > 1 && dice.percent(percent) {
            out.insert((trace, (*dice.pick(&services)).clone()));
        }
    }
    out
}

fn skew(spans: &mut [Span], seconds: u64, dice: &mut Dice) {
    if seconds == 0 {
        return;
    }
    let services: BTreeSet<String> = spans.iter().map(|span| span.resource.service.clone()).collect();
    let offsets: BTreeMap<String, u64> =
        services.into_iter().map(|service| (service, dice.between(0, 2 * seconds))).collect();
    for span in spans {
        let offset = offsets.get(&span.resource.service).copied().unwrap_or(seconds) * SECOND_NANOS;
        for time in [&mut span.start, &mut span.end] {
            *time = *time + offset - seconds * SECOND_NANOS;
        }
    }
}

/// What is true because a parent is missing that was there before.
fn holes(before: &[Span], after: &[Span]) -> Vec<Injected> {
    let (known, left) = (surviving(before), surviving(after));
    let mut gaps: BTreeSet<TraceId> = BTreeSet::new();
    let mut found = Vec::new();
    for span in after {
        if !span.parent.is_some_and(|parent| known.contains(&parent) && !left.contains(&parent)) {
            continue;
        }
        let hole = |rule, subject| Injected {
            rule,
            recipe: "lost parent",
            subject,
            trace_id: span.trace,
            span_id: span.id,
            also: Vec::new(),
            service: span.resource.service.clone(),
            operation: span.name.clone(),
            evidence: vec![span.id],
        };
        if gaps.insert(span.trace) {
            found.push(hole("audit_gap", Subject::Trace));
        }
        if matches!(span.kind, Kind::Server | Kind::Consumer) {
            found.push(hole("broken_context", Subject::Span));
        }
    }
    found
}

//! What happens to telemetry on its way: nothing here changes who did what, only what is left to see of it.

use std::collections::{BTreeMap, BTreeSet};

use hopseal_identity::attribute as hopseal;

use super::dice::Dice;
use super::span::{Span, SpanId, TraceId, Value};
use super::truth::{Injected, Subject};
use super::{Corpus, fleet, missing};

const SECOND_NANOS: u64 = 1_000_000_000;
/// Seconds that clocks may differ by where the policy says nothing.
const ALLOWED: i64 = 60;

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
/// What the damage itself makes true is added to the truth. Everything else stays in the truth as it was, whether it can still be seen or
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
    truth.injected.extend(missing::made_true(corpus, &spans));
    if damage.skew > 0 {
        truth.injected.extend(sealed_later(&spans));
    }
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

/// "nbf/iat > S.start + skew" (F11), by clocks that are further apart than the policy allows. Its false positive is the
/// skew that calls show; of a seal whose maker has no span in the trace, they show nothing.
fn sealed_later(spans: &[Span]) -> Vec<Injected> {
    let sealers: BTreeSet<(TraceId, &str)> =
        spans.iter().map(|span| (span.trace, span.resource.service.as_str())).collect();
    let is_later = |span: &&Span| {
        let sealer = fleet::gateway_of(&span.resource.namespace);
        let begun = i64::try_from(span.start / SECOND_NANOS).unwrap_or(i64::MAX);
        let later =
            matches!(span.attributes.get(hopseal::IAT), Some(Value::Int(iat)) if *iat > begun + ALLOWED);
        later && !sealers.contains(&(span.trace, sealer.as_str()))
    };
    let at = |span| Injected {
        asked: false,
        ..missing::at(span, "premature_or_future", "sealed by another clock", Subject::Span)
    };
    spans.iter().filter(is_later).map(at).collect()
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
    let of = |service: &str| offsets.get(service).copied().unwrap_or(seconds);
    for span in spans {
        let offset = of(&span.resource.service) * SECOND_NANOS;
        for time in [&mut span.start, &mut span.end] {
            *time = *time + offset - seconds * SECOND_NANOS;
        }
        // When a seal begins and ends was read from the sealer's clock, and the gateway is who seals. What a token says
        // of itself is by the clock of the issuer, which is right.
        let sealer = of(&fleet::gateway_of(&span.resource.namespace));
        for key in [hopseal::IAT, hopseal::EXP] {
            if let Some(Value::Int(time)) = span.attributes.get(key) {
                let time = time.saturating_add_unsigned(sealer).saturating_sub_unsigned(seconds);
                span.attributes.set(key, time);
            }
        }
    }
}

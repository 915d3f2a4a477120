//! Traces with a known truth: who dropped, changed or forged an identity, written down when it was done.
//!
//! ```text
//! seed -> fleet -> clean requests -> one fault -> near misses -> spans, truth -> damage -> OTLP
//! ```
//!
//! A corpus is a row of *fleets*. A fleet is a call graph of its own services, so what one fleet's fault does to
//! the statistics of an endpoint, a session or a caller never reaches another fleet. Nothing here knows how a
//! finding is computed: a recipe changes spans and writes down, from the definitions of the rules, which of
//! them have become true, and at which spans.

pub mod damage;
mod dice;
mod draft;
mod fault;
mod fleet;
mod identity;
mod missing;
mod near_miss;
pub mod otlp;
mod render;
mod scene;
pub mod span;
#[cfg(test)]
mod tests;
pub mod truth;

use dice::Dice;
use fleet::Fleet;
use scene::Scene;
use span::Span;
use truth::Truth;

pub use fault::RULES;
pub use scene::RELEASED;

/// What to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The same seed and size give the same corpus, byte for byte.
    pub seed: u64,
    /// At least this many traces; the last fleet is completed.
    pub traces: usize,
}

/// Spans, and what is true of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Corpus {
    /// Every span, by trace and in the order a tracer would have started them.
    pub spans: Vec<Span>,
    /// What was done to them on purpose.
    pub truth: Truth,
}

/// Builds a corpus: fleets in turn, each with the next fault of the table, every sixth without one.
///
/// # Examples
/// ```
/// use hopseal_tests::generator::{Settings, generate};
/// let corpus = generate(Settings { seed: 7, traces: 40 });
/// assert!(corpus.truth.traces >= 40 && !corpus.truth.injected.is_empty());
/// ```
#[must_use]
pub fn generate(settings: Settings) -> Corpus {
    let mut corpus = Corpus { spans: Vec::new(), truth: Truth::new(settings.seed) };
    let mut faults = fault::TABLE.iter().cycle();
    let mut number = 0_u64;
    while corpus.truth.traces < settings.traces {
        let mut dice = Dice::new(settings.seed, number);
        let fault = if number % 6 == 5 { None } else { faults.next() };
        let needs = fault.map_or_else(fleet::Needs::default, |fault| fault.needs);
        let fleet = Fleet::new(&mut dice, number, needs);
        let mut scene = Scene::new(fleet, dice, &mut corpus.truth);
        scene.clean(needs.history);
        if let Some(fault) = fault {
            scene.recipe = fault.name;
            for _ in 0..if needs.history > 0 { 1 } else { scene.dice.between(3, 7) } {
                (fault.inject)(&mut scene);
            }
        }
        near_miss::scatter(&mut scene);
        corpus.spans.extend(scene.finish());
        number += 1;
    }
    corpus
}

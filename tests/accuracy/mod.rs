//! How often `hopseal check` is right, against traces whose truth is known.
//!
//! The program runs as anyone would run it: on a file, with a policy file, from the outside.

mod compare;
mod run;
mod table;

use std::collections::BTreeMap;

pub use compare::{Counts, Denied, Outcome};
pub use run::{Hopseal, RunError, program};

use crate::generator::{Settings, damage, generate};

/// What was measured under each condition.
#[derive(Debug)]
pub struct Accuracy {
    /// What was built.
    pub settings: Settings,
    /// Traces built, and those of them with a near miss.
    pub traces: (usize, usize),
    /// One outcome a condition, in the order of [`damage::CONDITIONS`].
    pub outcomes: Vec<(&'static str, Outcome)>,
}

/// Builds a corpus, damages it in every way (or only that of `condition`), and compares what `hopseal` says of it
/// with the truth.
///
/// # Errors
/// [`RunError`] if the program could not be run or its answer not be read.
pub fn measure(
    hopseal: &Hopseal<'_>,
    settings: Settings,
    condition: Option<&str>,
) -> Result<Accuracy, RunError> {
    let corpus = generate(settings);
    let traces = (corpus.truth.traces, corpus.truth.near_miss_traces);
    let mut outcomes = Vec::new();
    let asked =
        damage::CONDITIONS.into_iter().filter(|(name, _)| condition.is_none_or(|asked| asked == *name));
    for (name, how) in asked {
        let damaged = damage::damage(&corpus, how, settings.seed);
        let findings = run::check(hopseal, &damaged.spans)?;
        outcomes.push((name, compare::compare(&damaged, &findings)));
    }
    Ok(Accuracy { settings, traces, outcomes })
}

/// Rules that can only ever be hints from spans; they are measured, and promised nothing.
pub const HINTS: &[&str] = &["broken_context", "no_validation_edge"];

/// Rules that need more than one trace.
pub const ACROSS: &[&str] = &[
    "coverage_regression",
    "edge_bypass",
    "optional_auth_endpoint",
    "replay_across_traces",
    "session_multi_principal",
    "unauthenticated_endpoint",
];

/// The least precision and recall with one span in a hundred lost, in hundredths.
const WITH_LOSS: (f64, f64) = (0.99, 0.90);

/// The least share of traces with a near miss, in hundredths.
const NEAR_MISSES: usize = 30;

impl Accuracy {
    /// Every promise that was not kept, in words; none is what it should be.
    #[must_use]
    pub fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let (traces, near) = self.traces;
        if near * 100 < traces * NEAR_MISSES {
            broken.push(format!("only {near} of {traces} traces hold a near miss"));
        }
        for (condition, outcome) in &self.outcomes {
            let mut sure = BTreeMap::<&str, Vec<&Denied>>::new();
            for denied in outcome.denied.iter().filter(|denied| denied.is_high_and_certain()) {
                sure.entry(denied.rule()).or_default().push(denied);
            }
            for (_, denied) in sure {
                let (count, first) =
                    (denied.len(), denied.first().map(ToString::to_string).unwrap_or_default());
                broken.push(format!("{condition}: high and certain, but not true, {count} times: {first}"));
            }
        }
        if let Some((_, outcome)) = self.outcomes.iter().find(|(name, _)| *name == "undamaged") {
            for (rule, counts) in outcome.of_one_trace() {
                if counts.precision() < 1.0 || counts.recall() < 1.0 {
                    broken.push(format!("undamaged: {rule}: {counts}"));
                }
            }
        }
        if let Some((condition, outcome)) = self.outcomes.iter().find(|(name, _)| *name == "1% lost") {
            let counts = outcome.of_one_trace().fold(Counts::default(), |all, (_, counts)| all + *counts);
            if counts.precision() < WITH_LOSS.0 || counts.recall() < WITH_LOSS.1 {
                broken.push(format!("{condition}: all rules of one trace: {counts}"));
            }
            for (rule, counts) in outcome.of_one_trace().filter(|(_, counts)| counts.recall() < WITH_LOSS.1) {
                broken.push(format!("{condition}: {rule}: {counts}"));
            }
        }
        broken
    }
}

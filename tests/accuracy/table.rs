//! The table that is kept in the repository.

use std::fmt;

use super::compare::Counts;
use super::{ACROSS, Accuracy, HINTS};
use crate::generator::RULES;

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (traces, near) = self.traces;
        writeln!(f, "Precision and recall of `hopseal check` on generated traces (cargo xtask accuracy).")?;
        writeln!(f, "Seed {}; {traces} traces, {near} of them with a near miss.", self.settings.seed)?;
        writeln!(
            f,
            "Recall is of the faults whose evidence survived; hints of other rules count neither way."
        )?;
        writeln!(f)?;
        write!(f, "{:<26} {:>6}", "", "faults")?;
        for (name, _) in &self.outcomes {
            write!(f, "  {name:>11}")?;
        }
        writeln!(f)?;
        let one: Vec<&str> =
            RULES.iter().filter(|rule| !ACROSS.contains(rule) && !HINTS.contains(rule)).copied().collect();
        self.part(f, "decided by one trace", &one)?;
        self.part(f, "decided by many traces", ACROSS)?;
        self.part(f, "hints", HINTS)
    }
}

impl Accuracy {
    fn part(&self, f: &mut fmt::Formatter<'_>, title: &str, rules: &[&str]) -> fmt::Result {
        writeln!(f, "{title}")?;
        let sum = |rules: &[&str]| -> Vec<Counts> {
            let of = |outcome: &super::Outcome| {
                let counts = rules.iter().filter_map(|rule| outcome.rules.get(*rule));
                counts.fold(Counts::default(), |all, counts| all + *counts)
            };
            self.outcomes.iter().map(|(_, outcome)| of(outcome)).collect()
        };
        for rule in rules {
            row(f, &format!("  {rule}"), &sum(&[rule]))?;
        }
        row(f, "  all of them", &sum(rules))
    }
}

fn row(f: &mut fmt::Formatter<'_>, title: &str, counts: &[Counts]) -> fmt::Result {
    let faults = counts.first().map_or(0, |counts| counts.found + counts.missed);
    write!(f, "{title:<26} {faults:>6}")?;
    for counts in counts {
        let precision = percent(counts.precision(), counts.right + counts.wrong);
        let recall = percent(counts.recall(), counts.found + counts.missed);
        write!(f, "  {precision:>5} {recall:>5}")?;
    }
    writeln!(f)
}

/// Rounded down: what is not whole must not look so. A share of nothing is none.
fn percent(share: f64, of: usize) -> String {
    match of {
        0 => "-".to_owned(),
        _ => format!("{:.3}", (share * 1000.0).floor() / 1000.0),
    }
}

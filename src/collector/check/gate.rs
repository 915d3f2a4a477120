//! What fails a run.

use std::fmt;
use std::process::ExitCode;

use hopseal_correlate::finding::{Confidence, Finding, Severity};
use hopseal_correlate::report::{Coverage, Report};

use super::Baseline;

/// Exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Nothing to complain of.
    Clean = 0,
    /// Findings at or over the limit, or a minimum missed.
    Findings = 1,
    /// Wrong usage or configuration, or the result could not be written.
    Usage = 2,
    /// A file of the input could not be read at all, or with `--strict` anything was rejected.
    Unreadable = 3,
}

/// The least severity that fails the run. Hints never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    /// High findings.
    High,
    /// Medium and high findings.
    Medium,
    /// Low, medium and high findings.
    Low,
    /// No finding.
    Never,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What fails a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// The least severity that fails.
    pub fail_on: FailOn,
    /// Least identified/hops, from 0 to 1.
    pub min_coverage: Option<f64>,
    /// Least proven/hops, from 0 to 1.
    pub min_proven: Option<f64>,
    /// Whether anything rejected fails.
    pub strict: bool,
}

impl Gate {
    /// The exit status of a report.
    #[must_use]
    pub fn exit(&self, report: &Report, baseline: Option<&Baseline>, unreadable: u64) -> Exit {
        if unreadable > 0 || (self.strict && report.input.rejected > 0) {
            Exit::Unreadable
        } else if self.fails_on_findings(report, baseline)
            || self.minimums(report).any(|minimum| minimum.is_missed())
        {
            Exit::Findings
        } else {
            Exit::Clean
        }
    }

    /// The minimums that were asked for, and what was reached.
    pub fn minimums(&self, report: &Report) -> impl Iterator<Item = Minimum> + use<> {
        let Coverage { hops, identified, proven, .. } = report.coverage;
        let of =
            |name, least: Option<f64>, reached| least.map(|least| Minimum { name, least, reached, hops });
        let coverage = of("coverage", self.min_coverage, identified);
        coverage.into_iter().chain(of("proven", self.min_proven, proven))
    }

    fn fails_on_findings(&self, report: &Report, baseline: Option<&Baseline>) -> bool {
        report.findings.iter().any(|finding| self.fails_on(finding, baseline))
    }

    /// Whether this finding fails the run.
    #[must_use]
    pub fn fails_on(&self, finding: &Finding, baseline: Option<&Baseline>) -> bool {
        let least = match self.fail_on {
            FailOn::High => Severity::High,
            FailOn::Medium => Severity::Medium,
            FailOn::Low => Severity::Low,
            FailOn::Never => return false,
        };
        finding.severity >= least
            && finding.confidence > Confidence::Hint
            && baseline.is_none_or(|baseline| !baseline.knows(finding))
    }
}

/// A share of all hops that was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Minimum {
    /// Of what: `coverage` or `proven`, as in `--min-coverage`.
    pub name: &'static str,
    /// The least share, from 0 to 1.
    pub least: f64,
    /// Hops that count.
    pub reached: u64,
    /// All hops.
    pub hops: u64,
}

impl Minimum {
    /// Whether fewer hops count than were asked for. Nothing judged is nothing covered.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        (self.reached as f64) < self.least * (self.hops as f64) || self.hops == 0
    }
}

impl fmt::Display for Minimum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, least, reached, hops } = self;
        let word = if *name == "coverage" { "identified" } else { name };
        write!(f, "--min-{name} {least}: {reached} of {hops} hops are {word}")?;
        match hops {
            0 => Ok(()),
            _ => write!(f, " ({:.1} %)", *reached as f64 * 100.0 / *hops as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use hopseal_correlate::finding::{FindingId, Subject};
    use hopseal_correlate::report::Input;
    use hopseal_correlate::rule::Rule;
    use hopseal_correlate::sink::TraceId;

    use super::*;

    fn report(severity: Severity, confidence: Confidence) -> Report {
        let mut finding = Finding::new(Rule::IdentityDropped, Subject::Trace(TraceId([1; 16])), "");
        finding.severity = severity;
        finding.confidence = confidence;
        let coverage = Coverage { hops: 10, identified: 8, proven: 2, uncovered: 0 };
        Report { findings: vec![finding], coverage, ..Report::default() }
    }

    fn gate(fail_on: FailOn, min_coverage: Option<f64>, min_proven: Option<f64>, strict: bool) -> Gate {
        Gate { fail_on, min_coverage, min_proven, strict }
    }

    #[test]
    fn the_first_status_that_applies() {
        let high = report(Severity::High, Confidence::Certain);
        let low = report(Severity::Low, Confidence::Certain);
        let hint = report(Severity::High, Confidence::Hint);
        let rejected = Report { input: Input { rejected: 1, ..Input::default() }, ..high.clone() };
        for (name, gate, report, unreadable, exit) in [
            ("high at high", gate(FailOn::High, None, None, false), &high, 0, Exit::Findings),
            ("low at high", gate(FailOn::High, None, None, false), &low, 0, Exit::Clean),
            ("low at low", gate(FailOn::Low, None, None, false), &low, 0, Exit::Findings),
            ("a hint never fails", gate(FailOn::Low, None, None, false), &hint, 0, Exit::Clean),
            ("never", gate(FailOn::Never, None, None, false), &high, 0, Exit::Clean),
            ("coverage met", gate(FailOn::Never, Some(0.8), None, false), &high, 0, Exit::Clean),
            ("coverage missed", gate(FailOn::Never, Some(0.81), None, false), &high, 0, Exit::Findings),
            ("proven missed", gate(FailOn::Never, None, Some(0.3), false), &high, 0, Exit::Findings),
            ("rejected", gate(FailOn::High, None, None, false), &rejected, 0, Exit::Findings),
            ("rejected, strict", gate(FailOn::High, None, None, true), &rejected, 0, Exit::Unreadable),
            ("unreadable comes first", gate(FailOn::High, None, None, false), &high, 1, Exit::Unreadable),
        ] {
            assert_eq!(gate.exit(report, None, unreadable), exit, "{name}");
        }
        let empty = Report::default();
        assert_eq!(gate(FailOn::High, Some(0.1), None, false).exit(&empty, None, 0), Exit::Findings);
    }

    #[test]
    fn a_baseline_forgives_the_groups_it_knows() {
        let high = report(Severity::High, Confidence::Certain);
        let gate = gate(FailOn::High, None, None, false);
        let known = Baseline::of(&high.findings);
        assert_eq!(gate.exit(&high, Some(&known), 0), Exit::Clean);
        let mut other = high.findings[0].clone();
        other.group_id = FindingId([7; 16]);
        assert_eq!(gate.exit(&high, Some(&Baseline::of([&other])), 0), Exit::Findings);
    }
}

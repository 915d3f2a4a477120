//! What fails a run.

use std::process::ExitCode;

use hopseal_correlate::finding::{Confidence, Finding, Severity};
use hopseal_correlate::report::Report;

use super::Baseline;

/// Exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Nothing to complain of.
    Clean = 0,
    /// Findings at or over the limit, or a minimum missed.
    Findings = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// A file could not be read at all, or with `--strict` anything was rejected.
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
        let coverage = &report.coverage;
        let misses = |least: Option<f64>, part: u64| {
            // Nothing judged is nothing covered.
            least.is_some_and(|least| (part as f64) < least * (coverage.hops as f64) || coverage.hops == 0)
        };
        if unreadable > 0 || (self.strict && report.input.rejected > 0) {
            Exit::Unreadable
        } else if self.fails_on_findings(report, baseline)
            || misses(self.min_coverage, coverage.identified)
            || misses(self.min_proven, coverage.proven)
        {
            Exit::Findings
        } else {
            Exit::Clean
        }
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
            && baseline.is_none_or(|baseline| !baseline.knows(finding.group_id))
    }
}

#[cfg(test)]
mod tests {
    use hopseal_correlate::finding::{FindingId, Subject};
    use hopseal_correlate::report::{Coverage, Input};
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
        let known = Baseline::of([FindingId([0; 16])]);
        assert_eq!(gate.exit(&high, Some(&known), 0), Exit::Clean);
        assert_eq!(gate.exit(&high, Some(&Baseline::of([FindingId([7; 16])])), 0), Exit::Findings);
    }
}

//! What the query API answers, read back. What is not needed is left out.

use serde::Deserialize;

use super::trail::ReadFinding;

/// Why there is no answer.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ReadProblem {
    /// One sentence.
    #[serde(default)]
    pub(crate) error: String,
}

/// Some findings.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadFindings {
    /// The newest first.
    pub(crate) findings: Vec<ReadStated>,
}

/// A finding and what became of it.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadStated {
    /// When the hop began: nanoseconds since the Unix epoch, as text.
    pub(crate) at_unix_nano: String,
    /// The finding.
    pub(crate) finding: ReadFinding,
}

/// Edges of an interval.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadEdges {
    /// By caller, service, assurance and basis.
    pub(crate) edges: Vec<ReadEdge>,
}

/// Hops of one caller into one service.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadEdge {
    /// The service called.
    pub(crate) service: String,
    /// How sure.
    pub(crate) assurance: String,
    /// Why that is believed.
    pub(crate) basis: String,
    /// How many.
    pub(crate) hops: u64,
}

/// Coverage over time.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadCoverages {
    /// In order of time.
    pub(crate) points: Vec<ReadCoverage>,
}

/// Coverage of a minute.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadCoverage {
    /// When it begins: nanoseconds since the Unix epoch, as text.
    pub(crate) at_unix_nano: String,
    /// All hops.
    pub(crate) hops: u64,
    /// Hops with a principal.
    pub(crate) identified: u64,
    /// Of them, those that are proven.
    pub(crate) proven: u64,
}

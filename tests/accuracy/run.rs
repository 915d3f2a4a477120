//! The program, from the outside.

use std::io;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::generator::otlp;
use crate::generator::span::Span;

/// What is declared about the fleets of the generator.
const POLICY: &str = include_str!("policy.yaml");

/// `hopseal check` could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The input could not be written.
    #[error("writing the input of `hopseal check`")]
    Write(#[source] io::Error),
    /// The program did not start.
    #[error("starting `{program}`")]
    Start {
        /// Its path.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It ran, and said that it could not do it.
    #[error("`hopseal check` ended with {status}: {stderr}")]
    Failed {
        /// Its exit status.
        status: std::process::ExitStatus,
        /// What it said.
        stderr: String,
    },
    /// Its answer is not the JSON that it promises.
    #[error("reading the answer of `hopseal check`")]
    Answer(#[source] serde_json::Error),
}

/// A finding, as far as it is compared.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Finding {
    pub(super) rule: String,
    pub(super) severity: String,
    pub(super) confidence: String,
    pub(super) trace_id: Option<String>,
    pub(super) span_id: Option<String>,
    pub(super) service: String,
    pub(super) operation: String,
    pub(super) message: String,
}

#[derive(Deserialize)]
struct Report {
    findings: Vec<Finding>,
}

/// What `hopseal check` finds in `spans`.
pub(super) fn check(hopseal: &Path, spans: &[Span]) -> Result<Vec<Finding>, RunError> {
    let folder = tempfile::tempdir().map_err(RunError::Write)?;
    let (corpus, policy) = (folder.path().join("corpus.otlp.pb"), folder.path().join("policy.yaml"));
    std::fs::write(&corpus, otlp::encode(spans)).map_err(RunError::Write)?;
    std::fs::write(&policy, POLICY).map_err(RunError::Write)?;
    let output = Command::new(hopseal)
        .args(["check", "--format", "json", "--hops", "none", "--fail-on", "never", "--strict", "--policy"])
        .args([&policy, &corpus])
        .output()
        .map_err(|source| RunError::Start { program: hopseal.display().to_string(), source })?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(RunError::Failed { status: output.status, stderr });
    }
    let report: Report = serde_json::from_slice(&output.stdout).map_err(RunError::Answer)?;
    Ok(report.findings)
}

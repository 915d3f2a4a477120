//! The program, from the outside.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::generator::span::{Span, TraceId};
use crate::generator::{RELEASED, otlp};

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
        status: String,
        /// What it said.
        stderr: String,
    },
    /// Its answer is not the JSON that it promises.
    #[error("reading the answer of `hopseal check`")]
    Answer(#[source] serde_json::Error),
}

/// Runs `hopseal` with these arguments; what it wrote to standard output.
pub type Hopseal<'a> = dyn Fn(&[OsString]) -> Result<Vec<u8>, RunError> + 'a;

/// The program at `path`, as anyone would run it.
///
/// # Errors
/// Those of running it: [`RunError::Start`], [`RunError::Failed`].
pub fn program(path: &Path) -> impl Fn(&[OsString]) -> Result<Vec<u8>, RunError> {
    move |args| {
        let start = |source| RunError::Start { program: path.display().to_string(), source };
        let output = Command::new(path).args(args).output().map_err(start)?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(RunError::Failed { status: output.status.to_string(), stderr });
        }
        Ok(output.stdout)
    }
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

/// What `hopseal check` finds in `spans`. What needs a run before is found against the release before.
pub(super) fn check(hopseal: &Hopseal<'_>, spans: &[Span]) -> Result<Vec<Finding>, RunError> {
    let bench = Bench::new(hopseal)?;
    let mut findings = bench.run(spans, &[])?;
    let (before, after) = releases(spans);
    let catalogue = bench.folder.path().join("catalogue.json");
    let named = |option: &str| [OsString::from(option), catalogue.clone().into_os_string()];
    bench.run(&before, &named("--write-catalogue"))?;
    findings.retain(|finding| finding.rule != AGAINST_BEFORE);
    let later = bench.run(&after, &named("--catalogue"))?;
    findings.extend(later.into_iter().filter(|finding| finding.rule == AGAINST_BEFORE));
    Ok(findings)
}

/// The rule that compares with a run before.
const AGAINST_BEFORE: &str = "coverage_regression";

/// The spans of the fleets in which a service was released anew: traces without the new version, traces with it.
fn releases(spans: &[Span]) -> (Vec<Span>, Vec<Span>) {
    let new: Vec<&Span> = spans.iter().filter(|span| span.resource.version == RELEASED).collect();
    let traces: BTreeSet<TraceId> = new.iter().map(|span| span.trace).collect();
    let fleets: BTreeSet<&str> = new.iter().map(|span| span.resource.namespace.as_str()).collect();
    let of_them = spans.iter().filter(|span| fleets.contains(span.resource.namespace.as_str()));
    of_them.cloned().partition(|span| !traces.contains(&span.trace))
}

/// A folder to run the program in.
struct Bench<'a> {
    hopseal: &'a Hopseal<'a>,
    folder: tempfile::TempDir,
    policy: PathBuf,
}

impl<'a> Bench<'a> {
    fn new(hopseal: &'a Hopseal<'a>) -> Result<Self, RunError> {
        let folder = tempfile::tempdir().map_err(RunError::Write)?;
        let policy = folder.path().join("policy.yaml");
        std::fs::write(&policy, POLICY).map_err(RunError::Write)?;
        Ok(Self { hopseal, folder, policy })
    }

    fn run(&self, spans: &[Span], more: &[OsString]) -> Result<Vec<Finding>, RunError> {
        let corpus = self.folder.path().join("corpus.otlp.pb");
        std::fs::write(&corpus, otlp::encode(spans)).map_err(RunError::Write)?;
        const ASK: [&str; 9] =
            ["check", "--format", "json", "--hops", "none", "--fail-on", "never", "--strict", "--policy"];
        let mut args: Vec<OsString> = ASK.map(OsString::from).to_vec();
        args.extend([self.policy.clone(), corpus].map(OsString::from));
        args.extend_from_slice(more);
        let report: Report = serde_json::from_slice(&(self.hopseal)(&args)?).map_err(RunError::Answer)?;
        Ok(report.findings)
    }
}

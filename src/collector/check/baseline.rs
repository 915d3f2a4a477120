//! An earlier run: the findings that are known already.

use std::collections::BTreeSet;
use std::path::Path;

use hopseal_correlate::finding::Finding;
use hopseal_correlate::report::Report;
use hopseal_correlate::rule::Rule;
use serde::Deserialize;

use super::CheckError;

/// Names of spans that say how a service was called and not what of it.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "HTTP"];

/// What was found in an earlier run: by group, since each run sees other traces, and of credentials by what was sent
/// where, since one operation may come to send another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baseline {
    groups: BTreeSet<String>,
    credentials: BTreeSet<Credential>,
}

/// Group, class and attribute key.
type Credential = (String, String, String);

#[derive(Deserialize)]
struct ReportFile {
    groups: Vec<GroupFile>,
    #[serde(default)]
    findings: Vec<FindingFile>,
}

#[derive(Deserialize)]
struct GroupFile {
    id: String,
}

#[derive(Deserialize)]
struct FindingFile {
    group_id: String,
    rule: String,
    #[serde(default)]
    evidence: Evidence,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Evidence {
    class: String,
    key: String,
}

impl Baseline {
    /// A baseline that knows these findings.
    #[must_use]
    pub fn of<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> Self {
        let mut baseline = Self::default();
        for finding in findings {
            baseline.groups.insert(finding.group_id.to_string());
            baseline.credentials.extend(credential(finding));
        }
        baseline
    }

    /// Reads a report written with `--format json`.
    pub(crate) fn load(path: &Path) -> Result<Self, CheckError> {
        let what = "baseline";
        let text =
            std::fs::read(path).map_err(|source| CheckError::Open { what, path: path.to_owned(), source })?;
        let report: ReportFile = serde_json::from_slice(&text).map_err(|source| CheckError::Parse {
            what,
            path: path.to_owned(),
            source,
        })?;
        let credentials =
            report.findings.into_iter().filter(|it| it.rule == Rule::CredentialInTelemetry.as_str());
        Ok(Self {
            groups: report.groups.into_iter().map(|group| group.id).collect(),
            credentials: credentials.map(|it| (it.group_id, it.evidence.class, it.evidence.key)).collect(),
        })
    }

    /// Whether the earlier run had a finding like this.
    #[must_use]
    pub fn knows(&self, finding: &Finding) -> bool {
        match credential(finding) {
            Some(credential) => self.credentials.contains(&credential),
            None => self.groups.contains(&finding.group_id.to_string()),
        }
    }

    /// Services with a known group whose operation is a method and no more, so that all routes of it are known; by name.
    #[must_use]
    pub(super) fn without_routes<'r>(&self, report: &'r Report) -> BTreeSet<(&'r str, &'r str)> {
        let bare = report.findings.iter().filter(|it| is_method(&it.operation) && self.knows(it));
        bare.map(|finding| (&*finding.service, &*finding.operation)).collect()
    }
}

fn is_method(operation: &str) -> bool {
    METHODS.contains(&operation.strip_prefix("HTTP ").unwrap_or(operation))
}

fn credential(finding: &Finding) -> Option<Credential> {
    let fact = |name| finding.evidence.get(name).cloned().unwrap_or_default();
    (finding.rule == Rule::CredentialInTelemetry)
        .then(|| (finding.group_id.to_string(), fact("class"), fact("key")))
}

#[cfg(test)]
mod tests {
    use hopseal_correlate::finding::Subject;
    use hopseal_correlate::sink::TraceId;

    use super::*;

    fn credential(class: &str, key: &str) -> Finding {
        let subject = Subject::Trace(TraceId([1; 16]));
        let finding = Finding::new(Rule::CredentialInTelemetry, subject, class);
        finding.evidence("class", class).evidence("key", key).grouped()
    }

    #[test]
    fn another_credential_of_a_known_group_is_new() {
        let known = credential("jwt", "x");
        let baseline = Baseline::of([&known]);
        assert!(baseline.knows(&known));
        for (class, key) in [("password", "x"), ("jwt", "y")] {
            let other = credential(class, key);
            assert_eq!(other.group_id, known.group_id);
            assert!(!baseline.knows(&other), "{class} {key}");
        }
    }

    #[test]
    fn what_is_kept_as_json_is_known() {
        let known = credential("jwt", "x");
        let report = Report { findings: vec![known.clone()], ..Report::default() };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("baseline.json");
        let finding = crate::output::finding(&known).expect("JSON");
        let text = format!("{{\"groups\": [{{\"id\": \"{}\"}}], \"findings\": [{finding}]}}", known.group_id);
        std::fs::write(&path, text).expect("written");
        let loaded = Baseline::load(&path).expect("loaded");
        assert_eq!(loaded, Baseline::of(&report.findings));
    }

    #[test]
    fn a_name_without_a_route_is_told() {
        let mut finding = credential("jwt", "x");
        finding.service = "shop".to_owned();
        let mut told = |operation: &str| {
            finding.operation = operation.to_owned();
            let report = Report { findings: vec![finding.clone()], ..Report::default() };
            Baseline::of(&report.findings).without_routes(&report).len()
        };
        assert_eq!((told("GET"), told("GET /o")), (1, 0));
    }
}

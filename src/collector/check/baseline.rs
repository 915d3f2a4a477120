//! An earlier run: the groups of findings that are known already.

use std::collections::BTreeSet;
use std::path::Path;

use hopseal_correlate::finding::FindingId;
use serde::Deserialize;

use super::CheckError;

/// Groups of findings of an earlier run. Single findings never recur, since each run sees other traces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline(BTreeSet<String>);

#[derive(Deserialize)]
struct ReportFile {
    groups: Vec<GroupFile>,
}

#[derive(Deserialize)]
struct GroupFile {
    id: String,
}

impl Baseline {
    /// A baseline of these groups.
    #[must_use]
    pub fn of(groups: impl IntoIterator<Item = FindingId>) -> Self {
        Self(groups.into_iter().map(|id| id.to_string()).collect())
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
        Ok(Self(report.groups.into_iter().map(|group| group.id).collect()))
    }

    /// Whether the earlier run had this group.
    #[must_use]
    pub fn knows(&self, group: FindingId) -> bool {
        self.0.contains(&group.to_string())
    }
}

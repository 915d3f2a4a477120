//! What a check prints. The shapes of all JSON are here and nowhere else.

pub(crate) mod alert;
pub(crate) mod health;
pub(crate) mod jaeger;
mod json;
mod junit;
mod ocsf;
pub(crate) mod otlp;
pub(crate) mod read;
mod sarif;
mod table;
#[cfg(test)]
mod tests;
pub(crate) mod trail;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Write;

use hopseal_correlate::finding::{Finding, FindingId};
use hopseal_correlate::policy::Date;
use hopseal_correlate::report::Report;

pub(crate) use json::finding;
pub(crate) use table::clean;

use crate::check::{CheckError, Checked, Gate};

/// How the result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: trees of hops, findings by edge, coverage.
    Table,
    /// One JSON object.
    Json,
    /// One trace or finding a line.
    Jsonl,
    /// SARIF 2.1.0, for code-scanning views.
    Sarif,
    /// JUnit XML: a failed case for each group that fails the run.
    Junit,
    /// OCSF Detection Findings, one a line.
    Ocsf,
}

/// Writes a finished check; in colour where the format has any and `colour` says so.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(
    format: Format,
    colour: bool,
    checked: &Checked,
    gate: &Gate,
    out: &mut dyn Write,
) -> Result<(), CheckError> {
    let written = match format {
        Format::Json => json::write(checked, gate, out),
        Format::Jsonl => json::write_lines(checked, out),
        Format::Junit => junit::write(checked, gate, out),
        Format::Ocsf => ocsf::write(checked, out),
        Format::Sarif => sarif::write(checked, gate, out),
        Format::Table => table::write(checked, gate, colour, out),
    };
    written.and_then(|()| out.flush()).map_err(CheckError::Output)
}

/// Writes the traces of a report hop by hop, and what was found in them, as the table has it.
pub(crate) fn traces(report: &Report, colour: bool, out: &mut dyn Write) -> std::io::Result<()> {
    table::write_traces(report, colour, out)
}

/// Findings of one group that say the same.
struct Alike<'r> {
    /// The surest of them.
    example: &'r Finding,
    count: u64,
    /// Whether an earlier run did not have it; `None` without an earlier run.
    is_new: Option<bool>,
}

/// The findings of each group by what they say: the new ones first, then the surest.
fn by_group<'r>(
    report: &'r Report,
    is_new: &dyn Fn(&Finding) -> Option<bool>,
) -> BTreeMap<FindingId, Vec<Alike<'r>>> {
    let mut places: BTreeMap<(FindingId, &str, Option<bool>), usize> = BTreeMap::new();
    let mut groups: BTreeMap<FindingId, Vec<Alike<'r>>> = BTreeMap::new();
    for finding in &report.findings {
        let is_new = is_new(finding);
        let group = groups.entry(finding.group_id).or_default();
        let place = *places.entry((finding.group_id, &finding.message, is_new)).or_insert(group.len());
        match group.get_mut(place) {
            Some(alike) => {
                alike.count += 1;
                if finding.confidence > alike.example.confidence {
                    alike.example = finding;
                }
            }
            None => group.push(Alike { example: finding, count: 1, is_new }),
        }
    }
    for group in groups.values_mut() {
        group.sort_by_key(|alike| Reverse((alike.is_new, alike.example.confidence)));
    }
    groups
}

/// A moment as ISO 8601 writes it, to the second, or with so many digits after it.
pub(crate) fn iso(nanos: u64, digits: usize) -> String {
    let seconds = nanos / 1_000_000_000;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let mut text = format!("{}T{hour:02}:{minute:02}:{second:02}", Date::of(nanos));
    if digits > 0 {
        let part = format!("{:09}", nanos % 1_000_000_000);
        text.push('.');
        text.push_str(part.get(..digits).unwrap_or(&part));
    }
    text.push('Z');
    text
}

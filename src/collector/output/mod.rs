//! What a check prints. The shapes of all JSON are here and nowhere else.

mod json;
mod junit;
mod ocsf;
mod sarif;
mod table;
#[cfg(test)]
mod tests;

use std::io::Write;

use crate::check::{CheckError, Checked, Gate};
use crate::cli::Format;

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
    let report = &checked.report;
    let written = match format {
        Format::Json => json::write(report, out),
        Format::Jsonl => json::write_lines(report, out),
        Format::Junit => junit::write(report, gate, checked.baseline.as_ref(), out),
        Format::Ocsf => ocsf::write(report, out),
        Format::Sarif => sarif::write(report, out),
        Format::Table => table::write(report, colour, out),
    };
    written.and_then(|()| out.flush()).map_err(CheckError::Output)
}

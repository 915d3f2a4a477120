//! What a check prints. The shapes of all JSON are here and nowhere else.

mod json;
mod table;

use std::io::Write;

use crate::check::{CheckError, Checked};
use crate::cli::Format;

/// Writes a finished check; in colour where the format has any and `colour` says so.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(format: Format, colour: bool, checked: &Checked, out: &mut dyn Write) -> Result<(), CheckError> {
    let written = match format {
        Format::Json => json::write(&checked.report, out),
        Format::Table => table::write(&checked.report, colour, out),
        Format::Jsonl => json::write_lines(&checked.report, out),
    };
    written.and_then(|()| out.flush()).map_err(CheckError::Output)
}

//! What a check prints. The shapes of all JSON are here and nowhere else.

mod json;

use std::io::Write;

use crate::check::{CheckError, Checked};
use crate::cli::Format;

/// Writes a finished check.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(format: Format, checked: &Checked, out: &mut dyn Write) -> Result<(), CheckError> {
    let written = match format {
        Format::Json | Format::Table => json::write(&checked.report, out),
        Format::Jsonl => json::write_lines(&checked.report, out),
    };
    written.and_then(|()| out.flush()).map_err(CheckError::Output)
}

//! Columns that line up, whatever the width of their characters.

use std::io::{self, Write};

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;

/// Widest a cell gets; longer text is cut.
const MAX_WIDTH: usize = 60;

/// Text from a trace as it may be shown: control characters could drive the terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_bidi(c) { '\u{fffd}' } else { c }).collect()
}

/// Characters that turn the direction of what follows.
const fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// One cell of a row.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Cell {
    pub(super) fn new(text: &str) -> Self {
        let mut text = text.to_owned();
        if text.width() > MAX_WIDTH {
            while text.width() > MAX_WIDTH - 3 {
                text.pop();
            }
            text.push_str("...");
        }
        Self { text, style: Style::new(), right: false }
    }

    pub(super) fn styled(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    pub(super) fn right(mut self) -> Self {
        self.right = true;
        self
    }
}

/// Rows of cells, each column as wide as its widest cell.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<Vec<Cell>>);

impl FromIterator<Vec<Cell>> for Rows {
    fn from_iter<I: IntoIterator<Item = Vec<Cell>>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

impl Rows {
    pub(super) fn push(&mut self, row: Vec<Cell>) {
        self.0.push(row);
    }

    pub(super) fn write(&self, indent: &str, colour: bool, out: &mut dyn Write) -> io::Result<()> {
        let columns = self.0.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.0.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.text.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.0 {
            let mut line = indent.to_owned();
            let filled = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
            for (at, (cell, width)) in row.iter().zip(&widths).take(filled).enumerate() {
                let pad = " ".repeat(width - cell.text.width());
                let style = if colour { cell.style } else { Style::new() };
                let text = format!("{style}{}{style:#}", cell.text);
                match (cell.right, at + 1 == filled) {
                    (true, last) => line.extend([&*pad, &*text, if last { "" } else { "  " }]),
                    (false, true) => line.push_str(&text),
                    (false, false) => line.extend([&*text, &*pad, "  "]),
                }
            }
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

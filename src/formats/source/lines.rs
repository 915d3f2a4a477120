//! JSON Lines: a value a line, each by itself, so that a bad line costs no other.

use hopseal_correlate::sink::{Position, Sink};
use memchr::memchr;

use super::detect::{self, HEAD, key};
use super::input::Input;
use super::json;
use super::protobuf::too_large;
use super::{Format, Limits};
use crate::boundary::Boundary;

/// How far the end of the first line is looked for. A longer first line is read as a document, element by element.
pub(super) const FIRST_LINE: usize = 16 << 20;

/// Refuses the lines in front of the first that begins like JSON, and says which line that is.
pub(super) fn skip_to_json<S: Sink + ?Sized>(input: &mut Input<'_>, sink: &mut S) -> u64 {
    let mut number = 1;
    loop {
        let head = input.head(HEAD);
        if head.is_empty() || detect::json(head) {
            return number;
        }
        if !is_blank(head) {
            sink.reject(Position::Line(number), json::NOT_JSON);
        }
        skip_line(input);
        number += 1;
    }
}

/// Whether nothing stands on the line that begins here, as far as this goes.
fn is_blank(head: &[u8]) -> bool {
    let line = head.get(..memchr(b'\n', head).unwrap_or(head.len())).unwrap_or_default();
    line.trim_ascii().is_empty()
}

/// Whether the file holds a value a line: its first line is a whole value; or it is cut short, which shows by a
/// string that is open at its end, or by the lines after it, which stand for themselves.
pub(super) fn is_lines(input: &mut Input<'_>) -> bool {
    let Some(end) = line(input, 0, FIRST_LINE) else { return false };
    let (first, others) = input.head(end + HEAD).split_at_checked(end).unwrap_or_default();
    let second = others.strip_prefix(b"\n").unwrap_or_default();
    let start = first.trim_ascii_start();
    if second.trim_ascii().is_empty() || start.is_empty() {
        return false;
    }
    let mut boundary = Boundary::default();
    let value = boundary.feed(start);
    let whole = value.is_some_and(|end| start.get(end..).unwrap_or_default().trim_ascii().is_empty());
    // No string goes on in the next line.
    whole
        || (boundary.in_string() && detect::json(second))
        || alike(start, second)
        || (start.starts_with(b"{") && two_follow(input, end + 1))
}

/// Whether both lines begin with the same key and no indentation.
fn alike(first: &[u8], second: &[u8]) -> bool {
    match (first.strip_prefix(b"{"), second.strip_prefix(b"{")) {
        (Some(first), Some(second)) => key(first).is_some_and(|first| Some(first) == key(second)),
        _ => false,
    }
}

/// Whether a whole value stands on the line at `start` and one alike begins the next. No comma is between them, so no
/// value holds both.
fn two_follow(input: &mut Input<'_>, start: usize) -> bool {
    let Some(end) = line(input, start, FIRST_LINE) else { return false };
    let (before, next) = input.head(end + HEAD).split_at_checked(end).unwrap_or_default();
    let whole = before.get(start..).unwrap_or_default().trim_ascii_end();
    Boundary::of(whole) == Some(whole.len()) && alike(whole, next.strip_prefix(b"\n").unwrap_or_default())
}

/// Reads a file of lines, of which the next has this number.
pub(super) fn read<S: Sink + ?Sized>(
    input: &mut Input<'_>,
    first: u64,
    limits: &Limits,
    sink: &mut S,
) -> Option<Format> {
    let mut format = None;
    for number in first.. {
        if input.is_spent() {
            break;
        }
        let at = Position::Line(number);
        let end = line(input, 0, limits.element);
        let Some(line) = end.and_then(|end| input.rest().get(..end)) else {
            sink.reject(at, &too_large("the line", limits.element as u64));
            skip_line(input);
            continue;
        };
        let found = json::read_line(line, at, limits, sink);
        format = format.or(found);
        let end = line.len();
        input.consume(end + 1);
    }
    format
}

/// Where the line at `start` ends, or what is left does. None when it is longer than `most`.
fn line(input: &mut Input<'_>, start: usize, most: usize) -> Option<usize> {
    let mut searched = start;
    loop {
        let rest = input.rest();
        if let Some(end) = memchr(b'\n', rest.get(searched..).unwrap_or_default()) {
            return Some(searched + end).filter(|&end| end - start <= most);
        }
        searched = rest.len();
        if searched > start.saturating_add(most) {
            return None;
        }
        if !input.more() {
            return Some(searched);
        }
    }
}

/// Steps over the rest of the line.
pub(super) fn skip_line(input: &mut Input<'_>) {
    loop {
        let rest = input.rest();
        let end = memchr(b'\n', rest);
        let count = end.map_or(rest.len(), |end| end + 1);
        input.consume(count);
        if end.is_some() || !input.more() {
            return;
        }
    }
}

//! JSON Lines: a value a line, each by itself, so that a bad line costs no other.

use hopseal_correlate::sink::{Position, Sink};
use memchr::memchr;

use super::detect::key;
use super::input::Input;
use super::json;
use super::protobuf::too_large;
use super::{Format, Limits};
use crate::boundary::Boundary;

/// How far the end of the first line is looked for. A longer first line is read as a document, element by element.
const FIRST_LINE: usize = 16 << 20;

/// Whether the file holds a value a line: its first line is a whole value or no value at all, or the second begins with
/// the same key and no indentation, as it does when the first is cut short.
pub(super) fn is_lines(input: &mut Input<'_>) -> bool {
    let Some(end) = line(input, FIRST_LINE) else { return false };
    input.reach(end + 80);
    let (first, others) = input.rest().split_at_checked(end).unwrap_or_default();
    let second = others.strip_prefix(b"\n").unwrap_or_default();
    let start = first.trim_ascii_start();
    if second.trim_ascii().is_empty() {
        return false;
    }
    match start.first() {
        Some(b'{' | b'[') => {}
        Some(_) => return true,
        None => return false,
    }
    let whole =
        Boundary::of(start).is_some_and(|end| start.get(end..).unwrap_or_default().trim_ascii().is_empty());
    let same = || match (start.strip_prefix(b"{"), second.strip_prefix(b"{")) {
        (Some(first), Some(second)) => key(first).is_some_and(|first| Some(first) == key(second)),
        _ => false,
    };
    whole || same()
}

/// Reads a file of lines.
pub(super) fn read<S: Sink + ?Sized>(input: &mut Input<'_>, limits: &Limits, sink: &mut S) -> Option<Format> {
    let mut format = None;
    for number in 1.. {
        if input.is_spent() {
            break;
        }
        let at = Position::Line(number);
        let end = line(input, limits.element);
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

/// The length of the next line, or of what is left. None when it is longer than `most`.
fn line(input: &mut Input<'_>, most: usize) -> Option<usize> {
    let mut searched = 0;
    loop {
        let rest = input.rest();
        if let Some(end) = memchr(b'\n', rest.get(searched..).unwrap_or_default()) {
            return Some(searched + end).filter(|&length| length <= most);
        }
        searched = rest.len();
        if searched > most {
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

//! JSON, read by pulling: the caller says what it expects next. Nothing is copied and nothing is kept.
//!
//! It takes more than RFC 8259 allows in strings (control characters, unknown escapes), since to refuse a span over one
//! would hide a hop.

use std::borrow::Cow;

use memchr::memchr2;

use super::escape::unescape;
use crate::boundary::Boundary;

/// What is wrong, for people.
pub(super) type Reason = &'static str;

/// What is wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) reason: Reason,
}

pub(super) const CUT: Reason = "cut short: the JSON ends inside this value";
const NOT_JSON: Reason = "not JSON";
const NOT_OBJECT: Reason = "not an object";
const NOT_LIST: Reason = "not a list";
const NOT_STRING: Reason = "not a string";

/// A place in a JSON text. A copy is a place to come back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(json: &'a str) -> Self {
        Self { json, at: 0 }
    }

    #[inline(always)]
    fn rest(&self) -> &'a [u8] {
        self.json.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[cold]
    pub(super) fn fault(&self, reason: Reason) -> Fault {
        Fault { at: self.at, reason: if self.at < self.json.len() { reason } else { CUT } }
    }

    #[cold]
    fn cut(&self) -> Fault {
        Fault { at: self.at, reason: CUT }
    }

    /// The next byte that is not white space.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.json.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Takes `byte` if it comes next.
    #[inline(always)]
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// The bytes from here, after white space, to the end of the next `end`; `None` if they are more than `longest`.
    #[inline]
    pub(super) fn up_to(&mut self, end: &[u8; 2], longest: usize) -> Option<&'a [u8]> {
        self.peek();
        let rest = self.rest();
        let near = rest.get(..longest).unwrap_or(rest);
        let at = memchr::memchr_iter(end[0], near).find(|at| near.get(at + 1) == Some(&end[1]))?;
        near.get(..at + 2)
    }

    /// What stands between here and `other`.
    pub(super) fn between(&self, other: &Self) -> &'a [u8] {
        self.json.as_bytes().get(self.at..other.at).unwrap_or_default()
    }

    /// Goes to the end of what [`up_to`](Self::up_to) told.
    pub(super) fn step_over(&mut self, ahead: &[u8]) {
        self.at += ahead.len();
    }

    /// Takes `null` if it comes next.
    #[inline(always)]
    pub(super) fn null(&mut self) -> bool {
        if self.peek() != Some(b'n') {
            return false;
        }
        let found = self.rest().starts_with(b"null");
        self.at += if found { 4 } else { 0 };
        found
    }

    /// Reads an object: `member` is given each key, unescaped, and has to read the value.
    /// `null` is an object without members.
    #[inline(always)]
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if !self.take(b'{') {
            return if self.null() { Ok(()) } else { Err(self.fault(NOT_OBJECT)) };
        }
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let key = self.string()?;
            if !self.take(b':') {
                return Err(self.fault(NOT_JSON));
            }
            member(self, &key.decode())?;
            if !self.take(b',') {
                return if self.take(b'}') { Ok(()) } else { Err(self.fault(NOT_JSON)) };
            }
        }
    }

    /// Reads a list: `item` has to read each item. `null` is an empty list.
    #[inline(always)]
    pub(super) fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        if !self.take(b'[') {
            return if self.null() { Ok(()) } else { Err(self.fault(NOT_LIST)) };
        }
        if self.take(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if !self.take(b',') {
                return if self.take(b']') { Ok(()) } else { Err(self.fault(NOT_JSON)) };
            }
        }
    }

    /// Reads a string.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<Text<'a>, Fault> {
        if !self.take(b'"') {
            return Err(self.fault(NOT_STRING));
        }
        let start = self.at;
        let mut escaped = false;
        loop {
            match self.stop() {
                Some(b'"') => break,
                Some(_backslash) => {
                    escaped = true;
                    self.at += 2;
                }
                None => return Err(Fault { at: start - 1, reason: CUT }),
            }
        }
        let raw = self.json.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(Text { raw, escaped })
    }

    /// Reads strings without escapes that stand between `literals`, if everything comes next exactly so.
    #[inline(always)]
    pub(super) fn exactly<const N: usize>(&mut self, literals: [&str; N], end: &str) -> Option<[&'a str; N]> {
        let mut ahead = *self;
        let mut strings = [""; N];
        for (string, literal) in strings.iter_mut().zip(literals) {
            ahead.literal(literal)?;
            let start = ahead.at;
            if ahead.stop()? != b'"' {
                return None;
            }
            *string = self.json.get(start..ahead.at)?;
        }
        ahead.literal(end)?;
        *self = ahead;
        Some(strings)
    }

    #[inline(always)]
    fn literal(&mut self, literal: &str) -> Option<()> {
        self.rest().starts_with(literal.as_bytes()).then(|| self.at += literal.len())
    }

    /// Goes to the next quote or backslash.
    #[inline(always)]
    fn stop(&mut self) -> Option<u8> {
        // Most strings are shorter than a call is worth.
        for _ in 0..4 {
            let Some(&word) = self.rest().first_chunk() else { break };
            let word = u64::from_le_bytes(word);
            let found = equal(word, b'"') | equal(word, b'\\');
            if found != 0 {
                let inside = found.trailing_zeros() / 8;
                self.at += inside as usize;
                return Some((word >> (inside * 8)) as u8);
            }
            self.at += 8;
        }
        let rest = self.rest();
        let found = memchr2(b'"', b'\\', rest)?;
        self.at += found;
        rest.get(found).copied()
    }

    /// Reads a number, or a string that holds one, as written. `null` is empty.
    #[inline]
    pub(super) fn number(&mut self) -> Result<&'a str, Fault> {
        if self.peek() == Some(b'"') {
            return Ok(self.string()?.raw);
        }
        if self.null() {
            return Ok("");
        }
        let rest = self.rest();
        let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        // What ends with the text may be half a number: only its neighbour tells where one ends.
        let Some(length) = rest.iter().position(|byte| !part(byte)) else { return Err(self.cut()) };
        if length == 0 {
            return Err(self.fault("not a number"));
        }
        let start = self.at;
        self.at += length;
        Ok(self.json.get(start..self.at).unwrap_or_default())
    }

    /// Reads `true` or `false`.
    pub(super) fn truth(&mut self) -> Result<bool, Fault> {
        self.peek();
        let (truth, length) = match self.rest() {
            [b't', b'r', b'u', b'e', ..] => (true, 4),
            [b'f', b'a', b'l', b's', b'e', ..] => (false, 5),
            _ => return Err(self.fault("neither true nor false")),
        };
        self.at += length;
        Ok(truth)
    }

    /// Steps over a value without reading it: whatever is wrong inside, if its brackets match.
    #[inline]
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'"') {
            return self.string().map(|_| ());
        }
        match Boundary::of(self.rest()) {
            Some(0) => Err(self.fault(NOT_JSON)),
            Some(length) => {
                self.at += length;
                Ok(())
            }
            None => Err(self.cut()),
        }
    }
}

/// A string as it is written, without its quotes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Text<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// What the string says. Allocates only when there are escapes.
    #[inline(always)]
    pub(super) fn decode(self) -> Cow<'a, str> {
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

/// The high bit of each byte of `word` that is `byte`; above the lowest such byte, others may be set.
#[inline(always)]
fn equal(word: u64, byte: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let differs = word ^ (ONES * u64::from(byte));
    differs.wrapping_sub(ONES) & !differs & (ONES * 0x80)
}

//! JSON, read by pulling: the caller says what it expects next. Nothing is copied and nothing is kept.
//!
//! It takes more than RFC 8259 allows in strings (control characters, unknown escapes, bytes that are not UTF-8),
//! since to refuse a span over one would hide a hop.

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
    bytes: &'a [u8],
    /// As much of `bytes`, from its start, as is known to be UTF-8.
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let text = str::from_utf8(bytes).unwrap_or_else(|error| {
            str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        });
        Self { bytes, text, at: 0 }
    }

    pub(super) fn fault(&self, reason: Reason) -> Fault {
        Fault { at: self.at, reason: if self.at < self.bytes.len() { reason } else { CUT } }
    }

    /// The next byte that is not white space.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
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

    /// Takes `null` if it comes next.
    #[inline(always)]
    pub(super) fn null(&mut self) -> bool {
        if self.peek() != Some(b'n') {
            return false;
        }
        let found = self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(b"null"));
        self.at += if found { 4 } else { 0 };
        found
    }

    /// Reads an object: `member` is given each key, without quotes and as it is written, and has to read the value.
    /// `null` is an object without members.
    #[inline(always)]
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &'a [u8]) -> Result<(), Fault>,
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
            member(self, key.raw)?;
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
        let rest = self.bytes.get(start..).unwrap_or_default();
        let mut length = 0;
        let mut escaped = false;
        // Most strings are shorter than a call is worth.
        let found = rest.iter().take(16).position(|&byte| byte == b'"' || byte == b'\\');
        match found {
            Some(found) if rest.get(found) == Some(&b'"') => length = found,
            _ => loop {
                let found = memchr2(b'"', b'\\', rest.get(length..).unwrap_or_default());
                length += found.ok_or(Fault { at: start - 1, reason: CUT })?;
                if rest.get(length) == Some(&b'"') {
                    break;
                }
                escaped = true;
                length += 2;
            },
        }
        self.at = start + length + 1;
        let raw = rest.get(..length).unwrap_or_default();
        let utf8 = self.text.get(start..start + length);
        Ok(Text { raw, utf8, escaped })
    }

    /// Reads a number, or a string that holds one, as written. `null` is empty.
    #[inline]
    pub(super) fn number(&mut self) -> Result<&'a [u8], Fault> {
        if self.peek() == Some(b'"') {
            return Ok(self.string()?.raw);
        }
        if self.null() {
            return Ok(b"");
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = rest.iter().position(|byte| !part(byte)).unwrap_or(rest.len());
        if length == 0 {
            return Err(self.fault("not a number"));
        }
        self.at += length;
        Ok(rest.get(..length).unwrap_or_default())
    }

    /// Reads `true` or `false`.
    pub(super) fn truth(&mut self) -> Result<bool, Fault> {
        self.peek();
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (truth, length) = match rest {
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
        match Boundary::of(self.bytes.get(self.at..).unwrap_or_default()) {
            Some(0) => Err(self.fault(NOT_JSON)),
            Some(length) => {
                self.at += length;
                Ok(())
            }
            None => Err(Fault { at: self.at, reason: CUT }),
        }
    }
}

/// A string as it is written, without its quotes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Text<'a> {
    raw: &'a [u8],
    utf8: Option<&'a str>,
    escaped: bool,
}

impl<'a> Text<'a> {
    /// What the string says, or its bytes if that is not UTF-8. Allocates only when there are escapes.
    #[inline]
    pub(super) fn decode(self) -> Result<Cow<'a, str>, Cow<'a, [u8]>> {
        if self.escaped {
            String::from_utf8(unescape(self.raw))
                .map(Cow::Owned)
                .map_err(|error| Cow::Owned(error.into_bytes()))
        } else {
            let text = self.utf8.or_else(|| str::from_utf8(self.raw).ok());
            text.map(Cow::Borrowed).ok_or(Cow::Borrowed(self.raw))
        }
    }

    /// What the string says, UTF-8 or not.
    #[inline]
    pub(super) fn bytes(self) -> Cow<'a, [u8]> {
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

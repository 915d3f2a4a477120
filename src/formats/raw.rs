//! JSON taken apart before it is read: the bytes of each member or item, and where they stand.
//!
//! Taking apart only matches brackets and skips strings. It needs no stack, so depth costs nothing, and a
//! value that is bad in itself never takes its neighbours with it: of a file cut short, everything up to
//! the cut comes out. What is never asked for is never checked.

use std::borrow::Cow;

use serde::de::{Deserializer as _, Error, Visitor};

use crate::boundary::Boundary;

/// One JSON value: its bytes, and where they start in the element they were taken from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a> {
    pub(crate) json: &'a [u8],
    pub(crate) at: usize,
}

/// The JSON ends or goes wrong at `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

impl<'a> Raw<'a> {
    /// The first value of `json`.
    pub(crate) fn first(json: &'a [u8]) -> Self {
        Self::at(json, 0)
    }

    /// The first value of `json` from `at` on.
    pub(crate) fn at(json: &'a [u8], at: usize) -> Self {
        let mut rest = Cursor { json: json.get(at..).unwrap_or_default(), at };
        rest.value().unwrap_or(Self { json: &[], at: rest.at })
    }

    pub(crate) fn is_null(self) -> bool {
        self.json == b"null"
    }

    pub(crate) fn is_text(self) -> bool {
        self.json.first() == Some(&b'"')
    }

    /// The members of an object in file order, duplicates included. `null` has none.
    pub(crate) fn members(self) -> Members<'a> {
        Members(Pieces::of(self, b'{', b'}', "is not an object"))
    }

    /// The items of a list. `null` has none.
    pub(crate) fn items(self) -> Items<'a> {
        Items(Pieces::of(self, b'[', b']', "is not a list"))
    }

    /// A string without its quotes and escapes, and whether it was sound. What is not Unicode (stray bytes,
    /// half a surrogate pair) becomes U+FFFD, so that the rest can still be looked through.
    pub(crate) fn text(self) -> Option<(Cow<'a, str>, bool)> {
        let inner = self.json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let bytes = if memchr::memchr(b'\\', inner).is_none() {
            Cow::Borrowed(inner)
        } else {
            let mut escaped = serde_json::Deserializer::from_slice(self.json);
            let bytes = escaped.deserialize_bytes(StringBytes).ok()?;
            escaped.end().ok()?;
            Cow::Owned(bytes)
        };
        Some(match bytes {
            Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => (Cow::Borrowed(text), true),
                Err(_) => (String::from_utf8_lossy(bytes), false),
            },
            Cow::Owned(bytes) => match String::from_utf8(bytes) {
                Ok(text) => (Cow::Owned(text), true),
                Err(bad) => (Cow::Owned(String::from_utf8_lossy(bad.as_bytes()).into_owned()), false),
            },
        })
    }
}

/// `serde_json` hands out a string's bytes unchecked when asked for bytes.
struct StringBytes;

impl Visitor<'_> for StringBytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

/// See [`Raw::members`]. Stops after the first [`Broken`].
pub(crate) struct Members<'a>(Pieces<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = Result<(Cow<'a, str>, Raw<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(|rest| {
            let (key, _) = rest.value()?.text()?;
            rest.eat(b':')?;
            Some((key, rest.value()?))
        })
    }
}

/// See [`Raw::items`]. Stops after the first [`Broken`].
pub(crate) struct Items<'a>(Pieces<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Result<Raw<'a>, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(Cursor::value)
    }
}

/// What stands between two brackets, separated by commas.
struct Pieces<'a> {
    rest: Cursor<'a>,
    close: u8,
    state: State,
}

enum State {
    First,
    Later,
    Wrong(&'static str),
    Over,
}

impl<'a> Pieces<'a> {
    fn of(raw: Raw<'a>, open: u8, close: u8, otherwise: &'static str) -> Self {
        let mut rest = Cursor { json: raw.json, at: raw.at };
        let state = if rest.eat(open).is_some() {
            State::First
        } else if raw.is_null() {
            State::Over
        } else {
            State::Wrong(otherwise)
        };
        Self { rest, close, state }
    }

    fn next<T>(&mut self, take: impl FnOnce(&mut Cursor<'a>) -> Option<T>) -> Option<Result<T, Broken>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Over => return None,
            State::Wrong(what) => return Some(Err(Broken { at: self.rest.at, what })),
            _ if self.rest.eat(self.close).is_some() => return None,
            State::First => {}
            State::Later if self.rest.eat(b',').is_some() => {}
            State::Later => return Some(Err(self.rest.broken())),
        }
        let Some(piece) = take(&mut self.rest) else { return Some(Err(self.rest.broken())) };
        self.state = State::Later;
        Some(Ok(piece))
    }
}

/// What is still to be taken apart.
struct Cursor<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn skip(&mut self, count: usize) {
        self.json = self.json.get(count..).unwrap_or_default();
        self.at += count;
    }

    fn skip_space(&mut self) {
        let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        self.skip(self.json.iter().take_while(|byte| space(byte)).count());
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        (self.json.first() == Some(&byte)).then(|| self.skip(1))
    }

    fn value(&mut self) -> Option<Raw<'a>> {
        self.skip_space();
        let size = Boundary::of(self.json).unwrap_or(self.json.len());
        let json = self.json.get(..size).filter(|json| !json.is_empty())?;
        let value = Raw { json, at: self.at };
        self.skip(json.len());
        Some(value)
    }

    fn broken(&self) -> Broken {
        let what = if self.json.is_empty() { "ends too early" } else { "is not valid JSON" };
        Broken { at: self.at, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(json: &str) -> String {
        let raw = Raw::first(json.as_bytes());
        let show = |raw: Raw<'_>| format!("{}@{}", String::from_utf8_lossy(raw.json), raw.at);
        let broken = |broken: Broken| format!("!{}@{}", broken.what, broken.at);
        let all: Vec<String> = if raw.json.starts_with(b"[") {
            raw.items().map(|item| item.map_or_else(broken, show)).collect()
        } else {
            let member = |(key, value): (Cow<'_, str>, _)| format!("{key}={}", show(value));
            raw.members().map(|each| each.map_or_else(broken, member)).collect()
        };
        all.join(" | ")
    }

    #[test]
    fn pieces_come_out_with_their_places() {
        for (json, expected) in [
            ("[]", ""),
            ("{ }", ""),
            ("null", ""),
            ("7", "!is not an object@0"),
            ("", "!is not an object@0"),
            (r#" [1, "a]" ,{"b":[2]}] x"#, r#"1@2 | "a]"@5 | {"b":[2]}@11"#),
            (r#"{"a":1,"a":"\"}","b\n":[[]]}"#, "a=1@5 | a=\"\\\"}\"@11 | b\n=[[]]@23"),
            // Bad inside: the neighbours are untouched.
            ("[{nonsense}, 2]", "{nonsense}@1 | 2@13"),
            ("[1 2]", "1@1 | !is not valid JSON@3"),
            ("[,1]", "!is not valid JSON@1"),
            ("[1,]", "1@1 | !is not valid JSON@3"),
            ("{1:2}", "!is not valid JSON@4"),
            (r#"{"a" 2}"#, "!is not valid JSON@5"),
            // Cut short: what is whole comes out, then the cut.
            ("[1, [2, 3", "1@1 | [2, 3@4 | !ends too early@9"),
            (r#"{"a": "b"#, r#"a="b@6 | !ends too early@8"#),
            (r#"["a\"#, r#""a\@1 | !ends too early@4"#),
        ] {
            assert_eq!(pieces(json), expected, "{json}");
        }
    }

    #[test]
    fn text_is_read_whatever_it_holds() {
        for (json, expected) in [
            (&br#""plain""#[..], Some(("plain", true))),
            (br#""a\n\u00e9\ud83d\ude00""#, Some(("a\n\u{e9}\u{1f600}", true))),
            (b"\"raw\nnewline\"", Some(("raw\nnewline", true))),
            (b"\"a\xffb\"", Some(("a\u{fffd}b", false))),
            (br#""a\ud800b""#, Some(("a\u{fffd}\u{fffd}\u{fffd}b", false))),
            (br#""\q""#, None),
            (br#""open"#, None),
            (b"\"", None),
            (b"12", None),
        ] {
            let read = Raw { json, at: 0 }.text();
            assert_eq!(read.as_ref().map(|(text, sound)| (&**text, *sound)), expected, "{json:?}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(Raw::first(deep.as_bytes()).items().count(), 2); // the inside, and the missing end
    }
}

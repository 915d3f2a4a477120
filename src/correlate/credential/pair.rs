//! Values under a name: query and form parameters, cookies, JSON members, SQL, whole attributes.

use super::name::{self, Named, Proof};
use super::random::{is_placeholder, is_random};
use super::{Ground, Hits, place};

/// Longest name looked at.
const MAX_NAME: usize = 64;

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'')
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// What ends a value that stands in no quotes.
fn is_end(byte: u8) -> bool {
    is_space(byte) || is_quote(byte) || b"&;,<>)}]|#\\`".contains(&byte)
}

/// Reads the bytes of a value front to back.
struct At<'v> {
    bytes: &'v [u8],
    at: usize,
}

impl At<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, want: impl Fn(u8) -> bool) -> bool {
        let found = self.peek().is_some_and(want);
        self.at += usize::from(found);
        found
    }

    /// Steps over what is wanted, a few bytes at most; whether there was any.
    fn skip(&mut self, want: impl Fn(u8) -> bool) -> bool {
        (0..4).take_while(|_| self.eat(&want)).count() > 0
    }

    /// Where the first wanted byte is, or the end.
    fn until(&self, want: impl Fn(u8) -> bool) -> usize {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        rest.iter().position(|byte| want(*byte)).map_or(self.bytes.len(), |len| self.at + len)
    }
}

/// Looks at every `name=value`, `"name": "value"` and `NAME 'value'`.
pub(super) fn pairs(hits: &mut Hits<'_>) {
    let bytes = hits.value.as_bytes();
    let mut done = 0;
    for at in memchr::memchr3_iter(b'=', b'"', b'\'', bytes) {
        let Some((start, end)) = name_before(bytes, at).filter(|(_, end)| *end > done) else { continue };
        done = end;
        let named = hits.value.get(start..end).and_then(|name| {
            // `IDENTIFIED BY 'secret'`
            if name.eq_ignore_ascii_case("by") {
                let before = hits.value.get(..start)?.trim_ascii_end();
                let is = before.get(before.len().checked_sub(10)?..)?.eq_ignore_ascii_case("identified");
                return is.then_some(Named { class: "password", proof: Proof::Any });
            }
            // An authorization code is of use only with what stands beside it (RFC 6749 section 4.1.3).
            if name == "code" && memchr::memmem::find(bytes, b"client_secret").is_some() {
                return Some(Named { class: "authorization_code", proof: Proof::Random });
            }
            name::of_pair(name)
        });
        if let Some(named) = named {
            value_after(hits, named, start, end);
        }
    }
}

/// The name that ends before the separator at `at`, spaces, quotes and the like between them.
fn name_before(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let before = bytes.get(..at)?;
    let gap = before
        .iter()
        .rev()
        .take(4)
        .take_while(|byte| is_space(**byte) || b"\"'\\:=(>".contains(byte))
        .count();
    let end = at - gap;
    let name = before.get(..end)?.iter().rev().take(MAX_NAME).take_while(|byte| is_name(**byte)).count();
    (name > 0).then_some((end - name, end))
}

/// Reads the value of the name that stands at `start..end`.
fn value_after(hits: &mut Hits<'_>, named: Named, start: usize, end: usize) {
    let mut at = At { bytes: hits.value.as_bytes(), at: end };
    at.eat(|byte| byte == b'\\');
    let in_quotes = at.eat(is_quote);
    let mut loose = at.skip(is_space);
    match at.peek() {
        Some(b'=') => {
            at.skip(|byte| matches!(byte, b'=' | b'>'));
        }
        Some(b':') => {
            at.at += 1;
            loose = true;
        }
        Some(b'(') => {}
        Some(byte) if is_quote(byte) && loose && !in_quotes => {}
        _ => return,
    }
    loose |= at.skip(is_space);
    at.eat(|byte| byte == b'(');
    at.eat(|byte| byte == b'\\');
    let quote = at.peek().filter(|byte| is_quote(*byte));
    if quote.is_some() {
        at.at += 1;
        loose = false;
    }
    let mut stop = match quote {
        Some(quote) => at.until(|byte| byte == quote || byte == b'\\'),
        None => at.until(is_end),
    };
    // `Authorization: Bearer abc`
    let text = |from: usize, to: usize| hits.value.get(from..to).unwrap_or("");
    if named.proof == Proof::Scheme && quote.is_none() && place::scheme(text(at.at, stop)).is_some() {
        at.at = stop;
        at.skip(is_space);
        stop = at.until(is_end);
        loose = false;
    }
    let value = text(at.at, stop);
    // A column compared with another column is no value.
    let is_column =
        quote.is_none() && text(start, end).rsplit('.').next().is_some_and(|name| value.ends_with(name));
    if is_column || (loose && !is_random(value.as_bytes())) {
        return;
    }
    if let Some((from, to, class, ground)) = judge(named, value, at.at) {
        hits.push(class, from, to, ground);
    }
}

/// The whole value, under a key that names a secret.
pub(super) fn whole(hits: &mut Hits<'_>, named: Named) {
    let value = hits.value;
    if named.proof == Proof::Any && value.starts_with('/') {
        // A file that holds it, or a working directory.
        return;
    }
    if let Some((from, to, class, ground)) = judge(named, value, 0) {
        hits.push(class, from, to, ground);
    }
}

/// Whether `value`, which begins at `at`, is the credential that its name promises, and which part of it.
fn judge(named: Named, value: &str, at: usize) -> Option<(usize, usize, &'static str, Ground)> {
    if is_placeholder(value) || super::is_masked(value) {
        return None;
    }
    let spaced = value.trim().contains(' ');
    let all = |ground| Some((at, at + value.len(), named.class, ground));
    match named.proof {
        Proof::Any if value.len() < 3 => None,
        Proof::Any => all(if spaced { Ground::Place } else { Ground::Name }),
        Proof::Token if value.len() < 8 || spaced => None,
        Proof::Token => all(Ground::Name),
        Proof::Random => is_random(value.as_bytes()).then(|| all(Ground::Place))?,
        Proof::Cookie => None,
        Proof::Scheme => match value.trim_start().split_once(' ') {
            Some((word, token)) => {
                let class = place::scheme(word)?;
                let token = token.trim_start();
                let from = at + value.len() - token.len();
                (token.len() >= 4 && !is_placeholder(token)).then_some((
                    from,
                    at + value.len(),
                    class,
                    Ground::Name,
                ))
            }
            None if value.len() >= 8 && place::scheme(value).is_none() => all(Ground::Name),
            None => None,
        },
    }
}

//! Values under a name: query and form parameters, cookies, JSON members, SQL, whole attributes.

use super::name::{self, Named, Proof};
use super::random::{is_placeholder, is_random};
use super::{Ground, Hits, mask, place, work};

/// Longest name looked at.
const MAX_NAME: usize = 64;
/// Values that begin in one stretch without an end and are judged one by one: `token=token=...`
const MAX_NESTED: usize = 8;

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
        let stop = rest.iter().position(|byte| want(*byte)).map_or(self.bytes.len(), |len| self.at + len);
        work::count(stop - self.at.min(stop));
        stop
    }
}

/// The stretch without an end in which the last value stood. The next value often begins in the same.
#[derive(Debug, Clone, Copy, Default)]
struct Stretch {
    start: usize,
    end: usize,
    /// Values judged in it.
    judged: usize,
}

impl Stretch {
    /// Where the value at `at`, which stands in no quotes, ends. It may begin with our own mask or a bracket, in which
    /// there is what else ends a value.
    fn value_end(&mut self, text: &str, at: usize) -> usize {
        let rest = text.get(at..).unwrap_or("");
        let first = mask::prefix_len(rest).unwrap_or_else(|| usize::from(rest.starts_with('<')));
        let from = At { bytes: text.as_bytes(), at: at + first };
        if !(self.start..=self.end).contains(&from.at) || self.end == 0 {
            let end = from.until(is_end);
            *self = Self { start: from.at, end, judged: 0 };
        }
        let open = rest.trim_start_matches(['$', '%', '#']).bytes();
        let first = open.clone().next();
        let close = match first {
            Some(b'{') => b'}',
            Some(b'[') => b']',
            Some(b'<') => b'>',
            _ => return self.end,
        };
        let depth = open.take(3).take_while(|byte| Some(*byte) == first).count();
        let after = text.as_bytes().get(self.end..).unwrap_or(&[]);
        self.end + after.iter().take(depth).take_while(|byte| **byte == close).count()
    }
}

/// Looks at every `name=value`, `"name": "value"` and `NAME 'value'`.
pub(super) fn pairs(hits: &mut Hits<'_>) {
    let bytes = hits.value.as_bytes();
    let mut done = 0;
    let mut stretch = Stretch::default();
    let has_client_secret = std::cell::LazyCell::new(|| {
        work::count(bytes.len());
        memchr::memmem::find(bytes, b"client_secret").is_some()
    });
    work::count(bytes.len());
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
            if name == "code" && *has_client_secret {
                return Some(Named { class: "authorization_code", proof: Proof::Random });
            }
            name::of_pair(name)
        });
        if let Some(named) = named {
            value_after(hits, &mut stretch, named, start, end);
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
    work::count(MAX_NAME);
    let name = before.get(..end)?.iter().rev().take(MAX_NAME).take_while(|byte| is_name(**byte)).count();
    (name > 0).then_some((end - name, end))
}

/// Reads the value of the name that stands at `start..end`.
fn value_after(hits: &mut Hits<'_>, stretch: &mut Stretch, named: Named, start: usize, end: usize) {
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
        None => stretch.value_end(hits.value, at.at),
    };
    // `Authorization: Bearer abc`
    let text = |from: usize, to: usize| hits.value.get(from..to).unwrap_or("");
    if named.proof == Proof::Scheme && quote.is_none() && place::scheme(text(at.at, stop)).is_some() {
        at.at = stop;
        at.skip(is_space);
        stop = stretch.value_end(hits.value, at.at);
        loose = false;
    }
    let value = text(at.at, stop);
    if quote.is_none() {
        // Who nests that many has something to hide: what is left of it counts as the credential.
        stretch.judged += 1;
        if stretch.judged > MAX_NESTED {
            if stretch.judged == MAX_NESTED + 1 {
                hits.push(named.class, at.at, stop, Ground::Place);
            }
            return;
        }
    }
    // A column compared with another column is no value.
    let is_column =
        quote.is_none() && text(start, end).rsplit('.').next().is_some_and(|name| value.ends_with(name));
    if is_column || (loose && !is_random_after_mask(value)) {
        return;
    }
    if let Some((from, to, class, ground)) = judge(named, value, at.at) {
        hits.push(class, from, to, ground);
    }
}

/// Whether a value is random, what comes before it in the form of our own mask aside.
fn is_random_after_mask(value: &str) -> bool {
    is_random(value.get(mask::prefix_len(value).unwrap_or(0)..).unwrap_or("").as_bytes())
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
    if is_placeholder(value) {
        return None;
    }
    work::count(value.len());
    let spaced = value.trim().contains(' ');
    let all = |ground| Some((at, at + value.len(), named.class, ground));
    match named.proof {
        Proof::Any if value.len() < 3 => None,
        Proof::Any => all(if spaced { Ground::Place } else { Ground::Name }),
        Proof::Token if value.len() < 8 || spaced => None,
        Proof::Token => all(Ground::Name),
        Proof::Random => is_random_after_mask(value).then(|| all(Ground::Place))?,
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

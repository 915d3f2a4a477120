//! Random text in a telling place: after `/verifyLoginToken/`, `Bearer` or a user's name in a URL.

use super::random::{is_placeholder, is_random};
use super::{Ground, Hits, name, shape, work};

/// Shortest word looked at.
const MIN_WORD: usize = 16;
/// Longest name or path segment looked at before a word.
const MAX_BEFORE: usize = 64;

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// What may stand in `token68` (RFC 9110 section 11.2).
fn is_token68(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'~' | b'+' | b'/' | b'=')
}

/// Looks at every word of sixteen characters or more.
pub(super) fn words(hits: &mut Hits<'_>) {
    let value = hits.value;
    let mut at = 0;
    let bytes = value.as_bytes();
    work::count(bytes.len());
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or(&[]);
        let skip = rest.iter().position(|byte| is_word(*byte)).unwrap_or(rest.len());
        let start = at + skip;
        let rest = bytes.get(start..).unwrap_or(&[]);
        let len = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
        at = start + len;
        if len < MIN_WORD {
            continue;
        }
        let word = value.get(start..at).unwrap_or("");
        if !shape::of_word(hits, word, start) {
            of_place(hits, start, at);
        }
    }
}

fn of_place(hits: &mut Hits<'_>, start: usize, end: usize) {
    let Some(before) = hits.value.get(..start) else { return };
    let Some(word) = hits.value.get(start..end) else { return };
    match before.bytes().last() {
        // A dot within is that of a file's name.
        Some(b'/') if !word.trim_end_matches('.').contains('.') && is_random(word.as_bytes()) => {
            let above = tail(before.strip_suffix('/').unwrap_or(""));
            let segment = above.rsplit(['/', ' ', '?', '=']).next().unwrap_or("");
            if let Some(class) = name::of_place(segment) {
                hits.push(class, start, end, Ground::Place);
            }
        }
        Some(b' ') => after_scheme(hits, tail(before.trim_end()), start),
        Some(b':') if is_random(word.as_bytes()) => {
            let named = tail(before).trim_end_matches(':').rsplit(|c: char| !is_word_char(c)).next();
            if let Some(named) = named.and_then(name::of_pair) {
                hits.push(named.class, start, end, Ground::Place);
            }
        }
        _ => {}
    }
}

fn is_word_char(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_word)
}

/// The last part of `text`, as much as is looked at.
fn tail(text: &str) -> &str {
    work::count(MAX_BEFORE);
    let from = (text.len().saturating_sub(MAX_BEFORE)..=text.len()).find(|at| text.is_char_boundary(*at));
    from.and_then(|from| text.get(from..)).unwrap_or("")
}

/// The class of credentials after an authentication scheme; `None` for a word that is none.
pub(super) fn scheme(word: &str) -> Option<&'static str> {
    const SCHEMES: [(&str, &str); 6] = [
        ("bearer", "bearer"),
        ("basic", "basic"),
        ("dpop", "bearer"),
        ("token", "bearer"),
        ("apikey", "api_key"),
        ("negotiate", "negotiate"),
    ];
    SCHEMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, class)| *class)
}

/// Credentials after `Bearer` and the like, in the middle of other text.
fn after_scheme(hits: &mut Hits<'_>, before: &str, start: usize) {
    let word = before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("");
    let Some(class) = scheme(word) else { return };
    let rest = hits.value.as_bytes().get(start..).unwrap_or(&[]);
    let len = rest.iter().position(|byte| !is_token68(*byte)).unwrap_or(rest.len());
    let token = rest.get(..len).unwrap_or(&[]);
    work::count(len);
    let certain = match class {
        "basic" => is_basic(token),
        _ => is_random(token),
    };
    if certain {
        let ground = if word.eq_ignore_ascii_case("token") { Ground::Place } else { Ground::Name };
        hits.push(class, start, start + len, ground);
    }
}

/// Whether it decodes to a user's name and a password (RFC 7617 section 2).
fn is_basic(token: &[u8]) -> bool {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    /// Characters decoded in one go, a multiple of four.
    const PART: usize = 4096;
    work::count(token.len());
    let mut pair = [0; PART / 4 * 3];
    let mut has_colon = false;
    for part in token.chunks(PART) {
        let decoded = STANDARD.decode_slice(part, &mut pair);
        let Ok(len) = decoded.or_else(|_| STANDARD_NO_PAD.decode_slice(part, &mut pair)) else {
            return false;
        };
        has_colon |= pair.get(..len).is_some_and(|pair| pair.contains(&b':'));
    }
    has_colon
}

/// Passwords in URLs: `scheme://user:password@host`.
pub(super) fn userinfo(hits: &mut Hits<'_>) {
    let mut from = 0;
    while let Some(at) = hits.value.get(from..).and_then(|rest| rest.find("://")).map(|at| from + at + 3) {
        from = at;
        let rest = hits.value.get(at..).unwrap_or("");
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>');
        let authority = rest.split(ends).next().unwrap_or("");
        work::count(authority.len());
        let Some((user, _host)) = authority.rsplit_once('@') else { continue };
        let Some((name, password)) = user.split_once(':') else { continue };
        if !is_placeholder(password) {
            let start = at + name.len() + 1;
            hits.push("password", start, start + password.len(), Ground::Name);
        }
    }
}

//! Credentials in values that should hold none: known shapes, named values, and random text in telling places.
//!
//! ```text
//! value --glance--> most are done --shape, pair, place--> hits --mask--> text that may be kept
//! ```
//! Looked for are JWT (RFC 7519), PASETO, `Bearer`, `Basic` and `DPoP` (RFC 6750, 7617, 9449), keys with a prefix that
//! their issuer made known, private keys in PEM, session cookies, passwords in URLs (RFC 3986 section 3.2.1) and
//! statements, and random text that stands where a token stands (`/verifyLoginToken/2aaa7d4d-...`). Hashes, ids, masked
//! values, placeholders and public keys are none. What is found is named by class and masked text only; the credential
//! itself is not kept.

mod glance;
mod leak;
mod name;
mod pair;
mod place;
mod random;
mod shape;
#[cfg(test)]
mod tests;

pub(crate) use leak::{Leak, Origin};

use crate::finding::Confidence;

/// Values shorter than this are looked at only under a key that speaks of a secret.
const MIN_LEN: usize = 12;
/// Hits noted in one value; from the last on, all of it counts as one.
const MAX_HITS: usize = 256;

/// What an attribute's key tells about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum KeyHint {
    /// Nothing.
    #[default]
    Plain,
    /// The key names a secret (`password`, `authorization`, `x-api-key`).
    Named(name::Named),
    /// The value is our own seal, which is public as long as it has a seal's form.
    Seal,
    /// The key itself holds a credential.
    Leaky,
}

impl KeyHint {
    pub(crate) fn of(key: &str) -> Self {
        if key == hopseal_identity::attribute::SEAL {
            return Self::Seal;
        }
        if !find(Self::Plain, key).is_empty() {
            return Self::Leaky;
        }
        name::of_key(key).map_or(Self::Plain, Self::Named)
    }
}

/// What makes a hit a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ground {
    /// Its form.
    Form,
    /// The name that it stands under.
    Name,
    /// The form, but cut short or changed in case.
    Cut,
    /// Random text in a telling place.
    Place,
    /// The form, and it is one from documentation.
    Example,
}

impl Ground {
    /// How sure that makes.
    pub(crate) const fn confidence(self) -> Confidence {
        match self {
            Self::Form | Self::Name => Confidence::Certain,
            Self::Cut | Self::Place => Confidence::Likely,
            Self::Example => Confidence::Hint,
        }
    }
}

/// A credential found in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Its class: `jwt`, ...
    pub(crate) class: &'static str,
    /// First byte.
    pub(crate) start: usize,
    /// One past its last byte.
    pub(crate) end: usize,
    pub(crate) ground: Ground,
}

/// Every credential in `value`, in order, none overlapping another.
///
/// Takes a few nanoseconds and allocates nothing for values that hold none, which is nearly all.
pub(crate) fn find(hint: KeyHint, value: &str) -> Vec<Hit> {
    let named = match hint {
        KeyHint::Plain | KeyHint::Leaky if value.len() < MIN_LEN => return Vec::new(),
        KeyHint::Seal if hopseal_identity::seal::trace_prefix(value).is_some() => return Vec::new(),
        KeyHint::Plain | KeyHint::Leaky | KeyHint::Seal => None,
        KeyHint::Named(named) => Some(named),
    };
    let glance = glance::glance(value.as_bytes());
    if named.is_none() && glance.is_clear() {
        return Vec::new();
    }
    look(named, value, glance)
}

#[cold]
fn look(named: Option<name::Named>, value: &str, glance: glance::Glance) -> Vec<Hit> {
    let mut hits = Hits { value, found: Vec::new() };
    if glance.runs {
        shape::private_keys(&mut hits);
        place::words(&mut hits);
    }
    if glance.pairs {
        pair::pairs(&mut hits);
    }
    if glance.at {
        place::userinfo(&mut hits);
    }
    if let Some(named) = named {
        pair::whole(&mut hits, named);
    }
    hits.settle()
}

/// Hits as they are gathered, in any order and overlapping.
struct Hits<'v> {
    value: &'v str,
    found: Vec<Hit>,
}

impl Hits<'_> {
    fn push(&mut self, class: &'static str, start: usize, end: usize, ground: Ground) {
        if self.found.len() < MAX_HITS {
            self.found.push(Hit { class, start, end, ground });
        } else if let Some(last) = self.found.last_mut() {
            last.end = self.value.len();
        }
    }

    /// Joins hits that overlap; the better ground names the whole.
    fn settle(mut self) -> Vec<Hit> {
        self.found.sort_unstable_by_key(|hit| (hit.start, hit.ground, hit.end));
        let mut settled: Vec<Hit> = Vec::with_capacity(self.found.len());
        for hit in self.found {
            match settled.last_mut() {
                Some(last) if hit.start < last.end => {
                    let end = last.end.max(hit.end);
                    if hit.ground < last.ground {
                        (last.class, last.ground) = (hit.class, hit.ground);
                    }
                    last.end = end;
                }
                _ => settled.push(hit),
            }
        }
        settled
    }
}

/// `text` with its `hits` masked.
pub(crate) fn mask(text: &str, hits: &[Hit]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for hit in hits {
        masked.push_str(text.get(at..hit.start).unwrap_or(""));
        masked.push_str(&shown(text, hit));
        at = hit.end;
    }
    masked.push_str(text.get(at..).unwrap_or(""));
    masked
}

/// What a masked credential has instead of its middle and end, before its length in brackets.
const CUT: &str = "...[";

/// The credential of `hit` as it may be shown: at most its first four characters, and its length.
pub(crate) fn shown(text: &str, hit: &Hit) -> String {
    let token = text.get(hit.start..hit.end).unwrap_or("");
    let count = token.chars().count();
    let head = match count {
        24.. if hit.class != "password" => 4,
        _ => 0,
    };
    let head: String = token.chars().take(head).collect();
    format!("{head}{CUT}{count}]")
}

/// Whether text is what [`shown`] makes of a credential.
pub(crate) fn is_masked(text: &str) -> bool {
    text.ends_with(']') && text.contains(CUT)
}

//! Credentials in values that should hold none: known shapes, named values, and random text in telling places.
//!
//! ```text
//! value --glance--> most are done --shape, pair, place--> hits --mask--> text that may be kept
//!                                        ^------ looked through again ------'
//! ```
//! Looked for are JWT (RFC 7519), PASETO, `Bearer`, `Basic` and `DPoP` (RFC 6750, 7617, 9449), keys with a prefix that
//! their issuer made known, private keys in PEM, session cookies, passwords in URLs (RFC 3986 section 3.2.1) and
//! statements, and random text that stands where a token stands (`/verifyLoginToken/2aaa7d4d-...`). Hashes, ids, masked
//! values, placeholders and public keys are none. What is found is named by class and masked text only; the credential
//! itself is not kept.
//!
//! The time taken is linear in the length of the value, whatever it holds: no loop goes back over what it has read, or
//! it goes back a fixed number of bytes. [`work`] counts them in tests. There is no longest credential.

mod glance;
mod leak;
mod mask;
mod name;
mod pair;
mod place;
mod random;
mod shape;
#[cfg(test)]
mod tests;
mod work;

pub(crate) use leak::{Leak, Origin};
pub(crate) use mask::{is_masked, mask, shown};

use crate::finding::Confidence;

/// Values shorter than this are looked at only under a key that speaks of a secret.
const MIN_LEN: usize = 12;
/// Hits noted in one look; from the first that is not noted on, all of the value counts as one.
const MAX_HITS: usize = 256;
/// Times that masked text is looked through for what masking laid bare; then all of the value counts as one.
const MAX_ROUNDS: usize = 4;

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

    /// Whether a number or truth value under the key deserves a look, written out: the key itself holds a credential,
    /// or names one that may be a number. Takes a nanosecond; [`find`] then says whether it is one.
    pub(crate) const fn concerns_numbers(self) -> bool {
        match self {
            Self::Plain | Self::Seal => false,
            Self::Leaky => true,
            Self::Named(named) => named.may_be_number(),
        }
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

/// Every credential in `value`, in order, none overlapping another. In a value whose hits were masked, there is none.
///
/// Takes a few nanoseconds and allocates nothing for values that hold none, which is nearly all.
pub(crate) fn find(hint: KeyHint, value: &str) -> Vec<Hit> {
    let hits = once(hint, value);
    match hits.is_empty() {
        true => hits,
        false => last(hint, value, hits),
    }
}

/// Looks through `value` once.
fn once(hint: KeyHint, value: &str) -> Vec<Hit> {
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
    if mask::is_mask(value) {
        return Vec::new();
    }
    let mut hits = Hits { value, found: Vec::new(), spilt: None };
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

/// Looks through what is left when `hits` are masked, until that holds nothing more. What stood beside a credential can
/// be one when the credential is gone, and is then taken together with it.
#[cold]
fn last(hint: KeyHint, value: &str, mut hits: Vec<Hit>) -> Vec<Hit> {
    for _ in 0..MAX_ROUNDS {
        let masked = mask(value, &hits);
        let more = once(hint, &masked);
        if more.is_empty() {
            return hits;
        }
        let places = mask::Places::new(value, &hits);
        hits.extend(more.into_iter().map(|hit| places.origin(hit)));
        hits = join(hits);
    }
    let best = hits.iter().min_by_key(|hit| hit.ground).copied();
    best.into_iter().map(|hit| Hit { start: 0, end: value.len(), ..hit }).collect()
}

/// Hits as they are gathered, in any order and overlapping.
struct Hits<'v> {
    value: &'v str,
    found: Vec<Hit>,
    /// The one that begins first of those that were too many.
    spilt: Option<Hit>,
}

impl Hits<'_> {
    fn push(&mut self, class: &'static str, start: usize, end: usize, ground: Ground) {
        if start >= end {
            return;
        }
        let hit = Hit { class, start, end, ground };
        if self.found.len() < MAX_HITS {
            self.found.push(hit);
        } else if self.spilt.is_none_or(|spilt| start < spilt.start) {
            self.spilt = Some(hit);
        }
    }

    fn settle(mut self) -> Vec<Hit> {
        let end = self.value.len();
        self.found.extend(self.spilt.map(|hit| Hit { end, ..hit }));
        join(self.found)
    }
}

/// Joins hits that overlap, in order; the better ground names the whole.
fn join(mut hits: Vec<Hit>) -> Vec<Hit> {
    hits.sort_unstable_by_key(|hit| (hit.start, hit.ground, hit.end));
    hits.dedup_by(|hit, last| {
        let overlaps = hit.start < last.end;
        if overlaps {
            last.end = last.end.max(hit.end);
            if hit.ground < last.ground {
                (last.class, last.ground) = (hit.class, hit.ground);
            }
        }
        overlaps
    });
    hits
}

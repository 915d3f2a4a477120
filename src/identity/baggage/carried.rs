//! The identity as it travels: the members of ours, in one text.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::encrypted::Encrypted;
use super::entry::Entry;
use crate::attribute::{HOP, SEAL, SEALED_MEMBERS};
use crate::crossing_count::CrossingCount;
use crate::member::{ENC, MEMBERS};
use crate::seal::{Members, SealFault};

/// An identity that travels in baggage. What it says is only as good as its [seal](crate::seal): by itself it proves nothing.
///
/// Cheap to clone. `Debug` leaves the seal out.
#[derive(Clone, PartialEq, Eq)]
pub struct Carried {
    /// All members but the hop counter, as they are written.
    text: Arc<str>,
    /// Where their values stand, in the order of `MEMBERS`.
    places: [Range<u16>; MEMBERS.len()],
    hop: Option<CrossingCount>,
}

/// Members that make no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CarriedError {
    /// A member has a value that it must not have.
    #[error("`{0}` is not legal")]
    Illegal(&'static str),
    /// A member that is required is not there.
    #[error("`{0}` is not there")]
    Incomplete(&'static str),
}

impl Carried {
    /// Puts an identity together: the members, their seal, and the hop counter.
    ///
    /// # Errors
    /// [`CarriedError`]: nothing is put together that would not be read back.
    pub fn new(
        members: &Members<'_>,
        seal: Option<&str>,
        hop: Option<CrossingCount>,
    ) -> Result<Self, CarriedError> {
        let mut values = [None; MEMBERS.len()];
        for (member, slot) in MEMBERS.iter().zip(&mut values) {
            *slot = if member.name == SEAL { seal } else { members.get(member.name) };
            if slot.is_some_and(|value| !member.is_legal(value)) {
                return Err(CarriedError::Illegal(member.name));
            }
        }
        Self::of(&values, hop).map_err(CarriedError::Incomplete)
    }

    fn of(values: &[Option<&str>; MEMBERS.len()], hop: Option<CrossingCount>) -> Result<Self, &'static str> {
        let mut text = String::with_capacity(512);
        let mut places = [const { 0..0 }; MEMBERS.len()];
        for ((member, value), place) in MEMBERS.iter().zip(values).zip(&mut places) {
            let Some(value) = value else {
                if member.required {
                    return Err(member.name);
                }
                continue;
            };
            for part in [if text.is_empty() { "" } else { "," }, member.name, "="] {
                text.push_str(part);
            }
            // Every identity fits in 1024 bytes.
            let start = u16::try_from(text.len()).unwrap_or(u16::MAX);
            text.push_str(value);
            *place = start..u16::try_from(text.len()).unwrap_or(u16::MAX);
        }
        Ok(Self { text: text.into(), places, hop })
    }

    /// Reads an identity back as it is [written](Self::as_str), without its hop counter; `None` for anything else.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let read = super::Baggage::read([text]);
        let carried = read.identity.ok().flatten()?;
        // Nothing else, and in its one spelling.
        (carried.as_str() == text && carried.hop.is_none()).then_some(carried)
    }

    /// The value of a member, if it was sent. The hop counter is [elsewhere](Self::hop).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, place) = MEMBERS.iter().zip(&self.places).find(|(member, _)| member.name == name)?;
        self.text.get(usize::from(place.start)..usize::from(place.end)).filter(|value| !value.is_empty())
    }

    /// Every member that was sent, in the order they are written; without the hop counter.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        MEMBERS.iter().filter_map(|member| Some((member.name, self.get(member.name)?)))
    }

    /// The members that the seal covers.
    #[must_use]
    pub fn members(&self) -> Members<'_> {
        let mut members = Members::default();
        for name in SEALED_MEMBERS {
            if let Some(value) = self.get(name) {
                // Each of them once, and legal: it was put together or read so.
                let _ = members.set(name, value);
            }
        }
        members
    }

    /// The seal, if there is one.
    #[must_use]
    pub fn seal(&self) -> Option<&str> {
        self.get(SEAL)
    }

    /// The hop counter that came with it, if there was one.
    #[must_use]
    pub const fn hop(&self) -> Option<CrossingCount> {
        self.hop
    }

    /// The same, as it leaves by a crossing.
    #[must_use]
    pub fn with_hop(&self, hop: CrossingCount) -> Self {
        Self { text: Arc::clone(&self.text), places: self.places.clone(), hop: Some(hop) }
    }

    /// The members as they are written, without the hop counter.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        map.entries(self.iter().map(|(name, value)| (name, if name == SEAL { ".." } else { value })));
        if let Some(hop) = self.hop {
            map.entry(&HOP, &hop.to_string());
        }
        map.finish()
    }
}

/// Members of ours as they are found.
#[derive(Default)]
pub(super) struct Found<'h> {
    values: [Option<&'h str>; MEMBERS.len()],
    encrypted: Option<Encrypted>,
    any: bool,
    spoilt: bool,
}

impl<'h> Found<'h> {
    pub(super) fn spoil(&mut self) {
        self.spoilt = true;
    }

    /// Takes a member whose name is ours to use.
    pub(super) fn take(&mut self, entry: Entry<'h>) {
        self.any = true;
        if entry.name() == ENC {
            let encrypted = Encrypted::new(entry.value()).filter(|_| !entry.as_str().contains(';'));
            self.spoilt |= self.encrypted.is_some() || encrypted.is_none();
            self.encrypted = encrypted;
            return;
        }
        let found = MEMBERS.iter().zip(&mut self.values).find(|(member, _)| member.name == entry.name());
        match found {
            // No properties, not even an empty one.
            Some((member, slot))
                if slot.is_none() && !entry.as_str().contains(';') && member.is_legal(entry.value()) =>
            {
                *slot = Some(entry.value());
            }
            _ => self.spoilt = true,
        }
    }

    /// The identity, readable or not.
    pub(super) fn identity(self) -> (Result<Option<Carried>, SealFault>, Option<Encrypted>) {
        if self.spoilt {
            return (Err(SealFault::Malformed), None);
        }
        if !self.any {
            return (Ok(None), None);
        }
        let mut values = self.values;
        let hop = MEMBERS
            .iter()
            .zip(&mut values)
            .find(|(member, _)| member.name == HOP)
            .and_then(|(_, slot)| CrossingCount::parse(slot.take()?));
        match self.encrypted {
            None => (Carried::of(&values, hop).map(Some).map_err(|_| SealFault::Incomplete), None),
            // Which of the two counts would depend on who looks.
            Some(_) if values.iter().any(Option::is_some) => (Err(SealFault::Malformed), None),
            Some(encrypted) => (Ok(None), Some(hop.map_or(encrypted.clone(), |hop| encrypted.with_hop(hop)))),
        }
    }
}

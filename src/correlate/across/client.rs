//! Whose machine and program a request came from, as far as a root span tells.

use super::bounded::{Key, key};
use super::stored::{Stored, stored};
use crate::field::Field;
use crate::record::Span;

/// Families kept of one session or credential.
const MAX_FAMILIES: usize = 8;

/// A client by address and program. Two are told apart only where both differ: a phone changes its address, and a
/// browser its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Family {
    address: Key,
    program: Key,
}

impl Family {
    /// The client of a request from outside; `None` where the span does not tell both.
    fn of(span: &Span<'_>) -> Option<Self> {
        let address = span.get(Field::ClientAddress).or_else(|| span.get(Field::PeerAddress))?;
        let agent = span.get(Field::UserAgent)?;
        // Without digits and dots: another version is no other program.
        let program: Vec<u8> =
            agent.bytes().take(512).filter(|byte| !byte.is_ascii_digit() && *byte != b'.').collect();
        Some(Self { address: key(&[address.as_bytes()]), program: key(&[&program]) })
    }
}

/// When each client was first and last seen, in order: mostly there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Clients(Vec<(Family, (u64, u64))>);

stored!(Family { address, program });

impl Stored for Clients {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        Stored::read(at).map(Self)
    }
}

impl Clients {
    pub(super) fn observe(&mut self, span: &Span<'_>) {
        if let Some(family) = Family::of(span) {
            self.add(family, (span.start, span.start));
        }
    }

    fn add(&mut self, family: Family, (first, last): (u64, u64)) {
        match self.0.binary_search_by_key(&family, |(family, _)| *family) {
            Ok(place) => {
                if let Some((_, known)) = self.0.get_mut(place) {
                    *known = (known.0.min(first), known.1.max(last));
                }
            }
            Err(place) if place < MAX_FAMILIES => {
                self.0.insert(place, (family, (first, last)));
                self.0.truncate(MAX_FAMILIES);
            }
            Err(_) => {}
        }
    }

    /// Adds those of another.
    pub(super) fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|(family, time)| self.add(family, time));
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.0[..])
    }

    /// Clients that differ in address and program and were at work at the same time; 0 when there are no two.
    pub(crate) fn at_once(&self) -> usize {
        let apart = |a: &Family, b: &Family| a.address != b.address && a.program != b.program;
        let overlap = |a: &(u64, u64), b: &(u64, u64)| a.0 < b.1 && b.0 < a.1;
        let concurrent = |(family, time): &&(Family, (u64, u64))| {
            self.0.iter().any(|(other, at)| apart(family, other) && overlap(time, at))
        };
        self.0.iter().filter(concurrent).count()
    }
}

//! What was gathered as bytes, for the next process to go on with.
//!
//! Numbers are little-endian; texts and lists stand after their length. It is for the same version of us alone: what another
//! wrote is not read, and gathering begins anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalogue::Capability;
use crate::finding::FindingId;
use crate::policy::Date;
use crate::sink::{SpanId, TraceId};
use crate::suppress::{Quieted, Reason};

/// Written to bytes and read back.
pub(super) trait Stored: Sized {
    fn write(&self, to: &mut Vec<u8>);
    /// `None` where the bytes are not what was written.
    fn read(at: &mut &[u8]) -> Option<Self>;
}

/// A structure as its fields, one after the other.
macro_rules! stored {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        impl crate::across::stored::Stored for $type {
            fn write(&self, to: &mut Vec<u8>) {
                $(crate::across::stored::Stored::write(&self.$field, to);)+
            }

            fn read(at: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: crate::across::stored::Stored::read(at)?),+ })
            }
        }
    };
}
pub(super) use stored;

fn take<const N: usize>(at: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = at.split_first_chunk::<N>()?;
    *at = tail;
    Some(*head)
}

macro_rules! numbers {
    ($($type:ty),+) => {
        $(impl Stored for $type {
            fn write(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }

            fn read(at: &mut &[u8]) -> Option<Self> {
                take(at).map(Self::from_le_bytes)
            }
        })+
    };
}
numbers!(u8, u32, u64, u128);

impl Stored for bool {
    fn write(&self, to: &mut Vec<u8>) {
        to.push(u8::from(*self));
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        u8::read(at).map(|truth| truth != 0)
    }
}

fn write_len(len: usize, to: &mut Vec<u8>) {
    u32::try_from(len).unwrap_or(u32::MAX).write(to);
}

impl Stored for String {
    fn write(&self, to: &mut Vec<u8>) {
        write_len(self.len(), to);
        to.extend_from_slice(self.as_bytes());
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        let len = u32::read(at)? as usize;
        let (text, rest) = at.split_at_checked(len)?;
        *at = rest;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }
}

impl<T: Stored> Stored for Option<T> {
    fn write(&self, to: &mut Vec<u8>) {
        self.is_some().write(to);
        self.iter().for_each(|value| value.write(to));
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        Some(if bool::read(at)? { Some(T::read(at)?) } else { None })
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn write(&self, to: &mut Vec<u8>) {
        write_len(self.len(), to);
        self.iter().for_each(|value| value.write(to));
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        (0..u32::read(at)?).map(|_| T::read(at)).collect()
    }
}

impl<K: Stored + Ord, V: Stored> Stored for BTreeMap<K, V> {
    fn write(&self, to: &mut Vec<u8>) {
        write_len(self.len(), to);
        for (key, value) in self {
            key.write(to);
            value.write(to);
        }
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        (0..u32::read(at)?).map(|_| Some((K::read(at)?, V::read(at)?))).collect()
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
        self.1.write(to);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        Some((A::read(at)?, B::read(at)?))
    }
}

impl<A: Stored, B: Stored, C: Stored> Stored for (A, B, C) {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
        self.1.write(to);
        self.2.write(to);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        Some((A::read(at)?, B::read(at)?, C::read(at)?))
    }
}

/// What several share is written for each.
impl<T: Stored> Stored for Arc<T> {
    fn write(&self, to: &mut Vec<u8>) {
        T::write(self, to);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        T::read(at).map(Self::new)
    }
}

impl Stored for TraceId {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        take(at).map(Self)
    }
}

impl Stored for FindingId {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        take(at).map(Self)
    }
}

impl Stored for SpanId {
    fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.0);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        take(at).map(Self)
    }
}

/// Writes the place of `one` among `all`.
pub(super) fn write_word<T: PartialEq>(all: &[T], one: &T, to: &mut Vec<u8>) {
    let place = all.iter().position(|known| known == one);
    place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX).write(to);
}

/// Reads it back.
pub(super) fn read_word<T: Copy>(all: &[T], at: &mut &[u8]) -> Option<T> {
    all.get(usize::from(u8::read(at)?)).copied()
}

const CAPABILITIES: [Capability; 3] = [Capability::Operation, Capability::Service, Capability::Never];

impl Stored for Capability {
    fn write(&self, to: &mut Vec<u8>) {
        write_word(&CAPABILITIES, self, to);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        read_word(&CAPABILITIES, at)
    }
}

impl Stored for Quieted {
    fn write(&self, to: &mut Vec<u8>) {
        write_word(&Reason::ALL, &self.reason, to);
        self.expires.map(|day| u64::from(day.days())).write(to);
    }

    fn read(at: &mut &[u8]) -> Option<Self> {
        let reason = read_word(&Reason::ALL, at)?;
        // Nanoseconds, as it was once, are more than any day.
        let day = |days: u64| u32::try_from(days).map_or_else(|_| Date::of(days), Date::of_days);
        let expires = Option::<u64>::read(at)?.map(day);
        Some(Self { reason, expires })
    }
}

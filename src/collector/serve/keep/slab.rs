//! Memory for the records of traces, in pieces of one size.
//!
//! A trace grows by a few bytes at a time, beside thousands of others. As a vector each would be moved every time it outgrew its place,
//! and leave a hole that fits no other; a piece stays where it is, and fits whoever comes next. What is taken is never more than
//! was in use at one time, and a region.

use std::ops::{Deref, DerefMut};

use memmap2::{MmapMut, MmapOptions};

/// Bytes of a piece: room for two or three spans. Smaller ones are more to follow, larger ones are mostly half empty at the end of a trace.
pub(crate) const PIECE: usize = 256;
/// Pieces taken from the system at once: a MiB.
const REGION: usize = 1 << 12;
/// Bytes that a slab has numbers for.
pub(crate) const MOST: u64 = (PIECE as u64) << 32;

/// Bytes in a [`Slab`], which alone can read them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    first: u32,
    last: u32,
    pieces: u32,
    len: usize,
}

impl Chain {
    /// Bytes that are in it.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory that it takes: what is there, not what is filled.
    pub(crate) const fn room(&self) -> usize {
        self.pieces as usize * PIECE
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Slab {
    regions: Vec<Region>,
    /// The first region that may have room. Filled first, so that those behind it come to be empty.
    current: usize,
}

#[derive(Debug, Default)]
struct Region {
    bytes: Bytes,
    /// The piece behind each, in its chain or among those that are free.
    next: Box<[u32]>,
    /// The first of those that are free again, and one; 0 where none is.
    free: u32,
    /// Pieces at the front that were in use at some time.
    begun: u32,
    used: u32,
}

/// The bytes of a region.
#[derive(Debug, Default)]
enum Bytes {
    /// It was given back.
    #[default]
    None,
    /// Had from the system with all of its pages: one by one, as they are first written to, they take several times as long.
    Mapped(MmapMut),
    /// Where the system does not give them so.
    Owned(Box<[u8]>),
}

impl Bytes {
    fn new() -> Self {
        match MmapOptions::new().len(REGION * PIECE).populate().map_anon() {
            Ok(bytes) => Self::Mapped(bytes),
            Err(_) => Self::Owned(vec![0; REGION * PIECE].into_boxed_slice()),
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Mapped(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl DerefMut for Bytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::None => &mut [],
            Self::Mapped(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}

impl Region {
    fn new() -> Self {
        Self { bytes: Bytes::new(), next: vec![0; REGION].into_boxed_slice(), ..Self::default() }
    }

    fn take(&mut self) -> Option<u32> {
        if self.bytes.is_empty() {
            *self = Self::new();
        }
        let piece = match self.free.checked_sub(1) {
            Some(piece) => {
                self.free = *self.next.get(piece as usize)?;
                piece
            }
            None => {
                let piece = Some(self.begun).filter(|begun| (*begun as usize) < REGION)?;
                self.begun += 1;
                piece
            }
        };
        self.used += 1;
        Some(piece)
    }

    fn give(&mut self, piece: u32) {
        if let Some(next) = self.next.get_mut(piece as usize) {
            *next = std::mem::replace(&mut self.free, piece + 1);
            self.used -= 1;
        }
    }
}

/// The region of a piece, and its place there.
const fn place(piece: u32) -> (usize, usize) {
    (piece as usize / REGION, piece as usize % REGION)
}

impl Slab {
    /// Adds bytes at the end.
    pub(crate) fn append(&mut self, chain: &mut Chain, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let filled = chain.len % PIECE;
            if filled == 0 {
                self.lengthen(chain);
            }
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - filled));
            let (region, piece) = place(chain.last);
            let piece = self.regions.get_mut(region).and_then(|region| region.bytes.get_mut(piece * PIECE..));
            if let Some(to) = piece.and_then(|piece| piece.get_mut(filled..filled + now.len())) {
                to.copy_from_slice(now);
            }
            chain.len += now.len();
            bytes = later;
        }
    }

    fn lengthen(&mut self, chain: &mut Chain) {
        let piece = self.take();
        match chain.pieces {
            0 => chain.first = piece,
            _ => {
                let (region, last) = place(chain.last);
                let next = self.regions.get_mut(region).and_then(|region| region.next.get_mut(last));
                next.into_iter().for_each(|next| *next = piece);
            }
        }
        chain.last = piece;
        chain.pieces += 1;
    }

    fn take(&mut self) -> u32 {
        loop {
            match self.regions.get_mut(self.current).map(Region::take) {
                // Settings allow for no more than there are numbers.
                Some(Some(piece)) => return (self.current * REGION) as u32 + piece,
                Some(None) => self.current += 1,
                None => self.regions.push(Region::new()),
            }
        }
    }

    /// The pieces of a chain.
    fn pieces(&self, chain: &Chain) -> impl Iterator<Item = (usize, usize)> {
        let mut next = chain.first;
        (0..chain.pieces).map_while(move |_| {
            let (region, piece) = place(next);
            next = *self.regions.get(region)?.next.get(piece)?;
            Some((region, piece))
        })
    }

    /// Puts all of its bytes into `to`, in place of what is there.
    pub(crate) fn read(&self, chain: &Chain, to: &mut Vec<u8>) {
        to.clear();
        to.reserve(chain.room());
        for (region, piece) in self.pieces(chain) {
            let bytes = self.regions.get(region).and_then(|region| region.bytes.get(piece * PIECE..));
            // All of it, which takes the same few instructions each time.
            to.extend_from_slice(bytes.and_then(<[u8]>::first_chunk::<PIECE>).unwrap_or(&[0; PIECE]));
        }
        to.truncate(chain.len);
    }

    /// Empties a chain.
    pub(crate) fn clear(&mut self, chain: &mut Chain) {
        let Chain { first, pieces, .. } = std::mem::take(chain);
        let mut next = first;
        for _ in 0..pieces {
            let (at, piece) = place(next);
            let Some(region) = self.regions.get_mut(at) else { return };
            next = region.next.get(piece).copied().unwrap_or_default();
            region.give(piece as u32);
            // Those in front are filled again before any other: one behind is not needed once it is empty.
            let behind = at.max(self.current);
            if at != self.current
                && let Some(region) = self.regions.get_mut(behind).filter(|region| region.used == 0)
            {
                *region = Region::default();
            }
            self.current = self.current.min(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Slab {
        fn held(&self) -> usize {
            self.regions.iter().map(|region| region.bytes.len()).sum()
        }
    }

    fn read(slab: &Slab, chain: &Chain) -> Vec<u8> {
        let mut to = vec![1, 2, 3];
        slab.read(chain, &mut to);
        to
    }

    proptest! {
        /// What is put into one chain is what is read of it, whatever goes on in others.
        #[test]
        fn chains_are_apart(steps in prop::collection::vec((0_usize..8, any::<u8>(), prop::option::of(0_usize..3 * PIECE)), 1..200)) {
            let mut slab = Slab::default();
            let mut chains: [(Chain, Vec<u8>); 8] = Default::default();
            for (at, fill, length) in steps {
                let (chain, expected) = &mut chains[at];
                match length {
                    Some(length) => {
                        let bytes: Vec<u8> = (0..length).map(|at| fill.wrapping_add(at as u8)).collect();
                        slab.append(chain, &bytes);
                        expected.extend(bytes);
                    }
                    None => {
                        slab.clear(chain);
                        expected.clear();
                    }
                }
                let used: u32 = slab.regions.iter().map(|region| region.used).sum();
                prop_assert_eq!(used, chains.iter().map(|(chain, _)| chain.pieces).sum::<u32>());
                for (chain, expected) in &chains {
                    prop_assert_eq!(&read(&slab, chain), expected);
                    prop_assert_eq!(chain.room(), expected.len().next_multiple_of(PIECE));
                }
            }
        }
    }

    /// Guarantees: no more is held than was in use at one time, however it comes and goes, and hardly anything once all is gone.
    #[test]
    fn room_is_used_again_and_given_back() {
        let mut slab = Slab::default();
        let mut all: std::collections::VecDeque<Chain> = Default::default();
        let add = |slab: &mut Slab, number: usize| {
            let mut chain = Chain::default();
            slab.append(&mut chain, &vec![7; 1 + number * 37 % (5 * PIECE)]);
            chain
        };
        for number in 0..10_000 {
            let chain = add(&mut slab, number);
            all.push_back(chain);
        }
        let held = slab.held();
        assert!(held > 5 * REGION * PIECE);
        for number in 10_000..50_000 {
            let mut gone = all.pop_front().expect("one");
            slab.clear(&mut gone);
            all.push_back(add(&mut slab, number));
        }
        assert!(slab.held() <= held + REGION * PIECE, "{} of {held}", slab.held());
        let mut orders: [fn(usize) -> usize; 3] = [|at| at, |at| 9_999 - at, |at| at * 7 % 10_000];
        for order in &mut orders {
            for at in (0..10_000).map(order) {
                slab.clear(&mut all[at]);
            }
            assert!(slab.held() <= 2 * REGION * PIECE, "{} are held of nothing", slab.held());
            all.iter_mut().zip(0..).for_each(|(chain, number)| *chain = add(&mut slab, number));
            assert_eq!(read(&slab, &all[7]), vec![7; all[7].len()]);
        }
    }
}

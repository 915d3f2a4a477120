//! Seeded chance.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::span::{SpanId, TraceId};

/// All the chance there is: one stream a fleet, so that fleets do not move when another one changes.
#[derive(Debug, Clone)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The stream numbered `stream` of `seed`.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// A stream of its own for every `text`.
    pub(super) fn of_text(text: &str) -> Self {
        // FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self::new(text.bytes().fold(0xcbf2_9ce4_8422_2325, fold), 0)
    }

    /// True in `percent` of a hundred throws.
    pub(super) fn percent(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    /// A number from `low` up to and including `high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.random_range(low..=high)
    }

    /// One of `of`, which must not be empty.
    #[expect(
        clippy::indexing_slicing,
        reason = "in range; an empty slice is a fault of a recipe and has to stop it"
    )]
    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.0.random_range(0..of.len())]
    }

    /// Puts `items` in random order.
    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        items.shuffle(&mut self.0);
    }

    /// Random bytes.
    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        self.0.random()
    }

    /// A new trace id.
    pub(super) fn trace_id(&mut self) -> TraceId {
        let mut bytes = self.bytes::<16>();
        if let Some(first) = bytes.first_mut() {
            *first |= 1; // never all zero
        }
        TraceId(bytes)
    }

    /// A new span id.
    pub(super) fn span_id(&mut self) -> SpanId {
        let mut bytes = self.bytes::<8>();
        if let Some(first) = bytes.first_mut() {
            *first |= 1; // never all zero
        }
        SpanId(bytes)
    }

    /// `2 * bytes` hexadecimal digits.
    pub(super) fn hex(&mut self, bytes: usize) -> String {
        (0..bytes).map(|_| format!("{:02x}", self.0.random::<u8>())).collect()
    }
}

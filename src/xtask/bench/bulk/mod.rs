//! Large trace files, made faster than they are read.
//!
//! A block of 50 traces is encoded once, as a collector writes a batch: grouped by service. For each further block
//! only what must differ is written over: ids, times, users.

mod json;
mod protobuf;
mod shop;

use std::io::{self, Write};
use std::ops::Range;

/// Traces in a block.
pub(super) const TRACES: u64 = 50;
/// Spans in a trace.
const SPANS: u64 = 20;
/// Spans in a block.
pub(crate) const BLOCK: u64 = TRACES * SPANS;
/// When traces start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The first one, in nanoseconds since the Unix epoch.
    pub(crate) first: u64,
    /// From one to the next, in nanoseconds.
    pub(crate) apart: u64,
}

/// The same each time.
pub(crate) const PACE: Pace = Pace { first: 1_750_000_000_000_000_000, apart: 1_000_000 };

/// How the file is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// One `TracesData` message: blocks just follow one another.
    Protobuf,
    /// An object with `resourceSpans` a line, a line a block.
    Json,
}

/// What differs from block to block.
#[derive(Debug, Clone, Copy)]
enum What {
    TraceId,
    /// Of the span with this index in its trace.
    SpanId(u64),
    /// Nanoseconds after the trace's start.
    Time(u64),
    User,
}

/// Where it stands.
#[derive(Debug, Clone, Copy)]
struct Slot {
    at: usize,
    /// Index in the block.
    trace: u64,
    what: What,
}

/// Encoded bytes, and the slots in them.
#[derive(Debug, Default)]
struct Fragment {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

impl Fragment {
    fn slot(&mut self, trace: u64, what: What, length: usize) {
        self.slots.push(Slot { at: self.bytes.len(), trace, what });
        self.bytes.resize(self.bytes.len() + length, b'0');
    }

    fn append(&mut self, other: &Self) {
        let start = self.bytes.len();
        self.slots.extend(other.slots.iter().map(|slot| Slot { at: start + slot.at, ..*slot }));
        self.bytes.extend_from_slice(&other.bytes);
    }

    /// Makes this the `number`th block.
    fn renumber(&mut self, encoding: Encoding, pace: Pace, number: u64) {
        for slot in &self.slots {
            let trace = number * TRACES + slot.trace;
            let Some(place) = self.bytes.get_mut(slot.at..) else { continue };
            match (slot.what, encoding) {
                (What::TraceId, _) => {
                    let id = (u128::from(mix(trace)) << 64) | u128::from(mix(trace | 1 << 63));
                    encoding.id(place, &id.to_be_bytes());
                }
                (What::SpanId(span), _) => encoding.id(place, &mix(trace * SPANS + span).to_be_bytes()),
                (What::Time(after), Encoding::Protobuf) => {
                    copy(place, &(pace.first + trace * pace.apart + after).to_le_bytes())
                }
                (What::Time(after), Encoding::Json) => {
                    copy(place, (pace.first + trace * pace.apart + after).to_string().as_bytes());
                }
                (What::User, _) => copy(place, format!("{:06}", trace % 100_000).as_bytes()),
            }
        }
    }
}

impl Encoding {
    fn id(self, place: &mut [u8], id: &[u8]) {
        match self {
            Self::Protobuf => copy(place, id),
            Self::Json => {
                let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
                let digits = id.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
                place.iter_mut().zip(digits).for_each(|(to, from)| *to = from);
            }
        }
    }
}

fn copy(place: &mut [u8], bytes: &[u8]) {
    place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
}

/// Turns a counter into what looks like a random id (SplitMix64). A bijection, in which only 0 gives 0: no id is 0.
fn mix(counter: u64) -> u64 {
    let mut mixed = (counter + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// When a span starts and ends after its trace's start: each inside its parent.
fn times(span: u64) -> (u64, u64) {
    (span * 20_000, 900_000 - span * 20_000)
}

/// Writes `blocks` blocks of [`BLOCK`] spans. Of the traces of a block, one has lost its user at the last service.
pub(crate) fn write(
    encoding: Encoding,
    blocks: Range<u64>,
    pace: Pace,
    out: &mut dyn Write,
) -> io::Result<()> {
    let traces: Vec<_> = (0..TRACES).map(|trace| shop::trace(trace == 0)).collect();
    let mut block = match encoding {
        Encoding::Protobuf => protobuf::block(&traces),
        Encoding::Json => json::block(&traces),
    };
    for number in blocks {
        block.renumber(encoding, pace, number);
        out.write_all(&block.bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

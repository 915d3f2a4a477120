//! Hops of judged traces, compact: every text once, a hop as numbers.
//!
//! ```text
//! texts u32: { length u32, bytes } | traces u32: { trace 16, version u32, digest u64, missing u32, flags u8, hops u32 }
//! hops of every trace: { span 8, parent 8, start u64, end, less the start, place of the caller, and one, texts 11,
//!                        principal kind, outcome, basis, kind, 2 bits each | assurance, 7 bits, uncovered, 1 }
//! ```
//! Integers are little-endian, and as [`number`] has them where no width is given. Text 0 is the empty one.

use std::collections::HashMap;

use hopseal_correlate::hop::{HopKind, Outcome};
use hopseal_correlate::number;
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_identity::{Assurance, Basis, Kind};

/// Number of a text in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub(crate) struct Text(pub(crate) u32);

/// Texts, each once.
#[derive(Debug, Clone)]
pub(crate) struct Texts {
    all: Vec<Box<str>>,
    /// Texts are the senders' choice: hashed with a secret.
    known: HashMap<Box<str>, Text>,
}

impl Default for Texts {
    fn default() -> Self {
        let known = HashMap::from_iter([("".into(), Text(0))]);
        Self { all: vec!["".into()], known }
    }
}

impl Texts {
    /// The number of a text, new or not.
    pub(crate) fn add(&mut self, text: &str) -> Text {
        if let Some(known) = self.known.get(text) {
            return *known;
        }
        let number = Text(u32::try_from(self.all.len()).unwrap_or(0));
        self.all.push(text.into());
        self.known.insert(text.into(), number);
        number
    }

    /// The text of that number; empty for one that is none.
    pub(crate) fn get(&self, text: Text) -> &str {
        self.all.get(text.0 as usize).map_or("", |text| text)
    }

    /// Every one of them, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|text| &**text)
    }

    /// The number of a text that is there.
    pub(crate) fn find(&self, text: &str) -> Option<Text> {
        self.known.get(text).copied()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

/// The texts of one hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HopTexts {
    pub(crate) caller: Text,
    pub(crate) service: Text,
    pub(crate) namespace: Text,
    pub(crate) environment: Text,
    pub(crate) operation: Text,
    /// Proxies, one a line.
    pub(crate) via: Text,
    pub(crate) method: Text,
    /// The principal's id; empty where there is none.
    pub(crate) principal: Text,
    pub(crate) issuer: Text,
    pub(crate) tenant: Text,
    /// Actors as `kind:id`, outermost first, one a line.
    pub(crate) actors: Text,
}

impl HopTexts {
    const COUNT: usize = 11;

    /// Every one of them.
    pub(crate) const fn to_array(self) -> [Text; Self::COUNT] {
        let Self {
            caller,
            service,
            namespace,
            environment,
            operation,
            via,
            method,
            principal,
            issuer,
            tenant,
            actors,
        } = self;
        [caller, service, namespace, environment, operation, via, method, principal, issuer, tenant, actors]
    }

    pub(super) const fn from_array(texts: [Text; Self::COUNT]) -> Self {
        let [
            caller,
            service,
            namespace,
            environment,
            operation,
            via,
            method,
            principal,
            issuer,
            tenant,
            actors,
        ] = texts;
        Self {
            caller,
            service,
            namespace,
            environment,
            operation,
            via,
            method,
            principal,
            issuer,
            tenant,
            actors,
        }
    }
}

/// One hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hop {
    /// Its entry span.
    pub(crate) span_id: SpanId,
    /// The parent that the entry span names.
    pub(crate) parent: Option<SpanId>,
    /// Nanoseconds since the Unix epoch; 0 when not known.
    pub(crate) start: u64,
    /// Nanoseconds since the Unix epoch; 0 when not known.
    pub(crate) end: u64,
    /// Place of the calling hop among the hops of its trace.
    pub(crate) caller: Option<u32>,
    pub(crate) texts: HopTexts,
    pub(crate) kind: HopKind,
    pub(crate) assurance: Assurance,
    pub(crate) basis: Basis,
    pub(crate) outcome: Outcome,
    pub(crate) principal_kind: Kind,
    /// Whether the service never shows an identity.
    pub(crate) uncovered: bool,
}

/// One trace as it was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) trace_id: TraceId,
    /// 1 at first; one more each time that late spans changed it. 0: spans that came when the rest was gone.
    pub(crate) version: u32,
    /// Tells verdicts apart: the same spans judged the same way have the same.
    pub(crate) digest: u64,
    pub(crate) missing_parents: u32,
    pub(crate) complete: bool,
    pub(crate) closed_early: bool,
    /// Hops of it in the block, after those of the traces before it.
    pub(crate) hops: u32,
}

/// Bytes of an encoded trace, without its hops.
const TRACE_BYTES: usize = 16 + 4 + 8 + 4 + 1 + 4;
/// Bytes of most encoded hops, at most.
const HOP_BYTES: usize = 8 + 8 + 8 + 6 + 1 + 3 * HopTexts::COUNT + 2;

/// Hops of judged traces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    pub(crate) texts: Texts,
    pub(crate) traces: Vec<Judged>,
    pub(crate) hops: Vec<Hop>,
}

/// Bytes that are no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a block of hops, or cut short")]
pub(crate) struct BrokenBlock;

impl Block {
    /// Whether the next trace goes into another.
    pub(crate) const fn is_full(&self) -> bool {
        self.hops.len() >= super::BLOCK_HOPS
    }

    /// Every trace with its hops.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&Judged, &[Hop])> {
        let mut rest = self.hops.as_slice();
        self.traces.iter().map(move |trace| {
            let (own, after) = rest.split_at_checked(trace.hops as usize).unwrap_or((&[], &[]));
            rest = after;
            (trace, own)
        })
    }

    /// One trace of it alone, with its own texts: a block has thousands of others.
    pub(crate) fn alone(&self, judged: Judged, hops: &[Hop]) -> Self {
        let mut alone = Self { traces: vec![judged], ..Self::default() };
        for hop in hops {
            let texts = hop.texts.to_array().map(|text| alone.texts.add(self.texts.get(text)));
            alone.hops.push(Hop { texts: HopTexts::from_array(texts), ..*hop });
        }
        alone
    }

    /// Adds everything of another.
    #[cfg(test)]
    pub(crate) fn append(&mut self, other: &Self) {
        let texts: Vec<Text> = other.texts.all.iter().map(|text| self.texts.add(text)).collect();
        let text = |text: Text| texts.get(text.0 as usize).copied().unwrap_or_default();
        self.traces.extend_from_slice(&other.traces);
        self.hops.extend(
            other
                .hops
                .iter()
                .map(|hop| Hop { texts: HopTexts::from_array(hop.texts.to_array().map(text)), ..*hop }),
        );
    }

    /// Writes it.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        let texts: usize = self.texts.all.iter().map(|text| text.len() + 4).sum();
        to.reserve(texts + self.traces.len() * TRACE_BYTES + self.hops.len() * HOP_BYTES + 8);
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
        to.extend_from_slice(&count(self.texts.all.len()));
        for text in &self.texts.all {
            to.extend_from_slice(&count(text.len()));
            to.extend_from_slice(text.as_bytes());
        }
        to.extend_from_slice(&count(self.traces.len()));
        for trace in &self.traces {
            to.extend_from_slice(&trace.trace_id.0);
            to.extend_from_slice(&trace.version.to_le_bytes());
            to.extend_from_slice(&trace.digest.to_le_bytes());
            to.extend_from_slice(&trace.missing_parents.to_le_bytes());
            to.push(u8::from(trace.complete) | u8::from(trace.closed_early) << 1);
            to.extend_from_slice(&trace.hops.to_le_bytes());
        }
        for hop in &self.hops {
            to.extend_from_slice(&hop.span_id.0);
            to.extend_from_slice(&hop.parent.map_or([0; 8], |parent| parent.0));
            to.extend_from_slice(&hop.start.to_le_bytes());
            number::put(to, hop.end.wrapping_sub(hop.start));
            number::put(to, hop.caller.map_or(0, |place| u64::from(place) + 1));
            hop.texts.to_array().iter().for_each(|text| number::put(to, u64::from(text.0)));
            let (kind, basis) = (kind_number(hop.kind), basis_number(hop.basis));
            let (outcome, principal) =
                (outcome_number(hop.outcome), principal_kind_number(hop.principal_kind));
            to.extend_from_slice(&[
                kind | basis << 2 | outcome << 4 | principal << 6,
                u8::from(hop.uncovered) | (hop.assurance as u8) << 1,
            ]);
        }
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, BrokenBlock> {
        let mut at = Cursor(bytes);
        let block = read(&mut at).ok_or(BrokenBlock)?;
        let hops: u64 = block.traces.iter().map(|trace| u64::from(trace.hops)).sum();
        (at.0.is_empty() && hops == block.hops.len() as u64).then_some(block).ok_or(BrokenBlock)
    }
}

struct Cursor<'b>(&'b [u8]);

impl<'b> Cursor<'b> {
    fn take(&mut self, len: usize) -> Option<&'b [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn number(&mut self) -> Option<u64> {
        let (number, rest) = number::take(self.0)?;
        self.0 = rest;
        Some(number)
    }
}

fn read(at: &mut Cursor<'_>) -> Option<Block> {
    let mut block = Block::default();
    for _ in 0..at.u32()? {
        let len = at.u32()? as usize;
        block.texts.add(std::str::from_utf8(at.take(len)?).ok()?);
    }
    for _ in 0..at.u32()? {
        let trace_id = TraceId(at.array()?);
        let (version, digest, missing_parents) = (at.u32()?, at.u64()?, at.u32()?);
        let [flags] = at.array()?;
        let (complete, closed_early) = (flags & 1 != 0, flags & 2 != 0);
        let hops = at.u32()?;
        block.traces.push(Judged {
            trace_id,
            version,
            digest,
            missing_parents,
            complete,
            closed_early,
            hops,
        });
    }
    while !at.0.is_empty() {
        let (span_id, parent) = (SpanId(at.array()?), SpanId::new(at.array()?));
        let start = at.u64()?;
        let end = start.wrapping_add(at.number()?);
        let caller = at.number()?.checked_sub(1).map(u32::try_from).transpose().ok()?;
        let mut texts = [Text::default(); HopTexts::COUNT];
        for text in &mut texts {
            *text = Text(u32::try_from(at.number()?).ok()?);
        }
        let [words, more] = at.array()?;
        block.hops.push(Hop {
            span_id,
            parent,
            start,
            end,
            caller,
            texts: HopTexts::from_array(texts),
            kind: kind_of(words & 3)?,
            assurance: Assurance::ALL.get(usize::from(more >> 1)).copied()?,
            basis: basis_of(words >> 2 & 3)?,
            outcome: outcome_of(words >> 4 & 3)?,
            principal_kind: principal_kind_of(words >> 6)?,
            uncovered: more & 1 != 0,
        });
    }
    Some(block)
}

const KINDS: [HopKind; 3] = [HopKind::Entry, HopKind::Rpc, HopKind::Messaging];
const BASES: [Basis; 3] = [Basis::Claimed, Basis::Reverified, Basis::AuthenticatedSender];
const OUTCOMES: [Outcome; 4] = [Outcome::Succeeded, Outcome::Rejected, Outcome::Failed, Outcome::Unknown];
const PRINCIPALS: [Kind; 3] = [Kind::User, Kind::Service, Kind::Agent];

fn number_in<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|known| known == one).and_then(|place| u8::try_from(place).ok()).unwrap_or(0)
}

pub(super) fn kind_number(kind: HopKind) -> u8 {
    number_in(&KINDS, &kind)
}

pub(super) fn kind_of(number: u8) -> Option<HopKind> {
    KINDS.get(usize::from(number)).copied()
}

pub(super) fn basis_number(basis: Basis) -> u8 {
    number_in(&BASES, &basis)
}

pub(super) fn basis_of(number: u8) -> Option<Basis> {
    BASES.get(usize::from(number)).copied()
}

pub(super) fn outcome_number(outcome: Outcome) -> u8 {
    number_in(&OUTCOMES, &outcome)
}

pub(super) fn outcome_of(number: u8) -> Option<Outcome> {
    OUTCOMES.get(usize::from(number)).copied()
}

fn principal_kind_number(kind: Kind) -> u8 {
    number_in(&PRINCIPALS, &kind)
}

fn principal_kind_of(number: u8) -> Option<Kind> {
    PRINCIPALS.get(usize::from(number)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::store::testing::block;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(block in block(), cut in 1_usize..64) {
            let mut bytes = Vec::new();
            block.encode(&mut bytes);
            let read = Block::decode(&bytes).expect("whole");
            prop_assert_eq!(&read.traces, &block.traces);
            prop_assert_eq!(&read.hops, &block.hops);
            prop_assert_eq!(&read.texts.all, &block.texts.all);
            bytes.truncate(bytes.len().saturating_sub(cut));
            prop_assert!(Block::decode(&bytes).is_err());
        }

        #[test]
        fn what_is_appended_says_the_same(one in block(), other in block()) {
            let mut both = one.clone();
            both.append(&other);
            let texts = |block: &Block| -> Vec<Vec<String>> {
                let texts = |hop: &Hop| hop.texts.to_array().iter().map(|text| block.texts.get(*text).to_owned()).collect();
                block.hops.iter().map(texts).collect()
            };
            prop_assert_eq!(texts(&both), [texts(&one), texts(&other)].concat());
            prop_assert_eq!(both.each().count(), one.traces.len() + other.traces.len());
        }
    }
}

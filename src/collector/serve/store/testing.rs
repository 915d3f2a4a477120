//! Blocks for tests.

use hopseal_correlate::hop::{HopKind, Outcome};
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_identity::{Assurance, Basis, Kind};
use proptest::collection::vec;
use proptest::prelude::*;

use super::block::{Block, Hop, HopTexts, Judged};
use super::{MINUTE, Said, State};

/// 2026-01-01T00:00:00Z.
pub(crate) const EPOCH: u64 = 1_767_225_600_000_000_000;

/// Somebody says what becomes of a finding.
pub(crate) fn said(state: State, note: &str, at: u64) -> Said {
    Said { state, note: note.to_owned(), at, who: "ann".to_owned() }
}

/// A hop as a test writes it.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    pub(crate) caller: &'static str,
    pub(crate) service: &'static str,
    pub(crate) principal: &'static str,
    pub(crate) issuer: &'static str,
    pub(crate) assurance: Assurance,
    /// Milliseconds from [`EPOCH`].
    pub(crate) start: u64,
}

impl Sketch {
    /// Adds it to a block, as the `place`th hop of the trace that comes last.
    fn add(&self, trace: u64, place: u32, block: &mut Block) {
        // Every fourth millisecond begins a slow write, so that hops differ.
        let (operation, took) = if self.start % 4 == 3 { ("POST /", 2_500_000) } else { ("GET /", 5) };
        // Some differ in more.
        let odd = self.start % 15;
        let texts = &mut block.texts;
        let texts = HopTexts {
            caller: texts.add(self.caller),
            service: texts.add(self.service),
            operation: texts.add(operation),
            principal: texts.add(self.principal),
            issuer: texts.add(self.issuer),
            actors: texts.add(match (self.principal, odd) {
                ("", _) => "",
                (_, 7 | 9 | 13) => "agent:planner\nservice:batch",
                _ => "agent:planner",
            }),
            tenant: texts.add(if !self.principal.is_empty() && matches!(odd, 6 | 7 | 11 | 13) {
                "acme"
            } else {
                ""
            }),
            via: texts.add(match odd {
                9 | 11 => "edge-proxy\nmesh",
                7 | 14 => "mesh",
                _ => "",
            }),
            ..HopTexts::default()
        };
        block.hops.push(Hop {
            span_id: SpanId(((trace << 16) | (u64::from(place) + 1)).to_be_bytes()),
            parent: None,
            start: EPOCH + self.start * 1_000_000,
            end: EPOCH + self.start * 1_000_000 + took,
            caller: place.checked_sub(1),
            texts,
            kind: HopKind::Rpc,
            assurance: self.assurance,
            basis: if matches!(odd, 6 | 9) { Basis::Reverified } else { Basis::Claimed },
            outcome: Outcome::Succeeded,
            principal_kind: Kind::User,
            uncovered: self.assurance == Assurance::Unknown,
        });
    }
}

/// Adds a trace to a block.
pub(crate) fn add(block: &mut Block, trace: u64, version: u32, hops: &[Sketch]) {
    for (hop, place) in hops.iter().zip(0..) {
        hop.add(trace, place, block);
    }
    block.traces.push(Judged {
        trace_id: trace_id(trace),
        version,
        digest: trace ^ u64::from(version),
        missing_parents: 0,
        complete: true,
        closed_early: false,
        hops: hops.len() as u32,
    });
}

pub(crate) fn trace_id(number: u64) -> TraceId {
    TraceId((u128::from(number) + 1).to_be_bytes())
}

pub(crate) fn sketch() -> impl Strategy<Value = Sketch> {
    let name = prop::sample::select(vec!["", "gateway", "orders", "stock"]);
    let who = prop::sample::select(vec!["", "alice", "bob", "carol"]);
    let issuer = prop::sample::select(vec!["", "main"]);
    (name.clone(), name, who, issuer, 0_u64..4 * MINUTE / 1_000_000).prop_map(
        |(caller, service, principal, issuer, start)| Sketch {
            caller,
            service: if service.is_empty() { "edge" } else { service },
            principal,
            issuer: if principal.is_empty() { "" } else { issuer },
            assurance: if principal.is_empty() { Assurance::Unknown } else { Assurance::Asserted },
            start,
        },
    )
}

/// A block of some traces, none of them twice.
pub(crate) fn block() -> impl Strategy<Value = Block> {
    vec(vec(sketch(), 0..4), 0..6).prop_map(|traces| {
        let mut block = Block::default();
        for (hops, trace) in traces.iter().zip(0..) {
            add(&mut block, trace, 1, hops);
        }
        block
    })
}

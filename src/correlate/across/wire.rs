//! How calls of one edge came: by mutual TLS or in plain text.

use std::collections::BTreeSet;

use super::bounded::{Bounded, Keys};
use super::stored::stored;
use super::{Example, OwnedService};
use crate::field::Field;
use crate::hop::Hop;
use crate::rule::Cx;

/// Edges counted, over all windows.
const MAX_EDGES: usize = 20_000;

/// The calls of one edge in one window that say how they came.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    pub(crate) window: u64,
    pub(crate) caller: OwnedService,
    pub(crate) service: OwnedService,
    /// Calls by mutual TLS.
    pub(crate) mutual: u64,
    /// Calls in plain text, in traces where none of the edge came by mutual TLS.
    pub(crate) plain: u64,
    /// The first of those.
    pub(crate) example: Option<Example>,
    pub(crate) operation: String,
}

#[derive(Debug, Clone)]
pub(super) struct Wires {
    kept: Bounded<Wire>,
    keys: Keys,
}

stored!(Wires { kept, keys });
stored!(Wire { window, caller, service, mutual, plain, example, operation });

impl Default for Wires {
    fn default() -> Self {
        Self { kept: Bounded::new(MAX_EDGES), keys: Keys::default() }
    }
}

impl Wire {
    fn merge(&mut self, other: Self) {
        self.mutual += other.mutual;
        self.plain += other.plain;
        self.came_plain(other.example, &other.operation);
    }

    /// Takes note of calls in plain text, of which that was the first.
    fn came_plain(&mut self, example: Option<Example>, operation: &str) {
        if example.is_some_and(|new| self.example.is_none_or(|known| new < known)) {
            self.example = example;
            operation.clone_into(&mut self.operation);
        }
    }
}

/// How the entry span of a hop says that it was called.
fn security<'a>(cx: &Cx<'a>, hop: &Hop<'_>) -> Option<&'a str> {
    cx.entry(hop).get(Field::ConnectionSecurity)
}

impl Wires {
    pub(super) fn observe(&mut self, cx: &Cx<'_>, window_of: impl Fn(u64) -> u64) {
        let says = || cx.hops.iter().filter(|hop| cx.entry(hop).has(Field::ConnectionSecurity));
        if says().next().is_none() {
            return;
        }
        let edge_of = |hop: &Hop<'_>| cx.caller(hop).map(|caller| (caller.service, cx.entry(hop).service));
        let by_tls = says().filter(|hop| security(cx, hop) == Some("mutual_tls"));
        let encrypted: BTreeSet<_> = by_tls.filter_map(edge_of).collect();
        for hop in says() {
            let Some(edge) = edge_of(hop) else { continue };
            let is_mutual = match security(cx, hop) {
                Some("mutual_tls") => true,
                // Of the others of its trace the trace itself tells.
                Some("none") if !encrypted.contains(&edge) => false,
                _ => continue,
            };
            let entry = cx.entry(hop);
            let window = window_of(entry.start);
            let names = [edge.0, edge.1].map(|of| [of.namespace, of.name, of.environment].map(str::as_bytes));
            let mut parts: Vec<&[u8]> = names.as_flattened().to_vec();
            let begin = window.to_le_bytes();
            parts.push(&begin);
            let new = || Wire {
                window,
                caller: edge.0.into(),
                service: edge.1.into(),
                mutual: 0,
                plain: 0,
                example: None,
                operation: String::new(),
            };
            let Some(wire) = self.kept.entry(self.keys.of(&parts), new) else { continue };
            wire.mutual += u64::from(is_mutual);
            wire.plain += u64::from(!is_mutual);
            if !is_mutual {
                let example = Example { at: entry.start, trace_id: cx.trace.id, span_id: entry.id };
                wire.came_plain(Some(example), &hop.operation);
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.kept.merge(other.kept, Wire::merge);
    }

    pub(super) fn finish(self) -> (Vec<Wire>, bool) {
        self.kept.into_sorted()
    }
}

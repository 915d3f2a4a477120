//! Hops by edge. Names of services are the senders' choice, so there are so many edges and no more.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

/// Edges that are counted apart; hops of further ones are counted as between services called [`OTHER`].
pub(super) const MOST_EDGES: usize = 1000;
/// The name of services beyond those that are counted apart. One that calls itself so is counted with them.
const OTHER: &str = "_other";
/// Letters of a service's name that are shown.
const LETTERS: usize = 100;

/// Hops from one service to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Edge {
    /// The service that called; empty where none is known.
    pub(super) caller: String,
    /// The service called.
    pub(super) service: String,
    /// How sure the identity was: `verified`, `sealed`, `asserted`, `refused`, `anonymous`, `unknown`; or `uncovered`, where the
    /// service never shows one.
    pub(super) assurance: &'static str,
}

/// The first letters of a name.
pub(super) fn short(name: &str) -> String {
    name.chars().take(LETTERS).collect()
}

/// Hops by edge: of so many edges, and the others as one.
#[derive(Debug, Clone, Default)]
pub(super) struct Edges {
    pub(super) family: Family<Edge, Counter>,
    known: Arc<Mutex<HashSet<Edge>>>,
}

impl Edges {
    pub(super) fn known(&self) -> MutexGuard<'_, HashSet<Edge>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, mut edge: Edge, count: u64) {
        {
            let mut known = self.known();
            if !known.contains(&edge) {
                if known.len() >= MOST_EDGES {
                    (edge.caller, edge.service) = (OTHER.to_owned(), OTHER.to_owned());
                }
                known.insert(edge.clone());
            }
        }
        self.family.get_or_create(&edge).inc_by(count);
    }
}

//! What becomes of an identity from one hop to the next, and hops that are alike put together.

use std::collections::HashMap;

use hopseal_identity::{Assurance, Basis};

use crate::serve::store::HopRecord;

/// What became of the identity of the calling hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Change {
    /// It came on as it was.
    Same,
    /// There is none here, and the service shows one at times.
    Lost,
    /// There is another.
    Changed,
    /// There was none before.
    Shown,
    /// There is none, as before; or the service never shows one.
    Never,
}

/// One hop among those of its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// The index of the calling hop, which is always lower.
    pub(super) parent: Option<usize>,
    pub(super) change: Change,
}

/// The steps of a trace, one a hop.
pub(super) fn steps(hops: &[HopRecord]) -> Vec<Step> {
    let mut at: HashMap<u32, usize> = HashMap::new();
    let mut steps = Vec::with_capacity(hops.len());
    for (index, hop) in hops.iter().enumerate() {
        // Callers stand before callees; what came late may say anything.
        let parent = hop.caller_place.and_then(|place| at.get(&place).copied());
        at.entry(hop.place).or_insert(index);
        let before = parent.and_then(|parent| hops.get(parent)).map(|parent| parent.principal.as_ref());
        let change = match (before.flatten(), &hop.principal) {
            (Some(before), Some(here)) if before.id == here.id && before.tenant == here.tenant => {
                Change::Same
            }
            (Some(_), Some(_)) => Change::Changed,
            (Some(_), None) if !hop.uncovered => Change::Lost,
            (None, Some(_)) => Change::Shown,
            (_, None) => Change::Never,
        };
        steps.push(Step { parent, change });
    }
    steps
}

/// Hops that are drawn as one: the same call again and again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Indices of its hops, at least one.
    pub(super) hops: Vec<usize>,
    /// The index of the calling node, which is always lower.
    pub(super) parent: Option<usize>,
    /// How far from the beginning.
    pub(super) depth: usize,
    /// The row it stands in.
    pub(super) row: usize,
}

/// How much of two hops has to be the same for them to be drawn as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alike {
    /// Service, operation, principal and all that is said of it.
    Calls,
    /// The same but for operations.
    Services,
    /// The same but for operations and principals.
    Assurances,
}

/// So many nodes can be looked at.
const MANY: usize = 60;

/// Hops put together until they can be looked at, or nothing more can be put together.
pub(super) fn nodes(hops: &[HopRecord], steps: &[Step]) -> (Vec<Node>, Alike) {
    let mut last = (Vec::new(), Alike::Calls);
    for alike in [Alike::Calls, Alike::Services, Alike::Assurances] {
        last = (together(hops, steps, alike), alike);
        if last.0.len() <= MANY {
            break;
        }
    }
    last
}

type Key<'a> = (&'a str, Option<&'a str>, Option<&'a str>, Assurance, Basis, Change);

fn together(hops: &[HopRecord], steps: &[Step], alike: Alike) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    let mut known: HashMap<(Option<usize>, Key<'_>), usize> = HashMap::new();
    let mut of_hop: Vec<usize> = Vec::with_capacity(hops.len());
    for (index, (hop, step)) in hops.iter().zip(steps).enumerate() {
        let parent = step.parent.and_then(|parent| of_hop.get(parent).copied());
        let operation = (alike == Alike::Calls).then_some(&*hop.operation);
        let who = hop.principal.as_ref().filter(|_| alike != Alike::Assurances).map(|who| &*who.id);
        let key = (&*hop.service, operation, who, hop.assurance, hop.basis, step.change);
        let node = *known.entry((parent, key)).or_insert_with(|| {
            let depth = parent.and_then(|parent| nodes.get(parent)).map_or(0, |parent| parent.depth + 1);
            nodes.push(Node { hops: Vec::new(), parent, depth, row: 0 });
            nodes.len() - 1
        });
        if let Some(node) = nodes.get_mut(node) {
            node.hops.push(index);
        }
        of_hop.push(node);
    }
    set_rows(&mut nodes);
    nodes
}

/// Gives each node a row: the first one called stands beside its caller, the others below.
fn set_rows(nodes: &mut [Node]) {
    // How many rows a node takes with all it calls. Callees stand after their callers.
    let mut rows = vec![0_usize; nodes.len()];
    for index in (0..nodes.len()).rev() {
        let own = rows.get(index).copied().unwrap_or(0).max(1);
        if let Some(slot) = rows.get_mut(index) {
            *slot = own;
        }
        let parent = nodes.get(index).and_then(|node| node.parent);
        if let Some(slot) = parent.and_then(|parent| rows.get_mut(parent)) {
            *slot += own;
        }
    }
    let (mut free, mut roots) = (vec![0_usize; nodes.len()], 0);
    for index in 0..nodes.len() {
        let parent = nodes.get(index).and_then(|node| node.parent);
        let next = parent.map_or(Some(&mut roots), |parent| free.get_mut(parent));
        let row = next.as_deref().copied().unwrap_or(0);
        if let Some(next) = next {
            *next += rows.get(index).copied().unwrap_or(1);
        }
        if let (Some(node), Some(own)) = (nodes.get_mut(index), free.get_mut(index)) {
            (node.row, *own) = (row, row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::pages::tests::hop;

    fn shape(nodes: &[Node]) -> Vec<(Vec<usize>, Option<usize>, usize, usize)> {
        nodes.iter().map(|node| (node.hops.clone(), node.parent, node.depth, node.row)).collect()
    }

    #[test]
    fn what_becomes_of_an_identity() {
        let hops = [
            hop(0, None, "gateway", "alice"),
            hop(1, Some(0), "orders", "alice"),
            hop(2, Some(1), "stock", ""),
            hop(3, Some(1), "mail", "robot"),
            hop(4, Some(2), "audit", "alice"),
            hop(5, Some(9), "late", ""),
        ];
        let found: Vec<_> = steps(&hops).iter().map(|step| (step.parent, step.change)).collect();
        assert_eq!(
            found,
            [
                (None, Change::Shown),
                (Some(0), Change::Same),
                (Some(1), Change::Lost),
                (Some(1), Change::Changed),
                (Some(2), Change::Shown),
                (None, Change::Never),
            ]
        );
    }

    #[test]
    fn a_call_made_again_and_again_is_drawn_once() {
        let hops = [
            hop(0, None, "gateway", "alice"),
            hop(1, Some(0), "orders", "alice"),
            hop(2, Some(1), "stock", "alice"),
            hop(3, Some(0), "orders", "alice"),
            hop(4, Some(3), "stock", "alice"),
            hop(5, Some(3), "mail", "alice"),
            hop(6, Some(0), "audit", "alice"),
        ];
        let (nodes, alike) = nodes(&hops, &steps(&hops));
        assert_eq!(alike, Alike::Calls);
        assert_eq!(
            shape(&nodes),
            [
                (vec![0], None, 0, 0),
                (vec![1, 3], Some(0), 1, 0),
                (vec![2, 4], Some(1), 2, 0),
                (vec![5], Some(1), 2, 1),
                (vec![6], Some(0), 1, 2),
            ]
        );
    }

    /// Scenario: a thousand calls of one service, each of an operation of its own; and a chain of a thousand.
    /// Guarantees: the first is drawn as one call; the second, where nothing is alike, hop by hop.
    #[test]
    fn a_thousand_hops() {
        let mut wide = vec![hop(0, None, "gateway", "alice")];
        wide.extend((1..1000).map(|place| {
            let mut hop = hop(place, Some(0), "orders", "alice");
            hop.operation = format!("GET /{place}");
            hop
        }));
        let (found, alike) = nodes(&wide, &steps(&wide));
        assert_eq!((found.len(), alike), (2, Alike::Services));
        assert_eq!(found[1].hops.len(), 999);
        let deep: Vec<_> =
            (0..1000_u32).map(|place| hop(place, place.checked_sub(1), "relay", "alice")).collect();
        let (found, _) = nodes(&deep, &steps(&deep));
        assert_eq!(found.len(), 1000);
        assert_eq!((found[999].depth, found[999].row), (999, 0));
    }
}

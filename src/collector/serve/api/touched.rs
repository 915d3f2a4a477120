//! Who touched a service, and through what.

use std::collections::HashMap;

use hopseal_correlate::sink::TraceId;

use super::ask::cursor_text;
use crate::output::trail::TouchedShape;
use crate::serve::shape::touched_by;
use crate::serve::store::{Cursor, HopQuery, HopRecord, Store, StoreError, TouchedBy, TraceRecord};

/// Asks the store, and for the last hop of each by what chain of services it was come by.
pub(crate) fn touched(store: &dyn Store, query: &HopQuery) -> Result<TouchedShape, StoreError> {
    let found = store.touched(query)?;
    let ids: Vec<TraceId> = found.by.iter().map(|by| TraceId(by.newest.id)).collect();
    let traces = store.traces(&ids)?;
    let traces: HashMap<TraceId, &TraceRecord> =
        traces.iter().map(|trace| (trace.judged.trace_id, trace)).collect();
    let shown = |by: TouchedBy| {
        let trace = traces.get(&TraceId(by.newest.id));
        let chain = trace.map(|trace| chain(&trace.hops, by.newest)).unwrap_or_default();
        touched_by(by, chain)
    };
    Ok(TouchedShape {
        principals: found.by.into_iter().map(shown).collect(),
        next: found.next.map(cursor_text),
    })
}

/// The services from the first one called to that of a hop.
fn chain(hops: &[HopRecord], of: Cursor) -> Vec<String> {
    let mut hop = hops.iter().find(|hop| hop.cursor() == of);
    let mut chain: Vec<String> = Vec::new();
    let mut first: Option<&HopRecord> = None;
    while let Some(at) = hop {
        chain.push(at.service.clone());
        first = Some(at);
        // Callers stand before callees; what came late may say anything.
        let caller = at.caller_place.filter(|place| *place < at.place);
        hop = caller.and_then(|place| hops.iter().find(|hop| hop.place == place));
    }
    // A caller whose own hop is not there.
    chain.extend(first.and_then(|first| first.caller.clone()));
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::pages::hop;

    #[test]
    fn a_chain_goes_back_to_where_it_began() {
        let mut hops = vec![
            hop(0, None, "gateway", "alice"),
            hop(1, Some(0), "orders", "alice"),
            hop(2, Some(0), "stock", "alice"),
            hop(3, Some(1), "payments", "alice"),
            hop(4, Some(4), "loop", "alice"),
            hop(5, Some(9), "late", "alice"),
        ];
        for (place, expected) in
            [(0, &["gateway"][..]), (3, &["gateway", "orders", "payments"]), (4, &["loop"]), (5, &["late"])]
        {
            assert_eq!(chain(&hops, hops[place].cursor()), expected, "{place}");
        }
        hops[5].caller = Some("batch".to_owned());
        assert_eq!(chain(&hops, hops[5].cursor()), ["batch", "late"]);
    }
}

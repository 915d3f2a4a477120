//! Hops by what they hang on: made when first asked for, so that no rule has to go over all hops for each of them.

use super::{Hop, HopIx};

/// The hops of one trace, by caller.
#[derive(Debug)]
pub(super) struct Index {
    /// What hop `i` called: `callees[first[i]..first[i + 1]]`.
    first: Vec<u32>,
    callees: Vec<HopIx>,
    /// Hops and origins whose caller is missing.
    torn: Vec<HopIx>,
}

impl Index {
    pub(super) fn of(all: &[Hop<'_>]) -> Self {
        let mut callees: Vec<(HopIx, HopIx)> =
            all.iter().filter_map(|hop| Some((hop.caller?, hop.ix))).collect();
        callees.sort_unstable();
        let mut first = Vec::with_capacity(all.len() + 1);
        let mut at = 0;
        for hop in all {
            first.push(at);
            let rest = callees.get(at as usize..).unwrap_or(&[]);
            at += rest.iter().take_while(|(caller, _)| *caller == hop.ix).count() as u32;
        }
        first.push(at);
        let torn = all.iter().filter(|hop| hop.caller_missing).map(|hop| hop.ix).collect();
        Self { first, callees: callees.into_iter().map(|(_, callee)| callee).collect(), torn }
    }

    /// What a hop called, in the order of time.
    pub(super) fn callees(&self, ix: HopIx) -> &[HopIx] {
        let from = self.first.get(ix.get()).copied().unwrap_or(0) as usize;
        let to = self.first.get(ix.get() + 1).copied().unwrap_or(0) as usize;
        self.callees.get(from..to).unwrap_or(&[])
    }

    pub(super) fn torn(&self) -> &[HopIx] {
        &self.torn
    }
}

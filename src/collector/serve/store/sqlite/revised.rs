//! Traces that were judged again, and which version of each counts: the others may be in files until those are merged.
//!
//! Versions of a trace are kept one after the other, the first with number 1. Where the first is among what goes into a file, no other
//! file has an older one (unless the trace came again after all had forgotten it, and was numbered anew). Once the last alone of those
//! is kept, nobody has to be told which one counts. Without that, what is noted would grow by each trace that was ever judged again;
//! what stays noted, until its day is removed, is a trace whose versions never came together: on both sides of midnight, or judged once
//! more after its first version was gone.

use std::collections::{HashMap, HashSet};

use hopseal_correlate::sink::TraceId;
use rusqlite::{Connection, Transaction, params};

use super::super::block::Block;
use super::int;

/// The last version of each.
pub(super) type Revised = HashMap<TraceId, u32>;

/// What the catalog has.
pub(super) fn read(connection: &Connection) -> Result<Revised, rusqlite::Error> {
    let mut statement = connection.prepare("SELECT trace, version FROM revised")?;
    let rows = statement.query_map([], |row| Ok((TraceId(row.get(0)?), row.get(1)?)))?;
    rows.collect()
}

/// Takes note of what was judged again of a block.
pub(super) fn note(transaction: &Transaction<'_>, block: &Block, at: u64) -> Result<(), rusqlite::Error> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO revised VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET version = max(version, ?2), at = ?3",
    )?;
    for judged in block.traces.iter().filter(|judged| judged.version > 1) {
        insert.execute(params![judged.trace_id.0, judged.version, int(at)])?;
    }
    Ok(())
}

/// Strikes out those of which one version alone is left.
pub(super) fn strike(
    transaction: &Transaction<'_>,
    settled: &[(TraceId, u32)],
) -> Result<(), rusqlite::Error> {
    let mut delete = transaction.prepare_cached("DELETE FROM revised WHERE trace = ?1 AND version = ?2")?;
    for (trace_id, version) in settled {
        delete.execute(params![trace_id.0, version])?;
    }
    Ok(())
}

/// Which versions of traces that were judged again are among what goes into one file.
pub(super) struct Seen<'r> {
    revised: &'r Revised,
    first: HashSet<TraceId>,
    last: HashSet<TraceId>,
}

impl<'r> Seen<'r> {
    pub(super) fn new(revised: &'r Revised) -> Self {
        Self { revised, first: HashSet::new(), last: HashSet::new() }
    }

    /// Takes note of a version. Whether it is the last of its trace, or what came when the rest was gone.
    pub(super) fn is_last(&mut self, trace_id: TraceId, version: u32) -> bool {
        let Some(last) = self.revised.get(&trace_id) else { return true };
        if version == 1 {
            self.first.insert(trace_id);
        }
        if version == *last {
            self.last.insert(trace_id);
        }
        version == 0 || version == *last
    }

    /// Traces of which both the first version and the last were seen, and so all between them, with the last.
    pub(super) fn settled(self) -> Vec<(TraceId, u32)> {
        let settled = self.first.intersection(&self.last).copied();
        settled.filter_map(|trace_id| Some((trace_id, *self.revised.get(&trace_id)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guarantees: a trace is noted until none of its versions but the last is left.
    #[test]
    fn a_trace_is_settled_once_its_first_version_and_its_last_went_together() {
        let id = |number| TraceId([number; 16]);
        let revised: Revised = (1..=4).map(|number| (id(number), 3)).collect();
        let mut seen = Seen::new(&revised);
        let versions = [(1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 1), (3, 2), (4, 0), (4, 3), (5, 1)];
        let last = versions.map(|(number, version)| seen.is_last(id(number), version));
        assert_eq!(last, [false, false, true, false, true, false, false, true, true, true]);
        assert_eq!(seen.settled(), [(id(1), 3)]);
    }
}

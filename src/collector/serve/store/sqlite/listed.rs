//! The list of segments: what is in it is there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, Transaction, params};

use super::super::StoreError;
use super::super::segment::{Index, Segment, Segments, Written};
use super::{int, uint};

/// Adds one.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    folder: &Path,
    segment: &Segment,
) -> Result<(), StoreError> {
    let name = segment.name(folder);
    transaction.execute(
        "INSERT OR REPLACE INTO segment VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            name,
            int(segment.day),
            int(segment.low),
            int(segment.high),
            int(segment.hops),
            int(segment.bytes),
            segment.first.cast_signed(),
            segment.last.cast_signed(),
        ],
    )?;
    if let Some(Index { at, traces, subjects }) = segment.index {
        transaction.execute(
            "INSERT OR REPLACE INTO segment_index VALUES (?1, ?2, ?3, ?4)",
            params![name, int(at), traces, subjects],
        )?;
    }
    Ok(())
}

/// Takes one off. `false` where it was not there.
pub(super) fn remove(
    transaction: &Transaction<'_>,
    folder: &Path,
    segment: &Segment,
) -> Result<bool, StoreError> {
    Ok(transaction.execute("DELETE FROM segment WHERE name = ?1", [segment.name(folder)])? == 1)
}

/// What there is.
pub(super) fn read(connection: &Connection, folder: &Path) -> Result<Segments, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, day, low, high, hops, bytes, first, last, at, traces, subjects \
         FROM segment LEFT JOIN segment_index USING (name)",
    )?;
    let mut rows = statement.query([])?;
    let mut segments = Vec::new();
    while let Some(row) = rows.next()? {
        let index = match row.get::<_, Option<i64>>(8)? {
            Some(at) => Some(Index { at: uint(at), traces: row.get(9)?, subjects: row.get(10)? }),
            None => None,
        };
        segments.push(Arc::new(Segment {
            path: folder.join(row.get::<_, String>(0)?),
            day: uint(row.get(1)?),
            low: uint(row.get(2)?),
            high: uint(row.get(3)?),
            hops: uint(row.get(4)?),
            bytes: uint(row.get(5)?),
            first: row.get::<_, i64>(6)?.cast_unsigned(),
            last: row.get::<_, i64>(7)?.cast_unsigned(),
            index,
        }));
    }
    Ok(segments)
}

/// A segment that was written, of the blocks from `low` to `high`.
pub(super) fn written(path: PathBuf, day: u64, (low, high): (u64, u64), written: Written) -> Segment {
    let Written { hops, bytes, first, last, index } = written;
    Segment { path, day, low, high, hops, bytes, first, last, index }
}

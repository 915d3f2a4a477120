//! What became of findings, for those who are told of it.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::super::StoreError;
use super::super::query::{Change, Changes, State};
use super::{findings, int, uint};

/// See [`Store::receivers`](super::super::Store::receivers).
pub(super) fn receivers(transaction: &Transaction<'_>, names: &[&str]) -> Result<(), StoreError> {
    let mut known = transaction.prepare("SELECT name FROM receiver")?;
    let known: Vec<String> = known.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for name in known.iter().filter(|name| !names.contains(&name.as_str())) {
        transaction.execute("DELETE FROM receiver WHERE name = ?1", [name])?;
    }
    for name in names {
        transaction.execute(
            "INSERT OR IGNORE INTO receiver SELECT ?1, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change'), 0)",
            [name],
        )?;
    }
    forget(transaction)
}

/// Removes what all of them know.
fn forget(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let all =
        "DELETE FROM change WHERE seq <= coalesce((SELECT min(told) FROM receiver), 9223372036854775807)";
    transaction.execute(all, [])?;
    Ok(())
}

/// See [`Store::told`](super::super::Store::told).
pub(super) fn told(transaction: &Transaction<'_>, receiver: &str, seq: u64) -> Result<(), StoreError> {
    transaction
        .prepare_cached("UPDATE receiver SET told = max(told, ?2) WHERE name = ?1")?
        .execute(params![receiver, int(seq)])?;
    forget(transaction)
}

/// See [`Store::changes`](super::super::Store::changes).
pub(super) fn changes(connection: &Connection, receiver: &str, limit: usize) -> Result<Changes, StoreError> {
    let mut told = connection.prepare_cached("SELECT told FROM receiver WHERE name = ?1")?;
    let told: Option<i64> = told.query_row([receiver], |row| row.get(0)).optional()?;
    let Some(told) = told else { return Ok(Changes::default()) };
    let mut statement = connection
        .prepare_cached("SELECT seq, finding, state, at FROM change WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query(params![told, limit])?;
    let mut found = Changes { up_to: uint(told), ..Changes::default() };
    let mut is_first = true;
    while let Some(row) = rows.next()? {
        let seq = uint(row.get(0)?);
        if std::mem::take(&mut is_first) {
            found.missed = seq.saturating_sub(found.up_to + 1);
        }
        found.up_to = seq;
        let state: usize = row.get(2)?;
        let state = State::ALL.get(state).copied().ok_or(StoreError::Broken("a state"))?;
        // One that is kept no longer is nobody's concern.
        if let Some(finding) = findings::one(connection, hopseal_correlate::finding::FindingId(row.get(1)?))?
        {
            found.changes.push(Change { seq, at: uint(row.get(3)?), state, finding });
        }
    }
    Ok(found)
}

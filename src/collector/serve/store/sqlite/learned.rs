//! What services have shown, and when they last did.

use hopseal_correlate::catalogue::{Catalogue, Shown};
use hopseal_correlate::record::Service;
use hopseal_correlate::validation::Services;
use rusqlite::{Connection, Transaction, params};

use super::super::{Batch, DAY, Learned, StoreError};
use super::{int, uint};

/// Adds what a batch says.
pub(super) fn write(transaction: &Transaction<'_>, batch: &Batch) -> Result<(), StoreError> {
    let day = int(batch.at / DAY);
    // With each day a tenth of what was counted counts no more, or what was shown long ago would always outweigh what is.
    let mut shown = transaction.prepare_cached(
        "INSERT INTO shown VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, CASE WHEN ?6 > 0 THEN ?7 ELSE 0 END) ON CONFLICT DO UPDATE SET \
         hops = hops - hops * MAX(0, MIN(9, ?7 - seen)) / 10 + ?5, \
         identified = identified - identified * MAX(0, MIN(9, ?7 - seen)) / 10 + ?6, \
         seen = MAX(seen, ?7), shown = CASE WHEN ?6 > 0 THEN MAX(shown, ?7) ELSE shown END",
    )?;
    for (Service { name, namespace, environment }, operations) in batch.shown.services() {
        for (operation, Shown { hops, identified }) in operations {
            shown.execute(params![
                name,
                namespace,
                environment,
                operation,
                int(*hops),
                int(*identified),
                day
            ])?;
        }
    }
    let mut sends = transaction
        .prepare_cached("INSERT INTO sends VALUES (?1, ?2) ON CONFLICT DO UPDATE SET seen = ?2")?;
    for name in batch.shown.senders() {
        sends.execute(params![name, day])?;
    }
    let mut validating =
        transaction.prepare_cached("INSERT OR IGNORE INTO validating VALUES (?1, ?2, ?3)")?;
    for Service { name, namespace, environment } in batch.validating.iter() {
        validating.execute([name, namespace, environment])?;
    }
    let mut quieted = transaction.prepare_cached(
        "INSERT INTO quieted VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET count = count + ?5",
    )?;
    for ((rule, reason, service), count) in &batch.quieted {
        quieted.execute(params![day, rule.as_str(), reason.as_str(), service, int(*count)])?;
    }
    if batch.gathered.whole {
        transaction.execute("DELETE FROM gathered", [])?;
    }
    let mut insert = transaction.prepare_cached("INSERT INTO gathered (begin, body) VALUES (?1, ?2)")?;
    for (begin, body) in &batch.gathered.parts {
        insert.execute(params![int(*begin), lz4_flex::compress_prepend_size(body)])?;
    }
    Ok(())
}

/// See [`Store::operations`](super::super::Store::operations).
pub(super) fn operations(connection: &Connection, service: &str) -> Result<Vec<String>, StoreError> {
    // Those that are too many are counted under the empty name.
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT operation FROM shown WHERE service = ?1 AND operation <> '' ORDER BY operation",
    )?;
    let operations = statement.query_map([service], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(operations)
}

/// What was shown in the last `days` days. An operation that has shown no identity for so long counts as one that shows
/// none, and one that was not seen for so long is forgotten.
pub(super) fn catalogue(connection: &Connection, now: u64, days: u32) -> Result<Catalogue, StoreError> {
    let since = int((now / DAY).saturating_sub(u64::from(days)));
    let mut catalogue = Catalogue::default();
    let mut statement = connection.prepare_cached(
        "SELECT service, namespace, environment, operation, hops, CASE WHEN shown >= ?1 THEN identified ELSE 0 END FROM shown \
         WHERE seen >= ?1",
    )?;
    let mut rows = statement.query([since])?;
    while let Some(row) = rows.next()? {
        let (name, namespace, environment): (String, String, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let service = Service { name: &name, namespace: &namespace, environment: &environment };
        let operation: String = row.get(3)?;
        let shown = Shown { hops: uint(row.get(4)?), identified: uint(row.get(5)?) };
        catalogue.add(service, &operation, shown);
    }
    let mut statement = connection.prepare_cached("SELECT service FROM sends WHERE seen >= ?1")?;
    let mut rows = statement.query([since])?;
    while let Some(row) = rows.next()? {
        catalogue.sends(&row.get::<_, String>(0)?);
    }
    Ok(catalogue)
}

/// See [`Store::learned`](super::super::Store::learned).
pub(super) fn read(connection: &Connection, now: u64, days: u32) -> Result<Learned, StoreError> {
    let catalogue = catalogue(connection, now, days)?;
    let mut validating = Services::default();
    let mut statement =
        connection.prepare_cached("SELECT service, namespace, environment FROM validating")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, namespace, environment): (String, String, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        validating.add(Service { name: &name, namespace: &namespace, environment: &environment });
    }
    let mut windows = Vec::new();
    let mut statement = connection.prepare_cached("SELECT begin, body FROM gathered ORDER BY begin, seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let body = lz4_flex::decompress_size_prepended(&row.get::<_, Vec<u8>>(1)?);
        windows.push((uint(row.get(0)?), body.map_err(|_| StoreError::Broken("windows"))?));
    }
    Ok(Learned { catalogue, validating, windows })
}

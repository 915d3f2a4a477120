//! Counts by the minute.

use hopseal_correlate::hop::Outcome;
use hopseal_identity::{Assurance, Basis};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use rustc_hash::FxHashMap;

use super::super::block::{Block, Hop, basis_number, basis_of};
use super::super::query::{CoveragePoint, EdgeRow, Interval};
use super::super::{MINUTE, StoreError};
use super::{int, uint};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    minute: u64,
    caller: String,
    service: String,
    assurance: Assurance,
    basis: Basis,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    hops: i64,
    failed: i64,
    uncovered: i64,
}

/// What one batch adds.
#[derive(Debug, Default)]
pub(super) struct Counts(FxHashMap<Key, Count>);

impl Counts {
    /// Counts the hops of a block.
    pub(super) fn add(&mut self, block: &Block) {
        self.count(block, 1);
    }

    /// Counts them no more.
    pub(super) fn take(&mut self, block: &Block) {
        self.count(block, -1);
    }

    fn count(&mut self, block: &Block, sign: i64) {
        // By number first: most hops are of few edges.
        let mut counts: FxHashMap<_, Count> = FxHashMap::default();
        for hop in &block.hops {
            let Hop { texts, assurance, basis, outcome, .. } = *hop;
            let key = (hop.start / MINUTE, texts.caller, texts.service, assurance, basis);
            let count = counts.entry(key).or_default();
            count.hops += sign;
            count.failed += sign * i64::from(matches!(outcome, Outcome::Rejected | Outcome::Failed));
            count.uncovered += sign * i64::from(hop.uncovered);
        }
        for ((minute, caller, service, assurance, basis), count) in counts {
            let (caller, service) = (block.texts.get(caller).to_owned(), block.texts.get(service).to_owned());
            let sum = self.0.entry(Key { minute, caller, service, assurance, basis }).or_default();
            sum.hops += count.hops;
            sum.failed += count.failed;
            sum.uncovered += count.uncovered;
        }
    }

    /// Adds them to the catalog.
    pub(super) fn write(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let mut upsert = transaction.prepare_cached(
            "INSERT INTO edge VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET \
             hops = hops + ?6, failed = failed + ?7, uncovered = uncovered + ?8",
        )?;
        let mut names = FxHashMap::default();
        for (key, count) in &self.0 {
            let caller = name(transaction, &mut names, &key.caller)?;
            let service = name(transaction, &mut names, &key.service)?;
            let (minute, assurance, basis) = (int(key.minute), key.assurance as u8, basis_number(key.basis));
            let Count { hops, failed, uncovered } = *count;
            upsert.execute(params![minute, caller, service, assurance, basis, hops, failed, uncovered])?;
        }
        Ok(())
    }
}

/// The number of a name, new or not.
fn name<'n>(
    transaction: &Transaction<'_>,
    known: &mut FxHashMap<&'n str, i64>,
    text: &'n str,
) -> Result<i64, rusqlite::Error> {
    if let Some(id) = known.get(text) {
        return Ok(*id);
    }
    let mut find = transaction.prepare_cached("SELECT id FROM name WHERE text = ?1")?;
    let id = match find.query_row([text], |row| row.get(0)).optional()? {
        Some(id) => id,
        None => {
            transaction.prepare_cached("INSERT INTO name (text) VALUES (?1)")?.execute([text])?;
            transaction.last_insert_rowid()
        }
    };
    known.insert(text, id);
    Ok(id)
}

/// See [`Store::edges`](super::super::Store::edges).
pub(super) fn edges(connection: &Connection, interval: Interval) -> Result<Vec<EdgeRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT c.text, s.text, assurance, basis, sum(hops), sum(failed), sum(uncovered) FROM edge \
         JOIN name c ON c.id = caller JOIN name s ON s.id = service WHERE minute >= ?1 AND minute < ?2 \
         GROUP BY c.text, s.text, assurance, basis HAVING sum(hops) > 0 ORDER BY 1, 2, 3, 4",
    )?;
    let (from, to) = minutes(interval);
    let mut rows = statement.query(params![from, to])?;
    let mut edges = Vec::new();
    while let Some(row) = rows.next()? {
        edges.push(EdgeRow {
            caller: row.get(0)?,
            service: row.get(1)?,
            assurance: assurance_of(row.get(2)?)?,
            basis: basis_of(row.get(3)?).ok_or(StoreError::Broken("a basis"))?,
            hops: uint(row.get(4)?),
            failed: uint(row.get(5)?),
            uncovered: uint(row.get(6)?),
        });
    }
    Ok(edges)
}

/// See [`Store::coverage`](super::super::Store::coverage).
pub(super) fn coverage(
    connection: &Connection,
    interval: Interval,
    service: Option<&str>,
    step: u64,
) -> Result<Vec<CoveragePoint>, StoreError> {
    let step = step.max(1);
    let mut statement = connection.prepare_cached(
        "SELECT minute / ?3, assurance, basis, sum(hops), sum(uncovered) FROM edge \
         WHERE minute >= ?1 AND minute < ?2 AND (?4 IS NULL OR service = (SELECT id FROM name WHERE text = ?4)) \
         GROUP BY 1, 2, 3 ORDER BY 1",
    )?;
    let (from, to) = minutes(interval);
    let mut rows = statement.query(params![from, to, int(step), service])?;
    let mut points: Vec<CoveragePoint> = Vec::new();
    while let Some(row) = rows.next()? {
        let at = uint(row.get(0)?).saturating_mul(step).saturating_mul(MINUTE);
        if points.last().is_none_or(|point| point.at != at) {
            points.push(CoveragePoint { at, ..CoveragePoint::default() });
        }
        if let Some(point) = points.last_mut() {
            cover(point, row, 1)?;
        }
    }
    points.retain(|point| point.hops > 0);
    Ok(points)
}

/// See [`Store::coverage_by_service`](super::super::Store::coverage_by_service).
pub(super) fn coverage_by_service(
    connection: &Connection,
    interval: Interval,
    step: u64,
) -> Result<Vec<(String, CoveragePoint)>, StoreError> {
    let step = step.max(1);
    // Names are looked up once the minutes are added up.
    let mut statement = connection.prepare_cached(
        "SELECT text, step, assurance, basis, hops, uncovered FROM (SELECT service, minute / ?3 AS step, assurance, \
         basis, sum(hops) AS hops, sum(uncovered) AS uncovered FROM edge WHERE minute >= ?1 AND minute < ?2 \
         GROUP BY 1, 2, 3, 4) JOIN name ON id = service ORDER BY text, step",
    )?;
    let (from, to) = minutes(interval);
    let mut rows = statement.query(params![from, to, int(step)])?;
    let mut points: Vec<(String, CoveragePoint)> = Vec::new();
    while let Some(row) = rows.next()? {
        let service = row.get_ref(0)?.as_str().map_err(|_| StoreError::Broken("a name"))?;
        let at = uint(row.get(1)?).saturating_mul(step).saturating_mul(MINUTE);
        if points.last().is_none_or(|(last, point)| last != service || point.at != at) {
            points.push((service.to_owned(), CoveragePoint { at, ..CoveragePoint::default() }));
        }
        if let Some((_, point)) = points.last_mut() {
            cover(point, row, 2)?;
        }
    }
    points.retain(|(_, point)| point.hops > 0);
    Ok(points)
}

/// Adds assurance, basis, hops and uncovered, which stand in a row from `first` on.
fn cover(point: &mut CoveragePoint, row: &Row<'_>, first: usize) -> Result<(), StoreError> {
    let assurance = assurance_of(row.get(first)?)?;
    let basis = basis_of(row.get(first + 1)?).ok_or(StoreError::Broken("a basis"))?;
    let (hops, uncovered) = (uint(row.get(first + 2)?), uint(row.get(first + 3)?));
    point.hops += hops;
    point.uncovered += uncovered;
    if assurance.is_identified() {
        point.identified += hops;
        point.proven += if basis.is_proven() { hops } else { 0 };
    }
    Ok(())
}

/// The minutes that begin within an interval.
fn minutes(interval: Interval) -> (i64, i64) {
    (int(interval.from.div_ceil(MINUTE)), int(interval.to.div_ceil(MINUTE)))
}

fn assurance_of(number: u8) -> Result<Assurance, StoreError> {
    Assurance::ALL.get(usize::from(number)).copied().ok_or(StoreError::Broken("an assurance"))
}

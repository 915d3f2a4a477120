//! Coverage over time: hops by how sure their identity was, added up, so that a long time is few rows.
//!
//! Of each service by 15 minutes, by the hour and by the day; of all together by the minute too. Single minutes of a service are what the
//! counts by who called whom say.

use std::collections::BTreeMap;

use hopseal_identity::Assurance;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use rustc_hash::FxHashMap;

use super::super::block::basis_of;
use super::super::query::{CoveragePoint, Interval};
use super::super::{MINUTE, StoreError};
use super::counts::assurance_of;
use super::{int, uint};

/// Minutes that are added up, the longest first.
const LEVELS: [i64; 3] = [1440, 60, 15];
/// The number of all services together.
const ALL: i64 = 0;

/// Service, minutes that are added up and the first of them, assurance, basis.
type Key = (i64, i64, i64, u8, u8);

/// What one batch adds.
#[derive(Debug, Default)]
pub(super) struct Covered(FxHashMap<Key, (i64, i64)>);

impl Covered {
    /// Adds hops of one minute and service, and how many of them are uncovered.
    pub(super) fn add(&mut self, minute: i64, service: i64, sure: (u8, u8), hops: i64, uncovered: i64) {
        let mut add = |service: i64, minutes: i64| {
            let sum =
                self.0.entry((service, minutes, minute / minutes * minutes, sure.0, sure.1)).or_default();
            *sum = (sum.0 + hops, sum.1 + uncovered);
        };
        add(ALL, 1);
        for minutes in LEVELS {
            add(ALL, minutes);
            add(service, minutes);
        }
    }

    /// Adds them to the catalog.
    pub(super) fn write(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let mut upsert = transaction.prepare_cached(
            "INSERT INTO covered VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET \
             hops = hops + ?6, uncovered = uncovered + ?7",
        )?;
        for ((service, minutes, minute, assurance, basis), (hops, uncovered)) in &self.0 {
            upsert.execute(params![service, minutes, minute, assurance, basis, hops, uncovered])?;
        }
        Ok(())
    }
}

/// The numbers of services, in order, that of all first.
fn services(connection: &Connection) -> Result<Vec<i64>, StoreError> {
    let mut next = connection.prepare_cached("SELECT min(service) FROM covered WHERE service > ?1")?;
    let (mut all, mut last) = (Vec::new(), -1);
    while let Some(service) = next.query_row([last], |row| row.get::<_, Option<i64>>(0))? {
        all.push(service);
        last = service;
    }
    Ok(all)
}

/// Removes what is before that minute.
pub(super) fn forget(transaction: &Transaction<'_>, minute: i64) -> Result<(), StoreError> {
    for service in services(transaction)? {
        for minutes in [1].into_iter().chain(LEVELS) {
            transaction
                .prepare_cached("DELETE FROM covered WHERE service = ?1 AND minutes = ?2 AND minute < ?3")?
                .execute([service, minutes, minute])?;
        }
    }
    Ok(())
}

/// Pieces that an interval is made of: minutes that are added up, from one to another, and without that. As few as can be; none
/// joins two steps of so many minutes.
fn pieces(interval: Interval, step: u64) -> Vec<(i64, i64, i64)> {
    fn split(from: i64, to: i64, step: u64, levels: &[i64], pieces: &mut Vec<(i64, i64, i64)>) {
        let Some((minutes, rest)) = levels.split_first() else {
            if from < to {
                pieces.push((1, from, to));
            }
            return;
        };
        let (begin, over) = ((from + minutes - 1) / minutes * minutes, to / minutes * minutes);
        if begin >= over || !step.is_multiple_of(minutes.unsigned_abs()) {
            return split(from, to, step, rest, pieces);
        }
        split(from, begin, step, rest, pieces);
        pieces.push((*minutes, begin, over));
        split(over, to, step, rest, pieces);
    }
    let mut pieces = Vec::new();
    let (from, to) = (int(interval.from.div_ceil(MINUTE)), int(interval.to.div_ceil(MINUTE)));
    split(from, to, step, &LEVELS, &mut pieces);
    pieces
}

/// Points by service and step.
type Points = BTreeMap<(i64, u64), CoveragePoint>;

/// Whether there are as many steps with hops, and another one begins with this row.
fn is_enough(points: &Points, row: &Row<'_>, step: u64, limit: usize) -> Result<bool, StoreError> {
    let is_known = points.contains_key(&(row.get(0)?, uint(row.get(1)?) / step));
    Ok(points.len() >= limit && !is_known && points.values().filter(|point| point.hops > 0).count() >= limit)
}

/// Adds a row of service, minute, assurance, basis, hops and uncovered.
fn cover(points: &mut Points, row: &Row<'_>, step: u64) -> Result<(), StoreError> {
    let assurance: Assurance = assurance_of(row.get(2)?)?;
    let basis = basis_of(row.get(3)?).ok_or(StoreError::Broken("a basis"))?;
    // What was taken back is taken off again: a row alone may say less than nothing.
    let (hops, uncovered): (i64, i64) = (row.get(4)?, row.get(5)?);
    let step_of = uint(row.get(1)?) / step;
    let point = points.entry((row.get(0)?, step_of)).or_default();
    point.at = step_of.saturating_mul(step).saturating_mul(MINUTE);
    let add = |sum: &mut u64, count: i64| *sum = sum.saturating_add_signed(count);
    add(&mut point.hops, hops);
    add(&mut point.uncovered, uncovered);
    if assurance.is_identified() {
        add(&mut point.identified, hops);
        if basis.is_proven() {
            add(&mut point.proven, hops);
        }
    }
    Ok(())
}

/// Adds what was added up of one service, to where there are `limit` steps. Whether that is so.
fn look(
    connection: &Connection,
    (minutes, from, to): (i64, i64, i64),
    service: i64,
    (step, limit): (u64, usize),
    points: &mut Points,
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT service, minute, assurance, basis, hops, uncovered FROM covered \
         WHERE service = ?1 AND minutes = ?2 AND minute >= ?3 AND minute < ?4",
    )?;
    let mut rows = statement.query([service, minutes, from, to])?;
    while let Some(row) = rows.next()? {
        if is_enough(points, row, step, limit)? {
            return Ok(true);
        }
        cover(points, row, step)?;
    }
    Ok(false)
}

/// Adds single minutes of one service, or of each, to where there are `limit` steps. Whether that is so.
fn look_at_minutes(
    connection: &Connection,
    (_, from, to): (i64, i64, i64),
    service: Option<i64>,
    (step, limit): (u64, usize),
    points: &mut Points,
) -> Result<bool, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT service, minute, assurance, basis, hops, uncovered FROM edge \
         WHERE minute >= ?1 AND minute < ?2 AND (?3 IS NULL OR service = ?3)",
    )?;
    let mut rows = statement.query(params![from, to, service])?;
    while let Some(row) = rows.next()? {
        if is_enough(points, row, step, limit)? {
            return Ok(true);
        }
        cover(points, row, step)?;
    }
    Ok(false)
}

/// See [`Store::coverage`](super::super::Store::coverage).
pub(super) fn coverage(
    connection: &Connection,
    interval: Interval,
    service: Option<&str>,
    step: u64,
    limit: usize,
) -> Result<Vec<CoveragePoint>, StoreError> {
    let (step, mut points) = (step.max(1), Points::new());
    let number = match service {
        None => ALL,
        Some(name) => {
            let mut find = connection.prepare_cached("SELECT id FROM name WHERE text = ?1")?;
            let Some(number) = find.query_row([name], |row| row.get(0)).optional()? else {
                return Ok(Vec::new());
            };
            number
        }
    };
    for piece in pieces(interval, step) {
        // They come in the order of time.
        let is_enough = match piece.0 {
            1 if number != ALL => {
                look_at_minutes(connection, piece, Some(number), (step, limit), &mut points)?
            }
            _ => look(connection, piece, number, (step, limit), &mut points)?,
        };
        if is_enough {
            break;
        }
    }
    Ok(points.into_values().filter(|point| point.hops > 0).collect())
}

/// See [`Store::coverage_by_service`](super::super::Store::coverage_by_service).
pub(super) fn coverage_by_service(
    connection: &Connection,
    interval: Interval,
    step: u64,
) -> Result<Vec<(String, CoveragePoint)>, StoreError> {
    let (step, mut points) = (step.max(1), Points::new());
    let services: Vec<i64> = services(connection)?.into_iter().filter(|service| *service != ALL).collect();
    for piece in pieces(interval, step) {
        match piece.0 {
            1 => _ = look_at_minutes(connection, piece, None, (step, usize::MAX), &mut points)?,
            _ => {
                for number in &services {
                    look(connection, piece, *number, (step, usize::MAX), &mut points)?;
                }
            }
        }
    }
    let mut name = connection.prepare_cached("SELECT text FROM name WHERE id = ?1")?;
    let mut names: BTreeMap<i64, String> = BTreeMap::new();
    let mut named = Vec::with_capacity(points.len());
    for ((service, _), point) in points.into_iter().filter(|(_, point)| point.hops > 0) {
        let text = match names.get(&service) {
            Some(text) => text.clone(),
            None => {
                let text: String = name.query_row([service], |row| row.get(0))?;
                names.insert(service, text.clone());
                text
            }
        };
        named.push((text, point));
    }
    named.sort_by(|(a, at), (b, other)| (a, at.at).cmp(&(b, other.at)));
    Ok(named)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_the_interval(from in 0..9000_u64, long in 0..9000_u64, step in prop::sample::select(vec![1_u64, 15, 20, 30, 60, 120, 1440, 2880])) {
            let interval = Interval { from: from * MINUTE, to: (from + long) * MINUTE };
            let pieces = pieces(interval, step);
            let mut at = int(from);
            for (minutes, begin, over) in &pieces {
                prop_assert_eq!(*begin, at);
                prop_assert!(begin < over && begin % minutes == 0 && over % minutes == 0);
                prop_assert!(step.is_multiple_of(minutes.unsigned_abs()));
                at = *over;
            }
            prop_assert_eq!(at, int(from + long));
            // As little as can be is left in single minutes, and in hours.
            let left = |level: i64| -> i64 { pieces.iter().filter(|piece| piece.0 == level).map(|(_, begin, over)| over - begin).sum() };
            prop_assert!(step % 15 > 0 || left(1) < 2 * 15);
            prop_assert!(step % 1440 > 0 || left(60) < 2 * 1440);
        }
    }
}

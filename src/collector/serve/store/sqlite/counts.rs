//! Counts by the minute: who called whom, how sure the identity was, and how it ended.

use hopseal_correlate::hop::Outcome;
use hopseal_identity::{Assurance, Basis};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use rustc_hash::FxHashMap;

use super::super::block::{Block, Hop, Texts, basis_number, basis_of};
use super::super::query::{EdgeCursor, EdgeQuery, EdgeRow, Interval};
use super::super::{MINUTE, StoreError};
use super::covered::Covered;
use super::{int, uint};

/// Minutes that are added up.
const HOUR: i64 = 60;
const DAY: i64 = 1440;

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
        self.count(&block.texts, &block.hops, 1);
    }

    /// Counts some hops no more.
    pub(super) fn take(&mut self, texts: &Texts, hops: &[Hop]) {
        self.count(texts, hops, -1);
    }

    fn count(&mut self, names: &Texts, hops: &[Hop], sign: i64) {
        // By number first: most hops are of few edges.
        let mut counts: FxHashMap<_, Count> = FxHashMap::default();
        for hop in hops {
            let Hop { texts, assurance, basis, outcome, .. } = *hop;
            let key = (hop.start / MINUTE, texts.caller, texts.service, assurance, basis);
            let count = counts.entry(key).or_default();
            count.hops += sign;
            count.failed += sign * i64::from(matches!(outcome, Outcome::Rejected | Outcome::Failed));
            count.uncovered += sign * i64::from(hop.uncovered);
        }
        for ((minute, caller, service, assurance, basis), count) in counts {
            let (caller, service) = (names.get(caller).to_owned(), names.get(service).to_owned());
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
        let mut sum = transaction.prepare_cached(
            "INSERT INTO edge_sum VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET \
             hops = hops + ?7, failed = failed + ?8, uncovered = uncovered + ?9",
        )?;
        let (mut names, mut covered) = (FxHashMap::default(), Covered::default());
        for (key, count) in &self.0 {
            let caller = name(transaction, &mut names, &key.caller)?;
            let service = name(transaction, &mut names, &key.service)?;
            let (assurance, basis) = (key.assurance as u8, basis_number(key.basis));
            let Count { hops, failed, uncovered } = *count;
            let minute = int(key.minute);
            covered.add(minute, service, (assurance, basis), hops, uncovered);
            upsert.execute(params![minute, caller, service, assurance, basis, hops, failed, uncovered])?;
            for minutes in [HOUR, DAY] {
                let minute = minute / minutes * minutes;
                sum.execute(params![
                    minutes, minute, caller, service, assurance, basis, hops, failed, uncovered
                ])?;
            }
        }
        covered.write(transaction)
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
pub(super) fn edges(connection: &Connection, query: &EdgeQuery) -> Result<Vec<EdgeRow>, StoreError> {
    let mut edges = Vec::new();
    let service = match &query.service {
        None => None,
        Some(name) => {
            let mut find = connection.prepare_cached("SELECT id FROM name WHERE text = ?1")?;
            let Some(number) = find.query_row([name], |row| row.get::<_, i64>(0)).optional()? else {
                return Ok(edges);
            };
            // The caller without a name is whoever is outside: nobody asks for that as a service.
            Some((number, (!name.is_empty()).then_some(number)))
        }
    };
    let Some(minutes) = query.minutes else {
        let part = Part { interval: query.interval, at: 0, service, after: query.after.as_ref() };
        part.edges(connection, query.limit, &mut edges)?;
        return Ok(edges);
    };
    let step = minutes.max(1).saturating_mul(MINUTE);
    let (called, calling) = service.unzip();
    let mut next = connection.prepare_cached(
        "SELECT minute FROM edge WHERE minute >= ?1 AND minute < ?2 AND (?3 IS NULL OR service = ?3 OR caller = ?4) \
         ORDER BY minute LIMIT 1",
    )?;
    let Interval { mut from, to } = query.interval;
    if let Some(after) = &query.after {
        from = from.max(after.at);
    }
    // One step after the other, to where there is enough.
    while from < to && edges.len() < query.limit {
        let [first, end] = [from, to].map(|at| int(at.div_ceil(MINUTE)));
        let asked = params![first, end, called, calling];
        let Some(minute) = next.query_row(asked, |row| row.get::<_, i64>(0)).optional()? else { break };
        let at = uint(minute).saturating_mul(MINUTE) / step * step;
        let over = at.saturating_add(step);
        let interval = Interval { from: from.max(at), to: to.min(over) };
        let after = query.after.as_ref().filter(|after| after.at == at);
        Part { interval, at, service, after }.edges(connection, query.limit, &mut edges)?;
        from = over;
    }
    Ok(edges)
}

/// Minutes that are counted together.
struct Part<'q> {
    interval: Interval,
    /// When they begin, as edges say it.
    at: u64,
    /// The number of a service that is called, and of the same if it may call.
    service: Option<(i64, Option<i64>)>,
    after: Option<&'q EdgeCursor>,
}

impl Part<'_> {
    /// Adds its edges, until there are as many as `limit`.
    fn edges(
        &self,
        connection: &Connection,
        limit: usize,
        edges: &mut Vec<EdgeRow>,
    ) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT c.text, s.text, assurance, basis, hops, failed, uncovered FROM (SELECT caller, service, assurance, basis, \
             sum(hops) AS hops, sum(failed) AS failed, sum(uncovered) AS uncovered FROM {ROWS} \
             WHERE ?7 IS NULL OR service = ?7 OR caller = ?8 GROUP BY 1, 2, 3, 4) \
             JOIN name c ON c.id = caller JOIN name s ON s.id = service \
             WHERE hops > 0 AND (c.text, s.text, assurance, basis) > (?9, ?10, ?11, ?12) ORDER BY 1, 2, 3, 4 LIMIT ?13",
        ))?;
        let [first, hour, day, day_end, hour_end, end] = rows(self.interval);
        let (called, calling) = self.service.unzip();
        let (caller, service, assurance, basis) = match self.after {
            None => ("", "", -1, -1),
            Some(EdgeCursor { caller, service, assurance, basis, .. }) => {
                (caller.as_str(), service.as_str(), *assurance as i64, i64::from(basis_number(*basis)))
            }
        };
        let left = i64::try_from(limit.saturating_sub(edges.len())).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![
            first,
            hour,
            day,
            day_end,
            hour_end,
            end,
            called,
            calling.flatten(),
            caller,
            service,
            assurance,
            basis,
            left
        ])?;
        while let Some(row) = rows.next()? {
            edges.push(EdgeRow {
                at: self.at,
                caller: row.get(0)?,
                service: row.get(1)?,
                assurance: assurance_of(row.get(2)?)?,
                basis: basis_of(row.get(3)?).ok_or(StoreError::Broken("a basis"))?,
                hops: uint(row.get(4)?),
                failed: uint(row.get(5)?),
                uncovered: uint(row.get(6)?),
            });
        }
        Ok(())
    }
}

/// See [`Store::services`](super::super::Store::services).
pub(super) fn services(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT text FROM name WHERE id IN (SELECT service FROM edge_sum WHERE minutes = 1440 AND hops > 0) ORDER BY text",
    )?;
    let services = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(services)
}

/// Rows of [`rows`]: days in the middle, hours around them, and minutes at both ends.
const ROWS: &str = "(SELECT minute, caller, service, assurance, basis, hops, failed, uncovered FROM edge \
    WHERE minute >= ?1 AND minute < ?2 UNION ALL \
    SELECT minute, caller, service, assurance, basis, hops, failed, uncovered FROM edge_sum \
    WHERE minutes = 60 AND minute >= ?2 AND minute < ?3 UNION ALL \
    SELECT minute, caller, service, assurance, basis, hops, failed, uncovered FROM edge_sum \
    WHERE minutes = 1440 AND minute >= ?3 AND minute < ?4 UNION ALL \
    SELECT minute, caller, service, assurance, basis, hops, failed, uncovered FROM edge_sum \
    WHERE minutes = 60 AND minute >= ?4 AND minute < ?5 UNION ALL \
    SELECT minute, caller, service, assurance, basis, hops, failed, uncovered FROM edge \
    WHERE minute >= ?5 AND minute < ?6)";

/// Where minutes, hours, days, hours and minutes begin that together are an interval, and where it ends; in minutes since the
/// Unix epoch.
fn rows(interval: Interval) -> [i64; 6] {
    let (first, end) = (int(interval.from.div_ceil(MINUTE)), int(interval.to.div_ceil(MINUTE)));
    // As many whole ones of that length as there are in between.
    let whole = |from: i64, to: i64, minutes: i64| {
        let (begin, over) = ((from + minutes - 1) / minutes * minutes, to / minutes * minutes);
        if begin < over { (begin, over) } else { (to, to) }
    };
    let (hour, hour_end) = whole(first, end.max(first), HOUR);
    let (day, day_end) = whole(hour, hour_end, DAY);
    [first, hour, day, day_end, hour_end, end]
}

pub(super) fn assurance_of(number: u8) -> Result<Assurance, StoreError> {
    Assurance::ALL.get(usize::from(number)).copied().ok_or(StoreError::Broken("an assurance"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_added_up_lies_within(from in 0..9000_u64, long in 1..9000_u64) {
            let interval = Interval { from: from * MINUTE, to: (from + long) * MINUTE };
            let [first, hour, day, day_end, hour_end, end] = rows(interval);
            prop_assert_eq!((uint(first), uint(end)), (from, from + long));
            prop_assert!([first, hour, day, day_end, hour_end, end].is_sorted());
            for (begin, over, minutes) in [(hour, day, HOUR), (day, day_end, DAY), (day_end, hour_end, HOUR)] {
                prop_assert!(begin == over || (begin % minutes == 0 && over % minutes == 0));
            }
            // As little as can be is left in minutes, and in hours.
            if long > 120 {
                prop_assert!(hour - first < HOUR && end - hour_end < HOUR);
            }
            if long > 3000 {
                prop_assert!(day - hour < DAY && hour_end - day_end < DAY);
            }
        }
    }
}

//! Findings and what became of them.

use std::collections::BTreeSet;

use hopseal_correlate::finding::{Finding, FindingId, Severity};
use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::TraceId;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params, params_from_iter};

use super::super::query::{FindingQuery, FindingRecord, OpenRow, Said, State};
use super::super::{Again, Batch, StoreError};
use super::{int, uint};
use crate::output;

/// Findings in one answer, whatever was asked for.
const MOST: usize = 100_000;
/// What [`record`] reads.
const COLUMNS: &str = "id, rule, severity, service, trace, at, state, note, raised, changed, body";

/// Whom a finding is about, as its indices have them.
const BEFORE: &str = "json_extract(body, '$.principals.before.id')";
const HERE: &str = "json_extract(body, '$.principals.here.id')";

fn state_number(state: State) -> u8 {
    State::ALL.iter().zip(0..).find(|(known, _)| **known == state).map_or(0, |(_, number)| number)
}

/// Notes findings that stand. Returns those that did not before.
pub(super) fn raise(
    transaction: &Transaction<'_>,
    batch: &Batch,
    again: &Again,
) -> Result<Vec<FindingId>, StoreError> {
    let mut opened = Vec::new();
    if batch.raised.is_empty() {
        return Ok(opened);
    }
    let mut before = transaction.prepare_cached("SELECT state FROM finding WHERE id = ?1")?;
    let mut say = transaction
        .prepare_cached("INSERT INTO said (finding, state, note, at, who) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    let mut last = transaction.prepare_cached(
        "INSERT INTO series VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET finding = ?2, at = ?3 WHERE at <= ?3",
    )?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO finding VALUES (?1, ?2, ?3, ?9, ?4, ?5, ?6, ?7, ?7, ?10, ?8) ON CONFLICT DO UPDATE SET \
         severity = ?3, at = ?6, body = ?8, \
         changed = CASE WHEN state = 3 OR (state = 0 AND severity < ?3) THEN ?7 ELSE changed END, \
         state = CASE state WHEN 3 THEN 0 ELSE state END",
    )?;
    for finding in &batch.raised {
        let body = output::finding(finding).map_err(|_| StoreError::Broken("a finding"))?;
        let state: Option<u8> = before.query_row([finding.id.0], |row| row.get(0)).optional()?;
        if again.explains(finding, state.is_some()) {
            continue;
        }
        let said = if state.is_none() { said_before(transaction, finding)? } else { None };
        if said.is_none() && state.is_none_or(|state| state == state_number(State::Retracted)) {
            opened.push(finding.id);
        }
        let (state, note) = said.as_ref().map_or((0, ""), |said| (state_number(said.state), &said.note));
        insert.execute(params![
            finding.id.0,
            finding.rule.as_str(),
            finding.severity as u8,
            finding.trace_id.map(|id| id.0),
            finding.service,
            int(finding.at),
            int(batch.at),
            body,
            state,
            note,
        ])?;
        if let Some(Said { state, note, who, .. }) = &said {
            say.execute(params![finding.id.0, state_number(*state), note, int(batch.at), who])?;
        }
        if let Some(series) = finding.series {
            last.execute(params![series.0, finding.id.0, int(finding.at)])?;
        }
    }
    Ok(opened)
}

/// What somebody said of the same thing in the window before, where that holds for the next: who knows of it need not be told
/// each time.
fn said_before(transaction: &Transaction<'_>, finding: &Finding) -> Result<Option<Said>, StoreError> {
    let Some(series) = finding.series else { return Ok(None) };
    let mut before = transaction.prepare_cached(
        "SELECT finding.id FROM series JOIN finding ON finding.id = series.finding \
         WHERE series.series = ?1 AND series.at <= ?2 AND finding.state IN (1, 4)",
    )?;
    let before: Option<[u8; 16]> =
        before.query_row(params![series.0, int(finding.at)], |row| row.get(0)).optional()?;
    let Some(before) = before else { return Ok(None) };
    Ok(said(transaction, FindingId(before), 1)?.pop())
}

/// Notes that findings stand no more. Returns those that did before.
pub(super) fn retract(
    transaction: &Transaction<'_>,
    ids: &BTreeSet<FindingId>,
    at: u64,
) -> Result<Vec<FindingId>, StoreError> {
    let mut retracted = Vec::new();
    let mut update = transaction
        .prepare_cached("UPDATE finding SET state = 3, changed = ?2 WHERE id = ?1 AND state IN (0, 1)")?;
    for id in ids {
        if update.execute(params![id.0, int(at)])? == 1 {
            retracted.push(*id);
        }
    }
    Ok(retracted)
}

/// See [`Store::set_state`](super::super::Store::set_state).
pub(super) fn set_state(
    transaction: &Transaction<'_>,
    id: FindingId,
    said: &Said,
) -> Result<bool, StoreError> {
    let Said { state, note, at, who } = said;
    let (state, at) = (state_number(*state), int(*at));
    let mut update =
        transaction.prepare_cached("UPDATE finding SET state = ?2, note = ?3, changed = ?4 WHERE id = ?1")?;
    let is_there = update.execute(params![id.0, state, note, at])? == 1;
    if is_there {
        transaction
            .prepare_cached("INSERT INTO said (finding, state, note, at, who) VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![id.0, state, note, at, who])?;
    }
    Ok(is_there)
}

/// See [`Store::said`](super::super::Store::said).
pub(super) fn said(connection: &Connection, id: FindingId, limit: usize) -> Result<Vec<Said>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT state, note, at, who FROM said WHERE finding = ?1 ORDER BY seq DESC LIMIT ?2",
    )?;
    let mut rows = statement.query(params![id.0, limit])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let state: usize = row.get(0)?;
        let state = State::ALL.get(state).copied().ok_or(StoreError::Broken("a state"))?;
        all.push(Said { state, note: row.get(1)?, at: uint(row.get(2)?), who: row.get(3)? });
    }
    Ok(all)
}

/// See [`Store::finding`](super::super::Store::finding).
pub(super) fn one(connection: &Connection, id: FindingId) -> Result<Option<FindingRecord>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM finding WHERE id = ?1"))?;
    let mut rows = statement.query([id.0])?;
    rows.next()?.map(record).transpose()
}

/// See [`Store::findings`](super::super::Store::findings).
pub(super) fn find(connection: &Connection, query: &FindingQuery) -> Result<Vec<FindingRecord>, StoreError> {
    let mut values: Vec<Value> = query.principals.iter().cloned().map(Value::Text).collect();
    let mut text = match values.len() {
        0 => format!("SELECT {COLUMNS} FROM finding WHERE 1"),
        count => {
            let ids = (1..=count).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ");
            // Theirs first, which are few: all findings in the order of time may be many.
            format!(
                "SELECT {COLUMNS} FROM (SELECT id AS own FROM finding WHERE {BEFORE} IN ({ids}) UNION \
                 SELECT id FROM finding WHERE {HERE} IN ({ids})) CROSS JOIN finding ON id = own WHERE 1"
            )
        }
    };
    let mut only = |condition: &str, value: Value| {
        values.push(value);
        text.push_str(" AND ");
        text.push_str(&condition.replace('?', &format!("?{}", values.len())));
    };
    let FindingQuery {
        state,
        rule,
        severity,
        service,
        caller,
        trace_id,
        group,
        principals: _,
        interval,
        after,
        limit,
    } = query;
    if let Some(state) = state {
        only("state = ?", Value::Integer(state_number(*state).into()));
    }
    if let Some(rule) = rule {
        only("rule = ?", Value::Text(rule.as_str().to_owned()));
    }
    if let Some(severity) = severity {
        only("severity = ?", Value::Integer(*severity as i64));
    }
    if let Some(service) = service {
        only("service = ?", Value::Text(service.clone()));
    }
    if let Some(caller) = caller {
        only("coalesce(json_extract(body, '$.caller'), '') = ?", Value::Text(caller.clone()));
    }
    if let Some(trace_id) = trace_id {
        only("trace = ?", Value::Blob(trace_id.0.to_vec()));
    }
    if let Some(group) = group {
        only("json_extract(body, '$.group_id') = ?", Value::Text(group.to_string()));
    }
    if !interval.is_always() {
        only("at >= ?", Value::Integer(int(interval.from)));
        only("at < ?", Value::Integer(int(interval.to)));
    }
    if let Some(after) = after {
        only("at <= ?", Value::Integer(int(after.at)));
        let at = format!("(at < {} OR id < ?)", int(after.at));
        only(&at, Value::Blob(after.id.to_vec()));
    }
    text.push_str(&format!(" ORDER BY at DESC, id DESC LIMIT {}", (*limit).min(MOST)));
    let mut statement = connection.prepare_cached(&text)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(record(row)?);
    }
    Ok(found)
}

/// The findings of a trace, the newest first.
pub(super) fn of_trace(connection: &Connection, trace_id: TraceId) -> Result<Vec<FindingId>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM finding WHERE trace = ?1 ORDER BY at DESC, id DESC")?;
    let ids =
        statement.query_map([trace_id.0], |row| row.get(0).map(FindingId))?.collect::<Result<_, _>>()?;
    Ok(ids)
}

/// See [`Store::open_findings`](super::super::Store::open_findings).
pub(super) fn open(connection: &Connection) -> Result<Vec<OpenRow>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT severity, service, count FROM open WHERE count > 0 ORDER BY severity DESC, service",
    )?;
    let mut rows = statement.query([])?;
    let mut open = Vec::new();
    while let Some(row) = rows.next()? {
        open.push(OpenRow {
            severity: severity_of(row.get(0)?)?,
            service: row.get(1)?,
            count: uint(row.get(2)?),
        });
    }
    Ok(open)
}

fn severity_of(number: usize) -> Result<Severity, StoreError> {
    Severity::ALL.get(number).copied().ok_or(StoreError::Broken("a severity"))
}

fn record(row: &Row<'_>) -> Result<FindingRecord, StoreError> {
    let rule: String = row.get(1)?;
    let (severity, state): (usize, usize) = (row.get(2)?, row.get(6)?);
    Ok(FindingRecord {
        id: FindingId(row.get(0)?),
        rule: Rule::parse(&rule).ok_or(StoreError::Broken("a rule"))?,
        severity: severity_of(severity)?,
        service: row.get(3)?,
        trace_id: row.get::<_, Option<[u8; 16]>>(4)?.map(TraceId),
        at: uint(row.get(5)?),
        state: State::ALL.get(state).copied().ok_or(StoreError::Broken("a state"))?,
        note: row.get(7)?,
        raised: uint(row.get(8)?),
        changed: uint(row.get(9)?),
        body: row.get(10)?,
    })
}

//! Reads of a segment what it takes to say who touched a service: few columns, and of those the rows that match alone.

use std::ops::Range;

use hopseal_correlate::sink::TraceId;
use hopseal_identity::{Basis, Kind};
use parquet::data_type::{Int32Type, Int64Type};
use parquet::errors::ParquetError;

use super::super::StoreError;
use super::super::block::Texts;
use super::super::query::{Cursor, HopQuery};
use super::super::touched::{Step, Touch, WayKey};
use super::columns::Column;
use super::file::Groups;
use super::read::{FEW, Reading, Segment, matching, runs};

impl Segment {
    /// Has `step` take the hops that match. `current` says whether a version of a trace is the one that counts.
    pub(in super::super) fn touch(
        &self,
        query: &HopQuery,
        current: impl Fn(TraceId, u32) -> bool,
        step: &mut dyn Step,
    ) -> Result<(), StoreError> {
        self.each_sought(query, step.since(), |group, rows| {
            let found = matching(group, rows, query, step.since())?;
            let places: Vec<usize> = found.into_iter().map(|(place, _)| place).collect();
            if places.is_empty() {
                return Ok(());
            }
            let mut texts = Texts::default();
            let mut touches = touches(group, rows, &places, &current, &mut texts)?;
            let ids: Vec<_> = query.principals.iter().filter_map(|id| texts.find(id)).collect();
            touches.retain(|touch| {
                // Another may have the same key in the index.
                let is_asked = query.principals.is_empty() || ids.contains(&touch.way.principal);
                is_asked && query.after.is_none_or(|after| touch.at < after)
            });
            step.take(&texts, &touches);
            Ok(())
        })
    }
}

/// What counts of the rows at `places`, which are among `rows`.
fn touches(
    group: &Groups<'_>,
    rows: &[Range<usize>],
    places: &[usize],
    current: impl Fn(TraceId, u32) -> bool,
    texts: &mut Texts,
) -> Result<Vec<Touch>, ParquetError> {
    // Where there are many, to skip takes longer than to read.
    let few = runs(places.iter().copied());
    let read = if few.len() <= FEW { few } else { rows.to_vec() };
    let reading = Reading { group, runs: &read };
    let starts = reading.required::<Int64Type>(Column::Start)?;
    let trace_ids = reading.ids::<16>(Column::TraceId)?;
    let versions = reading.required::<Int32Type>(Column::Version)?;
    let own = reading.required::<Int32Type>(Column::Place)?;
    let spans = reading.ids::<8>(Column::SpanId)?;
    let mut named = Vec::new();
    for column in [Column::Principal, Column::Issuer, Column::Tenant, Column::Caller, Column::Actors] {
        named.push(reading.texts(column, texts)?);
    }
    let bases = [Basis::Claimed, Basis::Reverified, Basis::AuthenticatedSender];
    let bases = reading.words(Column::Basis, &bases, Basis::as_str)?;
    let kinds =
        reading.words(Column::PrincipalKind, &[Kind::User, Kind::Service, Kind::Agent], Kind::as_str)?;
    let touch = |at: usize| -> Option<Touch> {
        let text = |column: usize| named.get(column).and_then(|texts| texts.get(at)).copied();
        let (trace_id, version) = (TraceId(*trace_ids.get(at)?), versions.get(at)?.cast_unsigned());
        if !current(trace_id, version) {
            return None;
        }
        // What came when the rest of its trace was gone has no place that lasts.
        let place = if version == 0 { 0 } else { own.get(at)?.cast_unsigned() };
        Some(Touch {
            at: Cursor { at: starts.get(at)?.cast_unsigned(), id: trace_id.0, place, span: *spans.get(at)? },
            way: WayKey {
                principal: text(0)?,
                kind: (*kinds.get(at)?).unwrap_or(Kind::User),
                issuer: text(1)?,
                tenant: text(2)?,
                caller: text(3)?,
                actors: text(4)?,
            },
            is_proven: (*bases.get(at)?)?.is_proven(),
        })
    };
    let mut wanted = places.iter().copied().peekable();
    let among = |(at, place): (usize, usize)| wanted.next_if_eq(&place).map(|_| at);
    Ok(read.iter().cloned().flatten().enumerate().filter_map(among).filter_map(touch).collect())
}

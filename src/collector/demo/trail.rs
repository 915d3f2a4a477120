//! What the collector has found, read back from its trail.

use std::path::PathBuf;

use hopseal_correlate::finding::{Confidence, Finding, FindingId, Subject};
use hopseal_correlate::judge::Verdict;
use hopseal_correlate::report::{HopRow, Input, ListHops, Report, Tally, TraceRow};
use hopseal_correlate::sink::SpanId;
use hopseal_correlate::trace::Grade;
use serde_json::Value;

use super::error::DemoError;
use crate::hex;
use crate::serve::store::{
    FindingRecord, HopQuery, HopRecord, Interval, State, Store as _, StoreError, TraceRecord,
};
use crate::serve::trail;

/// More hops than any story has.
const MOST: usize = 1000;

/// The trail of a collector that runs.
pub(super) struct Trail {
    folder: PathBuf,
}

impl Trail {
    /// That in this folder.
    pub(super) const fn of(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The traces of an interval, in the order in which they began, and the findings about them that stand.
    pub(super) fn within(&self, interval: Interval) -> Result<Report, DemoError> {
        let unreadable = |error: StoreError| DemoError::Trail(error.into());
        let query = HopQuery { interval, ..HopQuery::any(MOST) };
        // As `hopseal trail` does, each time anew: a reader sees what there was when it came.
        let store = trail::open(&self.folder)?;
        let mut hops = store.hops(&query).map_err(unreadable)?;
        hops.sort_by_key(|hop| (hop.start, hop.trace_id, hop.place));
        let mut ids = Vec::new();
        for hop in hops {
            if !ids.contains(&hop.trace_id) {
                ids.push(hop.trace_id);
            }
        }
        let (mut traces, mut verdict) = (Vec::new(), Verdict::default());
        for id in ids {
            let Some(found) = store.trace(id).map_err(unreadable)? else { continue };
            let standing = found.findings.iter().filter(|finding| finding.state == State::Open);
            for record in standing {
                verdict.findings.push(finding(record).map_err(|error| DemoError::Trail(error.into()))?);
            }
            traces.push(trace(found));
        }
        let mut tally = Tally::new(ListHops::All);
        tally.add_findings(verdict);
        Ok(Report { traces, ..tally.finish(Input::default()) })
    }
}

fn trace(found: TraceRecord) -> TraceRow {
    let judged = found.judged;
    let (missing_parents, closed_early) = (judged.missing_parents, judged.closed_early);
    // What else it may lack is not kept; that it lacks something is.
    let conflicts = u32::from(!judged.complete && missing_parents == 0 && !closed_early);
    TraceRow {
        trace_id: judged.trace_id,
        grade: Grade { missing_parents, closed_early, conflicts, ..Grade::default() },
        hops: found.hops.into_iter().map(hop).collect(),
    }
}

fn hop(hop: HopRecord) -> HopRow {
    HopRow {
        span_id: hop.span_id,
        parent_span_id: hop.parent_span_id,
        parent: hop.caller_place.map(|place| place as usize),
        caller: hop.caller,
        service: hop.service,
        namespace: hop.namespace,
        environment: hop.environment,
        operation: hop.operation,
        kind: hop.kind,
        via: hop.via,
        start: hop.start,
        end: hop.end,
        assurance: hop.assurance,
        basis: hop.basis,
        method: hop.method,
        uncovered: hop.uncovered,
        links: Vec::new(),
        principal: hop.principal,
    }
}

/// A finding as far as it is told here: without principals and evidence, which the API has.
fn finding(record: &FindingRecord) -> serde_json::Result<Finding> {
    let body: Value = serde_json::from_str(&record.body)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let span_id = text("span_id").and_then(|id| hex::id(&id)).map(SpanId);
    let confidence = [Confidence::Hint, Confidence::Likely, Confidence::Certain]
        .into_iter()
        .find(|confidence| Some(confidence.as_str()) == body.get("confidence").and_then(Value::as_str));
    let subject = Subject::Operation { service: Default::default(), operation: "", window: 0 };
    let reasons = body.get("why_not_sure").and_then(Value::as_array).into_iter().flatten();
    let mut finding = Finding::new(record.rule, subject, "").message(text("message").unwrap_or_default());
    finding.id = record.id;
    finding.group_id = FindingId(text("group_id").and_then(|id| hex::id(&id)).unwrap_or_default());
    finding.severity = record.severity;
    finding.confidence = confidence.unwrap_or(Confidence::Hint);
    finding.trace_id = record.trace_id;
    finding.span_id = span_id;
    finding.caller = text("caller");
    finding.service = record.service.clone();
    finding.operation = text("operation").unwrap_or_default();
    finding.why_not_sure = reasons.filter_map(Value::as_str).map(str::to_owned).collect();
    finding.at = record.at;
    Ok(finding)
}

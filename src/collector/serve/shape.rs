//! From the store's records to the shapes of the outputs.

use hopseal_correlate::finding::Who;
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_identity::Kind;
use serde_json::value::RawValue;

use crate::output::trail::{
    ActorShape, CoverageShape, EdgeShape, FindingShape, HopShape, LastTouchShape, PrincipalShape, SaidShape,
    ThroughShape, TouchedByShape, TraceShape,
};
use crate::serve::store::{
    CoveragePoint, EdgeRow, FindingRecord, HopRecord, Said, TouchedBy, TraceRecord, Way,
};

fn principal(who: Who) -> PrincipalShape {
    let kind = |kind: Kind| kind.as_str().into();
    PrincipalShape {
        id: who.id,
        kind: kind(who.kind),
        issuer: who.issuer,
        tenant: who.tenant,
        actors: who
            .actors
            .into_iter()
            .map(|actor| ActorShape { id: actor.id, kind: kind(actor.kind) })
            .collect(),
    }
}

impl From<HopRecord> for HopShape {
    fn from(hop: HopRecord) -> Self {
        Self {
            trace_id: hop.trace_id.to_string(),
            place: hop.place,
            span_id: hop.span_id.to_string(),
            parent_span_id: hop.parent_span_id.map(|id| id.to_string()),
            caller_place: hop.caller_place,
            caller: hop.caller,
            service: hop.service,
            namespace: hop.namespace,
            environment: hop.environment,
            operation: hop.operation,
            kind: hop.kind.as_str().into(),
            via: hop.via,
            start_unix_nano: hop.start.to_string(),
            end_unix_nano: hop.end.to_string(),
            assurance: hop.assurance.as_str().into(),
            basis: hop.basis.as_str().into(),
            method: hop.method,
            uncovered: hop.uncovered,
            principal: hop.principal.map(principal),
        }
    }
}

impl TryFrom<FindingRecord> for FindingShape {
    type Error = serde_json::Error;

    fn try_from(finding: FindingRecord) -> Result<Self, Self::Error> {
        Ok(Self {
            state: finding.state.as_str().into(),
            note: finding.note,
            at_unix_nano: finding.at.to_string(),
            raised_unix_nano: finding.raised.to_string(),
            changed_unix_nano: finding.changed.to_string(),
            finding: RawValue::from_string(finding.body)?,
        })
    }
}

impl From<Said> for SaidShape {
    fn from(said: Said) -> Self {
        Self {
            state: said.state.as_str().into(),
            note: said.note,
            at_unix_nano: said.at.to_string(),
            who: said.who,
        }
    }
}

impl TryFrom<TraceRecord> for TraceShape {
    type Error = serde_json::Error;

    fn try_from(trace: TraceRecord) -> Result<Self, Self::Error> {
        let judged = trace.judged;
        Ok(Self {
            trace_id: judged.trace_id.to_string(),
            version: judged.version,
            complete: judged.complete,
            closed_early: judged.closed_early,
            missing_parents: judged.missing_parents,
            hops: trace.hops.into_iter().map(HopShape::from).collect(),
            findings: trace.findings.into_iter().map(FindingShape::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl From<EdgeRow> for EdgeShape {
    fn from(edge: EdgeRow) -> Self {
        Self {
            at_unix_nano: (edge.at > 0).then(|| edge.at.to_string()),
            caller: (!edge.caller.is_empty()).then_some(edge.caller),
            service: edge.service,
            assurance: edge.assurance.as_str().into(),
            basis: edge.basis.as_str().into(),
            hops: edge.hops,
            failed: edge.failed,
            uncovered: edge.uncovered,
        }
    }
}

impl From<Way> for ThroughShape {
    fn from(way: Way) -> Self {
        let actors = way.actors.into_iter();
        Self {
            caller: way.caller,
            actors: actors
                .map(|actor| ActorShape { id: actor.id, kind: actor.kind.as_str().into() })
                .collect(),
            hops: way.hops,
            first_unix_nano: way.first.to_string(),
            last_unix_nano: way.last.to_string(),
        }
    }
}

/// What somebody did, and the services by which they came there last.
pub(crate) fn touched_by(by: TouchedBy, chain: Vec<String>) -> TouchedByShape {
    let mut through: Vec<ThroughShape> = by.ways.into_iter().map(ThroughShape::from).collect();
    through.sort_by_key(|way| std::cmp::Reverse(way.hops));
    TouchedByShape {
        principal: principal(by.who),
        hops: by.hops,
        proven: by.proven,
        first_unix_nano: by.first.to_string(),
        last_unix_nano: by.newest.at.to_string(),
        through,
        more_ways: by.more_ways,
        last: LastTouchShape {
            trace_id: TraceId(by.newest.id).to_string(),
            span_id: SpanId(by.newest.span).to_string(),
            chain,
        },
    }
}

impl From<CoveragePoint> for CoverageShape {
    fn from(point: CoveragePoint) -> Self {
        Self {
            at_unix_nano: point.at.to_string(),
            hops: point.hops,
            identified: point.identified,
            proven: point.proven,
            uncovered: point.uncovered,
        }
    }
}

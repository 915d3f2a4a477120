//! From the store's records to the shapes of the outputs.

use hopseal_correlate::finding::Who;
use hopseal_identity::Kind;
use serde_json::value::RawValue;

use crate::output::trail::{
    ActorShape, CoverageShape, EdgeShape, FindingShape, HopShape, PrincipalShape, SaidShape, TraceShape,
};
use crate::serve::store::{CoveragePoint, EdgeRow, FindingRecord, HopRecord, Said, TraceRecord};

fn principal(who: Who) -> PrincipalShape {
    let kind = |kind: Kind| kind.as_str();
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
            kind: hop.kind.as_str(),
            via: hop.via,
            start_unix_nano: hop.start.to_string(),
            end_unix_nano: hop.end.to_string(),
            assurance: hop.assurance.as_str(),
            basis: hop.basis.as_str(),
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
            state: finding.state.as_str(),
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
        Self { state: said.state.as_str(), note: said.note, at_unix_nano: said.at.to_string(), who: said.who }
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
            caller: (!edge.caller.is_empty()).then_some(edge.caller),
            service: edge.service,
            assurance: edge.assurance.as_str(),
            basis: edge.basis.as_str(),
            hops: edge.hops,
            failed: edge.failed,
            uncovered: edge.uncovered,
        }
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

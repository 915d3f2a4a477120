//! The JSON report, version 1: one object, or one trace or finding a line.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use hopseal_correlate::finding::{Finding, Who};
use hopseal_correlate::report::{Group, HopRow, ServiceRow, TraceRow};
use hopseal_identity::Assurance;
use serde::Serialize;
use serde::ser::Serializer;

use crate::check::{Checked, Gate, Minimum};

/// Operations listed of those that are quieted for one reason.
const MAX_OPERATIONS: usize = 20;

/// Writes one object.
pub(super) fn write(checked: &Checked, gate: &Gate, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &ReportShape::of(checked, gate))?;
    writeln!(out)
}

/// Writes one trace or finding a line, traces first.
pub(super) fn write_lines(checked: &Checked, out: &mut dyn Write) -> io::Result<()> {
    let report = &checked.report;
    for trace in &report.traces {
        serde_json::to_writer(&mut *out, &Line::Trace(&trace.into()))?;
        writeln!(out)?;
    }
    for finding in &report.findings {
        serde_json::to_writer(
            &mut *out,
            &Line::Finding(&FindingShape::of(finding, checked.is_new(finding))),
        )?;
        writeln!(out)?;
    }
    Ok(())
}

/// One finding, as every output in JSON writes it.
///
/// # Errors
/// Never in practice: there is nothing in it that JSON cannot say.
pub(crate) fn finding(finding: &Finding) -> serde_json::Result<String> {
    serde_json::to_string(&FindingShape::of(finding, None))
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Trace(&'a TraceShape<'a>),
    Finding(&'a FindingShape<'a>),
}

/// An id, hex.
struct Hex<T>(T);

impl<T: std::fmt::Display> Serialize for Hex<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[derive(Serialize)]
struct ReportShape<'a> {
    version: u32,
    input: InputShape<'a>,
    traces: Vec<TraceShape<'a>>,
    findings: Vec<FindingShape<'a>>,
    groups: Vec<GroupShape<'a>>,
    suppressed: Vec<SuppressedShape<'a>>,
    services: Vec<ServiceShape<'a>>,
    coverage: CoverageShape,
    /// Minimums that were asked for and not reached.
    missed: Vec<MissedShape>,
}

impl<'a> ReportShape<'a> {
    fn of(checked: &'a Checked, gate: &Gate) -> Self {
        let report = &checked.report;
        let input = &report.input;
        // Without a baseline there is nothing that is new or not.
        let mut new_groups = checked.baseline.is_some().then(BTreeSet::new);
        if let Some(groups) = &mut new_groups {
            let new = report.findings.iter().filter(|finding| checked.is_new(finding) == Some(true));
            groups.extend(new.map(|finding| finding.group_id));
        }
        let group = |group| GroupShape::of(group, new_groups.as_ref().map(|new| new.contains(&group.id)));
        Self {
            version: 1,
            input: InputShape {
                files: input.files,
                spans: input.spans,
                duplicates: input.duplicates,
                rejected: input.rejected,
                unreadable: checked.unreadable.len(),
                rejections: input
                    .rejections
                    .iter()
                    .map(|it| RejectionShape { file: &it.file, at: &it.at, reason: &it.reason })
                    .collect(),
            },
            traces: report.traces.iter().map(TraceShape::from).collect(),
            findings: report.findings.iter().map(|it| FindingShape::of(it, checked.is_new(it))).collect(),
            groups: report.groups.iter().map(group).collect(),
            suppressed: report
                .suppressed
                .iter()
                .map(|((rule, reason, service), row)| SuppressedShape {
                    rule: rule.as_str(),
                    reason: reason.as_str(),
                    service,
                    count: row.count,
                    operations: row
                        .by_count()
                        .into_iter()
                        .take(MAX_OPERATIONS)
                        .map(|(operation, count)| OperationShape { operation, count })
                        .collect(),
                    more_operations: row.operations.len().saturating_sub(MAX_OPERATIONS),
                    expires: row.expires.map(|date| date.to_string()),
                })
                .collect(),
            services: report.services.iter().map(ServiceShape::from).collect(),
            coverage: CoverageShape {
                hops: report.coverage.hops,
                identified: report.coverage.identified,
                proven: report.coverage.proven,
                uncovered: report.coverage.uncovered,
            },
            missed: gate
                .minimums(report)
                .filter(Minimum::is_missed)
                .map(|it| MissedShape {
                    minimum: it.name,
                    least: it.least,
                    reached: it.reached,
                    hops: it.hops,
                })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct InputShape<'a> {
    files: u64,
    spans: u64,
    duplicates: u64,
    rejected: u64,
    /// Files of which nothing could be read.
    unreadable: usize,
    rejections: Vec<RejectionShape<'a>>,
}

#[derive(Serialize)]
struct RejectionShape<'a> {
    file: &'a str,
    at: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct TraceShape<'a> {
    trace_id: Hex<hopseal_correlate::sink::TraceId>,
    complete: bool,
    missing_parents: u32,
    hops: Vec<HopShape<'a>>,
}

impl<'a> From<&'a TraceRow> for TraceShape<'a> {
    fn from(trace: &'a TraceRow) -> Self {
        Self {
            trace_id: Hex(trace.trace_id),
            complete: trace.grade.is_complete(),
            missing_parents: trace.grade.missing_parents,
            hops: trace.hops.iter().map(HopShape::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct HopShape<'a> {
    span_id: Hex<hopseal_correlate::sink::SpanId>,
    parent_span_id: Option<Hex<hopseal_correlate::sink::SpanId>>,
    caller: Option<&'a str>,
    service: &'a str,
    namespace: Option<&'a str>,
    environment: Option<&'a str>,
    operation: &'a str,
    kind: &'static str,
    via: &'a [String],
    start_unix_nano: String,
    end_unix_nano: String,
    assurance: &'static str,
    basis: &'static str,
    method: Option<&'a str>,
    uncovered: bool,
    links: Vec<LinkShape<'a>>,
    principal: Option<PrincipalShape<'a>>,
}

#[derive(Serialize)]
struct LinkShape<'a> {
    trace_id: Hex<hopseal_correlate::sink::TraceId>,
    span_id: Hex<hopseal_correlate::sink::SpanId>,
    principal: Option<PrincipalShape<'a>>,
}

impl<'a> From<&'a HopRow> for HopShape<'a> {
    fn from(hop: &'a HopRow) -> Self {
        Self {
            span_id: Hex(hop.span_id),
            parent_span_id: hop.parent_span_id.map(Hex),
            caller: hop.caller.as_deref(),
            service: &hop.service,
            namespace: hop.namespace.as_deref(),
            environment: hop.environment.as_deref(),
            operation: &hop.operation,
            kind: hop.kind.as_str(),
            via: &hop.via,
            start_unix_nano: hop.start.to_string(),
            end_unix_nano: hop.end.to_string(),
            assurance: hop.assurance.as_str(),
            basis: hop.basis.as_str(),
            method: hop.method.as_deref(),
            uncovered: hop.uncovered,
            links: hop
                .links
                .iter()
                .map(|link| LinkShape {
                    trace_id: Hex(link.trace_id),
                    span_id: Hex(link.span_id),
                    principal: link.principal.as_ref().map(PrincipalShape::from),
                })
                .collect(),
            principal: hop.principal.as_ref().map(PrincipalShape::from),
        }
    }
}

#[derive(Serialize)]
struct PrincipalShape<'a> {
    id: &'a str,
    kind: &'static str,
    issuer: Option<&'a str>,
    tenant: Option<&'a str>,
    actors: Vec<ActorShape<'a>>,
}

#[derive(Serialize)]
struct ActorShape<'a> {
    id: &'a str,
    kind: &'static str,
    issuer: Option<&'a str>,
}

impl<'a> From<&'a Who> for PrincipalShape<'a> {
    fn from(who: &'a Who) -> Self {
        Self {
            id: &who.id,
            kind: who.kind.as_str(),
            issuer: who.issuer.as_deref(),
            tenant: who.tenant.as_deref(),
            actors: who
                .actors
                .iter()
                .map(|actor| ActorShape { id: &actor.id, kind: actor.kind.as_str(), issuer: None })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct FindingShape<'a> {
    id: Hex<hopseal_correlate::finding::FindingId>,
    group_id: Hex<hopseal_correlate::finding::FindingId>,
    rule: &'static str,
    severity: &'static str,
    confidence: &'static str,
    trace_id: Option<Hex<hopseal_correlate::sink::TraceId>>,
    span_id: Option<Hex<hopseal_correlate::sink::SpanId>>,
    caller: Option<&'a str>,
    service: &'a str,
    operation: &'a str,
    principals: PrincipalsShape<'a>,
    why_not_sure: &'a [String],
    message: &'a str,
    evidence: &'a BTreeMap<&'static str, String>,
    fix: &'a str,
    /// Whether the baseline does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<bool>,
}

#[derive(Serialize)]
struct PrincipalsShape<'a> {
    before: Option<PrincipalShape<'a>>,
    here: Option<PrincipalShape<'a>>,
}

impl<'a> FindingShape<'a> {
    fn of(finding: &'a Finding, new: Option<bool>) -> Self {
        Self {
            id: Hex(finding.id),
            group_id: Hex(finding.group_id),
            rule: finding.rule.as_str(),
            severity: finding.severity.as_str(),
            confidence: finding.confidence.as_str(),
            trace_id: finding.trace_id.map(Hex),
            span_id: finding.span_id.map(Hex),
            caller: finding.caller.as_deref(),
            service: &finding.service,
            operation: &finding.operation,
            principals: PrincipalsShape {
                before: finding.before.as_ref().map(PrincipalShape::from),
                here: finding.here.as_ref().map(PrincipalShape::from),
            },
            why_not_sure: &finding.why_not_sure,
            message: &finding.message,
            evidence: &finding.evidence,
            fix: &finding.fix,
            new,
        }
    }
}

#[derive(Serialize)]
struct GroupShape<'a> {
    id: Hex<hopseal_correlate::finding::FindingId>,
    rule: &'static str,
    severity: &'static str,
    caller: Option<&'a str>,
    service: &'a str,
    operation: &'a str,
    count: u64,
    first: String,
    last: String,
    /// Whether the baseline does not have all that is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<bool>,
}

impl<'a> GroupShape<'a> {
    fn of(group: &'a Group, new: Option<bool>) -> Self {
        Self {
            id: Hex(group.id),
            rule: group.rule.as_str(),
            severity: group.severity.as_str(),
            caller: group.caller.as_deref(),
            service: &group.service,
            operation: &group.operation,
            count: group.count,
            first: group.first.to_string(),
            last: group.last.to_string(),
            new,
        }
    }
}

#[derive(Serialize)]
struct SuppressedShape<'a> {
    rule: &'static str,
    reason: &'static str,
    service: &'a str,
    count: u64,
    /// The most frequent.
    operations: Vec<OperationShape<'a>>,
    more_operations: usize,
    /// The first day on which a declaration behind this ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

#[derive(Serialize)]
struct OperationShape<'a> {
    operation: &'a str,
    count: u64,
}

#[derive(Serialize)]
struct MissedShape {
    minimum: &'static str,
    least: f64,
    reached: u64,
    hops: u64,
}

#[derive(Serialize)]
struct ServiceShape<'a> {
    name: &'a str,
    capable: bool,
    hops: u64,
    verified: u64,
    sealed: u64,
    asserted: u64,
    refused: u64,
    anonymous: u64,
    unknown: u64,
}

impl<'a> From<&'a ServiceRow> for ServiceShape<'a> {
    fn from(row: &'a ServiceRow) -> Self {
        Self {
            name: &row.name,
            capable: row.capable,
            hops: row.hops,
            verified: row.count(Assurance::Verified),
            sealed: row.count(Assurance::Sealed),
            asserted: row.count(Assurance::Asserted),
            refused: row.count(Assurance::Refused),
            anonymous: row.count(Assurance::Anonymous),
            unknown: row.count(Assurance::Unknown),
        }
    }
}

#[derive(Serialize)]
struct CoverageShape {
    hops: u64,
    identified: u64,
    proven: u64,
    uncovered: u64,
}

//! From the store's records to the shapes of Jaeger.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hopseal_correlate::finding::Severity;
use hopseal_correlate::hop::HopKind;
use hopseal_identity::attribute;

use crate::output::jaeger::{ProcessShape, ReferenceShape, SpanShape, TagShape, TraceShape, ValueShape};
use crate::output::trail::ReadFinding;
use crate::serve::store::{FindingRecord, HopRecord, State, TraceRecord};

/// Tags that name somebody.
pub(super) const PRINCIPAL: &str = "enduser.id";
pub(super) const ACTORS: &str = attribute::ACTORS;
/// The tag of a hop of which a finding stands.
pub(super) const ERROR: &str = "error";
/// The tag of each rule that found something of a hop.
pub(super) const RULE: &str = "hopseal.rule";

/// A finding, and its body read back.
pub(super) struct Found {
    record: FindingRecord,
    body: ReadFinding,
}

/// Findings, but for those that are none.
pub(super) fn read(findings: Vec<FindingRecord>) -> Result<Vec<Found>, serde_json::Error> {
    let stand = findings.into_iter().filter(|finding| finding.state != State::Retracted);
    stand.map(|record| Ok(Found { body: serde_json::from_str(&record.body)?, record })).collect()
}

/// Those of a hop.
pub(super) fn of_hop<'f>(hop: &HopRecord, findings: &'f [Found]) -> Vec<&'f Found> {
    let span = hop.span_id.to_string();
    findings.iter().filter(|found| found.body.span_id.as_deref() == Some(&*span)).collect()
}

impl Found {
    /// Whether somebody has to do something about it.
    fn is_error(&self) -> bool {
        let stands = matches!(self.record.state, State::Open | State::Acknowledged);
        stands && self.record.severity >= Severity::Medium
    }

    fn sentence(&self) -> String {
        let ReadFinding { rule, severity, confidence, message, .. } = &self.body;
        let state = match self.record.state {
            State::Open => String::new(),
            state => format!(", {}", state.as_str()),
        };
        format!("{rule} ({severity}, {confidence}{state}): {message}")
    }
}

/// Whether somebody has to do something about any.
pub(super) fn is_error(findings: &[&Found]) -> bool {
    findings.iter().any(|found| found.is_error())
}

/// Whether a message was taken at it, rather than a request.
pub(super) fn is_consumer(hop: &HopRecord) -> bool {
    hop.kind == HopKind::Messaging
}

fn sentences<'f>(findings: impl Iterator<Item = &'f Found>) -> Option<Vec<String>> {
    let all: Vec<String> = findings.map(Found::sentence).collect();
    (!all.is_empty()).then_some(all)
}

fn text(key: &'static str, text: impl Into<String>) -> TagShape {
    TagShape { key, value: ValueShape::String(text.into()) }
}

/// What is said of a hop.
pub(super) fn tags(hop: &HopRecord, findings: &[&Found]) -> Vec<TagShape> {
    let kind = if is_consumer(hop) { "consumer" } else { "server" };
    let mut tags = vec![
        text("span.kind", kind),
        text("service.name", &*hop.service),
        text(attribute::ASSURANCE, hop.assurance.as_str()),
        text("hopseal.basis", hop.basis.as_str()),
    ];
    let mut some = |key, value: Option<&str>| tags.extend(value.map(|value| text(key, value)));
    some(attribute::METHOD, hop.method.as_deref());
    some("hopseal.caller", hop.caller.as_deref());
    if let Some(who) = &hop.principal {
        // It is empty where it may not be seen.
        some(PRINCIPAL, Some(who.id.as_str()).filter(|id| !id.is_empty()));
        some(attribute::KIND, Some(who.kind.as_str()));
        some(attribute::ISS, who.issuer.as_deref());
        some(attribute::TENANT, who.tenant.as_deref());
        let named = who.actors.iter().filter(|actor| !actor.id.is_empty());
        let actors: Vec<String> =
            named.map(|actor| format!("{}:{}", actor.kind.as_str(), actor.id)).collect();
        some(ACTORS, (!actors.is_empty()).then(|| actors.join(" ")).as_deref());
    }
    let via = hop.via.join(" ");
    some("hopseal.via", (!via.is_empty()).then_some(&via));
    tags.push(TagShape { key: "hopseal.uncovered", value: ValueShape::Bool(hop.uncovered) });
    let rules: BTreeSet<&str> = findings.iter().map(|found| found.record.rule.as_str()).collect();
    tags.extend(rules.into_iter().map(|rule| text(RULE, rule)));
    if is_error(findings) {
        tags.push(TagShape { key: ERROR, value: ValueShape::Bool(true) });
    }
    tags
}

fn process(hop: &HopRecord) -> ProcessShape {
    let named = [("service.namespace", &hop.namespace), ("deployment.environment.name", &hop.environment)];
    let tags = named.into_iter().filter_map(|(key, value)| Some(text(key, value.as_deref()?)));
    ProcessShape { service_name: hop.service.clone(), tags: tags.collect() }
}

/// A trace with what was found of it.
///
/// # Errors
/// A finding is not what was written.
pub(super) fn trace(trace: TraceRecord) -> Result<TraceShape, serde_json::Error> {
    let trace_id = trace.judged.trace_id.to_string();
    let findings = read(trace.findings)?;
    let mut numbers = HashMap::new();
    let mut processes = BTreeMap::new();
    let mut spans_at: HashMap<u32, String> = HashMap::new();
    let mut spans = Vec::with_capacity(trace.hops.len());
    for hop in trace.hops {
        let number = numbers.len() + 1;
        let key = (hop.service.clone(), hop.namespace.clone(), hop.environment.clone());
        let process_id = format!("p{}", numbers.entry(key).or_insert(number));
        processes.entry(process_id.clone()).or_insert_with(|| process(&hop));
        let span_id = hop.span_id.to_string();
        // Callers stand before callees; what came late may say anything.
        let parent = hop.caller_place.and_then(|place| spans_at.get(&place).cloned());
        spans_at.entry(hop.place).or_insert_with(|| span_id.clone());
        let own = of_hop(&hop, &findings);
        spans.push(SpanShape {
            trace_id: trace_id.clone(),
            flags: 1,
            references: parent
                .map(|span_id| ReferenceShape { ref_type: "CHILD_OF", trace_id: trace_id.clone(), span_id })
                .into_iter()
                .collect(),
            start_time: hop.start / 1_000,
            duration: hop.end.saturating_sub(hop.start) / 1_000,
            tags: tags(&hop, &own),
            logs: [],
            process_id,
            warnings: sentences(own.into_iter()),
            operation_name: hop.operation,
            span_id,
        });
    }
    let is_of_none =
        |found: &&Found| !spans.iter().any(|span| found.body.span_id.as_ref() == Some(&span.span_id));
    let mut warnings = sentences(findings.iter().filter(is_of_none));
    if trace.judged.missing_parents > 0 {
        let missing = format!("spans whose parent never arrived: {}", trace.judged.missing_parents);
        warnings.get_or_insert_default().push(missing);
    }
    Ok(TraceShape { trace_id, spans, processes, warnings })
}

//! What leaves for those who are woken: CloudEvents 1.0 as JSON
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>), and alerts of Alertmanager's API v2
//! (<https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>). No principal is named.

use std::collections::BTreeMap;

use opentelemetry::logs::Severity as LogSeverity;
use serde::Serialize;

use super::iso;
use super::trail::ReadFinding;

/// Letters of a label.
const LABEL: usize = 200;

/// What became of a finding.
#[derive(Debug, Serialize)]
pub(crate) struct EventShape<'a> {
    specversion: &'static str,
    /// The same however often it is sent.
    id: &'a str,
    /// Where our pages are, or `hopseal`.
    source: &'a str,
    /// `hopseal.finding.` and what became of it.
    r#type: String,
    /// The finding.
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    /// The hop it is about (distributed tracing extension).
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    /// As of the severity extension, with OpenTelemetry's numbers.
    severitytext: String,
    severitynumber: u8,
    data: EventDataShape<'a>,
}

#[derive(Debug, Serialize)]
struct EventDataShape<'a> {
    /// `open`, `acknowledged`, `resolved`, `retracted` or `suppressed`.
    state: &'a str,
    /// What was said when that was set.
    note: &'a str,
    id: &'a str,
    group_id: &'a str,
    rule: &'a str,
    severity: &'a str,
    confidence: &'a str,
    trace_id: Option<&'a str>,
    span_id: Option<&'a str>,
    caller: Option<&'a str>,
    service: &'a str,
    operation: &'a str,
    message: &'a str,
    why_not_sure: &'a [String],
    fix: &'a str,
    /// Where it is looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl<'a> EventShape<'a> {
    /// `word`: what became of it, `opened` or a state. `at`: nanoseconds since the Unix epoch. `pages`: where our pages are.
    pub(crate) fn new(
        id: &'a str,
        word: &'a str,
        at: u64,
        note: &'a str,
        finding: &'a ReadFinding,
        pages: Option<&'a str>,
    ) -> Self {
        let trace = finding.trace_id.as_deref().zip(finding.span_id.as_deref());
        Self {
            specversion: "1.0",
            id,
            source: pages.unwrap_or("hopseal"),
            r#type: format!("hopseal.finding.{word}"),
            subject: &finding.id,
            time: iso(at, 9),
            datacontenttype: "application/json",
            traceparent: trace.map(|(trace, span)| format!("00-{trace}-{span}-01")),
            severitytext: finding.severity.to_ascii_uppercase(),
            severitynumber: severity(&finding.severity) as u8,
            data: EventDataShape {
                state: if word == "opened" { "open" } else { word },
                note,
                id: &finding.id,
                group_id: &finding.group_id,
                rule: &finding.rule,
                severity: &finding.severity,
                confidence: &finding.confidence,
                trace_id: finding.trace_id.as_deref(),
                span_id: finding.span_id.as_deref(),
                caller: finding.caller.as_deref(),
                service: &finding.service,
                operation: &finding.operation,
                message: &finding.message,
                why_not_sure: &finding.why_not_sure,
                fix: &finding.fix,
                url: pages.map(|pages| page(pages, finding)),
            },
        }
    }
}

/// Findings that are alike.
#[derive(Debug, Serialize)]
pub(crate) struct AlertShape {
    /// What makes it the same alert.
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    #[serde(rename = "startsAt")]
    starts_at: String,
    #[serde(rename = "endsAt")]
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<String>,
}

impl AlertShape {
    /// One for this finding and those like it. Moments are nanoseconds since the Unix epoch.
    pub(crate) fn new(finding: &ReadFinding, from: u64, to: u64, pages: Option<&str>) -> Self {
        let labels = [
            ("alertname", "HopsealFinding"),
            ("rule", &finding.rule),
            ("severity", &finding.severity),
            ("service", &finding.service),
            ("caller", finding.caller.as_deref().unwrap_or_default()),
            ("operation", &finding.operation),
            ("group", &finding.group_id),
        ];
        let annotations = [
            ("summary", finding.message.as_str()),
            ("confidence", &finding.confidence),
            ("fix", &finding.fix),
            ("finding", &finding.id),
            ("trace_id", finding.trace_id.as_deref().unwrap_or_default()),
        ];
        // One without a value is none, to an Alertmanager.
        let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
        let annotations = annotations.into_iter().filter(|(_, value)| !value.is_empty());
        Self {
            labels: labels.map(|(name, value)| (name, value.chars().take(LABEL).collect())).collect(),
            annotations: annotations.map(|(name, value)| (name, value.to_owned())).collect(),
            starts_at: iso(from, 9),
            ends_at: iso(to, 9),
            generator_url: pages.map(|pages| page(pages, finding)),
        }
    }
}

/// Where a finding is looked at.
fn page(pages: &str, finding: &ReadFinding) -> String {
    format!("{pages}/findings/{}", finding.id)
}

/// A severity as OpenTelemetry's logs have it, which is a number.
pub(crate) fn severity(word: &str) -> LogSeverity {
    match word {
        "high" => LogSeverity::Error,
        "medium" => LogSeverity::Warn,
        "low" => LogSeverity::Info2,
        _ => LogSeverity::Info,
    }
}

/// As they are sent.
pub(crate) fn bytes<T: Serialize>(shape: &T) -> Option<Vec<u8>> {
    serde_json::to_vec(shape).ok()
}

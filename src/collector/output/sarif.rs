//! SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>), for code-scanning views.
//!
//! It leaves the machine, so it never names a principal.

use std::io::{self, Write};

use hopseal_correlate::finding::{Finding, Severity};
use hopseal_correlate::report::Report;
use hopseal_correlate::rule::Rule;
use serde_json::{Value, json};

/// The schema that code-scanning views know.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let notifications: Vec<Value> = report
        .input
        .rejections
        .iter()
        .map(|it| json!({"level": "warning", "message": {"text": format!("{}: {}: {}", it.file, it.at, it.reason)}}))
        .collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "hopseal",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": Rule::ALL.iter().map(|rule| descriptor(*rule)).collect::<Vec<_>>(),
            }},
            "invocations": [{"executionSuccessful": true, "toolExecutionNotifications": notifications}],
            "results": report.findings.iter().map(result).collect::<Vec<_>>(),
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &log)?;
    writeln!(out)
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

fn descriptor(rule: Rule) -> Value {
    let spec = rule.spec();
    json!({
        "id": rule.as_str(),
        "name": spec.number,
        "shortDescription": {"text": spec.meaning},
        "help": {"text": format!("{} To quiet it: {}", spec.fix, spec.quieting)},
        "defaultConfiguration": {"level": level(spec.severity)},
        "properties": {"tags": spec.maps},
    })
}

fn result(finding: &Finding) -> Value {
    let edge = match &finding.caller {
        Some(caller) => format!("{caller} -> {}", finding.service),
        None => finding.service.clone(),
    };
    json!({
        "ruleId": finding.rule.as_str(),
        "ruleIndex": Rule::ALL.iter().position(|rule| *rule == finding.rule),
        "level": level(finding.severity),
        "message": {"text": format!("{} ({edge}, {})", finding.message, finding.operation)},
        "locations": [{"logicalLocations": [{
            "name": finding.operation,
            "fullyQualifiedName": format!("{}/{}", finding.service, finding.operation),
            "kind": "function",
        }]}],
        // The group, not the finding: the same fault of another run has the same fingerprint.
        "partialFingerprints": {"hopsealGroup/v1": finding.group_id.to_string()},
        "guid": guid(&finding.id.to_string()),
        "properties": {
            "severity": finding.severity.as_str(),
            "confidence": finding.confidence.as_str(),
            "traceId": finding.trace_id.map(|id| id.to_string()),
            "spanId": finding.span_id.map(|id| id.to_string()),
            "whyNotSure": finding.why_not_sure,
            "evidence": finding.evidence,
        },
    })
}

/// 32 hex digits in the form of a GUID.
fn guid(hex: &str) -> String {
    let part = |from, to| hex.get(from..to).unwrap_or("");
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

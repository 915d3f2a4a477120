//! OCSF Detection Findings (class 2004 of schema 1.9.0, <https://schema.ocsf.io/1.9.0/classes/detection_finding>),
//! one a line, for security lakes and SIEMs.
//!
//! It leaves the machine, so it names no principal of its own accord. An operation is what the service called it: ids and
//! addresses of mail in it are masked, a word is not told from a name.

use std::io::{self, Write};

use hopseal_correlate::finding::{Confidence, Finding, Severity};
use serde_json::json;

use crate::check::Checked;

/// The released version of the schema that this writes.
const VERSION: &str = "1.9.0";
const CATEGORY_FINDINGS: u32 = 2;
const CLASS_DETECTION_FINDING: u32 = 2004;
const ACTIVITY_CREATE: u32 = 1;

pub(super) fn write(checked: &Checked, out: &mut dyn Write) -> io::Result<()> {
    for finding in &checked.report.findings {
        let mut event = event(finding);
        let unmapped = event.get_mut("unmapped").and_then(serde_json::Value::as_object_mut);
        if let (Some(is_new), Some(unmapped)) = (checked.is_new(finding), unmapped) {
            unmapped.insert("new".to_owned(), is_new.into());
        }
        serde_json::to_writer(&mut *out, &event)?;
        writeln!(out)?;
    }
    Ok(())
}

/// Enum `severity_id`.
const fn severity(severity: Severity) -> (u32, &'static str) {
    match severity {
        Severity::Info => (1, "Informational"),
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
    }
}

/// Enum `confidence_id`.
const fn confidence(confidence: Confidence) -> (u32, &'static str) {
    match confidence {
        Confidence::Hint => (1, "Low"),
        Confidence::Likely => (2, "Medium"),
        Confidence::Certain => (3, "High"),
    }
}

fn event(finding: &Finding) -> serde_json::Value {
    let (severity_id, severity) = severity(finding.severity);
    let (confidence_id, confidence) = confidence(finding.confidence);
    let milliseconds = finding.at / 1_000_000;
    let spec = finding.rule.spec();
    let services = finding.caller.iter().chain([&finding.service]);
    json!({
        "activity_id": ACTIVITY_CREATE,
        "activity_name": "Create",
        "category_uid": CATEGORY_FINDINGS,
        "category_name": "Findings",
        "class_uid": CLASS_DETECTION_FINDING,
        "class_name": "Detection Finding",
        "type_uid": CLASS_DETECTION_FINDING * 100 + ACTIVITY_CREATE,
        "time": milliseconds,
        "severity_id": severity_id,
        "severity": severity,
        "confidence_id": confidence_id,
        "confidence": confidence,
        "status_id": 1,
        "status": "New",
        "message": finding.message,
        "metadata": {
            "version": VERSION,
            "uid": finding.id.to_string(),
            "product": {"name": "Hopseal", "vendor_name": "Hopseal", "version": env!("CARGO_PKG_VERSION")},
        },
        "finding_info": {
            "uid": finding.id.to_string(),
            "title": finding.rule.as_str(),
            "desc": finding.message,
            "types": [spec.number],
            "first_seen_time": milliseconds,
            "related_events_count": 1,
            "analytic": {"name": finding.rule.as_str(), "uid": spec.number, "type_id": 1, "type": "Rule"},
        },
        "resources": services.map(|name| json!({"name": name, "type": "service"})).collect::<Vec<_>>(),
        "remediation": {"desc": finding.fix},
        "unmapped": {
            "group_id": finding.group_id.to_string(),
            "operation": finding.operation,
            "trace_id": finding.trace_id.map(|id| id.to_string()),
            "span_id": finding.span_id.map(|id| id.to_string()),
            "why_not_sure": finding.why_not_sure,
            "evidence": finding.evidence,
        },
    })
}

//! SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>), for code-scanning views.
//!
//! It leaves the machine, so it names no principal of its own accord. An operation is what the service called it: ids and
//! addresses of mail in it are masked, a word is not told from a name.

use std::io::{self, Write};
use std::path::Path;

use hopseal_correlate::finding::{Finding, FindingId, Severity};
use hopseal_correlate::rule::Rule;
use serde_json::{Value, json};
use uuid::Builder;

use crate::check::{Checked, Gate, Minimum};

/// The schema that code-scanning views know.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub(super) fn write(checked: &Checked, gate: &Gate, out: &mut dyn Write) -> io::Result<()> {
    let report = &checked.report;
    let note = |level: &str, text: String| json!({"level": level, "message": {"text": text}});
    let unreadable = checked.unreadable.iter().map(|it| note("error", format!("{}: {}", it.file, it.reason)));
    let missed = gate.minimums(report).filter(Minimum::is_missed);
    let missed = missed.map(|minimum| note("error", format!("missed {minimum}")));
    // A file of which nothing could be read is among the unreadable.
    let rejections = report.input.rejections.iter().filter(|it| !checked.unreadable.contains(it));
    let rejections = rejections.map(|it| note("warning", format!("{}: {}: {}", it.file, it.at, it.reason)));
    let notifications: Vec<Value> = unreadable.chain(missed).chain(rejections).collect();
    let file = checked.files.first().map_or_else(String::new, |path| uri(path));
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "hopseal",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": Rule::ALL.iter().map(|rule| descriptor(*rule)).collect::<Vec<_>>(),
            }},
            "invocations": [{
                "executionSuccessful": checked.unreadable.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "results": report
                .findings
                .iter()
                .map(|finding| result(finding, &file, checked.is_new(finding)))
                .collect::<Vec<_>>(),
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

fn result(finding: &Finding, file: &str, is_new: Option<bool>) -> Value {
    let edge = match &finding.caller {
        Some(caller) => format!("{caller} -> {}", finding.service),
        None => finding.service.clone(),
    };
    let mut result = json!({
        "ruleId": finding.rule.as_str(),
        "ruleIndex": Rule::ALL.iter().position(|rule| *rule == finding.rule),
        "level": level(finding.severity),
        "message": {"text": format!("{} ({edge}, {})", finding.message, finding.operation)},
        "locations": [{
            // Code-scanning views refuse a result that is in no file. The trace is; of several files, the first stands
            // for all.
            "physicalLocation": {"artifactLocation": {"uri": file}, "region": {"startLine": 1}},
            "logicalLocations": [{
                "name": finding.operation,
                "fullyQualifiedName": format!("{}/{}", finding.service, finding.operation),
                "kind": "function",
            }],
        }],
        // The group, not the finding: the same fault of another run has the same fingerprint.
        "partialFingerprints": {"hopsealGroup/v1": finding.group_id.to_string()},
        "guid": guid(finding.id),
        "properties": {
            "findingId": finding.id.to_string(),
            "severity": finding.severity.as_str(),
            "confidence": finding.confidence.as_str(),
            "traceId": finding.trace_id.map(|id| id.to_string()),
            "spanId": finding.span_id.map(|id| id.to_string()),
            "whyNotSure": finding.why_not_sure,
            "evidence": finding.evidence,
        },
    });
    if let (Some(is_new), Some(result)) = (is_new, result.as_object_mut()) {
        let state = if is_new { "new" } else { "unchanged" };
        result.insert("baselineState".to_owned(), state.into());
    }
    result
}

/// A UUID made of a finding's id, of which six bits say that it is one made of a name (RFC 9562, version 5): the schema takes no
/// other 32 digits. The id itself is a property.
fn guid(id: FindingId) -> String {
    Builder::from_sha1_bytes(id.0).into_uuid().to_string()
}

/// A file as a relative or `file:` URI.
fn uri(path: &Path) -> String {
    if path == Path::new("-") {
        return "stdin".to_owned();
    }
    let mut uri = if path.is_absolute() { "file://".to_owned() } else { String::new() };
    let path = path.strip_prefix(".").unwrap_or(path);
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            // Everything else could be taken for the end of the path, or its beginning for a scheme.
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(*byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pattern that the schema has for `guid`.
    fn is_guid(text: &str) -> bool {
        let bytes = text.as_bytes();
        text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
            && matches!(bytes[14], b'1'..=b'5')
            && matches!(bytes[19], b'8' | b'9' | b'a' | b'b')
    }

    #[test]
    fn guids_are_as_the_schema_wants_them() {
        for byte in 0..=255 {
            let guid = guid(FindingId([byte; 16]));
            assert!(is_guid(&guid), "{guid}");
        }
        assert_ne!(guid(FindingId([1; 16])), guid(FindingId([2; 16])));
    }

    #[test]
    fn files_as_uris() {
        for (path, expected) in [
            ("traces.json", "traces.json"),
            ("./out/a b#1.json", "out/a%20b%231.json"),
            ("../c:d/50%.json", "../c%3Ad/50%25.json"),
            ("/tmp/\u{e9}.json", "file:///tmp/%C3%A9.json"),
            ("-", "stdin"),
        ] {
            assert_eq!(uri(Path::new(path)), expected);
        }
    }
}

//! What `hopseal check` says of a run, as text.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use hopseal_identity::attribute::{ASSURANCE, SEAL_ERROR};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;

use super::receiver::{Spans, service};
use super::trust::{TRUST_DOMAIN, Trust};
use crate::spans::check;

pub(crate) fn checked(trust: &Trust, spans: &Spans) -> Value {
    let request = ExportTraceServiceRequest { resource_spans: spans.otlp.clone() };
    check(&[request], &spans.zipkin, TRUST_DOMAIN, trust.published())
}

fn word<'r>(value: &'r Value, name: &str) -> &'r str {
    value[name].as_str().unwrap_or("-")
}

/// The hops, in the order of time, and the findings.
pub(crate) fn told(trust: &Trust, report: &Value) -> String {
    let mut text = String::new();
    for trace in report["traces"].as_array().unwrap() {
        let hops = trace["hops"].as_array().unwrap();
        writeln!(text, "a trace of {} hops, complete: {}", hops.len(), trace["complete"]).unwrap();
        let mut hops: Vec<&Value> = hops.iter().collect();
        hops.sort_by_key(|hop| hop["start_unix_nano"].as_str().unwrap().parse::<u64>().unwrap());
        for hop in hops {
            let via =
                hop["via"].as_array().unwrap().iter().map(|via| format!("{} -> ", via.as_str().unwrap()));
            let who = match hop["principal"]["id"].as_str() {
                None => "-".to_owned(),
                Some(id) if id == trust.pseudonym("ann") => {
                    format!("ann of {}", word(&hop["principal"], "tenant"))
                }
                Some(id) => id.to_owned(),
            };
            let columns = [
                format!("{:<11}", word(hop, "caller")),
                format!("{:<19}", via.collect::<String>() + word(hop, "service")),
                format!("{:<24}", word(hop, "operation")),
                format!("{:<9}", word(hop, "assurance")),
                format!("{:<11}", word(hop, "basis")),
                format!("{:<13}", word(hop, "method")),
                who,
            ];
            writeln!(text, "  {}", columns.join("  ").trim_end()).unwrap();
        }
    }
    // Their own order is that of ids, which differ from run to run.
    let mut findings: Vec<String> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            format!("{} {}: {}\n", word(finding, "severity"), word(finding, "rule"), word(finding, "service"))
        })
        .collect();
    findings.sort_unstable();
    text += &findings.concat();
    let coverage = &report["coverage"];
    let [hops, identified, proven] = ["hops", "identified", "proven"].map(|name| &coverage[name]);
    writeln!(text, "{hops} hops, {identified} identified, {proven} proven").unwrap();
    text
}

/// What is found, as `service rule`, but for what is low: that an identity was held back.
pub(crate) fn found(report: &Value) -> BTreeSet<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.filter(|finding| word(finding, "severity") != "low");
    findings.map(|finding| format!("{} {}", word(finding, "service"), word(finding, "rule"))).collect()
}

fn text<'s>(span: &'s Span, name: &str) -> Option<&'s str> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text),
        _ => None,
    }
}

/// What a service of ours makes of whoever calls: the assurance, and what is wrong with the seal.
pub(crate) fn made_of(spans: &Spans, name: &str) -> String {
    let of = spans.otlp.iter().filter(|resource| service(resource) == name);
    let mut spans = of.flat_map(|resource| resource.scope_spans.iter().flat_map(|scope| &scope.spans));
    let entry = spans.find(|span| matches!(span.kind(), SpanKind::Server | SpanKind::Consumer)).unwrap();
    let words = [text(entry, ASSURANCE), text(entry, SEAL_ERROR)];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

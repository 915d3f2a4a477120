//! The spans of a run, as OTLP, and what `hopseal check` says of them.

use clap::Parser as _;
use hopseal_collector::cli::{self, Cli};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde_json::Value;

/// The spans of one service.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    service: &'static str,
    provider: SdkTracerProvider,
    exporter: InMemorySpanExporter,
}

impl Recorder {
    pub(crate) fn new(service: &'static str) -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        Self { service, provider, exporter }
    }

    pub(crate) fn tracer(&self) -> BoxedTracer {
        BoxedTracer::new(Box::new(self.provider.tracer("fleet")))
    }

    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.exporter.get_finished_spans().unwrap()
    }

    /// Forgets what there is.
    pub(crate) fn reset(&self) {
        self.exporter.reset();
    }

    pub(crate) fn request(&self) -> ExportTraceServiceRequest {
        let resource = Resource::builder_empty().with_service_name(self.service).build();
        let resource = ResourceAttributesWithSchema::from(&resource);
        ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(self.spans(), &resource),
        }
    }
}

/// The report of `hopseal check` on the spans of these.
pub(crate) fn checked(recorders: &[Recorder]) -> Value {
    let requests: Vec<ExportTraceServiceRequest> = recorders.iter().map(Recorder::request).collect();
    check(&requests, &[], super::trust::TRUST_DOMAIN, &super::trust::published())
}

/// The report of `hopseal check` on these spans of OTLP, and these of Zipkin, with the keys of a trust domain.
pub(crate) fn check(
    otlp: &[ExportTraceServiceRequest],
    zipkin: &[Value],
    domain: &str,
    keys: &[u8],
) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let lines: Vec<String> = otlp.iter().map(|request| serde_json::to_string(request).unwrap()).collect();
    let mut files = vec![file("spans.json", lines.join("\n").as_bytes())];
    if !zipkin.is_empty() {
        files.push(file("zipkin.json", &serde_json::to_vec(zipkin).unwrap()));
    }
    let keys = file("keys.json", keys);
    let args = ["hopseal", "check", "--keys", &keys, "--trust-domain", domain, "--format", "json"];
    let args = args.into_iter().chain(files.iter().map(String::as_str));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    cli::run(Cli::try_parse_from(args).unwrap(), false, &mut out, &mut err);
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&err)))
}

/// The findings about a service, as rule names, sorted, each once; but what is low: that an identity was held back.
pub(crate) fn findings(report: &Value, service: &str) -> Vec<String> {
    let about = report["findings"].as_array().unwrap().iter().filter(|it| it["service"] == service);
    let about = about.filter(|it| it["severity"] != "low");
    let mut rules: Vec<String> = about.map(|it| it["rule"].as_str().unwrap().to_owned()).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// The value of an attribute of the entry span of a service.
pub(crate) fn attribute(recorder: &Recorder, entry: &str, name: &str) -> Option<String> {
    let spans = recorder.spans();
    let span = spans.iter().find(|span| span.name == entry)?;
    span.attributes.iter().find(|it| it.key.as_str() == name).map(|it| it.value.to_string())
}

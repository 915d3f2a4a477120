//! `hopseal::otlp::init`, in a process of its own: it sets up what there is once.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use hopseal::otel::{HopIdentity, with_identity};
use hopseal::otlp::Otlp;
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use tracing::Instrument as _;

/// Scenario: a service sets itself up, works for somebody in a span of `tracing`, and ends.
/// Guarantees: the span arrives though nothing was flushed, under the service's name, with the identity on it; what is injected
/// elsewhere holds the trace and no identity. Another service of the process makes spans of its own beside it.
#[tokio::test(flavor = "multi_thread")]
async fn spans_with_identities_are_sent() {
    let received: Arc<Mutex<Vec<Bytes>>> = Arc::default();
    let keep = async |State(received): State<Arc<Mutex<Vec<Bytes>>>>, body: Bytes| {
        received.lock().unwrap().push(body)
    };
    let app = Router::new().route("/v1/traces", post(keep)).with_state(Arc::clone(&received));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let otlp = || Otlp::new("orders", "spiffe://example.org/orders").endpoint(&address);
    let guard = otlp().init().unwrap();
    let again = otlp().init();
    assert!(matches!(again, Err(hopseal::otlp::OtlpError::Tracing(_))), "once for a process");
    let mut carrier = std::collections::HashMap::new();
    with_identity(HopIdentity::anonymous(), async {
        async {
            opentelemetry::global::get_text_map_propagator(|propagator| propagator.inject(&mut carrier));
        }
        .instrument(tracing::info_span!("work"))
        .await;
    })
    .await;
    tokio::task::spawn_blocking(move || drop(guard)).await.unwrap();

    // Another service, in the same process, with an exporter of its own.
    let exporter = SpanExporter::builder().with_http().with_endpoint(format!("{address}/v1/traces")).build();
    let other = Otlp::new("payments", "spiffe://example.org/payments").exporter(exporter.unwrap());
    let other = other.endpoint("http://127.0.0.1:1").provider().unwrap();
    let cx = opentelemetry::Context::new().with_value(HopIdentity::anonymous());
    other.tracer("test").start_with_context("other work", &cx).end();
    tokio::task::spawn_blocking(move || other.shutdown()).await.unwrap().unwrap();

    let bodies = received.lock().unwrap();
    let requests: Vec<ExportTraceServiceRequest> =
        bodies.iter().map(|body| ExportTraceServiceRequest::decode(body.clone()).unwrap()).collect();
    let resources = requests.iter().flat_map(|request| &request.resource_spans);
    let [resource, other] = resources.collect::<Vec<_>>()[..] else { panic!("{requests:?}") };
    let text = |attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue], key: &str| {
        let value = attributes.iter().find(|it| it.key == key)?.value.clone()?.value?;
        match value {
            Value::StringValue(text) => Some(text),
            _ => None,
        }
    };
    assert_eq!(
        text(&resource.resource.as_ref().unwrap().attributes, "service.name").as_deref(),
        Some("orders")
    );
    let name = text(&other.resource.as_ref().unwrap().attributes, "service.name");
    assert_eq!(name.as_deref(), Some("payments"));
    let span = &other.scope_spans[0].spans[0];
    assert_eq!(text(&span.attributes, "hopseal.workload").as_deref(), Some("spiffe://example.org/payments"));
    let [span] = &resource.scope_spans[0].spans[..] else { panic!("{resource:?}") };
    assert_eq!(span.name, "work");
    assert_eq!(text(&span.attributes, "hopseal.assurance").as_deref(), Some("anonymous"));
    assert_eq!(text(&span.attributes, "hopseal.workload").as_deref(), Some("spiffe://example.org/orders"));
    let trace: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(carrier["traceparent"].contains(&trace));
    assert_eq!(carrier.get("baggage"), None);
}

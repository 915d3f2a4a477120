//! Takes what others send of their spans: OTLP over HTTP, and Zipkin.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use flate2::read::GzDecoder;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message as _;
use serde_json::Value;

/// Spans, as they were sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spans {
    pub(crate) otlp: Vec<ResourceSpans>,
    pub(crate) zipkin: Vec<Value>,
}

impl Spans {
    /// How many there are of each service.
    pub(crate) fn counted(&self) -> BTreeMap<String, usize> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for resource in &self.otlp {
            let spans = resource.scope_spans.iter().map(|scope| scope.spans.len()).sum::<usize>();
            *counts.entry(service(resource)).or_default() += spans;
        }
        for span in &self.zipkin {
            let name = span["localEndpoint"]["serviceName"].as_str().unwrap();
            *counts.entry(name.to_owned()).or_default() += 1;
        }
        counts.retain(|_, count| *count > 0);
        counts
    }

    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.otlp.extend_from_slice(&other.otlp);
        self.zipkin.extend_from_slice(&other.zipkin);
        self
    }
}

pub(crate) fn service(resource: &ResourceSpans) -> String {
    let attributes = &resource.resource.as_ref().unwrap().attributes;
    let name = attributes.iter().find(|it| it.key == "service.name").unwrap();
    match name.value.clone().unwrap().value.unwrap() {
        Any::StringValue(name) => name,
        other => panic!("{other:?}"),
    }
}

/// See the [module](self).
#[derive(Debug, Clone, Default)]
pub(crate) struct Receiver(Arc<Mutex<Spans>>);

impl Receiver {
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let receiver = Self::default();
        let app = Router::new()
            .route("/v1/traces", post(otlp))
            .route("/api/v2/spans", post(zipkin))
            .with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (receiver, at)
    }

    /// What came so far.
    pub(crate) fn spans(&self) -> Spans {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap() = Spans::default();
    }
}

fn inflated(headers: &HeaderMap, body: &Bytes) -> Vec<u8> {
    let mut inflated = Vec::new();
    match headers.get("content-encoding") {
        Some(coding) if coding == "gzip" => {
            GzDecoder::new(&body[..]).read_to_end(&mut inflated).unwrap();
        }
        _ => inflated.extend_from_slice(body),
    }
    inflated
}

async fn otlp(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let request = ExportTraceServiceRequest::decode(&inflated(&headers, &body)[..]).unwrap();
    receiver.0.lock().unwrap().otlp.extend(request.resource_spans);
    StatusCode::OK
}

async fn zipkin(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let spans: Vec<Value> = serde_json::from_slice(&inflated(&headers, &body)).unwrap();
    receiver.0.lock().unwrap().zipkin.extend(spans);
    StatusCode::ACCEPTED
}

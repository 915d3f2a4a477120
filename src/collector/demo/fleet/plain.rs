//! A client as many services have one: with the ordinary instrumentation, which makes a span and passes the trace on, and with
//! nothing that knows of identities.

use std::collections::HashMap;

use axum::http::{Method, StatusCode};
use opentelemetry::global::BoxedTracer;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// Asks for what is at an address.
pub(super) async fn get(
    client: &reqwest::Client,
    tracer: &BoxedTracer,
    url: String,
) -> Result<String, StatusCode> {
    let mut request = client.get(url).build().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let builder = tracer.span_builder("GET").with_kind(SpanKind::Client).with_attributes([
        KeyValue::new("http.request.method", Method::GET.as_str()),
        KeyValue::new("server.address", request.url().host_str().unwrap_or_default().to_owned()),
        KeyValue::new("server.port", i64::from(request.url().port().unwrap_or_default())),
        KeyValue::new("url.path", request.url().path().to_owned()),
    ]);
    let current = Context::current();
    let cx = current.with_span(tracer.build_with_context(builder, &current));
    let mut headers = HashMap::new();
    TraceContextPropagator::new().inject_context(&cx, &mut headers);
    for (name, value) in headers {
        let header = (reqwest::header::HeaderName::try_from(name), value.try_into());
        if let (Ok(name), Ok(value)) = header {
            request.headers_mut().insert(name, value);
        }
    }
    let answer = client.execute(request).await;
    if let Ok(answer) = &answer {
        let status = i64::from(answer.status().as_u16());
        cx.span().set_attribute(KeyValue::new("http.response.status_code", status));
    }
    cx.span().end();
    super::text(answer).await
}

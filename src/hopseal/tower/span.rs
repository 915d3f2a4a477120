//! Spans of requests, for those who have no other instrumentation: named and described after the semantic conventions for HTTP and RPC
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>).

use std::borrow::Cow;

use http::{Extensions, HeaderMap, Method, StatusCode, Uri};
use opentelemetry::trace::{Link, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use super::answer::is_grpc;

/// The route of a request as it was declared (`/orders/{id}`), from what a router left in its extensions.
pub(super) type Route = fn(&Extensions) -> Option<&str>;

/// The span of a request that came in, and what it is linked to.
pub(super) fn entry(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    route: Option<&str>,
    linked: Option<&SpanContext>,
) -> SpanBuilder {
    let span = describe(SpanKind::Server, method, uri, headers, route);
    match linked {
        None => span,
        Some(linked) => span.with_links(vec![Link::with_context(linked.clone())]),
    }
}

/// The span of a request that goes out.
pub(crate) fn exit(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    there: Option<(&str, u16)>,
) -> SpanBuilder {
    let mut span = describe(SpanKind::Client, method, uri, headers, None);
    if let Some((host, port)) = there {
        span.attributes.get_or_insert_default().extend([
            KeyValue::new("server.address", host.to_owned()),
            KeyValue::new("server.port", i64::from(port)),
        ]);
    }
    span
}

fn describe(
    kind: SpanKind,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    route: Option<&str>,
) -> SpanBuilder {
    let (name, attributes) = match is_grpc(headers) {
        true => of_rpc(uri),
        false => of_http(method, uri, route),
    };
    SpanBuilder::from_name(name).with_kind(kind).with_attributes(attributes)
}

fn of_rpc(uri: &Uri) -> (Cow<'static, str>, Vec<KeyValue>) {
    let name = uri.path().trim_start_matches('/').to_owned();
    let (service, method) = name.rsplit_once('/').unwrap_or(("", name.as_str()));
    let attributes = vec![
        KeyValue::new("rpc.system", "grpc"),
        KeyValue::new("rpc.service", service.to_owned()),
        KeyValue::new("rpc.method", method.to_owned()),
    ];
    (name.into(), attributes)
}

fn of_http(method: &Method, uri: &Uri, route: Option<&str>) -> (Cow<'static, str>, Vec<KeyValue>) {
    let method = of_method(method);
    let mut attributes = Vec::with_capacity(4);
    attributes.push(KeyValue::new("http.request.method", method));
    attributes.push(KeyValue::new("url.path", uri.path().to_owned()));
    let name = match route {
        Some(route) => {
            attributes.push(KeyValue::new("http.route", route.to_owned()));
            format!("{method} {route}").into()
        }
        None => method.into(),
    };
    (name, attributes)
}

/// A method of the caller's own would make names without end.
fn of_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "_OTHER",
    }
}

/// Says on the span of a context how the request ended, and ends it.
pub(crate) fn end(cx: &Context, kind: &SpanKind, status: StatusCode, headers: &HeaderMap) {
    let span = cx.span();
    if span.is_recording() {
        let code = headers.get("grpc-status").and_then(|code| code.to_str().ok()?.parse::<i64>().ok());
        let failed = match code {
            Some(code) => {
                span.set_attribute(KeyValue::new("rpc.grpc.status_code", code));
                // What is the caller's fault is no error of a server.
                matches!(code, 2 | 4 | 12..=15) || (*kind == SpanKind::Client && code != 0)
            }
            None => {
                span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
                status.is_server_error() || (*kind == SpanKind::Client && status.is_client_error())
            }
        };
        if failed {
            span.set_status(Status::error(""));
        }
    }
    span.end();
}

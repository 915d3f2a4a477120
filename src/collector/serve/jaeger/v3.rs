//! The same by Jaeger's query API v3: spans of OTLP, in JSON.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::ask::{Paged, Search, pairs, param, period_v3, trace_id};
use super::search::Found;
use super::shape::{self, ERROR};
use super::{KINDS, calls, not_read, searched};
use crate::output::jaeger::{DependencyShape, OperationShape, TagShape, ValueShape};
use crate::output::otlp::{
    AnyShape, ArrayShape, AttributeShape, CallsShape, DependenciesShape, DetailsShape, OperationsShape,
    ResourceShape, ResourceSpansShape, ResultShape, ScopeShape, ScopeSpansShape, ServiceShape, ServicesShape,
    SpanShape, StatusShape, SummariesShape, SummaryShape, TracesShape, WrongShape,
};
use crate::serve::api::{Api, Problem, asked, cursor_text, json};
use crate::serve::identities::Identities;
use crate::serve::store::TraceRecord;

/// Where Jaeger keeps warnings of a span, and its user interface looks for them.
const WARNINGS: &str = "@jaeger@warnings";
const SERVER: u8 = 2;
const CONSUMER: u8 = 5;
const ERROR_CODE: u8 = 2;

type Answer = Result<Response, Wrong>;

pub(super) fn router(api: Api) -> Router {
    Router::new()
        .route("/api/v3/services", get(services))
        .route("/api/v3/operations", get(operations))
        .route("/api/v3/traces", get(search))
        .route("/api/v3/traces/{trace_id}", get(trace))
        .route("/api/v3/trace-summaries", get(summaries))
        .route("/api/v3/dependencies", get(dependencies))
        .with_state(api)
}

/// Why there is no answer, as version 3 says it.
#[derive(Debug)]
pub(crate) struct Wrong(pub(crate) Problem);

impl<E: Into<Problem>> From<E> for Wrong {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let status = self.0.status();
        let message = match self.0 {
            Problem::NotFound => "No traces found".to_owned(),
            problem => problem.to_string(),
        };
        (status, axum::Json(WrongShape { error: DetailsShape { http_code: status.as_u16(), message } }))
            .into_response()
    }
}

fn answer<T: Serialize>(asked: &HeaderMap, shape: &T) -> Answer {
    Ok(json(asked, shape)?)
}

async fn services(State(api): State<Api>, headers: HeaderMap) -> Answer {
    let services = asked(&api, |store| store.services()).await?;
    answer(&headers, &ServicesShape { services })
}

async fn operations(State(api): State<Api>, RawQuery(query): RawQuery, headers: HeaderMap) -> Answer {
    let pairs = pairs(query.as_deref());
    let service = param(&pairs, "service").unwrap_or_default().to_owned();
    // Which of them it is is not kept.
    let found = match param(&pairs, "spanKind").or(param(&pairs, "span_kind")) {
        Some(kind) if !KINDS.contains(&kind) => Vec::new(),
        _ => asked(&api, move |store| store.operations(&service)).await?,
    };
    let operations = found.into_iter().map(|name| OperationShape { name, span_kind: "server" }).collect();
    answer(&headers, &OperationsShape { operations })
}

async fn dependencies(State(api): State<Api>, RawQuery(query): RawQuery, headers: HeaderMap) -> Answer {
    let interval = period_v3(&pairs(query.as_deref()), api.clock.now())?;
    let calls = calls(&api, interval, None).await?.into_iter();
    let dependencies = calls.map(|DependencyShape { parent, child, call_count }| CallsShape {
        parent,
        child,
        call_count: call_count.to_string(),
    });
    answer(&headers, &DependenciesShape { dependencies: dependencies.collect() })
}

async fn search(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    identities: Identities,
    headers: HeaderMap,
) -> Answer {
    let Found { traces, .. } = found(&api, identities, query.as_deref(), Paged::No).await?;
    result(&headers, traces)
}

async fn found(api: &Api, identities: Identities, query: Option<&str>, paged: Paged) -> Result<Found, Wrong> {
    let search = Search::parse_v3(&pairs(query), paged, api.clock.now())?;
    let is_first = search.after.is_none();
    let found = searched(api, identities, search).await?;
    if found.traces.is_empty() && is_first { Err(Problem::NotFound.into()) } else { Ok(found) }
}

async fn trace(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    identities: Identities,
    headers: HeaderMap,
) -> Answer {
    // Where to look, which clients may add, is not needed.
    let id = trace_id(&id?)?;
    let trace = asked(&api, move |store| store.trace(id)).await?.ok_or(Problem::NotFound)?;
    result(&headers, vec![identities.of_trace(trace)?])
}

fn result(headers: &HeaderMap, traces: Vec<TraceRecord>) -> Answer {
    let mut resource_spans = Vec::new();
    for trace in traces {
        resource_spans.append(&mut spans(trace).map_err(not_read)?);
    }
    answer(headers, &ResultShape { result: TracesShape { resource_spans } })
}

async fn summaries(State(api): State<Api>, RawQuery(query): RawQuery, headers: HeaderMap) -> Answer {
    // Nobody is named in these.
    let Found { traces, next, .. } = found(&api, Identities::Shown, query.as_deref(), Paged::Yes).await?;
    let summaries = traces.into_iter().map(summary).collect::<Result<_, _>>().map_err(not_read)?;
    answer(&headers, &SummariesShape { summaries, next_page_token: next.map(cursor_text) })
}

fn summary(trace: TraceRecord) -> Result<SummaryShape, serde_json::Error> {
    let findings = shape::read(trace.findings)?;
    let mut services: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for hop in &trace.hops {
        let is_error = shape::is_error(&shape::of_hop(hop, &findings));
        let (spans, errors) = services.entry(&hop.service).or_default();
        (*spans, *errors) = (*spans + 1, *errors + usize::from(is_error));
    }
    let root = trace.hops.first();
    let named = |text: Option<&String>| text.cloned().unwrap_or_default();
    let begins = trace.hops.iter().map(|hop| hop.start).min().unwrap_or(0);
    let ends = trace.hops.iter().map(|hop| hop.end).max().unwrap_or(0);
    Ok(SummaryShape {
        trace_id: trace.judged.trace_id.to_string(),
        root_service_name: named(root.map(|hop| &hop.service)),
        root_operation_name: named(root.map(|hop| &hop.operation)),
        min_start_time_unix_nano: begins.to_string(),
        max_end_time_unix_nano: ends.to_string(),
        span_count: trace.hops.len(),
        error_span_count: services.values().map(|(_, errors)| errors).sum(),
        orphan_span_count: trace.judged.missing_parents,
        services: services
            .into_iter()
            .map(|(name, (span_count, error_span_count))| ServiceShape {
                name: name.to_owned(),
                span_count,
                error_span_count,
            })
            .collect(),
    })
}

fn attribute(tag: TagShape) -> AttributeShape {
    let value = match tag.value {
        ValueShape::String(text) => AnyShape::String(text),
        ValueShape::Bool(truth) => AnyShape::Bool(truth),
    };
    AttributeShape { key: tag.key, value }
}

/// The spans of a trace, by service. What is said of the trace as a whole stands at its first span.
fn spans(trace: TraceRecord) -> Result<Vec<ResourceSpansShape>, serde_json::Error> {
    let kinds: Vec<u8> =
        trace.hops.iter().map(|hop| if shape::is_consumer(hop) { CONSUMER } else { SERVER }).collect();
    let ends: Vec<(u64, u64)> = trace.hops.iter().map(|hop| (hop.start, hop.end)).collect();
    let shape = shape::trace(trace)?;
    let mut of_trace = shape.warnings;
    let mut groups: Vec<(String, ResourceSpansShape)> = Vec::new();
    for ((span, kind), (start, end)) in shape.spans.into_iter().zip(kinds).zip(ends) {
        let mut warnings = span.warnings.unwrap_or_default();
        warnings.extend(of_trace.take().into_iter().flatten());
        let is_error = span.tags.iter().any(|tag| tag.key == ERROR);
        let told = ["span.kind", "service.name", ERROR];
        let mut attributes: Vec<AttributeShape> =
            span.tags.into_iter().filter(|tag| !told.contains(&tag.key)).map(attribute).collect();
        let message = warnings.first().filter(|_| is_error).cloned();
        if !warnings.is_empty() {
            let values = warnings.into_iter().map(AnyShape::String).collect();
            attributes.push(AttributeShape { key: WARNINGS, value: AnyShape::Array(ArrayShape { values }) });
        }
        let shown = SpanShape {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_span_id: span.references.into_iter().next().map(|parent| parent.span_id),
            name: span.operation_name,
            kind,
            start_time_unix_nano: start.to_string(),
            end_time_unix_nano: end.to_string(),
            attributes,
            status: StatusShape { code: is_error.then_some(ERROR_CODE), message },
        };
        match groups.iter_mut().find(|(process, _)| *process == span.process_id) {
            Some((_, group)) => group.scope_spans[0].spans.push(shown),
            None => {
                let mut attributes = Vec::new();
                if let Some(process) = shape.processes.get(&span.process_id) {
                    let name = AnyShape::String(process.service_name.clone());
                    attributes.push(AttributeShape { key: "service.name", value: name });
                    attributes.extend(process.tags.iter().cloned().map(attribute));
                }
                let scope = ScopeShape { name: "hopseal" };
                let group = ResourceSpansShape {
                    resource: ResourceShape { attributes },
                    scope_spans: [ScopeSpansShape { scope, spans: vec![shown] }],
                };
                groups.push((span.process_id, group));
            }
        }
    }
    Ok(groups.into_iter().map(|(_, group)| group).collect())
}

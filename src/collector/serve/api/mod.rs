//! The query API: JSON over HTTP.
//!
//! Nothing here says who may ask: [`gate`](super::access::gate) stands before it.

mod answer;
mod ask;
mod describe;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};

pub(crate) use self::answer::{Problem, json};
pub(crate) use self::ask::{FindingsAsk, HopsAsk, cursor, cursor_text, finding_id, saying, trace_id};
pub(crate) use self::describe::description;

use self::answer::Asking;
use self::ask::EdgesAsk;
use crate::output::trail::{
    CoverageOverTimeShape, CoverageShape, EdgeShape, EdgesShape, FindingShape, FindingsShape, HopShape,
    HopsShape, OneFindingShape, ProblemShape, SaidShape, StateShape, TraceShape,
};
use crate::serve::access::Asker;
use crate::serve::clock::Clock;
use crate::serve::identities::Identities;
use crate::serve::people::People;
use crate::serve::store::{FindingQuery, Store, StoreError};

/// What the API answers from.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) people: Option<People>,
}

/// The API. Who may ask what is for the caller to add.
pub(crate) fn router(api: Api) -> Router {
    Router::new()
        .route("/api/v1/traces/{trace_id}", get(trace))
        .route("/api/v1/hops", get(hops))
        .route("/api/v1/findings", get(findings))
        .route("/api/v1/findings/{id}", get(finding).patch(set_state))
        .route("/api/v1/edges", get(edges))
        .route("/api/v1/coverage", get(coverage))
        .route("/api/v1/openapi.json", get(openapi))
        .with_state(api)
}

/// Most of what was said of one finding that is shown.
pub(crate) const SAID: usize = 100;

/// Asks the store from a thread that may block.
pub(crate) async fn asked<T: Send + 'static>(
    api: &Api,
    ask: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let store = Arc::clone(&api.store);
    tokio::task::spawn_blocking(move || ask(&*store))
        .await
        .map_err(|_| Problem::Failed)?
        .map_err(Problem::from)
}

/// A trace with its hops and findings.
#[utoipa::path(
    get, path = "/api/v1/traces/{trace_id}",
    params(("trace_id" = String, Path, description = "32 hex digits")),
    responses((status = 200, body = TraceShape), (status = 304), (status = 400, body = ProblemShape),
              (status = 404, body = ProblemShape))
)]
async fn trace(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    identities: Identities,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = trace_id(&id?)?;
    let found = asked(&api, move |store| store.trace(id)).await?.ok_or(Problem::NotFound)?;
    json(&headers, &TraceShape::try_from(identities.of_trace(found)?)?)
}

/// Hops of a principal, a service, an edge, over time: the newest first.
#[utoipa::path(
    get, path = "/api/v1/hops", params(HopsAsk),
    responses((status = 200, body = HopsShape), (status = 304), (status = 400, body = ProblemShape))
)]
async fn hops(
    State(api): State<Api>,
    Asking(ask): Asking<HopsAsk>,
    identities: Identities,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = ask.query(api.people.as_deref())?;
    let limit = query.limit;
    let found = asked(&api, move |store| store.hops(&query)).await?;
    let next = found.get(limit.saturating_sub(1)).map(|last| cursor_text(last.cursor()));
    let hops = identities.of_hops(found).into_iter().map(HopShape::from).collect();
    json(&headers, &HopsShape { hops, next })
}

/// Findings by state, rule, severity and service: the newest first.
#[utoipa::path(
    get, path = "/api/v1/findings", params(FindingsAsk),
    responses((status = 200, body = FindingsShape), (status = 304), (status = 400, body = ProblemShape))
)]
async fn findings(
    State(api): State<Api>,
    Asking(ask): Asking<FindingsAsk>,
    identities: Identities,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query: FindingQuery = ask.query()?;
    let limit = query.limit;
    let found = asked(&api, move |store| store.findings(&query)).await?;
    let next = found.get(limit.saturating_sub(1)).map(|last| cursor_text(last.cursor()));
    let found = identities.of_findings(found)?.into_iter();
    let findings = found.map(FindingShape::try_from).collect::<Result<_, _>>()?;
    json(&headers, &FindingsShape { findings, next })
}

/// A finding, and what was said of it.
#[utoipa::path(
    get, path = "/api/v1/findings/{id}", params(("id" = String, Path, description = "32 hex digits")),
    responses((status = 200, body = OneFindingShape), (status = 304), (status = 400, body = ProblemShape),
              (status = 404, body = ProblemShape))
)]
async fn finding(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    identities: Identities,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = finding_id(&id?)?;
    let (found, said) = asked(&api, move |store| Ok((store.finding(id)?, store.said(id, SAID)?))).await?;
    let found = identities.of_findings(found.into_iter().collect())?.pop();
    let Some(finding) = found else { return Err(Problem::NotFound) };
    let said = said.into_iter().map(SaidShape::from).collect();
    json(&headers, &OneFindingShape { finding: FindingShape::try_from(finding)?, said })
}

/// Sets the state of a finding.
#[utoipa::path(
    patch, path = "/api/v1/findings/{id}", request_body = StateShape,
    params(("id" = String, Path, description = "32 hex digits")),
    responses((status = 204), (status = 400, body = ProblemShape), (status = 404, body = ProblemShape),
              (status = 413, body = ProblemShape), (status = 415, body = ProblemShape), (status = 422, body = ProblemShape))
)]
async fn set_state(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    asker: Option<Extension<Asker>>,
    wanted: Result<axum::Json<StateShape>, JsonRejection>,
) -> Result<http::StatusCode, Problem> {
    let axum::Json(wanted) = wanted?;
    let id = finding_id(&id?)?;
    let said = saying(&wanted.state, wanted.note, asker.as_deref(), api.clock.now())?;
    match asked(&api, move |store| store.set_state(id, &said)).await? {
        true => Ok(http::StatusCode::NO_CONTENT),
        false => Err(Problem::NotFound),
    }
}

/// Who called whom with what assurance: service by service.
#[utoipa::path(
    get, path = "/api/v1/edges", params(EdgesAsk),
    responses((status = 200, body = EdgesShape), (status = 304), (status = 400, body = ProblemShape))
)]
async fn edges(
    State(api): State<Api>,
    Asking(ask): Asking<EdgesAsk>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let interval = ask.interval()?;
    let service = ask.service;
    let found = asked(&api, move |store| store.edges(interval)).await?;
    let is_asked = |edge: &EdgeShape| {
        service.as_deref().is_none_or(|name| edge.service == name || edge.caller.as_deref() == Some(name))
    };
    json(&headers, &EdgesShape { edges: found.into_iter().map(EdgeShape::from).filter(is_asked).collect() })
}

/// How many hops showed an identity, over time.
#[utoipa::path(
    get, path = "/api/v1/coverage", params(EdgesAsk),
    responses((status = 200, body = CoverageOverTimeShape), (status = 304), (status = 400, body = ProblemShape))
)]
async fn coverage(
    State(api): State<Api>,
    Asking(ask): Asking<EdgesAsk>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (interval, minutes) = (ask.interval()?, ask.minutes.unwrap_or(1));
    let service = ask.service;
    let found = asked(&api, move |store| store.coverage(interval, service.as_deref(), minutes)).await?;
    json(&headers, &CoverageOverTimeShape { points: found.into_iter().map(CoverageShape::from).collect() })
}

/// This description.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", responses((status = 200, body = Object, content_type = "application/json"))
)]
async fn openapi() -> ([(http::HeaderName, &'static str); 1], String) {
    ([(http::header::CONTENT_TYPE, "application/json")], description())
}

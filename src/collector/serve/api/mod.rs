//! The query API: JSON over HTTP.
//!
//! Nothing here says who may ask: [`gate`](super::access::gate) stands before it.

mod answer;
mod ask;
mod describe;
#[cfg(test)]
mod tests;
mod touched;

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};

pub(crate) use self::answer::{Problem, json};
pub(crate) use self::ask::{
    CoverageAsk, CoverageQuery, EdgesAsk, FindingsAsk, HopsAsk, TouchedAsk, basis, cursor, cursor_text,
    edge_cursor, edge_cursor_text, finding_id, saying, trace_id,
};
pub(crate) use self::describe::description;
pub(crate) use self::touched::touched as touched_of;

use self::answer::Asking;
use crate::output::trail::{
    CoverageOverTimeShape, CoverageShape, EdgeShape, EdgesShape, FindingShape, FindingsShape, HopShape,
    HopsShape, OneFindingShape, ProblemShape, SaidShape, StateShape, TouchedShape, TraceShape,
};
use crate::serve::access::Asker;
use crate::serve::clock::Clock;
use crate::serve::identities::Identities;
use crate::serve::people::People;
use crate::serve::store::{EdgeQuery, FindingQuery, HopQuery, Store, StoreError};

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
        .route("/api/v1/touched", get(touched))
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
    json(&headers, &asked(&api, move |store| hops_of(store, &query, identities)).await?)
}

/// Hops, and where the page after them begins.
pub(crate) fn hops_of(
    store: &dyn Store,
    query: &HopQuery,
    identities: Identities,
) -> Result<HopsShape, StoreError> {
    let found = store.hops(query)?;
    let next = found.get(query.limit.saturating_sub(1)).map(|last| cursor_text(last.cursor()));
    Ok(HopsShape { hops: identities.of_hops(found).into_iter().map(HopShape::from).collect(), next })
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
    let query = ask.query(api.people.as_deref())?;
    json(&headers, &asked(&api, move |store| findings_of(store, &query, identities)).await?)
}

/// Findings, and where the page after them begins.
pub(crate) fn findings_of(
    store: &dyn Store,
    query: &FindingQuery,
    identities: Identities,
) -> Result<FindingsShape, StoreError> {
    let found = store.findings(query)?;
    let next = found.get(query.limit.saturating_sub(1)).map(|last| cursor_text(last.cursor()));
    let found = identities
        .of_findings(found)
        .and_then(|found| found.into_iter().map(FindingShape::try_from).collect::<Result<_, _>>());
    Ok(FindingsShape { findings: found.map_err(|_| StoreError::Broken("a finding"))?, next })
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

/// Who touched a service, and through what: each principal with its callers, actors, and how often, who was there last first.
#[utoipa::path(
    get, path = "/api/v1/touched", params(TouchedAsk),
    responses((status = 200, body = TouchedShape), (status = 304), (status = 400, body = ProblemShape))
)]
async fn touched(
    State(api): State<Api>,
    Asking(ask): Asking<TouchedAsk>,
    identities: Identities,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // Without them there is no answer.
    if identities == Identities::Withheld {
        return Err(Problem::Forbidden);
    }
    let query = ask.query(api.clock.now())?;
    json(&headers, &asked(&api, move |store| touched_of(store, &query)).await?)
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
    let query = ask.query()?;
    json(&headers, &asked(&api, move |store| edges_of(store, &query)).await?)
}

/// Edges, and where the page after them begins.
pub(crate) fn edges_of(store: &dyn Store, query: &EdgeQuery) -> Result<EdgesShape, StoreError> {
    let found = store.edges(query)?;
    let next = found.get(query.limit.saturating_sub(1)).map(|last| edge_cursor_text(&last.cursor()));
    Ok(EdgesShape { edges: found.into_iter().map(EdgeShape::from).collect(), next })
}

/// How many hops showed an identity, over time.
#[utoipa::path(
    get, path = "/api/v1/coverage", params(CoverageAsk),
    responses((status = 200, body = CoverageOverTimeShape), (status = 304), (status = 400, body = ProblemShape))
)]
async fn coverage(
    State(api): State<Api>,
    Asking(ask): Asking<CoverageAsk>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = ask.query()?;
    json(&headers, &asked(&api, move |store| coverage_of(store, &query)).await?)
}

/// Points of coverage, and where the page after them begins.
pub(crate) fn coverage_of(
    store: &dyn Store,
    query: &CoverageQuery,
) -> Result<CoverageOverTimeShape, StoreError> {
    let CoverageQuery { interval, service, minutes, limit } = query;
    let found = store.coverage(*interval, service.as_deref(), *minutes, *limit)?;
    let next = query.next(&found);
    Ok(CoverageOverTimeShape { points: found.into_iter().map(CoverageShape::from).collect(), next })
}

/// This description.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", responses((status = 200, body = Object, content_type = "application/json"))
)]
async fn openapi() -> ([(http::HeaderName, &'static str); 1], String) {
    ([(http::header::CONTENT_TYPE, "application/json")], description())
}

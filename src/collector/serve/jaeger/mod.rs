//! The trail in the words of Jaeger's query API, version 1 and 3, so that Grafana's data source for Jaeger, and whatever else asks
//! Jaeger, reads it as it is. A hop is a span; what was found of it stands in its warnings.
//!
//! It is not in our OpenAPI document: what it is called and what it means is Jaeger's to say, and may change with Jaeger.
//!
//! Nothing here says who may ask: [`gate`](super::access::gate) stands before it.
//!
//! ```text
//! ask -> search -> shape -> answer, v3
//! ```

mod answer;
mod ask;
mod search;
mod shape;
#[cfg(test)]
mod tests;
mod v3;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use hopseal_correlate::sink::TraceId;

pub(crate) use self::answer::wrong;
pub(crate) use self::ask::names_somebody;

use self::answer::{Wrong, data, listed};
use self::ask::{Search, pairs, param, period, trace_id};
use self::search::Found;
use super::api::{Api, Problem, asked};
use super::identities::Identities;
use super::people::spellings;
use super::store::{EdgeQuery, Interval, Store, StoreError};
use crate::output::jaeger::{DependencyShape, ErrorShape, OperationShape, TraceShape};

/// Kinds of spans that a hop may be.
const KINDS: [&str; 2] = ["server", "consumer"];

type Answer = Result<Response, Wrong>;

/// The API of Jaeger. Who may ask what is for the caller to add.
pub(crate) fn router(api: Api) -> Router {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/services/{service}/operations", get(operations_of))
        .route("/api/operations", get(operations))
        .route("/api/traces", get(search))
        .route("/api/traces/{trace_id}", get(trace))
        .route("/api/dependencies", get(dependencies))
        .with_state(api.clone())
        .merge(v3::router(api))
}

async fn services(State(api): State<Api>, headers: HeaderMap) -> Answer {
    listed(&headers, asked(&api, |store| store.services()).await?)
}

async fn operations_of(
    State(api): State<Api>,
    service: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Answer {
    let Path(service) = service?;
    listed(&headers, asked(&api, move |store| store.operations(&service)).await?)
}

async fn operations(State(api): State<Api>, RawQuery(query): RawQuery, headers: HeaderMap) -> Answer {
    let pairs = pairs(query.as_deref());
    let service = param(&pairs, "service").map(str::to_owned);
    let service = service.ok_or_else(|| Problem::Asked("parameter 'service' is required".to_owned()))?;
    let found = match param(&pairs, "spanKind") {
        Some(kind) if !KINDS.contains(&kind) => Vec::new(),
        _ => asked(&api, move |store| store.operations(&service)).await?,
    };
    let shapes = found.into_iter().map(|name| OperationShape { name, span_kind: "" });
    listed(&headers, shapes.collect())
}

async fn search(
    State(api): State<Api>,
    RawQuery(query): RawQuery,
    identities: Identities,
    headers: HeaderMap,
) -> Answer {
    let pairs = pairs(query.as_deref());
    let ids = pairs.iter().filter(|(name, _)| name == "traceID").map(|(_, id)| trace_id(id));
    let ids = ids.collect::<Result<Vec<TraceId>, Problem>>()?;
    if !ids.is_empty() {
        return traces(&api, identities, &headers, ids).await;
    }
    let search = Search::parse(&pairs, api.clock.now())?;
    let Found { traces, is_whole, .. } = searched(&api, identities, search).await?;
    let traces = traces.into_iter().map(shape::trace).collect::<Result<_, _>>().map_err(not_read)?;
    let errors = (!is_whole).then(|| ErrorShape {
        code: None,
        msg: format!("that is not all: no more than {} hops are looked at, or shown; ask for less time, or more exactly", search::MOST),
        trace_id: None,
    });
    data(&headers, traces, errors.into_iter().collect())
}

/// Traces that have what is asked for.
async fn searched(api: &Api, identities: Identities, search: Search) -> Result<Found, Problem> {
    let people = api.people.as_deref();
    let issuers = people.map(|(_, issuers)| issuers.as_slice()).unwrap_or_default();
    let keys = people.map(|(keys, _)| keys);
    let principals = search.principal().map(|name| spellings(name, issuers, keys));
    let find = move |store: &dyn Store| search::find(store, &search, principals.unwrap_or_default());
    let found = asked(api, find).await?;
    let traces = found.traces.into_iter().map(|trace| identities.of_trace(trace));
    Ok(Found { traces: traces.collect::<Result<_, _>>()?, ..found })
}

/// Traces by their ids, and which of them there are not.
async fn traces(api: &Api, identities: Identities, headers: &HeaderMap, ids: Vec<TraceId>) -> Answer {
    let wanted = ids.clone();
    let found = asked(api, move |store| store.traces(&wanted)).await?;
    let is_there = |id: &&TraceId| found.iter().any(|trace| trace.judged.trace_id == **id);
    let missing = ids.iter().filter(|id| !is_there(id));
    let errors = missing.map(|id| ErrorShape {
        code: None,
        msg: "trace not found".to_owned(),
        trace_id: Some(id.to_string()),
    });
    let errors = errors.collect();
    let shown = |trace| shape::trace(identities.of_trace(trace)?);
    let found = found.into_iter().map(shown).collect::<Result<_, _>>().map_err(not_read)?;
    data(headers, found, errors)
}

async fn trace(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    identities: Identities,
    headers: HeaderMap,
) -> Answer {
    // `start` and `end`, which some clients add, are where to look; here the id is enough.
    let found = one(&api, identities, trace_id(&id?)?).await?.ok_or(Problem::NotFound)?;
    data(&headers, vec![found], Vec::new())
}

async fn one(api: &Api, identities: Identities, id: TraceId) -> Result<Option<TraceShape>, Problem> {
    let shown = move |trace| shape::trace(identities.of_trace(trace)?);
    asked(api, move |store| store.trace(id)?.map(shown).transpose().map_err(not_read)).await
}

fn not_read(_: serde_json::Error) -> StoreError {
    StoreError::Broken("a finding")
}

async fn dependencies(State(api): State<Api>, RawQuery(query): RawQuery, headers: HeaderMap) -> Answer {
    let pairs = pairs(query.as_deref());
    let interval = period(&pairs, api.clock.now())?;
    let service = param(&pairs, "service").map(str::to_owned);
    data(&headers, calls(&api, interval, service.as_deref()).await?, Vec::new())
}

/// Which services called which, and how often; those of one service, called or calling, if it is named.
async fn calls(
    api: &Api,
    interval: Interval,
    service: Option<&str>,
) -> Result<Vec<DependencyShape>, Problem> {
    let edges = asked(api, move |store| store.edges(&EdgeQuery::of(interval))).await?;
    let mut found: Vec<DependencyShape> = Vec::new();
    for edge in edges.into_iter().filter(|edge| !edge.caller.is_empty()) {
        if service.is_some_and(|service| edge.caller != service && edge.service != service) {
            continue;
        }
        // Assurances of one pair stand together.
        match found.last_mut() {
            Some(last) if last.parent == edge.caller && last.child == edge.service => {
                last.call_count += edge.hops;
            }
            _ => found.push(DependencyShape {
                parent: edge.caller,
                child: edge.service,
                call_count: edge.hops,
            }),
        }
    }
    Ok(found)
}

//! Counts what is answered to people and to those who ask by the API.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use super::Metrics;
use super::labels::{Asked, Route};

/// The route of what is nowhere.
const NOWHERE: &str = "none";

/// Stands before all that answers, the gate too. What is told for as long as somebody watches is timed until it begins.
pub(crate) async fn counted(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let matched = request.extensions().get::<MatchedPath>();
    let route = matched.map_or(NOWHERE, MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    metrics.asked_seconds.observe(&Route { route: route.clone() }, began.elapsed());
    metrics.asked.add(&Asked { route, status: class(response.status()) }, 1);
    response
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower_service::Service as _;

    use super::*;

    /// Scenario: findings of two ids are asked for, one is not there, one is turned away before, and a path is asked for that is none.
    /// Guarantees: each counts by its route and what became of it; no id is in any label.
    #[tokio::test]
    async fn what_is_asked_counts_by_its_route() {
        let metrics = Arc::new(Metrics::new());
        let found = |id: &str| if id == "1" { StatusCode::OK } else { StatusCode::NOT_FOUND };
        let gate = async |request: Request, next: Next| match request.headers().contains_key("cookie") {
            true => Response::builder().status(403).body(Body::empty()).expect("a response"),
            false => next.run(request).await,
        };
        let mut router = Router::new()
            .route("/finding/{id}", get(async move |path: axum::extract::Path<String>| found(&path)))
            .layer(axum::middleware::from_fn(gate))
            .layer(from_fn_with_state(Arc::clone(&metrics), counted));
        for (path, cookie) in [("/finding/1", 0), ("/finding/alice", 0), ("/finding/1", 1), ("/alice", 0)] {
            let mut request = Request::get(path);
            if cookie > 0 {
                request = request.header("cookie", "a");
            }
            router.call(request.body(Body::empty()).expect("a request")).await.expect("an answer");
        }
        let text = metrics.text();
        for line in [
            "hopseal_api_requests_total{route=\"/finding/{id}\",status=\"2xx\"} 1",
            "hopseal_api_requests_total{route=\"/finding/{id}\",status=\"4xx\"} 2",
            "hopseal_api_requests_total{route=\"none\",status=\"4xx\"} 1",
            "hopseal_api_request_seconds_count{route=\"/finding/{id}\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("alice"), "{text}");
    }
}

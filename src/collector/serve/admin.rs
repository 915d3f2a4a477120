//! What operators ask: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use http::request::Parts as Head;
use http::{Method, Response, StatusCode};

use super::budget::Budget;
use super::metrics::{self, Metrics};
use super::refusal::Refusal;
use super::reply::{Reply, response};

const TEXT: &str = "text/plain; charset=utf-8";

/// How far the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Not all ports are bound.
    Starting,
    /// Takes spans.
    Ready,
    /// Takes nothing new.
    Stopping,
}

/// Answers operators.
#[derive(Debug)]
pub(crate) struct Admin {
    phase: AtomicU8,
    metrics: Arc<Metrics>,
    budget: Arc<Budget>,
}

impl Admin {
    pub(crate) fn new(metrics: Arc<Metrics>, budget: Arc<Budget>) -> Self {
        Self { phase: AtomicU8::new(Phase::Starting as u8), metrics, budget }
    }

    /// From now on it is in this phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Answers a request, whose body nobody reads.
    pub(crate) fn answer(&self, head: &Head) -> Response<Reply> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is taken here\n");
        }
        let ready = self.phase.load(Ordering::Relaxed) == Phase::Ready as u8;
        match head.uri.path() {
            "/healthz" => text(StatusCode::OK, "alive\n"),
            "/readyz" if ready => text(StatusCode::OK, "ready\n"),
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "starting or stopping\n"),
            "/metrics" => {
                self.metrics.in_flight.set(i64::try_from(self.budget.taken()).unwrap_or(i64::MAX));
                response(StatusCode::OK, metrics::MEDIA_TYPE, self.metrics.text().into())
            }
            _ => text(Refusal::Path.http(), "there are /healthz, /readyz and /metrics\n"),
        }
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Reply> {
    response(status, TEXT, Bytes::from_static(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_readiness_and_metrics() {
        let budget = Budget::new(1000);
        let admin = Admin::new(Arc::new(Metrics::new()), Arc::clone(&budget));
        let ask = |method: &str, path: &str| {
            let request = http::Request::builder().method(method).uri(path).body(()).expect("a request");
            admin.answer(&request.into_parts().0).status().as_u16()
        };
        assert_eq!((ask("GET", "/healthz"), ask("GET", "/readyz")), (200, 503));
        admin.enter(Phase::Ready);
        assert_eq!((ask("HEAD", "/readyz"), ask("GET", "/metrics"), ask("GET", "/")), (200, 200, 404));
        assert_eq!(ask("POST", "/readyz"), 405);
        let _taken = budget.take(70);
        ask("GET", "/metrics");
        assert_eq!(admin.metrics.in_flight.get(), 70);
        admin.enter(Phase::Stopping);
        assert_eq!((ask("GET", "/healthz"), ask("GET", "/readyz")), (200, 503));
    }
}

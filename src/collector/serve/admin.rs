//! What operators ask: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bytes::Bytes;
use http::request::Parts as Head;
use http::{Method, Response, StatusCode};

use super::health::Unready;
use super::metrics::{self, Metrics};
use super::refusal::Refusal;
use super::reply::{Reply, response};
use crate::output::health::HealthShape;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

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
}

impl Admin {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { phase: AtomicU8::new(Phase::Starting as u8), metrics }
    }

    /// From now on it is in this phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Answers a request, whose body nobody reads. `unready`: what whoever keeps spans says of itself.
    pub(crate) fn answer(&self, head: &Head, unready: impl FnOnce() -> Vec<Unready>) -> Response<Reply> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is taken here\n");
        }
        match head.uri.path() {
            // Whoever asks this starts it anew if it is not well, which makes no room on a disk.
            "/healthz" => {
                let lost = unready().into_iter().filter(|unready| *unready == Unready::ThreadLost);
                health(["alive", "broken"], lost.map(Unready::as_str).collect())
            }
            "/readyz" => {
                let all = self.phase().into_iter().chain(unready());
                let mut reasons: Vec<_> = all.map(Unready::as_str).collect();
                reasons.dedup();
                health(["ready", "not_ready"], reasons)
            }
            "/metrics" => response(StatusCode::OK, metrics::MEDIA_TYPE, self.metrics.text().into()),
            _ => text(Refusal::Path.http(), "there are /healthz, /readyz and /metrics\n"),
        }
    }

    fn phase(&self) -> Option<Unready> {
        match self.phase.load(Ordering::Relaxed) {
            phase if phase == Phase::Ready as u8 => None,
            phase if phase == Phase::Starting as u8 => Some(Unready::Starting),
            _ => Some(Unready::Stopping),
        }
    }
}

/// Says the first word where there is no reason against it, else the second.
fn health([well, not]: [&'static str; 2], reasons: Vec<&'static str>) -> Response<Reply> {
    let (code, status) = match reasons.is_empty() {
        true => (StatusCode::OK, well),
        false => (StatusCode::SERVICE_UNAVAILABLE, not),
    };
    // There is nothing in it that JSON cannot say.
    let body = serde_json::to_vec(&HealthShape { status, reasons }).unwrap_or_default();
    response(code, JSON, body.into())
}

fn text(status: StatusCode, text: &'static str) -> Response<Reply> {
    response(status, TEXT, Bytes::from_static(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_readiness_and_metrics() {
        let admin = Admin::new(Arc::new(Metrics::new()));
        let ask = |method: &str, path: &str| {
            let request = http::Request::builder().method(method).uri(path).body(()).expect("a request");
            admin.answer(&request.into_parts().0, Vec::new).status().as_u16()
        };
        assert_eq!((ask("GET", "/healthz"), ask("GET", "/readyz")), (200, 503));
        admin.enter(Phase::Ready);
        assert_eq!((ask("HEAD", "/readyz"), ask("GET", "/metrics"), ask("GET", "/")), (200, 200, 404));
        assert_eq!(ask("POST", "/readyz"), 405);
        admin.enter(Phase::Stopping);
        assert_eq!((ask("GET", "/healthz"), ask("GET", "/readyz")), (200, 503));
    }
}

//! A host that no rule names, and a subject that no producer is allowed: what reaches them is kept.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use http::HeaderMap;

/// How it is called.
pub(crate) const HOST: &str = "stranger.example";

#[derive(Debug, Clone, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<String>>>);

impl Sink {
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let sink = Self::default();
        let keep = async |State(sink): State<Self>, headers: HeaderMap| sink.keep(format!("{headers:?}"));
        let app = Router::new().fallback(keep).with_state(sink.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (sink, at)
    }

    pub(crate) fn keep(&self, headers: String) {
        self.0.lock().unwrap().push(headers);
    }

    /// What reached it since it was asked last.
    pub(crate) fn reached(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

//! The layer for clients.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use http::{Request, Response};
use opentelemetry::trace::{FutureExt as _, SpanKind};
use tower_service::Service;

use super::destination::Destination;
use super::rule::EgressRules;
use super::sender::{Sender, settings};
use crate::tower::span;

/// What an error of a client is, here as in `tower`.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Sends the identity of the context along with requests where a rule says so, and keeps it in everywhere else: see the
/// [module](super).
///
/// Its error is that of the client, or a [`NotObtained`](super::NotObtained).
#[derive(Debug, Clone)]
pub struct EgressLayer {
    sender: Arc<Sender>,
    toward: Option<Destination>,
}

impl EgressLayer {
    /// A layer of the workload of that SPIFFE ID or `service.name`.
    #[must_use]
    pub fn new(rules: EgressRules, workload: impl Into<String>) -> Self {
        Self { sender: Arc::new(Sender::new(rules, workload.into())), toward: None }
    }

    /// For a client that is connected to one place and does not say so in its requests, such as a channel of `tonic`: they all go there,
    /// whatever they say.
    #[must_use]
    pub fn toward(self, destination: Destination) -> Self {
        Self { toward: Some(destination), ..self }
    }

    settings!();
}

impl<S> tower_layer::Layer<S> for EgressLayer {
    type Service = EgressService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        EgressService { inner, layer: self.clone() }
    }
}

/// A client whose requests carry what they may: see [`EgressLayer`].
#[derive(Debug, Clone)]
pub struct EgressService<S> {
    inner: S,
    layer: EgressLayer,
}

impl<S> EgressService<S> {
    /// The client within.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The client within.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The client within.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for EgressService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(task).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that was made ready is the one that is called.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let EgressLayer { sender, toward } = self.layer.clone();
        let there = toward.or_else(|| Destination::of(request.uri()));
        let current = crate::otel::current();
        let exit = sender.spans.as_ref().map(|spans| {
            let to = there.as_ref().map(|there| (there.host.as_str(), there.port));
            let span = span::exit(request.method(), request.uri(), request.headers(), to);
            spans.start(span, &current, &current)
        });
        Box::pin(async move {
            let cx = exit.as_ref().unwrap_or(&current);
            sender.prepare(cx, there.as_ref(), request.headers_mut()).await?;
            let call = async move { inner.call(request).await };
            let result = match &exit {
                Some(exit) => call.with_context(exit.clone()).await,
                None => call.await,
            };
            if let (Some(exit), Ok(response)) = (&exit, &result) {
                span::end(exit, &SpanKind::Client, response.status(), response.headers());
            }
            result.map_err(Into::into)
        })
    }
}

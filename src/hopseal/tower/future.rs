//! The answer of the layer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use http::{HeaderValue, Response};
use opentelemetry::Context;
use opentelemetry::trace::SpanKind;

use super::{answer, span};
use crate::otel::WithIdentity;

pin_project_lite::pin_project! {
    /// A request that was let in, or not.
    #[project = BegunProjection]
    pub(super) enum Begun<F, R> {
        Turned { answer: Option<Response<R>> },
        Served {
            #[pin]
            call: WithIdentity<F>,
            // The entry span, if it is ours to end.
            ours: Option<Context>,
            // For the next proof.
            nonce: Option<HeaderValue>,
        },
    }
}

impl<F, R, E> Future for Begun<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        match self.project() {
            BegunProjection::Turned { answer } => match answer.take() {
                Some(answer) => Poll::Ready(Ok(answer)),
                // Polled after it was ready.
                None => Poll::Pending,
            },
            BegunProjection::Served { call, ours, nonce } => {
                let mut result = std::task::ready!(call.poll(task));
                if let (Some(nonce), Ok(response)) = (nonce.take(), &mut result) {
                    response.headers_mut().insert(answer::NONCE, nonce);
                }
                if let (Some(entry), Ok(response)) = (ours, &result) {
                    span::end(entry, &SpanKind::Server, response.status(), response.headers());
                }
                Poll::Ready(result)
            }
        }
    }
}

/// A credential is being judged; then as without one.
pub(super) type Judging<R, E> = Pin<Box<dyn Future<Output = Result<Response<R>, E>> + Send>>;

pin_project_lite::pin_project! {
    /// The answer to a request: see [`IdentityLayer`](super::IdentityLayer).
    pub struct Identified<F, R, E> {
        #[pin]
        state: State<F, R, E>,
    }
}

pin_project_lite::pin_project! {
    #[project = StateProjection]
    enum State<F, R, E> {
        Begun { #[pin] begun: Begun<F, R> },
        Judging { judging: Judging<R, E> },
    }
}

impl<F, R, E> Identified<F, R, E> {
    pub(super) const fn begun(begun: Begun<F, R>) -> Self {
        Self { state: State::Begun { begun } }
    }

    pub(super) fn judging(judging: Judging<R, E>) -> Self {
        Self { state: State::Judging { judging } }
    }
}

impl<F, R, E> Future for Identified<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        match self.project().state.project() {
            StateProjection::Begun { begun } => begun.poll(task),
            StateProjection::Judging { judging } => judging.as_mut().poll(task),
        }
    }
}

//! The service of the layer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use hopseal_identity::Assurance;
use http::{Request, Response};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tower_service::Service;

use super::answer::{Manner, Turned};
use super::request::{Headers, presented};
use super::{Mode, Presented, Shared, Validate, span};
use crate::otel::{Before, HopIdentity, Propagator, WithIdentity, stamp, with_identity, within};
use crate::outcome::{Refused, Validated};
use crate::secret::Scheme;

/// A service whose requests have an identity: see [`IdentityLayer`](super::IdentityLayer).
#[derive(Debug)]
pub struct IdentityService<S, V> {
    inner: S,
    shared: Arc<Shared<V>>,
    propagator: Arc<Propagator>,
}

impl<S: Clone, V> Clone for IdentityService<S, V> {
    fn clone(&self) -> Self {
        let (shared, propagator) = (Arc::clone(&self.shared), Arc::clone(&self.propagator));
        Self { inner: self.inner.clone(), shared, propagator }
    }
}

impl<S, V> IdentityService<S, V> {
    pub(super) fn new(inner: S, shared: Arc<Shared<V>>, propagator: Propagator) -> Self {
        Self { inner, shared, propagator: Arc::new(propagator) }
    }

    /// The service within.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service within.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service within.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<V: Validate> Shared<V> {
    /// Who calls, or who is turned away for what.
    async fn find_out(
        &self,
        presented: Result<Option<Presented>, Refused>,
        arrived: Option<HopIdentity>,
    ) -> Result<HopIdentity, (HopIdentity, Turned)> {
        let refused = match presented {
            Err(refused) => refused,
            Ok(None) => {
                let identity = arrived.unwrap_or_else(HopIdentity::anonymous);
                return match identity.assurance() {
                    Assurance::Sealed => Ok(identity),
                    _ if self.mode != Mode::Require => Ok(identity),
                    _ => Err((identity, Turned::NoCredential)),
                };
            }
            Ok(Some(presented)) => match self.validator.validate(&presented, self.clock.now()).await {
                Err(undecided) => return Err((HopIdentity::unknown(), Turned::Undecided(undecided))),
                Ok(Validated::Refused(refused)) => refused,
                Ok(Validated::Verified(verified)) => {
                    let kept = self.keeps_token && verified.evidence().confirmation.is_none();
                    let sealer = Arc::clone(&self.sealer);
                    return match HopIdentity::verified(verified, sealer, arrived.as_ref()) {
                        None => Err((HopIdentity::unknown(), Turned::Broken)),
                        Some(found) if kept => Ok(found.with_token(Arc::new(presented.token))),
                        Some(found) => Ok(found),
                    };
                }
            },
        };
        let identity = HopIdentity::refused(&refused);
        Err((identity, Turned::Refused(refused)))
    }

    /// The context of a request, without the identity that came with it; the trace it came from, where that is not continued.
    fn came(&self, headers: &Headers<'_>) -> (Context, Option<SpanContext>) {
        let cx = match &self.traces {
            None => TraceContextPropagator::new().extract_with_context(&Context::new(), headers),
            Some(traces) => traces.extract_with_context(&Context::new(), headers),
        };
        match self.edge {
            None => (cx, None),
            Some(_) => {
                let before = cx.span().span_context().clone();
                (Context::new(), Some(before).filter(SpanContext::is_valid))
            }
        }
    }
}

impl<S, V, B, R> Service<Request<B>> for IdentityService<S, V>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    V: Validate,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that was made ready is the one that is called.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let shared = Arc::clone(&self.shared);
        let current = Context::current();
        let headers = Headers(request.headers());
        let (trace, before) = shared.came(&headers);
        let mut cx = self.propagator.extract_with_context(&trace, &headers);
        if shared.edge.is_none() {
            for further in &shared.also {
                cx = further.extract_with_context(&cx, &headers);
            }
        }
        let presented = presented(&request, shared.origin.as_deref());
        let scheme =
            presented.as_ref().ok().and_then(Option::as_ref).map_or(Scheme::Bearer, Presented::scheme);
        // A span that somebody made for this request before us stays its entry span.
        let around = current.span().span_context().is_valid();
        let entry = match (&shared.spans, around) {
            (_, true) => {
                if let Some(before) = before.clone() {
                    current.span().add_link(before, Vec::new());
                }
                Some(current)
            }
            (None, false) => None,
            (Some(spans), false) => {
                let route = shared.route.and_then(|route| route(request.extensions()));
                let (method, uri) = (request.method(), request.uri());
                let span = span::entry(method, uri, request.headers(), route, before.as_ref());
                // Without the identity that came: it is told once it is known which one counts.
                Some(spans.start(span, &trace, &cx))
            }
        };
        let ours = entry.is_some() && !around;
        Box::pin(async move {
            let arrived = cx.get::<HopIdentity>().cloned();
            let found = shared.find_out(presented, arrived).await;
            let (identity, turned) = match found {
                Ok(identity) => (identity, None),
                Err((identity, turned)) => (identity, Some(turned).filter(|_| shared.mode != Mode::Observe)),
            };
            let identity = if shared.mode == Mode::Observe { identity.observed() } else { identity };
            if let Some(entry) = &entry {
                stamp(entry, &identity, shared.clock.now(), &shared.workload);
            }
            let result = match turned {
                Some(turned) => {
                    let manner = Manner::of(request.headers(), shared.realm.as_deref(), scheme);
                    Ok(turned.answer(manner))
                }
                None => {
                    request.extensions_mut().insert(identity.clone());
                    let call = async move { inner.call(request).await };
                    let call: WithIdentity<_> = match (&entry, before) {
                        (Some(_), _) if around => with_identity(identity, call),
                        (Some(entry), _) => within(entry.with_value(identity.clone()), identity, call),
                        (None, Some(before)) => {
                            let cx = cx.with_value(identity.clone()).with_value(Before(before));
                            within(cx, identity, call)
                        }
                        (None, None) => within(cx.with_value(identity.clone()), identity, call),
                    };
                    call.await
                }
            };
            if let (true, Some(entry), Ok(response)) = (ours, &entry, &result) {
                span::end(entry, &SpanKind::Server, response.status(), response.headers());
            }
            result
        })
    }
}

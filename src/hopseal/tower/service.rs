//! The service of the layer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use hopseal_identity::Assurance;
use http::header::{CONTENT_LENGTH, HeaderValue, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tower_service::Service;

use super::request::{Headers, token};
use super::{Mode, Shared, Validate};
use crate::challenge::Challenge;
use crate::otel::{HopIdentity, Propagator, WithIdentity, stamp, with_identity, within};
use crate::outcome::{Refused, Undecided, Validated};
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
        token: Result<Option<crate::Token>, Refused>,
        arrived: Option<HopIdentity>,
    ) -> Result<HopIdentity, (HopIdentity, Turned)> {
        let refused = match token {
            Err(refused) => refused,
            Ok(None) => {
                let identity = arrived.unwrap_or_else(HopIdentity::anonymous);
                return match identity.assurance() {
                    Assurance::Sealed => Ok(identity),
                    _ if self.mode != Mode::Require => Ok(identity),
                    _ => Err((identity, Turned::NoCredential)),
                };
            }
            Ok(Some(token)) => match self.validator.validate(token, self.clock.now()).await {
                Err(undecided) => return Err((HopIdentity::unknown(), Turned::Undecided(undecided))),
                Ok(Validated::Refused(refused)) => refused,
                Ok(Validated::Verified(verified)) => {
                    let sealer = Arc::clone(&self.sealer);
                    let found = HopIdentity::verified(verified, sealer, arrived.as_ref());
                    return found.ok_or((HopIdentity::unknown(), Turned::Broken));
                }
            },
        };
        let identity = HopIdentity::refused(&refused);
        Err((identity, Turned::Refused(refused)))
    }

    /// The answer, with what is not for clients in its extensions, for those who keep logs.
    fn answer<B: Default>(&self, turned: Turned) -> Response<B> {
        let mut challenge = Challenge::new(Scheme::Bearer);
        if let Some(realm) = &self.realm {
            challenge = challenge.realm(realm);
        }
        let challenge = match &turned {
            Turned::Undecided(_) | Turned::Broken => None,
            Turned::NoCredential => Some(challenge),
            Turned::Refused(refused) => Some(challenge.refused(refused.reason())),
        };
        let mut response = Response::new(B::default());
        let status =
            challenge.as_ref().map(Challenge::status).and_then(|status| StatusCode::from_u16(status).ok());
        *response.status_mut() = status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let value = challenge.and_then(|challenge| HeaderValue::from_str(&challenge.to_string()).ok());
        if let Some(value) = value {
            response.headers_mut().insert(WWW_AUTHENTICATE, value);
        }
        match turned {
            Turned::Refused(refused) => drop(response.extensions_mut().insert(refused)),
            Turned::Undecided(undecided) => drop(response.extensions_mut().insert(undecided)),
            Turned::NoCredential | Turned::Broken => {}
        }
        response
    }
}

/// Why a request is turned away.
enum Turned {
    NoCredential,
    Refused(Refused),
    Undecided(Undecided),
    /// The system has no randomness.
    Broken,
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
        let cx = match shared.edge {
            None => TraceContextPropagator::new().extract_with_context(&Context::new(), &headers),
            Some(_) => Context::new(),
        };
        let cx = self.propagator.extract_with_context(&cx, &headers);
        let token = token(request.headers());
        Box::pin(async move {
            let arrived = cx.get::<HopIdentity>().cloned();
            let found = shared.find_out(token, arrived).await;
            let (identity, turned) = match found {
                Ok(identity) => (identity, None),
                Err((identity, turned)) => (identity, Some(turned).filter(|_| shared.mode != Mode::Observe)),
            };
            let identity = if shared.mode == Mode::Observe { identity.observed() } else { identity };
            // A span that somebody made for this request before us stays its entry span.
            let traced = current.span().span_context().is_valid();
            if traced {
                stamp(&current, &identity, shared.clock.now(), &shared.workload);
            }
            if let Some(turned) = turned {
                return Ok(shared.answer(turned));
            }
            request.extensions_mut().insert(identity.clone());
            let call = async move { inner.call(request).await };
            let call: WithIdentity<_> = match traced {
                true => with_identity(identity, call),
                false => within(cx.with_value(identity.clone()), identity, call),
            };
            call.await
        })
    }
}

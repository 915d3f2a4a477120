//! A guard for routes: scopes that the caller must have.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

#[cfg(any(feature = "axum", feature = "tonic"))]
use hopseal_identity::Assurance;
use http::{Request, Response};
use tower_service::Service;

use super::answer::{Manner, Turned};
use crate::otel::HopIdentity;
use crate::outcome::{Refused, Verified};
use crate::secret::Scheme;

/// Lets requests through whose credential was validated here and has all of these OAuth scopes; answers others with 401, or with 403
/// and `insufficient_scope` (RFC 6750 section 3.1), and gRPC with `UNAUTHENTICATED` or `PERMISSION_DENIED`.
///
/// It stands within an [`IdentityLayer`](super::IdentityLayer), and turns away also where that only [observes]. An identity that
/// came sealed has no scopes: whoever sealed it vouches for who it is, not for what it may do.
///
/// ```
/// use hopseal::tower::RequireScopes;
/// let guard = RequireScopes::new(["orders:write"]);
/// # drop(guard);
/// ```
///
/// [observes]: super::IdentityLayer::observe
#[derive(Debug, Clone)]
pub struct RequireScopes {
    scopes: Arc<[String]>,
    realm: Option<Arc<str>>,
}

impl RequireScopes {
    /// All of these.
    #[must_use]
    pub fn new(scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { scopes: scopes.into_iter().map(Into::into).collect(), realm: None }
    }

    /// Names what is protected, to those who are turned away.
    #[must_use]
    pub fn realm(mut self, realm: &str) -> Self {
        self.realm = Some(realm.into());
        self
    }
}

/// The credential that was validated here, if it has all of these scopes.
pub(crate) fn with_scopes(
    identity: Option<&HopIdentity>,
    scopes: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<&Arc<Verified>, Turned> {
    let verified = match identity {
        None => return Err(Turned::NoCredential),
        Some(identity) => match (identity.verified_here(), identity.refusal()) {
            (Some(verified), _) => verified,
            (None, Some(reason)) => return Err(Turned::Refused(Refused::new(reason, "refused before"))),
            (None, None) => return Err(Turned::NoCredential),
        },
    };
    let had = &verified.principal().scopes;
    let (mut wanted, mut lacks) = (String::new(), false);
    for scope in scopes {
        lacks |= !had.iter().any(|had| had == scope.as_ref());
        wanted.push_str(if wanted.is_empty() { "" } else { " " });
        wanted.push_str(scope.as_ref());
    }
    if lacks { Err(Turned::Scope(wanted)) } else { Ok(verified) }
}

/// Whoever it is, proven: by a credential that was validated here, or by a valid seal on what came.
#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) fn proven(identity: Option<&HopIdentity>) -> Result<&HopIdentity, Turned> {
    const NONE: [&str; 0] = [];
    match identity {
        Some(identity) if identity.assurance() == Assurance::Sealed => Ok(identity),
        _ => with_scopes(identity, NONE).and_then(|_| identity.ok_or(Turned::NoCredential)),
    }
}

impl<S> tower_layer::Layer<S> for RequireScopes {
    type Service = RequireScopesService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequireScopesService { inner, guard: self.clone() }
    }
}

/// A service behind a guard: see [`RequireScopes`].
#[derive(Debug, Clone)]
pub struct RequireScopesService<S> {
    inner: S,
    guard: RequireScopes,
}

impl<S> RequireScopesService<S> {
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

pin_project_lite::pin_project! {
    /// What a guard answers, or the service behind it.
    pub struct Guarded<F, R> {
        #[pin]
        inner: Option<F>,
        answer: Option<Response<R>>,
    }
}

impl<F, R, E> Future for Guarded<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        match (this.inner.as_pin_mut(), this.answer.take()) {
            (Some(inner), _) => inner.poll(task),
            (None, Some(answer)) => Poll::Ready(Ok(answer)),
            // Polled after it was ready.
            (None, None) => Poll::Pending,
        }
    }
}

impl<S, B, R> Service<Request<B>> for RequireScopesService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Guarded<S::Future, R>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let identity = request.extensions().get::<HopIdentity>();
        match with_scopes(identity, self.guard.scopes.iter()) {
            Ok(_) => Guarded { inner: Some(self.inner.call(request)), answer: None },
            Err(turned) => {
                let manner = Manner::of(request.headers(), self.guard.realm.as_deref(), Scheme::Bearer);
                Guarded { inner: None, answer: Some(turned.answer(manner)) }
            }
        }
    }
}

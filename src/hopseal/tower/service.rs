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
use crate::otel::{self, Before, HopIdentity, Propagator, WithIdentity, begun_within, stamp};
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

/// A request on its way in, before its credential is judged.
struct Arrival {
    /// The context that came with it, and nothing of this process.
    cx: Context,
    /// The trace that it came from, where that is not continued.
    before: Option<SpanContext>,
    entry: Option<Entry>,
    scheme: Scheme,
    /// There is nothing at all in `cx`.
    bare: bool,
}

/// The entry span, in its context.
enum Entry {
    /// Somebody made it before us, and ends it.
    Around(Context),
    Ours(Context),
}

impl Entry {
    const fn cx(&self) -> &Context {
        match self {
            Self::Around(cx) | Self::Ours(cx) => cx,
        }
    }
}

/// Who calls; and with what answer that one is turned away, if so.
type Found = (HopIdentity, Option<Turned>);

impl<V: Validate> Shared<V> {
    /// Who calls, when a credential came or what should have been one.
    async fn judge(&self, presented: Result<Presented, Refused>, arrived: Option<HopIdentity>) -> Found {
        let refused = match presented {
            Err(refused) => refused,
            Ok(presented) => match self.validator.validate(&presented, self.clock.now()).await {
                Err(undecided) => return (HopIdentity::unknown(), Some(Turned::Undecided(undecided))),
                Ok(Validated::Refused(refused)) => refused,
                Ok(Validated::Verified(verified)) => {
                    let kept = self.keeps_token && verified.evidence().confirmation.is_none();
                    let sealer = Arc::clone(&self.sealer);
                    return match HopIdentity::verified(verified, sealer, arrived.as_ref()) {
                        None => (HopIdentity::unknown(), Some(Turned::Broken)),
                        Some(found) if kept => (found.with_token(Arc::new(presented.token)), None),
                        Some(found) => (found, None),
                    };
                }
            },
        };
        (HopIdentity::refused(&refused), Some(Turned::Refused(refused)))
    }
}

impl<V> Shared<V> {
    /// Who calls without a credential.
    fn uncredentialed(&self, arrived: Option<HopIdentity>) -> Found {
        let identity = arrived.unwrap_or_else(HopIdentity::anonymous);
        let turned = self.mode == Mode::Require && identity.assurance() != Assurance::Sealed;
        (identity, turned.then_some(Turned::NoCredential))
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

    fn arrival<B>(&self, propagator: &Propagator, request: &Request<B>, scheme: Scheme) -> Arrival {
        let current = Context::current();
        let headers = Headers(request.headers());
        let (trace, before) = self.came(&headers);
        let mut cx = propagator.extract_with_context(&trace, &headers);
        if self.edge.is_none() {
            for further in &self.also {
                cx = further.extract_with_context(&cx, &headers);
            }
        }
        let bare = self.traces.is_none()
            && self.also.is_empty()
            && !cx.has_active_span()
            && !request.headers().contains_key("baggage");
        // A span that somebody made for this request before us stays its entry span.
        let around = current.span().span_context().is_valid();
        let entry = match (&self.spans, around) {
            (_, true) => {
                if let Some(before) = before.clone() {
                    current.span().add_link(before, Vec::new());
                }
                Some(Entry::Around(current))
            }
            (None, false) => None,
            (Some(spans), false) => {
                let route = self.route.and_then(|route| route(request.extensions()));
                let (method, uri) = (request.method(), request.uri());
                let span = span::entry(method, uri, request.headers(), route, before.as_ref());
                // Without the identity that came: it is told once it is known which one counts.
                Some(Entry::Ours(spans.start(span, &trace, &cx)))
            }
        };
        Arrival { cx, before, entry, scheme, bare }
    }

    /// Turns a request away, or begins to have it served.
    fn begin<S, B, R>(
        &self,
        inner: &mut S,
        mut request: Request<B>,
        arrival: Arrival,
        found: Found,
    ) -> Begun<S::Future, R>
    where
        S: Service<Request<B>, Response = Response<R>>,
        R: Default,
    {
        let (identity, turned) = found;
        let observes = self.mode == Mode::Observe;
        let identity = if observes { identity.observed() } else { identity };
        let Arrival { cx, before, entry, scheme, bare } = arrival;
        if let Some(entry) = &entry {
            stamp(entry.cx(), &identity, self.clock.now(), &self.workload);
        }
        if let Some(turned) = turned.filter(|_| !observes) {
            let manner = Manner::of(request.headers(), self.realm.as_deref(), scheme);
            let answer = turned.answer(manner);
            if let Some(Entry::Ours(entry)) = &entry {
                span::end(entry, &SpanKind::Server, answer.status(), answer.headers());
            }
            return Begun::Turned { answer: Some(answer) };
        }
        let nobody = identity.assurance() == Assurance::Anonymous && !observes;
        if nobody {
            // What an earlier layer found out does not count any more.
            request.extensions_mut().remove::<HopIdentity>();
        } else {
            request.extensions_mut().insert(identity.clone());
        }
        let (within, ours) = match (entry, before) {
            (Some(Entry::Around(_)), _) => (None, None),
            (Some(Entry::Ours(entry)), _) => (Some(entry.with_value(identity.clone())), Some(entry)),
            (None, Some(before)) => (Some(cx.with_value(identity.clone()).with_value(Before(before))), None),
            (None, None) if bare && nobody => (Some(otel::nobody()), None),
            (None, None) => (Some(cx.with_value(identity.clone())), None),
        };
        let call = begun_within(within, identity, || inner.call(request));
        Begun::Served { call, ours }
    }
}

pin_project_lite::pin_project! {
    /// A request that was let in, or not.
    #[project = BegunProjection]
    enum Begun<F, R> {
        Turned { answer: Option<Response<R>> },
        Served {
            #[pin]
            call: WithIdentity<F>,
            // The entry span, if it is ours to end.
            ours: Option<Context>,
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
            BegunProjection::Served { call, ours } => {
                let result = std::task::ready!(call.poll(task));
                if let (Some(entry), Ok(response)) = (ours, &result) {
                    span::end(entry, &SpanKind::Server, response.status(), response.headers());
                }
                Poll::Ready(result)
            }
        }
    }
}

/// A credential is being judged; then as without one.
type Judging<R, E> = Pin<Box<dyn Future<Output = Result<Response<R>, E>> + Send>>;

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

impl<S, V, B, R> Service<Request<B>> for IdentityService<S, V>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    V: Validate,
    B: Send + 'static,
    R: Default + Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Identified<S::Future, R, S::Error>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let presented = match presented(&request, self.shared.origin.as_deref()) {
            Ok(None) => {
                let arrival = self.shared.arrival(&self.propagator, &request, Scheme::Bearer);
                let found = self.shared.uncredentialed(arrival.cx.get::<HopIdentity>().cloned());
                let begun = self.shared.begin(&mut self.inner, request, arrival, found);
                return Identified { state: State::Begun { begun } };
            }
            Ok(Some(presented)) => Ok(presented),
            Err(refused) => Err(refused),
        };
        let scheme = presented.as_ref().map_or(Scheme::Bearer, Presented::scheme);
        let arrival = self.shared.arrival(&self.propagator, &request, scheme);
        // The one that was made ready is the one that is called.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let shared = Arc::clone(&self.shared);
        let judging = Box::pin(async move {
            let found = shared.judge(presented, arrival.cx.get::<HopIdentity>().cloned()).await;
            shared.begin(&mut inner, request, arrival, found).await
        });
        Identified { state: State::Judging { judging } }
    }
}

//! The service of the layer.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use hopseal_identity::Assurance;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _, TraceId};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tower_service::Service;

use super::answer::{Manner, Proofs, Turned};
use super::future::{Begun, Identified};
#[cfg(feature = "jwt")]
use super::peer::ForwardedClaims;
use super::peer::{self, Company};
use super::request::{Headers, presented};
use super::{Mode, Presented, Shared, Validate, span};
use crate::otel::{self, Before, HopIdentity, Propagator, begun_within, stamp};
use crate::outcome::{Refused, Validated, Verified};
use crate::secret::Scheme;

/// In which Envoy says whose certificates were seen.
const CLIENT_CERTIFICATE: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

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
    company: Company,
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
                    let (found, turned) = self.verified(verified, arrived.as_ref());
                    return match kept && turned.is_none() {
                        true => (found.with_token(Arc::new(presented.token)), None),
                        false => (found, turned),
                    };
                }
            },
        };
        (HopIdentity::refused(&refused), Some(Turned::Refused(refused)))
    }
}

impl<V: Validate> Shared<V> {
    /// Who calls without a credential: whoever a proxy says, or what came sealed, or the workload, or nobody.
    fn uncredentialed(&self, headers: &HeaderMap, company: &Company, arrived: Option<HopIdentity>) -> Found {
        #[cfg(feature = "jwt")]
        if let Some(found) = self.forwarded(headers, company, arrived.as_ref()) {
            return found;
        }
        #[cfg(not(feature = "jwt"))]
        let _ = headers;
        let sealed = arrived.as_ref().is_some_and(|it| it.assurance() == Assurance::Sealed);
        let takes_workloads = self.workloads && self.sealer.is_some();
        if let Some(caller) = company.caller.as_ref().filter(|_| takes_workloads && !sealed) {
            return self.verified(Arc::clone(caller), arrived.as_ref());
        }
        let identity = arrived.unwrap_or_else(HopIdentity::anonymous);
        let turned = self.mode == Mode::Require && !sealed;
        (identity, turned.then_some(Turned::NoCredential))
    }

    /// Whoever a proxy says that a token was of.
    #[cfg(feature = "jwt")]
    fn forwarded(
        &self,
        headers: &HeaderMap,
        company: &Company,
        arrived: Option<&HopIdentity>,
    ) -> Option<Found> {
        let name = self.proxies.claims.as_ref()?;
        let header = peer::joined(headers, name)?;
        match self.validator.forwarded_claims(company.direct.as_deref(), &header)? {
            ForwardedClaims::Verified(verified) => Some(self.verified(verified, arrived)),
            ForwardedClaims::Refused(refused) => {
                Some((HopIdentity::refused(&refused), Some(Turned::Refused(refused))))
            }
            // What came in baggage is no worse, and of strangers neither is taken.
            ForwardedClaims::Asserted { .. }
                if arrived.is_some() || self.edge.is_some() || self.mode == Mode::Require =>
            {
                None
            }
            ForwardedClaims::Asserted { principal, issuer } => {
                Some((HopIdentity::said_of(&principal, &issuer, self.sealer.as_ref()?.pseudonyms())?, None))
            }
        }
    }

    fn verified(&self, verified: Arc<Verified>, arrived: Option<&HopIdentity>) -> Found {
        match self.sealer.clone().and_then(|sealer| HopIdentity::verified(verified, sealer, arrived)) {
            None => (HopIdentity::unknown(), Some(Turned::Broken)),
            Some(found) => (found, None),
        }
    }

    /// Who stands behind a request.
    fn company<B>(&self, request: &Request<B>) -> Company {
        let mut company = Company::of(request.extensions(), self.clock.now());
        if self.proxies.certificates
            && let Some(header) = peer::joined(request.headers(), &CLIENT_CERTIFICATE)
            && let Some(seen) = self.validator.forwarded_certificate(company.direct.as_deref(), &header)
        {
            company.caller = Some(seen);
        }
        company
    }

    /// The nonce for the next proof, where one came or is to come.
    fn nonce(&self, scheme: Scheme) -> Option<HeaderValue> {
        self.origin.as_ref().filter(|_| scheme == Scheme::Dpop)?;
        HeaderValue::try_from(self.validator.proof_nonce(self.clock.now())?).ok()
    }
}

impl<V: Validate> Shared<V> {
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

    fn arrival<B>(
        &self,
        propagator: &Propagator,
        request: &Request<B>,
        scheme: Scheme,
        company: Company,
    ) -> Arrival {
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
        // A span that somebody made for this request before us stays its entry span. One that is of another trace than the request does
        // not know of that: ours goes on with it, and is linked to the other.
        let (around, came) = (trace_of(&current), trace_of(&trace));
        let is_apart = matches!((around, came), (Some(around), Some(came)) if around != came);
        let entry = match &self.spans {
            Some(spans) if around.is_none() || is_apart => {
                let apart = is_apart.then(|| current.span().span_context().clone());
                let route = self.route.and_then(|route| route(request.extensions()));
                let (method, uri) = (request.method(), request.uri());
                let span =
                    span::entry(method, uri, request.headers(), route, before.as_ref().or(apart.as_ref()));
                // Without the identity that came: it is told once it is known which one counts.
                Some(Entry::Ours(spans.start(span, &trace, &cx)))
            }
            _ if around.is_some() => {
                if let Some(before) = before.clone() {
                    current.span().add_link(before, Vec::new());
                }
                Some(Entry::Around(current))
            }
            _ => None,
        };
        Arrival { cx, before, entry, scheme, company, bare }
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
        let Arrival { cx, before, entry, scheme, company, bare } = arrival;
        let identity = match company.caller {
            None => identity,
            Some(caller) => identity.with_peer(caller),
        };
        let nonce = self.nonce(scheme);
        if let Some(entry) = &entry {
            stamp(entry.cx(), &identity, self.clock.now(), &self.workload, self.attributes.as_ref());
        }
        if let Some(turned) = turned.filter(|_| !observes) {
            let algorithms = self.origin.as_ref().map(|_| self.validator.proof_algorithms());
            let proofs = algorithms.as_ref().filter(|algorithms| !algorithms.is_empty());
            let proofs = proofs.map(|algorithms| Proofs { algorithms, nonce: nonce.as_ref() });
            let manner = Manner::of(request.headers(), self.realm.as_deref(), scheme).asking(proofs);
            let answer = turned.answer(manner);
            if let Some(Entry::Ours(entry)) = &entry {
                span::end(entry, &SpanKind::Server, answer.status(), answer.headers());
            }
            return Begun::Turned { answer: Some(answer) };
        }
        let nobody = identity.assurance() == Assurance::Anonymous && !observes && identity.peer().is_none();
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
        Begun::Served { call, ours, nonce }
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
        let company = self.shared.company(&request);
        let (origin, takes_transactions) = (self.shared.origin.as_deref(), self.shared.takes_transactions);
        let presented = match presented(&request, origin, takes_transactions) {
            Ok(None) => {
                let arrival = self.shared.arrival(&self.propagator, &request, Scheme::Bearer, company);
                let arrived = arrival.cx.get::<HopIdentity>().cloned();
                let found = self.shared.uncredentialed(request.headers(), &arrival.company, arrived);
                return Identified::begun(self.shared.begin(&mut self.inner, request, arrival, found));
            }
            Ok(Some(presented)) => Ok(Presented { certificate: company.certificate(), ..presented }),
            Err(refused) => Err(refused),
        };
        let scheme = presented.as_ref().map_or(Scheme::Bearer, Presented::scheme);
        let arrival = self.shared.arrival(&self.propagator, &request, scheme, company);
        // The one that was made ready is the one that is called.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let shared = Arc::clone(&self.shared);
        Identified::judging(Box::pin(async move {
            let found = shared.judge(presented, arrival.cx.get::<HopIdentity>().cloned()).await;
            shared.begin(&mut inner, request, arrival, found).await
        }))
    }
}

/// The trace of the span that stands in a context, if one does.
fn trace_of(cx: &Context) -> Option<TraceId> {
    let span = cx.span();
    let span = span.span_context();
    span.is_valid().then(|| span.trace_id())
}

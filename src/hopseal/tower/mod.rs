//! The server side as a `tower` layer: who calls is found out once, before the service, and is then everywhere.

mod answer;
mod future;
mod peer;
mod request;
mod scopes;
mod service;
pub(crate) mod span;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock, UnixTime};
use http::Extensions;
use opentelemetry::global::BoxedTracer;
use opentelemetry::propagation::TextMapPropagator;

use crate::Reason;
use crate::otel::{Chosen, Propagator, Spans};
use crate::outcome::{Refused, Undecided, Validated, Verified};
use crate::seal::{SealChecker, Sealer};

#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) use answer::{Manner, Turned};
pub use future::Identified;
#[cfg(feature = "jwt")]
pub use peer::ForwardedClaims;
pub use peer::Peer;
use peer::ProxyHeaders;
pub use request::Presented;
pub(crate) use request::TXN_TOKEN;
pub use scopes::{Guarded, RequireScopes, RequireScopesService};
#[cfg(any(feature = "axum", feature = "tonic"))]
pub(crate) use scopes::{proven, with_scopes};
pub use service::IdentityService;

/// Validates a credential. What makes a [`Verified`] implements it.
pub trait Validate: Send + Sync + 'static {
    /// Says whether a credential is good at that time. One that [is a transaction token](Presented::is_transaction) is to be good as
    /// such, and any other as anything else.
    ///
    /// # Errors
    /// [`Undecided`], when no answer could be found; a bad credential is an answer.
    fn validate(
        &self,
        presented: &Presented,
        now: UnixTime,
    ) -> impl Future<Output = Result<Validated, Undecided>> + Send;

    /// What the proxy on the other side of the connection says of the access token that it validated, in a header of its own. By
    /// default nothing is believed.
    #[cfg(feature = "jwt")]
    fn forwarded_claims(&self, peer: Option<&Verified>, header: &str) -> Option<ForwardedClaims> {
        let _ = (peer, header);
        None
    }

    /// The workload that the proxy on the other side of the connection saw, by `x-forwarded-client-cert`. By default nothing is
    /// believed.
    fn forwarded_certificate(&self, peer: Option<&Verified>, header: &str) -> Option<Arc<Verified>> {
        let _ = (peer, header);
        None
    }

    /// The algorithms of DPoP proofs that are accepted, for those who are asked for one (RFC 9449 section 7.1).
    fn proof_algorithms(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The nonce that the next proof must hold, if it must (RFC 9449 section 9).
    fn proof_nonce(&self, now: UnixTime) -> Option<String> {
        let _ = now;
        None
    }
}

/// By its own clock. What kind of credential it is, its form says: a PASETO, a JWT, which must be an access token, or an opaque
/// token, of the one issuer that is asked about those. What came in the header `Txn-Token` is a transaction token or no good.
#[cfg(feature = "jwt")]
impl<K: crate::keys::KeySource + 'static> Validate for Arc<crate::Validator<K>> {
    async fn validate(&self, presented: &Presented, _: UnixTime) -> Result<Validated, Undecided> {
        use crate::Credential::{AccessToken, Opaque, Paseto, TxnToken};
        let text = presented.token().expose();
        let kind = if presented.is_transaction() {
            TxnToken
        } else if text.starts_with("v4.") {
            Paseto
        } else if text.split('.').count() == 3 {
            AccessToken
        } else {
            Opaque
        };
        let mut expected = crate::Expected::from(kind);
        if let Some((proof, method, uri)) = presented.proof() {
            expected = expected.proof(proof, method, uri);
        }
        if let Some(sha256) = presented.certificate() {
            expected = expected.certificate_sha256(sha256);
        }
        crate::Validator::validate(self, presented.token(), expected).await
    }

    fn forwarded_claims(&self, peer: Option<&Verified>, header: &str) -> Option<ForwardedClaims> {
        self.claims_of_proxy(peer, header)
    }

    fn forwarded_certificate(&self, peer: Option<&Verified>, header: &str) -> Option<Arc<Verified>> {
        self.certificate_of_proxy(peer, header)
    }

    fn proof_algorithms(&self) -> Vec<&'static str> {
        self.dpop().algorithms()
    }

    /// By the clock of whoever checks it.
    fn proof_nonce(&self, _: UnixTime) -> Option<String> {
        self.dpop().settings().nonces.as_ref().map(|nonces| nonces.issue(self.now()))
    }
}

/// Takes no credential: there is no issuer that it trusts. Of an [`IdentityLayer::sealed`].
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct NoCredentials;

impl Validate for NoCredentials {
    async fn validate(&self, _: &Presented, _: UnixTime) -> Result<Validated, Undecided> {
        Ok(Refused::new(Reason::Issuer, "no credentials are taken here").into())
    }
}

/// What a request without a good identity gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// 401, also when there is nothing at all.
    Require,
    /// 401 when a credential is bad; without one it is anonymous.
    Optional,
    /// Never turned away.
    Observe,
}

/// Finds out who calls, puts it into the context and the request's extensions as a [`HopIdentity`](crate::otel::HopIdentity), and
/// turns away whom it must. That there is nobody stands in the context alone: such a request costs next to nothing.
///
/// A bad credential is answered with 401, one that could not be judged with 503; a request without any is anonymous, or acts with
/// the identity that came sealed. What is not for clients, a [`Refused`] or an [`Undecided`], is in the extensions of
/// such an answer. A service that no tokens come to has [`sealed`](Self::sealed).
///
/// ```
/// # use std::sync::Arc;
/// # use hopseal::{Undecided, UnixTime, Validated, Reason, Refused, seal::{SealChecker, Sealer}};
/// # use hopseal::tower::{IdentityLayer, Presented, Validate};
/// # struct Validator;
/// # impl Validate for Validator {
/// #     async fn validate(&self, _: &Presented, _: UnixTime) -> Result<Validated, Undecided> {
/// #         Ok(Refused::new(Reason::Issuer, "").into())
/// #     }
/// # }
/// # fn stack(validator: Validator, sealer: Arc<Sealer>, checker: Arc<SealChecker>) -> IdentityLayer<Validator> {
/// IdentityLayer::new(validator, sealer, checker, "spiffe://example.org/orders").require()
/// # }
/// ```
#[derive(Debug)]
pub struct IdentityLayer<V> {
    shared: Arc<Shared<V>>,
}

#[derive(Debug)]
struct Shared<V> {
    validator: Arc<V>,
    /// None where nothing is validated.
    sealer: Option<Arc<Sealer>>,
    checker: Arc<SealChecker>,
    workload: Arc<str>,
    clock: Arc<dyn Clock>,
    mode: Mode,
    realm: Option<String>,
    /// Members of others that are not taken from outside, where requests come from outside.
    edge: Option<Vec<String>>,
    spans: Option<Spans>,
    /// What is written of the identity, if not all.
    attributes: Option<Chosen>,
    route: Option<span::Route>,
    /// Scheme and authority of our address, as clients know it.
    origin: Option<String>,
    keeps_token: bool,
    takes_transactions: bool,
    #[cfg(feature = "confidential")]
    keys: Option<Arc<crate::confidential::ConfidentialKeys>>,
    proxies: ProxyHeaders,
    workloads: bool,
    /// What reads the trace in place of W3C's.
    traces: Option<Further>,
    also: Vec<Further>,
}

/// A propagator of somebody else's making.
type Further = Arc<dyn TextMapPropagator + Send + Sync>;

// Not derived, which would ask the same of `V`.
impl<V> Clone for Shared<V> {
    fn clone(&self) -> Self {
        Self {
            validator: Arc::clone(&self.validator),
            sealer: self.sealer.clone(),
            checker: Arc::clone(&self.checker),
            workload: Arc::clone(&self.workload),
            clock: Arc::clone(&self.clock),
            mode: self.mode,
            realm: self.realm.clone(),
            edge: self.edge.clone(),
            spans: self.spans.clone(),
            attributes: self.attributes.clone(),
            route: self.route,
            origin: self.origin.clone(),
            keeps_token: self.keeps_token,
            takes_transactions: self.takes_transactions,
            #[cfg(feature = "confidential")]
            keys: self.keys.clone(),
            proxies: self.proxies.clone(),
            workloads: self.workloads,
            traces: self.traces.clone(),
            also: self.also.clone(),
        }
    }
}

impl<V> Clone for IdentityLayer<V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl IdentityLayer<NoCredentials> {
    /// A layer of a service that is told who calls by seals alone, and needs neither registry nor issuer nor keys of its own
    /// ([`SealChecker::alone`]). A Bearer, DPoP or transaction token that comes all the same is refused, not passed over: nobody here
    /// could say whose it is.
    /// Nothing is sealed, so that [`workloads`](Self::workloads) has no effect.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use hopseal::seal::{MaySeal, SealChecker, SealRule};
    /// use hopseal::tower::IdentityLayer;
    /// # fn layer(published: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    /// let gateway = SealRule::new("gateway", "spiffe://example.org/gateway").may_seal(MaySeal::issuers(["staff"]));
    /// let checker = SealChecker::alone("example.org", [gateway], published)?;
    /// let layer = IdentityLayer::sealed(Arc::new(checker), "spiffe://example.org/ledger").require();
    /// # drop(layer); Ok(()) }
    /// ```
    #[must_use]
    pub fn sealed(checker: Arc<SealChecker>, workload: impl Into<String>) -> Self {
        Self::of(NoCredentials, None, checker, workload.into()).txn_tokens()
    }
}

impl<V: Validate> IdentityLayer<V> {
    /// A layer of the workload of that SPIFFE ID or `service.name`.
    #[must_use]
    pub fn new(
        validator: V,
        sealer: Arc<Sealer>,
        checker: Arc<SealChecker>,
        workload: impl Into<String>,
    ) -> Self {
        Self::of(validator, Some(sealer), checker, workload.into())
    }

    fn of(validator: V, sealer: Option<Arc<Sealer>>, checker: Arc<SealChecker>, workload: String) -> Self {
        let shared = Shared {
            validator: Arc::new(validator),
            sealer,
            checker,
            workload: workload.into(),
            clock: Arc::new(SystemClock),
            mode: Mode::Optional,
            realm: None,
            edge: None,
            spans: None,
            attributes: None,
            route: None,
            origin: None,
            keeps_token: false,
            takes_transactions: false,
            #[cfg(feature = "confidential")]
            keys: None,
            proxies: ProxyHeaders::default(),
            workloads: false,
            traces: None,
            also: Vec::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    fn with(mut self, edit: impl FnOnce(&mut Shared<V>)) -> Self {
        edit(Arc::make_mut(&mut self.shared));
        self
    }

    /// Turns away whoever brings neither a good credential nor a valid seal.
    #[must_use]
    pub fn require(self) -> Self {
        self.with(|shared| shared.mode = Mode::Require)
    }

    /// Turns nobody away: for the time of roll-out. What would have been is on the span.
    #[must_use]
    pub fn observe(self) -> Self {
        self.with(|shared| shared.mode = Mode::Observe)
    }

    /// Names what is protected, to those who are turned away.
    #[must_use]
    pub fn realm(self, realm: impl Into<String>) -> Self {
        self.with(|shared| shared.realm = Some(realm.into()))
    }

    /// For where strangers call: their trace is not continued but linked to, and of their baggage neither an identity nor members
    /// by these names are taken.
    #[must_use]
    pub fn edge(self, names: &[&str]) -> Self {
        self.with(|shared| shared.edge = Some(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    /// Makes the entry span of each request, where there is none around this layer, or one that does not go on with the request's trace,
    /// such as a runtime of functions makes: ours does, and is linked to that. Without, whoever makes it stands around this layer or
    /// within.
    #[must_use]
    pub fn spans(self, tracer: BoxedTracer) -> Self {
        self.with(|shared| shared.spans = Some(Spans::new(tracer)))
    }

    /// Writes these attributes of the identity on the entry span and no others, in place of
    /// [`DEFAULT_ATTRIBUTES`](crate::otel::DEFAULT_ATTRIBUTES). The list of an [`IdentityProcessor`](crate::otel::IdentityProcessor) is for
    /// spans that begin when it is known who calls.
    #[must_use]
    pub fn attributes(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with(|shared| shared.attributes = Some(Chosen::new(names)))
    }

    /// Says of which route a request is, by what a router left in its extensions (`hopseal::axum::route`): `http.route` of its span.
    #[must_use]
    pub fn routes(self, route: fn(&Extensions) -> Option<&str>) -> Self {
        self.with(|shared| shared.route = Some(route))
    }

    /// Scheme and authority of our address as clients know it, `https://orders.example.com`: what DPoP proofs are made for (RFC
    /// 9449 section 4.3). Without it proofs are not looked at, and tokens that need one are refused.
    #[must_use]
    pub fn origin(self, origin: impl Into<String>) -> Self {
        self.with(|shared| shared.origin = Some(origin.into().trim_end_matches('/').to_owned()))
    }

    /// Keeps the credential for as long as the request is worked on, so that an [`EgressLayer`](crate::egress::EgressLayer) can
    /// forward or exchange it. One that is bound to a key or a certificate is not kept: nobody else could use it.
    #[must_use]
    pub fn keep_token(self) -> Self {
        self.with(|shared| shared.keeps_token = true)
    }

    /// Takes transaction tokens (draft-ietf-oauth-transaction-tokens), in the header `Txn-Token`, which says for whom a call within a trust
    /// domain is. It does not say who sends it, and whoever has seen one can: have a mesh, or certificates, say which workloads may call, and
    /// do not take them where strangers do. One beside a Bearer or DPoP token in `Authorization` is refused with it: which of the two counts
    /// would depend on who looks. With [`keep_token`](Self::keep_token) an [`EgressLayer`](crate::egress::EgressLayer) sends it on as it
    /// came, where a rule is [for that](crate::egress::Rule::forward_transaction). Without this the header is not looked at.
    #[must_use]
    pub fn txn_tokens(self) -> Self {
        self.with(|shared| shared.takes_transactions = true)
    }

    /// Reads identities that travel such that nobody in between can read them. What comes readable is taken too.
    #[cfg(feature = "confidential")]
    #[must_use]
    pub fn confidential(self, keys: Arc<crate::confidential::ConfidentialKeys>) -> Self {
        self.with(|shared| shared.keys = Some(keys))
    }

    /// Reads `x-forwarded-client-cert`, in which Envoy and Istio say whose certificate they saw: the workload that calls, where the
    /// [`Peer`] is a proxy that the validator believes (`Validator::with_proxies`) and put its own name there. From anybody else
    /// it is passed over.
    #[must_use]
    pub fn forwarded_certificates(self) -> Self {
        self.with(|shared| shared.proxies.certificates = true)
    }

    /// Reads the claims of an access token that a proxy validated from a header that only the proxy sets (`forward_payload_header` of
    /// Envoy, `outputPayloadToHeader` of Istio), where no credential came. From a proxy that the validator
    /// believes (`Validator::with_proxies`) they are `verified`, by the method `proxy`; from anybody else an assertion.
    #[must_use]
    pub fn forwarded_claims(self, header: http::HeaderName) -> Self {
        self.with(|shared| shared.proxies.claims = Some(header))
    }

    /// Takes the workload that calls for whoever acts, where nothing else says who that is: neither a credential nor a valid seal.
    #[must_use]
    pub fn workloads(self) -> Self {
        self.with(|shared| shared.workloads = true)
    }

    /// Reads the trace otherwise than W3C Trace Context has it, as with `neighbours::B3`.
    #[must_use]
    pub fn traces(self, propagator: impl TextMapPropagator + Send + Sync + 'static) -> Self {
        self.with(|shared| shared.traces = Some(Arc::new(propagator)))
    }

    /// Also reads what this propagator does, after all else, as with those of `neighbours`. Not at an [edge](Self::edge).
    #[must_use]
    pub fn also(self, propagator: impl TextMapPropagator + Send + Sync + 'static) -> Self {
        self.with(|shared| shared.also.push(Arc::new(propagator)))
    }

    /// Takes time from another clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        self.with(|shared| shared.clock = clock)
    }
}

impl<V> Shared<V> {
    fn propagator(&self) -> Propagator {
        let propagator = Propagator::new(&*self.workload)
            .checking(Arc::clone(&self.checker))
            .clock(Arc::clone(&self.clock));
        #[cfg(feature = "confidential")]
        let propagator = match &self.keys {
            None => propagator,
            Some(keys) => propagator.confidential(Arc::clone(keys)),
        };
        match &self.edge {
            None => propagator,
            Some(names) => propagator.untrusted(names.iter().cloned()),
        }
    }
}

impl<S, V: Validate> tower_layer::Layer<S> for IdentityLayer<V> {
    type Service = IdentityService<S, V>;

    fn layer(&self, inner: S) -> Self::Service {
        IdentityService::new(inner, Arc::clone(&self.shared), self.shared.propagator())
    }
}

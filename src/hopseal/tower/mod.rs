//! The server side as a `tower` layer: who calls is found out once, before the service, and is then everywhere.

mod request;
mod service;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock, UnixTime};
use crate::otel::Propagator;
use crate::outcome::{Undecided, Validated};
use crate::seal::{SealChecker, Sealer};
use crate::secret::Token;

pub use service::IdentityService;

/// Validates a credential. What makes a [`Verified`](crate::Verified) implements it.
pub trait Validate: Send + Sync + 'static {
    /// Says whether a credential is good at that time.
    ///
    /// # Errors
    /// [`Undecided`], when no answer could be found; a bad credential is an answer.
    fn validate(
        &self,
        token: Token,
        now: UnixTime,
    ) -> impl Future<Output = Result<Validated, Undecided>> + Send;
}

/// By its own clock.
#[cfg(feature = "jwt")]
impl<K: crate::keys::KeySource + 'static> Validate for Arc<crate::Validator<K>> {
    async fn validate(&self, token: Token, _: UnixTime) -> Result<Validated, Undecided> {
        crate::Validator::validate(self, &token, crate::Credential::AccessToken).await
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
/// turns away whom it must.
///
/// A bad credential is answered with 401, one that could not be judged with 503; a request without any is anonymous, or acts with
/// the identity that came sealed. What is not for clients, a [`Refused`](crate::Refused) or an [`Undecided`], is in the extensions of
/// such an answer.
///
/// ```
/// # use std::sync::Arc;
/// # use hopseal::{Token, Undecided, UnixTime, Validated, Reason, Refused, seal::{SealChecker, Sealer}, tower::{IdentityLayer, Validate}};
/// # struct Validator;
/// # impl Validate for Validator {
/// #     async fn validate(&self, _: Token, _: UnixTime) -> Result<Validated, Undecided> {
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
    sealer: Arc<Sealer>,
    checker: Arc<SealChecker>,
    workload: String,
    clock: Arc<dyn Clock>,
    mode: Mode,
    realm: Option<String>,
    /// Members of others that are not taken from outside, where requests come from outside.
    edge: Option<Vec<String>>,
}

// Not derived, which would ask the same of `V`.
impl<V> Clone for Shared<V> {
    fn clone(&self) -> Self {
        Self {
            validator: Arc::clone(&self.validator),
            sealer: Arc::clone(&self.sealer),
            checker: Arc::clone(&self.checker),
            workload: self.workload.clone(),
            clock: Arc::clone(&self.clock),
            mode: self.mode,
            realm: self.realm.clone(),
            edge: self.edge.clone(),
        }
    }
}

impl<V> Clone for IdentityLayer<V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
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
        let shared = Shared {
            validator: Arc::new(validator),
            sealer,
            checker,
            workload: workload.into(),
            clock: Arc::new(SystemClock),
            mode: Mode::Optional,
            realm: None,
            edge: None,
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

    /// For where strangers call: their trace is not continued, and of their baggage neither an identity nor members by these
    /// names are taken.
    #[must_use]
    pub fn edge(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with(|shared| shared.edge = Some(names.into_iter().map(Into::into).collect()))
    }

    /// Takes time from another clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        self.with(|shared| shared.clock = clock)
    }
}

impl<V> Shared<V> {
    fn propagator(&self) -> Propagator {
        let propagator = Propagator::new(self.workload.clone())
            .checking(Arc::clone(&self.checker))
            .clock(Arc::clone(&self.clock));
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

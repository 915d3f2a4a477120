//! What is done with a request before it goes.

use std::sync::Arc;

use hopseal_identity::attribute::LEAK_STOPPED;
use http::HeaderMap;
use opentelemetry::global::BoxedTracer;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;

use super::destination::Destination;
use super::headers::{
    BAGGAGE, Further, Written, authorize, continue_transaction, replace_identity, take_tokens,
};
use super::rule::{EgressRules, NotObtained, Sent};
use crate::clock::Clock;
use crate::observe::{Observed, Observer, Unobserved};
use crate::otel::{Egress, HopIdentity, Leaving, Propagator, Spans};
use crate::outcome::Verified;
use crate::principal::Credential;

/// What can be set of everything that has a [`Sender`].
macro_rules! settings {
    () => {
        /// Makes a span for each request. Without, the span of the context is taken for the one by which the request leaves.
        #[must_use]
        pub fn spans(self, tracer: ::opentelemetry::global::BoxedTracer) -> Self {
            self.with(|sender| sender.set_tracer(tracer))
        }

        /// Tells somebody what is held back.
        #[must_use]
        pub fn observer(self, observer: impl crate::observe::Observer + 'static) -> Self {
            self.with(|sender| sender.observer = Arc::new(observer))
        }

        /// Lets identities travel such that nobody in between can read them.
        #[cfg(feature = "confidential")]
        #[must_use]
        pub fn confidential(self, keys: Arc<crate::confidential::ConfidentialKeys>) -> Self {
            self.with(|sender| sender.set_keys(keys))
        }

        /// Also writes what this propagator does, as with those of `neighbours`: to wherever the trace goes, beside the `traceparent` that is
        /// written here. Never the header `baggage`, and what a request has already stays as it is.
        #[must_use]
        pub fn also(
            self,
            propagator: impl ::opentelemetry::propagation::TextMapPropagator + Send + Sync + 'static,
        ) -> Self {
            self.with(|sender| sender.also.push(Arc::new(propagator)))
        }

        /// Takes time from another clock.
        #[must_use]
        pub fn clock(self, clock: Arc<dyn crate::clock::Clock>) -> Self {
            self.with(|sender| sender.set_clock(clock))
        }

        fn with(mut self, edit: impl FnOnce(&mut Sender)) -> Self {
            edit(Arc::make_mut(&mut self.sender));
            self
        }
    };
}
pub(super) use settings;

/// Rules, and who applies them.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    rules: EgressRules,
    propagator: Propagator,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) spans: Option<Spans>,
    /// What else is written, each by a propagator of somebody else's making.
    pub(super) also: Vec<Arc<dyn TextMapPropagator + Send + Sync>>,
}

impl Sender {
    pub(super) fn new(rules: EgressRules, workload: String) -> Self {
        let propagator = Propagator::new(workload);
        Self { rules, propagator, observer: Arc::new(Unobserved), spans: None, also: Vec::new() }
    }

    pub(super) fn set_clock(&mut self, clock: Arc<dyn Clock>) {
        self.propagator = self.propagator.clone().clock(clock);
    }

    #[cfg(feature = "confidential")]
    pub(super) fn set_keys(&mut self, keys: Arc<crate::confidential::ConfidentialKeys>) {
        self.propagator = self.propagator.clone().confidential(keys);
    }

    pub(super) fn set_tracer(&mut self, tracer: BoxedTracer) {
        self.spans = Some(Spans::new(tracer));
    }

    /// Makes the headers of a request what may go there. `cx` is that of the exit span.
    pub(super) async fn prepare(
        &self,
        cx: &Context,
        there: Option<&Destination>,
        headers: &mut HeaderMap,
    ) -> Result<(), NotObtained> {
        let identity = HopIdentity::of(cx);
        let sent = self.rules.for_destination(there);
        let evidence = identity.as_ref().and_then(HopIdentity::principal).map(Verified::evidence);
        let token = evidence.map(|it| it.fingerprint);
        let is_transaction = evidence.is_some_and(|it| it.credential == Credential::TxnToken);
        let mut stopped = Vec::new();
        // Who wrote one parent into the request is not given another beside it.
        if !headers.contains_key("traceparent") {
            TraceContextPropagator::new().inject_context(cx, &mut Written(headers));
            for propagator in &self.also {
                propagator.inject_context(cx, &mut Further(headers));
            }
        }
        // A token of the caller goes where a rule sends it, and not wherever the application, or a propagator, puts it.
        let forwards = matches!(sent, Some(Sent::Forwarded)) && !is_transaction;
        let in_transaction = matches!(sent, Some(Sent::Continued));
        if take_tokens(headers, token.filter(|_| !forwards), in_transaction) {
            stopped.push("token");
        }
        stopped.extend(self.baggage(cx, sent.is_some(), headers));
        for what in &stopped {
            self.observer.observe(&Observed::LeakStopped { what });
        }
        let span = cx.span();
        if !stopped.is_empty() && span.is_recording() {
            span.set_attribute(KeyValue::new(LEAK_STOPPED, true));
        }
        let held = identity.as_ref().and_then(HopIdentity::token);
        let token = match sent {
            None | Some(Sent::Seal) => None,
            Some(Sent::Forwarded) => held.filter(|_| !is_transaction).cloned(),
            Some(Sent::Continued) => {
                if let Some(token) = held.filter(|_| is_transaction) {
                    continue_transaction(headers, token);
                }
                None
            }
            // For other tokens a transaction token is not to be had so.
            Some(Sent::Obtained(obtain)) => obtain.obtain(held.filter(|_| !is_transaction)).await?,
        };
        if let Some(token) = token {
            authorize(headers, &token);
        }
        Ok(())
    }

    /// Writes the baggage; what of it was held back.
    fn baggage(&self, cx: &Context, allowed: bool, headers: &mut HeaderMap) -> Option<&'static str> {
        let egress = if allowed { Egress::Allowed } else { Egress::Denied };
        let was_there = headers.contains_key(BAGGAGE);
        let mut written = HeaderMap::new();
        let leaving = self.propagator.inject(&cx.with_value(egress), &mut Written(&mut written));
        // Where somebody else has written what he knows, his members stay, and only we say who it is.
        let spoilt = was_there && replace_identity(headers, leaving.travelling());
        if !was_there {
            headers.extend(written);
        }
        match leaving {
            Leaving::HeldBack => Some("seal"),
            _ if spoilt && !allowed => Some("baggage"),
            _ => None,
        }
    }
}

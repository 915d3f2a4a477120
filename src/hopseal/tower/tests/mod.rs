mod allocations;
mod entry;
mod guard;
#[cfg(feature = "jwt")]
mod peers;
mod sealed;
#[cfg(feature = "jwt")]
mod validator;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};

use hopseal_identity::attribute::{ASSURANCE, OBSERVE, SEAL_ERROR};
use hopseal_identity::baggage::Writer;
use http::{HeaderMap, Request, Response};
use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tower_layer::Layer as _;
use tower_service::Service;

use super::*;
use crate::otel::{HopIdentity, IdentityProcessor};
use crate::seal::Txn;
use crate::seal::testing::{NOW, alice, checker, gateway};
use crate::{Reason, Refused};

const TRACEPARENT: &str = "00-4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b-0909090909090909-01";

#[derive(Debug)]
struct At(UnixTime);

impl Clock for At {
    fn now(&self) -> UnixTime {
        self.0
    }
}

/// Knows `good`, and cannot tell of `down`.
#[derive(Debug)]
struct Known;

impl Validate for Known {
    async fn validate(&self, presented: &Presented, _: UnixTime) -> Result<Validated, Undecided> {
        tokio::task::yield_now().await;
        match presented.token().expose() {
            "good" => Ok(Validated::Verified(Arc::new(alice()))),
            "down" => Err(Undecided::NoKeys { issuer: "staff".to_owned() }),
            _ => Ok(Refused::new(Reason::Expired, "long ago").into()),
        }
    }
}

/// Notes whom it sees, in its extensions and in its context, and in which trace.
#[derive(Clone, Default)]
struct Inner(Arc<Mutex<Vec<(String, String, String)>>>);

impl Service<Request<()>> for Inner {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let seen = Arc::clone(&self.0);
        Box::pin(async move {
            let word = |identity: Option<HopIdentity>| {
                identity.map_or("none", |identity| identity.assurance().as_str()).to_owned()
            };
            tokio::task::yield_now().await;
            let trace = Context::current().span().span_context().trace_id().to_string();
            let extension = request.extensions().get::<HopIdentity>().cloned();
            seen.lock().expect("lock").push((word(extension), word(HopIdentity::current()), trace));
            Ok(Response::new("done".to_owned()))
        })
    }
}

fn layer() -> IdentityLayer<Known> {
    IdentityLayer::new(Known, Arc::new(gateway()), Arc::new(checker()), "orders").clock(Arc::new(At(NOW)))
}

fn baggage() -> String {
    let txn = Txn::new("t-1").expect("legal");
    let carried = gateway().seal(&alice(), &txn, crate::seal::testing::TRACE, NOW).expect("seals");
    Writer::new(Some(&carried)).finish()
}

fn request(headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().expect("value"));
    }
    request
}

/// Status and challenge; what the service within saw, if it was reached.
async fn answered<V: Validate>(
    layer: IdentityLayer<V>,
    headers: &[(&'static str, &str)],
) -> (u16, Option<String>, Option<(String, String, String)>) {
    let inner = Inner::default();
    let response = layer.layer(inner.clone()).call(request(headers)).await.expect("infallible");
    let challenge =
        |headers: &HeaderMap| Some(headers.get("www-authenticate")?.to_str().expect("text").to_owned());
    let seen = inner.0.lock().expect("lock").pop();
    (response.status().as_u16(), challenge(response.headers()), seen)
}

#[tokio::test]
async fn who_calls_and_who_is_turned_away() {
    let (good, bad, down) = ("Bearer good", "bearer bad", "Bearer down");
    let sealed = baggage();
    let edited = sealed.replace("acme", "umbrella");
    let with_seal = [("traceparent", TRACEPARENT), ("baggage", sealed.as_str())];
    let with_edit = [("traceparent", TRACEPARENT), ("baggage", edited.as_str())];
    // For each: what is answered by default, by `require`, by `observe`.
    for (name, headers, words) in [
        ("good", vec![("authorization", good)], ["verified", "verified", "verified"]),
        ("none", vec![], ["anonymous", "401", "anonymous"]),
        ("bad", vec![("authorization", bad)], ["401", "401", "refused"]),
        ("undecided", vec![("authorization", down)], ["503", "503", "unknown"]),
        ("two", vec![("authorization", good), ("authorization", good)], ["401", "401", "refused"]),
        ("no token", vec![("authorization", "Bearer")], ["401", "401", "refused"]),
        ("another scheme", vec![("authorization", "Basic YTpi")], ["anonymous", "401", "anonymous"]),
        ("sealed", with_seal.to_vec(), ["sealed", "sealed", "sealed"]),
        ("a seal that is broken", with_edit.to_vec(), ["asserted", "401", "asserted"]),
        (
            "bad beside a seal",
            [&with_seal[..], &[("authorization", bad)]].concat(),
            ["401", "401", "refused"],
        ),
    ] {
        for (layer, word) in [layer(), layer().require(), layer().observe()].into_iter().zip(words) {
            let layer_observes = layer.shared.mode == Mode::Observe;
            let (status, _, seen) = answered(layer, &headers).await;
            match seen {
                Some((extension, context, _)) => {
                    // That there is nobody stands in the context alone, unless nobody is turned away.
                    let there = if word == "anonymous" && !layer_observes { "none" } else { word };
                    assert_eq!((extension.as_str(), context.as_str(), status), (there, word, 200), "{name}");
                }
                None => assert_eq!(status.to_string(), word, "{name}"),
            }
        }
    }
}

#[tokio::test]
async fn a_challenge_says_what_is_wanted() {
    let layer = || layer().require().realm("orders");
    for (headers, expected) in [
        (vec![], Some(r#"Bearer realm="orders""#)),
        (
            vec![("authorization", "Bearer bad")],
            Some(
                r#"Bearer realm="orders", error="invalid_token", error_description="the token has expired""#,
            ),
        ),
        (vec![("authorization", "Bearer down")], None), // not the client's fault
    ] {
        assert_eq!(answered(layer(), &headers).await.1.as_deref(), expected);
    }
}

#[tokio::test]
async fn what_is_not_for_clients_is_for_logs() {
    for (token, reason, undecided) in
        [("Bearer bad", Some(Reason::Expired), false), ("Bearer down", None, true)]
    {
        let call = layer().layer(Inner::default()).call(request(&[("authorization", token)]));
        let response = call.await.expect("infallible");
        assert_eq!(response.extensions().get::<Refused>().map(Refused::reason), reason);
        assert_eq!(response.extensions().get::<Undecided>().is_some(), undecided);
        assert_eq!(response.body(), "");
    }
}

/// From outside, neither the trace nor an identity is taken; a credential is.
#[tokio::test]
async fn at_the_edge_a_stranger_brings_a_credential_and_nothing_else() {
    let sealed = baggage();
    let headers = [("traceparent", TRACEPARENT), ("baggage", sealed.as_str())];
    let trace = |seen: &Option<(String, String, String)>| seen.as_ref().map(|(_, _, trace)| trace.clone());
    let (_, _, inside) = answered(layer(), &headers).await;
    assert_eq!(trace(&inside).as_deref(), Some("4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b"));
    let (_, _, outside) = answered(layer().edge(&["user.id"]), &headers).await;
    assert_eq!(
        trace(&outside).as_deref(),
        Some("00000000000000000000000000000000"),
        "a new one begins with the first span"
    );
    assert_eq!(outside.map(|(_, word, _)| word).as_deref(), Some("anonymous"));
    let (_, _, known) =
        answered(layer().edge(&["user.id"]), &[&headers[..], &[("authorization", "Bearer good")]].concat())
            .await;
    assert_eq!(known.map(|(word, _, _)| word).as_deref(), Some("verified"));
}

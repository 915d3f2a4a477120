#[cfg(feature = "outgoing")]
mod exchanged;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod rules;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};

use hopseal_identity::attribute::{HOP_AFTER, LEAK_STOPPED};
use hopseal_identity::baggage::Baggage;
use http::{HeaderMap, Request, Response};
use opentelemetry::Context;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tower_layer::Layer as _;
use tower_service::Service;

use super::*;
use crate::otel::{HopIdentity, with_identity};
use crate::seal::testing::{NOW, alice, checker, gateway};
use crate::{Observed, Observer, Token};

/// Longer than what is too short to be a token.
const TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl";

/// Remembers what reaches it.
#[derive(Debug, Clone, Default)]
struct Sink(Arc<Mutex<Vec<HeaderMap>>>);

impl Service<Request<()>> for Sink {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        self.0.lock().expect("lock").push(request.headers().clone());
        std::future::ready(Ok(Response::new(())))
    }
}

/// Remembers what was held back.
#[derive(Debug, Clone, Default)]
struct Stopped(Arc<Mutex<Vec<&'static str>>>);

impl Observer for Stopped {
    fn observe(&self, observed: &Observed<'_>) {
        if let Observed::LeakStopped { what } = observed {
            self.0.lock().expect("lock").push(what);
        }
    }
}

/// Alice, whose token is at hand.
fn caller() -> HopIdentity {
    let mut verified = alice();
    verified.evidence.fingerprint = Token::new(TOKEN).fingerprint();
    let identity = HopIdentity::verified(Arc::new(verified), Arc::new(gateway()), None).expect("randomness");
    identity.with_token(Arc::new(Token::new(TOKEN)))
}

/// The same, by a transaction token.
fn caller_in_transaction() -> HopIdentity {
    let mut verified = alice();
    verified.evidence.fingerprint = Token::new(TOKEN).fingerprint();
    verified.evidence.credential = crate::Credential::TxnToken;
    verified.evidence.token_id = Some("97053963".to_owned());
    let identity =
        HopIdentity::verified(Arc::new(verified), Arc::new(gateway()), None).expect("a transaction");
    identity.with_token(Arc::new(Token::new(TOKEN)))
}

/// Sends what it is given in exchange for the caller's.
#[derive(Debug)]
struct Held;

impl Obtain for Held {
    fn obtain<'o>(&'o self, held: Option<&'o Arc<Token>>) -> Obtaining<'o> {
        Box::pin(std::future::ready(Ok(held.cloned())))
    }
}

/// The seal alone to `seal`, the token too to `forward`, a transaction token to `transaction`, another to `exchanged`, over plain http to `mesh`.
fn rules() -> EgressRules {
    EgressRules::new([
        Rule::to("https://seal.example"),
        Rule::to("https://forward.example:8443").forward_token(),
        Rule::to("https://transaction.example").forward_transaction(),
        Rule::to("https://exchanged.example").token(Held),
        Rule::to("http://mesh.example:8080").in_mesh(),
        Rule::to("http://127.0.0.1:9000"),
    ])
    .expect("rules")
}

/// What came of a request.
#[derive(Debug)]
struct Left {
    headers: HeaderMap,
    stopped: Vec<&'static str>,
    /// Of the exit span.
    marked: Vec<String>,
    hop: bool,
    trace: [u8; 16],
}

impl Left {
    /// Who the next one is told it is, and whether that is sealed for the trace it is told.
    fn sealed(&self) -> Option<bool> {
        let headers = self.headers.get_all("baggage").iter().map(|it| it.to_str().expect("ASCII"));
        let carried = Baggage::read(headers).identity.expect("legal")?;
        let traceparent = self.headers.get("traceparent").expect("a trace").to_str().expect("ASCII");
        assert_eq!(traceparent.split('-').nth(1), Some(hex(self.trace).as_str()));
        Some(checker().check(&carried, self.trace, NOW).is_ok())
    }

    fn authorization(&self) -> Option<&str> {
        self.headers.get("authorization").map(|it| it.to_str().expect("ASCII"))
    }

    /// Nothing of Alice is in it, in whatever header.
    fn says_nothing(&self) -> bool {
        let all = format!("{:?}", self.headers).to_lowercase();
        !all.contains("hopseal") && !all.contains("sub=") && !all.contains(&TOKEN.to_lowercase())
    }
}

fn hex(bytes: [u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sends a request of this identity, with these headers, there.
async fn send(identity: HopIdentity, there: &str, headers: &[(&'static str, &str)]) -> Left {
    send_by(|layer| layer, identity, there, headers).await
}

async fn send_by(
    edit: impl FnOnce(EgressLayer) -> EgressLayer,
    identity: HopIdentity,
    there: &str,
    headers: &[(&'static str, &str)],
) -> Left {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let (sink, stopped) = (Sink::default(), Stopped::default());
    let layer = EgressLayer::new(rules(), "spiffe://example.org/orders")
        .clock(Arc::new(NOW))
        .spans(BoxedTracer::new(Box::new(provider.tracer("test"))))
        .observer(stopped.clone());
    let mut request = Request::new(());
    *request.uri_mut() = there.parse().expect("an address");
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().expect("a value"));
    }
    let mut client = edit(layer).layer(sink.clone());
    with_identity(identity, async { client.call(request).await.expect("sent") }).await;
    let spans = exporter.get_finished_spans().expect("spans");
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.span_kind, SpanKind::Client);
    let all = |name: &str| -> Vec<String> {
        let of = span.attributes.iter().filter(|it| it.key.as_str() == name);
        of.map(|it| it.value.to_string()).collect()
    };
    Left {
        headers: sink.0.lock().expect("lock").pop().expect("a request"),
        stopped: std::mem::take(&mut *stopped.0.lock().expect("lock")),
        marked: all(LEAK_STOPPED),
        hop: !all(HOP_AFTER).is_empty(),
        trace: span.span_context.trace_id().to_bytes(),
    }
}

/// Who gets what, with nothing but the identity in the context.
#[tokio::test]
async fn each_destination_gets_what_its_rule_says() {
    let bearer = format!("Bearer {TOKEN}");
    for (there, sealed, authorization) in [
        ("https://seal.example/x", Some(true), None),
        ("https://SEAL.example.:443/x", Some(true), None),
        ("https://forward.example:8443/x", Some(true), Some(bearer.as_str())),
        ("http://mesh.example:8080/x", Some(true), None),
        ("http://127.0.0.1:9000/", Some(true), None),
        // Another port, another scheme, another name.
        ("https://forward.example/x", None, None),
        ("http://seal.example/x", None, None),
        ("http://seal.example:443/x", None, None),
        ("https://seal.example.evil.example/x", None, None),
        ("https://evil.example/?https://seal.example/", None, None),
        ("http://127.0.0.1:9001/", None, None),
        ("/nobody/knows/where", None, None),
    ] {
        let left = send(caller(), there, &[]).await;
        assert_eq!((left.sealed(), left.authorization()), (sealed, authorization), "{there}");
        assert_eq!(left.hop, sealed.is_some(), "{there}");
        if sealed.is_none() {
            assert!(left.says_nothing(), "{there}: {left:?}");
            assert_eq!((left.stopped, left.marked), (vec!["seal"], vec!["true".to_owned()]), "{there}");
        } else {
            assert_eq!((left.stopped.len(), left.marked.len()), (0, 0), "{there}");
        }
    }
}

/// What the application or another instrumentation put there does not leave either, and what is theirs does.
#[tokio::test]
async fn what_others_wrote_is_taken_off() {
    let bearer = format!("Bearer {TOKEN}");
    let sub = "theme=dark,hopseal.sub=p1.x,hopseal.kind=user,hopseal.iss=staff";
    for (name, headers, stopped) in [
        ("members of ours", vec![("baggage", sub)], vec!["seal"]),
        ("in another spelling", vec![("baggage", "theme=dark,Hopseal%2Esub=x")], vec!["seal"]),
        ("in a second header", vec![("baggage", "theme=dark"), ("baggage", sub)], vec!["seal"]),
        ("the token", vec![("authorization", bearer.as_str())], vec!["token", "seal"]),
        ("under another name", vec![("x-forwarded-access-token", TOKEN)], vec!["token", "seal"]),
        (
            "in a cookie",
            vec![("cookie", "a=b; t=eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl")],
            vec!["token", "seal"],
        ),
        ("a transaction token", vec![("txn-token", "x.y.z")], vec!["token", "seal"]),
    ] {
        let headers = [&headers[..], &[("x-api-key", "theirs")]].concat();
        let left = send(caller(), "https://evil.example/", &headers).await;
        assert!(left.says_nothing(), "{name}: {left:?}");
        assert!(left.headers.contains_key("x-api-key"), "{name}");
        assert_eq!(left.headers.get("txn-token"), None, "{name}");
        assert_eq!(left.stopped, stopped, "{name}");
        assert_eq!(left.marked, ["true"], "{name}: once");
        let theirs = headers.iter().any(|(name, _)| *name == "baggage");
        let theme = left.headers.get("baggage").map(|it| it.to_str().expect("ASCII"));
        let theme = theme.map(|text| text.split(',').next().expect("one"));
        assert_eq!(theme, theirs.then_some("theme=dark"), "{name}");
    }
    // Of nobody, there is only what others wrote.
    let left = send(HopIdentity::anonymous(), "https://evil.example/", &[("baggage", sub)]).await;
    assert!(left.says_nothing());
    assert_eq!(left.stopped, ["baggage"]);
    // An API key of the application is its own affair.
    let left =
        send(caller(), "https://evil.example/", &[("authorization", "Bearer of-the-application")]).await;
    assert_eq!((left.authorization(), &*left.stopped), (Some("Bearer of-the-application"), &["seal"][..]));
}

#[tokio::test]
async fn where_it_may_go_only_we_say_who_it_is() {
    let forged = "theme=dark,hopseal.sub=p1.mallory,hopseal.kind=user,hopseal.iss=staff";
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("baggage", forged), ("authorization", bearer.as_str())];
    let left = send(caller(), "https://seal.example/", &headers).await;
    assert_eq!((left.sealed(), left.authorization()), (Some(true), None), "the rule is for the seal alone");
    let text = format!("{:?}", left.headers);
    assert!(text.contains("theme=dark") && !text.contains("mallory"), "{text}");
    assert_eq!(left.stopped, ["token"]);
    // What the application chose for a destination that may have the caller's stays what it chose.
    let headers = [("authorization", "Bearer of-the-application")];
    let left = send(caller(), "https://forward.example:8443/", &headers).await;
    assert_eq!(left.authorization(), Some("Bearer of-the-application"));
}

/// A token that was not kept is not sent; the seal is.
#[tokio::test]
async fn without_a_token_the_seal_goes_alone() {
    let identity = HopIdentity::verified(Arc::new(alice()), Arc::new(gateway()), None).expect("randomness");
    let left = send(identity, "https://forward.example:8443/", &[]).await;
    assert_eq!((left.sealed(), left.authorization()), (Some(true), None));
}

/// A channel goes where it is connected to, whatever its requests say.
#[tokio::test]
async fn a_channel_is_connected_to_one_place() {
    for (connected, says, sealed) in [
        ("https://seal.example", "/grpc.health.v1.Health/Check", Some(true)),
        ("https://evil.example", "https://seal.example/grpc.health.v1.Health/Check", None),
    ] {
        let connected = Destination::parse(connected).expect("a destination");
        let left = send_by(|layer| layer.toward(connected), caller(), says, &[]).await;
        assert_eq!(left.sealed(), sealed);
        assert_eq!(left.says_nothing(), sealed.is_none());
    }
}

/// Without a span of its own the layer takes that of the context for the exit span.
#[tokio::test]
async fn another_exit_span_is_used() {
    let provider = SdkTracerProvider::builder().build();
    let span = opentelemetry::trace::Tracer::start(&provider.tracer("test"), "exit");
    let cx = Context::new().with_span(span);
    let trace = cx.span().span_context().trace_id().to_string();
    let sink = Sink::default();
    let mut client = EgressLayer::new(rules(), "orders").clock(Arc::new(NOW)).layer(sink.clone());
    let mut request = Request::new(());
    *request.uri_mut() = "https://seal.example/".parse().expect("an address");
    {
        let _entered = cx.with_value(caller()).attach();
        client.call(request)
    }
    .await
    .expect("sent");
    let headers = sink.0.lock().expect("lock").pop().expect("a request");
    assert!(headers.get("traceparent").expect("a trace").to_str().expect("ASCII").contains(&trace));
    assert!(headers.contains_key("baggage"));
}

/// The trace goes on in another system's headers too, whoever is there; what was written already stays, and no identity goes that way.
#[cfg(feature = "neighbours")]
#[tokio::test]
async fn the_trace_leaves_in_other_headers_too() {
    use crate::neighbours::B3;
    use crate::otel::{Egress, Propagator};
    for (there, sealed) in [("https://seal.example/a", Some(true)), ("https://evil.example/", None)] {
        let propagator = Propagator::new("orders").egress(Egress::Allowed);
        let edit = |layer: EgressLayer| layer.also(B3::multiple()).also(propagator);
        let left = send_by(edit, caller(), there, &[("x-b3-sampled", "0")]).await;
        let text = |name: &str| left.headers.get(name).map(|value| value.to_str().expect("ASCII"));
        assert_eq!(text("x-b3-traceid"), Some(hex(left.trace).as_str()), "{there}");
        assert_eq!(text("x-b3-sampled"), Some("0"), "{there}");
        assert_eq!(left.sealed(), sealed, "{there}");
        assert_eq!(left.says_nothing(), sealed.is_none(), "{there}: {left:?}");
    }
}

/// It leaves unreadable, for where it may; and what somebody else wrote is replaced, or taken off, readable or not.
#[cfg(feature = "confidential")]
#[tokio::test]
async fn what_leaves_can_be_made_unreadable() {
    use crate::confidential::ConfidentialKeys;
    let paserk = crate::Secret::new(format!("k4.local.{}", "A".repeat(43)));
    let keys = Arc::new(ConfidentialKeys::new(("c1", &paserk), []).expect("keys"));
    let theirs = "hopseal.enc=c9.AAAA,theme=dark";
    for (there, headers, goes) in [
        ("https://seal.example/a", vec![], true),
        ("https://seal.example/a", vec![("baggage", theirs)], true),
        ("https://other.example/a", vec![], false),
        ("https://other.example/a", vec![("baggage", theirs)], false),
    ] {
        let keys = Arc::clone(&keys);
        let left = send_by(|layer| layer.confidential(keys), caller(), there, &headers).await;
        let baggage = left.headers.get("baggage").map(|it| it.to_str().expect("ASCII").to_owned());
        let baggage = baggage.unwrap_or_default();
        assert_eq!(baggage.starts_with("hopseal.enc=c1."), goes, "{there}: {baggage}");
        assert_eq!(baggage.contains("theme=dark"), !headers.is_empty(), "{there}: {baggage}");
        assert!(!baggage.contains("c9.") && !baggage.contains("hopseal.sub"), "{there}: {baggage}");
    }
}

/// As it came, in its own header, and only there where a rule sends it.
#[tokio::test]
async fn a_transaction_token_is_continued_where_it_may_be() {
    let txn = |left: &Left| left.headers.get("txn-token").map(|it| it.to_str().expect("ASCII").to_owned());
    for (there, expected) in [
        ("https://transaction.example/", Some(TOKEN)),
        ("https://forward.example:8443/", None),
        ("https://exchanged.example/", None),
        ("https://seal.example/", None),
        ("https://evil.example/", None),
    ] {
        let left = send(caller_in_transaction(), there, &[]).await;
        assert_eq!((txn(&left).as_deref(), left.authorization()), (expected, None), "{there}");
        assert_eq!(left.sealed().is_some(), !there.contains("evil"), "{there}");
    }
    let bearer = format!("Bearer {TOKEN}");
    let (set, ours) = ([("txn-token", TOKEN)], [("authorization", "Bearer of-the-application")]);
    for (identity, there, headers, expected, stopped) in [
        (caller_in_transaction(), "https://seal.example/", &set[..], [None, None], &["token"][..]),
        (caller_in_transaction(), "https://forward.example:8443/", &set, [None, None], &["token"]),
        (caller_in_transaction(), "https://transaction.example/", &ours, [None, Some(ours[0].1)], &[]),
        // One that the application began for a caller who came by another token; the rule is not for that.
        (caller(), "https://transaction.example/", &set, [Some(TOKEN), None], &[]),
        (caller(), "https://transaction.example/", &[("authorization", &bearer)], [None, None], &["token"]),
        (caller(), "https://forward.example:8443/", &set, [None, Some(&bearer)], &["token"]),
        (caller(), "https://exchanged.example/", &[], [None, Some(&bearer)], &[]),
    ] {
        let left = send(identity, there, headers).await;
        assert_eq!([txn(&left).as_deref(), left.authorization()], expected, "{there} {headers:?}");
        assert_eq!(left.stopped, stopped, "{there} {headers:?}");
    }
}

mod carriers;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use hopseal_identity::attribute::{ASSURANCE, KIND, LEAK_STOPPED, RESEALED, SEAL_ERROR, SUB, TXN};
use hopseal_identity::baggage::{Baggage, Carried};
use hopseal_identity::{Kind, member};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{SpanKind, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};

use super::*;
use crate::otel::{HopIdentity, with_identity};
use crate::seal::SealError;
use crate::seal::testing::{NOW, alice, checker, gateway, sealer, worker};
use crate::{UnixTime, Verified};

/// Everything in one process: who sends, who works, and what is said on spans.
struct Lab {
    exporter: InMemorySpanExporter,
    provider: SdkTracerProvider,
}

/// What is seen by the work on a message: how sure it is, whose it is, and what would leave from there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    assurance: &'static str,
    sub: Option<String>,
    leaves: Option<Carried>,
}

impl Lab {
    fn new() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        Self { exporter, provider }
    }

    fn tracer(&self) -> BoxedTracer {
        BoxedTracer::new(Box::new(self.provider.tracer("test")))
    }

    fn producer(&self, at: UnixTime) -> Producer {
        Producer::new("spiffe://example.org/gateway", self.tracer()).allow(["orders"]).clock(Arc::new(at))
    }

    fn consumer(&self, at: UnixTime) -> Consumer {
        Consumer::new(Arc::new(checker()), "spiffe://example.org/worker", self.tracer()).clock(Arc::new(at))
    }

    /// A message of somebody.
    async fn sent(&self, identity: HopIdentity, destination: &str) -> HashMap<String, String> {
        let mut headers = HashMap::new();
        with_identity(identity, async { self.producer(NOW).inject(destination, &mut headers) }).await;
        headers
    }

    fn seen(&self, at: UnixTime) -> Seen {
        let identity = HopIdentity::current();
        let mut out = HashMap::new();
        self.producer(at).inject("orders", &mut out);
        let leaves =
            out.get("baggage").and_then(|header| Baggage::read([header.as_str()]).identity.expect("legal"));
        let sub =
            identity.as_ref().and_then(HopIdentity::carried).and_then(|it| it.get(SUB)).map(str::to_owned);
        Seen { assurance: identity.map_or("none", |it| it.assurance().as_str()), sub, leaves }
    }

    async fn processed(&self, consumer: &Consumer, headers: &HashMap<String, String>, at: UnixTime) -> Seen {
        consumer.process(consumer.receive("orders", headers), async { self.seen(at) }).await
    }

    fn spans(&self, name: &str) -> Vec<SpanData> {
        let spans = self.exporter.get_finished_spans().expect("spans");
        spans.into_iter().filter(|span| span.name == name).collect()
    }
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let all: Vec<String> =
        span.attributes.iter().filter(|it| it.key.as_str() == name).map(|it| it.value.to_string()).collect();
    assert!(all.len() < 2, "{name} twice");
    all.into_iter().next()
}

fn of(verified: Verified) -> HopIdentity {
    HopIdentity::verified(Arc::new(verified), Arc::new(gateway()), None).expect("randomness")
}

/// Another user of the same tenant.
fn bob() -> Verified {
    let mut bob = alice();
    "bob".clone_into(&mut bob.principal.id);
    bob
}

/// Waits that are fine, and what becomes of those that are not; for who may re-seal within ten minutes of a seal's end, and for who may
/// not at all.
#[tokio::test]
async fn an_identity_waits_in_a_queue() {
    // A seal of the gateway lives for two minutes.
    for (waits, resealing, assurance, fault) in [
        (0, true, "sealed", None),
        (110, true, "sealed", None),
        (700, true, "sealed", None),
        (730, true, "asserted", Some("expired")),
        (0, false, "asserted", Some("trace")),
        (700, false, "asserted", Some("expired")),
    ] {
        let lab = Lab::new();
        let headers = lab.sent(of(alice()), "orders").await;
        let at = NOW.plus(waits);
        let consumer = match resealing {
            true => lab.consumer(at).resealing(Arc::new(worker())),
            false => lab.consumer(at),
        };
        let seen = lab.processed(&consumer, &headers, at).await;
        assert_eq!(seen.assurance, assurance, "{waits}");
        let sent = Baggage::read([headers["baggage"].as_str()]).identity.expect("legal").expect("one");
        assert_eq!(seen.sub.as_deref(), sent.get(SUB), "{waits}");

        let (span, producer) = (&lab.spans("process orders")[0], &lab.spans("send orders")[0]);
        assert_eq!(attribute(span, ASSURANCE).as_deref(), Some(assurance));
        assert_eq!(attribute(span, SEAL_ERROR).as_deref(), fault, "{waits} {resealing}");
        assert_eq!(span.span_kind, SpanKind::Consumer);
        assert_ne!(span.span_context.trace_id(), producer.span_context.trace_id());
        assert_eq!(span.links.len(), 1);
        assert_eq!(span.links.links[0].span_context.span_id(), producer.span_context.span_id());

        // What goes on is sealed for the new trace, of the same transaction, and says where it comes from; or nothing goes on.
        assert_eq!(seen.leaves.is_some(), assurance == "sealed", "{waits}");
        if let Some(leaves) = seen.leaves {
            let trace = span.span_context.trace_id().to_bytes();
            assert!(checker().check(&leaves, trace, at).is_ok());
            assert_eq!(leaves.get(TXN), sent.get(TXN));
            let resealed = leaves.get(RESEALED).and_then(member::Resealed::parse).expect("re-sealed");
            assert_eq!(resealed.previous, member::Resealed::digest(sent.seal().expect("a seal")));
            assert!(leaves.hop().expect("a count").count > sent.hop().expect("a count").count);
        }
    }
}

/// The seal of a message is of the moment in which it is sent, however old that of the request is.
#[tokio::test]
async fn a_message_says_when_it_was_good() {
    let lab = Lab::new();
    let identity = of(alice());
    let iat = |headers: &HashMap<String, String>| {
        let sent = Baggage::read([headers["baggage"].as_str()]).identity.expect("legal").expect("one");
        sent.get("hopseal.iat").and_then(member::seconds).map(UnixTime)
    };
    for later in [0, 1, 30] {
        let (at, mut headers) = (NOW.plus(later), HashMap::new());
        with_identity(identity.clone(), async { lab.producer(at).inject("orders", &mut headers) }).await;
        assert_eq!(iat(&headers), Some(at));
    }
    // Past the end of the credential nothing can be said.
    let (late, mut headers) = (NOW.plus(3600), HashMap::new());
    with_identity(identity, async { lab.producer(late).inject("orders", &mut headers) }).await;
    assert_eq!(headers.get("baggage"), None);
    assert_eq!(
        gateway().seal(&alice(), &crate::seal::Txn::new("t").expect("legal"), [1; 16], late),
        Err(SealError::Ended)
    );
}

/// In the trace of the producer a seal that has not ended is as good as it was.
#[tokio::test]
async fn a_message_that_is_worked_on_at_once_stays_in_its_trace() {
    let lab = Lab::new();
    let headers = lab.sent(of(alice()), "orders").await;
    let seen = lab.processed(&lab.consumer(NOW).continuing(), &headers, NOW).await;
    assert_eq!(seen.assurance, "sealed");
    let (span, producer) = (&lab.spans("process orders")[0], &lab.spans("send orders")[0]);
    assert_eq!(span.parent_span_id, producer.span_context.span_id());
    assert_eq!(span.links.len(), 0);
    assert_eq!(attribute(span, RESEALED), None);
}

/// Whatever is done to a message, its identity is not believed, and no seal goes on.
#[tokio::test]
async fn messages_that_were_tampered_with() {
    let lab = Lab::new();
    let (good, other) = (lab.sent(of(alice()), "orders").await, lab.sent(of(bob()), "orders").await);
    let with = |name: &str, value: &str| {
        let mut headers = good.clone();
        headers.insert(name.to_owned(), value.to_owned());
        headers
    };
    let edited = good["baggage"].replace("acme", "evil");
    let unsealed =
        good["baggage"].split(',').filter(|it| !it.contains("seal=")).collect::<Vec<_>>().join(",");
    let twice = format!("{0},{0}", good["baggage"]);
    for (name, headers, assurance, fault) in [
        ("edited", with("baggage", &edited), "asserted", Some("signature")),
        ("of another message", with("baggage", &other["baggage"]), "asserted", Some("trace")),
        ("moved to another trace", with("traceparent", &other["traceparent"]), "asserted", Some("trace")),
        ("without its seal", with("baggage", &unsealed), "asserted", Some("missing")),
        ("twice", with("baggage", &twice), "unknown", Some("malformed")),
        ("stripped", with("baggage", ""), "anonymous", None),
        ("without a trace", with("traceparent", ""), "asserted", Some("trace")),
    ] {
        lab.exporter.reset();
        let consumer = lab.consumer(NOW).resealing(Arc::new(worker()));
        let seen = lab.processed(&consumer, &headers, NOW).await;
        assert_eq!(seen.assurance, assurance, "{name}");
        // What never had a seal goes on as the assertion that it is.
        assert!(seen.leaves.is_none_or(|it| fault == Some("missing") && it.seal().is_none()), "{name}");
        assert_eq!(attribute(&lab.spans("process orders")[0], SEAL_ERROR).as_deref(), fault, "{name}");
    }
}

/// A service that is not registered for it cannot re-seal, whatever it tries.
#[tokio::test]
async fn only_registered_services_reseal() {
    let lab = Lab::new();
    let headers = lab.sent(of(alice()), "orders").await;
    let consumer = lab.consumer(NOW).resealing(Arc::new(sealer("idle", 2)));
    let seen = lab.processed(&consumer, &headers, NOW).await;
    assert_eq!((seen.assurance, seen.leaves), ("asserted", None));
    assert_eq!(attribute(&lab.spans("process orders")[0], SEAL_ERROR).as_deref(), Some("sealer"));
}

/// Messages that came together are worked on each with its own identity, at the same time and in turns.
#[tokio::test]
async fn a_batch_of_many_principals() {
    let lab = Lab::new();
    let messages = [
        lab.sent(of(alice()), "orders").await,
        lab.sent(of(bob()), "orders").await,
        lab.sent(HopIdentity::anonymous(), "orders").await,
    ];
    let consumer = lab.consumer(NOW).resealing(Arc::new(worker()));
    let seen = Mutex::new(Vec::new());
    let batch = consumer.batch("orders", messages.len());
    let work = |headers: &HashMap<String, String>| {
        let message = consumer.receive("orders", headers);
        let (batch, lab, seen) = (&batch, &lab, &seen);
        async move {
            let work = async {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                let now = lab.seen(NOW);
                seen.lock().expect("lock").push(now);
            };
            batch.process(message, work).await;
        }
    };
    let [a, b, c] = messages.each_ref().map(work);
    tokio::join!(a, b, c);
    drop(batch);
    let seen = seen.into_inner().expect("lock");
    let words: Vec<&str> = seen.iter().map(|seen| seen.assurance).collect();
    assert_eq!(words, ["sealed", "sealed", "anonymous"]);
    assert_ne!(seen[0].sub, seen[1].sub);
    let receive = &lab.spans("receive orders")[0];
    assert_eq!((receive.span_kind.clone(), attribute(receive, ASSURANCE)), (SpanKind::Client, None));
    let spans = lab.spans("process orders");
    let subs: Vec<Option<String>> = spans.iter().map(|span| attribute(span, SUB)).collect();
    assert_eq!(subs, seen.iter().map(|seen| seen.sub.clone()).collect::<Vec<_>>());
    for span in &spans {
        assert_eq!(span.parent_span_id, receive.span_context.span_id());
        assert_eq!(span.links.len(), 1);
    }
}

/// Spans say what carries the messages, and of the identity what is asked for.
#[tokio::test]
async fn what_spans_say_can_be_chosen() {
    let lab = Lab::new();
    let mut headers = HashMap::new();
    let producer = lab.producer(NOW).system("kafka");
    with_identity(of(alice()), async { producer.inject("orders", &mut headers) }).await;
    let consumer = lab.consumer(NOW).continuing().system("kafka").attributes([ASSURANCE]);
    assert_eq!(lab.processed(&consumer, &headers, NOW).await.assurance, "sealed");
    drop(consumer.batch("orders", 1));
    for name in ["send orders", "process orders", "receive orders"] {
        assert_eq!(attribute(&lab.spans(name)[0], "messaging.system").as_deref(), Some("kafka"), "{name}");
    }
    let span = &lab.spans("process orders")[0];
    let ours = span.attributes.iter().filter(|it| it.key.as_str().starts_with("hopseal."));
    assert_eq!(ours.map(|it| it.key.as_str()).collect::<Vec<_>>(), [ASSURANCE]);
}

/// To a topic that others read goes the trace, and nobody's identity.
#[tokio::test]
async fn topics_of_others_get_nothing() {
    let lab = Lab::new();
    let headers = lab.sent(of(alice()), "public").await;
    assert_eq!(headers.get("baggage"), None);
    assert!(headers.contains_key("traceparent"));
    assert_eq!(attribute(&lab.spans("send public")[0], LEAK_STOPPED).as_deref(), Some("true"));
}

/// A timer acts for the service, also where somebody is around.
#[tokio::test]
async fn a_job_runs_as_the_service() {
    let lab = Lab::new();
    let mut service = alice();
    "nightly".clone_into(&mut service.principal.id);
    service.principal.kind = Kind::Service;
    let worker =
        Worker::new(Arc::new(gateway()), "spiffe://example.org/reports", lab.tracer()).clock(Arc::new(NOW));
    let job = worker.run("nightly report", Arc::new(service), async {
        HopIdentity::current().and_then(|it| Some(it.principal()?.principal().id.clone()))
    });
    assert_eq!(with_identity(of(alice()), job).await.as_deref(), Some("nightly"));
    let span = &lab.spans("nightly report")[0];
    assert_eq!(attribute(span, ASSURANCE).as_deref(), Some("verified"));
    assert_eq!(attribute(span, KIND).as_deref(), Some("service"));
    assert_eq!(span.parent_span_id, opentelemetry::trace::SpanId::INVALID);
}

/// Brokers keep messages for days: what is in them of whose they are, nobody reads who has no key.
#[cfg(feature = "confidential")]
#[tokio::test]
async fn a_message_that_the_broker_cannot_read() {
    use crate::confidential::ConfidentialKeys;
    let paserk = crate::Secret::new(format!("k4.local.{}", "A".repeat(43)));
    let keys = Arc::new(ConfidentialKeys::new(("c1", &paserk), []).expect("keys"));
    let lab = Lab::new();
    let mut headers = HashMap::new();
    let producer = lab.producer(NOW).confidential(Arc::clone(&keys));
    with_identity(of(alice()), async { producer.inject("orders", &mut headers) }).await;
    assert!(headers["baggage"].starts_with("hopseal.enc=c1."), "{headers:?}");
    let worker = || lab.consumer(NOW.plus(30)).resealing(Arc::new(worker()));
    for (consumer, assurance) in [(worker().confidential(keys), "sealed"), (worker(), "unknown")] {
        let seen = lab.processed(&consumer, &headers, NOW.plus(30)).await;
        assert_eq!((seen.assurance, seen.leaves.is_some()), (assurance, assurance == "sealed"));
    }
}

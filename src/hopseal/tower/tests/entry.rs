//! The entry span of a request: ours or another's.

use opentelemetry::propagation::TextMapPropagator as _;

use super::*;

/// An entry span that was there before the layer gets what it would have got, also when the request is turned away.
#[tokio::test]
async fn an_entry_span_around_the_layer_is_written_to() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(IdentityProcessor::new("orders"))
        .with_simple_exporter(exporter.clone())
        .build();
    let edited = baggage().replace("acme", "umbrella");
    for (layer, authorization, assurance, error, observed) in [
        (layer(), "Bearer good", "verified", Some("signature"), None),
        (layer(), "Bearer bad", "refused", None, None),
        (layer().observe(), "Bearer bad", "refused", None, Some("true")),
    ] {
        let tracer = provider.tracer("test");
        let cx = Context::new().with_span(tracer.start("entry"));
        let call = {
            let _entered = cx.clone().attach();
            let headers = [
                ("traceparent", TRACEPARENT),
                ("baggage", edited.as_str()),
                ("authorization", authorization),
            ];
            layer.layer(Inner::default()).call(request(&headers))
        };
        call.await.expect("infallible");
        cx.span().end();
        let span = exporter.get_finished_spans().expect("spans").pop().expect("one");
        let found =
            |name| span.attributes.iter().find(|it| it.key.as_str() == name).map(|it| it.value.to_string());
        let found = [ASSURANCE, SEAL_ERROR, OBSERVE].map(found);
        assert_eq!(found.each_ref().map(Option::as_deref), [Some(assurance), error, observed]);
    }
}

fn recorded() -> (SdkTracerProvider, InMemorySpanExporter) {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(IdentityProcessor::new("orders"))
        .with_simple_exporter(exporter.clone())
        .build();
    (provider, exporter)
}

fn tracer(provider: &SdkTracerProvider) -> BoxedTracer {
    BoxedTracer::new(Box::new(provider.tracer("test")))
}

/// Where no span is around, the layer makes one: under the caller's, with the identity that counts, told once.
#[tokio::test]
async fn the_layer_makes_the_entry_span() {
    let (provider, exporter) = recorded();
    let sealed = baggage();
    for (headers, assurance, status) in [
        (vec![("baggage", sealed.as_str())], "sealed", "200"),
        (vec![("baggage", sealed.as_str()), ("authorization", "Bearer good")], "verified", "200"),
        (vec![("authorization", "Bearer bad")], "refused", "401"),
    ] {
        let headers = [&[("traceparent", TRACEPARENT)], &headers[..]].concat();
        answered(layer().spans(tracer(&provider)), &headers).await;
        let spans = exporter.get_finished_spans().expect("spans");
        exporter.reset();
        let [span] = spans.as_slice() else { panic!("{spans:?}") };
        let all = |name: &str| -> Vec<String> {
            let of = span.attributes.iter().filter(|it| it.key.as_str() == name);
            of.map(|it| it.value.to_string()).collect()
        };
        assert_eq!(span.span_kind, SpanKind::Server);
        assert_eq!(span.parent_span_id.to_string(), "0909090909090909");
        assert_eq!(all(ASSURANCE), [assurance], "once");
        assert_eq!(all("http.response.status_code"), [status]);
    }
}

/// A span around the layer that is of the request's trace is its entry span. One of another trace is not, as that of a runtime of
/// functions: the layer goes on with the request's, whose identity it believes, and links to the other.
#[tokio::test]
async fn a_span_around_that_is_of_another_trace_is_no_entry_span() {
    let sealed = baggage();
    for goes_on in [true, false] {
        let (provider, exporter) = recorded();
        let came = opentelemetry_sdk::propagation::TraceContextPropagator::new()
            .extract(&std::collections::HashMap::from([("traceparent".to_owned(), TRACEPARENT.to_owned())]));
        let parent = if goes_on { came } else { Context::new() };
        let around = provider.tracer("test").start_with_context("around", &parent);
        let cx = parent.with_span(around);
        let call = {
            let _entered = cx.clone().attach();
            let headers = [("traceparent", TRACEPARENT), ("baggage", sealed.as_str())];
            layer().spans(tracer(&provider)).layer(Inner::default()).call(request(&headers))
        };
        call.await.expect("infallible");
        cx.span().end();
        let spans = exporter.get_finished_spans().expect("spans");
        let entry = spans.first().expect("one");
        let assurance = entry.attributes.iter().find(|it| it.key.as_str() == ASSURANCE);
        assert_eq!(assurance.map(|it| it.value.to_string()).as_deref(), Some("sealed"));
        assert_eq!(entry.parent_span_id.to_string(), "0909090909090909");
        assert_eq!((spans.len(), entry.links.len()), if goes_on { (1, 0) } else { (2, 1) });
        for link in entry.links.iter() {
            assert_eq!(&link.span_context, cx.span().span_context());
        }
    }
}

/// Only what is asked for is written, and the subject itself if it is.
#[tokio::test]
async fn the_attributes_of_the_entry_span_can_be_chosen() {
    let (provider, exporter) = recorded();
    let layer = layer().spans(tracer(&provider)).attributes([ASSURANCE, "enduser.id"]);
    answered(layer, &[("traceparent", TRACEPARENT), ("authorization", "Bearer good")]).await;
    let spans = exporter.get_finished_spans().expect("spans");
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    let attributes = span.attributes.iter().map(|it| it.key.as_str());
    let mut ours: Vec<&str> =
        attributes.filter(|name| name.starts_with("hopseal.") || name.contains("user.")).collect();
    ours.sort_unstable();
    assert_eq!(ours, ["enduser.id", ASSURANCE]);
}

/// What the handler makes stands under the entry span that the layer made.
#[tokio::test]
async fn what_is_made_within_is_a_child() {
    let (provider, exporter) = recorded();
    let inner = Inner::default();
    let layer = layer().spans(tracer(&provider));
    layer.layer(inner.clone()).call(request(&[])).await.expect("infallible");
    let (.., trace) = inner.0.lock().expect("lock").pop().expect("reached");
    let spans = exporter.get_finished_spans().expect("spans");
    assert_eq!(spans.first().map(|span| span.span_context.trace_id().to_string()), Some(trace));
}

/// At the edge the old trace is linked to, whoever makes the entry span: the layer, somebody around it, somebody within.
#[tokio::test]
async fn a_trace_that_is_not_continued_is_linked_to() {
    let (provider, exporter) = recorded();
    let headers = [("traceparent", TRACEPARENT)];
    answered(layer().edge(&[]).spans(tracer(&provider)), &headers).await;

    let cx = Context::new().with_span(provider.tracer("test").start("around"));
    let call = {
        let _entered = cx.clone().attach();
        layer().edge(&[]).layer(Inner::default()).call(request(&headers))
    };
    call.await.expect("infallible");
    cx.span().end();

    let within = Within(provider.tracer("test"));
    layer().edge(&[]).layer(within).call(request(&headers)).await.expect("infallible");

    let spans = exporter.get_finished_spans().expect("spans");
    assert_eq!(spans.len(), 3);
    for span in spans {
        let linked: Vec<String> =
            span.links.iter().map(|link| link.span_context.trace_id().to_string()).collect();
        assert_eq!(linked, ["4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b"], "{}", span.name);
        assert_ne!(span.span_context.trace_id().to_string(), linked[0]);
    }
}

/// What other systems send is read where it is asked for, and not from strangers.
#[cfg(feature = "neighbours")]
#[tokio::test]
async fn other_systems_are_read_where_that_is_asked_for() {
    use crate::neighbours::{B3, DatadogUser};
    let headers = [
        ("b3", "4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b-0909090909090909-1"),
        ("x-datadog-tags", "_dd.p.usr.id=YWxpY2U="),
    ];
    let user = || DatadogUser::new(crate::seal::testing::pseudonyms());
    let none = "00000000000000000000000000000000";
    for (layer, assurance, trace) in [
        (layer(), "anonymous", none),
        (layer().traces(B3::single()).also(user()), "asserted", "4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b"),
        (layer().traces(B3::single()).also(user()).edge(&[]), "anonymous", none),
    ] {
        let (_, _, seen) = answered(layer, &headers).await;
        let (_, word, found) = seen.expect("reached");
        assert_eq!((word.as_str(), found.as_str()), (assurance, trace));
    }
}

/// A service that makes its own entry span.
#[derive(Clone)]
struct Within(opentelemetry_sdk::trace::SdkTracer);

impl Service<Request<()>> for Within {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let tracer = self.0.clone();
        Box::pin(async move {
            tracer.start("within");
            Ok(Response::new(String::new()))
        })
    }
}

//! Where OpenTelemetry and `tracing` lose what is in a context, case by case (`tracing-opentelemetry` 0.34, contexts activated), and
//! that an identity is not lost there. The letters are those of the list we keep.

use hopseal_identity::Assurance;
use hopseal_identity::attribute::ASSURANCE;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::otel::{carried, carried_fn, with_identity};

/// Runs with `tracing` over a recorder, and returns the spans.
fn traced(run: impl Future<Output = ()>) -> Vec<SpanData> {
    let (provider, exporter) = recorder(IdentityProcessor::new(ORDERS).all_spans());
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(run);
    });
    exporter.get_finished_spans().expect("spans")
}

fn assurance() -> Option<Assurance> {
    HopIdentity::current().map(|identity| identity.assurance())
}

/// Some work in a span of its own, with an `.await` in it.
async fn work(name: &'static str) {
    let span = match name {
        "inner" => tracing::info_span!("inner"),
        _ => tracing::info_span!("other"),
    };
    async {
        tokio::task::yield_now().await;
        assert_eq!(assurance(), Some(Assurance::Verified), "{name}");
    }
    .instrument(span)
    .await;
    assert_eq!(assurance(), Some(Assurance::Verified), "after {name}");
}

#[track_caller]
fn is_child(spans: &[SpanData], child: &str, parent: &str) {
    assert_eq!(
        named(spans, child).parent_span_id,
        named(spans, parent).span_context.span_id(),
        "{child} of {parent}"
    );
}

#[track_caller]
fn is_marked(spans: &[SpanData], name: &str) {
    assert_eq!(attribute(named(spans, name), ASSURANCE).as_deref(), Some("verified"), "{name}");
}

/// The supported way: the context of the request as the parent of a span that has not been entered yet.
#[test]
fn a_set_parent_before_the_span_is_entered() {
    let spans = traced(async {
        let span = tracing::info_span!("outer");
        span.set_parent(remote().with_value(verified())).expect("not started");
        work("inner").instrument(span).await;
    });
    is_child(&spans, "inner", "outer");
    assert!(named(&spans, "outer").parent_span_is_remote);
    is_marked(&spans, "outer");
    is_marked(&spans, "inner");
}

/// Too late for a parent; not for the identity.
#[test]
fn b_set_parent_after_the_span_has_started() {
    let spans = traced(async {
        let span = tracing::info_span!("outer");
        let _started = span.context();
        span.set_parent(remote()).expect_err("started");
        with_identity(verified(), work("inner")).instrument(span).await;
    });
    is_child(&spans, "inner", "outer");
    is_marked(&spans, "inner");
}

/// Each poll enters the span again, and puts its own context in place of what was attached inside.
#[test]
fn c_attached_inside_of_an_entered_span() {
    let spans = traced(async {
        let bare = async {
            let guard = Context::current().with_baggage([KeyValue::new("k", "v")]).attach();
            drop(guard);
            tokio::task::yield_now().await;
            assert_eq!(
                Context::current().baggage().len(),
                0,
                "lost, if this is not it any more the helper is not needed"
            );
        };
        bare.instrument(tracing::info_span!("bare")).await;
        async { with_identity(verified(), work("inner")).await }
            .instrument(tracing::info_span!("outer"))
            .await;
    });
    is_child(&spans, "inner", "outer");
    is_marked(&spans, "inner");
}

/// With the plain `with_context` inside, the span is no parent any more.
#[test]
fn d_a_context_inside_of_an_instrumented_future() {
    let spans = traced(async {
        with_identity(verified(), work("inner")).instrument(tracing::info_span!("outer")).await;
        let plain = async { drop(tracing::info_span!("orphan").entered()) };
        plain.with_context(Context::new()).instrument(tracing::info_span!("no parent")).await;
    });
    is_child(&spans, "inner", "outer");
    is_marked(&spans, "inner");
    assert_eq!(named(&spans, "orphan").parent_span_id, SpanId::INVALID, "why there is a helper");
}

/// The span was built before, with a context of its own, which replaces the one around it.
#[test]
fn e_a_context_around_an_instrumented_future() {
    let spans = traced(async {
        let span = tracing::info_span!("outer");
        let _built = span.context();
        with_identity(verified(), work("inner").instrument(span)).await;
        let span = tracing::info_span!("earlier");
        let _built = span.context();
        let lost = async { assert_eq!(Context::current().baggage().len(), 0, "why there is a helper") };
        lost.instrument(span).with_context(Context::current().with_baggage([KeyValue::new("k", "v")])).await;
    });
    is_child(&spans, "inner", "outer");
    is_marked(&spans, "inner");
}

/// What is made inside has everything, across each `.await`.
#[test]
fn f_a_span_made_inside() {
    let spans = traced(with_identity(verified(), async {
        work("inner").await;
        work("other").await;
    }));
    is_marked(&spans, "inner");
    is_marked(&spans, "other");
}

/// `Context::current_with_span` begins with an empty context.
#[test]
fn g_a_context_made_of_a_span_alone() {
    let (provider, exporter) = recorder(IdentityProcessor::new(ORDERS).all_spans());
    let tracer = provider.tracer("test");
    tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(with_identity(
        verified(),
        async {
            let cx = Context::new().with_span(tracer.start("outer"));
            let future = async {
                tokio::task::yield_now().await;
                assert_eq!(assurance(), Some(Assurance::Verified));
                drop(tracer.start("inner"));
                let sent = injected(&propagator(), &Context::current()).expect("baggage");
                assert!(sent.starts_with("hopseal.sub="), "{sent}");
            };
            future.with_context(cx).await;
        },
    ));
    let spans = exporter.get_finished_spans().expect("spans");
    is_child(&spans, "inner", "outer");
    is_marked(&spans, "inner");
}

/// A new thread or task begins with nothing.
#[test]
fn h_another_thread_or_task() {
    let spans = traced(async {
        let outer = async {
            let lost =
                std::thread::spawn(|| (assurance(), Context::current().span().span_context().is_valid()));
            assert_eq!(lost.join().expect("joins"), (None, false), "why there are helpers");
            let kept = || (assurance(), Context::current().span().span_context().is_valid());
            let thread = std::thread::spawn(carried_fn(kept));
            assert_eq!(thread.join().expect("joins"), (Some(Assurance::Verified), true));
            tokio::spawn(carried(work("inner"))).await.expect("joins");
            #[cfg(feature = "tokio")]
            {
                crate::otel::spawn(work("other")).await.expect("joins");
                let blocking = crate::otel::spawn_blocking(kept).await.expect("joins");
                assert_eq!(blocking, (Some(Assurance::Verified), true));
            }
        };
        with_identity(verified(), outer).instrument(tracing::info_span!("outer")).await;
    });
    is_child(&spans, "inner", "outer");
    is_marked(&spans, "inner");
}

/// Two requests on one thread, polled in turns, each keep their own.
#[test]
fn turns_do_not_mix_identities() {
    let (provider, exporter) = recorder(IdentityProcessor::new(ORDERS));
    let tracer = provider.tracer("test");
    let request = |identity: HopIdentity| {
        let (tracer, expected) = (tracer.clone(), identity.assurance());
        with_identity(identity, async move {
            for _ in 0..10 {
                assert_eq!(assurance(), Some(expected));
                tokio::task::yield_now().await;
                drop(tracer.start(expected.as_str()));
            }
        })
    };
    tokio::runtime::Builder::new_current_thread().build().expect("runtime").block_on(async {
        let other = async {
            for _ in 0..10 {
                assert_eq!(assurance(), None);
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(request(verified()), request(HopIdentity::anonymous()), other);
        assert_eq!(assurance(), None);
    });
    for span in exporter.get_finished_spans().expect("spans") {
        assert_eq!(attribute(&span, ASSURANCE).as_deref(), Some(span.name.as_ref()));
    }
}

/// A future that panics, or is dropped half way, leaves nothing behind.
#[test]
fn nothing_is_left_behind() {
    let caught = std::panic::catch_unwind(|| {
        let mut panics = std::pin::pin!(with_identity(verified(), async { panic!("on purpose") }));
        let _ = panics.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    });
    assert!(caught.is_err());
    assert_eq!(assurance(), None);
    let mut dropped = Box::pin(with_identity(verified(), std::future::pending::<()>()));
    assert!(
        dropped.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
    );
    drop(dropped);
    assert_eq!(assurance(), None);
}

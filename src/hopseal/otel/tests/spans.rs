//! What stands on spans, with the bare OpenTelemetry API.

use hopseal_identity::attribute::{
    ACTORS, ASSURANCE, EXP, HOP_AFTER, HOP_BEFORE, LEAK_STOPPED, METHOD, REASON, SEAL, SEAL_ERROR,
    SEALED_MEMBERS, SUB, WORKLOAD,
};
use hopseal_identity::seal::Members;
use opentelemetry::Value;
use opentelemetry::trace::{SpanKind, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::trace::Sampler;

use super::*;
use crate::otel::DEFAULT_ATTRIBUTES;
use crate::seal::testing::checker;
use crate::{Reason, Refused};

/// A request with an entry span, a span within and an exit span, in a context.
fn request(processor: IdentityProcessor, cx: &Context) -> (Vec<SpanData>, Option<String>) {
    let (provider, exporter) = recorder(processor);
    let tracer = provider.tracer("test");
    let span = tracer.span_builder("entry").with_kind(SpanKind::Server).start_with_context(&tracer, cx);
    let entry = cx.with_span(span);
    let within = entry.with_span(tracer.start_with_context("within", &entry));
    let exit = tracer.span_builder("exit").with_kind(SpanKind::Client).start_with_context(&tracer, &within);
    let exit = within.with_span(exit);
    let sent = injected(&propagator(), &exit);
    for cx in [exit, within, entry] {
        cx.span().end();
    }
    (exporter.get_finished_spans().expect("spans"), sent)
}

/// From the span alone the seal can be checked again: what makes a hop `reverified`.
pub(super) fn reverify(span: &SpanData) {
    let mut members = Members::default();
    let values: Vec<(&str, String)> =
        SEALED_MEMBERS.iter().filter_map(|name| Some((*name, attribute(span, name)?))).collect();
    for (name, value) in &values {
        members.set(name, value).expect("legal");
    }
    let carried = Carried::new(&members, attribute(span, SEAL).as_deref(), None).expect("legal");
    checker().check(&carried, span.span_context.trace_id().to_bytes(), NOW).expect("valid");
}

#[test]
fn what_was_validated_stands_on_the_entry_span_with_a_seal() {
    let (spans, _) = request(IdentityProcessor::new(ORDERS), &remote().with_value(verified()));
    let entry = named(&spans, "entry");
    let fingerprint = crate::seal::testing::pseudonyms().current().fingerprint(&[1; 32]);
    for (name, value) in [
        (ASSURANCE, "verified"),
        (METHOD, "access_token"),
        ("hopseal.kind", "user"),
        ("hopseal.iss", "staff"),
        ("hopseal.tenant", "acme"),
        ("hopseal.client", "web"),
        ("hopseal.alg", "RS256"),
        ("hopseal.kid", "idp-1"),
        ("hopseal.token_fingerprint", &fingerprint),
        (WORKLOAD, ORDERS),
        (ACTORS, r#"["agent:planner"]"#),
        ("hopseal.scopes", r#"["orders:read"]"#),
        ("user.roles", r#"["buyer"]"#),
        ("hopseal.audience", r#"["orders"]"#),
    ] {
        assert_eq!(attribute(entry, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(attribute(entry, "enduser.pseudo.id"), attribute(entry, SUB));
    let exp = entry
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == EXP)
        .map(|attribute| &attribute.value);
    assert!(matches!(exp, Some(Value::I64(_))), "{exp:?}");
    reverify(entry);
    let text = format!("{:?}", entry.attributes);
    assert!(
        !text.contains("alice") && !text.contains("s-1"),
        "the subject and its session do not show: {text}"
    );
    for name in ["within", "exit"] {
        assert_eq!(attribute(named(&spans, name), SUB), None, "{name}");
    }
}

#[test]
fn what_came_sealed_stands_there_as_it_came() {
    let propagator = propagator().checking(Arc::new(checker()));
    let cx = propagator.extract_with_context(&remote(), &Headers(&[&header()]));
    let (spans, sent) = request(IdentityProcessor::new(ORDERS), &cx);
    let entry = named(&spans, "entry");
    assert_eq!(attribute(entry, ASSURANCE).as_deref(), Some("sealed"));
    assert_eq!(attribute(entry, METHOD).as_deref(), Some("seal"));
    reverify(entry);
    let hop = |span, name| attribute(span, name).and_then(|text| CrossingCount::parse(&text)).expect(name);
    let (before, after) = (hop(entry, HOP_BEFORE), hop(named(&spans, "exit"), HOP_AFTER));
    assert_eq!(before.next(ORDERS, named(&spans, "exit").span_context.span_id().to_bytes()), after);
    assert_eq!(identity_of(&sent.expect("baggage")).hop(), Some(after));
}

#[test]
fn what_is_wrong_is_said() {
    let refused = Refused::new(Reason::Expired, "long ago");
    for (identity, assurance, reason, error) in [
        (HopIdentity::anonymous(), "anonymous", None, None),
        (HopIdentity::refused(&refused), "refused", Some("expired"), None),
        (
            HopIdentity::checked(sealed(), &checker(), [7; 16], NOW),
            "asserted",
            Some("seal_trace"),
            Some("trace"),
        ),
        (
            HopIdentity::unreadable(hopseal_identity::seal::SealFault::Malformed),
            "unknown",
            Some("seal_malformed"),
            Some("malformed"),
        ),
    ] {
        let (spans, _) = request(IdentityProcessor::new(ORDERS), &remote().with_value(identity));
        let entry = named(&spans, "entry");
        let found = [ASSURANCE, REASON, SEAL_ERROR].map(|name| attribute(entry, name));
        assert_eq!(found.each_ref().map(Option::as_deref), [Some(assurance), reason, error]);
    }
    let (spans, _) = request(IdentityProcessor::new(ORDERS), &remote());
    assert_eq!(named(&spans, "entry").attributes, [], "nothing is known");
}

#[test]
fn only_what_is_asked_for_is_written() {
    let cx = remote().with_value(verified());
    let (spans, _) = request(IdentityProcessor::new(ORDERS).attributes(["enduser.id", ASSURANCE]), &cx);
    let names = |span: &SpanData| {
        let mut names: Vec<String> =
            span.attributes.iter().map(|attribute| attribute.key.to_string()).collect();
        names.sort();
        names
    };
    assert_eq!(names(named(&spans, "entry")), ["enduser.id", ASSURANCE]);
    assert_eq!(attribute(named(&spans, "entry"), "enduser.id").as_deref(), Some("alice"));

    let (spans, _) = request(IdentityProcessor::new(ORDERS).all_spans(), &cx);
    assert_eq!(names(named(&spans, "within")), [ASSURANCE, "hopseal.kind", SUB, "hopseal.tenant"]);
    assert!(names(named(&spans, "entry")).iter().all(|name| DEFAULT_ATTRIBUTES.contains(&name.as_str())));
}

#[test]
fn all_that_is_known_is_written_but_for_the_subject() {
    let mut told: Vec<&str> = Vec::new();
    for identity in [verified().observed(), HopIdentity::checked(sealed(), &checker(), [7; 16], NOW)] {
        crate::otel::attributes::tell(
            &identity,
            crate::otel::attributes::Sealing::Now(TRACE, NOW),
            &mut |name, _| {
                told.push(name);
            },
        );
    }
    told.retain(|name| !DEFAULT_ATTRIBUTES.contains(name));
    assert_eq!(told, ["enduser.id"]);
}

#[test]
fn an_identity_that_was_held_back_shows() {
    let cx = remote().with_value(verified()).with_value(Egress::Denied);
    let (spans, sent) = request(IdentityProcessor::new(ORDERS), &cx);
    assert_eq!(sent, None);
    let exit = named(&spans, "exit");
    assert_eq!((attribute(exit, LEAK_STOPPED).as_deref(), attribute(exit, HOP_AFTER)), (Some("true"), None));
}

/// An identity that this service may not seal is on its span all the same, and goes nowhere.
#[test]
fn what_may_not_be_sealed_stays_here() {
    let mut verified = alice();
    verified.principal.tenant = Some("umbrella".to_owned());
    let identity = HopIdentity::verified(Arc::new(verified), Arc::new(gateway()), None).expect("randomness");
    let (spans, sent) = request(IdentityProcessor::new(ORDERS), &remote().with_value(identity));
    assert_eq!(sent, None);
    let entry = named(&spans, "entry");
    assert_eq!(attribute(entry, "hopseal.tenant").as_deref(), Some("umbrella"));
    assert_eq!((attribute(entry, SEAL), attribute(entry, SUB).is_some()), (None, true));
}

/// Where it may not go, nobody tries to seal it: one that cannot be sealed is held back as any other.
#[test]
fn what_may_not_leave_is_not_sealed_to_find_that_out() {
    let mut verified = alice();
    verified.principal.tenant = Some("umbrella".to_owned());
    let identity = HopIdentity::verified(Arc::new(verified), Arc::new(gateway()), None).expect("can travel");
    for (egress, marked) in [(Egress::Denied, Some("true")), (Egress::Allowed, None)] {
        let cx = remote().with_value(identity.clone()).with_value(egress);
        let (spans, sent) = request(IdentityProcessor::new(ORDERS).attributes([ASSURANCE]), &cx);
        assert_eq!(sent, None);
        assert_eq!(attribute(named(&spans, "exit"), LEAK_STOPPED).as_deref(), marked, "{egress:?}");
    }
}

/// Nothing is written on a span that nobody records; the identity travels all the same.
#[test]
fn sampling_does_not_lose_an_identity() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOff)
        .with_span_processor(IdentityProcessor::new(ORDERS))
        .with_simple_exporter(exporter.clone())
        .build();
    let tracer = provider.tracer("test");
    let cx = remote().with_value(verified());
    let cx = cx.with_span(tracer.start_with_context("entry", &cx));
    let sent = injected(&propagator(), &cx).expect("baggage");
    checker().check(&identity_of(&sent), TRACE, NOW).expect("valid");
    cx.span().end();
    assert_eq!(exporter.get_finished_spans().expect("spans").len(), 0);
}

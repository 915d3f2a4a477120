use std::collections::HashMap;

use hopseal_identity::Assurance;
use hopseal_identity::attribute::{ISS, SUB};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt as _;

use super::*;
use crate::otel::{HopIdentity, Propagator};
use crate::seal::testing::pseudonyms;

fn headers(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const LONG: &str = "80f198ee56343ba864fe8b2a57d3eff7";
const SHORT: &str = "64fe8b2a57d3eff7";
const ID: &str = "e457b5a2e4d86bd1";

#[test]
fn b3_is_read_in_each_of_its_forms() {
    let padded = format!("{}{SHORT}", "0".repeat(16));
    let one = |text: String| headers(&[("b3", &text)]);
    let many = |trace, more: &[(&str, &str)]| {
        headers(&[&[("x-b3-traceid", trace), ("x-b3-spanid", ID)], more].concat())
    };
    for (name, headers, expected) in [
        ("single", one(format!("{LONG}-{ID}-1")), Some((LONG, true))),
        ("with a parent", one(format!("{LONG}-{ID}-1-05e3ac9a4f6e3b90")), Some((LONG, true))),
        ("of 64 bits", one(format!("{SHORT}-{ID}-0")), Some((padded.as_str(), false))),
        ("debug", one(format!("{LONG}-{ID}-d")), Some((LONG, true))),
        ("undecided", one(format!("{LONG}-{ID}")), Some((LONG, false))),
        ("a decision alone", one("0".to_owned()), None),
        ("upper case", one(format!("{}-{ID}-1", LONG.to_uppercase())), None),
        ("another length", one(format!("{LONG}0-{ID}-1")), None),
        ("of nothing", one(format!("{}-{ID}-1", "0".repeat(32))), None),
        ("another decision", one(format!("{LONG}-{ID}-2")), None),
        ("too many parts", one(format!("{LONG}-{ID}-1-{ID}-1")), None),
        ("several", many(LONG, &[("x-b3-sampled", "1")]), Some((LONG, true))),
        ("several, of 64 bits", many(SHORT, &[("x-b3-sampled", "0")]), Some((padded.as_str(), false))),
        ("several, old", many(LONG, &[("x-b3-sampled", "true")]), Some((LONG, true))),
        ("several, debug", many(LONG, &[("x-b3-flags", "1")]), Some((LONG, true))),
        (
            "the single one counts",
            many(LONG, &[("b3", &format!("{SHORT}-{ID}-1"))]),
            Some((padded.as_str(), true)),
        ),
        ("a single one that is broken spoils it", many(LONG, &[("b3", "x")]), None),
        ("none", headers(&[]), None),
    ] {
        let cx = B3::single().extract(&headers);
        let span = cx.span().span_context().clone();
        let found = span.is_valid().then(|| (span.trace_id().to_string(), span.is_sampled()));
        assert_eq!(found.as_ref().map(|(trace, sampled)| (trace.as_str(), *sampled)), expected, "{name}");
    }
}

#[test]
fn b3_is_written_in_one_form_and_read_back() {
    let cx = B3::single().extract(&headers(&[("b3", &format!("{LONG}-{ID}-1"))]));
    for (propagator, names) in
        [(B3::single(), vec!["b3"]), (B3::multiple(), vec!["x-b3-sampled", "x-b3-spanid", "x-b3-traceid"])]
    {
        let mut carrier = HashMap::new();
        propagator.inject_context(&cx, &mut carrier);
        let mut written: Vec<&str> = carrier.keys().map(String::as_str).collect();
        written.sort_unstable();
        assert_eq!(written, names);
        assert_eq!(B3::multiple().extract(&carrier).span().span_context(), cx.span().span_context());
        let mut none = HashMap::new();
        propagator.inject_context(&Context::new(), &mut none);
        assert!(none.is_empty());
    }
}

/// Plain fields become baggage and plain fields again, beside what came as baggage; never one of ours.
#[test]
fn plain_fields_are_baggage_of_others() {
    let fields = PlainFields::new(["X-Country", "x-tier", "hopseal.sub", "Hopseal%2Ekind"]);
    let came = headers(&[
        ("x-country", "FR"),
        ("baggage-x-tier", "gold"),
        ("hopseal.sub", "p1.mallory"),
        ("baggage", "theme=dark,x-country=DE"),
    ]);
    let cx = fields.extract_with_context(&Propagator::new("orders").extract(&came), &came);
    let value = |name: &str| cx.baggage().get(name).map(|value| value.as_str().to_owned());
    assert_eq!(
        ["theme", "x-country", "x-tier"].map(value),
        ["dark", "DE", "gold"].map(|it| Some(it.to_owned()))
    );
    assert_eq!(value("hopseal.sub"), None);
    assert!(cx.get::<HopIdentity>().is_none());
    let mut carrier = HashMap::new();
    fields.inject_context(&cx, &mut carrier);
    assert_eq!(carrier, headers(&[("x-country", "DE"), ("x-tier", "gold")]));
}

/// Somebody's word, under a pseudonym, and only where there is nothing better.
#[test]
fn the_user_of_datadog_is_an_assertion() {
    let reader = DatadogUser::new(pseudonyms());
    let of = |tags: &str| {
        let cx = reader.extract(&headers(&[("x-datadog-tags", tags)]));
        cx.get::<HopIdentity>().cloned()
    };
    let alice = of("_dd.p.dm=-4,_dd.p.usr.id=YWxpY2U=").expect("an identity");
    assert_eq!(alice.assurance(), Assurance::Asserted);
    let carried = alice.carried().expect("members");
    assert_eq!(carried.get(ISS), Some("datadog"));
    assert_eq!(carried.get(SUB), Some(pseudonyms().current().of("datadog", "alice").as_str()));
    assert!(carried.seal().is_none());
    for tags in [
        "",
        "_dd.p.dm=-4",
        "_dd.p.usr.id=",
        "_dd.p.usr.id=%%%",
        "_dd.p.usr.id=/w==",
        "_dd.p.usr.id=YQ==,_dd.p.usr.id=Yg==",
        &format!("_dd.p.usr.id=YQ==,x={}", "y".repeat(512)),
    ] {
        assert!(of(tags).is_none(), "{tags}");
    }
    let better = Context::new().with_value(HopIdentity::anonymous());
    let cx = reader.extract_with_context(&better, &headers(&[("x-datadog-tags", "_dd.p.usr.id=YQ==")]));
    assert_eq!(cx.get::<HopIdentity>().map(HopIdentity::assurance), Some(Assurance::Anonymous));
}

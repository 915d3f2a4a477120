use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::damage::{CONDITIONS, damage, surviving};
use super::span::{Kind, SpanId, TraceId};
use super::truth::Subject;
use super::{Corpus, RULES, Settings, generate, otlp};

/// Enough for every fault of the table.
const WHOLE: usize = 6_000;

fn by_id(corpus: &Corpus) -> BTreeMap<SpanId, &super::span::Span> {
    corpus.spans.iter().map(|span| (span.id, span)).collect()
}

#[test]
fn every_rule_is_made_true_and_a_third_of_the_traces_only_look_so() {
    let corpus = generate(Settings { seed: 1, traces: WHOLE });
    let truth = &corpus.truth;
    let made: BTreeSet<&str> = truth.injected.iter().map(|injected| injected.rule).collect();
    assert_eq!(made.into_iter().collect::<Vec<_>>(), RULES);
    assert!(
        truth.near_miss_traces * 100 >= truth.traces * 30,
        "{} of {}",
        truth.near_miss_traces,
        truth.traces
    );
    let recipes: BTreeSet<&str> = truth.near_misses.iter().map(|near_miss| near_miss.recipe).collect();
    let missing: Vec<&str> = super::near_miss::names().filter(|name| !recipes.contains(name)).collect();
    assert_eq!(missing, [""; 0]);
    let guarded: BTreeSet<&str> = truth.near_misses.iter().flat_map(|it| it.guards).copied().collect();
    let unguarded: Vec<&str> = RULES.iter().filter(|rule| !guarded.contains(**rule)).copied().collect();
    assert_eq!(unguarded, ["audit_gap"], "which has no false positives: it only counts");
}

#[test]
fn graphs_are_small_and_large() {
    let corpus = generate(Settings { seed: 1, traces: WHOLE });
    let mut services: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for span in &corpus.spans {
        services.entry(&span.resource.namespace).or_default().insert(&span.resource.service);
    }
    let sizes: BTreeSet<usize> = services.values().map(BTreeSet::len).collect();
    assert!(sizes.first() <= Some(&2) && sizes.last() >= Some(&45) && sizes.last() <= Some(&60), "{sizes:?}");
}

#[test]
fn otlp_says_the_same() {
    use opentelemetry_proto::tonic::trace::v1::TracesData;
    use prost::Message as _;
    let corpus = generate(Settings { seed: 3, traces: 100 });
    let read = TracesData::decode(otlp::encode(&corpus.spans).as_slice()).unwrap();
    let spans: Vec<_> =
        read.resource_spans.iter().flat_map(|of| &of.scope_spans).flat_map(|of| &of.spans).collect();
    assert_eq!(spans.len(), corpus.spans.len());
    let known = by_id(&corpus);
    for span in spans {
        let id = SpanId(span.span_id.as_slice().try_into().unwrap());
        let from = known[&id];
        assert_eq!((&span.name, span.attributes.len()), (&from.name, from.attributes.iter().count()));
        assert_eq!(span.trace_id, from.trace.0);
    }
}

/// What has to hold whatever the seed.
fn sound(corpus: &Corpus) {
    let spans = by_id(corpus);
    assert_eq!(spans.len(), corpus.spans.len(), "a span id stands for one span");
    let traces: BTreeSet<TraceId> = corpus.spans.iter().map(|span| span.trace).collect();
    assert!(!traces.contains(&TraceId([0; 16])) && !spans.contains_key(&SpanId([0; 8])));
    for span in &corpus.spans {
        assert!(span.start < span.end, "{} of {} takes no time", span.name, span.resource.service);
        if let Some(parent) = span.parent.and_then(|parent| spans.get(&parent)) {
            assert_eq!(parent.trace, span.trace);
        }
        for link in &span.links {
            assert_eq!(spans[&link.span].trace, link.trace);
        }
    }
    for injected in &corpus.truth.injected {
        let hop = spans.get(&injected.span_id).unwrap_or_else(|| panic!("no span of {injected:?}"));
        assert_eq!((hop.trace, &hop.resource.service), (injected.trace_id, &injected.service));
        assert!(
            matches!(hop.kind, Kind::Server | Kind::Consumer) || injected.rule == "agent_without_principal"
        );
        assert!(
            injected.evidence.contains(&injected.span_id)
                || injected.subject != Subject::Span
                || injected.evidence.len() == 1
        );
        for id in injected.evidence.iter().chain(&injected.also) {
            assert!(spans.contains_key(id), "{injected:?} needs a span that is not there");
        }
    }
    for near_miss in &corpus.truth.near_misses {
        assert!(spans.contains_key(&near_miss.span_id) && traces.contains(&near_miss.trace_id));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_seed_gives_one_sound_corpus(seed: u64) {
        let settings = Settings { seed, traces: 150 };
        let corpus = generate(settings);
        sound(&corpus);
        prop_assert!(corpus.truth.traces >= settings.traces);
        prop_assert_eq!(generate(settings), corpus);
    }

    #[test]
    fn damage_only_takes_away(seed: u64, condition in 0..CONDITIONS.len()) {
        let corpus = generate(Settings { seed, traces: 60 });
        let (name, how) = CONDITIONS[condition];
        let after = damage(&corpus, how, seed);
        prop_assert_eq!(&damage(&corpus, how, seed), &after);
        let (before, left) = (surviving(&corpus.spans), surviving(&after.spans));
        prop_assert!(left.is_subset(&before), "{}", name);
        prop_assert!(how.lost > 0 || how.unsampled > 0 || left == before, "{}", name);
        prop_assert!(after.truth.injected.starts_with(&corpus.truth.injected));
        let holes = &after.truth.injected[corpus.truth.injected.len()..];
        let seen = |hole: &super::truth::Injected| hole.evidence.iter().all(|id| left.contains(id));
        prop_assert!(holes.iter().all(seen), "{}", name);
    }
}

#[test]
fn loss_takes_about_what_it_says() {
    let corpus = generate(Settings { seed: 5, traces: 300 });
    for (name, how) in CONDITIONS {
        let left = damage(&corpus, how, 5).spans;
        let unique = surviving(&left).len();
        let expected = corpus.spans.len() * (1000 - how.lost as usize) / 1000;
        let slack = if how.unsampled > 0 { corpus.spans.len() / 20 } else { corpus.spans.len() / 80 };
        assert!(unique.abs_diff(expected) <= slack, "{name}: {unique} of {}", corpus.spans.len());
        assert_eq!(left.len() > unique, how.duplicated > 0, "{name}");
    }
}

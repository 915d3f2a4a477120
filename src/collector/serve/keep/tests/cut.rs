//! A delivery that is cut short.

use hopseal_correlate::intake::Intake;
use hopseal_correlate::words::Words;

use super::*;
use crate::serve::keep::reading::{Read, Stage, read};

/// Scenario: of deliveries that are read one after the other into one run, one is cut short.
/// Guarantees: it is said to be; the run is as if it had not come, with the links and the texts of the others alone.
#[test]
fn a_delivery_that_is_cut_short_leaves_its_run_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let (own, rules) = (OwnKey::of(folder.path()).expect("a key"), rules());
    let dialects = Arc::clone(&rules.load().dialects);
    let run = |bodies: &[&[u8]]| {
        let (share, mut words) = (Share::all(1).remove(0), Words::default());
        let mut intake = Intake::new(&dialects, &mut words, Stage::new(share, true));
        let said: Vec<Read> =
            bodies.iter().map(|body| read(&delivery(body.to_vec()), &own, &mut intake)).collect();
        let stage = intake.get_mut();
        let (records, links) = (std::mem::take(&mut stage.records), std::mem::take(&mut stage.links));
        let mut packer = stage.packer.take().expect("one");
        let mut packed = Vec::new();
        packer.pack(&records, intake.words(), &dialects, &mut packed);
        let mut spans = Vec::new();
        unpack(&packed, &dialects, |trace_id, record| spans.push((trace_id, record.to_vec())))
            .expect("whole");
        (said, links, spans, packed)
    };
    let [first, other, last] = [2, 3, 4].map(|seed| otlp::encode(&corpus(seed, 60)));
    let cut = &other[..other.len() - 1];
    let (said, links, spans, packed) = run(&[&first, cut, &last]);
    let (expected, expected_links, expected_spans, _) = run(&[&first, &last]);
    let Read { spans: taken, rejected, reason, malformed } = &said[1];
    assert_eq!((*taken, *rejected, *malformed), (0, 0, true));
    assert!(reason.as_ref().is_some_and(|reason| reason.contains("cut short")), "{reason:?}");
    assert_eq!([&said[0], &said[2]], [&expected[0], &expected[1]]);
    assert!(spans == expected_spans && links == expected_links);
    let (_, others_links, others_spans, _) = run(&[&other]);
    assert!(!others_links.is_empty() && !others_spans.is_empty());
    let begin = &others_spans[0].0.0;
    assert!(!packed.windows(16).any(|part| part == begin), "no trace of it is written");
}

//! What cannot be decoded, and what can be in part.

use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message as _;

use super::whole::{HOPS, SPANS, Said, Way, Whole, traces};

/// Scenario: by each protocol and in each encoding a body ends too early, anywhere; then the same body comes whole.
/// Guarantees: what cannot be decoded is refused for good, and nothing of it is kept, on any thread; sent whole, each span is there
/// once.
#[tokio::test]
async fn a_body_that_is_cut_short_is_refused_and_leaves_nothing() {
    let whole = Whole::start("store: {threads: 2, alarm_under: '1', refuse_under: '1'}").await;
    for (way, begin) in Way::ALL.into_iter().zip(1..) {
        let (sent, before) = (traces([begin, 0], 4), whole.taken(way));
        let body = way.encode(&sent);
        let is_cut = |end: &usize| way == Way::Json || TracesData::decode(&body[..*end]).is_err();
        for end in (1..body.len()).step_by(23).chain([body.len() - 1]).filter(is_cut) {
            let expected = Said::Refused { status: way.status(400), code: 3, seconds: None };
            assert_eq!(whole.send(way, body[..end].to_vec()).await, expected, "{way:?} {end}");
        }
        whole.settle();
        assert_eq!((whole.taken(way), whole.hops(&sent).len()), (before, 0), "{way:?}");

        assert_eq!(whole.send(way, body).await, Said::all_taken());
        whole.settle();
        assert_eq!((whole.taken(way) - before, whole.hops(&sent).len()), (4 * SPANS, 4 * HOPS), "{way:?}");
        let trace = whole.keeper.store().trace(whole.hops(&sent)[0].trace_id).expect("a store");
        assert!(trace.expect("a trace").judged.complete, "{way:?}");
    }
    for protocol in ["otlp_http", "otlp_grpc"] {
        let metric = |name: &str| whole.counted(&format!("hopseal_receive_{name}"));
        assert_eq!(metric(&format!("rejected_spans_total{{protocol=\"{protocol}\"}}")), 0);
        assert!(metric(&format!("requests_total{{protocol=\"{protocol}\",result=\"malformed\"}}")) > 10);
    }
    whole.end().await;
}

/// Scenario: spans whose ids are none among good ones; then something wrong with what is no span.
/// Guarantees: exactly so many are said to be rejected, with a reason, and the others are taken; what costs no span is said and counts
/// none.
#[tokio::test]
async fn bad_spans_of_a_whole_body_are_counted_exactly() {
    let whole = Whole::start("store: {threads: 3, alarm_under: '1', refuse_under: '1'}").await;
    for (way, begin) in Way::ALL.into_iter().zip(1..) {
        for bad in [1, 3, 4] {
            let (mut sent, before) = (traces([begin, bad], 4), whole.taken(way));
            let spans = &mut sent.resource_spans[1].scope_spans[0].spans;
            for span in spans.iter_mut().take(usize::from(bad)) {
                span.span_id = if bad == 3 { vec![0; 8] } else { vec![1; 7] };
            }
            let said = whole.send(way, way.encode(&sent)).await;
            let Said::Taken { rejected, message } = said else { panic!("{way:?}: {said:?}") };
            assert_eq!(rejected, i64::from(bad), "{way:?}");
            assert!(message.contains("the span id is not 8 bytes"), "{message}");
            assert_eq!(whole.taken(way) - before, 4 * SPANS - u64::from(bad), "{way:?}");
        }
        let mut sent = traces([begin, 9], 1);
        let resource = sent.resource_spans[0].resource.as_mut().expect("one");
        resource.attributes.push(super::whole::text("note", "?!"));
        // No text, and no escape of JSON.
        let mut body = way.encode(&sent);
        let at = body.windows(2).position(|two| two == b"?!").expect("there");
        body[at] = 0xff;
        let said = whole.send(way, body).await;
        assert!(
            matches!(&said, Said::Taken { rejected: 0, message } if message.contains("UTF-8")),
            "{way:?}: {said:?}"
        );
    }
    whole.end().await;
}

//! More comes than the disk keeps up with.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::whole::{HOPS, SPANS, Said, Way, Whole, traces};
use crate::serve::disk::scripted::ScriptedDisk;

/// Deliveries, and how many of them are under way at once: more than may wait.
const SENT: u8 = 240;
const AT_ONCE: usize = 40;
/// Deliveries that may wait for the disk.
const WAITING: usize = 6;

/// Scenario: by each protocol hundreds of deliveries come at once to a service whose disk is slow and that lets few of them wait.
/// Guarantees: each is taken or told to come again, and when; what was taken is stored and nothing else is; afterwards all is taken,
/// those that were refused too.
#[tokio::test]
async fn what_was_sent_is_stored_or_refused_and_the_service_recovers() {
    let disk = Arc::new(ScriptedDisk::new(u64::MAX, Duration::from_millis(4)));
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = Way::Protobuf.encode(&traces([0, 0], 1)).len();
    let whole = Whole::start_on(folder, disk, "store: {threads: 2}", |config| {
        config.keep.waiting_bytes = WAITING * bytes;
    });
    let whole = whole.await;
    for (way, begin) in [Way::Protobuf, Way::Grpc].into_iter().zip(1..) {
        let send = async |number: u8| {
            let sent = traces([begin, number], 1);
            (whole.send(way, way.encode(&sent)).await, sent)
        };
        let said: Vec<_> = stream::iter(0..SENT).map(send).buffer_unordered(AT_ONCE).collect().await;
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for (said, sent) in said {
            match said {
                Said::Taken { rejected: 0, .. } => taken.push(sent),
                Said::Refused { status, code: 8, seconds: Some(1..) } if status == way.status(429) => {
                    refused.push(sent);
                }
                other => panic!("{way:?}: {other:?}"),
            }
        }
        assert!(taken.len() >= WAITING && refused.len() >= AT_ONCE / 2, "{} {}", taken.len(), refused.len());
        let label = way.protocol().label();
        let counted = |result: &str| {
            let by = format!("{{protocol=\"{label}\",result=\"{result}\"}}");
            whole.counted(&format!("hopseal_receive_requests_total{by}"))
        };
        let of = (taken.len() as u64, refused.len() as u64);
        assert_eq!(
            (counted("accepted"), counted("overloaded"), whole.taken(way)),
            (of.0, of.1, of.0 * SPANS)
        );
        whole.settle();
        assert!(taken.iter().all(|sent| whole.hops(sent).len() == HOPS), "{way:?}");
        assert!(refused.iter().all(|sent| whole.hops(sent).is_empty()), "{way:?}");

        for sent in &refused {
            assert_eq!(whole.send(way, way.encode(sent)).await, Said::all_taken());
        }
        whole.settle();
        assert!(refused.iter().all(|sent| whole.hops(sent).len() == HOPS), "{way:?}");
        assert_eq!(whole.taken(way), u64::from(SENT) * SPANS);
    }
    whole.end().await;
}

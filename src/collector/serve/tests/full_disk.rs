//! A disk that fills, and is made room on.

use std::sync::Arc;
use std::time::Duration;

use super::whole::{HOPS, Said, Way, Whole, traces};
use crate::serve::disk::scripted::ScriptedDisk;

const MIB: u64 = 1 << 20;

/// Scenario: the disk fills step by step while spans come by each protocol; then somebody makes room.
/// Guarantees: it is said before anything is refused; refusals say when to come again; nothing that was taken is lost; all is taken
/// again, and what had been refused too.
#[tokio::test]
async fn a_disk_that_fills_is_said_then_refused_and_then_all_is_well() {
    let disk = ScriptedDisk::new(100 * MIB, Duration::ZERO);
    let folder = tempfile::tempdir().expect("a folder");
    let text = "store: {alarm_under: 50M, refuse_under: 10M}";
    let whole = Whole::start_on(folder, Arc::new(disk.clone()), text, |_| {}).await;
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    for (step, (free, is_low, is_full)) in (0..).zip([
        (50 * MIB, false, false),
        (50 * MIB - 1, true, false),
        (10 * MIB, true, false),
        (10 * MIB - 1, true, true),
        (0, true, true),
        (10 * MIB, true, false),
        (80 * MIB, false, false),
    ]) {
        disk.fill(free);
        whole.keeper.turn().expect("kept");
        whole.metrics.keep(&whole.keeper.counts());
        assert_eq!(whole.keeper.counts().alarm, is_low, "{free}");
        let said = (whole.counted("hopseal_disk_low"), whole.counted("hopseal_disk_free_bytes"));
        assert_eq!(said, (is_low.into(), free));
        for (way, begin) in Way::ALL.into_iter().zip(1..) {
            let sent = traces([begin, step], 1);
            let expected = match (is_full, way) {
                (false, _) => Said::all_taken(),
                // It is UNAVAILABLE by gRPC, and so in the `google.rpc.Status` by HTTP.
                (true, _) => Said::Refused { status: way.status(429), code: 14, seconds: Some(30) },
            };
            assert_eq!(whole.send(way, way.encode(&sent)).await, expected, "{way:?} {free}");
            if is_full { refused.push((way, sent)) } else { taken.push(sent) }
        }
        whole.settle();
    }
    assert_eq!((taken.len(), refused.len()), (15, 6));
    assert!(taken.iter().all(|sent| whole.hops(sent).len() == HOPS));
    assert!(refused.iter().all(|(_, sent)| whole.hops(sent).is_empty()));
    for (way, sent) in &refused {
        assert_eq!(whole.send(*way, way.encode(sent)).await, Said::all_taken());
    }
    whole.settle();
    assert!(refused.iter().all(|(_, sent)| whole.hops(sent).len() == HOPS));
    whole.end().await;
}

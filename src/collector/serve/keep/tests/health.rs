//! What a keeper says of itself.

use super::*;
use crate::serve::disk::scripted::ScriptedDisk;

/// Scenario: the journal cannot be written for a while, and nobody sends any more to a service that says that it is not ready.
/// Guarantees: it says so for as long as that lasts and no longer, and takes spans again.
#[test]
fn a_journal_that_is_well_again_is_seen_to_be() {
    let (lab, disk) = (Lab::new(), ScriptedDisk::default());
    let mut settings = KeepSettings::of(lab.folder.path().to_owned());
    settings.store = StoreSettings { refuse_under: 0, ..settings.store };
    let clock: Arc<dyn Clock> = Arc::clone(&lab.clock) as _;
    let (on, metrics) = (Arc::new(disk.clone()), Arc::new(Metrics::new()));
    let keeper = Keeper::start_on(on, settings, rules(), None, clock, metrics).expect("a keeper");
    assert_eq!(keeper.unready(), []);
    disk.break_journal(true);
    let spans = || delivery(otlp::encode(&corpus(3, 2)));
    send(&keeper, spans()).expect_err("not durable");
    let until = |expected: &[Unready]| {
        while keeper.unready() != expected {
            keeper.turn().expect("kept");
        }
    };
    until(&[Unready::JournalFailing]);
    let before = keeper.counts().journal_failures;
    while keeper.counts().journal_failures < before + 3 {
        keeper.turn().expect("kept");
    }
    assert_eq!(keeper.unready(), [Unready::JournalFailing]);
    disk.break_journal(false);
    until(&[]);
    send(&keeper, spans()).expect("taken");
    keeper.lose();
    assert_eq!(keeper.unready(), [Unready::ThreadLost]);
    keeper.stop().expect("stopped");
}

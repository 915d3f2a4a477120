//! What a keeper says of itself.

use std::io;

use super::*;
use crate::serve::disk::DiskFile;

/// A disk that makes no new file of the journal while it is told so.
#[derive(Debug, Default)]
struct Fails(AtomicBool);

impl Disk for Fails {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let is_journal = path.extension().is_some_and(|kind| kind == "log");
        match is_journal && self.0.load(Ordering::SeqCst) {
            true => Err(io::Error::other("a fault")),
            false => FileSystem.create(path),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FileSystem.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        FileSystem.remove(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        FileSystem.make_folder(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        FileSystem.remove_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        FileSystem.sync_folder(path)
    }
}

/// Scenario: the journal cannot be written for a while, and nobody sends any more to a service that says that it is not ready.
/// Guarantees: it says so for as long as that lasts and no longer, and takes spans again.
#[test]
fn a_journal_that_is_well_again_is_seen_to_be() {
    let (lab, disk) = (Lab::new(), Arc::new(Fails::default()));
    let mut settings = KeepSettings::of(lab.folder.path().to_owned());
    settings.store = StoreSettings { refuse_under: 0, ..settings.store };
    let clock: Arc<dyn Clock> = Arc::clone(&lab.clock) as _;
    let (on, metrics) = (Arc::clone(&disk) as _, Arc::new(Metrics::new()));
    let keeper = Keeper::start_on(on, settings, rules(), None, clock, metrics).expect("a keeper");
    assert_eq!(keeper.unready(), []);
    disk.0.store(true, Ordering::SeqCst);
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
    disk.0.store(false, Ordering::SeqCst);
    until(&[]);
    send(&keeper, spans()).expect("taken");
    keeper.lose();
    assert_eq!(keeper.unready(), [Unready::ThreadLost]);
    keeper.stop().expect("stopped");
}

//! A real process is killed at any moment, again and again; what it answered for is there.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hopseal_correlate::sink::TraceId;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::settings::WindowSettings;
use super::*;
use crate::serve::clock::SystemClock;
use crate::serve::delivery::{Encoding, Sender as From};
use crate::serve::store::{EdgeQuery, HopQuery, Interval, StoreSettings};

/// Names the folder to the process that is to be killed.
const FOLDER: &str = "HOPSEAL_CRASH_FOLDER";
const FIRST: &str = "HOPSEAL_CRASH_FIRST";
/// Spans of one delivery, each of a trace of its own.
const SPANS: u64 = 40;

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut len = bytes.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(bytes);
    out
}

fn trace_id(delivery: u64, span: u64) -> TraceId {
    TraceId(((u128::from(delivery) << 64) | (u128::from(span) + 1)).to_be_bytes())
}

/// A request of spans that each begin a trace.
fn body(delivery: u64) -> Vec<u8> {
    let span = |number| {
        let kind = [6 << 3, 2];
        let start = [&[7 << 3 | 1][..], &1_767_225_600_000_000_000_u64.to_le_bytes()].concat();
        let id = trace_id(delivery, number).0;
        let parts = [field(1, &id), field(2, &[7; 8]), field(5, b"GET /"), kind.to_vec(), start].concat();
        field(2, &parts)
    };
    let spans: Vec<u8> = (0..SPANS).flat_map(span).collect();
    field(1, &field(2, &spans))
}

fn keeper(folder: &Path) -> Keeper {
    let mut settings = KeepSettings::of(folder.to_owned());
    settings.window = WindowSettings {
        settle: Duration::from_millis(20),
        late: Duration::from_millis(60),
        ..WindowSettings::default()
    };
    settings.store = StoreSettings { refuse_under: 0, segment_hops: 500, ..settings.store };
    let (policy, dialects) = crate::check::load_policy(None).expect("the default policy");
    let rules = Rules { policy, dialects: Arc::new(dialects), seals: None };
    let rules = Arc::new(ArcSwap::from_pointee(rules));
    Keeper::start(settings, rules, None, Arc::new(SystemClock), Arc::default()).expect("a keeper")
}

/// What is killed: takes deliveries, says which it answered for, and tends the store meanwhile.
#[test]
#[ignore = "run by the test beside it, in a process of its own"]
fn victim() {
    let folder = PathBuf::from(std::env::var_os(FOLDER).expect("told"));
    let first: u64 = std::env::var(FIRST).expect("told").parse().expect("a number");
    let keeper = Arc::new(keeper(&folder));
    let turning = Arc::clone(&keeper);
    std::thread::spawn(move || {
        loop {
            turning.turn().expect("kept");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for number in first.. {
        let delivery = Delivery {
            encoding: Encoding::OtlpProtobuf,
            body: Bytes::from(body(number)),
            sender: From::Unauthenticated,
        };
        let accepted = runtime.block_on(keeper.accept(delivery)).expect("taken");
        assert_eq!(accepted.spans, SPANS);
        println!("answered {number}");
    }
}

/// Scenario: a process is killed, without a chance to do anything, after so many answers; the next one goes on in the same
/// folder and is killed in turn.
/// Guarantees: every span that was answered for is in the trail, once.
#[test]
fn a_kill_loses_nothing_that_was_answered_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut dice = ChaCha8Rng::seed_from_u64(1);
    let mut answered: BTreeSet<u64> = BTreeSet::new();
    for _ in 0..6 {
        let first = answered.last().map_or(0, |last| last + 2);
        let mut victim = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "serve::keep::crash::victim", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(FIRST, first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let lines = BufReader::new(victim.stdout.take().expect("a pipe")).lines();
        let mut left = dice.random_range(1..60);
        for line in lines {
            let line = line.expect("a line");
            let Some(number) = line.split("answered ").nth(1) else { continue };
            answered.insert(number.parse().expect("a number"));
            left -= 1;
            if left == 0 {
                victim.kill().expect("killed");
            }
        }
        victim.wait().expect("ended");
        assert!(left <= 0, "it ended by itself");
    }
    let keeper = keeper(folder.path());
    for _ in 0..40 {
        std::thread::sleep(Duration::from_millis(10));
        keeper.turn().expect("kept");
    }
    let store = keeper.store();
    let hops = store.hops(&HopQuery::any(1_000_000)).expect("hops");
    let found: BTreeSet<TraceId> = hops.iter().map(|hop| hop.trace_id).collect();
    assert_eq!(found.len(), hops.len(), "a hop is there twice");
    let lost: Vec<u64> = answered
        .iter()
        .copied()
        .filter(|number| (0..SPANS).any(|span| !found.contains(&trace_id(*number, span))))
        .collect();
    assert!(lost.is_empty(), "lost of {}: {lost:?}", answered.len());
    let counted: u64 =
        store.edges(&EdgeQuery::of(Interval::ALWAYS)).expect("edges").iter().map(|edge| edge.hops).sum();
    assert_eq!(counted, hops.len() as u64);
    keeper.stop().expect("stopped");
}

//! A long trail, and what it costs: filled by a shop that is made up, then asked. `cargo xtask bench --trail HOPS`.

use std::path::Path;
use std::time::{Duration, Instant};

use hopseal_correlate::catalogue::Shown;
use hopseal_correlate::finding::{Finding, Subject};
use hopseal_correlate::hop::{HopKind, Outcome};
use hopseal_correlate::record::Service;
use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::{SpanId, TraceId};
use hopseal_identity::{Assurance, Basis, Kind};
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::block::{Hop, HopTexts, Judged, Text};
use super::testing::EPOCH;
use super::{
    Batch, Block, DAY, EdgeQuery, FindingQuery, HopQuery, Interval, SqliteStore, State, Store, StoreSettings,
};

/// How many hops.
const HOPS: &str = "HOPSEAL_TRAIL_HOPS";
/// Hops kept at once.
const BATCH: usize = 1 << 17;
/// Days that the trail is spread over.
const DAYS: u64 = 10;
const SERVICES: usize = 60;
const OPERATIONS: usize = 8;
/// How often each question is asked.
const QUESTIONS: usize = 300;

/// Limits that are held where there are as many hops, and what they are. Of fewer the counts by the minute weigh more than the hops.
const JUDGED_FROM: u64 = 10_000_000;
const BYTES: f64 = 70.0;
const BASE: u64 = 128 << 20;

/// A shop of services, each of which calls some of those behind it, and its customers, few of whom come often.
struct Shop {
    dice: ChaCha8Rng,
    users: u64,
    /// Hops made, and how many there are to be.
    made: u64,
    hops: u64,
    /// Every so-many-th trace.
    known: Vec<TraceId>,
    /// Traces that late spans change.
    late: Vec<(TraceId, u64, u64)>,
}

/// Numbers of texts in one block.
struct Words {
    services: Vec<Text>,
    operations: Vec<Text>,
    namespace: Text,
    environment: Text,
    methods: [Text; 2],
    issuer: Text,
    tenants: Vec<Text>,
    agent: Text,
}

impl Words {
    fn of(block: &mut Block) -> Self {
        let texts = &mut block.texts;
        let mut many = |count: usize, name: &dyn Fn(usize) -> String| -> Vec<Text> {
            (0..count).map(|number| texts.add(&name(number))).collect()
        };
        Self {
            services: many(SERVICES, &service),
            operations: many(SERVICES * OPERATIONS, &operation),
            tenants: many(40, &|number| format!("tenant-{number}")),
            namespace: texts.add("shop"),
            environment: texts.add("production"),
            methods: [texts.add("jwt"), texts.add("seal")],
            issuer: texts.add("https://id.shop.example"),
            agent: texts.add("agent:planner"),
        }
    }
}

fn service(number: usize) -> String {
    format!("service-{number:02}")
}

fn operation(number: usize) -> String {
    format!("POST /api/v1/things-{}/{{id}}/part-{}", number / OPERATIONS, number % OPERATIONS)
}

/// As a pseudonym looks: 128 bits that say nothing.
fn principal(user: u64) -> String {
    use base64::Engine as _;
    let mut dice = ChaCha8Rng::seed_from_u64(user);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(dice.random::<[u8; 16]>())
}

impl Shop {
    /// One customer; low numbers come often.
    fn user(&mut self) -> u64 {
        let at: f64 = self.dice.random();
        // A tenth of them make half of the traces.
        ((at * at * at) * self.users as f64) as u64
    }

    fn now(&self) -> u64 {
        EPOCH + (u128::from(DAYS * DAY) * u128::from(self.made) / u128::from(self.hops)) as u64
    }

    fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        let (mut count, mut raised) = (0, Vec::new());
        while count < BATCH && self.made < self.hops {
            let block = batch.block_mut();
            let words = Words::of(block);
            while block.hops.len() < super::BLOCK_HOPS && self.made < self.hops {
                let trace_id = TraceId(self.dice.random());
                let (at, user) = (self.now(), self.user());
                let number = self.made;
                let many = self.trace(block, &words, trace_id, 1, at, user);
                count += many;
                self.made += many as u64;
                match self.dice.random_range(0..1000) {
                    0 => self.late.push((trace_id, at, user)),
                    1 => {
                        let span_id = block.hops.last().expect("a hop").span_id;
                        let subject = Subject::Span { trace_id, span_id, server: true };
                        let mut finding = Finding::new(Rule::IdentityDropped, subject, "").grouped();
                        finding.service = service(number as usize % SERVICES);
                        finding.at = at;
                        raised.push(finding);
                    }
                    2 => self.known.push(trace_id),
                    _ => {}
                }
            }
        }
        // Late spans of what was judged some batches ago: it is judged again.
        if self.late.len() > 200 {
            let late: Vec<_> = self.late.drain(..100).collect();
            let block = batch.block_mut();
            let words = Words::of(block);
            for (trace_id, at, user) in late {
                self.trace(block, &words, trace_id, 2, at, user);
            }
        }
        for number in 0..SERVICES {
            let name = service(number);
            let of = Service { name: &name, namespace: "shop", environment: "production" };
            let operation = operation(number * OPERATIONS + self.made as usize % OPERATIONS);
            batch.shown.add(of, &operation, Shown { hops: 100, identified: 90 });
        }
        (batch.at, batch.raised) = (self.now(), raised);
        batch
    }

    /// Adds a trace of some hops. Returns how many.
    fn trace(
        &mut self,
        block: &mut Block,
        words: &Words,
        trace_id: TraceId,
        version: u32,
        at: u64,
        user: u64,
    ) -> usize {
        let many = self.dice.random_range(3..=9_usize);
        let known = self.dice.random_range(0..10) > 0;
        let principal = if known { block.texts.add(&principal(user)) } else { Text::default() };
        let mut start = at;
        let mut from: Vec<usize> = Vec::with_capacity(many);
        for place in 0..many {
            let caller = (place > 0).then(|| self.dice.random_range(0..place));
            // A service calls a few others.
            let service = match caller {
                None => self.dice.random_range(0..4),
                Some(caller) => (from[caller] * 3 + self.dice.random_range(1..4)) % SERVICES,
            };
            from.push(service);
            start += self.dice.random_range(200_000..6_000_000);
            let operation = service * OPERATIONS + self.dice.random_range(0..OPERATIONS);
            let named = |text: Text| if known { text } else { Text::default() };
            let texts = HopTexts {
                caller: caller.map_or(Text::default(), |caller| words.services[from[caller]]),
                service: words.services[service],
                namespace: words.namespace,
                environment: words.environment,
                operation: words.operations[operation],
                via: Text::default(),
                method: named(words.methods[usize::from(place > 0)]),
                principal,
                issuer: named(words.issuer),
                tenant: named(words.tenants[user as usize % words.tenants.len()]),
                actors: if user.is_multiple_of(50) { named(words.agent) } else { Text::default() },
            };
            let failed = self.dice.random_ratio(1, 100);
            block.hops.push(Hop {
                span_id: SpanId((self.dice.next_u64() | 1).to_be_bytes()),
                parent: caller.map(|_| SpanId((self.dice.next_u64() | 1).to_be_bytes())),
                start,
                end: start + self.dice.random_range(1_000_000..80_000_000),
                caller: caller.map(|caller| caller as u32),
                texts,
                kind: if place == 0 { HopKind::Entry } else { HopKind::Rpc },
                assurance: match (known, place) {
                    (false, _) => Assurance::Unknown,
                    (true, 0) => Assurance::Verified,
                    (true, _) => Assurance::Sealed,
                },
                basis: if place == 0 { Basis::Claimed } else { Basis::Reverified },
                outcome: if failed { Outcome::Failed } else { Outcome::Succeeded },
                principal_kind: Kind::User,
                uncovered: !known,
            });
        }
        block.traces.push(Judged {
            trace_id,
            version,
            digest: self.dice.next_u64(),
            missing_parents: 0,
            complete: true,
            closed_early: false,
            hops: many as u32,
        });
        many
    }
}

/// CPU of this process, in all its threads.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a process");
    let after = stat.rsplit(')').next().expect("a name");
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks: u64 = [11, 12].iter().map(|at| fields[*at].parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

/// Memory of this process: now, and at most.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process");
    let of = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
        line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("KiB") << 10
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn size(path: &Path) -> (u64, u64) {
    let mut found = (0, 0);
    for entry in std::fs::read_dir(path).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        let (bytes, files) = match path.is_dir() {
            true => size(&path),
            false => (std::fs::metadata(&path).expect("a file").len(), 1),
        };
        found = (found.0 + bytes, found.1 + files);
    }
    found
}

#[expect(clippy::disallowed_methods, reason = "this measures")]
fn now() -> Instant {
    Instant::now()
}

/// CPU of this thread: what other processes of a busy machine do is not in it.
fn cpu_of_thread() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a thread");
    Duration::from_nanos(stat.split(' ').next().expect("a number").parse().expect("nanoseconds"))
}

/// Asks again and again. Prints what it took; returns whether that is over the limit.
fn ask(what: &str, times: usize, limit: Option<u64>, mut question: impl FnMut(usize) -> usize) -> bool {
    let (mut took, mut used) = (Vec::with_capacity(times), Vec::with_capacity(times));
    let mut found = 0;
    for number in 0..times {
        let (begin, cpu) = (now(), cpu_of_thread());
        found += question(number);
        took.push(begin.elapsed());
        used.push(cpu_of_thread() - cpu);
    }
    let share = |all: &mut Vec<Duration>, share: usize| {
        all.sort_unstable();
        all[(times * share / 100).min(times - 1)].as_secs_f64() * 1e3
    };
    let p99 = share(&mut took, 99);
    let is_over = limit.is_some_and(|limit| p99 > limit as f64);
    println!(
        "{what:<44} {:>9.2} {p99:>9.2} {:>11.2} {:>7} {:>9.1}{}",
        share(&mut took, 50),
        share(&mut used, 99),
        limit.map_or(String::new(), |limit| limit.to_string()),
        found as f64 / times as f64,
        if is_over { "  over the limit" } else { "" },
    );
    is_over
}

/// Fills the store, and prints what that costs as it grows.
fn fill(shop: &mut Shop, store: &SqliteStore, folder: &Path) {
    println!(
        "{:>11} {:>10} {:>12} {:>9} {:>9} {:>9} {:>7} {:>7}",
        "hops", "hops/s", "CPU us/hop", "RSS MiB", "peak MiB", "B/hop", "files", "merged"
    );
    let step = shop.hops.div_ceil(10);
    let (mut next, mut merged) = (step, 0);
    let (mut begin, mut used, mut before) = (now(), cpu(), 0);
    let (mut making, mut made_in) = (Duration::ZERO, Duration::ZERO);
    while shop.made < shop.hops {
        let making_from = (now(), cpu());
        let batch = shop.batch();
        making += cpu() - making_from.1;
        made_in += making_from.0.elapsed();
        store.commit(&batch).expect("kept");
        store.tend(batch.at).expect("tended");
        merged += store.merge(batch.at, &|| false).expect("merged").segments;
        if shop.made >= next {
            let hops = (shop.made - before) as f64;
            let ((bytes, files), (resident, peak)) = (size(folder), memory());
            println!(
                "{:>11} {:>10.0} {:>12.2} {:>9.1} {:>9.1} {:>9.1} {:>7} {:>7}",
                shop.made,
                hops / (begin.elapsed() - made_in).as_secs_f64(),
                (cpu() - used - making).as_secs_f64() * 1e6 / hops,
                resident as f64 / f64::from(1 << 20),
                peak as f64 / f64::from(1 << 20),
                bytes as f64 / shop.made as f64,
                files,
                merged,
            );
            next += step;
            (begin, used, before) = (now(), cpu(), shop.made);
            (making, made_in) = (Duration::ZERO, Duration::ZERO);
        }
    }
}

fn many(hops: u64, folder: &Path) -> usize {
    let settings = StoreSettings { refuse_under: 0, ..StoreSettings::default() };
    let store = SqliteStore::open(folder, settings).expect("a store");
    let mut shop = Shop {
        dice: ChaCha8Rng::seed_from_u64(1),
        users: (hops / 500).max(1000),
        made: 0,
        hops,
        known: Vec::new(),
        late: Vec::new(),
    };
    fill(&mut shop, &store, folder);
    // What is left is closed once it is old, and days that are over are merged.
    let end = EPOCH + (DAYS + 1) * DAY;
    store.tend(end).expect("tended");
    while store.merge(end, &|| false).expect("merged").segments > 0 {}
    drop(store);
    let begin = (now(), cpu());
    let store = SqliteStore::open(folder, settings).expect("a store");
    let earlier = store.earlier();
    drop(earlier);
    println!(
        "opened in {:.0} ms, {:.0} ms of CPU",
        begin.0.elapsed().as_secs_f64() * 1e3,
        (cpu() - begin.1).as_secs_f64() * 1e3
    );
    let (kept, files) = size(&folder.join("hops"));
    let (all, _) = size(folder);
    let per_hop = all as f64 / hops as f64;
    println!(
        "{per_hop:.1} bytes a hop (limit {BYTES}), {:.1} of them in {files} segments; the rest is the catalog",
        kept as f64 / hops as f64
    );
    println!(
        "{:<44} {:>9} {:>9} {:>11} {:>7} {:>9}",
        "question", "p50 ms", "p99 ms", "CPU p99 ms", "limit", "found"
    );
    let over = [per_hop > BYTES].into_iter().chain(questions(&mut shop, &store)).filter(|over| *over).count();
    if hops >= JUDGED_FROM { over } else { 0 }
}

fn questions(shop: &mut Shop, store: &SqliteStore) -> Vec<bool> {
    let of_user = |user: u64, limit: usize| {
        let query = HopQuery { principals: vec![principal(user)], ..HopQuery::any(limit) };
        store.hops(&query).expect("hops").len()
    };
    let often: Vec<u64> = (0..QUESTIONS).map(|_| shop.user()).collect();
    let any: Vec<u64> = (0..QUESTIONS).map(|_| shop.dice.random_range(0..shop.users)).collect();
    let traces: Vec<TraceId> =
        (0..QUESTIONS).map(|_| shop.known[shop.dice.random_range(0..shop.known.len())]).collect();
    let trace =
        |trace_id: TraceId| store.trace(trace_id).expect("a trace").map_or(0, |trace| trace.hops.len());
    let end = EPOCH + DAYS * DAY;
    let last = |days: u64| Interval { from: end - days * DAY, to: end };
    let open = |limit| FindingQuery { state: Some(State::Open), limit, ..FindingQuery::default() };
    vec![
        ask("last 100 hops of somebody, as they come", QUESTIONS, Some(100), |at| of_user(often[at], 100)),
        ask("last 100 hops of somebody, each as often", QUESTIONS, Some(100), |at| of_user(any[at], 100)),
        ask("last 100 hops of nobody", QUESTIONS, Some(100), |at| of_user(u64::MAX - at as u64, 100)),
        ask("one trace", QUESTIONS, Some(50), |at| trace(traces[at])),
        ask("one trace that is not there", QUESTIONS, Some(50), |at| trace(TraceId([at as u8; 16]))),
        ask("edges of the last day", 30, Some(100), |_| {
            store.edges(&EdgeQuery::of(last(1))).expect("edges").len()
        }),
        ask("edges of all days", 30, Some(100), |_| {
            store.edges(&EdgeQuery::of(Interval::ALWAYS)).expect("edges").len()
        }),
        ask("coverage of the last day by minute", 30, Some(100), |_| {
            store.coverage(last(1), None, 1, usize::MAX).expect("coverage").len()
        }),
        ask("coverage of a week by hour and service", 30, Some(100), |_| {
            store.coverage_by_service(last(7), 60).expect("coverage").len()
        }),
        ask("open findings, counted", 30, Some(100), |_| store.open_findings().expect("counts").len()),
        ask("last 50 open findings", 30, Some(100), |_| store.findings(&open(50)).expect("findings").len()),
        ask("services", 30, Some(100), |_| store.services().expect("services").len()),
        ask("last 100 hops of anybody", 30, Some(100), |_| {
            store.hops(&HopQuery::any(100)).expect("hops").len()
        }),
        ask("last 100 hops into a service", 30, None, |at| {
            let query = HopQuery { service: Some(service(at % SERVICES)), ..HopQuery::any(100) };
            store.hops(&query).expect("hops").len()
        }),
        ask("who touched a service in a day, the last 100", 30, None, |at| {
            let query =
                HopQuery { service: Some(service(at % SERVICES)), interval: last(1), ..HopQuery::any(100) };
            store.touched(&query).expect("touched").by.len()
        }),
        ask("edges of the last day by the hour", 30, None, |_| {
            store.edges(&EdgeQuery { minutes: Some(60), ..EdgeQuery::of(last(1)) }).expect("edges").len()
        }),
    ]
}

/// Scenario: a store is filled with as many hops as the environment says, and asked what people ask.
/// Guarantees: no question takes longer, and no hop more room, than there are limits for; filling costs the same throughout, as
/// it is printed.
#[test]
#[ignore = "takes minutes, and a disk: `cargo xtask bench --trail HOPS`"]
fn a_trail_of_many_hops() {
    let hops = std::env::var(HOPS).map_or(200_000, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir_in(std::env::var_os("HOPSEAL_TRAIL_FOLDER").unwrap_or_else(|| ".".into()))
        .expect("a folder");
    let before = memory().0;
    let over = many(hops, folder.path());
    let peak = memory().1 - before;
    println!("at most {} MiB of memory (limit {})", peak >> 20, BASE >> 20);
    assert_eq!(over + usize::from(hops >= JUDGED_FROM && peak > BASE), 0, "limits missed");
}

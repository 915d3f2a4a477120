//! `cargo xtask soak --overload`.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use serde::Deserialize;

use crate::bench::bulk::{self, BLOCK, Encoding};
use crate::bench::serve::{MIB, Ports, counted, pinned, ports, resident, settled, silent, sum};
use crate::exec;
use crate::soak::{Args, ended, feed};
use crate::task::TaskError;

/// How many times what it can take is offered.
const TIMES: f64 = 5.0;
/// Less than so many times is no such run: whoever sends was too slow.
const LEAST_TIMES: f64 = 4.5;
/// Seconds in which it is found out what it can take, and those before them that do not count.
const FINDING: u64 = 30;
const BEFORE: u64 = 10;
/// Batches of one part that are kept apart from those of the next, by their numbers.
const PART: u64 = 1_000_000;
/// Requests under way at once: more than there is memory for.
const AT_ONCE: u32 = 256;
/// What the service is told it may take, in MiB: for requests, for open traces and for judged ones.
const REQUESTS: u64 = 64;
const OPEN: u64 = 128;
const JUDGED: u64 = 64;
/// Under overload memory may grow to what there is room for; then it has to stay: so much more in the second half of it at most.
const GROWTH: f64 = 0.1;
/// Milliseconds by which 99 of 100 are to be answered again: but for those who share the core, which made it longer before too, by so
/// much longer at most. And the seconds after which they are to be.
const P99: f64 = 25.0;
const LONGER: f64 = 1.5;
const RECOVERY: f64 = 30.0;

/// How one batch was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Taken,
    /// To come again after a while that was told.
    Later,
    /// Anything else.
    Wrong,
}

/// A batch that was due `at` seconds after the begin, answered after `took` milliseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Answered {
    at: f64,
    took: f64,
    said: Said,
}

/// What the program that sends says.
#[derive(Debug, Deserialize)]
struct Report {
    taken: u64,
    refused: u64,
    #[serde(default)]
    answers: Vec<Answered>,
}

/// The configuration of the service, but for its store.
pub(super) fn settings(is_grpc: bool) -> String {
    let open = "127.0.0.1:0";
    let (grpc, http) = if is_grpc { (open, "null") } else { ("null", open) };
    format!(
        "listen: {{otlp_grpc: {grpc}, otlp_http: {http}, zipkin: null, api: null, admin: {open}}}\n\
         limits: {{request: 8M, memory: {REQUESTS}M}}\n\
         windows: {{settle: 1s, late: 10s, open: {OPEN}M, judged: {JUDGED}M}}\n"
    )
}

/// Threads that have nothing to do and keep a core busy with it, so that little is left for the service: no other core could send
/// five times what a whole one takes.
struct Busy(Vec<Child>);

impl Busy {
    fn on(core: usize, count: usize) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        let mut busy = Self(Vec::new());
        for _ in 0..count {
            busy.0.push(pinned(core, &program).arg("busy").stdin(Stdio::piped()).spawn()?);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Keeps a core busy until standard input ends, in short turns: whoever else is to run there waits as for many others.
pub(crate) fn busy() -> Result<(), TaskError> {
    let ended = Arc::<AtomicBool>::default();
    let is_over = Arc::clone(&ended);
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        is_over.store(true, Ordering::Relaxed);
    });
    while !ended.load(Ordering::Relaxed) {
        (0..10_000_u32).for_each(|number| _ = std::hint::black_box(number));
        std::thread::yield_now();
    }
    Ok(())
}

/// The memory that a process takes, ten times a second.
#[derive(Default)]
struct Watched(Mutex<Vec<u64>>);

impl Watched {
    fn start(process: u32) -> Arc<Self> {
        let watched = Arc::<Self>::default();
        let seen = Arc::downgrade(&watched);
        std::thread::spawn(move || {
            while let (Some(watched), Ok(bytes)) = (seen.upgrade(), resident(process)) {
                watched.seen().push(bytes);
                drop(watched);
                sleep(Duration::from_millis(100));
            }
        });
        watched
    }

    fn seen(&self) -> MutexGuard<'_, Vec<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often it was looked at so far.
    fn looks(&self) -> usize {
        self.seen().len()
    }

    /// The most of these looks, in MiB.
    fn most(&self, looks: Range<usize>) -> f64 {
        let seen = self.seen();
        let most = seen.get(looks).and_then(|seen| seen.iter().max());
        most.copied().unwrap_or(0) as f64 / MIB
    }
}

/// A service that is offered more than it takes.
pub(super) struct Overload<'s> {
    pub(super) args: &'s Args,
    pub(super) target: &'s Path,
    pub(super) folder: &'s Path,
}

impl Overload<'_> {
    /// Finds out what the service takes, offers much more, then half of that. Returns how many limits are missed.
    pub(super) fn run(&self, process: &mut Child, out: &mut dyn Write) -> Result<usize, TaskError> {
        let mut lines = BufReader::new(process.stderr.take().ok_or_else(silent)?);
        let Ports { spans, admin, .. } = ports(&mut lines, false)?;
        std::thread::spawn(move || io::copy(&mut lines, &mut io::sink()));
        let first = self.folder.join("block");
        bulk::write(Encoding::Protobuf, 0..1, bulk::PACE, &mut File::create(&first)?)?;
        let length = std::fs::metadata(&first)?.len();
        let load = |options: &[(&str, String)]| {
            let mut load = pinned(usize::from(self.args.core == 0), &self.target.join("release/load"));
            load.args(["-", "--protocol", if self.args.grpc { "grpc" } else { "http" }]);
            load.args(["--to", &format!("http://{spans}"), "--length", &length.to_string()]);
            load.args(options.iter().map(|(name, value)| format!("--{name}={value}")));
            load.stdin(Stdio::piped()).stdout(Stdio::piped());
            let shown = exec::shown(&load);
            load.spawn().map_err(|source| TaskError::Start { command: shown, source })
        };
        let taken_metric = format!("hopseal_receive_spans_total{{protocol=\"{}\"}}", self.protocol());
        let stored = || sum(&admin, "hopseal_hops_total{");
        let (_busy, watched) = (Busy::on(self.args.core, self.args.busy)?, Watched::start(process.id()));

        let sending =
            feed(load(&[("batches", PART.to_string()), ("seconds", FINDING.to_string())])?, 0, PART);
        let at = |seconds: u64| {
            sleep(Duration::from_secs(seconds));
            Ok::<_, TaskError>(counted(&admin, &taken_metric)?.unwrap_or(0))
        };
        let (then, now) = (at(BEFORE)?, at(FINDING - BEFORE - 1)?);
        let found = enough(sending)?;
        let capacity = (now - then) as f64 / (FINDING - BEFORE - 1) as f64;
        writeln!(
            out,
            "{capacity:.0} spans a second are taken, beside {} busy threads on the same core",
            self.args.busy
        )?;
        settled(&admin)?;
        let hops_a_batch = stored()? / found.taken.max(1);

        let offer = |part: u64, rate: f64| {
            let rate = rate / BLOCK as f64;
            let batches = ((rate * f64::from(self.args.seconds)) as u64).clamp(1, PART);
            let options = [
                ("batches", batches.to_string()),
                ("rate", rate.to_string()),
                ("at-once", AT_ONCE.to_string()),
            ];
            let mut options = options.to_vec();
            options.push(("open", "true".to_owned()));
            ended::<Report>(feed(load(&options)?, part * PART, batches))
        };
        let before = offer(1, capacity / 2.0)?;
        let begin = watched.looks();
        let over = offer(2, capacity * TIMES)?;
        let end = watched.looks();
        let after = offer(3, capacity / 2.0)?;
        settled(&admin)?;

        let offered = rate(&over.answers) * BLOCK as f64;
        let mut limits = Limits { out, missed: 0 };
        for (what, report) in [("before", &before), ("overload", &over), ("after it", &after)] {
            let count = |said| report.answers.iter().filter(|answer| answer.said == said).count();
            let (sent, taken) = (report.answers.len(), count(Said::Taken));
            let (later, wrong) = (count(Said::Later), count(Said::Wrong));
            let p99 = p99(report.answers.iter().filter(|answer| answer.said == Said::Taken));
            writeln!(
                limits.out,
                "{what}: {:.0} spans a second offered; of {sent} batches {taken} were taken (99 of 100 in {p99:.1} ms), \
                 {later} told to come again",
                rate(&report.answers) * BLOCK as f64
            )?;
            limits.hold(wrong == 0, &format!("{wrong} answered in another way, or without a delay"))?;
        }
        limits.hold(
            offered >= capacity * LEAST_TIMES,
            &format!(
                "{:.1} times as much as it takes was offered (at least {LEAST_TIMES})",
                offered / capacity
            ),
        )?;
        let in_time = P99.max(LONGER * p99(before.answers.iter()));
        match recovered(&after.answers, in_time) {
            Some((seconds, p99)) => limits.hold(
                seconds <= RECOVERY,
                &format!("all is taken again {seconds:.1} s later (limit {RECOVERY}), 99 of 100 in {p99:.1} ms (limit {in_time:.1})"),
            )?,
            None => {
                let half = f64::from(self.args.seconds) / 2.0;
                let p99 = p99(after.answers.iter().filter(|answer| answer.at >= half));
                limits.hold(
                    false,
                    &format!("it is never as before: at the end 99 of 100 in {p99:.1} ms (limit {in_time:.1})"),
                )?;
            }
        }
        let taken = found.taken + before.taken + over.taken + after.taken;
        let received = counted(&admin, &taken_metric)?.unwrap_or(0);
        limits.hold(
            received == taken * BLOCK,
            &format!("{} spans were answered for, {received} received", taken * BLOCK),
        )?;
        let hops = stored()?;
        limits.hold(
            hops == taken * hops_a_batch && hops > 0,
            &format!("{hops} hops are stored, of {} that were answered for", taken * hops_a_batch),
        )?;
        let refused = found.refused + before.refused + over.refused + after.refused;
        let told =
            sum(&admin, &format!("hopseal_receive_requests_total{{protocol=\"{}\",", self.protocol()))?;
        limits.hold(
            told == taken + refused,
            &format!("{} requests were sent, {told} counted", taken + refused),
        )?;
        let middle = begin + (end - begin) / 2;
        let [first, second] = [begin..middle, middle..end].map(|looks| watched.most(looks));
        limits.hold(
            second <= first * (1.0 + GROWTH),
            &format!(
                "{second:.1} MiB of memory at most in the second half of the overload, {first:.1} in the first (limit {:.1})",
                first * (1.0 + GROWTH)
            ),
        )?;
        Ok(limits.missed)
    }

    fn protocol(&self) -> &'static str {
        if self.args.grpc { "otlp_grpc" } else { "otlp_http" }
    }
}

struct Limits<'o> {
    out: &'o mut dyn Write,
    missed: usize,
}

impl Limits<'_> {
    fn hold(&mut self, holds: bool, what: &str) -> Result<(), TaskError> {
        self.missed += usize::from(!holds);
        writeln!(self.out, "  {what}{}", if holds { "" } else { "  missed" })?;
        Ok(self.out.flush()?)
    }
}

/// What became of what was given to a program that ends when it has enough.
fn enough((mut load, feeding): crate::soak::Feeding) -> Result<Report, TaskError> {
    let mut said = Vec::new();
    load.stdout.take().ok_or_else(silent)?.read_to_end(&mut said)?;
    let status = load.wait()?;
    // It does not take all that it might be given.
    let _ = feeding.join();
    if !status.success() {
        return Err(TaskError::Failed { command: "load".to_owned(), status });
    }
    serde_json::from_slice(&said).map_err(|source| TaskError::Output { command: "load", source })
}

/// Batches a second.
fn rate(answers: &[Answered]) -> f64 {
    let last = answers.iter().map(|answer| answer.at).fold(0.0, f64::max);
    // From the first that was due to the last, there is one pause less than there are batches.
    if last > 0.0 { (answers.len() as f64 - 1.0) / last } else { 0.0 }
}

fn p99<'a>(answers: impl Iterator<Item = &'a Answered>) -> f64 {
    let mut took: Vec<f64> = answers.map(|answer| answer.took).collect();
    took.sort_by(f64::total_cmp);
    took.get((took.len() as f64 * 0.99) as usize).copied().unwrap_or(0.0)
}

/// After how many seconds everything is taken, from then on, 99 of 100 in time; and in what time.
fn recovered(answers: &[Answered], in_time: f64) -> Option<(f64, f64)> {
    let mut answers = answers.to_vec();
    answers.sort_by(|one, other| one.at.total_cmp(&other.at));
    let refused = answers.iter().rposition(|answer| answer.said != Said::Taken).map_or(0, |last| last + 1);
    // By tenths of a second, and so that something can be said of what is left.
    let mut from = answers.get(refused..)?;
    while from.len() >= 100 {
        let at = from.first()?.at;
        let p99 = p99(from.iter());
        if p99 <= in_time {
            return Some((at, p99));
        }
        let later = from.iter().position(|answer| answer.at >= at + 0.1)?;
        from = from.get(later..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(of: impl Fn(u32) -> (f64, Said)) -> Vec<Answered> {
        let one = |number| {
            let (took, said) = of(number);
            Answered { at: f64::from(number) / 10.0, took, said }
        };
        (0..600).map(one).collect()
    }

    #[test]
    fn it_is_known_from_when_on_all_is_well() {
        let quick = |_| (5.0, Said::Taken);
        for (what, of, expected) in [
            ("always", &quick as &dyn Fn(u32) -> (f64, Said), Some((0.0, 5.0))),
            (
                "once a refusal is over",
                &|at| if at == 99 { (1.0, Said::Later) } else { quick(at) },
                Some((10.0, 5.0)),
            ),
            // Some of the slow ones are among one of a hundred.
            (
                "once it is quick",
                &|at| if at < 100 { (900.0, Said::Taken) } else { quick(at) },
                Some((9.5, 5.0)),
            ),
            ("never quick", &|_| (30.0, Said::Taken), None),
            ("refused to the end", &|at| if at == 598 { (1.0, Said::Later) } else { quick(at) }, None),
        ] {
            let found = recovered(&answers(of), P99);
            assert_eq!(found.map(|(at, p99)| ((at * 10.0).round() / 10.0, p99)), expected, "{what}");
        }
        assert!((rate(&answers(quick)) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_missed_is_counted() {
        let mut said = Vec::new();
        let mut limits = Limits { out: &mut said, missed: 0 };
        for holds in [true, false, false] {
            limits.hold(holds, "a limit").expect("written");
        }
        assert_eq!(limits.missed, 2);
        assert_eq!(String::from_utf8_lossy(&said), "  a limit\n  a limit  missed\n  a limit  missed\n");
    }
}

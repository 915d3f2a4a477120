//! `cargo xtask soak`.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bench::built;
use crate::bench::bulk::{self, BLOCK, Encoding};
use crate::bench::measure::ticks;
use crate::bench::serve::{Ports, build_load, counted, pinned, ports, resident, settled, silent, size};
use crate::exec;
use crate::metadata::Metadata;
use crate::overload::{self, Overload};
use crate::task::{Repository, TaskError};

/// Has a service take a steady load for a long time, half of what it can, and fails if its memory grows.
///
/// Spans are as of `cargo xtask bench`, in batches of 1000 over HTTP, each trace new; the service runs on one core by its default
/// configuration, but for the room of the store. Each minute it prints what it took.
///
/// With `--overload` it is offered five times what it takes instead, by an open loop, and then half of it. Fails unless all that was not
/// taken was told when to come again, all that was taken is stored, memory grows by no more than a tenth in the second half, and all is
/// soon as before.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(long, default_value_t = 30)]
    minutes: u32,
    /// Minutes that are not held against it; else three, and until two million traces came: judged ones are kept for two minutes, and
    /// their ids after that.
    #[arg(long)]
    warm_up: Option<u32>,
    /// What memory may grow by, in MiB a minute, by the straight line through the least of each minute.
    #[arg(long, default_value_t = 0.25)]
    slope: f64,
    /// Spans a second; else half of what one core keeps up with until segments are merged.
    #[arg(long)]
    rate: Option<f64>,
    /// Room of the store, past which it has to let days go.
    #[arg(long, default_value = "8G")]
    room: String,
    /// The core to run on.
    #[arg(long, default_value_t = 0)]
    pub(crate) core: usize,
    /// Offers more than it takes.
    #[arg(long, conflicts_with_all = ["minutes", "warm_up", "slope", "rate"])]
    pub(crate) overload: bool,
    /// Seconds for which it is offered five times as much, and then half.
    #[arg(long, default_value_t = 60, requires = "overload", value_parser = clap::value_parser!(u32).range(20..))]
    pub(crate) seconds: u32,
    /// Busy threads on the service's core, so that another core can send five times what it takes.
    #[arg(long, default_value_t = 6, requires = "overload")]
    pub(crate) busy: usize,
    /// Sends by gRPC instead of HTTP.
    #[arg(long, requires = "overload")]
    pub(crate) grpc: bool,
    /// `hopseal`, built before; else it is built.
    #[arg(long)]
    program: Option<PathBuf>,
}

/// Spans in a trace, and traces whose ids are kept.
const TRACE: f64 = 20.0;
const REMEMBERED: f64 = 1_850_000.0;
/// Minutes that have to be left to be held against it.
const LEAST: u32 = 5;
/// Batches of 1000 spans that tell what it can take: enough for some segments to be closed, and too few for any to be merged.
const BURST: u64 = 2_000;

/// What the program that sends says.
#[derive(Debug, Deserialize)]
struct Report {
    taken: u64,
    refused: u64,
    p99: f64,
}

/// The service at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// The least and the most memory of the minute, in bytes. It goes up and down with what is open; what is lost raises the least.
    least: u64,
    most: u64,
    cpu: Duration,
    spans: u64,
    open: u64,
}

pub(crate) fn run(args: &Args, repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    let target = Metadata::read(repository)?.target_directory;
    build_load(repository, out)?;
    let program = match &args.program {
        Some(program) => program.clone(),
        None => built(repository, &target, out)?,
    };
    let folder = target.join("soak");
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&folder)?,
    }
    let (config, store) = (folder.join("serve.yaml"), folder.join("store"));
    let settings = match args.overload {
        true => overload::settings(args.grpc),
        false => {
            "listen: {otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, api: null, admin: 127.0.0.1:0}\n"
                .to_owned()
        }
    };
    fs::write(
        &config,
        format!("{settings}store: {{folder: '{}', room: '{}'}}\n", store.display(), args.room),
    )?;
    let mut serve = pinned(args.core, &program);
    serve.args(["serve", "--config"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process =
        serve.spawn().map_err(|source| TaskError::Start { command: exec::shown(&serve), source })?;
    let (target, folder) = (target.as_path(), folder.as_path());
    let soaked = match args.overload {
        true => Overload { args, target, folder }.run(&mut process, out).map(Soaked::Missed),
        false => Soak { args, target, folder, store: &store }.soak(&mut process, out).map(Soaked::Minutes),
    };
    // Whatever came of it, nothing is left running.
    let stopped = Command::new("kill").arg(process.id().to_string()).status();
    let status = process.wait()?;
    let soaked = soaked?;
    stopped?;
    if !status.success() {
        return Err(TaskError::Failed { command: exec::shown(&serve), status });
    }
    fs::remove_dir_all(folder)?;
    let (samples, warm_up) = match soaked {
        Soaked::Missed(0) => return Ok(()),
        Soaked::Missed(limits) => return Err(TaskError::OverLimit(limits)),
        Soaked::Minutes(minutes) => minutes,
    };
    let slope = slope(samples.get(warm_up as usize + 1..).unwrap_or_default());
    writeln!(out, "memory: {slope:+.2} MiB a minute after the first {warm_up} (limit {:.2})", args.slope)?;
    if slope <= args.slope { Ok(()) } else { Err(TaskError::Grows(slope)) }
}

/// What came of it.
enum Soaked {
    /// A sample at the start and after each minute, and how many minutes are not held against it.
    Minutes((Vec<Sample>, u32)),
    /// Limits that were missed.
    Missed(usize),
}

struct Soak<'s> {
    args: &'s Args,
    target: &'s Path,
    folder: &'s Path,
    store: &'s Path,
}

impl Soak<'_> {
    /// A sample at the start and after each minute, and how many minutes are not held against it.
    fn soak(&self, process: &mut Child, out: &mut dyn Write) -> Result<(Vec<Sample>, u32), TaskError> {
        let mut lines = BufReader::new(process.stderr.take().ok_or_else(silent)?);
        let Ports { spans, admin, .. } = ports(&mut lines, false)?;
        std::thread::spawn(move || io::copy(&mut lines, &mut io::sink()));
        let first = self.folder.join("block");
        bulk::write(Encoding::Protobuf, 0..1, bulk::PACE, &mut File::create(&first)?)?;
        let length = fs::metadata(&first)?.len();
        let load = |rate: Option<f64>, batches: u64| {
            let mut load = pinned(usize::from(self.args.core == 0), &self.target.join("release/load"));
            load.args(["-", "--protocol", "http", "--to", &format!("http://{spans}")]);
            load.args(["--length", &length.to_string(), "--batches", &batches.to_string()]);
            if let Some(rate) = rate {
                load.args(["--rate", &(rate / BLOCK as f64).to_string()]);
            }
            load.stdin(Stdio::piped()).stdout(Stdio::piped());
            let load = load.spawn();
            load.map_err(|source| TaskError::Start { command: "load".to_owned(), source })
        };
        let rate = match self.args.rate {
            Some(rate) => rate,
            None => {
                let Report { taken, .. } = ended(feed(load(None, BURST)?, 0, BURST))?;
                // More is taken for a while than one core can keep up with.
                settled(&admin)?;
                (taken * BLOCK) as f64 / cpu(process.id())?.as_secs_f64() / 2.0
            }
        };
        let remembered = (REMEMBERED * TRACE / rate / 60.0).ceil() as u32;
        let warm_up = self.args.warm_up.unwrap_or(remembered.saturating_add(3));
        if warm_up.saturating_add(LEAST) > self.args.minutes {
            return Err(TaskError::TooShort(warm_up.saturating_add(LEAST)));
        }
        let minutes = u64::from(self.args.minutes);
        // A little more than is looked at, so that each minute is a whole one.
        let batches = (rate * (minutes * 60 + 5) as f64 / BLOCK as f64).ceil() as u64;
        writeln!(out, "{rate:.0} spans a second for {minutes} minutes")?;
        writeln!(
            out,
            "{:>6} {:>10} {:>9} {:>9} {:>12} {:>9} {:>10}",
            "minute", "spans", "least MiB", "most MiB", "CPU-s/M", "open", "store MiB"
        )?;
        let sending = feed(load(Some(rate), batches)?, BURST, batches);
        let mut samples = vec![sample(process.id(), &admin, 0)?];
        for minute in 1..=minutes {
            let now = sample(process.id(), &admin, 60)?;
            let before = samples.last().copied().unwrap_or(now);
            let spans = now.spans - before.spans;
            writeln!(
                out,
                "{minute:>6} {spans:>10} {:>9.1} {:>9.1} {:>12.3} {:>9} {:>10.1}",
                mib(now.least),
                mib(now.most),
                (now.cpu - before.cpu).as_secs_f64() * 1e6 / spans.max(1) as f64,
                now.open,
                mib(size(self.store)?),
            )?;
            out.flush()?;
            samples.push(now);
        }
        let Report { taken, refused, p99, .. } = ended(sending)?;
        writeln!(
            out,
            "{} spans taken, {refused} batches refused at first, 99 of 100 batches answered in {p99:.1} ms",
            taken * BLOCK
        )?;
        Ok((samples, warm_up))
    }
}

pub(crate) type Feeding = (Child, std::thread::JoinHandle<io::Result<()>>);

/// Gives the program that sends so many batches, none of which was there before.
pub(crate) fn feed(mut load: Child, before: u64, batches: u64) -> Feeding {
    let to = load.stdin.take();
    let feeding = std::thread::spawn(move || match to {
        Some(to) => {
            bulk::write(Encoding::Protobuf, before..before + batches, bulk::PACE, &mut BufWriter::new(to))
        }
        None => Ok(()),
    });
    (load, feeding)
}

pub(crate) fn ended<R: DeserializeOwned>((load, feeding): Feeding) -> Result<R, TaskError> {
    let output = load.wait_with_output()?;
    // What could not be given to it is its own fault, of which it says more.
    let fed = feeding.join();
    if !output.status.success() {
        return Err(TaskError::Failed { command: "load".to_owned(), status: output.status });
    }
    fed.unwrap_or_else(|_| Err(io::Error::other("no batches were made")))?;
    serde_json::from_slice(&output.stdout).map_err(|source| TaskError::Output { command: "load", source })
}

/// Looks at its memory once a second, and at the end at the rest.
fn sample(process: u32, admin: &str, seconds: u32) -> Result<Sample, TaskError> {
    let first = resident(process)?;
    let (mut least, mut most) = (first, first);
    for _ in 0..seconds {
        sleep(Duration::from_secs(1));
        let now = resident(process)?;
        (least, most) = (least.min(now), most.max(now));
    }
    let of = |metric| Ok::<u64, TaskError>(counted(admin, metric)?.unwrap_or(0));
    Ok(Sample {
        least,
        most,
        cpu: cpu(process)?,
        spans: of("hopseal_receive_spans_total{protocol=\"otlp_http\"}")?,
        open: of("hopseal_open_traces")?,
    })
}

/// User and system time of a process.
fn cpu(process: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    ticks(&stat).map(|ticks| Duration::from_millis(ticks * 10)).ok_or_else(|| io::Error::other("no times"))
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// What memory grows by from one sample to the next, in MiB: the slope of the straight line that fits best.
fn slope(samples: &[Sample]) -> f64 {
    let count = samples.len() as f64;
    let points = || (0_u32..).zip(samples).map(|(at, sample)| (f64::from(at), mib(sample.least)));
    let mean = |of: &dyn Fn((f64, f64)) -> f64| points().map(of).sum::<f64>() / count;
    let (at, size) = (mean(&|point| point.0), mean(&|point| point.1));
    let (mut with, mut spread) = (0.0, 0.0);
    for point in points() {
        with += (point.0 - at) * (point.1 - size);
        spread += (point.0 - at).powi(2);
    }
    // Two samples are needed for a line.
    if spread > 0.0 { with / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_told_from_what_goes_up_and_down() {
        let slope = |sizes: &[u64]| {
            let sample = |size: &u64| Sample {
                least: size << 20,
                most: size << 20,
                cpu: Duration::ZERO,
                spans: 0,
                open: 0,
            };
            slope(&sizes.iter().map(sample).collect::<Vec<_>>())
        };
        for (sizes, expected) in [
            (&[][..], 0.0),
            (&[7], 0.0),
            (&[5, 5, 5, 5], 0.0),
            (&[5, 9, 9, 5], 0.0),
            (&[5, 6, 7, 8], 1.0),
            (&[8, 6, 4, 2], -2.0),
        ] {
            assert!((slope(sizes) - expected).abs() < 1e-9, "{sizes:?}: {}", slope(sizes));
        }
    }
}

//! What `hopseal serve` costs: the whole path, from the request to the store.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde::Deserialize;
use wait4::Wait4;

use super::bulk::{self, Encoding, Pace};
use super::measure::ticks;
use super::{Args, others};
use crate::exec;
use crate::task::{Repository, TaskError};

/// How spans come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) name: &'static str,
    port: &'static str,
    /// Seconds of CPU that a million spans may cost, segments closed.
    limit: f64,
    /// The same while no segment is.
    unclosed: f64,
}

pub(super) const WAYS: [Way; 2] = [
    Way { name: "http", port: "otlp_http", limit: 2.0, unclosed: 1.2 },
    Way { name: "grpc", port: "otlp_grpc", limit: 2.4, unclosed: 1.6 },
];

/// What the program that sends says.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    refused: usize,
    pub(super) seconds: f64,
    p50: f64,
    p99: f64,
}

/// By then the service has counted what was sent last: traces settle within a second, and are counted once a second.
const SETTLED: Duration = Duration::from_secs(4);
/// After how long hops are in a segment, where all are to be before a run ends.
const CLOSED: &str = "3s";
/// Times that it is asked whether all traces are judged, and the pause between, before that is given up.
const PATIENCE: (u32, Duration) = (1200, Duration::from_millis(250));

/// Sends the largest file to a service on a core of its own, and prints what that cost it. Returns how many limits are missed.
pub(super) fn runs(
    args: &Args,
    repository: &Repository,
    target: &Path,
    program: &Path,
    out: &mut dyn Write,
) -> Result<usize, TaskError> {
    build_load(repository, out)?;
    let core = args.core;
    let others = others::Programs::fetch(out)?;
    let blocks = args.spans.iter().max().map_or(0, |spans| spans.div_ceil(bulk::BLOCK));
    let folder = target.join("bench");
    let file = made(&folder, "serve", blocks, bulk::PACE)?;
    writeln!(
        out,
        "{:>10}  {:<10} {:>9} {:>12} {:>7} {:>10} {:>9} {:>8} {:>8} {:>8}",
        "spans", "serve", "spans/s", "CPU-s/M", "limit", "peak MiB", "B/span", "p50 ms", "p99 ms", "refused"
    )?;
    let few_file = made(&folder, "serve-few", FEW, bulk::PACE)?;
    let plain = Run::of(core, program, target, &folder, &file, blocks);
    let (mut over, mut needed) = (0, Vec::new());
    for way in WAYS {
        let run = Run { way, closes: true, ..plain };
        // In turn, so that what the machine does otherwise comes over both alike.
        let both = |_| Ok::<_, TaskError>((run.cost()?, others::dropping(&run, &others)?));
        let both = (0..args.runs).map(both).collect::<Result<Vec<_>, _>>()?;
        let (mine, theirs): (Vec<_>, Vec<_>) = both.into_iter().unzip();
        let least = mine.into_iter().min_by_key(|(cost, _)| cost.cpu);
        let rotel = theirs.into_iter().min_by_key(|needed| needed.cpu);
        let (Some((cost, shares)), Some(rotel)) = (least, rotel) else { continue };
        let spans = blocks * bulk::BLOCK;
        let per_million = cost.cpu.as_secs_f64() * 1e6 / spans as f64;
        let missed = per_million > way.limit;
        over += usize::from(missed);
        let Report { refused, seconds, p50, p99 } = cost.report;
        writeln!(
            out,
            "{spans:>10}  {:<10} {:>9.0} {per_million:>12.3} {:>7.1} {:>10.1} {:>9.1} {p50:>8.1} {p99:>8.1} {refused:>8}{}",
            way.name,
            spans as f64 / seconds,
            way.limit,
            cost.peak as f64 / MIB,
            cost.kept as f64 / spans as f64,
            if missed { "  over the limit" } else { "" },
        )?;
        writeln!(out, "{:>12}{}", "", shares.join(", "))?;
        needed.push((per_million, rotel));
        // Half of what one core can keep up with until segments are merged, judging included: more is acknowledged while there is room.
        let half = 0.5e6 / per_million / bulk::BLOCK as f64;
        let Report { p50, p99, .. } = Run { rate: Some(half), closes: false, ..run }.cost()?.0.report;
        let missed = p99 > HALF_LOAD_P99;
        over += usize::from(missed);
        writeln!(
            out,
            "{spans:>10}  {:<10} {:>9.0} {:>50.1} {p99:>8.1} (limit {HALF_LOAD_P99}){}",
            format!("{}, half", way.name),
            half * bulk::BLOCK as f64,
            p50,
            if missed { "  over the limit" } else { "" },
        )?;
        let few = Run { file: &few_file, blocks: FEW, closes: false, ..run };
        let (cost, _) = cheapest(args.runs, || few.cost(), |(cost, _)| cost.cpu)?;
        let per_million = cost.cpu.as_secs_f64() * 1e6 / (FEW * bulk::BLOCK) as f64;
        let missed = per_million > way.unclosed;
        over += usize::from(missed);
        writeln!(
            out,
            "{:>10}  {:<19} {per_million:>13.3} {:>7.1}   no segment closed{}",
            FEW * bulk::BLOCK,
            way.name,
            way.unclosed,
            if missed { "  over the limit" } else { "" },
        )?;
        out.flush()?;
    }
    fs::remove_file(&few_file)?;
    // Half of them and all: what does not grow with them is the base.
    let half = blocks.div_ceil(2);
    let half_file = made(&folder, "serve-half", half, bulk::PACE)?;
    let taken = |blocks, file| {
        let run = Run { file, blocks, ..plain };
        (0..args.runs).try_fold(u64::MAX, |least, _| Ok::<_, TaskError>(least.min(run.open()?)))
    };
    let (less, more) = (taken(half, &half_file)? as f64, taken(blocks, &file)? as f64);
    let spans = blocks * bulk::BLOCK;
    let bytes = (more - less) / ((blocks - half).max(1) * bulk::BLOCK) as f64;
    let base = more - bytes * spans as f64;
    let missed = bytes > OPEN_BYTES || base > BASE;
    over += usize::from(missed);
    writeln!(
        out,
        "{spans:>10}  {:<10} {bytes:.1} bytes an open span (limit {OPEN_BYTES}) over {:.1} MiB (limit {}){}",
        "open",
        base / MIB,
        BASE / MIB,
        if missed { "  over the limit" } else { "" },
    )?;
    fs::remove_file(&half_file)?;
    over += others::compare(&plain, needed, &others, out)?;
    if !args.keep {
        fs::remove_file(&file)?;
    }
    Ok(over)
}

/// Has a program do what it does most, on the first core: take, judge and keep spans that come by OTLP, and check files.
pub(crate) fn trained(
    repository: &Repository,
    target: &Path,
    program: &Path,
    out: &mut dyn Write,
) -> Result<(), TaskError> {
    build_load(repository, out)?;
    let folder = target.join("bench");
    let file = made(&folder, "training", TRAINING, bulk::PACE)?;
    let file = &file;
    for way in WAYS {
        writeln!(out, "{} spans by {}", TRAINING * bulk::BLOCK, way.name)?;
        out.flush()?;
        let run = Run::of(0, program, target, &folder, file, TRAINING);
        Run { way, closes: true, ..run }.cost()?;
    }
    let json = folder.join("training.otlp.json");
    bulk::write(Encoding::Json, 0..TRAINING / 4, bulk::PACE, &mut BufWriter::new(File::create(&json)?))?;
    for file in [file, &json] {
        let mut check = Command::new(program);
        check.args(["check", "--hops", "none", "--fail-on", "never", "--strict"]).arg(file);
        exec::run(check.stdout(Stdio::null()), out)?;
        fs::remove_file(file)?;
    }
    Ok(())
}

/// Of several runs the cheapest: what else the machine does only ever adds.
fn cheapest<T>(
    runs: u32,
    run: impl Fn() -> Result<T, TaskError>,
    cpu: impl Fn(&T) -> Duration,
) -> Result<T, TaskError> {
    let mut cheapest = run()?;
    for _ in 1..runs {
        let other = run()?;
        if cpu(&other) < cpu(&cheapest) {
            cheapest = other;
        }
    }
    Ok(cheapest)
}

/// A file of so many blocks of spans, under that name in a folder that is made if it is not there.
pub(super) fn made(folder: &Path, name: &str, blocks: u64, pace: Pace) -> Result<PathBuf, TaskError> {
    fs::create_dir_all(folder)?;
    let file = folder.join(format!("{name}.otlp.protobuf"));
    let made = File::create(&file)?;
    bulk::write(Encoding::Protobuf, 0..blocks, pace, &mut BufWriter::new(&made))?;
    // Else the disk would still be at it while it is measured what it keeps.
    made.sync_all()?;
    Ok(file)
}

/// Blocks of spans that make fewer hops than a segment is closed at.
const FEW: u64 = 500;

/// Blocks of spans that make enough of them for some segments.
const TRAINING: u64 = 600;

/// Milliseconds by which 99 of 100 deliveries are to be answered, at half of what one core can keep up with.
const HALF_LOAD_P99: f64 = 25.0;

/// Builds the program that sends.
pub(crate) fn build_load(repository: &Repository, out: &mut dyn Write) -> Result<(), TaskError> {
    let mut cargo = exec::cargo();
    cargo.current_dir(repository.root()).args(["build", "--release", "--locked", "-p", "hopseal-xtask"]);
    exec::run(cargo.args(["--features", "load", "--bin", "load"]), out)
}

/// What threads of the service do, by how their names begin.
const PARTS: [(&str, &str); 6] = [
    ("tokio", "to receive"),
    ("shard", "to read and judge"),
    ("journal", "to write the journal"),
    ("turn", "to store and close segments"),
    ("merge", "to merge segments"),
    ("hopseal", "to start"),
];

/// Bytes that a span may take while its trace is open, and those that the service takes besides.
const OPEN_BYTES: f64 = 120.0;
const BASE: f64 = 128.0 * MIB;
pub(crate) const MIB: f64 = 1_048_576.0;

/// What one run cost.
pub(super) struct Cost {
    cpu: Duration,
    peak: u64,
    /// Bytes of the store.
    kept: u64,
    report: Report,
}

#[derive(Clone, Copy)]
pub(super) struct Run<'r> {
    /// The core that the service runs on.
    pub(super) core: usize,
    /// `hopseal`.
    pub(super) program: &'r Path,
    pub(super) target: &'r Path,
    pub(super) folder: &'r Path,
    pub(super) file: &'r Path,
    pub(super) blocks: u64,
    pub(super) way: Way,
    /// Deliveries a second; as many as are taken, unless it is said.
    pub(super) rate: Option<f64>,
    /// Whether all hops are in segments before it ends: else those that fill one are.
    pub(super) closes: bool,
    /// Whether it answers questions too.
    pub(super) is_asked: bool,
}

/// Where a service listens.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    pub(crate) spans: String,
    pub(crate) admin: String,
    /// Empty if it is not asked.
    pub(crate) api: String,
}

impl<'r> Run<'r> {
    /// As quickly as may be, by the first way, of a service that is not asked.
    pub(super) const fn of(
        core: usize,
        program: &'r Path,
        target: &'r Path,
        folder: &'r Path,
        file: &'r Path,
        blocks: u64,
    ) -> Self {
        let [way, _] = WAYS;
        Self { core, program, target, folder, file, blocks, way, rate: None, closes: false, is_asked: false }
    }

    /// Sends all, and waits until it is judged. Also says what share of it each part of the service took.
    fn cost(&self) -> Result<(Cost, Vec<String>), TaskError> {
        let mut taken = BTreeMap::new();
        let cost = self.served("1s", |process| {
            let id = process.id();
            let (report, ports) = self.load(process)?;
            settled(&ports.admin)?;
            if self.closes {
                closed(&ports.admin)?;
            }
            taken = threads(id)?;
            Ok(report)
        })?;
        let all = taken.values().sum::<u64>().max(1);
        let mut taken: Vec<_> = taken.iter().filter(|(_, ticks)| **ticks > 0).collect();
        taken.sort_by_key(|(_, ticks)| std::cmp::Reverse(**ticks));
        let share = |(name, ticks): (&String, &u64)| {
            let part = PARTS.iter().find(|(of, _)| name.starts_with(of)).map_or(&**name, |(_, part)| part);
            format!("{part} {} %", (ticks * 100 + all / 2) / all)
        };
        Ok((cost, taken.into_iter().map(share).collect()))
    }

    /// Sends all. The bytes of memory that the service takes while all is open.
    fn open(&self) -> Result<u64, TaskError> {
        let mut taken = 0;
        self.served("1h", |process| {
            let id = process.id();
            let (report, _) = self.load(process)?;
            // What was sent last has been read by then.
            sleep(SETTLED);
            taken = resident(id)?;
            Ok(report)
        })?;
        Ok(taken)
    }

    /// Starts a service whose traces settle after that time, and ends it after `work`.
    pub(super) fn served(
        &self,
        settle: &str,
        work: impl FnOnce(&mut Child) -> Result<Report, TaskError>,
    ) -> Result<Cost, TaskError> {
        let store = self.folder.join("serve-store");
        match fs::remove_dir_all(&store) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let config = self.folder.join("serve.yaml");
        fs::write(&config, self.config(&store, settle))?;
        // Else the disk would be at what was written and removed before, and who syncs would wait for it.
        exec::read(&mut Command::new("sync"))?;
        let mut serve = pinned(self.core, self.program);
        serve.args(["serve", "--config"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::piped());
        let shown = exec::shown(&serve);
        let failed = |source| TaskError::Start { command: shown.clone(), source };
        let mut process = serve.spawn().map_err(failed)?;
        let report = work(&mut process);
        // Whatever came of it, nothing is left running.
        let stopped = Command::new("kill").arg(process.id().to_string()).status();
        let ended = process.wait4().map_err(failed)?;
        let report = report?;
        stopped?;
        if !ended.status.success() {
            return Err(TaskError::Failed { command: shown, status: ended.status });
        }
        let kept = size(&store)?;
        fs::remove_dir_all(&store)?;
        let cpu = ended.rusage.utime + ended.rusage.stime;
        Ok(Cost { cpu, peak: ended.rusage.maxrss, kept, report })
    }

    fn config(&self, store: &Path, settle: &str) -> String {
        let api = if self.is_asked { "127.0.0.1:0" } else { "null" };
        let silent = if self.way.port == "otlp_http" { "otlp_grpc" } else { "otlp_http" };
        let close_after = if self.closes { format!("close_after: {CLOSED}, ") } else { String::new() };
        format!(
            "listen: {{{silent}: null, {}: 127.0.0.1:0, zipkin: null, api: {api}, admin: 127.0.0.1:0}}\n\
             windows: {{settle: {settle}, max_age: 2h}}\n\
             store: {{folder: '{}', days: null, {close_after}alarm_under: '1', refuse_under: '1'}}\n",
            self.way.port,
            store.display()
        )
    }

    /// Sends everything. What was said of it, and where the service can be asked.
    pub(super) fn load(&self, process: &mut Child) -> Result<(Report, Ports), TaskError> {
        let mut lines = BufReader::new(process.stderr.take().ok_or_else(silent)?);
        let ports = ports(&mut lines, self.is_asked)?;
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Ok((self.send(&ports.spans)?, ports))
    }

    /// Sends everything to that address.
    pub(super) fn send(&self, to: &str) -> Result<Report, TaskError> {
        let mut load = pinned(usize::from(self.core == 0), &self.target.join("release/load"));
        load.arg(self.file).args(["--protocol", self.way.name, "--to", &format!("http://{to}")]);
        load.args(["--batches", &self.blocks.to_string()]);
        load.args(self.rate.map(|rate| format!("--rate={rate}")));
        let said = exec::read(&mut load)?;
        serde_json::from_str(&said).map_err(|source| TaskError::Output { command: "load", source })
    }
}

/// A program on a core.
pub(crate) fn pinned(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(core.to_string()).arg(program);
    command
}

/// Where the service says that it listens.
pub(crate) fn ports(lines: &mut BufReader<ChildStderr>, is_asked: bool) -> Result<Ports, TaskError> {
    let mut ports = Ports::default();
    while ports.spans.is_empty() || ports.admin.is_empty() || (is_asked && ports.api.is_empty()) {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Err(silent());
        }
        let Some((_, said)) = line.split_once("listening for ") else { continue };
        let Some((name, address)) = said.split_once(" address=") else { continue };
        let port = match name.trim() {
            "admin" => &mut ports.admin,
            "api" => &mut ports.api,
            _ => &mut ports.spans,
        };
        address.trim().clone_into(port);
    }
    Ok(ports)
}

/// Waits until every trace is judged.
pub(crate) fn settled(admin: &str) -> Result<(), TaskError> {
    sleep(SETTLED);
    none_left(admin, "hopseal_open_traces", "the traces that were sent are never all judged")
}

/// Waits until every hop is in a segment.
fn closed(admin: &str) -> Result<(), TaskError> {
    none_left(admin, "hopseal_store_unclosed_hops", "the hops that were found are never all in segments")
}

/// Waits until a number of the service's metrics is 0.
fn none_left(admin: &str, metric: &str, otherwise: &str) -> Result<(), TaskError> {
    for _ in 0..PATIENCE.0 {
        if counted(admin, metric)? == Some(0) {
            return Ok(());
        }
        sleep(PATIENCE.1);
    }
    Err(std::io::Error::other(otherwise.to_owned()).into())
}

/// The memory that a process takes, in bytes.
pub(crate) fn resident(process: u32) -> std::io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    number.map(|number| number << 10).ok_or_else(|| std::io::Error::other("no VmRSS"))
}

/// The time that threads of a process took, by name, in hundredths of a second.
fn threads(process: u32) -> std::io::Result<BTreeMap<String, u64>> {
    let mut taken = BTreeMap::new();
    for thread in fs::read_dir(format!("/proc/{process}/task"))? {
        let folder = thread?.path();
        let read = |file| fs::read_to_string(folder.join(file));
        // One that has ended meanwhile is not asked.
        let (Ok(name), Ok(stat)) = (read("comm"), read("stat")) else { continue };
        *taken.entry(name.trim().to_owned()).or_default() += ticks(&stat).unwrap_or(0);
    }
    Ok(taken)
}

pub(crate) fn silent() -> TaskError {
    std::io::Error::other("the service ended before it listened").into()
}

/// A number of the service's metrics.
pub(crate) fn counted(admin: &str, metric: &str) -> Result<Option<u64>, TaskError> {
    let answer = metrics(admin)?;
    let line = answer.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
    Ok(line.and_then(|count| count.trim().parse().ok()))
}

/// All of those that begin so, added up.
pub(crate) fn sum(admin: &str, begin: &str) -> Result<u64, TaskError> {
    let answer = metrics(admin)?;
    let lines = answer.lines().filter(|line| line.starts_with(begin));
    // Behind the number there may be an exemplar.
    let numbers = lines.filter_map(|line| line.split_once("} ")?.1.split(' ').next()?.parse::<u64>().ok());
    Ok(numbers.sum())
}

fn metrics(admin: &str) -> Result<String, TaskError> {
    let mut stream = TcpStream::connect(admin)?;
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The bytes of all files under a folder.
pub(crate) fn size(folder: &Path) -> std::io::Result<u64> {
    let mut total = 0;
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => folders.push(entry.path()),
                false => total += entry.metadata()?.len(),
            }
        }
    }
    Ok(total)
}

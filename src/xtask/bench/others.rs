//! What other programs need for the load that `hopseal serve` is measured with.

use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use wait4::Wait4;

use super::bulk;
use super::serve::{Report, Run, WAYS, pinned};
use crate::task::TaskError;
use crate::{components, exec};

/// What `hopseal serve` may need at most, over HTTP, of what rotel needs to receive the same and drop it.
const OF_ROTEL: f64 = 0.65;

/// Times that it is asked whether a program listens, and the pause between, before that is given up.
const PATIENCE: (u32, Duration) = (200, Duration::from_millis(50));
/// By then a program has done with what it was sent last.
const DONE: Duration = Duration::from_secs(4);

/// A program that takes spans.
struct Other {
    name: &'static str,
    command: Command,
    to: SocketAddr,
}

/// What it needed.
pub(super) struct Needed {
    name: &'static str,
    pub(super) cpu: Duration,
    peak: u64,
    report: Report,
}

/// Where the programs are.
pub(super) struct Programs {
    rotel: PathBuf,
    collector: PathBuf,
}

impl Programs {
    /// Fetches them, unless they are there: the first time that takes some minutes.
    pub(super) fn fetch(out: &mut dyn Write) -> Result<Self, TaskError> {
        exec::needed(&components::NEEDED[..1])?;
        exec::needed(&[("python3", "--version", "apt-get install python3-venv")])?;
        let (rotel, collector) = (components::rotel(out)?, components::collector(out)?);
        Ok(Self { rotel: rotel.join("rotel/rotel-agent"), collector: collector.join("otelcol") })
    }
}

/// Sends the same to a program that drops it, on the same core.
pub(super) fn dropping(run: &Run<'_>, programs: &Programs) -> Result<Needed, TaskError> {
    dropped(run, &programs.rotel)?.needs(run)
}

/// Sends the same to a program that puts its traces together too, and prints what both needed beside what `hopseal` did, by way, in
/// seconds of CPU a million. Returns how many limits are missed.
pub(super) fn compare(
    run: &Run<'_>,
    needed: Vec<(f64, Needed)>,
    programs: &Programs,
    out: &mut dyn Write,
) -> Result<usize, TaskError> {
    let spans = (run.blocks * bulk::BLOCK) as f64;
    let mut over = 0;
    for (way, (ours, rotel)) in WAYS.into_iter().zip(needed) {
        let run = Run { way, ..*run };
        // Once: it takes many times as long, and nothing is held to it.
        let grouping = grouped(&run, &programs.collector)?.needs(&run)?;
        for (Needed { name, cpu, peak, report }, limit) in
            [(rotel, (way.name == "http").then_some(OF_ROTEL)), (grouping, None)]
        {
            let per_million = cpu.as_secs_f64() * 1e6 / spans;
            let ratio = ours / per_million;
            let missed = limit.is_some_and(|limit| ratio > limit);
            over += usize::from(missed);
            writeln!(
                out,
                "{spans:>10}  {:<18} {:>9.0} {per_million:>12.3} {:>10.1}   hopseal needs {ratio:.2} of it{}{}",
                format!("{name}, {}", way.name),
                spans / report.seconds,
                peak as f64 / f64::from(1 << 20),
                limit.map(|limit| format!(" (limit {limit})")).unwrap_or_default(),
                if missed { "  over the limit" } else { "" },
            )?;
            out.flush()?;
        }
    }
    Ok(over)
}

/// rotel, which decodes what it receives and drops it.
fn dropped(run: &Run<'_>, program: &Path) -> Result<Other, TaskError> {
    let (grpc, http) = (free()?, free()?);
    let mut command = pinned(run.core, program);
    command.args(["start", "--exporter", "blackhole", "--otlp-grpc-endpoint", &grpc.to_string()]);
    command.args(["--otlp-http-endpoint", &http.to_string()]);
    let to = if run.way.name == "http" { http } else { grpc };
    Ok(Other { name: "rotel", command, to })
}

/// An OpenTelemetry Collector, which puts traces together for as long from their first span on as ours are quiet, and drops them.
fn grouped(run: &Run<'_>, program: &Path) -> Result<Other, TaskError> {
    let (to, config) = (free()?, run.folder.join("groupbytrace.yaml"));
    let traces = run.blocks * bulk::BLOCK / 10;
    fs::write(
        &config,
        format!(
            "receivers: {{otlp: {{protocols: {{{}: {{endpoint: '{to}'}}}}}}}}\n\
             processors: {{groupbytrace: {{wait_duration: 1s, num_traces: {traces}}}}}\n\
             exporters: {{nop: }}\n\
             service:\n  telemetry: {{metrics: {{level: none}}}}\n  \
             pipelines: {{traces: {{receivers: [otlp], processors: [groupbytrace], exporters: [nop]}}}}\n",
            run.way.name
        ),
    )?;
    let mut command = pinned(run.core, program);
    command.arg("--config").arg(&config);
    Ok(Other { name: "groupbytrace", command, to })
}

impl Other {
    /// Starts it, sends everything, and ends it.
    fn needs(mut self, run: &Run<'_>) -> Result<Needed, TaskError> {
        self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let shown = exec::shown(&self.command);
        let failed = |source| TaskError::Start { command: shown.clone(), source };
        let mut process = self.command.spawn().map_err(failed)?;
        let report = self.sent(run, &mut process);
        // Whatever came of it, nothing is left running.
        let killed = process.kill();
        let ended = process.wait4();
        let report = report?;
        let ended = ended.map_err(failed)?;
        killed?;
        let cpu = ended.rusage.utime + ended.rusage.stime;
        Ok(Needed { name: self.name, cpu, peak: ended.rusage.maxrss, report })
    }

    fn sent(&self, run: &Run<'_>, process: &mut Child) -> Result<Report, TaskError> {
        for _ in 0..PATIENCE.0 {
            if TcpStream::connect(self.to).is_ok() {
                let report = run.send(&self.to.to_string())?;
                sleep(DONE);
                return Ok(report);
            }
            if process.try_wait()?.is_some() {
                break;
            }
            sleep(PATIENCE.1);
        }
        Err(io::Error::other(format!("{} does not listen", self.name)).into())
    }
}

/// An address that nobody listens on.
fn free() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

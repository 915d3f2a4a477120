//! How long pages take to answer over a store of a million hops, and what others ask of the same port: our API, and that of Jaeger.
#![expect(
    clippy::disallowed_methods,
    reason = "it measures how long answers take, and fills a store up to now"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::Args;
use super::bulk::{self, Pace};
use super::serve::{Run, build_load, made, settled};
use crate::task::{Repository, TaskError};

/// Spans whose traces have a million hops, and the time that they are spread over, up to now.
const SPANS: u64 = 2_000_000;
const SPREAD: Duration = Duration::from_secs(23 * 60 * 60);
/// Times that each is asked, and before that.
const ASKED: (usize, usize) = (50, 3);
/// What an answer may take.
const LIMIT: Duration = Duration::from_millis(50);

/// What is asked: whose question it is, and the path. In braces stands what only the store can tell.
const QUESTIONS: [(&str, &str); 44] = [
    ("page", "/"),
    ("page", "/?period=all"),
    ("page", "/findings"),
    ("page", "/findings?service=ledger"),
    ("page", "/findings?service=ledger&caller=payment"),
    ("page", "/findings?severity=high&rule=identity_dropped"),
    ("page", "/findings/{finding}"),
    ("page", "/traces/{trace}"),
    ("page", "/principals?principal={principal}"),
    ("page", "/principals?user={principal}"),
    ("page", "/principals?service=ledger"),
    ("page", "/principals?service=ledger&assurance=unknown"),
    ("page", "/principals?service=ledger&caller=payment&assurance=asserted"),
    ("page", "/principals?principal=nobody"),
    ("page", "/matrix"),
    ("page", "/matrix?period=all"),
    ("page", "/coverage"),
    ("page", "/coverage?period=all"),
    ("page", "/live"),
    ("live", "/live/events"),
    ("api", "/api/v1/hops"),
    ("api", "/api/v1/hops?service=ledger"),
    ("api", "/api/v1/hops?principal={principal}"),
    ("api", "/api/v1/hops?service=edge&assurance=asserted&from_unix_nano={hour_ago}"),
    ("api", "/api/v1/findings"),
    ("api", "/api/v1/findings?trace_id={trace}"),
    ("api", "/api/v1/traces/{trace}"),
    ("api", "/api/v1/traces/00000000000000000000000000000001"),
    ("api", "/api/v1/edges?from_unix_nano={hour_ago}"),
    ("api", "/api/v1/edges"),
    ("api", "/api/v1/coverage?minutes=15"),
    ("api", "/api/v1/coverage?minutes=60&service=ledger"),
    // As Grafana's data source asks, and Jaeger's own pages.
    ("jaeger", "/api/services"),
    ("jaeger", "/api/services/ledger/operations"),
    ("jaeger", "/api/traces/{trace}"),
    ("jaeger", "/api/traces?service=ledger&limit=20&lookback=custom&start={hour_ago_us}&end={now_us}"),
    (
        "jaeger",
        "/api/traces?service=ledger&operation=POST%20%2Fentries&limit=20&start={hour_ago_us}&end={now_us}",
    ),
    (
        "jaeger",
        "/api/traces?service=*&limit=20&tags=%7B%22error%22%3A%22true%22%7D&start={day_ago_us}&end={now_us}",
    ),
    (
        "jaeger",
        "/api/traces?service=ledger&limit=20&tags=%7B%22hopseal.assurance%22%3A%22unknown%22%7D&start={day_ago_us}&end={now_us}",
    ),
    (
        "jaeger",
        "/api/traces?service=*&limit=20&tags=%7B%22enduser.id%22%3A%22{principal}%22%7D&start={day_ago_us}&end={now_us}",
    ),
    ("jaeger", "/api/traces?service=edge&limit=20&minDuration=800us&start={hour_ago_us}&end={now_us}"),
    ("jaeger", "/api/dependencies?endTs={now_ms}&lookback=86400000"),
    ("jaeger", "/api/v3/traces?query.service_name=ledger&query.search_depth=20"),
    ("jaeger", "/api/v3/trace-summaries?query.service_name=ledger&query.search_depth=20"),
];

/// The id of no trace.
const NO_TRACE: &str = "/00000000000000000000000000000001";

/// Fills a store, asks, and prints how long answers took. Returns how many limits are missed.
pub(super) fn runs(
    args: &Args,
    repository: &Repository,
    target: &Path,
    program: &Path,
    out: &mut dyn Write,
) -> Result<usize, TaskError> {
    build_load(repository, out)?;
    let core = args.core;
    let folder = target.join("bench");
    let blocks = SPANS.div_ceil(bulk::BLOCK);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let pace = Pace {
        first: nanoseconds(now.saturating_sub(SPREAD)),
        apart: nanoseconds(SPREAD) / (blocks * bulk::TRACES),
    };
    let file = made(&folder, "pages", blocks, pace)?;
    let run = Run { is_asked: true, ..Run::of(core, program, target, &folder, &file, blocks) };
    let mut over = 0;
    run.served("1s", |process| {
        let (report, ports) = run.load(process)?;
        settled(&ports.admin)?;
        over = asked(&ports.api, out)?;
        Ok(report)
    })?;
    if !args.keep {
        fs::remove_file(&file)?;
    }
    Ok(over)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Asks each question, and prints how long that took. Returns how many took too long.
fn asked(api: &str, out: &mut dyn Write) -> Result<usize, TaskError> {
    let known = Known::of(api)?;
    writeln!(
        out,
        "{:<8} {:>8} {:>8} {:>9}  asked (limit {} ms)",
        "who",
        "p50 ms",
        "p99 ms",
        "bytes",
        LIMIT.as_millis()
    )?;
    let mut over = 0;
    for (who, question) in QUESTIONS {
        let path = known.put(question);
        let (mut took, mut bytes) = (Vec::new(), 0);
        for number in 0..ASKED.0 + ASKED.1 {
            let began = Instant::now();
            bytes = get(api, &path)?.1;
            if number >= ASKED.1 {
                took.push(began.elapsed());
            }
        }
        took.sort_unstable();
        let share = |share: usize| took.get(took.len() * share / 100).copied().unwrap_or_default();
        let missed = share(99) > LIMIT;
        over += usize::from(missed);
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        writeln!(
            out,
            "{who:<8} {:>8.1} {:>8.1} {bytes:>9}  {question}{}",
            ms(share(50)),
            ms(share(99)),
            if missed { "  over the limit" } else { "" },
        )?;
        out.flush()?;
    }
    Ok(over)
}

/// What stands for the words in braces.
struct Known(Vec<(&'static str, String)>);

impl Known {
    /// Of the middle of what was found: neither the newest, nor the oldest.
    fn of(api: &str) -> Result<Self, TaskError> {
        let (body, _) = get(api, "/api/v1/findings?limit=1000")?;
        let broken = |source| TaskError::Output { command: "GET /api/v1/findings", source };
        let findings: Value = serde_json::from_str(&body).map_err(broken)?;
        let findings =
            findings.get("findings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let finding = findings.get(findings.len() / 2).ok_or_else(|| unlike("has no findings"))?;
        let text = |of: &Value, path: &str| of.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let (Some(id), Some(trace)) = (text(finding, "/finding/id"), text(finding, "/finding/trace_id"))
        else {
            return Err(unlike("says findings another way"));
        };
        let (body, _) = get(api, &format!("/api/v1/traces/{trace}"))?;
        let hops: Value = serde_json::from_str(&body).map_err(broken)?;
        let principal =
            text(&hops, "/hops/0/principal/id").ok_or_else(|| unlike("says principals another way"))?;
        let now = nanoseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        const HOUR: u64 = 3_600_000_000_000;
        Ok(Self(vec![
            ("{finding}", id),
            ("{trace}", trace),
            ("{principal}", principal),
            ("{now_ms}", (now / 1_000_000).to_string()),
            ("{now_us}", (now / 1_000).to_string()),
            ("{hour_ago}", (now - HOUR).to_string()),
            ("{hour_ago_us}", ((now - HOUR) / 1_000).to_string()),
            ("{day_ago_us}", ((now - 24 * HOUR) / 1_000).to_string()),
        ]))
    }

    fn put(&self, question: &str) -> String {
        let Self(known) = self;
        known.iter().fold(question.to_owned(), |path, (word, value)| path.replace(word, value))
    }
}

fn unlike(what: &str) -> TaskError {
    std::io::Error::other(format!("the service {what}")).into()
}

/// The body of an answer, and its length; of one that has no end, nothing but that it began. 404 is an answer where there is no such trace.
fn get(api: &str, path: &str) -> Result<(String, usize), TaskError> {
    let mut stream = TcpStream::connect(api)?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {api}\r\naccept: */*\r\nconnection: close\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let (mut status, mut line) = (String::new(), String::new());
    reader.read_line(&mut status)?;
    let mut is_endless = false;
    while reader.read_line(&mut line)? > 2 {
        is_endless |= line.to_ascii_lowercase().contains("text/event-stream");
        line.clear();
    }
    let expected = if path.ends_with(NO_TRACE) { "404" } else { "200" };
    if status.split(' ').nth(1) != Some(expected) {
        return Err(unlike(&format!("answers {path} with {}", status.trim())));
    }
    let mut body = Vec::new();
    if !is_endless {
        reader.read_to_end(&mut body)?;
    }
    let length = body.len();
    Ok((String::from_utf8_lossy(&body).into_owned(), length))
}

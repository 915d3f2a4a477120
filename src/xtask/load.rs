//! Sends a file of batches to a service, and says how it was answered. A program of its own, so that its cost is not counted as
//! that of the service.
#![expect(clippy::disallowed_methods, reason = "it measures how long answers take")]

use std::error::Error;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut as _, Bytes, BytesMut};
use clap::Parser;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Sends batches that `cargo xtask bench` or `soak` made.
#[derive(Debug, Parser)]
struct Args {
    /// OTLP protobuf, of batches of the same length each; `-` is standard input, read as they are sent.
    file: PathBuf,
    /// Bytes of a batch on standard input.
    #[arg(long, required_if_eq("file", "-"))]
    length: Option<usize>,
    /// How many batches it has.
    #[arg(long)]
    batches: usize,
    /// Where to, such as `http://127.0.0.1:4318`.
    #[arg(long)]
    to: Uri,
    #[arg(long)]
    protocol: Protocol,
    /// Requests under way at once.
    #[arg(long, default_value_t = 8)]
    at_once: usize,
    /// Batches a second; as many as are taken, unless it is said.
    #[arg(long)]
    rate: Option<f64>,
    /// Sends each batch once, when it is due, whatever became of those before, and says of each how it was answered.
    #[arg(long, requires = "rate", num_args = 0..=1, default_missing_value = "true", default_value_t = false)]
    open: bool,
    /// Seconds after which no more are sent.
    #[arg(long)]
    seconds: Option<f64>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Protocol {
    Http,
    Grpc,
}

/// How a batch was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Taken,
    /// To come again after a while that was told.
    Later,
    /// To come again, and not as it is to be said; and where each is sent once, no answer at all.
    Wrong,
}

/// A batch that was due `at` seconds after the begin, answered after `took` milliseconds.
#[derive(Debug, serde::Serialize)]
struct Answered {
    at: f64,
    took: f64,
    said: Answer,
}

/// What was sent and how it was answered.
#[derive(Debug, Default, serde::Serialize)]
struct Report {
    /// Batches taken.
    taken: usize,
    /// Times that a batch had to come again.
    refused: usize,
    /// From the first to the last answer, in seconds.
    seconds: f64,
    /// From a batch that is sent to its answer, in milliseconds.
    p50: f64,
    p99: f64,
    /// Each, where each is sent once.
    answers: Vec<Answered>,
}

struct Load {
    client: Client<HttpConnector, Full<Bytes>>,
    to: Uri,
    protocol: Protocol,
    waiting: Mutex<Waiting>,
    began: Instant,
    seconds: Option<f64>,
}

type AnyError = Box<dyn Error + Send + Sync>;

impl Load {
    fn next(&self) -> Result<Option<(Bytes, Duration)>, AnyError> {
        if self.seconds.is_some_and(|seconds| self.began.elapsed().as_secs_f64() >= seconds) {
            return Ok(None);
        }
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    async fn send(&self, body: Bytes) -> Result<Answer, AnyError> {
        let request = Request::post(self.to.clone());
        let request = match self.protocol {
            Protocol::Http => request.header("content-type", "application/x-protobuf"),
            Protocol::Grpc => request.header("content-type", "application/grpc").header("te", "trailers"),
        };
        let response = self.client.request(request.body(Full::new(body))?).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?;
        let status =
            |headers: &HeaderMap| headers.get("grpc-status").map(|status| status.as_bytes().to_vec());
        let grpc = body.trailers().and_then(status).or_else(|| status(&parts.headers));
        match (self.protocol, parts.status, grpc.as_deref()) {
            (Protocol::Http, StatusCode::OK, _) | (Protocol::Grpc, StatusCode::OK, Some(b"0")) => {
                Ok(Answer::Taken)
            }
            (Protocol::Http, StatusCode::TOO_MANY_REQUESTS, _) if parts.headers.contains_key(RETRY_AFTER) => {
                Ok(Answer::Later)
            }
            (Protocol::Grpc, StatusCode::OK, Some(b"8" | b"14")) if has_retry_info(&parts.headers) => {
                Ok(Answer::Later)
            }
            (Protocol::Http, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _)
            | (Protocol::Grpc, StatusCode::OK, Some(b"8" | b"14")) => Ok(Answer::Wrong),
            (_, status, grpc) => Err(format!("answered with {status}, {grpc:?}").into()),
        }
    }

    /// Sends until nothing waits. Returns how long each took, and how often one had to come again.
    async fn work(&self) -> Result<(Vec<Duration>, usize), AnyError> {
        let (mut took, mut refused) = (Vec::new(), 0);
        while let Some((body, at)) = self.next()? {
            tokio::time::sleep_until((self.began + at).into()).await;
            // From when it was to be sent: what waits because others do counts too.
            let sent = if at.is_zero() { Instant::now() } else { self.began + at };
            while self.send(body.clone()).await? != Answer::Taken {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            took.push(sent.elapsed());
        }
        Ok((took, refused))
    }

    /// Sends each when it is due, and once.
    async fn work_open(&self) -> Result<Vec<Answered>, AnyError> {
        let mut answers = Vec::new();
        while let Some((body, at)) = self.next()? {
            let due = self.began + at;
            tokio::time::sleep_until(due.into()).await;
            let said = self.send(body).await.unwrap_or(Answer::Wrong);
            let took = due.elapsed().as_secs_f64() * 1e3;
            answers.push(Answered { at: at.as_secs_f64(), took, said });
        }
        Ok(answers)
    }
}

/// Whether a status in gRPC says when to come again.
fn has_retry_info(headers: &HeaderMap) -> bool {
    let details = headers.get("grpc-status-details-bin").map(|details| STANDARD_NO_PAD.decode(details));
    let name = b"google.rpc.RetryInfo";
    details.is_some_and(|read| read.is_ok_and(|read| read.windows(name.len()).any(|part| part == name)))
}

/// Batches that wait to be sent.
struct Waiting {
    from: Batches,
    protocol: Protocol,
    /// Batches a second.
    rate: Option<f64>,
    /// How many there were before, and how many there are in all.
    number: usize,
    all: usize,
    /// Bytes of each.
    length: usize,
}

enum Batches {
    File(Bytes),
    Stdin,
}

impl Waiting {
    fn of(args: &Args) -> Result<Self, AnyError> {
        let all = args.batches;
        let (from, length) = match args.length.filter(|_| args.file.as_os_str() == "-") {
            Some(length) => (Batches::Stdin, length),
            None => {
                let file = std::fs::read(&args.file)?;
                let length = file.len() / all.max(1);
                (Batches::File(file.into()), length)
            }
        };
        Ok(Self { from, protocol: args.protocol, rate: args.rate, number: 0, all, length })
    }

    /// The body of the next request, and when it is to be sent.
    fn next(&mut self) -> Result<Option<(Bytes, Duration)>, AnyError> {
        if self.number == self.all {
            return Ok(None);
        }
        let at = self.number * self.length;
        let batch = match &self.from {
            Batches::File(file) => file.slice(at..at + self.length),
            Batches::Stdin => {
                let mut batch = BytesMut::zeroed(self.length);
                std::io::stdin().lock().read_exact(&mut batch)?;
                batch.freeze()
            }
        };
        let body = match self.protocol {
            Protocol::Http => batch,
            Protocol::Grpc => {
                let mut framed = BytesMut::with_capacity(batch.len() + 5);
                framed.put_u8(0);
                framed.put_u32(u32::try_from(batch.len()).unwrap_or(u32::MAX));
                framed.extend_from_slice(&batch);
                framed.freeze()
            }
        };
        let at = Duration::from_secs_f64(self.rate.map_or(0.0, |rate| self.number as f64 / rate));
        self.number += 1;
        Ok(Some((body, at)))
    }
}

async fn send(args: &Args) -> Result<Report, AnyError> {
    let path = match args.protocol {
        Protocol::Http => "/v1/traces",
        Protocol::Grpc => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    };
    let mut client = Client::builder(TokioExecutor::new());
    client.http2_only(matches!(args.protocol, Protocol::Grpc));
    let load = Arc::new(Load {
        client: client.build_http(),
        to: format!("{}{path}", args.to.to_string().trim_end_matches('/')).parse()?,
        protocol: args.protocol,
        waiting: Mutex::new(Waiting::of(args)?),
        began: Instant::now(),
        seconds: args.seconds,
    });
    if args.open {
        return send_open(args, &load).await;
    }
    let workers = (0..args.at_once).map(|_| {
        let load = Arc::clone(&load);
        tokio::spawn(async move { load.work().await })
    });
    let workers: Vec<_> = workers.collect();
    let (mut took, mut refused) = (Vec::new(), 0);
    for worker in workers {
        let (some, again) = worker.await??;
        took.extend(some);
        refused += again;
    }
    took.sort_unstable();
    let share = |share: f64| {
        let at = (took.len() as f64 * share) as usize;
        took.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e3)
    };
    let seconds = load.began.elapsed().as_secs_f64();
    let (p50, p99) = (share(0.5), share(0.99));
    Ok(Report { taken: took.len(), refused, seconds, p50, p99, answers: Vec::new() })
}

async fn send_open(args: &Args, load: &Arc<Load>) -> Result<Report, AnyError> {
    let workers = (0..args.at_once).map(|_| {
        let load = Arc::clone(load);
        tokio::spawn(async move { load.work_open().await })
    });
    let workers: Vec<_> = workers.collect();
    let mut answers = Vec::new();
    for worker in workers {
        answers.append(&mut worker.await??);
    }
    let taken = answers.iter().filter(|answer| answer.said == Answer::Taken).count();
    let seconds = load.began.elapsed().as_secs_f64();
    Ok(Report { taken, refused: answers.len() - taken, seconds, answers, ..Report::default() })
}

fn main() -> Result<(), AnyError> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(send(&args))?;
    serde_json::to_writer(std::io::stdout(), &report)?;
    Ok(())
}

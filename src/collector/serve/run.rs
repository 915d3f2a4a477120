//! `hopseal serve`, as it is called.

use std::io::{self, Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use hopseal_correlate::catalogue::Catalogue;
use opentelemetry_otlp::ExporterBuildError;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use super::alerts::{self, AlertError, Alerts};
use super::api::{self, Api};
use super::clock::{Clock, SystemClock};
use super::config::{self, Config, ConfigError};
use super::delivery::Accept as _;
use super::forward::{self, ForwardError, Forwarding};
use super::jaeger;
use super::keep::{KeepError, Keeper, PublishError};
use super::listen::Port;
use super::live::{Live, chain};
use super::metrics::Metrics;
use super::pages::{self, Pages};
use super::people::{self, People};
use super::service::{BindError, Service};
use super::store::StoreError;
use super::telemetry::Telemetry;
use crate::check::{self, Exit};
use crate::output::clean;

/// How often what is due is judged, and what was found is kept.
const TURN: Duration = Duration::from_secs(1);
/// How often is looked whether there is something to merge.
const MERGE: Duration = Duration::from_secs(10);
/// How long a service may take to say whether it is ready, and in how many bytes.
const READY: Duration = Duration::from_secs(2);
const READY_BYTES: u64 = 4096;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// The schema of configurations.
    Schema,
    /// Whether a configuration can be used.
    Check,
    /// Whether the service that runs by a configuration is ready.
    Ready,
    /// To serve, until a signal says to stop.
    Serve,
}

/// It could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The result cannot be written.
    #[error("cannot write the result")]
    Output(#[source] io::Error),
    /// What the service says of itself cannot be sent.
    #[error("cannot send metrics or the log")]
    Export(#[from] ExporterBuildError),
    /// Findings cannot be sent.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// Nobody can be told of findings.
    #[error(transparent)]
    Alerts(#[from] AlertError),
    /// Spans cannot be sent on.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// What is kept cannot be opened.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The service is not ready, or not there.
    #[error("the service at {address} is not ready")]
    NotReady {
        /// Where it was asked.
        address: SocketAddr,
        /// Why that is thought.
        #[source]
        source: io::Error,
    },
    /// Nobody can be asked.
    #[error("the configuration closes `listen.admin`, which would say whether the service is ready")]
    NoAdmin,
    /// A port cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The machine gives no thread or no signals.
    #[error("cannot start")]
    Start(#[source] io::Error),
    /// It ended before it could be asked where it listens.
    #[error("ended at once")]
    Ended,
    /// A thread of it panicked.
    #[error("a thread ended by a fault of the service; what was taken is read back at the next start")]
    Broken,
    /// What was found last could not be kept. Its spans are read back from the journal by the next process.
    #[error("cannot keep what was found last")]
    Stop(#[source] StoreError),
}

impl ServeError {
    /// The exit status: configuration, or an answer that cannot be written, is 2, what the machine refuses is 3.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::NotReady { .. } => Exit::Findings,
            Self::Config(_)
            | Self::Export(_)
            | Self::Publish(_)
            | Self::Alerts(_)
            | Self::Forward(_)
            | Self::NoAdmin
            | Self::Output(_) => Exit::Usage,
            Self::Keep(_) | Self::Bind(_) | Self::Start(_) | Self::Ended | Self::Broken | Self::Stop(_) => {
                Exit::Unreadable
            }
        }
    }

    /// Whether whoever reads the answer has closed the pipe: they have what they wanted.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(source) if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Does it.
///
/// # Errors
/// [`ServeError`].
pub(crate) fn run(task: Task, path: Option<&Path>, out: &mut dyn Write) -> Result<(), ServeError> {
    match task {
        Task::Schema => out.write_all(config::schema().as_bytes()).map_err(ServeError::Output),
        Task::Check => {
            let config = Config::load(path)?;
            Live::load(&config)?;
            catalogue(&config)?;
            people(&config)?;
            alerts::check(&config.alerts)?;
            let name = path.unwrap_or(Path::new("the default configuration")).display();
            writeln!(out, "{name}: can be used").map_err(ServeError::Output)
        }
        Task::Ready => ready(&Config::load(path)?),
        Task::Serve => serve(Config::load(path)?, |_, stop, reload| heed(stop, reload)),
    }
}

/// Asks the service that runs by this configuration.
fn ready(config: &Config) -> Result<(), ServeError> {
    let admin = config.listen.iter().find(|(port, _)| *port == Port::Admin);
    let (_, address) = admin.ok_or(ServeError::NoAdmin)?;
    let not_ready = |source| ServeError::NotReady { address: *address, source };
    let asked = || {
        let mut stream = TcpStream::connect_timeout(address, READY)?;
        stream.set_read_timeout(Some(READY))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(READY_BYTES).read_to_end(&mut answer)?;
        match answer.starts_with(b"HTTP/1.1 200 ") {
            true => Ok(()),
            false => Err(io::Error::other(format!("it says that it is not{}", reasons(&answer)))),
        }
    };
    asked().map_err(not_ready)
}

/// What an answer says besides its head, for people.
fn reasons(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body.trim());
    if body.is_empty() { String::new() } else { format!(": {}", clean(body)) }
}

fn catalogue(config: &Config) -> Result<Option<Catalogue>, ConfigError> {
    let path = config.judging.catalogue.as_deref();
    path.map(check::load_catalogue).transpose().map_err(ConfigError::Judging)
}

fn people(config: &Config) -> Result<Option<People>, ConfigError> {
    let (files, issuers) = &config.access.people;
    Ok(people::keys(files)?.map(|keys| Arc::new((keys, issuers.clone()))))
}

/// Serves until it is told to stop by whoever `told` starts: who is given the addresses that are bound, what stops it, and what
/// has all files read again.
pub(super) fn serve<F>(
    config: Config,
    told: impl FnOnce(&[(Port, SocketAddr)], &watch::Sender<bool>, Arc<Notify>) -> io::Result<F>,
) -> Result<(), ServeError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut telemetry = Telemetry::start(&config)?;
    // What may be wrong with files is found before anything is started.
    let live = Live::load(&config)?;
    let (catalogue, people) = (catalogue(&config)?, people(&config)?);
    alerts::check(&config.alerts)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Arc::new(Metrics::new());
    telemetry.export(&config, &metrics)?;
    let (queue, _forwarder) =
        config.forward.as_ref().map(|forward| forward::start(forward, &metrics)).transpose()?.unzip();
    let rules = Arc::clone(&live.rules);
    let mut keeper =
        Keeper::start(config.keep.clone(), rules, catalogue, Arc::clone(&clock), Arc::clone(&metrics))?;
    let published = keeper.publish(&config.findings).map_err(ServeError::from);
    let keeper = Arc::new(keeper);
    let served = published.and_then(|()| {
        let _alerts = Alerts::start(&config.alerts, &keeper.store(), &clock, &metrics)?;
        let forwarding = Forwarding { inner: Arc::clone(&keeper), queue };
        let api = Api { store: keeper.store(), clock, people };
        let pages = Pages { api: api.clone(), tail: keeper.tail(), links: config.links.clone() };
        let api = api::router(api.clone()).merge(jaeger::router(api)).merge(pages::router(pages));
        let turning = Repeating::turning(&keeper, &metrics)?;
        let merging = Repeating::merging(&keeper, &metrics)?;
        let runtime = Builder::new_multi_thread().enable_all().build().map_err(ServeError::Start)?;
        let served = runtime.block_on(async {
            let service = Service::bind(config, live, Arc::new(forwarding), metrics, api).await?;
            let (stop, stopped) = watch::channel(false);
            let reload = Arc::<Notify>::default();
            let addresses: Vec<_> = service.addresses().collect();
            let told = told(&addresses, &stop, Arc::clone(&reload)).map_err(ServeError::Start)?;
            tokio::spawn(told);
            let run = service.run(stopped, reload);
            tokio::pin!(run);
            let are_whole = || keeper.is_whole() && turning.is_whole() && merging.is_whole();
            tokio::select! {
                () = &mut run => {}
                () = until_not(&are_whole) => {
                    keeper.lose();
                    tracing::error!("a thread ended by a fault of ours: the service ends, and reads back at its next start what it took");
                    let _ = stop.send(true);
                    run.await;
                }
            }
            // It may have been told to end just then.
            if are_whole() { Ok(()) } else { Err(ServeError::Broken) }
        });
        drop(turning);
        Ok((served, merging))
    });
    // However it came to its end. What is being merged is given up.
    let kept = keeper.stop().map_err(ServeError::Stop);
    let (served, _merging) = served?;
    served.and(kept)
}

/// Returns once that is not so any more.
async fn until_not(is_so: impl Fn() -> bool) {
    while is_so() {
        tokio::time::sleep(TURN).await;
    }
}

/// A thread that does something again and again, until it is dropped.
struct Repeating {
    /// Dropped to end it.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Repeating {
    fn start(name: &str, pause: Duration, work: impl Fn() + Send + 'static) -> Result<Self, ServeError> {
        let (end, ended) = channel::<()>();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                work();
            }
        });
        Ok(Self { end: Some(end), thread: Some(thread.map_err(ServeError::Start)?) })
    }

    /// Whether it goes on.
    fn is_whole(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Has the keeper judge and keep.
    fn turning(keeper: &Arc<Keeper>, metrics: &Arc<Metrics>) -> Result<Self, ServeError> {
        let (keeper, metrics) = (Arc::clone(keeper), Arc::clone(metrics));
        Self::start("turn", TURN, move || {
            if let Err(error) = keeper.turn() {
                tracing::error!(error = chain(&error), "what was found is not kept yet");
            }
            metrics.keep(&keeper.counts());
            metrics.unready(&keeper.unready());
        })
    }

    /// Has the keeper merge segments.
    fn merging(keeper: &Arc<Keeper>, metrics: &Arc<Metrics>) -> Result<Self, ServeError> {
        let (keeper, metrics) = (Arc::clone(keeper), Arc::clone(metrics));
        Self::start("merge", MERGE, move || {
            yields();
            if let Err(error) = keeper.merge() {
                metrics.failed_merges.inc();
                tracing::warn!(error = chain(&error), "segments could not be merged");
            }
        })
    }
}

/// Has this thread stand back where others have something to do: merging can wait, whoever sends spans cannot.
fn yields() {
    // On Linux alone a thread has a priority of its own. Where it may not be changed all is done as well, and in the way of others.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 10);
}

impl Drop for Repeating {
    fn drop(&mut self) {
        self.end = None;
        // It does not panic, and if it did there is nothing left to do for it.
        self.thread.take().map(JoinHandle::join);
    }
}

/// Heeds signals from now on: SIGTERM and SIGINT stop it, SIGHUP has all files read again.
fn heed(stop: &watch::Sender<bool>, reload: Arc<Notify>) -> io::Result<impl Future<Output = ()> + use<>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let stop = stop.clone();
    Ok(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => reload.notify_one(),
            }
        }
        stop.send_replace(true);
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hopseal_correlate::sink::TraceId;
    use hopseal_tests::generator::span::Span;
    use hopseal_tests::generator::{Settings, generate, otlp};

    use super::super::clock::TestClock;
    use super::super::keep::faults;
    use super::super::receiver::Protocol;
    use super::super::store::HopQuery;
    use super::super::store::testing::EPOCH;
    use super::*;

    /// Scenario: a service takes spans, and before any of them is judged it loses the thread that has them.
    /// Guarantees: it ends by itself, and says so by its exit status; the next one has all that was answered for.
    #[test]
    fn a_service_that_loses_a_thread_ends_and_loses_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hopseal.yaml");
        let text = "listen: {otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, api: null, admin: null}
store: {alarm_under: '1', refuse_under: '1'}
";
        std::fs::write(&path, text).expect("written");
        let mut config = Config::load(Some(&path)).expect("a configuration");
        config.keep.folder = folder.path().join("data");
        let (keep, rules) = (config.keep.clone(), Live::load(&config).expect("rules").rules);
        let (to, bound) = channel();
        let serving = std::thread::spawn(move || {
            serve(config, move |addresses, _, _| {
                to.send(addresses.to_vec()).expect("somebody waits");
                Ok(std::future::pending::<()>())
            })
        });
        let addresses = bound.recv().expect("it listens");
        let (_, address) = addresses
            .iter()
            .find(|(port, _)| *port == Port::Spans(Protocol::OtlpHttp))
            .expect("a port for spans");
        let send = |spans: &[Span]| {
            let client = reqwest::blocking::Client::new();
            let request = client
                .post(format!("http://{address}/v1/traces"))
                .header("content-type", "application/x-protobuf");
            request.body(otlp::encode(spans)).send().expect("an answer").status().is_success()
        };
        let spans = generate(Settings { seed: 3, traces: 20 }).spans;
        assert!(spans.chunks(30).all(send));
        let mut fault = spans.clone();
        fault.truncate(1);
        faults::LOSE.clone_into(&mut fault.first_mut().expect("one").name);
        assert!(!send(&fault));
        let ended = serving.join().expect("no panic").expect_err("a fault");
        assert!(matches!(ended, ServeError::Broken), "{ended:?}");
        assert_eq!(ended.exit() as u8, 3);

        let clock = TestClock::at(EPOCH);
        let next =
            Keeper::start(keep, rules, None, Arc::clone(&clock) as _, Arc::default()).expect("a keeper");
        clock.advance(Duration::from_secs(11));
        next.turn().expect("kept");
        let hops = next.store().hops(&HopQuery::any(1_000_000)).expect("hops");
        let found: BTreeSet<TraceId> = hops.iter().map(|hop| hop.trace_id).collect();
        let sent: BTreeSet<TraceId> = spans.iter().map(|span| TraceId(span.trace.0)).collect();
        assert_eq!(found, sent);
        next.stop().expect("stopped");
    }

    /// Scenario: whoever is to be told of findings has a token in a file that is not there.
    /// Guarantees: that is said before anything is opened or started.
    #[test]
    fn nothing_is_started_by_a_configuration_that_cannot_be_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("hopseal.yaml");
        let text = "store: {folder: data}
alerts: {receivers: [{name: a, webhook: 'https://127.0.0.1:9', token: missing}]}
";
        std::fs::write(&config, text).expect("written");
        let config = Config::load(Some(&config)).expect("a configuration");
        let served = serve(config, |_, _, _| Ok(std::future::pending::<()>()));
        assert!(matches!(served, Err(ServeError::Alerts(_))), "{served:?}");
        assert!(!folder.path().join("data").exists());
    }
}

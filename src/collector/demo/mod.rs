//! `hopseal demo`: the project's story, told by a collector and a fleet of services that run here.
//!
//! Nothing is made up: the collector is that of `hopseal serve`, the services use the crate `hopseal`, and their faults are in their
//! code. What is shown is read back from the trail. A story that does not find what it promises fails the demo.
//!
//! Each module names only those to its left:
//!
//! ```text
//! error, realm -> trust -> authority, fleet, people, trail -> story -> tell
//! ```

mod authority;
mod error;
mod fleet;
mod people;
mod realm;
mod story;
mod tell;
#[cfg(test)]
mod tests;
mod trail;
mod trust;

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use hopseal_correlate::report::Report;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use self::authority::Authority;
pub(crate) use self::error::DemoError;
use self::fleet::{AGENT, Fleet};
use self::people::{BROWSER, KIOSK, KIOSK_SECONDS, People};
use self::realm::Realm;
use self::story::{STORIES, Stage, Story};
use self::tell::{Teller, broken};
use self::trail::Trail;
use self::trust::{PSEUDONYM_KEY, SKEW, TRUST_DOMAIN, Trust, random};
use crate::check::Exit;
use crate::serve::Background;
use crate::serve::clock::{Clock as _, SystemClock};
use crate::serve::store::Interval;

/// How long to wait for what a story promises, and how often it is looked for.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// `hopseal demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// An empty folder for the configuration and what is found, which stays; default: one that does not.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Stays running until Ctrl-C, as on a terminal.
    #[arg(long)]
    pub(crate) keep: bool,
    /// A realm of a Keycloak on this machine where people sign in, as `collector-config/compose/realm.json` sets it up; default: an
    /// authorization server of its own.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Where spans are sent on to, by OTLP over HTTP; default: nowhere.
    #[arg(long, value_name = "URL")]
    forward: Option<String>,
}

/// The folder, which goes with this if nobody asked for it.
enum Folder {
    Given(PathBuf),
    Ours(TempDir),
}

impl Folder {
    fn new(given: Option<&Path>) -> Result<Self, DemoError> {
        let Some(path) = given else {
            let made = TempDir::with_prefix("hopseal-demo-");
            let refused = |source| DemoError::Write { path: std::env::temp_dir(), source };
            return made.map(Self::Ours).map_err(refused);
        };
        let refused = |source| DemoError::Write { path: path.to_owned(), source };
        std::fs::create_dir_all(path).map_err(refused)?;
        if std::fs::read_dir(path).map_err(refused)?.next().is_some() {
            return Err(DemoError::NotEmpty(path.to_owned()));
        }
        path.canonicalize().map(Self::Given).map_err(refused)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Given(path) => path,
            Self::Ours(folder) => folder.path(),
        }
    }

    fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Writes a file, for nobody else to read: one of them is a key.
    fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, DemoError> {
        let path = self.path().join(name);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| file.write_all(content));
        written.map(|()| path.clone()).map_err(|source| DemoError::Write { path, source })
    }

    /// Writes what the collector is told: as little as it takes. Traces are judged soon, since nothing here is slow.
    fn configuration(
        &self,
        trust: &Trust,
        issuer: &str,
        forward: Option<&str>,
    ) -> Result<PathBuf, DemoError> {
        self.write("seals.jwks.json", trust.published())?;
        self.write("policy.yaml", format!("thresholds: {{skew: {SKEW}s}}\n").as_bytes())?;
        self.write("pseudonym.key", trust.pseudonym_key().as_bytes())?;
        // JSON's texts are YAML's too.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let data = quoted(&self.data().to_string_lossy());
        let issuer = quoted(issuer);
        let forward = forward.map_or("null".to_owned(), quoted);
        let text = format!(
            "listen: {{otlp_grpc: null, otlp_http: 127.0.0.1:0, zipkin: null, api: 127.0.0.1:0, admin: null}}
judging: {{policy: policy.yaml, keys: seals.jwks.json, trust_domain: {TRUST_DOMAIN}}}
access: {{pseudonyms: {{keys: [{{id: {PSEUDONYM_KEY}, file: pseudonym.key}}], issuers: [{issuer}]}}}}
windows: {{settle: 500ms}}
store: {{folder: {data}, refuse_under: 64M}}
forward: {{endpoint: {forward}}}
telemetry: {{log: error}}
"
        );
        self.write("hopseal.yaml", text.as_bytes())
    }
}

/// Tells it all.
///
/// # Errors
/// [`DemoError`], when it could not be told to its end.
pub(crate) fn run(args: &DemoArgs, colour: bool, out: &mut dyn Write) -> Result<Exit, DemoError> {
    // In this order, so that they end in the other: whoever sends before who is sent to.
    let folder = Folder::new(args.data.as_deref())?;
    let (listener, address) = fleet::listen()?;
    let secret = random::<32>()?;
    let clients = [(BROWSER, 600, None), (KIOSK, KIOSK_SECONDS, None), (AGENT, 600, Some(secret.clone()))];
    let authority = Arc::new(Authority::new(address, clients)?);
    let realm = match &args.issuer {
        Some(issuer) => Realm::keycloak(issuer),
        None => Realm::ours(authority.issuer(), secret),
    };
    let mut trust = Trust::new(&realm)?;
    let configuration = folder.configuration(&trust, &realm.issuer, args.forward.as_deref())?;
    let collector = Background::start(&configuration).map_err(DemoError::Collector)?;
    let (Some(spans), Some(api)) = (collector.otlp_http(), collector.api()) else {
        return Err(DemoError::Collector(crate::serve::ServeError::Ended));
    };
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(DemoError::set_up("threads"))?;
    {
        let _within = runtime.enter();
        fleet::serve(listener, authority.router())?;
    }
    let fleet = Fleet::open(&runtime, &mut trust, spans, &realm)?;
    let people = People::new(realm)?;
    let cast = Cast {
        fleet: &fleet,
        people: &people,
        trust: &trust,
        trail: &Trail::of(folder.data()),
        spans,
        folder: args.data.is_some().then(|| folder.path()),
    };
    let told = play(&runtime, args.keep, &cast, Teller { out, colour, api });
    fleet.close();
    drop(runtime);
    collector.stop().map_err(DemoError::Collector)?;
    told
}

/// All who take part.
struct Cast<'a> {
    fleet: &'a Fleet,
    people: &'a People,
    trust: &'a Trust,
    trail: &'a Trail,
    /// Where spans go.
    spans: SocketAddr,
    /// What stays, if somebody asked for it.
    folder: Option<&'a Path>,
}

/// Plays until the end, or until a signal says to stop.
fn play(runtime: &Runtime, keep: bool, cast: &Cast<'_>, mut teller: Teller<'_>) -> Result<Exit, DemoError> {
    runtime.block_on(async {
        let refused = DemoError::set_up("signals");
        let signals =
            signal(SignalKind::interrupt()).and_then(|it| Ok((it, signal(SignalKind::terminate())?)));
        let (mut interrupt, mut terminate) = signals.map_err(refused)?;
        let mut stopped = async move || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        let exit = tokio::select! {
            exit = tell_all(cast, &mut teller) => exit?,
            () = stopped() => return Err(DemoError::Interrupted),
        };
        if keep {
            teller.stays().map_err(DemoError::Output)?;
            stopped().await;
        }
        Ok(exit)
    })
}

async fn tell_all(cast: &Cast<'_>, teller: &mut Teller<'_>) -> Result<Exit, DemoError> {
    let mut people = Vec::new();
    for person in ["alice", "bob", "carol"] {
        people.push((person, cast.trust.pseudonym(person)?));
    }
    teller.cast(&people, cast.spans, cast.folder).map_err(DemoError::Output)?;
    let stage = Stage::new(cast.people, cast.fleet, cast.trust).await?;
    let mut played = Vec::new();
    for (number, story) in (1..).zip(&STORIES) {
        teller.begin(number, story).map_err(DemoError::Output)?;
        let from = SystemClock.now();
        stage.play(story).await?;
        tokio::task::block_in_place(|| cast.fleet.flush())?;
        let report = awaited(story, || cast.trail.within(Interval { from, to: u64::MAX })).await?;
        teller.end(story, &report).map_err(DemoError::Output)?;
        played.push((story, from));
    }
    // Once more: spans may have come late, and changed what is found.
    let (mut kept, mut to) = (0, u64::MAX);
    for (story, from) in played.into_iter().rev() {
        let report = cast.trail.within(Interval { from, to })?;
        kept += usize::from(broken(story, &report).is_empty());
        to = from;
    }
    teller.verdict(kept, STORIES.len()).map_err(DemoError::Output)
}

/// Reads until a story has what it promises, or patience ends; what was read last.
async fn awaited(story: &Story, read: impl Fn() -> Result<Report, DemoError>) -> Result<Report, DemoError> {
    let promised = async {
        loop {
            let report = read()?;
            if broken(story, &report).is_empty() {
                return Ok(report);
            }
            sleep(LOOK_EVERY).await;
        }
    };
    match timeout(PATIENCE, promised).await {
        Ok(report) => report,
        Err(_) => read(),
    }
}

//! The keys of every issuer of a registry.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout};

use super::fetch::{FetchFault, Fetched, Known, Origin, fetch};
use super::settings::{KeySettings, Refresh, SettingsError, WhenDown};
use super::state::{Held, Outcome, Serve, State, Step, Unknown, Why};
use super::{FixedKeys, FixedKeysError, KeySource, Keys};
use crate::clock::{Clock, SystemClock};
use crate::http::{AddressFault, Fetch};
use crate::jose::SkippedKey;
use crate::observe::{Observed, Observer, Unobserved};
use crate::outcome::Undecided;
use crate::registry::{Issuer, Registry};

/// The keys of every issuer of a registry, fetched when they are needed and kept as [`KeySettings`] say. Cheap to clone;
/// what is cloned is the same store. It runs on `tokio`.
///
/// ```no_run
/// # async fn example(registry: hopseal::Registry) -> Result<(), Box<dyn std::error::Error>> {
/// use hopseal::{http::{Http, HttpSettings}, jose::Compact, keys::KeyStore};
/// let http = Http::new(&HttpSettings::default())?;
/// let store = KeyStore::builder(&registry, http).build()?;
/// let without_keys = store.warm().await; // or not: keys come with the first token
///
/// let token = Compact::parse("eyJ..")?;
/// let keys = store.find("staff", token.kid()).await?;
/// let payload = keys.set.verify(&token)?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct KeyStore {
    pub(super) lines: Arc<HashMap<String, Arc<Line>>>,
    fixed: Arc<FixedKeys>,
}

/// A store to be.
#[must_use]
pub struct KeyStoreBuilder<'r> {
    registry: &'r Registry,
    before: Option<KeyStore>,
    client: Arc<dyn Fetch>,
    settings: KeySettings,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
}

impl fmt::Debug for KeyStoreBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyStoreBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// A store that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyStoreError {
    /// The settings do not fit together.
    #[error("settings of the key store")]
    Settings(#[source] SettingsError),
    /// An address of the registry may not be asked.
    #[error("keys of `{issuer}` cannot be fetched")]
    Address {
        /// The name that the registry gives the issuer.
        issuer: String,
        /// Why.
        #[source]
        source: AddressFault,
    },
    /// Keys that stand in the registry cannot be used.
    #[error("keys of the registry")]
    Fixed(#[source] FixedKeysError),
}

impl KeyStoreBuilder<'_> {
    /// Other settings than those of the registry, or the default ones where it has none.
    pub fn settings(mut self, settings: KeySettings) -> Self {
        self.settings = settings;
        self
    }

    /// Goes on with the keys of another store, of the registry before this one: those of issuers whose rules stay as they were, with
    /// all that is known of them, if the settings do too. A registry that is read anew must not make every issuer be asked anew, least
    /// of all one that is down.
    pub fn taking_over(mut self, before: KeyStore) -> Self {
        self.before = Some(before);
        self
    }

    /// Another clock than the system's.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Who is told what happens. Nobody by default.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Makes the store. Nothing is fetched yet.
    ///
    /// # Errors
    /// [`KeyStoreError`]: keys that stand in the registry are read now, and addresses are held to the rules.
    pub fn build(self) -> Result<KeyStore, KeyStoreError> {
        self.settings.check().map_err(KeyStoreError::Settings)?;
        let fixed = Arc::new(FixedKeys::of(self.registry).map_err(KeyStoreError::Fixed)?);
        let shared = Arc::new(Shared {
            settings: self.settings,
            client: self.client,
            clock: self.clock,
            observer: self.observer,
        });
        let mut lines = HashMap::new();
        for issuer in self.registry.issuers() {
            let before = self.before.as_ref().and_then(|before| before.lines.get(issuer.name()));
            let same = |line: &&Arc<Line>| line.issuer == *issuer && line.shared.settings == shared.settings;
            if let Some(line) = before.filter(same) {
                lines.insert(issuer.name().to_owned(), Arc::clone(line));
            } else if let Some(line) = Line::of(issuer, &shared)? {
                lines.insert(issuer.name().to_owned(), Arc::new(line));
            }
        }
        Ok(KeyStore { lines: Arc::new(lines), fixed })
    }
}

/// How the keys of one issuer are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The name that the registry gives the issuer.
    pub issuer: String,
    /// How many keys serve. None when they are too old.
    pub keys: usize,
    /// Seconds since the issuer confirmed them; `None` without keys.
    pub age: Option<u64>,
    /// Keys of the set that are not in order.
    pub skipped: Vec<SkippedKey>,
    /// How many fetches failed since the last good one.
    pub failures: u32,
    /// Why the last one did.
    pub fault: Option<FetchFault>,
}

impl KeyStore {
    /// A store for the issuers of a registry that have keys as JSON Web Keys. Others are not in it.
    pub fn builder(registry: &Registry, client: impl Fetch + 'static) -> KeyStoreBuilder<'_> {
        KeyStoreBuilder {
            registry,
            before: None,
            client: Arc::new(client),
            settings: KeySettings::of(registry),
            clock: Arc::new(SystemClock),
            observer: Arc::new(Unobserved),
        }
    }

    /// The keys at hand of the issuer that the registry calls so. Never waits, takes no lock, begins nothing; `None` where
    /// there are none, or none that may still be used.
    #[must_use]
    pub fn in_hand(&self, issuer: &str) -> Option<Keys> {
        self.lines.get(issuer).map_or_else(|| self.fixed.of_issuer(issuer), |line| line.in_hand())
    }

    /// The keys of the issuer that the registry calls so, for a token whose header names this key. They are fetched if
    /// there are none, none that may still be used, or none of this id, within the bounds of [`KeySettings`]; that a key of
    /// this id is among them is not promised.
    ///
    /// # Errors
    /// [`Undecided::NoKeys`] where nothing can be said of the token: there are no keys, or the issuer could not be asked
    /// for this one.
    pub async fn find(&self, issuer: &str, kid: Option<&str>) -> Result<Keys, Undecided> {
        match self.lines.get(issuer) {
            Some(line) => line.find(kid).await,
            None => {
                let fixed = self.fixed.of_issuer(issuer);
                fixed.ok_or_else(|| Undecided::NoKeys { issuer: issuer.to_owned() })
            }
        }
    }

    /// Fetches the keys of every issuer that has none, all at the same time. Who is still without is returned: whether to
    /// start without them is the caller's to decide.
    pub async fn warm(&self) -> Vec<Undecided> {
        let mut tasks = tokio::task::JoinSet::new();
        for line in self.lines.values() {
            let line = Arc::clone(line);
            tasks.spawn(async move { line.find(None).await.err() });
        }
        let mut without = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            without.extend(ended.ok().flatten());
        }
        without
    }

    /// How the keys are of each issuer whose keys are fetched, by name.
    #[must_use]
    pub fn status(&self) -> Vec<KeyStatus> {
        let mut all: Vec<KeyStatus> = self.lines.values().map(|line| line.status()).collect();
        all.sort_by(|a, b| a.issuer.cmp(&b.issuer));
        all
    }
}

impl KeySource for KeyStore {
    async fn keys(&self, issuer: &Issuer, kid: Option<&str>) -> Result<Keys, Undecided> {
        self.find(issuer.name(), kid).await
    }
}

/// What all lines have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: KeySettings,
    client: Arc<dyn Fetch>,
    pub(super) clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    issuer: Issuer,
    pub(super) origin: Origin,
    pub(super) shared: Arc<Shared>,
    /// What `state` holds, to be read without its lock.
    view: ArcSwapOption<Held>,
    state: Mutex<Inner>,
    /// Held by whoever fetches.
    flight: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) state: State,
    pub(super) known: Known,
    skipped: Vec<SkippedKey>,
    fault: Option<FetchFault>,
}

impl Line {
    fn of(issuer: &Issuer, shared: &Arc<Shared>) -> Result<Option<Self>, KeyStoreError> {
        let name = issuer.name().to_owned();
        let found =
            Origin::of(issuer).map_err(|source| KeyStoreError::Address { issuer: name.clone(), source })?;
        let Some(origin) = found else { return Ok(None) };
        let inner = Inner { state: State::new(), known: Known::default(), skipped: Vec::new(), fault: None };
        Ok(Some(Self {
            name,
            issuer: issuer.clone(),
            origin,
            shared: Arc::clone(shared),
            view: ArcSwapOption::empty(),
            state: Mutex::new(inner),
            flight: Arc::default(),
        }))
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes what the state holds seen.
    pub(super) fn publish(&self, inner: &Inner) {
        self.view.store(inner.state.held().cloned().map(Arc::new));
    }

    fn observe(&self, observed: &Observed<'_>) {
        self.shared.observer.observe(observed);
    }

    fn in_hand(&self) -> Option<Keys> {
        let held = self.view.load();
        let held = held.as_deref()?;
        let usable = held.usable(self.shared.clock.now(), &self.shared.settings);
        usable.then(|| held.keys.clone())
    }

    async fn find(self: &Arc<Self>, kid: Option<&str>) -> Result<Keys, Undecided> {
        let (now, settings) = (self.shared.clock.now(), &self.shared.settings);
        // What nearly every request needs, without the lock.
        if let Some(held) = self.view.load().as_deref() {
            let fresh = held.usable(now, settings) && !held.is_due(now);
            if fresh && kid.is_none_or(|kid| held.keys.set.has(kid)) {
                return Ok(held.keys.clone());
            }
        }
        let (step, mark) = {
            let inner = self.inner();
            (inner.state.ask(now, kid, settings), inner.state.mark())
        };
        match step {
            Step::Serve(serve) => {
                if serve.refresh {
                    self.refresh().await;
                }
                Ok(self.serve(serve))
            }
            Step::Unavailable => Err(self.unavailable()),
            Step::Fetch(why) => match timeout(settings.wait, self.fetched(kid, mark)).await {
                Ok(found) => found,
                Err(_) if why == Why::UnknownKid && settings.unknown_kid_when_down == WhenDown::Refuse => {
                    self.in_hand().ok_or_else(|| self.unavailable())
                }
                Err(_) => Err(self.unavailable()),
            },
        }
    }

    /// Fetches, or waits for whoever does.
    async fn fetched(self: &Arc<Self>, kid: Option<&str>, mark: u64) -> Result<Keys, Undecided> {
        let settings = &self.shared.settings;
        let flight = Arc::clone(&self.flight).lock_owned().await;
        let again = || self.inner().state.ask_again(self.shared.clock.now(), kid, mark, settings);
        let step = match again() {
            Step::Fetch(why) => {
                self.fly(flight, why).await;
                again()
            }
            step => step,
        };
        match step {
            Step::Serve(serve) => Ok(self.serve(serve)),
            Step::Fetch(_) | Step::Unavailable => Err(self.unavailable()),
        }
    }

    /// Refreshes keys that still serve, unless somebody does.
    async fn refresh(self: &Arc<Self>) {
        let Ok(flight) = Arc::clone(&self.flight).try_lock_owned() else { return };
        let (now, settings) = (self.shared.clock.now(), &self.shared.settings);
        let due = self.inner().state.ask(now, None, settings);
        if !matches!(due, Step::Serve(Serve { refresh: true, .. })) {
            return;
        }
        match settings.refresh {
            Refresh::Background => {
                let line = Arc::clone(self);
                tokio::spawn(async move { line.fetch(flight, Why::Refresh).await });
            }
            Refresh::Inline(wait) => {
                // Too late is no fault: the keys at hand still serve.
                let _ = timeout(wait, self.fetch(flight, Why::Refresh)).await;
            }
        }
    }

    /// Fetches such that it goes on when the request that needed it is gone, where anything can go on.
    async fn fly(self: &Arc<Self>, flight: OwnedMutexGuard<()>, why: Why) {
        match self.shared.settings.refresh {
            Refresh::Background => {
                let line = Arc::clone(self);
                // It fails only if it panics or the runtime ends; either way there are no new keys.
                let _ = tokio::spawn(async move { line.fetch(flight, why).await }).await;
            }
            Refresh::Inline(_) => self.fetch(flight, why).await,
        }
    }

    async fn fetch(&self, _flight: OwnedMutexGuard<()>, why: Why) {
        let Shared { settings, client, clock, .. } = &*self.shared;
        let asked = clock.now();
        let (begun, known) = {
            let mut inner = self.inner();
            (inner.state.begin(asked, why, settings), inner.known.clone())
        };
        let sent = Instant::now();
        let fetched = fetch(&self.origin, client.as_ref(), known, asked, settings).await;
        let took = sent.elapsed();
        let mut skipped = 0;
        let outcome = {
            let mut inner = self.inner();
            let (outcome, word) = match fetched {
                Ok(Fetched { new, max_age, known }) => {
                    inner.known = known;
                    inner.fault = None;
                    match new {
                        Some((set, faulty)) => {
                            skipped = faulty.len();
                            inner.skipped = faulty;
                            (Outcome::New { set, max_age }, "new")
                        }
                        None => (Outcome::Same { max_age }, "same"),
                    }
                }
                Err((fault, known)) => {
                    let word = fault.as_str();
                    inner.known = known;
                    inner.fault = Some(fault);
                    (Outcome::Failed, word)
                }
            };
            inner.state.end(clock.now(), begun, outcome, settings);
            self.publish(&inner);
            word
        };
        self.observe(&Observed::KeysFetched { issuer: &self.name, outcome, took });
        if skipped > 0 {
            self.observe(&Observed::KeysSkipped { issuer: &self.name, count: skipped });
        }
    }

    fn serve(&self, serve: Serve) -> Keys {
        if let Some(age) = serve.stale {
            self.observe(&Observed::KeysStale { issuer: &self.name, age });
        }
        if let Some(unknown) = serve.unknown {
            let outcome = match unknown {
                Unknown::Fetched => "fetched",
                Unknown::Remembered => "remembered",
                Unknown::Cooldown => "cooldown",
            };
            self.observe(&Observed::UnknownKid { issuer: &self.name, outcome });
        }
        serve.keys
    }

    fn unavailable(&self) -> Undecided {
        self.observe(&Observed::KeysUnavailable { issuer: &self.name });
        Undecided::NoKeys { issuer: self.name.clone() }
    }

    fn status(&self) -> KeyStatus {
        let inner = self.inner();
        let now = self.shared.clock.now();
        let held = inner.state.held();
        let usable = held.filter(|held| held.usable(now, &self.shared.settings));
        KeyStatus {
            issuer: self.name.clone(),
            keys: usable.map_or(0, |held| held.keys.set.len()),
            age: held.map(|held| now.since(held.confirmed)),
            skipped: inner.skipped.clone(),
            failures: inner.state.failures(),
            fault: inner.fault.clone(),
        }
    }
}

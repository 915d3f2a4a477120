//! Asking an issuer about a token that only it can read (RFC 7662), with answers that may be signed (RFC 9701).
//!
//! Answers are held to the same rules of claims as a JWT, remembered for a short time under a keyed digest of the token, and
//! asked for once for all who wait for the same. That an issuer cannot be asked is never taken for "active".

mod answer;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::Reason;
use crate::binding::{self, Dpop};
use crate::cache::{Boarding, Flights};
use crate::claims::Expected;
use crate::client::Client;
use crate::clock::{Clock, SystemClock, UnixTime};
use crate::http::{Address, AddressFault, Fetch, Reach};
use crate::jose::quoted;
use crate::keys::{KeyStore, SettingsError};
use crate::observe::{Observed, Observer, Unobserved};
use crate::outcome::{Refused, Undecided, Validated, Verified};
use crate::registry::{Issuer, Registry, Source};
use crate::revocation::Revocations;
use crate::secret::Token;
use answer::{SIGNED, Silence};
pub use settings::IntrospectionSettings;

/// Most bytes of an answer.
const MAX_BYTES: usize = 64 * 1024;
/// Longest token that is asked about.
const MAX_TOKEN: usize = 8 * 1024;

/// Validates opaque tokens by asking their issuers. Cheap to clone; what is cloned is the same. A
/// [`Validator`](crate::Validator) that is given one validates them like any other credential.
///
/// ```no_run
/// # async fn example(registry: hopseal::Registry, token: hopseal::Token) -> Result<(), Box<dyn std::error::Error>> {
/// use hopseal::{Credential, http::{Http, HttpSettings}, introspection::Introspector};
/// let http = Http::new(&HttpSettings::default())?;
/// let introspector = Introspector::builder(&registry, http).build()?;
/// // An opaque token does not say whose it is: the registry's name of its issuer says so.
/// let validated = introspector.validate("opaque", &token, Credential::Opaque).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Introspector {
    inner: Arc<Inner>,
}

struct Inner {
    issuers: HashMap<String, Line>,
    settings: IntrospectionSettings,
    client: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    revocations: Arc<Revocations>,
    dpop: Dpop,
    /// Of this process: nobody else can tell which token an entry is of.
    secret: hmac::Key,
    answers: Cache<Key, (Result<Arc<Verified>, Refused>, UnixTime)>,
    flights: Flights,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("issuers", &self.issuers).finish_non_exhaustive()
    }
}

type Key = [u8; 32];

/// One issuer.
#[derive(Debug)]
struct Line {
    issuer: Issuer,
    endpoint: Address,
    client: Client,
    /// Whose keys sign its answers: the store, and the name of the issuer there.
    signed_by: Option<(KeyStore, String)>,
    at_once: Semaphore,
    /// How many questions in a row were not answered, and since when.
    silent: Mutex<(u32, UnixTime)>,
}

/// An introspector to be.
#[must_use]
pub struct IntrospectorBuilder<'r> {
    registry: &'r Registry,
    client: Arc<dyn Fetch>,
    settings: IntrospectionSettings,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    revocations: Arc<Revocations>,
    dpop: Dpop,
    clients: HashMap<String, Client>,
    signed_by: HashMap<String, (KeyStore, String)>,
}

impl fmt::Debug for IntrospectorBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectorBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// An introspector that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntrospectorError {
    /// The settings cannot be used.
    #[error("settings of the introspector")]
    Settings(#[source] SettingsError),
    /// An endpoint may not be asked.
    #[error("`{issuer}` cannot be asked")]
    Address {
        /// The name that the registry gives the issuer.
        issuer: String,
        /// Why.
        #[source]
        source: AddressFault,
    },
    /// The system has no randomness.
    #[error("no randomness")]
    Randomness,
    /// Something was said of an issuer that the registry does not name, or that is of another kind.
    #[error("no issuer `{0}` that is asked about tokens")]
    Unknown(String),
}

impl IntrospectorBuilder<'_> {
    /// Other settings than those of the registry, or the default ones where it has none.
    pub fn settings(mut self, settings: IntrospectionSettings) -> Self {
        self.settings = settings;
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

    /// With revocations that others know of too: they hold at once, whatever is remembered.
    pub fn revocations(mut self, revocations: Arc<Revocations>) -> Self {
        self.revocations = revocations;
        self
    }

    /// With other settings for proofs of possession.
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        self.dpop = dpop;
        self
    }

    /// We show the issuer that the registry calls so who we are by this, and not by the secret of the registry.
    pub fn client(mut self, issuer: impl Into<String>, client: Client) -> Self {
        self.clients.insert(issuer.into(), client);
        self
    }

    /// The answers of an issuer must be signed (RFC 9701), with the keys that `keys` has under the name `signer`.
    pub fn signed_by(mut self, issuer: impl Into<String>, keys: KeyStore, signer: impl Into<String>) -> Self {
        self.signed_by.insert(issuer.into(), (keys, signer.into()));
        self
    }

    /// Makes the introspector. Nobody is asked yet.
    ///
    /// # Errors
    /// [`IntrospectorError`].
    pub fn build(mut self) -> Result<Introspector, IntrospectorError> {
        self.settings.check().map_err(IntrospectorError::Settings)?;
        let mut issuers = HashMap::new();
        for issuer in self.registry.issuers() {
            let Source::Introspection { endpoint, client_id, client_secret } = issuer.source() else {
                continue;
            };
            let name = issuer.name().to_owned();
            let reach = if issuer.allows_loopback_http() { Reach::Loopback } else { Reach::Named };
            let endpoint = Address::parse(endpoint, reach)
                .map_err(|source| IntrospectorError::Address { issuer: name.clone(), source })?;
            let client = self.clients.remove(&name);
            let line = Line {
                issuer: issuer.clone(),
                endpoint,
                client: client
                    .unwrap_or_else(|| Client::with_secret(client_id.as_str(), client_secret.clone())),
                signed_by: self.signed_by.remove(&name),
                at_once: Semaphore::new(self.settings.at_once),
                silent: Mutex::new((0, UnixTime(0))),
            };
            issuers.insert(name, line);
        }
        if let Some(unknown) = self.clients.into_keys().chain(self.signed_by.into_keys()).next() {
            return Err(IntrospectorError::Unknown(unknown));
        }
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| IntrospectorError::Randomness)?;
        let inner = Inner {
            issuers,
            client: self.client,
            clock: self.clock,
            observer: self.observer,
            revocations: self.revocations,
            dpop: self.dpop,
            secret: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            answers: Cache::new(self.settings.capacity),
            flights: Flights::default(),
            settings: self.settings,
        };
        Ok(Introspector { inner: Arc::new(inner) })
    }
}

impl Introspector {
    /// An introspector for the issuers of a registry that are of that kind.
    pub fn builder(registry: &Registry, client: impl Fetch + 'static) -> IntrospectorBuilder<'_> {
        IntrospectorBuilder {
            registry,
            client: Arc::new(client),
            settings: IntrospectionSettings::of(registry),
            clock: Arc::new(SystemClock),
            observer: Arc::new(Unobserved),
            revocations: Arc::default(),
            dpop: Dpop::default(),
            clients: HashMap::new(),
            signed_by: HashMap::new(),
        }
    }

    /// Validates a token of the issuer that the registry calls so. Of `expected`, the audience, the proof of possession and
    /// the certificate count.
    ///
    /// # Errors
    /// [`Undecided::Unanswered`] if the issuer could not be asked, or said nothing that makes sense.
    pub async fn validate<'e>(
        &self,
        issuer: &str,
        token: &Token,
        expected: impl Into<Expected<'e>> + Send,
    ) -> Result<Validated, Undecided> {
        let (expected, inner) = (expected.into(), &*self.inner);
        let Some(line) = inner.issuers.get(issuer) else {
            let detail = format!("`{}` is not asked about tokens", quoted(issuer));
            return Ok(Refused::new(Reason::Issuer, detail).into());
        };
        let verified = match inner.judge(line, token, expected.audience).await? {
            Ok(verified) => verified,
            Err(refused) => return Ok(refused.into()),
        };
        if let Err(refused) = inner.revocations.check(&verified) {
            return Ok(refused.into());
        }
        // Last, as a proof is good once.
        let proved = binding::check(&inner.dpop, token, &verified, &expected, inner.clock.now())?;
        Ok(match proved {
            Ok(()) => Validated::Verified(verified),
            Err(refused) => refused.into(),
        })
    }

    /// What the issuer says of the token, for the front door, which sees to the rest. [`Undecided::NotAsked`] unless its rules
    /// are those that this was made with.
    pub(crate) async fn judge(
        &self,
        issuer: &Issuer,
        token: &Token,
        audience: Option<&str>,
    ) -> Result<Result<Arc<Verified>, Refused>, Undecided> {
        match self.inner.issuers.get(issuer.name()).filter(|line| line.issuer == *issuer) {
            Some(line) => self.inner.judge(line, token, audience).await,
            None => Err(Undecided::NotAsked { issuer: issuer.name().to_owned() }),
        }
    }

    /// Forgets every answer.
    pub fn forget(&self) {
        self.inner.answers.clear();
    }
}

impl Inner {
    /// What the issuer says, held to its rules.
    async fn judge(
        &self,
        line: &Line,
        token: &Token,
        audience: Option<&str>,
    ) -> Result<Result<Arc<Verified>, Refused>, Undecided> {
        // RFC 6750 section 2.1. What no issuer can have issued is not worth a question.
        let legal = |letter: u8| letter.is_ascii_alphanumeric() || b"-._~+/=".contains(&letter);
        if token.expose().len() > MAX_TOKEN {
            return Ok(Err(Refused::new(Reason::TooLarge, format!("over {MAX_TOKEN} bytes"))));
        }
        if token.expose().is_empty() || !token.expose().bytes().all(legal) {
            return Ok(Err(Refused::new(Reason::Malformed, "no bearer token")));
        }
        let asked = timeout(self.settings.wait, self.ask(line, token, audience)).await;
        asked.unwrap_or_else(|_| Err(line.unanswered()))
    }

    /// The answer at hand, or a new one.
    async fn ask(
        &self,
        line: &Line,
        token: &Token,
        audience: Option<&str>,
    ) -> Result<Result<Arc<Verified>, Refused>, Undecided> {
        let key = self.key(line, token, audience);
        loop {
            if let Some(result) = self.at_hand(&key) {
                self.observer.observe(&Observed::IntrospectionCached { issuer: line.issuer.name() });
                return Ok(result);
            }
            let _landing = match self.flights.board(key) {
                Boarding::First(landing) => landing,
                Boarding::Later(landed) => {
                    landed.await;
                    // Who asked for all of us got no answer: nobody else tries at once. Unless it was gone before it could.
                    if self.at_hand(&key).is_none() && line.is_silent() {
                        return Err(line.unanswered());
                    }
                    continue;
                }
            };
            let began = Instant::now();
            let judged = self.question(line, token, audience).await;
            let outcome = match &judged {
                Ok(Ok(_)) => "active",
                Ok(Err(refused)) if refused.reason() == Reason::Inactive => "inactive",
                Ok(Err(_)) => "refused",
                Err(silence) => silence.as_str(),
            };
            let (issuer, took) = (line.issuer.name(), began.elapsed());
            self.observer.observe(&Observed::Introspected { issuer, outcome, took });
            let result = judged.map_err(|_| line.unanswered())?.map(Arc::new);
            let now = self.clock.now();
            let until = match &result {
                Ok(verified) => now.plus(self.settings.ttl).min(verified.principal.expiry),
                Err(_) => now.plus(self.settings.bad_ttl),
            };
            self.answers.insert(key, (result.clone(), until));
            return Ok(result);
        }
    }

    /// An answer that still holds.
    fn at_hand(&self, key: &Key) -> Option<Result<Arc<Verified>, Refused>> {
        let (now, longest) = (self.clock.now(), self.settings.ttl.max(self.settings.bad_ttl));
        // A clock that was set back makes no answer hold longer.
        let holds = |until: UnixTime| now < until && until.since(now) <= longest;
        self.answers.get(key).filter(|(_, until)| holds(*until)).map(|(result, _)| result)
    }

    /// Asks, whatever is at hand.
    async fn question(
        &self,
        line: &Line,
        token: &Token,
        audience: Option<&str>,
    ) -> Result<Result<Verified, Refused>, Silence> {
        if line.is_paused(self.clock.now(), &self.settings) {
            return Err(Silence::Busy);
        }
        let _turn = line.at_once.acquire().await.map_err(|_| Silence::Busy)?;
        let payload = self.payload(line, token).await;
        line.heard(payload.is_ok(), self.clock.now());
        let now = self.clock.now();
        answer::judge(payload?, &line.issuer, token, audience, now, self.settings.ttl)
    }

    async fn payload(&self, line: &Line, token: &Token) -> Result<crate::claims::Payload, Silence> {
        let fields = [("token", token.expose()), ("token_type_hint", "access_token")];
        let request = line.client.request(line.endpoint.clone(), &fields, self.clock.now(), MAX_BYTES);
        let accept = if line.signed_by.is_some() { SIGNED } else { "application/json" };
        let answer = self.client.fetch(request.header("accept", accept)).await.map_err(Silence::Http)?;
        let Some((store, signer)) = &line.signed_by else { return answer::plain(&answer) };
        let text = std::str::from_utf8(&answer.body).unwrap_or_default();
        let compact = crate::jose::Compact::parse(text).ok();
        let kid = compact.as_ref().and_then(|compact| compact.kid());
        // Without its keys it said nothing that could be believed.
        let keys = store.find(signer, kid).await.map_err(|_| Silence::Signature)?;
        answer::signed(&answer, &keys, &line.issuer, line.client.id(), self.clock.now())
    }

    fn key(&self, line: &Line, token: &Token, audience: Option<&str>) -> Key {
        let mut context = hmac::Context::with_key(&self.secret);
        for part in [line.issuer.name(), audience.unwrap_or_default(), token.expose()] {
            context.update(&part.len().to_le_bytes());
            context.update(part.as_bytes());
        }
        let mut key = Key::default();
        key.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        key
    }
}

impl Line {
    fn unanswered(&self) -> Undecided {
        Undecided::Unanswered { issuer: self.issuer.name().to_owned() }
    }

    fn is_paused(&self, now: UnixTime, settings: &IntrospectionSettings) -> bool {
        let (times, since) = *self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        times >= settings.patience && now.since(since) < settings.pause && since <= now
    }

    /// Whether the last question was not answered.
    fn is_silent(&self) -> bool {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner).0 > 0
    }

    fn heard(&self, answered: bool, now: UnixTime) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        *silent = if answered { (0, now) } else { (silent.0.saturating_add(1), now) };
    }
}

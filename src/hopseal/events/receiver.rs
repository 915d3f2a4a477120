//! Who takes events in and puts them into force.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::kind::EventKind;
use super::subject::Subject;
use super::token::{Parsed, Said};
use crate::Reason;
use crate::clock::{Clock, SystemClock, UnixTime};
use crate::jose::quoted;
use crate::keys::KeySource;
use crate::observe::{Observed, Observer, Unobserved};
use crate::outcome::{Refused, Undecided};
use crate::registry::{Issuer, Registry};
use crate::revocation::{Revocation, Revocations};

/// An event that was verified, and is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The name that the registry gives whoever sent it.
    pub issuer: String,
    /// Its id (`jti`).
    pub id: String,
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub at: UnixTime,
    /// What is revoked by it. Nothing, too, where its subject tells nothing that tokens have.
    pub revocations: Vec<Revocation>,
}

/// One feed of events.
#[derive(Debug, Clone)]
#[must_use]
pub struct FeedSettings {
    issuer: String,
    audiences: Vec<String>,
    speaks_for: Vec<String>,
    quiet: u64,
}

impl FeedSettings {
    /// The feed of the issuer that the registry calls so. Its events must be for one of these audiences: as whom it knows us
    /// (`aud`).
    pub fn new(issuer: impl Into<String>, audiences: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            issuer: issuer.into(),
            audiences: audiences.into_iter().map(Into::into).collect(),
            speaks_for: Vec::new(),
            quiet: 3600,
        }
    }

    /// The feeds that a registry says there are (`feed:`).
    #[must_use]
    pub fn of(registry: &Registry) -> Vec<Self> {
        let feed = |issuer: &Issuer| {
            let feed = issuer.feed()?;
            let settings = Self::new(issuer.name(), &feed.audiences).speaks_for(&feed.speaks_for);
            Some(feed.quiet.map_or(settings.clone(), |quiet| settings.quiet(quiet)))
        };
        registry.issuers().iter().filter_map(feed).collect()
    }

    /// Its events may be about subjects of these issuers too, by their names in the registry.
    pub fn speaks_for(mut self, issuers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.speaks_for = issuers.into_iter().map(Into::into).collect();
        self
    }

    /// For how many seconds nothing may be heard of it before it is [behind](Feed::is_behind). Default 3600; with a
    /// transmitter that sends verification events, or is polled, some minutes do.
    pub const fn quiet(mut self, seconds: u64) -> Self {
        self.quiet = seconds;
        self
    }
}

/// How a feed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Feed {
    /// Seconds since it was last heard of, or since the receiver was made.
    pub lag: u64,
    /// Whether that is too long: revocations may be missing, and routes with much to lose should ask the issuer. With an entry of the
    /// kind `introspection` for it, `Expected::from(Credential::Opaque).issuer(NAME)` asks about a token of any form.
    pub is_behind: bool,
}

/// A receiver of events.
///
/// ```
/// use std::sync::Arc;
/// use hopseal::{Registry, Revocations, keys::FixedKeys, events::{FeedSettings, Receiver}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::from_yaml(r#"
/// issuers:
///   - name: staff
///     kind: static
///     issuer: https://id.example
///     jwks: '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
///     audiences: [orders]
///     algorithms: [EdDSA]
/// "#)?;
/// let keys = FixedKeys::of(&registry)?;
/// let revocations = Arc::new(Revocations::default()); // those of the `Validator`
/// let feeds = [FeedSettings::new("staff", ["https://orders.example/events"])];
/// let receiver = Receiver::builder(&registry, keys, Arc::clone(&revocations), feeds).build()?;
/// // In the handler of POST /events; the same for whatever framework.
/// let reply = receiver.push(Some("application/secevent+jwt"), None, b"eyJ..").await;
/// assert_eq!(reply.status, 400);
/// # Ok(()) }
/// ```
pub struct Receiver<K> {
    pub(super) lines: HashMap<String, Line>,
    keys: K,
    revocations: Arc<Revocations>,
    pub(super) clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
}

impl<K> fmt::Debug for Receiver<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("lines", &self.lines).finish_non_exhaustive()
    }
}

/// One feed.
#[derive(Debug)]
pub(super) struct Line {
    issuer: Issuer,
    settings: FeedSettings,
    /// The issuers whose subjects its events may be about, by their ids.
    about: Vec<(String, Issuer)>,
    /// When it was last heard of.
    heard: AtomicU64,
}

/// A receiver to be.
#[must_use]
pub struct ReceiverBuilder<'r, K> {
    registry: &'r Registry,
    keys: K,
    revocations: Arc<Revocations>,
    feeds: Vec<FeedSettings>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
}

impl<K> fmt::Debug for ReceiverBuilder<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiverBuilder").field("feeds", &self.feeds).finish_non_exhaustive()
    }
}

/// A receiver that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiverError {
    /// A feed names an issuer that the registry does not.
    #[error("no issuer `{0}`")]
    Unknown(String),
    /// A feed without an audience: events for others would be taken for ours.
    #[error("feed of `{0}`: no audience")]
    NoAudience(String),
    /// Two feeds of one issuer.
    #[error("two feeds of `{0}`")]
    Twice(String),
}

impl<K: KeySource> ReceiverBuilder<'_, K> {
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

    /// Makes the receiver.
    ///
    /// # Errors
    /// [`ReceiverError`].
    pub fn build(self) -> Result<Receiver<K>, ReceiverError> {
        let mut lines = HashMap::new();
        let now = self.clock.now().0;
        let find = |name: &str| {
            self.registry.issuer(name).cloned().ok_or_else(|| ReceiverError::Unknown(name.to_owned()))
        };
        for settings in self.feeds {
            let issuer = find(&settings.issuer)?;
            if settings.audiences.is_empty() {
                return Err(ReceiverError::NoAudience(settings.issuer));
            }
            let others: Result<Vec<Issuer>, ReceiverError> =
                settings.speaks_for.iter().map(|name| find(name)).collect();
            let about = std::iter::once(issuer.clone()).chain(others?);
            let about = about.map(|issuer| (issuer.id().to_owned(), issuer)).collect();
            let name = settings.issuer.clone();
            let line = Line { issuer, settings, about, heard: AtomicU64::new(now) };
            if lines.insert(line.issuer.id().to_owned(), line).is_some() {
                return Err(ReceiverError::Twice(name));
            }
        }
        let Self { keys, revocations, clock, observer, .. } = self;
        Ok(Receiver { lines, keys, revocations, clock, observer })
    }
}

impl<K: KeySource> Receiver<K> {
    /// A receiver that verifies the events of these feeds with the keys of their issuers, and puts what follows from them into
    /// force in `revocations`.
    pub fn builder(
        registry: &Registry,
        keys: K,
        revocations: Arc<Revocations>,
        feeds: impl IntoIterator<Item = FeedSettings>,
    ) -> ReceiverBuilder<'_, K> {
        ReceiverBuilder {
            registry,
            keys,
            revocations,
            feeds: feeds.into_iter().collect(),
            clock: Arc::new(SystemClock),
            observer: Arc::new(Unobserved),
        }
    }

    /// Takes a security event token in. When this returns, what follows from it is in force.
    ///
    /// # Errors
    /// [`Undecided`] if there are no keys to verify it with: it should be sent again.
    pub async fn receive(&self, token: &str) -> Result<Result<Event, Refused>, Undecided> {
        self.take(token, |parsed, line, keys, now| {
            parsed.event(&line.issuer, keys, &line.settings.audiences, now)
        })
        .await
    }

    /// Takes a logout token in, from an issuer that has a feed, for one of its audiences in the registry. When this returns,
    /// what follows from it is in force.
    ///
    /// # Errors
    /// Like [`Receiver::receive`].
    pub async fn logout(&self, token: &str) -> Result<Result<Event, Refused>, Undecided> {
        self.take(token, |parsed, line, keys, now| parsed.logout(&line.issuer, keys, now)).await
    }

    async fn take(
        &self,
        token: &str,
        read: impl FnOnce(&Parsed<'_>, &Line, &crate::keys::Keys, UnixTime) -> Result<Said, Refused>,
    ) -> Result<Result<Event, Refused>, Undecided> {
        let parsed = Parsed::new(token).and_then(|parsed| {
            let id = parsed.issuer()?;
            let line = self
                .lines
                .get(id)
                .ok_or_else(|| Refused::new(Reason::Issuer, format!("no feed of `{}`", quoted(id))))?;
            Ok((parsed, line))
        });
        let (parsed, line) = match parsed {
            Ok(found) => found,
            Err(refused) => return Ok(Err(refused)),
        };
        let keys = self.keys.keys(&line.issuer, parsed.kid()).await?;
        let now = self.clock.now();
        let name = line.issuer.name();
        let said = match read(&parsed, line, &keys, now) {
            Ok(said) => said,
            Err(refused) => {
                let outcome = refused.reason().as_str();
                self.observer.observe(&Observed::EventReceived { issuer: name, outcome });
                return Ok(Err(refused));
            }
        };
        let event = line.event(said);
        for revocation in &event.revocations {
            self.put(revocation, now);
        }
        self.heard(line, now);
        self.observer.observe(&Observed::EventReceived { issuer: name, outcome: event.kind.as_str() });
        Ok(Ok(event))
    }

    /// Puts a revocation into force; where there is no room, a wider one, for which there always is.
    fn put(&self, revocation: &Revocation, now: UnixTime) {
        if self.revocations.revoke(revocation.clone(), now).is_ok() {
            return;
        }
        let (Revocation::Token { issuer, .. }
        | Revocation::Session { issuer, .. }
        | Revocation::Subject { issuer, .. }
        | Revocation::Issuer { issuer, .. }) = revocation;
        let wider = Revocation::Issuer { issuer: issuer.clone(), issued_until: now };
        // For this there is always room.
        let _ = self.revocations.revoke(wider, now);
    }

    /// The feed was heard of.
    pub(super) fn heard(&self, line: &Line, now: UnixTime) {
        line.heard.store(now.0, Ordering::Relaxed);
        self.observer.observe(&Observed::FeedLag { issuer: line.issuer.name(), seconds: 0 });
    }

    /// How the feed is of the issuer that the registry calls so. To be called now and then, too, for the metric.
    #[must_use]
    pub fn feed(&self, issuer: &str) -> Option<Feed> {
        let line = self.line(issuer)?;
        let lag = self.clock.now().since(UnixTime(line.heard.load(Ordering::Relaxed)));
        self.observer.observe(&Observed::FeedLag { issuer: line.issuer.name(), seconds: lag });
        Some(Feed { lag, is_behind: lag > line.settings.quiet })
    }

    pub(super) fn line(&self, issuer: &str) -> Option<&Line> {
        self.lines.values().find(|line| line.issuer.name() == issuer)
    }
}

impl Line {
    /// What follows from what was said. Of issuers that it does not speak for, nothing.
    fn event(&self, said: Said) -> Event {
        let about = |id: &str| self.about.iter().find(|(known, _)| known == id).map(|(_, issuer)| issuer);
        // A session, where one is named, is what ends; its user stays.
        let session = said.subjects.iter().any(|subject| matches!(subject, Subject::Session { .. }));
        let mut revocations = Vec::new();
        for subject in said.subjects {
            // The last token that it concerns was issued by then, and lives no longer than this.
            let until =
                |issuer: &Issuer| said.at.plus(issuer.max_lifetime()).plus(issuer.skew().saturating_mul(2));
            match subject {
                Subject::Session { id } => {
                    let (issuer, until) = (self.issuer.id().to_owned(), until(&self.issuer));
                    revocations.push(Revocation::Session { issuer, id, until });
                }
                Subject::User { issuer, id } if !session => {
                    if let Some(of) = about(&issuer) {
                        let (issued_until, until) = (said.at, until(of));
                        revocations.push(Revocation::Subject { issuer, id, issued_until, until });
                    }
                }
                Subject::Token { issuer, id } => {
                    if let Some(of) = about(&issuer) {
                        revocations.push(Revocation::Token { until: until(of), issuer, id });
                    }
                }
                Subject::User { .. } => {}
            }
        }
        let issuer = self.issuer.name().to_owned();
        Event { issuer, id: said.id, kind: said.kind, at: said.at, revocations }
    }
}

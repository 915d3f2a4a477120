//! What files hold, as it is now: certificates, senders, who may ask, what traces are judged by. They are read again when they change, and
//! one that cannot be used leaves the last good one in force.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use hopseal::keys::KeyStore;
use hopseal::{Registry, Validator};
use rustls::ServerConfig;

use super::access::Access;
use super::config::{AccessSettings, Config, ConfigError, JudgingSettings, SenderSettings};
use super::metrics::{Metrics, Reloaded};
use super::proof::{KnownBy, validator};
use super::rules::Rules;
use super::senders::Senders;
use super::tls;
use crate::check;

/// The parts that change while the service runs.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) tls: Option<Arc<ArcSwap<ServerConfig>>>,
    pub(crate) senders: Arc<ArcSwap<Senders>>,
    pub(crate) access: Arc<ArcSwap<Access>>,
    pub(crate) rules: Arc<ArcSwap<Rules>>,
    watches: Watches,
}

/// The files of each part.
#[derive(Debug)]
struct Watches {
    tls: Watch,
    senders: Watch,
    access: Watch,
    rules: Watch,
}

/// Files, and how they were when they were last looked at.
#[derive(Debug)]
struct Watch {
    files: Vec<PathBuf>,
    seen: Vec<Option<(SystemTime, u64)>>,
}

impl Watch {
    fn new(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let files: Vec<PathBuf> = files.into_iter().collect();
        let seen = files.iter().map(|path| stamp(path)).collect();
        Self { files, seen }
    }

    /// Whether any is other than before.
    fn changed(&mut self) -> bool {
        let now: Vec<_> = self.files.iter().map(|path| stamp(path)).collect();
        now != std::mem::replace(&mut self.seen, now.clone())
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

impl Live {
    /// Reads all of it.
    ///
    /// # Errors
    /// [`ConfigError`] with the first that cannot be used.
    pub(crate) fn load(config: &Config) -> Result<Self, ConfigError> {
        // Looked at before they are read, so that no change falls in between.
        let watches = Watches::of(config);
        let tls = config.tls.as_ref().map(tls::load).transpose().map_err(ConfigError::Tls)?;
        Ok(Self {
            tls: tls.map(|tls| Arc::new(ArcSwap::new(tls))),
            senders: Arc::new(ArcSwap::from_pointee(senders(&config.senders)?)),
            access: Arc::new(ArcSwap::from_pointee(access(&config.access)?)),
            rules: Arc::new(ArcSwap::from_pointee(rules(&config.judging)?)),
            watches,
        })
    }

    /// Reads again what changed, or `all` of it.
    pub(crate) fn look(&mut self, config: &Config, all: bool, metrics: &Metrics) {
        if (self.watches.tls.changed() || all)
            && let (Some(files), Some(live)) = (&config.tls, &self.tls)
        {
            let read = tls::load(files).map_err(ConfigError::Tls).map(|tls| live.store(tls));
            told("certificates", read, metrics);
        }
        if (self.watches.senders.changed() || all) && config.senders.registry.is_some() {
            let read = senders(&config.senders).map(|senders| self.senders.store(Arc::new(senders)));
            told("senders", read, metrics);
        }
        if (self.watches.access.changed() || all) && config.access.registry.is_some() {
            let read = access(&config.access).map(|access| self.access.store(Arc::new(access)));
            told("access", read, metrics);
        }
        if (self.watches.rules.changed() || all) && !self.watches.rules.files.is_empty() {
            let read = rules(&config.judging).and_then(|mut rules| {
                // What is held in memory was read by them.
                let dialects = Arc::clone(&self.rules.load().dialects);
                if *rules.dialects != *dialects {
                    return Err(ConfigError::Dialects);
                }
                rules.dialects = dialects;
                self.rules.store(Arc::new(rules));
                Ok(())
            });
            told("rules", read, metrics);
        }
    }
}

impl Watches {
    fn of(config: &Config) -> Self {
        let tls = config.tls.iter().flat_map(|files| {
            [Some(&files.certificate), Some(&files.key), files.client_authorities.as_ref()]
                .into_iter()
                .flatten()
        });
        let judging = &config.judging;
        let rules = judging.policy.iter().chain(judging.keys.as_ref().map(|(path, _)| path));
        Self {
            tls: Watch::new(tls.cloned()),
            senders: Watch::new(config.senders.registry.clone()),
            access: Watch::new(config.access.registry.clone()),
            rules: Watch::new(rules.cloned()),
        }
    }
}

fn told(what: &'static str, read: Result<(), ConfigError>, metrics: &Metrics) {
    let result = match read {
        Ok(()) => {
            tracing::info!(what, "read again");
            "ok"
        }
        Err(error) => {
            let error = chain(&error);
            tracing::error!(what, error, "cannot be used: what was read before stays in force");
            "failed"
        }
    };
    metrics.reloads.get_or_create(&Reloaded { what, result }).inc();
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn senders(settings: &SenderSettings) -> Result<Senders, ConfigError> {
    let SenderSettings { required, registry, known } = settings;
    let issuers = known.iter().map(|(by, id)| (by, format!("the sender `{}` is", id.name)));
    let tokens = registry.as_deref().map(|path| tokens(path, issuers)).transpose()?;
    Ok(Senders { required: *required, known: known.clone(), tokens })
}

fn access(settings: &AccessSettings) -> Result<Access, ConfigError> {
    let AccessSettings { required, registry, known, names, people: _ } = settings;
    let issuers = known.iter().map(|(by, role)| (by, format!("some with the role `{}` are", role.as_str())));
    let tokens = registry.as_deref().map(|path| tokens(path, issuers)).transpose()?;
    Ok(Access { required: *required, names: names.clone(), known: known.clone(), tokens })
}

/// Validates tokens by that trust registry. `known`: by what who is known.
fn tokens<'k>(
    path: &Path,
    known: impl Iterator<Item = (&'k KnownBy, String)>,
) -> Result<Validator<KeyStore>, ConfigError> {
    let open = |source| ConfigError::Open { what: "trust registry", path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(open)?;
    let refuse = |source| ConfigError::Registry { path: path.to_owned(), source };
    let registry = Registry::from_yaml(&text).map_err(refuse)?;
    for (by, who) in known {
        if let Some(issuer) = by.issuer()
            && registry.issuer(issuer).is_none()
        {
            return Err(ConfigError::Issuer { path: path.to_owned(), issuer: issuer.to_owned(), who });
        }
    }
    validator(registry).map_err(|source| ConfigError::Tokens { path: path.to_owned(), source })
}

fn rules(settings: &JudgingSettings) -> Result<Rules, ConfigError> {
    let policy = settings.policy.as_deref();
    let (policy, dialects) = check::load_policy(policy).map_err(ConfigError::Judging)?;
    let mut skipped = Vec::new();
    let seals = check::load_keys(settings.keys.as_ref(), policy.thresholds.skew, &mut skipped);
    let seals = seals.map_err(ConfigError::Judging)?;
    for line in String::from_utf8_lossy(&skipped).lines() {
        tracing::warn!("{line}");
    }
    Ok(Rules { policy, dialects: Arc::new(dialects), seals })
}

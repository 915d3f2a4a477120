//! Findings for whoever is woken by them: as alerts of an Alertmanager, and as events (CloudEvents) for anything else.
//!
//! ```text
//! store: changes after the last that was told --> who wants them --> post, tried until it is taken --> store: told
//! ```
//! Each receiver has a thread, and its own place in what the store notes of findings. So only what is committed is told, the next
//! process goes on where this one ended, and one that is slow or gone holds up nobody else and no memory: what it was not told is
//! in the store. What was taken just before a kill may come again, under the same id.
//!
//! A receiver of which something panics is begun anew, as by the next process, after as long as after any failure. It is no reason to end the
//! service, which would do so again each time it came to the same finding.

mod event;
mod firing;
mod post;
mod settings;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

pub(crate) use self::settings::{Address, AlertSettings, Kind, ReceiverSettings};

use self::event::Events;
use self::firing::Firing;
use self::post::{Later, Post};
use self::settings::Patience;
use super::clock::Clock;
use super::guard::{Panicked, guarded};
use super::live::chain;
use super::metrics::Metrics;
use super::store::{Store, StoreError};

/// Changes that are looked at before the store is told of it.
const PAGE: usize = 64;
/// How long the end waits for an answer that is on its way. What it is about is told again by the next process.
const END: Duration = Duration::from_secs(2);

/// Nobody can be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AlertError {
    /// A file with a secret cannot be read.
    #[error("the {what} of the receiver `{receiver}`, `{}`", path.display())]
    Read {
        /// What is in the file.
        what: &'static str,
        /// Whose it is.
        receiver: String,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds no such secret.
    #[error("the {what} of the receiver `{receiver}`, `{}`: {reason}", path.display())]
    Secret {
        /// What should be in the file.
        what: &'static str,
        /// Whose it is.
        receiver: String,
        /// The file.
        path: PathBuf,
        /// What it should be.
        reason: &'static str,
    },
    /// What sends cannot be made.
    #[error("cannot send alerts")]
    Client(#[source] reqwest::Error),
    /// The machine gives no thread.
    #[error("cannot start a thread that sends alerts")]
    Thread(#[source] io::Error),
    /// The store does not take who is to be told.
    #[error("cannot note who is told of findings")]
    Store(#[from] StoreError),
}

/// Whether all files that the settings name can be used.
///
/// # Errors
/// [`AlertError`] with the first that cannot.
pub(crate) fn check(settings: &AlertSettings) -> Result<(), AlertError> {
    settings.receivers.iter().try_for_each(post::check)
}

/// Tells receivers, until it is dropped.
pub(crate) struct Alerts {
    /// One a thread, dropped to end it.
    stops: Vec<Sender<()>>,
    /// Closed once all of them ended.
    ended: Receiver<()>,
}

impl Alerts {
    /// Starts to tell these, and has the store note what becomes of findings for them alone.
    ///
    /// # Errors
    /// [`AlertError`].
    pub(crate) fn start(
        settings: &AlertSettings,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, AlertError> {
        Self::patiently(settings, &Patience::default(), store, clock, metrics)
    }

    fn patiently(
        settings: &AlertSettings,
        patience: &Patience,
        store: &Arc<dyn Store>,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, AlertError> {
        let names: Vec<&str> = settings.receivers.iter().map(|receiver| receiver.name.as_str()).collect();
        store.receivers(&names)?;
        let mut stops = Vec::new();
        let (end, ended) = channel();
        for receiver in &settings.receivers {
            post::check(receiver)?;
            let post = Post::new(receiver.clone(), patience, Arc::clone(clock))?;
            let told = Who {
                teller: Teller::new(receiver, patience, &settings.pages),
                receiver: receiver.clone(),
                pages: settings.pages.clone(),
                post,
                store: Arc::clone(store),
                clock: Arc::clone(clock),
                metrics: Arc::clone(metrics),
                patience: *patience,
            };
            let (stop, stopped) = channel();
            let end = end.clone();
            let thread = std::thread::Builder::new().name(format!("alerts {}", receiver.name));
            let run = move || {
                told.run(&stopped);
                drop(end);
            };
            // It ends on its own, or with the process.
            thread.spawn(run).map(drop).map_err(AlertError::Thread)?;
            stops.push(stop);
        }
        Ok(Self { stops, ended })
    }
}

impl Drop for Alerts {
    fn drop(&mut self) {
        self.stops.clear();
        // Nothing is ever sent: it is closed, or too late.
        let _ = self.ended.recv_timeout(END);
    }
}

/// What is told, by kind of receiver.
enum Teller {
    Events(Events),
    Firing(Firing),
}

impl Teller {
    fn new(receiver: &ReceiverSettings, patience: &Patience, pages: &Option<String>) -> Self {
        match receiver.kind {
            Kind::Alertmanager => Self::Firing(Firing::new(receiver.clone(), patience.resend, pages.clone())),
            Kind::Webhook => Self::Events(Events::new(receiver.clone(), pages.clone())),
        }
    }
}

/// Somebody who is told.
struct Who {
    receiver: ReceiverSettings,
    pages: Option<String>,
    teller: Teller,
    post: Post,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    patience: Patience,
}

/// Why it is not done yet.
enum NotYet {
    Store(StoreError),
    Later(Later),
    Panicked(Panicked),
}

impl From<StoreError> for NotYet {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What one turn did.
#[derive(Debug, Default)]
struct Did {
    /// So many were taken.
    sent: u64,
    /// So many will never be.
    refused: u64,
}

impl Who {
    /// Tells until it is stopped.
    fn run(mut self, stopped: &Receiver<()>) {
        let (mut failures, mut last) = (0, 0);
        loop {
            let turned = guarded(|| self.turn(&mut last, stopped));
            let wait = match turned.unwrap_or_else(|panicked| Err(NotYet::Panicked(panicked))) {
                Ok(is_all) => {
                    failures = 0;
                    if is_all { self.patience.poll } else { Duration::ZERO }
                }
                Err(why) => {
                    failures += 1;
                    if let NotYet::Panicked(_) = why {
                        // It may be half done with something. What it knows for good is in the store.
                        self.teller = Teller::new(&self.receiver, &self.patience, &self.pages);
                        last = 0;
                    }
                    self.wait(&why, failures)
                }
            };
            if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// How long to wait after so many failures in a row: twice as long each time, or as long as it was asked for.
    fn wait(&self, why: &NotYet, failures: u32) -> Duration {
        let receiver = &self.receiver.name;
        let Patience { first, most, longest, .. } = self.patience;
        let next = first.saturating_mul(1 << (failures - 1).min(16)).min(most);
        match why {
            NotYet::Store(error) => {
                let error = chain(error);
                tracing::error!(receiver, error, "what became of findings cannot be read");
                next
            }
            NotYet::Panicked(panicked) => {
                self.metrics.alerted(self.receiver.kind.as_str(), "failed", 1);
                tracing::error!(receiver, place = %panicked, wait = ?next, "was not told of findings by a fault of ours, and will be");
                next
            }
            NotYet::Later(Later { after, why }) => {
                self.metrics.alerted(self.receiver.kind.as_str(), "failed", 1);
                let wait = after.map_or(next, |asked| asked.clamp(next, longest));
                tracing::warn!(receiver, why, ?wait, "was not told of findings, and will be");
                wait
            }
        }
    }

    /// Tells what is new. Whether that is all there is.
    fn turn(&mut self, last: &mut u64, stopped: &Receiver<()>) -> Result<bool, NotYet> {
        let new = self.store.changes(&self.receiver.name, PAGE)?;
        let to = self.receiver.kind.as_str();
        let mut did = Did::default();
        let (told, up_to) = match &mut self.teller {
            Teller::Events(events) => {
                let mut up_to = new.up_to;
                let is_over = || stopped.try_recv() == Err(TryRecvError::Disconnected);
                (events.tell(&new.changes, &self.post, &is_over, &mut did, &mut up_to), up_to)
            }
            Teller::Firing(firing) => {
                let told = firing.tell(&new, &*self.store, self.clock.now(), &self.post, &mut did);
                let up_to = if told.is_ok() { new.up_to } else { *last };
                (told, up_to)
            }
        };
        self.metrics.alerted(to, "sent", did.sent);
        self.metrics.alerted(to, "refused", did.refused);
        // What comes before one that was not taken does not come again.
        if up_to > *last {
            self.store.told(&self.receiver.name, up_to)?;
            if new.missed > 0 {
                let (receiver, missed) = (&self.receiver.name, new.missed);
                tracing::warn!(receiver, missed, "could not be told for so long that changes are forgotten");
                self.metrics.alerted(to, "missed", missed);
            }
            *last = up_to;
        }
        told.map(|()| new.changes.len() < PAGE)
    }
}

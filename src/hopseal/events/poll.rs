//! Events that we ask for (RFC 8936).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::receiver::{Event, Receiver};
use super::web::code;
use crate::http::{Address, AddressFault, Fetch, HttpFault, Reach, Request};
use crate::jose::Json;
use crate::keys::KeySource;
use crate::secret::Token;

/// Most bytes of an answer.
const MAX_BYTES: usize = 1024 * 1024;
/// Most events that are asked for at once.
const MAX_EVENTS: usize = 100;

/// Asks a transmitter for events, one poll after the other.
pub struct Poller<K> {
    receiver: Arc<Receiver<K>>,
    issuer: String,
    endpoint: Address,
    fetch: Arc<dyn Fetch>,
    /// What the transmitter is to be told with the next poll.
    pending: Mutex<Pending>,
}

#[derive(Debug, Default, Clone)]
struct Pending {
    /// Events that are in force.
    ack: Vec<String>,
    /// Events that were refused: code and description.
    errors: BTreeMap<String, (&'static str, &'static str)>,
}

impl<K> fmt::Debug for Poller<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller")
            .field("issuer", &self.issuer)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// What a poll brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Polled {
    /// Events that are in force now.
    pub events: Vec<Event>,
    /// How many were refused.
    pub refused: usize,
    /// How many could not be decided on. They come again.
    pub undecided: usize,
    /// Whether the transmitter has more: poll again at once.
    pub more: bool,
}

/// Why a poll brought nothing. What was to be acknowledged will be with the next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PollFault {
    /// There was no answer.
    #[error("no answer")]
    Http(#[source] HttpFault),
    /// The answer was not 200.
    #[error("status {0}")]
    Status(u16),
    /// Not an answer to a poll.
    #[error("no answer to a poll")]
    Shape,
}

impl<K: KeySource> Poller<K> {
    /// Polls the transmitter of the issuer that the registry calls so, whose events `receiver` takes in.
    ///
    /// # Errors
    /// [`AddressFault`] for an address that may not be asked.
    pub fn new(
        receiver: Arc<Receiver<K>>,
        issuer: &str,
        endpoint: &str,
        reach: Reach,
        fetch: impl Fetch + 'static,
    ) -> Result<Self, AddressFault> {
        Ok(Self {
            receiver,
            issuer: issuer.to_owned(),
            endpoint: Address::parse(endpoint, reach)?,
            fetch: Arc::new(fetch),
            pending: Mutex::default(),
        })
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls once, showing this access token, and acknowledges what the poll before brought. When this returns, what it brought
    /// is in force.
    ///
    /// # Errors
    /// [`PollFault`].
    pub async fn poll(&self, token: Option<&Token>) -> Result<Polled, PollFault> {
        let told = self.pending().clone();
        let errors: serde_json::Map<String, serde_json::Value> = told
            .errors
            .iter()
            .map(|(id, (err, description))| (id.clone(), json!({"err": err, "description": description})))
            .collect();
        let body = json!({
            "maxEvents": MAX_EVENTS, "returnImmediately": true, "ack": told.ack, "setErrs": errors,
        });
        let mut request = Request::get(self.endpoint.clone(), MAX_BYTES).header("accept", "application/json");
        request.body = Some(("application/json", body.to_string().into_bytes().into()));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        let answer = self.fetch.fetch(request).await.map_err(PollFault::Http)?;
        if answer.status != 200 {
            return Err(PollFault::Status(answer.status));
        }
        let json = Json::read(&answer.body).map_err(|_| PollFault::Shape)?;
        let Some(Json::Object(sets)) = json.get("sets") else { return Err(PollFault::Shape) };
        // It has heard what we told; what comes now is for the next poll.
        *self.pending() = Pending::default();
        if let Some(line) = self.receiver.line(&self.issuer) {
            self.receiver.heard(line, self.receiver.clock.now());
        }
        let more = matches!(json.get("moreAvailable"), Some(Json::Bool(true)));
        let mut polled = Polled { more, ..Polled::default() };
        for (id, set) in sets.iter().take(MAX_EVENTS) {
            let Some(token) = set.as_text() else { return Err(PollFault::Shape) };
            match self.receiver.receive(token).await {
                Ok(Ok(event)) => {
                    self.pending().ack.push(id.clone());
                    polled.events.push(event);
                }
                Ok(Err(refused)) => {
                    let told = (code(refused.reason()), refused.reason().told());
                    self.pending().errors.insert(id.clone(), told);
                    polled.refused += 1;
                }
                Err(_) => polled.undecided += 1,
            }
        }
        Ok(polled)
    }
}

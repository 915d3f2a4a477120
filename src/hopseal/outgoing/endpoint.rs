//! A server that issues tokens.

use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use super::issued::{Issued, NotIssued};
use crate::client::Client;
use crate::clock::{Clock, SystemClock};
use crate::http::{Address, AddressFault, Fetch, Reach};
use crate::observe::{Observed, Observer, Unobserved};

/// Most bytes of an answer.
const MAX_BYTES: usize = 64 * 1024;

/// The token endpoint of an authorization server (RFC 6749 section 3.2), and who we are there. Cheap to clone.
#[derive(Clone)]
pub struct TokenEndpoint {
    pub(super) name: Arc<str>,
    address: Address,
    client: Client,
    fetch: Arc<dyn Fetch>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpoint")
            .field("name", &self.name)
            .field("address", &self.address)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl TokenEndpoint {
    /// The endpoint at this address, called `name` in metrics.
    ///
    /// # Errors
    /// [`AddressFault`] for an address that may not be asked: `https` and no other, except with [`Reach::Loopback`].
    pub fn new(
        name: &str,
        address: &str,
        reach: Reach,
        client: Client,
        fetch: impl Fetch + 'static,
    ) -> Result<Self, AddressFault> {
        Ok(Self {
            name: name.into(),
            address: Address::parse(address, reach)?,
            client,
            fetch: Arc::new(fetch),
            clock: Arc::new(SystemClock),
            observer: Arc::new(Unobserved),
        })
    }

    /// With another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// With somebody who is told what happens.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Asks for a token.
    pub(super) async fn ask(&self, fields: &[(&str, &str)]) -> Result<Issued, NotIssued> {
        // Its life is reckoned from before it was issued: it never seems to live longer than it does.
        let now = self.clock.now();
        let request = self.client.request(self.address.clone(), fields, now, MAX_BYTES);
        let began = Instant::now();
        let answer = self.fetch.fetch(request.header("accept", "application/json")).await;
        let issued = answer.map_err(NotIssued::Http).and_then(|answer| Issued::read(&answer, now));
        let outcome = issued.as_ref().map_or_else(NotIssued::as_str, |_| "ok");
        let (server, took) = (&*self.name, began.elapsed());
        self.observer.observe(&Observed::CredentialFetched { server, outcome, took });
        issued
    }
}

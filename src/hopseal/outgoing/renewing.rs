//! A token that is renewed before it ends.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

use super::endpoint::TokenEndpoint;
use super::issued::{Issued, NotIssued};
use super::renewal::{Renewal, Step};
use crate::observe::Observed;
use crate::secret::Token;

/// What a token is wanted for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Want {
    scope: Option<String>,
    resource: Option<String>,
    audience: Option<String>,
}

impl Want {
    /// These scopes, separated by spaces.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// For the service at this address (`resource`, RFC 8707 section 2).
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// For the service of this name (`audience`), where the server takes that instead.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        [("scope", &self.scope), ("resource", &self.resource), ("audience", &self.audience)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

/// A token of ours, shared by all who send it. It is renewed at three quarters of its life, in the background and once for
/// all; only who finds none that is good waits. Cheap to clone. It runs on `tokio`.
///
/// ```no_run
/// # async fn example(secret: hopseal::Secret) -> Result<(), Box<dyn std::error::Error>> {
/// use hopseal::http::{Http, HttpSettings, Reach};
/// use hopseal::outgoing::{Client, Credentials, TokenEndpoint, Want};
/// let http = Http::new(&HttpSettings::default())?;
/// let client = Client::with_secret("orders", secret);
/// let server = TokenEndpoint::new("staff", "https://id.example.com/token", Reach::Named, client, http)?;
/// let credentials = Credentials::of_client(server, Want::default().resource("https://payments.example.com"));
/// let issued = credentials.token().await?;
/// let header = format!("Bearer {}", issued.token.expose());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Credentials {
    inner: Arc<Inner>,
}

struct Inner {
    server: TokenEndpoint,
    want: Want,
    grant: Grant,
    state: Mutex<State>,
    /// Held by whoever asks.
    flight: Arc<tokio::sync::Mutex<()>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("server", &self.server)
            .field("want", &self.want)
            .finish_non_exhaustive()
    }
}

enum Grant {
    /// For ourselves.
    Client,
    /// For somebody who let us, with a refresh token that is in the state; the next one is shown to this.
    Refresh(Box<dyn Fn(&Token) + Send + Sync>),
}

#[derive(Default)]
struct State {
    issued: Option<Issued>,
    renewal: Renewal,
    refresh: Option<Arc<Token>>,
    /// Why there is nothing more to be had.
    ended: Option<NotIssued>,
    /// Why the last attempt failed.
    fault: Option<NotIssued>,
}

impl Credentials {
    /// A token for ourselves (client credentials, RFC 6749 section 4.4).
    #[must_use]
    pub fn of_client(server: TokenEndpoint, want: Want) -> Self {
        Self::new(server, want, Grant::Client, None)
    }

    /// A token for somebody who let us, by a refresh token (RFC 6749 section 6). Where the server issues another refresh token
    /// each time, the one before is never sent again, and `rotated` is shown the next, to keep it.
    ///
    /// When the server refuses a refresh token, that is told ([`Observed::RefreshRefused`]) and it is not sent again: it was
    /// withdrawn, or somebody else used it (RFC 9700 section 4.14.2).
    #[must_use]
    pub fn of_refresh_token(
        server: TokenEndpoint,
        want: Want,
        refresh_token: Token,
        rotated: impl Fn(&Token) + Send + Sync + 'static,
    ) -> Self {
        Self::new(server, want, Grant::Refresh(Box::new(rotated)), Some(Arc::new(refresh_token)))
    }

    fn new(server: TokenEndpoint, want: Want, grant: Grant, refresh: Option<Arc<Token>>) -> Self {
        let state = Mutex::new(State { refresh, ..State::default() });
        Self { inner: Arc::new(Inner { server, want, grant, state, flight: Arc::default() }) }
    }

    /// A token that is good for some time yet.
    ///
    /// # Errors
    /// [`NotIssued`] if there is none and none can be had.
    pub async fn token(&self) -> Result<Issued, NotIssued> {
        match self.inner.step() {
            (Step::Use, Some(issued)) => Ok(issued),
            (Step::UseAndRenew, Some(issued)) => {
                if let Ok(flight) = Arc::clone(&self.inner.flight).try_lock_owned() {
                    let inner = Arc::clone(&self.inner);
                    tokio::spawn(async move { inner.renew(flight).await });
                }
                Ok(issued)
            }
            (Step::TooEarly, _) => Err(self.inner.fault()),
            (Step::Use | Step::UseAndRenew | Step::Renew, _) => {
                let flight = Arc::clone(&self.inner.flight).lock_owned().await;
                // Whoever asked before us may have got one, or have been refused.
                match self.inner.step() {
                    (Step::Use | Step::UseAndRenew, Some(issued)) => return Ok(issued),
                    (Step::TooEarly, _) => return Err(self.inner.fault()),
                    _ => {}
                }
                let inner = Arc::clone(&self.inner);
                // It goes on when we are gone: a refresh token that was sent has been used.
                let renewed = tokio::spawn(async move { inner.renew(flight).await }).await;
                renewed.unwrap_or(Err(NotIssued::TooEarly))
            }
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self) -> (Step, Option<Issued>) {
        let state = self.state();
        let step = state.renewal.ask(self.server.clock.now());
        match (&state.ended, step) {
            (Some(_), Step::UseAndRenew) => (Step::Use, state.issued.clone()),
            (Some(_), Step::Renew) => (Step::TooEarly, None),
            _ => (step, state.issued.clone()),
        }
    }

    fn fault(&self) -> NotIssued {
        let state = self.state();
        state.ended.clone().or_else(|| state.fault.clone()).unwrap_or(NotIssued::TooEarly)
    }

    async fn renew(&self, _flight: OwnedMutexGuard<()>) -> Result<Issued, NotIssued> {
        let refresh = self.state().refresh.clone();
        let mut fields = vec![match refresh {
            None => ("grant_type", "client_credentials"),
            Some(_) => ("grant_type", "refresh_token"),
        }];
        if let Some(refresh) = &refresh {
            fields.push(("refresh_token", refresh.expose()));
        }
        fields.extend(self.want.fields());
        let start = self.server.clock.now();
        let asked = self.server.ask(&fields).await;
        let usable = |issued: Issued| match issued.is_access_token() {
            true => Ok(issued),
            false => Err(NotIssued::Answer("no access token")),
        };
        let result = asked.and_then(usable);
        let mut rotated = None;
        let mut refused = false;
        {
            let mut state = self.state();
            match &result {
                Ok(issued) => {
                    let mut jitter = [0];
                    // Where the system has no randomness, renewals may fall together.
                    let _ = aws_lc_rs::rand::fill(&mut jitter);
                    let [jitter] = jitter;
                    state.renewal.renewed(start, issued.expiry, jitter);
                    if refresh.is_some() && issued.refresh.is_some() {
                        state.refresh.clone_from(&issued.refresh);
                        rotated.clone_from(&issued.refresh);
                    }
                    state.issued = Some(Issued { refresh: None, ..issued.clone() });
                    state.fault = None;
                }
                Err(fault) => {
                    state.renewal.failed(self.server.clock.now());
                    state.fault = Some(fault.clone());
                    if refresh.is_some() && matches!(fault, NotIssued::Refused { code: "invalid_grant", .. })
                    {
                        refused = true;
                        state.refresh = None;
                        state.ended = Some(fault.clone());
                    }
                }
            }
        }
        if let (Grant::Refresh(show), Some(next)) = (&self.grant, &rotated) {
            show(next);
        }
        if refused {
            self.server.observer.observe(&Observed::RefreshRefused { server: &self.server.name });
        }
        result.map(|issued| Issued { refresh: None, ..issued })
    }
}

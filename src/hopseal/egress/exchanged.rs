//! Credentials from an authorization server.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use super::rule::{NotObtained, Obtain, Obtaining};
use crate::clock::{Clock, SystemClock};
use crate::outgoing::{Credentials, Exchange, Issued, NotIssued, TokenEndpoint, TokenType, Want};
use crate::secret::Token;

/// Most tokens that are remembered.
const MOST: usize = 10_000;
/// Seconds before its end at which a token is not sent any more.
const MARGIN: u64 = 5;

impl From<NotIssued> for NotObtained {
    fn from(fault: NotIssued) -> Self {
        Self(Box::new(fault))
    }
}

/// Our own: the request goes in our name, and in the caller's only by the seal.
impl Obtain for Credentials {
    fn obtain<'o>(&'o self, _: Option<&'o Arc<Token>>) -> Obtaining<'o> {
        Box::pin(async { Ok(Some(self.token().await?.token)) })
    }
}

/// The caller's token, exchanged for one that is good at the destination (RFC 8693). What was issued is used again for the same token
/// until it ends; one that is asked for at the same time by many is asked for once.
///
/// ```no_run
/// # async fn example(server: hopseal::outgoing::TokenEndpoint) -> Result<(), Box<dyn std::error::Error>> {
/// use hopseal::egress::{Exchanged, Rule};
/// use hopseal::outgoing::Want;
/// let exchanged = Exchanged::new(server, Want::default().resource("https://payments.example.com"));
/// let rule = Rule::to("https://payments.example.com").token(exchanged);
/// # drop(rule); Ok(()) }
/// ```
pub struct Exchanged {
    server: TokenEndpoint,
    want: Want,
    actor: Option<Credentials>,
    clock: Arc<dyn Clock>,
    tokens: Mutex<HashMap<[u8; 32], Slot>>,
}

/// What was issued for one token; whoever asks for it holds it.
type Slot = Arc<tokio::sync::Mutex<Option<Issued>>>;

impl fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanged")
            .field("server", &self.server)
            .field("want", &self.want)
            .finish_non_exhaustive()
    }
}

impl Exchanged {
    /// By this server, for this.
    #[must_use]
    pub fn new(server: TokenEndpoint, want: Want) -> Self {
        Self { server, want, actor: None, clock: Arc::new(SystemClock), tokens: Mutex::default() }
    }

    /// Shows by our own token that we act for the caller, so that the server names us in `act`.
    #[must_use]
    pub fn acting(self, actor: Credentials) -> Self {
        Self { actor: Some(actor), ..self }
    }

    /// Takes time from another clock.
    #[must_use]
    pub fn clock(self, clock: impl Clock + 'static) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<[u8; 32], Slot>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, token: &Token) -> Slot {
        let key = Sha256::digest(token.expose()).into();
        let mut tokens = self.tokens();
        if tokens.len() >= MOST && !tokens.contains_key(&key) {
            let now = self.clock.now();
            let good =
                |slot: &Slot| slot.try_lock().is_ok_and(|it| it.as_ref().is_some_and(|it| now < it.expiry));
            tokens.retain(|_, slot| Arc::strong_count(slot) > 1 || good(slot));
            if tokens.len() >= MOST {
                tokens.clear();
            }
        }
        Arc::clone(tokens.entry(key).or_default())
    }

    async fn exchange(&self, held: &Token) -> Result<Arc<Token>, NotIssued> {
        let slot = self.slot(held);
        let mut kept = slot.lock().await;
        if let Some(issued) = kept.as_ref().filter(|it| self.clock.now().plus(MARGIN) < it.expiry) {
            return Ok(Arc::clone(&issued.token));
        }
        let actor = match &self.actor {
            None => None,
            Some(actor) => Some(actor.token().await?.token),
        };
        let mut exchange = Exchange::of(held, TokenType::AccessToken);
        if let Some(actor) = &actor {
            exchange = exchange.acting(actor, TokenType::AccessToken);
        }
        let issued = self.server.exchange(&exchange, &self.want).await?;
        let token = Arc::clone(&issued.token);
        *kept = Some(issued);
        Ok(token)
    }
}

/// Where the caller's token was not kept, or is none, as with an identity that came sealed, there is nothing to exchange.
impl Obtain for Exchanged {
    fn obtain<'o>(&'o self, held: Option<&'o Arc<Token>>) -> Obtaining<'o> {
        Box::pin(async move {
            match held {
                None => Ok(None),
                Some(held) => Ok(Some(self.exchange(held).await?)),
            }
        })
    }
}

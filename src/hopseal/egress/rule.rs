//! Who may get what.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::destination::Destination;
use crate::secret::Token;

/// The rules of a client. The first that names a destination holds; what none names gets nothing.
#[derive(Debug, Clone, Default)]
pub struct EgressRules(Arc<[Resolved]>);

/// One destination, or all hosts under a name, and what goes there: the seal, unless it says more.
#[derive(Debug, Clone)]
#[must_use]
pub struct Rule {
    to: String,
    in_mesh: bool,
    credential: Sent,
}

/// A rule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// Neither scheme, host and port nor `*.` in front of a host of two parts or more.
    #[error("`{0}` is no destination")]
    Destination(String),
    /// Plain `http` to another machine, and no mesh is declared to carry it.
    #[error("`{0}` is plain http")]
    Plain(String),
}

/// No credential could be had for a request, which is not sent without.
#[derive(Debug, thiserror::Error)]
#[error("no credential for the destination")]
pub struct NotObtained(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// A credential, or why there is none.
pub type Obtaining<'o> = Pin<Box<dyn Future<Output = Result<Option<Arc<Token>>, NotObtained>> + Send + 'o>>;

/// Gets a credential for a destination. With the feature `outgoing`, `Credentials` and `Exchanged` do.
pub trait Obtain: fmt::Debug + Send + Sync {
    /// A credential to send, in `Authorization`: in place of the caller's, `held`, if it was kept and is no transaction token, for which
    /// none is to be had so; or our own. `None` where there is nothing to make it of:
    /// the request goes with the seal alone.
    fn obtain<'o>(&'o self, held: Option<&'o Arc<Token>>) -> Obtaining<'o>;
}

/// Which credential goes along.
#[derive(Debug, Clone)]
pub(super) enum Sent {
    /// None; the seal alone.
    Seal,
    /// The caller's.
    Forwarded,
    /// The caller's transaction token.
    Continued,
    /// Another.
    Obtained(Arc<dyn Obtain>),
}

#[derive(Debug, Clone)]
pub(super) struct Resolved {
    there: Destination,
    /// Also all names under the host; then the host itself is not meant.
    under: bool,
    pub(super) credential: Sent,
}

impl Rule {
    /// To that scheme, host and port: `https://payments.example.com`, or all hosts under a name: `https://*.example.com`.
    pub fn to(destination: impl Into<String>) -> Self {
        Self { to: destination.into(), in_mesh: false, credential: Sent::Seal }
    }

    /// Also the caller's own token, as it is, if it was [kept](crate::tower::IdentityLayer::keep_token). Whoever is there can use it
    /// in the caller's place wherever it is good. A transaction token does not go by this: see
    /// [`forward_transaction`](Self::forward_transaction).
    pub fn forward_token(mut self) -> Self {
        self.credential = Sent::Forwarded;
        self
    }

    /// Also the [transaction token](crate::tower::IdentityLayer::txn_tokens) by which the caller came, as it is, in the header
    /// `Txn-Token`, if it was [kept](crate::tower::IdentityLayer::keep_token), or one that the application put there. It is for this trust
    /// domain alone, and so must be who is there. Beside an `Authorization` of the application it is not sent: of the two, which counts
    /// would depend on who looks.
    pub fn forward_transaction(mut self) -> Self {
        self.credential = Sent::Continued;
        self
    }

    /// Also a credential that this gets: one that is exchanged for the caller's, or our own.
    pub fn token(mut self, obtain: impl Obtain + 'static) -> Self {
        self.credential = Sent::Obtained(Arc::new(obtain));
        self
    }

    /// Plain `http` that a mesh carries encrypted, with both ends proven: it is as good as `https`.
    pub const fn in_mesh(mut self) -> Self {
        self.in_mesh = true;
        self
    }

    fn resolve(self) -> Result<Resolved, RuleError> {
        let (address, under) = match self.to.split_once("://*.") {
            Some((scheme, rest)) => (format!("{scheme}://{rest}"), true),
            None => (self.to.clone(), false),
        };
        let there = Destination::parse(&address)
            .ok()
            // Not all of `com`.
            .filter(|there| {
                !under || (there.host.contains('.') && there.host.parse::<std::net::IpAddr>().is_err())
            })
            .filter(|there| !there.host.contains('*'))
            .ok_or_else(|| RuleError::Destination(self.to.clone()))?;
        if !there.secure && !self.in_mesh && (under || !there.is_loopback()) {
            return Err(RuleError::Plain(self.to));
        }
        Ok(Resolved { there, under, credential: self.credential })
    }
}

impl Resolved {
    fn names(&self, there: &Destination) -> bool {
        let host = match self.under {
            false => there.host == self.there.host,
            true => there
                .host
                .strip_suffix(&self.there.host)
                .is_some_and(|before| before.len() > 1 && before.ends_with('.')),
        };
        host && (there.secure, there.port) == (self.there.secure, self.there.port)
    }
}

impl EgressRules {
    /// These, in their order.
    ///
    /// # Errors
    /// [`RuleError`] for the first that cannot be used.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, RuleError> {
        rules.into_iter().map(Rule::resolve).collect::<Result<_, _>>().map(Self)
    }

    /// What goes to a destination; `None` when nothing does, or nobody knows which it is.
    pub(super) fn for_destination(&self, there: Option<&Destination>) -> Option<&Sent> {
        self.0.iter().find(|rule| there.is_some_and(|there| rule.names(there))).map(|rule| &rule.credential)
    }
}

//! Where keys come from.

use std::fmt;
use std::sync::Arc;

use super::Keys;
use crate::outcome::Undecided;
use crate::registry::Issuer;

/// Where the keys of issuers come from.
///
/// It is asked for every credential, also for those whose verification is remembered: it must answer at once from what
/// it holds, and wait for others only where it holds nothing that is fresh enough. It never hands out keys of another issuer,
/// and its `epoch` for an issuer never goes back.
pub trait KeySource: fmt::Debug + Send + Sync {
    /// The keys of `issuer`. Where none goes by `kid`, a source that can ask for newer keys does so, no more often than is
    /// fair to the issuer; if there still is none, that is for the caller to see.
    ///
    /// # Errors
    /// [`Undecided`] if there are no keys that may still be used.
    fn keys(
        &self,
        issuer: &Issuer,
        kid: Option<&str>,
    ) -> impl Future<Output = Result<Keys, Undecided>> + Send;
}

impl<T: KeySource + ?Sized> KeySource for Arc<T> {
    fn keys(
        &self,
        issuer: &Issuer,
        kid: Option<&str>,
    ) -> impl Future<Output = Result<Keys, Undecided>> + Send {
        T::keys(self, issuer, kid)
    }
}

//! The Workload API of SPIFFE, as far as it is about tokens: see [`WorkloadApi`]. What it says of certificates is in `svid`.

#[cfg(test)]
mod tests;

use std::time::Duration;

use spiffe::transport::{Endpoint, TransportError};
use spiffe::{TrustDomain, WorkloadApiClient, WorkloadApiError};

use crate::secret::Token;

/// Longest that an answer may take: it comes from this machine.
const WAIT: Duration = Duration::from_secs(5);

/// The Workload API of SPIFFE: what a workload gets from the agent of its machine, behind a socket, without a secret of its own.
///
/// Keys for JWT-SVIDs come from there by themselves, where the registry names the socket (`workload_api`): under the rules of
/// [`KeySettings`](crate::keys::KeySettings), as those of any other issuer do. The rest is here: a workload's own SVIDs, and the
/// authorities that certificates of others are held to. Each question is a connection of its own.
///
/// ```no_run
/// # async fn example(validator: hopseal::Validator<hopseal::keys::KeyStore>, peer: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
/// use hopseal::{Chain, WorkloadApi};
/// let api = WorkloadApi::at("unix:///run/spire/agent.sock")?;
/// let mut updates = api.updates().await?;
/// let workload = updates.next().await.ok_or("no answer")??; // and again, as certificates are replaced
/// let bundle = workload.bundle("prod.example").ok_or("not trusted")?;
/// let caller = validator.validate_peer(&[&peer], Chain::Against(bundle));
/// # drop(caller); Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadApi {
    endpoint: Endpoint,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadFault {
    /// No address of a socket. Others than sockets are not asked: private keys would cross a network in plain text.
    #[error("no socket: `unix:///run/spire/agent.sock`")]
    Address,
    /// No connection, or it broke.
    #[error("no connection to the Workload API")]
    Connection,
    /// It took over five seconds.
    #[error("no answer of the Workload API in time")]
    Timeout,
    /// The agent does not know this workload.
    #[error("no identity is issued to this workload")]
    NotIssued,
    /// An answer that cannot be used.
    #[error("an answer of the Workload API that cannot be used")]
    Answer,
    /// The agent has no bundle of the trust domain.
    #[error("no bundle of the trust domain")]
    NoBundle,
}

impl From<WorkloadApiError> for WorkloadFault {
    fn from(error: WorkloadApiError) -> Self {
        match error {
            WorkloadApiError::NoIdentityIssued | WorkloadApiError::PermissionDenied(_) => Self::NotIssued,
            WorkloadApiError::Transport(TransportError::Connect(_) | TransportError::Status(_)) => {
                Self::Connection
            }
            WorkloadApiError::Endpoint(_)
            | WorkloadApiError::MissingEndpointSocket
            | WorkloadApiError::NotUnicodeEndpointSocket(_) => Self::Address,
            _ => Self::Answer,
        }
    }
}

impl WorkloadApi {
    /// Behind this socket: `unix:///run/spire/agent.sock`.
    ///
    /// # Errors
    /// [`WorkloadFault::Address`].
    pub fn at(socket: &str) -> Result<Self, WorkloadFault> {
        match Endpoint::parse(socket) {
            Ok(endpoint @ Endpoint::Unix(_)) => Ok(Self { endpoint }),
            _ => Err(WorkloadFault::Address),
        }
    }

    pub(crate) async fn client(&self) -> Result<WorkloadApiClient, WorkloadFault> {
        Ok(WorkloadApiClient::connect(self.endpoint.clone()).await?)
    }

    /// A JWT-SVID of this workload for these audiences: a token that it can send.
    ///
    /// # Errors
    /// [`WorkloadFault`].
    pub async fn jwt_svid(&self, audiences: &[&str]) -> Result<Token, WorkloadFault> {
        let asked = async { Ok(self.client().await?.fetch_jwt_token(audiences, None).await?) };
        in_time(asked).await.map(Token::new)
    }

    /// The keys for JWT-SVIDs of a trust domain, as a SPIFFE bundle.
    pub(crate) async fn jwt_bundle(&self, trust_domain: &str) -> Result<Vec<u8>, WorkloadFault> {
        let name = TrustDomain::new(trust_domain).map_err(|_| WorkloadFault::NoBundle)?;
        let asked = async { Ok(self.client().await?.fetch_jwt_bundles().await?) };
        let all = in_time(asked).await?;
        let bundle = all.get_ref(&name).ok_or(WorkloadFault::NoBundle)?;
        let mut keys: Vec<_> = bundle.jwt_authorities().collect();
        // In an order that tells whether anything changed.
        keys.sort_by(|one, other| one.key_id().cmp(other.key_id()));
        let keys: Result<Vec<_>, _> = keys.iter().map(|key| for_svids(key.jwk_json())).collect();
        let keys = keys.map_err(|_| WorkloadFault::Answer)?;
        serde_json::to_vec(&serde_json::json!({ "keys": keys })).map_err(|_| WorkloadFault::Answer)
    }
}

/// A key as it would stand in a bundle: here it need not say what it is for.
fn for_svids(jwk: &[u8]) -> serde_json::Result<serde_json::Value> {
    let mut key: serde_json::Value = serde_json::from_slice(jwk)?;
    if let Some(members) = key.as_object_mut() {
        members.entry("use").or_insert_with(|| "jwt-svid".into());
    }
    Ok(key)
}

pub(crate) async fn in_time<T>(
    asked: impl Future<Output = Result<T, WorkloadFault>>,
) -> Result<T, WorkloadFault> {
    tokio::time::timeout(WAIT, asked).await.unwrap_or(Err(WorkloadFault::Timeout))
}

//! Who sends, and for which services they may speak.

use std::collections::HashMap;
use std::sync::Arc;

use hopseal::Validator;
use hopseal::keys::KeyStore;
use http::HeaderMap;

use super::delivery::{Sender, SenderId};
use super::proof::{KnownBy, Peer, Proof, prove};
use super::refusal::Refusal;

/// Who may send, and how they prove who they are.
#[derive(Debug, Default)]
pub(crate) struct Senders {
    /// Whether nobody else may.
    pub(crate) required: bool,
    pub(crate) known: HashMap<KnownBy, Arc<SenderId>>,
    pub(crate) tokens: Option<Validator<KeyStore>>,
}

impl Senders {
    /// Who it is.
    ///
    /// # Errors
    /// [`Refusal`]: a bad credential, or none or a stranger's where one is required.
    pub(crate) async fn identify(&self, headers: &HeaderMap, peer: &Peer) -> Result<Sender, Refusal> {
        match prove(self.tokens.as_ref(), headers, peer).await? {
            Proof::Shown(proofs) => match proofs.iter().find_map(|by| self.known.get(by)) {
                Some(sender) => Ok(Sender::Authenticated(Arc::clone(sender))),
                None if self.required => Err(Refusal::Stranger),
                None => Ok(Sender::Unauthenticated),
            },
            Proof::Nothing if self.required => Err(Refusal::NoCredential),
            Proof::Nothing => Ok(Sender::Unauthenticated),
        }
    }
}

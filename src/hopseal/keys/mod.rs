//! The keys of issuers: where they are, how old they may be, and when to ask for them again.
//!
//! `KeyStore` (feature `http`) holds them. Those at hand are had without waiting and without a lock; what a request waits for
//! is bounded in time, and what an issuer is asked is bounded in number, whatever tokens come in. The policy is in
//! `KeySettings`. Nothing has to run in the background: where nothing can (serverless), requests refresh keys themselves
//! (`Refresh::Inline`), and a snapshot makes a cold start warm (`KeyStore::restore`). [`FixedKeys`] are those that stand in
//! the registry.
//!
//! Inside, `state` decides what to do, without clock, network or locks; `fetch` asks the issuer; `store` joins the two.

#[cfg(feature = "http")]
mod fetch;
mod fixed;
#[cfg(feature = "http")]
mod metadata;
#[cfg(feature = "http")]
mod settings;
#[cfg(feature = "http")]
mod snapshot;
mod source;
#[cfg(feature = "http")]
mod state;
#[cfg(feature = "http")]
mod store;
#[cfg(feature = "http")]
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::jose::KeySet;

#[cfg(feature = "http")]
pub use fetch::FetchFault;
pub use fixed::{FixedKeys, FixedKeysError};
#[cfg(feature = "http")]
pub use metadata::{Metadata, MetadataFault};
#[cfg(feature = "http")]
pub use settings::{KeySettings, Refresh, SettingsError, WhenDown};
#[cfg(feature = "http")]
pub use snapshot::{NotRestored, SnapshotError};
pub use source::KeySource;
#[cfg(feature = "http")]
pub use store::{KeyStatus, KeyStore, KeyStoreBuilder, KeyStoreError};

/// The keys of an issuer as they were at one moment.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The keys.
    pub set: Arc<KeySet>,
    /// Grows when a key left the set or changed, and never comes twice in a process. What was verified under one epoch does
    /// not hold under another.
    pub epoch: u64,
}

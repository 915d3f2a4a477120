//! The keys of issuers, and where they come from.

mod fixed;
mod source;

use std::sync::Arc;

pub use fixed::{FixedKeys, FixedKeysError};
pub use source::KeySource;

use crate::jose::KeySet;

/// Keys of an issuer, as they were at one moment.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The keys.
    pub set: Arc<KeySet>,
    /// Grows when a key left the set or changed. What was verified in one epoch does not hold in another.
    pub epoch: u64,
}

//! Seals of the identities that this service validated: who may make them, making and renewing them, checking them.
//!
//! What a seal is, and what it does and does not prove, is in [`hopseal_identity::seal`]; on the wire it is as in
//! [`hopseal_identity::wire`].

mod checker;
mod held;
mod keys;
mod sealer;
mod sealers;
mod seals;
mod seen;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(feature = "otel")]
pub(crate) mod waiting;

pub use checker::{SealChecker, Sealed};
pub use held::Held;
pub use keys::{SealingKeys, SealingKeysError, public_jwks};
pub use sealer::{ResealError, SealError, Sealer, Txn};
pub use sealers::{MayReseal, MaySeal, SealRule, Sealers, SealersError};
pub use seals::{Seals, SealsError};

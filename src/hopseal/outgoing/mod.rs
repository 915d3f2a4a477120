//! Credentials that we send: got from an authorization server, renewed in time, exchanged, and never shown.
//!
//! [`TokenEndpoint`] is a server that issues tokens, to us as a [`Client`]. [`Credentials`] holds a token that is
//! renewed before it ends, for all who need it. [`Exchange`] makes of somebody's token one for the next service (RFC 8693),
//! and [`TxnTokenRequest`] one for a transaction inside of a trust domain.

mod endpoint;
mod exchange;
mod issued;
mod renewal;
mod renewing;
#[cfg(test)]
mod tests;

pub use crate::client::Client;
pub use endpoint::TokenEndpoint;
pub use exchange::{Exchange, TokenType, TxnTokenRequest, keeps_actors};
pub use issued::{Issued, NotIssued};
pub use renewing::{Credentials, Want};

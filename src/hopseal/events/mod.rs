//! What issuers say of credentials after they issued them: security events (RFC 8417) of the Shared Signals Framework and of
//! CAEP, pushed (RFC 8935) or polled (RFC 8936), and logout tokens (OpenID Connect Back-Channel Logout 1.0).
//!
//! Each is held to the same gate as a token, and to rules of its own: what is an event is never a credential, and the other way
//! round. What follows from it is a [`Revocation`](crate::Revocation), which [`Receiver`] puts into force at once. An issuer
//! speaks for its own subjects alone, unless it is said otherwise.
//!
//! An event that comes twice changes nothing, so those that came are not remembered.

mod kind;
mod poll;
mod receiver;
mod subject;
#[cfg(test)]
mod tests;
mod token;
mod web;

pub use kind::EventKind;
pub use poll::{PollFault, Polled, Poller};
pub use receiver::{Event, Feed, FeedSettings, Receiver, ReceiverBuilder, ReceiverError};
pub use web::Reply;

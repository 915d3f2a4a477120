//! Principals, assurance and the wire contract: what both halves of Hopseal agree on.
//!
//! No I/O, no clock, no async, no OpenTelemetry types: a service, a collector and an auditor's script can all
//! depend on it.
//!
//! [`wire`] is the contract on one page, for other languages; `vectors/` has files to test against.
//!
//! Each module names only those to its left:
//!
//! ```text
//! assurance, attribute, crossing_count, ed25519, method, principal, reason -> member -> pseudonym, seal -> baggage
//! ```

mod assurance;
pub mod attribute;
pub mod baggage;
mod crossing_count;
pub mod ed25519;
pub mod member;
mod method;
mod principal;
#[cfg(feature = "pseudonym")]
pub mod pseudonym;
mod reason;
pub mod seal;

#[doc = include_str!("wire.md")]
pub mod wire {}

/// Seconds by which the clocks of two machines may differ before that is held against a credential: the default of services that validate
/// (`skew` of a registry) and of the collector that judges what they did (`thresholds.skew` of a policy). Envoy, Spring Security and
/// Nimbus allow as much, so that a token that one of them just took is not called expired afterwards.
pub const CLOCK_SKEW: u64 = 60;

pub use assurance::{Assurance, Basis};
pub use crossing_count::CrossingCount;
pub use method::Method;
pub use principal::{Actor, Kind};
pub use reason::Reason;

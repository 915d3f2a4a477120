//! Principals, assurance and the wire contract: what both halves of Hopseal agree on.
//!
//! No I/O, no clock, no async, no OpenTelemetry types: a service, a collector and an auditor's script can all
//! depend on it.
//!
//! Each module names only those to its left:
//!
//! ```text
//! assurance, attribute, crossing_count, principal -> seal
//! ```

mod assurance;
pub mod attribute;
mod crossing_count;
mod principal;
pub mod seal;

pub use assurance::{Assurance, Basis};
pub use crossing_count::CrossingCount;
pub use principal::{Actor, Kind};

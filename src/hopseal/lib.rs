//! Validates the caller's credential at every hop of a distributed call: a credential in, a [`Verified`] principal or a
//! [`Reason`] out.
//!
//! "No" is an answer: [`Validated::Refused`] with a reason of a closed set. Only where no answer could be found, as with an
//! identity provider that is down, is there an error, [`Undecided`].
//!
//! | feature | adds |
//! |---|---|
//! | `jwt` | the gate for signatures and keys: JSON Web Signatures and Keys |
//! | `seal` | sealing what was validated, for the hops to come, and checking the seals of others |
//! | `otel` | identity within OpenTelemetry 0.33: context, baggage on the wire, attributes on spans; with `tracing` too |
//! | `tokio` | `otel::spawn` and `otel::spawn_blocking` |
//! | `tower` | a layer for servers that finds out who calls |
//!
//! So far nothing makes a [`Verified`].
//!
//! Each module names only those to its left:
//!
//! ```text
//! algorithm, clock, reason, secret -> principal, challenge -> outcome, registry -> jose, seal -> otel -> tower
//! ```

mod algorithm;
mod challenge;
mod clock;
#[cfg(feature = "jwt")]
pub mod jose;
#[cfg(feature = "otel")]
pub mod otel;
mod outcome;
mod principal;
mod reason;
mod registry;
#[cfg(feature = "seal")]
pub mod seal;
mod secret;
#[cfg(feature = "tower")]
pub mod tower;

pub use algorithm::Algorithm;
pub use challenge::{Challenge, Scheme};
pub use clock::{Clock, SystemClock, UnixTime};
pub use outcome::{Evidence, Refused, Undecided, Validated, Verified};
pub use principal::{Acting, Credential, Principal};
pub use reason::Reason;
pub use registry::{Claims, Issuer, IssuerBuilder, IssuerKind, Place, Registry, RegistryError, Source};
pub use secret::{Fingerprint, Secret, Token};

//! Validates the caller's credential at every hop of a distributed call: a credential in, a [`Verified`] principal or a
//! [`Reason`] out.
//!
//! "No" is an answer: [`Validated::Refused`] with a reason of a closed set. Only where no answer could be found, as with an
//! identity provider that is down, is there an error, [`Undecided`].
//!
//! So far there are the trust [`Registry`] and, with the feature `jwt`, the gate for signatures and keys; nothing makes a
//! [`Verified`] yet. Nothing is on by default:
//!
//! | feature | what it adds |
//! |---|---|
//! | `jwt` | JSON Web Signatures and Keys: [`jose`] |
//! | `http` | keys of issuers, fetched and kept: [`keys::KeyStore`], [`http`] |
//! | `metrics` | what happens, counted by OpenTelemetry: [`metrics`] |
//!
//! Each module names only those to its left:
//!
//! ```text
//! algorithm, clock, reason, secret, observe -> principal, challenge, metrics -> outcome, registry -> jose, http
//! -> keys
//! ```

mod algorithm;
mod challenge;
mod clock;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "jwt")]
pub mod jose;
#[cfg(feature = "jwt")]
pub mod keys;
#[cfg(feature = "metrics")]
pub mod metrics;
mod observe;
mod outcome;
mod principal;
mod reason;
mod registry;
mod secret;

pub use algorithm::Algorithm;
pub use challenge::{Challenge, Scheme};
pub use clock::{Clock, SystemClock, UnixTime};
pub use observe::{Observed, Observer, Unobserved};
pub use outcome::{Evidence, Refused, Undecided, Validated, Verified};
pub use principal::{Acting, Credential, Principal};
pub use reason::Reason;
pub use registry::{Claims, Issuer, IssuerBuilder, IssuerKind, Place, Registry, RegistryError, Source};
pub use secret::{Fingerprint, Secret, Token};

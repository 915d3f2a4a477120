//! Validates the caller's credential at every hop of a distributed call: a credential in, a [`Verified`] principal or a
//! [`Reason`] out.
//!
//! "No" is an answer: [`Validated::Refused`] with a reason of a closed set. Only where no answer could be found, as with an
//! identity provider that is down, is there an error, [`Undecided`].
//!
//! A trust [`Registry`] says who may vouch for whom, and how. The front door is `Validator` (feature `jwt`): a credential names
//! its issuer, that issuer's rules and keys decide, and no other is tried. Nothing is on by default:
//!
//! | feature | what it adds |
//! |---|---|
//! | `jwt` | `Validator`: access tokens, ID tokens, JWT-SVIDs, Txn-Tokens; DPoP proofs and certificates that tokens are bound to; what a declared proxy says |
//! | `paseto` | PASETO v4, public and local, with PASERK keys |
//! | `spiffe` | X.509-SVIDs: workloads by their certificates |
//! | `cache` | verifications that are remembered, without any answer being another for it |
//! | `http` | keys of issuers, fetched and kept: `keys::KeyStore` |
//! | `introspection` | opaque tokens, about which their issuer is asked: `introspection::Introspector` |
//! | `outgoing` | tokens that are sent: got, renewed, exchanged: `outgoing::Credentials` |
//! | `events` | security events and logouts that issuers send: `events::Receiver` |
//! | `metrics` | what happens, counted by OpenTelemetry: `metrics::Metrics` |
//! | `seal` | sealing what was validated, for the hops to come, and checking the seals of others |
//! | `otel` | identity within OpenTelemetry 0.33: context, baggage on the wire, attributes on spans; with `tracing` too |
//! | `tokio` | `otel::spawn` and `otel::spawn_blocking` |
//! | `tower` | a layer for servers that finds out who calls, and one for clients that says what may leave: `tower`, `egress` |
//! | `axum` | who calls as an argument of a handler, guards, a route for public keys |
//! | `tonic` | the same for gRPC |
//! | `messaging` | identity through queues, in batches, and for jobs: `messaging` |
//! | `rdkafka`, `async-nats`, `lapin` | headers of Kafka, NATS and AMQP for it |
//! | `neighbours` | headers of Zipkin, Sleuth, Micrometer and Datadog, and a table of them: `neighbours` |
//! | `otlp` | everything set up in one call, with `tracing` and export by OTLP: `otlp::init` |
//! | `reqwest-middleware` | the layer for clients for `reqwest`: `egress::EgressMiddleware` |
//!
//! Each module names only those to its left:
//!
//! ```text
//! algorithm, clock, reason, secret, observe -> principal, challenge, metrics -> outcome, registry -> revocation, jose, http,
//! spiffe_id -> keys, client -> claims -> binding, cache, mesh, paseto -> svid, introspection -> validator, outgoing, events
//! -> seal -> otel -> tower, messaging, neighbours -> axum, egress, otlp, tonic
//! ```
#![cfg_attr(all(feature = "axum", feature = "jwt"), doc = include_str!("start.md"))]

mod algorithm;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "jwt")]
mod binding;
#[cfg(feature = "cache")]
mod cache;
mod challenge;
#[cfg(feature = "jwt")]
mod claims;
#[cfg(all(feature = "http", any(feature = "introspection", feature = "outgoing", test)))]
pub mod client;
mod clock;
#[cfg(feature = "tower")]
pub mod egress;
#[cfg(feature = "events")]
pub mod events;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "introspection")]
pub mod introspection;
#[cfg(feature = "jwt")]
pub mod jose;
#[cfg(feature = "jwt")]
pub mod keys;
#[cfg(feature = "jwt")]
mod mesh;
#[cfg(feature = "messaging")]
pub mod messaging;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "neighbours")]
pub mod neighbours;
mod observe;
#[cfg(feature = "otel")]
pub mod otel;
#[cfg(feature = "otlp")]
pub mod otlp;
mod outcome;
#[cfg(feature = "outgoing")]
pub mod outgoing;
#[cfg(feature = "paseto")]
mod paseto;
mod principal;
mod reason;
mod registry;
mod revocation;
#[cfg(feature = "seal")]
pub mod seal;
mod secret;
mod spiffe_id;
#[cfg(feature = "spiffe")]
mod svid;
#[cfg(test)]
mod testing;
#[cfg(feature = "tonic")]
pub mod tonic;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "jwt")]
mod validator;

pub use algorithm::Algorithm;
#[cfg(feature = "jwt")]
pub use binding::{Dpop, DpopSettings, Nonces};
#[cfg(feature = "cache")]
pub use cache::{CacheConfig, CacheStats};
pub use challenge::{Challenge, Scheme};
#[cfg(feature = "jwt")]
pub use claims::Expected;
pub use clock::{Clock, SystemClock, UnixTime};
pub use hopseal_identity::Kind;
#[cfg(feature = "jwt")]
pub use mesh::{ClientCertificate, Forwarded, Proxies};
pub use observe::{Observed, Observer, Unobserved};
pub use outcome::{Confirmation, Evidence, Refused, Undecided, Validated, Verified};
pub use principal::{Acting, Credential, Principal};
pub use reason::Reason;
pub use registry::{Claims, Issuer, IssuerBuilder, IssuerKind, Place, Registry, RegistryError, Source};
pub use revocation::{Revocation, Revocations, RevocationsFull};
pub use secret::{Fingerprint, Secret, Token};
pub use spiffe_id::SpiffeId;
#[cfg(feature = "spiffe")]
pub use svid::{BundleError, Chain, X509Bundle};
#[cfg(feature = "jwt")]
pub use validator::Validator;

//! Validates the caller's credential at every hop of a distributed call: a credential in, a [`Verified`] principal or a
//! [`Reason`] out; then carries the validated identity on.
//!
//! - A trust [`Registry`] (YAML) says who may vouch for whom, with which keys, for how long; `Validator` (feature `jwt`) is the front
//!   door. A credential names its issuer, that issuer's rules and keys decide, and no other is tried.
//! - "No" is an answer, [`Validated::Refused`] (401). Where there is none, as with an identity provider that is down, that is an error,
//!   [`Undecided`] (503): clients must not throw good tokens away.
//! - A registry is lent to whatever is set up by it, since one sets up several things (`&Registry`); what runs, such as a `KeyStore`, is
//!   handed over, since its clones are cheap and the same store.
//! - `examples/` has a program that runs by itself for each kind of credential.
//!
//! Nothing is on by default. Crates are those that are built with that feature alone, 38 without any; time is what checking them
//! took of what it takes with all features, in percent, 15 without any (`cargo check --timings`, once, on a busy machine; 16 of it
//! is the C of `aws-lc`):
//!
//! | feature | what it adds | crates | time |
//! |---|---|---|---|
//! | `jwt` | `Validator`: access tokens, ID tokens, JWT-SVIDs, Txn-Tokens; DPoP proofs and certificates that tokens are bound to; what a declared proxy says | 59 | 42 |
//! | `paseto` | PASETO v4, public and local, with PASERK keys | 67 | 44 |
//! | `spiffe` | X.509-SVIDs: workloads by their certificates | 62 | 42 |
//! | `workload-api` | keys, bundles and SVIDs from the socket of a SPIFFE agent: `WorkloadApi` | 180 | 72 |
//! | `cache` | verifications that are remembered, without any answer being another for it | 62 | 42 |
//! | `http` | keys of issuers, fetched and kept: `keys::KeyStore` | 129 | 55 |
//! | `introspection` | opaque tokens, about which their issuer is asked: `introspection::Introspector` | 132 | 55 |
//! | `outgoing` | tokens that are sent: got, renewed, exchanged: `outgoing::Credentials` | 129 | 55 |
//! | `events` | security events and logouts that issuers send: `events::Receiver` | 129 | 55 |
//! | `metrics` | what happens, counted by OpenTelemetry: `metrics::Metrics` | 42 | 15 |
//! | `seal` | sealing what was validated, for the hops to come, and checking the seals of others | 53 | 35 |
//! | `otel` | identity within OpenTelemetry 0.33: context, baggage on the wire, attributes on spans; with `tracing` too | 71 | 38 |
//! | `confidential` | identities that nobody in between can read, as PASETO v4.local: `confidential` | 79 | 40 |
//! | `tokio` | `otel::spawn` and `otel::spawn_blocking` | 74 | 39 |
//! | `tower` | a layer for servers that finds out who calls, and one for clients that says what may leave: `tower`, `egress` | 75 | 39 |
//! | `axum` | who calls as an argument of a handler, guards, a route for public keys | 96 | 42 |
//! | `tonic` | the same for gRPC | 90 | 50 |
//! | `messaging` | identity through queues, in batches, and for jobs: `messaging` | 71 | 38 |
//! | `rdkafka`, `async-nats`, `lapin` | headers of Kafka, NATS and AMQP for it | 85, 132, 74 | 63, 61, 39 |
//! | `neighbours` | headers of Zipkin, Sleuth, Micrometer and Datadog, and a table of them: `neighbours` | 71 | 38 |
//! | `otlp` | everything set up in one call, with `tracing` and export by OTLP: `otlp::init` | 140 | 60 |
//! | `reqwest-middleware` | the layer for clients for `reqwest`: `egress::EgressMiddleware` | 136 | 53 |
//!
//! Each module names only those to its left:
//!
//! ```text
//! algorithm, clock, secret -> principal, challenge -> observe -> metrics, outcome, registry -> revocation, jose, http,
//! spiffe_id, workload -> keys, client -> claims -> binding, cache, mesh, paseto -> svid, introspection -> validator, outgoing, events
//! -> seal, confidential -> otel -> tower, messaging, neighbours -> axum, egress, otlp, tonic
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
#[cfg(feature = "confidential")]
pub mod confidential;
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
#[cfg(feature = "workload-api")]
mod workload;

pub use algorithm::Algorithm;
#[cfg(feature = "jwt")]
pub use binding::{Dpop, DpopSettings, Nonces};
#[cfg(feature = "cache")]
pub use cache::{CacheConfig, CacheStats};
pub use challenge::Challenge;
#[cfg(feature = "jwt")]
pub use claims::Expected;
pub use clock::{Clock, SystemClock, UnixTime};
pub use hopseal_identity::{CLOCK_SKEW, Kind, Reason};
#[cfg(feature = "jwt")]
pub use mesh::{ClientCertificate, Forwarded, Proxies};
pub use observe::{Observed, Observer, Unobserved};
pub use outcome::{Confirmation, Evidence, Refused, Undecided, Validated, Verified};
pub use principal::{Acting, Credential, Principal};
pub use registry::{
    Claims, EventFeed, IntrospectionNumbers, Issuer, IssuerBuilder, IssuerKind, KeyNumbers, Place, Refresh,
    Registry, RegistryError, RegistryFile, RegistryFileError, Reseals, SealerEntry, Source, WhenDown,
};
pub use revocation::{Revocation, Revocations, RevocationsFull};
pub use secret::{Fingerprint, Scheme, Secret, Token};
pub use spiffe_id::SpiffeId;
#[cfg(feature = "spiffe")]
pub use svid::{BundleError, Chain, X509Bundle};
#[cfg(feature = "workload-api")]
pub use svid::{OwnSvid, Workload, WorkloadUpdates};
#[cfg(feature = "jwt")]
pub use validator::Validator;
#[cfg(feature = "workload-api")]
pub use workload::{WorkloadApi, WorkloadFault};

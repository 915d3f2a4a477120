//! A fleet of real neighbours, in one trace:
//!
//! ```text
//! client -> edge -> GATEWAY -> catalog -> pricing -> STOCK -> billing -> LEDGER -> warehouse -> PACKING -> DISPATCH -> MAILER -> RECEIPTS
//!           Envoy   axum       FastAPI    Express    tonic    Spring 3   axum      Sleuth       axum       NATS        Kafka     Lambda
//! ```
//!
//! Those in capitals are ours, with the crate; the others are each the ordinary program of its kind with the ordinary instrumentation, and
//! have never heard of an identity. `edge` and `gateway` validate the token of the provider of `tests/idp`. Those of ours
//! that make requests also call a host that no rule names, and `packing` says something on a subject that everyone reads. An enemy sits
//! on nine of the wires in turn. What the spans of a run say is judged by `hopseal check`.
//!
//! `neighbours/install` fetches and builds them.

mod cases;
mod functions;
mod processes;
mod receiver;
mod report;
mod run;
mod services;
mod sink;
mod trust;
mod wire;

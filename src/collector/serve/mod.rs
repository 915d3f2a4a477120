//! `hopseal serve`: takes spans in by OTLP and Zipkin.
//!
//! A reply means that what was sent is durable, or says what became of it: whoever keeps it decides ([`delivery::Accept`]),
//! and nobody is answered before. What is on its way is bounded: memory is taken before it is filled, and who gets none is
//! told when to come again.
//!
//! Each module names only those to its left:
//!
//! ```text
//! health -> delivery, pool, ids, budget, clock, guard, again, metrics, reply -> refusal -> proof -> status, body, senders, admin
//!   -> inflate -> receiver -> otlp_http, otlp_grpc, zipkin -> tls, listen, rules -> config -> live, telemetry -> service -> run
//!   -> background
//! delivery, pool, ids, clock, guard, disk, people, again, metrics -> store -> tail -> keep, shape, identities -> alerts, forward, api
//!   -> jaeger, pages, trail -> access
//! ```

mod access;
mod admin;
mod again;
mod alerts;
mod api;
mod background;
mod body;
mod budget;
pub(crate) mod clock;
mod config;
mod delivery;
mod disk;
mod forward;
mod guard;
mod health;
mod identities;
mod ids;
mod inflate;
mod jaeger;
mod keep;
mod listen;
mod live;
mod metrics;
mod otlp_grpc;
mod otlp_http;
mod pages;
mod people;
mod pool;
mod proof;
mod receiver;
mod refusal;
mod reply;
mod rules;
mod run;
mod senders;
mod service;
mod shape;
mod status;
pub(crate) mod store;
mod tail;
mod telemetry;
#[cfg(test)]
mod tests;
mod tls;
pub(crate) mod trail;
mod zipkin;

pub(crate) use background::Background;
pub(crate) use run::{ServeError, Task, run};

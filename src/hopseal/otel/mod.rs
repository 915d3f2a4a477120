//! Identity within OpenTelemetry: a typed value of the [`Context`](opentelemetry::Context) inside of a service, baggage on the
//! wire, attributes on spans.
//!
//! Baggage as the SDK has it is not used for what is ours: it has no order and loses members without a word. The
//! [`Propagator`] takes the place of the SDK's `BaggagePropagator`; the [`IdentityProcessor`] goes before the exporter.

mod ambient;
mod attributes;
mod exporter;
mod identity;
mod processor;
mod propagator;
#[cfg(any(feature = "messaging", feature = "tower"))]
mod spans;
#[cfg(test)]
mod tests;

#[cfg(feature = "tower")]
pub(crate) use ambient::begun_within;
#[cfg(any(feature = "messaging", feature = "tower"))]
pub(crate) use ambient::current;
#[cfg(feature = "messaging")]
pub(crate) use ambient::within;
pub use ambient::{WithIdentity, carried, carried_fn, with_identity};
#[cfg(feature = "tokio")]
pub use ambient::{spawn, spawn_blocking};
pub use attributes::DEFAULT_ATTRIBUTES;
pub use exporter::SealingExporter;
pub use identity::HopIdentity;
#[cfg(feature = "tower")]
pub(crate) use identity::{Travelling, nobody};
#[cfg(feature = "tower")]
pub(crate) use processor::Before;
pub use processor::IdentityProcessor;
#[cfg(any(feature = "messaging", feature = "tower"))]
pub(crate) use processor::{Chosen, stamp};
#[cfg(any(feature = "messaging", feature = "tower"))]
pub(crate) use propagator::Leaving;
pub use propagator::{Egress, Propagator};
#[cfg(any(feature = "messaging", feature = "tower"))]
pub(crate) use spans::Spans;

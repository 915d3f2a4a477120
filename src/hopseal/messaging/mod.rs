//! Messages and jobs: identity through queues, in batches, and for work that nobody asked for.
//!
//! A [`Producer`] writes the trace and the identity into the headers of a message, with a seal made in that moment: its `iat`, which is
//! signed, says that the identity was good when the message was put in, however long it waits. A [`Consumer`] makes of it the identity
//! of its own work. That runs in a trace of its own, linked to the one of the producer, or goes on with that. A seal is bound to its
//! trace, and ends while messages wait; so a consumer that is registered for it makes a new one from it, of the same identity and
//! transaction and never wider ([`Sealer::reseal`](crate::seal::Sealer::reseal)). Without, the identity is an assertion, and its seal goes
//! no further. A [`Worker`] runs timers and other work of a service under the service's own identity.
//!
//! ```
//! use std::collections::HashMap;
//! use opentelemetry::global;
//! use hopseal::messaging::{Consumer, Producer};
//! # async fn example(checker: std::sync::Arc<hopseal::seal::SealChecker>, sealer: std::sync::Arc<hopseal::seal::Sealer>) {
//! let producer = Producer::new("spiffe://example.org/orders", global::tracer("orders")).allow(["shipments"]);
//! let mut headers = HashMap::new(); // or those of a broker: see the table
//! producer.inject("shipments", &mut headers);
//!
//! let consumer = Consumer::new(checker, "spiffe://example.org/shipping", global::tracer("shipping")).resealing(sealer);
//! let message = consumer.receive("shipments", &headers);
//! consumer.process(message, async { /* HopIdentity::current() is whose order it is */ }).await;
//! # }
//! ```
//!
//! What carries it, as an [`Injector`](opentelemetry::propagation::Injector) and an
//! [`Extractor`](opentelemetry::propagation::Extractor):
//!
//! | system | carrier |
//! |---|---|
//! | Kafka | `KafkaHeaders`, of `rdkafka` (feature `rdkafka`) |
//! | NATS | `NatsHeaders`, of `async-nats` (feature `async-nats`) |
//! | AMQP 0.9.1 | `AmqpHeaders`, of `lapin` (feature `lapin`) |
//! | CloudEvents | [`JsonText`] over the event, as its extension for distributed tracing has it; over HTTP the headers of the request |
//! | MCP | [`JsonText`] over `_meta` of a request's parameters: see [`mcp_meta`] |
//! | SQS, SNS | [`JsonAttributes`] over the message attributes |
//! | anything else | [`Pairs`] of names and bytes, or a `HashMap<String, String>` |

#[cfg(feature = "lapin")]
mod amqp;
mod carrier;
mod consumer;
#[cfg(feature = "rdkafka")]
mod kafka;
#[cfg(feature = "async-nats")]
mod nats;
mod producer;
#[cfg(test)]
mod tests;
mod worker;

#[cfg(feature = "lapin")]
pub use amqp::AmqpHeaders;
pub use carrier::{JsonAttributes, JsonText, Pairs, mcp_meta};
pub use consumer::{Batch, Consumer, Received};
#[cfg(feature = "rdkafka")]
pub use kafka::{KafkaHeaders, NewKafkaHeaders};
#[cfg(feature = "async-nats")]
pub use nats::NatsHeaders;
pub use producer::Producer;
pub use worker::Worker;

/// What a span says of a message, after the semantic conventions
/// (<https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/>).
fn described(
    operation: &'static str,
    destination: &str,
    system: Option<&std::sync::Arc<str>>,
) -> Vec<opentelemetry::KeyValue> {
    use opentelemetry::KeyValue;
    let system = system.map(|system| KeyValue::new("messaging.system", std::sync::Arc::clone(system)));
    let known = [
        KeyValue::new("messaging.operation.type", operation),
        KeyValue::new("messaging.destination.name", destination.to_owned()),
    ];
    known.into_iter().chain(system).collect()
}

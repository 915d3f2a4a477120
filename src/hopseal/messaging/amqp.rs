//! Headers of AMQP 0.9.1, as `lapin` has them.

use amq_protocol_types::{AMQPValue, FieldTable};
use opentelemetry::propagation::{Extractor, Injector};

/// The table `headers` of a message's properties: `lapin::types::FieldTable`.
///
/// ```
/// use amq_protocol_types::FieldTable; // lapin::types::FieldTable
/// use hopseal::messaging::AmqpHeaders;
/// use opentelemetry::propagation::{Extractor as _, Injector as _};
/// let mut headers = FieldTable::default();
/// AmqpHeaders(&mut headers).set("baggage", "a=b".to_owned());
/// assert_eq!(AmqpHeaders(&mut headers).get("baggage"), Some("a=b"));
/// ```
#[derive(Debug)]
pub struct AmqpHeaders<'h>(pub &'h mut FieldTable);

impl Injector for AmqpHeaders<'_> {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.into(), AMQPValue::LongString(value.into()));
    }
}

impl Extractor for AmqpHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match self.0.inner().get(key)? {
            AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
            AMQPValue::ShortString(text) => Some(text.as_str()),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.0.inner().keys().map(amq_protocol_types::ShortString::as_str).collect()
    }
}

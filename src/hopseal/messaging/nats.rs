//! Headers of NATS.

use async_nats::{HeaderMap, HeaderName};
use opentelemetry::propagation::{Extractor, Injector};

use super::carrier::some;

/// The headers of a message.
#[derive(Debug)]
pub struct NatsHeaders<'h>(pub &'h mut HeaderMap);

impl Injector for NatsHeaders<'_> {
    fn set(&mut self, key: &str, value: String) {
        // A name or a value that NATS does not take would break the message.
        if let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), value.parse::<async_nats::HeaderValue>()) {
            self.0.insert(name, value);
        }
    }
}

impl Extractor for NatsHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(async_nats::HeaderValue::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_ref()).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let name = key.parse::<HeaderName>().ok()?;
        some(self.0.get_all(name).map(async_nats::HeaderValue::as_str).collect())
    }
}

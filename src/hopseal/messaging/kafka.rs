//! Headers of Kafka.

use opentelemetry::propagation::{Extractor, Injector};
use rdkafka::message::{Header, Headers, OwnedHeaders};

use super::carrier::some;

/// The headers of a message that was received.
#[derive(Debug)]
pub struct KafkaHeaders<'h, H>(pub &'h H);

impl<H: Headers> Extractor for KafkaHeaders<'_, H> {
    fn get(&self, key: &str) -> Option<&str> {
        self.get_all(key)?.into_iter().next()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|header| header.key).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let of = self.0.iter().filter(|header| header.key == key);
        some(of.filter_map(|header| std::str::from_utf8(header.value?).ok()).collect())
    }
}

/// The headers of a message to send.
///
/// ```
/// use hopseal::messaging::NewKafkaHeaders;
/// use opentelemetry::propagation::Injector as _;
/// use rdkafka::message::{Headers as _, OwnedHeaders};
/// let mut headers = NewKafkaHeaders(OwnedHeaders::new());
/// headers.set("traceparent", "00-..".to_owned()); // producer.inject("orders", &mut headers)
/// assert_eq!(headers.0.count(), 1); // FutureRecord::to("orders").headers(headers.0)
/// ```
#[derive(Debug)]
pub struct NewKafkaHeaders(pub OwnedHeaders);

impl Injector for NewKafkaHeaders {
    fn set(&mut self, key: &str, value: String) {
        // What a message that is sent again had under the name is gone.
        let others = self.0.iter().filter(|header| header.key != key);
        let kept = others.fold(OwnedHeaders::new(), |kept, header| kept.insert(header));
        self.0 = kept.insert(Header { key, value: Some(value.as_bytes()) });
    }
}

//! Carriers: what is written is read back, once; what is no text is passed over.

use opentelemetry::propagation::{Extractor, Injector};
use serde_json::{Map, Value, json};

use super::*;

/// Writes twice, as for a message that is sent again, and reads.
macro_rules! check {
    ($name:literal, $carrier:expr, $reader:expr) => {{
        let mut carrier = $carrier;
        carrier.set("baggage", "old=1".to_owned());
        carrier.set("traceparent", "00-a-b-01".to_owned());
        carrier.set("baggage", "a=b,c=d;e".to_owned());
        let reader = $reader(&carrier);
        assert_eq!(reader.get("baggage"), Some("a=b,c=d;e"), $name);
        assert_eq!(reader.get_all("baggage"), Some(vec!["a=b,c=d;e"]), $name);
        assert_eq!((reader.get("none"), reader.get_all("none")), (None, None), $name);
        let mut keys = reader.keys();
        keys.sort_unstable();
        assert_eq!(keys, ["baggage", "traceparent"], $name);
    }};
}

fn itself<T>(carrier: &T) -> &T {
    carrier
}

#[test]
fn what_is_written_is_read_back() {
    let (mut pairs, mut text, mut attributes) = (Vec::new(), Map::new(), Map::new());
    check!("pairs", Pairs(&mut pairs), itself);
    check!("a JSON object", JsonText(&mut text), itself);
    check!("attributes", JsonAttributes(&mut attributes), itself);
    assert_eq!(attributes["baggage"], json!({"DataType": "String", "StringValue": "a=b,c=d;e"}));
    #[cfg(feature = "async-nats")]
    check!("NATS", NatsHeaders(&mut async_nats::HeaderMap::new()), itself);
    #[cfg(feature = "lapin")]
    check!("AMQP", AmqpHeaders(&mut amq_protocol_types::FieldTable::default()), itself);
    #[cfg(feature = "rdkafka")]
    check!("Kafka", NewKafkaHeaders(rdkafka::message::OwnedHeaders::new()), kafka);
}

#[cfg(feature = "rdkafka")]
fn kafka(written: &NewKafkaHeaders) -> KafkaHeaders<'_, rdkafka::message::OwnedHeaders> {
    KafkaHeaders(&written.0)
}

#[test]
fn every_header_of_a_name_is_handed_on() {
    let header = |value: &[u8]| ("baggage".to_owned(), value.to_vec());
    let mut pairs =
        vec![header(b"a=1"), header(b"\xff"), header(b"b=2"), ("other".to_owned(), b"x".to_vec())];
    assert_eq!(Pairs(&mut pairs).get_all("baggage"), Some(vec!["a=1", "b=2"]), "but what is no text");
    assert_eq!(Pairs(&mut pairs).get("Baggage"), None);
    #[cfg(feature = "rdkafka")]
    {
        use rdkafka::message::{Header, OwnedHeaders};
        let header = |value| Header { key: "baggage", value };
        let headers =
            OwnedHeaders::new().insert(header(Some("a=1"))).insert(header(None)).insert(header(Some("b=2")));
        assert_eq!(KafkaHeaders(&headers).get_all("baggage"), Some(vec!["a=1", "b=2"]));
    }
}

#[test]
fn attributes_are_read_in_each_of_their_spellings() {
    for attribute in [
        json!({"DataType": "String", "StringValue": "x"}),
        json!({"dataType": "String", "stringValue": "x"}),
        json!({"Type": "String", "Value": "x"}),
    ] {
        let mut map = Map::from_iter([("baggage".to_owned(), attribute)]);
        assert_eq!(JsonAttributes(&mut map).get("baggage"), Some("x"));
    }
    for attribute in
        [Value::Null, json!("x"), json!({"DataType": "Binary", "BinaryValue": "eA=="}), json!({"Value": 1})]
    {
        let mut map = Map::from_iter([("baggage".to_owned(), attribute)]);
        assert_eq!(JsonAttributes(&mut map).get("baggage"), None);
    }
}

/// An identity survives each of them.
#[tokio::test]
async fn a_whole_identity_goes_through() {
    let lab = Lab::new();
    let mut request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search"}});
    let mut event = json!({"specversion": "1.0", "type": "order", "source": "/orders", "id": "1"});
    let consumer = lab.consumer(NOW).continuing();
    with_identity(of(alice()), async {
        let mut meta = mcp_meta(&mut request).map(JsonText).expect("a request");
        lab.producer(NOW).inject("orders", &mut meta);
        let mut attributes = event.as_object_mut().map(JsonText).expect("an event");
        lab.producer(NOW).inject("orders", &mut attributes);
    })
    .await;
    assert_eq!(request["params"]["name"], "search");
    for object in [mcp_meta(&mut request), event.as_object_mut()] {
        let message = consumer.receive("orders", &object.map(JsonText).expect("an object"));
        let seen = consumer.process(message, async { lab.seen(NOW) }).await;
        assert_eq!(seen.assurance, "sealed");
    }
}

//! Carriers that need no library of a broker.

use opentelemetry::propagation::{Extractor, Injector};
use serde_json::{Map, Value, json};

/// Headers as pairs of names and bytes, as most protocols have them. Names are compared to the letter; writing takes the place of what
/// was there under the name.
#[derive(Debug)]
pub struct Pairs<'p>(pub &'p mut Vec<(String, Vec<u8>)>);

impl Injector for Pairs<'_> {
    fn set(&mut self, key: &str, value: String) {
        self.0.retain(|(name, _)| name != key);
        self.0.push((key.to_owned(), value.into_bytes()));
    }
}

impl Extractor for Pairs<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.get_all(key)?.into_iter().next()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let of = self.0.iter().filter(|(name, _)| name == key);
        some(of.filter_map(|(_, value)| std::str::from_utf8(value).ok()).collect())
    }
}

pub(super) fn some(values: Vec<&str>) -> Option<Vec<&str>> {
    Some(values).filter(|values| !values.is_empty())
}

/// A JSON object whose members are text: a CloudEvent in JSON (its extension `distributed-tracing`), `_meta` of MCP.
#[derive(Debug)]
pub struct JsonText<'j>(pub &'j mut Map<String, Value>);

impl Injector for JsonText<'_> {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_owned(), Value::String(value));
    }
}

impl Extractor for JsonText<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

/// Message attributes as SQS and SNS have them in JSON: objects of a type and a text. Written as the API takes them, read also as
/// notifications of SNS (`Value`) and events of Lambda (`stringValue`) have them.
#[derive(Debug)]
pub struct JsonAttributes<'j>(pub &'j mut Map<String, Value>);

impl Injector for JsonAttributes<'_> {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.to_owned(), json!({"DataType": "String", "StringValue": value}));
    }
}

impl Extractor for JsonAttributes<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let attribute = self.0.get(key)?;
        ["StringValue", "stringValue", "Value"].iter().find_map(|name| attribute.get(name)?.as_str())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}

/// The object `_meta` in the parameters of a request of MCP (<https://modelcontextprotocol.io>), made if it is not there. `None` for
/// what is no such request.
///
/// ```
/// use hopseal::messaging::{JsonText, mcp_meta};
/// let mut call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search"}});
/// let meta = mcp_meta(&mut call).map(JsonText);
/// assert!(meta.is_some());
/// assert!(mcp_meta(&mut serde_json::json!([])).is_none());
/// ```
pub fn mcp_meta(request: &mut Value) -> Option<&mut Map<String, Value>> {
    let params = request.as_object_mut()?.entry("params").or_insert_with(|| json!({}));
    params.as_object_mut()?.entry("_meta").or_insert_with(|| json!({})).as_object_mut()
}

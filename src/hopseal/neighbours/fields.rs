//! Baggage as plain headers.

use hopseal_identity::member::is_reserved;
use opentelemetry::baggage::{Baggage, BaggageExt as _};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::{Context, KeyValue};

/// Fields that other systems pass on as headers of their own, in and out: the `remote-fields` of Spring Cloud Sleuth and Micrometer
/// Tracing, also under `baggage-` and the name, as Sleuth had it. They are baggage of others and nobody's identity.
///
/// It stands after the [`Propagator`](crate::otel::Propagator), which has read `baggage`; what came there under the same name counts.
///
/// ```
/// use hopseal::neighbours::PlainFields;
/// use opentelemetry::baggage::BaggageExt as _;
/// use opentelemetry::propagation::TextMapPropagator as _;
/// let headers = std::collections::HashMap::from([("x-country-code".to_owned(), "FR".to_owned())]);
/// let cx = PlainFields::new(["x-country-code"]).extract(&headers);
/// assert_eq!(cx.baggage().get("x-country-code").map(|value| value.as_str()), Some("FR"));
/// ```
#[derive(Debug, Clone)]
pub struct PlainFields {
    names: Vec<String>,
}

impl PlainFields {
    /// By these names, in lower case. Names that are ours are left out: an identity travels in one way.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let names = names.into_iter().map(|name| name.into().to_ascii_lowercase());
        Self { names: names.filter(|name| !is_reserved(name)).collect() }
    }
}

impl TextMapPropagator for PlainFields {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        for name in &self.names {
            let value = cx.baggage().get(name.as_str()).map(opentelemetry::StringValue::as_str);
            // A value with more than visible characters would be another header, or none.
            if let Some(value) = value.filter(|value| value.bytes().all(|byte| matches!(byte, b' '..=b'~'))) {
                injector.set(name, value.to_owned());
            }
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let found: Vec<KeyValue> = self
            .names
            .iter()
            .filter(|name| cx.baggage().get(name.as_str()).is_none())
            .filter_map(|name| {
                let value = extractor.get(name).or_else(|| extractor.get(&format!("baggage-{name}")))?;
                Some(KeyValue::new(name.clone(), value.to_owned()))
            })
            .collect();
        if found.is_empty() {
            return cx.clone();
        }
        let mut all = Baggage::new();
        for (name, (value, properties)) in cx.baggage() {
            all.insert_with_metadata(name.clone(), value.clone(), properties.clone());
        }
        for field in found {
            all.insert(field.key, field.value.as_str().into_owned());
        }
        cx.with_baggage(all)
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.names)
    }
}

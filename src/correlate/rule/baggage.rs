//! W3C baggage as instrumentation captured it.

use crate::field::Field;
use crate::record::Span;

/// Members of the captured baggage headers of a span, name and value, properties left off.
///
/// Values stay percent-encoded (<https://www.w3.org/TR/baggage/#value>).
pub(super) fn members<'t>(span: &Span<'t>) -> impl Iterator<Item = (&'t str, &'t str)> + use<'t> {
    span.all(Field::SentBaggage).flat_map(|header| header.split(',')).filter_map(|member| {
        let (name, value) = member.split(';').next()?.split_once('=')?;
        Some((name.trim(), value.trim()))
    })
}

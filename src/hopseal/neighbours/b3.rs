//! Traces as Zipkin passes them on (<https://github.com/openzipkin/b3-propagation>).

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};

const SINGLE: &str = "b3";
const TRACE: &str = "x-b3-traceid";
const SPAN: &str = "x-b3-spanid";
const SAMPLED: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

/// Reads both forms, the single header before the others; writes one. It takes the place of the propagator of the trace context.
///
/// ```
/// use hopseal::neighbours::B3;
/// use opentelemetry::propagation::TextMapPropagator as _;
/// use opentelemetry::trace::TraceContextExt as _;
/// let headers = std::collections::HashMap::from([("b3".to_owned(), "a3ce929d0e0e4736-00f067aa0ba902b7-1".to_owned())]);
/// let cx = B3::single().extract(&headers);
/// assert_eq!(cx.span().span_context().trace_id().to_string(), "0000000000000000a3ce929d0e0e4736");
/// ```
#[derive(Debug, Clone)]
pub struct B3 {
    fields: Vec<String>,
    single: bool,
}

impl B3 {
    /// Writes the header `b3`.
    #[must_use]
    pub fn single() -> Self {
        Self { fields: vec![SINGLE.to_owned()], single: true }
    }

    /// Writes `x-b3-traceid`, `x-b3-spanid` and `x-b3-sampled`.
    #[must_use]
    pub fn multiple() -> Self {
        Self { fields: [TRACE, SPAN, SAMPLED].map(str::to_owned).to_vec(), single: false }
    }
}

/// An id of 16 or 32 lower-case hex digits; the short ones get zeros in front.
fn trace_id(text: &str) -> Option<TraceId> {
    matches!(text.len(), 16 | 32).then(|| number(text)).flatten().map(TraceId::from)
}

fn span_id(text: &str) -> Option<SpanId> {
    let number = (text.len() == 16).then(|| number(text)).flatten()?;
    u64::try_from(number).ok().map(SpanId::from)
}

fn number(text: &str) -> Option<u128> {
    let legal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    legal.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

/// `1`, `0`, `d` for debug, and nothing for a decision that is left to us; old senders write words.
fn flags(text: Option<&str>) -> Option<TraceFlags> {
    match text {
        Some("1" | "d" | "true") => Some(TraceFlags::SAMPLED),
        Some("0" | "false") | None => Some(TraceFlags::NOT_SAMPLED),
        Some(_) => None,
    }
}

fn single(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (trace, span) = (trace_id(parts.next()?)?, span_id(parts.next()?)?);
    let flags = flags(parts.next())?;
    // What may follow is the id of the parent, which nobody needs.
    let rest = (parts.next(), parts.next());
    let legal =
        matches!(rest, (None, None)) || matches!(rest, (Some(parent), None) if span_id(parent).is_some());
    legal.then(|| SpanContext::new(trace, span, flags, true, TraceState::default()))
}

fn multiple(extractor: &dyn Extractor) -> Option<SpanContext> {
    let (trace, span) = (trace_id(extractor.get(TRACE)?)?, span_id(extractor.get(SPAN)?)?);
    let flags = match extractor.get(FLAGS) {
        Some("1") => TraceFlags::SAMPLED,
        _ => flags(extractor.get(SAMPLED))?,
    };
    Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
}

impl TextMapPropagator for B3 {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span();
        let span = span.span_context();
        if !span.is_valid() {
            return;
        }
        let (trace, id) = (span.trace_id(), span.span_id());
        let sampled = if span.is_sampled() { "1" } else { "0" };
        if self.single {
            injector.set(SINGLE, format!("{trace}-{id}-{sampled}"));
        } else {
            injector.set(TRACE, trace.to_string());
            injector.set(SPAN, id.to_string());
            injector.set(SAMPLED, sampled.to_owned());
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let found = match extractor.get(SINGLE) {
            Some(text) => single(text),
            None => multiple(extractor),
        };
        match found.filter(SpanContext::is_valid) {
            Some(span) => cx.with_remote_span_context(span),
            None => cx.clone(),
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}

//! Making spans.

use std::fmt;
use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{SpanBuilder, TraceContextExt as _, Tracer as _};

/// Makes spans. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Spans(Arc<BoxedTracer>);

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spans(..)")
    }
}

impl Spans {
    pub(crate) fn new(tracer: BoxedTracer) -> Self {
        Self(Arc::new(tracer))
    }

    /// A new span under a parent, in a context that may hold more.
    pub(crate) fn start(&self, builder: SpanBuilder, parent: &Context, within: &Context) -> Context {
        within.with_span(self.0.build_with_context(builder, parent))
    }
}

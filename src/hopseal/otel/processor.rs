//! Identity on spans.

use std::sync::Arc;
use std::time::Duration;

use hopseal_identity::attribute::WORKLOAD;
use opentelemetry::trace::{Span as _, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

#[cfg(any(feature = "messaging", feature = "tower"))]
use super::attributes::ENDUSER_ID;
use super::attributes::{DEFAULT_ATTRIBUTES, WITH_SEAL, WITHIN, tell};
use super::identity::HopIdentity;
use crate::clock::{Clock, SystemClock};

/// The trace that a request came with and that is not continued: the entry span is linked to it.
#[cfg(feature = "tower")]
#[derive(Debug)]
pub(crate) struct Before(pub(crate) opentelemetry::trace::SpanContext);

/// Writes the identity of the context on the entry span of each hop: the span without a parent in this process.
///
/// It must be added before the processor that exports. Spans that are not recorded get nothing, and cost nothing.
///
/// ```
/// use hopseal::otel::IdentityProcessor;
/// use opentelemetry_sdk::trace::SdkTracerProvider;
/// let provider = SdkTracerProvider::builder()
///     .with_span_processor(IdentityProcessor::new("spiffe://example.org/orders"))
///     // .with_batch_exporter(..)
///     .build();
/// # drop(provider);
/// ```
#[derive(Debug)]
pub struct IdentityProcessor {
    workload: String,
    clock: Arc<dyn Clock>,
    attributes: Chosen,
    within: bool,
}

/// Attributes that are written, and no others.
#[derive(Debug, Clone)]
pub(crate) struct Chosen(Arc<[String]>);

impl Chosen {
    pub(crate) fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort_unstable();
        Self(names.into())
    }

    fn has(&self, name: &str) -> bool {
        self.0.binary_search_by(|chosen| chosen.as_str().cmp(name)).is_ok()
    }
}

impl IdentityProcessor {
    /// Writes [`DEFAULT_ATTRIBUTES`], for a workload by its SPIFFE ID or `service.name`.
    #[must_use]
    pub fn new(workload: impl Into<String>) -> Self {
        Self {
            workload: workload.into(),
            clock: Arc::new(SystemClock),
            attributes: Chosen::new(DEFAULT_ATTRIBUTES.iter().copied()),
            within: false,
        }
    }

    /// Writes these attributes and no others. `enduser.id`, the subject itself, is written only if it is named here.
    #[must_use]
    pub fn attributes(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.attributes = Chosen::new(names);
        self
    }

    /// Also writes who it is (`hopseal.sub`, `.kind`, `.tenant`, `.assurance`, as far as they are allowed) on spans within a hop.
    #[must_use]
    pub const fn all_spans(mut self) -> Self {
        self.within = true;
        self
    }

    /// Takes time from another clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn allows(&self, name: &str) -> bool {
        self.attributes.has(name)
    }
}

impl SpanProcessor for IdentityProcessor {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        let parent = cx.span();
        let entry = !parent.span_context().is_valid() || parent.span_context().is_remote();
        if !entry && !self.within {
            return;
        }
        #[cfg(feature = "tower")]
        if let Some(Before(before)) = cx.get::<Before>().filter(|_| entry) {
            span.add_link(before.clone(), Vec::new());
        }
        let Some(identity) = HopIdentity::of(cx) else { return };
        let names = WITH_SEAL.map(|name| entry && self.allows(name));
        let sealing = identity.sealing(span.span_context(), self.clock.now(), names);
        tell(&identity, sealing, &mut |name, value| {
            if self.allows(name) && (entry || WITHIN.contains(&name)) {
                span.set_attribute(KeyValue::new(name, value));
            }
        });
        if entry && self.allows(WORKLOAD) {
            span.set_attribute(KeyValue::new(WORKLOAD, self.workload.clone()));
        }
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Writes an identity on the span of a context: an entry span that began before the identity was known. Of the attributes, these `only`,
/// or all that are written unless it is asked otherwise.
#[cfg(any(feature = "messaging", feature = "tower"))]
pub(crate) fn stamp(
    cx: &Context,
    identity: &HopIdentity,
    now: crate::clock::UnixTime,
    workload: &Arc<str>,
    only: Option<&Chosen>,
) {
    let span = cx.span();
    if !span.is_recording() {
        return;
    }
    let allows = |name: &str| match only {
        None => name != ENDUSER_ID,
        Some(only) => only.has(name),
    };
    let sealing = identity.sealing(span.span_context(), now, WITH_SEAL.map(allows));
    tell(identity, sealing, &mut |name, value| {
        if allows(name) {
            span.set_attribute(KeyValue::new(name, value));
        }
    });
    if allows(WORKLOAD) {
        span.set_attribute(KeyValue::new(WORKLOAD, Arc::clone(workload)));
    }
}

//! Findings as spans, each in the very trace that it is about, for whatever keeps traces: a child of the hop, and once it is taken
//! back another, linked to the first.
//!
//! Only what is committed is told. What cannot be sent after some tries is dropped and counted: the trail has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use futures_executor::block_on;
use hopseal_correlate::finding::{FindingId, Severity};
use hopseal_correlate::sink::{SpanId, TraceId};
use opentelemetry::trace::{
    Link, SpanContext, SpanId as OtelSpanId, SpanKind, Status, TraceFlags, TraceId as OtelTraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};

use super::own::{self, OwnKey, Says};
use crate::serve::metrics::Metrics;
use crate::serve::store::{Batch, Changed, Store};

/// Turns that may wait to be sent.
const WAITING: usize = 64;
/// Spans of one request.
const AT_ONCE: usize = 500;
/// How long is waited before each further try.
const TRIES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(15)];

/// Findings cannot be sent out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PublishError {
    /// Who sends cannot be made.
    #[error("cannot send findings")]
    Exporter(#[from] ExporterBuildError),
    /// The machine gives no thread.
    #[error("cannot start the thread that sends findings")]
    Thread(#[source] std::io::Error),
}

/// See the [module](self).
pub(super) struct Publisher {
    own: Arc<OwnKey>,
    metrics: Arc<Metrics>,
    /// None once it is being dropped.
    to: Option<SyncSender<Vec<SpanData>>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    /// Starts who sends to this address.
    pub(super) fn start(
        endpoint: &str,
        own: Arc<OwnKey>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, PublishError> {
        let mut exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).build()?;
        exporter.set_resource(&Resource::builder_empty().with_service_name(own::SERVICE).build());
        let (to, from) = sync_channel(WAITING);
        let (counted, stopping) = (Arc::clone(&metrics), Arc::<AtomicBool>::default());
        let ending = Arc::clone(&stopping);
        let thread = std::thread::Builder::new().name("findings".to_owned());
        let thread =
            thread.spawn(move || send(&exporter, &from, &counted, &ending)).map_err(PublishError::Thread)?;
        Ok(Self { own, metrics, to: Some(to), stopping, thread: Some(thread) })
    }

    /// Tells what was committed. Waits for nobody.
    pub(super) fn tell(&self, batch: &Batch, changed: &Changed, store: &dyn Store) {
        let spans = spans(batch, changed, &self.own, store);
        let Some(to) = self.to.as_ref().filter(|_| !spans.is_empty()) else { return };
        if let Err(TrySendError::Full(spans) | TrySendError::Disconnected(spans)) = to.try_send(spans) {
            self.metrics.unsent.inc_by(spans.len() as u64);
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        self.to = None;
        // It does not panic, and if it did there is nothing left to do for it.
        self.thread.take().map(JoinHandle::join);
    }
}

/// Sends until nobody tells anything more. At the end nothing is tried twice, and nothing more once something failed: the service
/// does not wait for a backend that is down.
fn send(exporter: &SpanExporter, from: &Receiver<Vec<SpanData>>, metrics: &Metrics, stopping: &AtomicBool) {
    let is_ending = || stopping.load(Ordering::Acquire);
    let mut is_down = false;
    while let Ok(spans) = from.recv() {
        for some in spans.chunks(AT_ONCE) {
            let count = some.len();
            if is_down && is_ending() {
                metrics.unsent.inc_by(count as u64);
                continue;
            }
            let mut sent = block_on(exporter.export(some.to_vec()));
            for wait in TRIES {
                if sent.is_ok() || !waited(wait, &is_ending) {
                    break;
                }
                sent = block_on(exporter.export(some.to_vec()));
            }
            is_down = sent.is_err();
            if let Err(error) = sent {
                tracing::warn!(%error, count, "findings could not be sent; the trail has them");
                metrics.unsent.inc_by(count as u64);
            }
        }
    }
}

/// Waits, unless it is the end or becomes so.
fn waited(wait: Duration, is_ending: &impl Fn() -> bool) -> bool {
    const STEP: Duration = Duration::from_millis(100);
    let mut left = wait;
    while !left.is_zero() && !is_ending() {
        std::thread::sleep(left.min(STEP));
        left = left.saturating_sub(STEP);
    }
    !is_ending()
}

/// What is told of one finding.
struct Told<'f> {
    id: FindingId,
    trace_id: TraceId,
    /// The hop, or the span it is about.
    about: Option<SpanId>,
    rule: &'static str,
    severity: Severity,
    service: &'f str,
    message: &'f str,
    at: u64,
    more: Vec<KeyValue>,
}

fn spans(batch: &Batch, changed: &Changed, own: &OwnKey, store: &dyn Store) -> Vec<SpanData> {
    let mut spans = Vec::new();
    for id in &changed.opened {
        let finding = batch.raised.iter().find(|finding| finding.id == *id);
        let Some((finding, trace_id)) = finding.and_then(|finding| Some((finding, finding.trace_id?))) else {
            continue;
        };
        let mut more = vec![
            KeyValue::new("hopseal.finding.group", finding.group_id.to_string()),
            KeyValue::new("hopseal.finding.confidence", finding.confidence.as_str()),
            KeyValue::new("hopseal.finding.operation", finding.operation.clone()),
            KeyValue::new("hopseal.finding.fix", finding.fix.clone()),
        ];
        more.extend(finding.caller.clone().map(|caller| KeyValue::new("hopseal.finding.caller", caller)));
        let told = Told {
            id: *id,
            trace_id,
            about: finding.span_id,
            rule: finding.rule.as_str(),
            severity: finding.severity,
            service: &finding.service,
            message: &finding.message,
            at: finding.at,
            more,
        };
        spans.push(told.span(Says::Stands, own));
    }
    for id in &changed.retracted {
        // One that cannot be read is not told of: that it stands no more is in the trail.
        let Ok(Some(record)) = store.finding(*id) else { continue };
        let Some(trace_id) = record.trace_id else { continue };
        let body: serde_json::Value = serde_json::from_str(&record.body).unwrap_or_default();
        let span_id = body.get("span_id").and_then(serde_json::Value::as_str);
        let told = Told {
            id: *id,
            trace_id,
            about: span_id.and_then(|id| u64::from_str_radix(id, 16).ok()).map(|id| SpanId(id.to_be_bytes())),
            rule: record.rule.as_str(),
            severity: record.severity,
            service: &record.service,
            message: "the finding stands no more: later spans explain it",
            at: record.at,
            more: Vec::new(),
        };
        spans.push(told.span(Says::Retracted, own));
    }
    spans
}

impl Told<'_> {
    fn span(self, says: Says, own: &OwnKey) -> SpanData {
        let stands = says == Says::Stands;
        let context = |says| {
            let id = OtelSpanId::from_bytes(own.span_id(self.id, says).0);
            let trace_id = OtelTraceId::from_bytes(self.trace_id.0);
            SpanContext::new(trace_id, id, TraceFlags::SAMPLED, false, TraceState::default())
        };
        let mut links = SpanLinks::default();
        if !stands {
            links.links.push(Link::with_context(context(Says::Stands)));
        }
        let mut attributes = vec![
            KeyValue::new(own::FINDING, self.id.to_string()),
            KeyValue::new("hopseal.finding.rule", self.rule),
            KeyValue::new("hopseal.finding.severity", self.severity.as_str()),
            KeyValue::new("hopseal.finding.state", if stands { "open" } else { "retracted" }),
            KeyValue::new("hopseal.finding.service", self.service.to_owned()),
            KeyValue::new("hopseal.finding.message", self.message.to_owned()),
        ];
        attributes.extend(self.more);
        // Beside the hop in every drawing of the trace.
        let at = SystemTime::UNIX_EPOCH + Duration::from_nanos(self.at);
        let is_wrong = stands && self.severity >= Severity::Medium;
        SpanData {
            span_context: context(says),
            parent_span_id: self.about.map_or(OtelSpanId::INVALID, |id| OtelSpanId::from_bytes(id.0)),
            parent_span_is_remote: true,
            span_kind: SpanKind::Internal,
            name: format!("{} {}", if stands { "finding" } else { "retracted" }, self.rule).into(),
            start_time: at,
            end_time: at,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: if is_wrong { Status::error(self.message.to_owned()) } else { Status::Unset },
            instrumentation_scope: InstrumentationScope::builder(own::SERVICE)
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hopseal_correlate::finding::{Finding, Subject};
    use hopseal_correlate::rule::Rule;

    use super::*;
    use crate::serve::store::{Model, State};

    /// Guarantees: a finding that is opened is one span of its trace, below the hop; one that stood before and one about no trace are
    /// none; one that is taken back is another, linked to the first; neither names a principal.
    #[test]
    fn each_finding_is_a_span_of_its_trace() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = OwnKey::of(folder.path()).expect("a key");
        let (trace_id, span_id) = (TraceId([7; 16]), SpanId([3; 8]));
        let subject = |number: u8| Subject::Span { trace_id, span_id: SpanId([number; 8]), server: true };
        let mut dropped =
            Finding::new(Rule::IdentityDropped, subject(3), "").message("`a` lost it").grouped();
        (dropped.service, dropped.caller, dropped.at) =
            ("orders".to_owned(), Some("gateway".to_owned()), 1_500);
        let mut standing = Finding::new(Rule::AuditGap, subject(4), "").grouped();
        standing.severity = Severity::Info;
        let mut many = Finding::new(Rule::CoverageRegression, subject(5), "").grouped();
        many.trace_id = None;
        let batch =
            Batch { raised: vec![dropped.clone(), standing.clone(), many.clone()], ..Batch::default() };
        let store = Model::default();
        let changed = store.commit(&batch).expect("kept");
        assert_eq!(changed.opened.len(), 3);

        let spans =
            spans(&batch, &Changed { opened: vec![dropped.id, many.id], ..Changed::default() }, &own, &store);
        let [span] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!(span.span_context.trace_id().to_bytes(), trace_id.0);
        assert_eq!(span.parent_span_id.to_bytes(), span_id.0);
        assert_eq!(span.start_time, SystemTime::UNIX_EPOCH + Duration::from_nanos(1_500));
        assert_eq!(
            (span.name.as_ref(), &span.status),
            ("finding identity_dropped", &Status::error("`a` lost it"))
        );
        assert!(own.made(dropped.id, SpanId(span.span_context.span_id().to_bytes())));
        let said = |span: &SpanData, key: &str| {
            let value = span.attributes.iter().find(|attribute| attribute.key.as_str() == key)?;
            Some(value.value.to_string())
        };
        for (key, expected) in [
            (own::FINDING, dropped.id.to_string().as_str()),
            ("hopseal.finding.rule", "identity_dropped"),
            ("hopseal.finding.severity", "high"),
            ("hopseal.finding.state", "open"),
            ("hopseal.finding.service", "orders"),
            ("hopseal.finding.caller", "gateway"),
        ] {
            assert_eq!(said(span, key).as_deref(), Some(expected), "{key}");
        }

        let info = Changed { opened: vec![standing.id], ..Changed::default() };
        assert_eq!(super::spans(&batch, &info, &own, &store)[0].status, Status::Unset);

        let retracted = Batch { retracted: vec![dropped.id], at: 9, ..Batch::default() };
        let changed = store.commit(&retracted).expect("kept");
        let state = store.finding(dropped.id).expect("a store").map(|finding| finding.state);
        assert_eq!(state, Some(State::Retracted));
        let later = super::spans(&retracted, &changed, &own, &store);
        let [second] = &later[..] else { panic!("{later:?}") };
        assert_eq!((second.name.as_ref(), &second.status), ("retracted identity_dropped", &Status::Unset));
        assert_eq!(second.parent_span_id, span.parent_span_id);
        assert_eq!(second.links.links[0].span_context.span_id(), span.span_context.span_id());
        assert_ne!(second.span_context.span_id(), span.span_context.span_id());
    }

    /// Guarantees: the end does not wait for a backend that is down, and what it did not get is counted.
    #[test]
    fn the_end_waits_for_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = Arc::new(OwnKey::of(folder.path()).expect("a key"));
        let metrics = Arc::new(Metrics::new());
        // Nothing listens there.
        let endpoint = "http://127.0.0.1:9/v1/traces";
        let publisher = Publisher::start(endpoint, own, Arc::clone(&metrics)).expect("started");
        let store = Model::default();
        for number in 1..=30_u8 {
            let subject = Subject::Trace(TraceId([number; 16]));
            let finding = Finding::new(Rule::IdentityDropped, subject, "");
            let changed = Changed { opened: vec![finding.id], ..Changed::default() };
            publisher.tell(&Batch { raised: vec![finding], ..Batch::default() }, &changed, &store);
        }
        drop(publisher);
        assert_eq!(metrics.unsent.get(), 30);
    }
}

//! Findings by OTLP, for whatever keeps traces or logs: as spans, each in the very trace that it is about, and as log records that
//! are events of that trace. Once one is taken back it is told of again.
//!
//! Only what is committed is told. What cannot be sent after some tries is dropped and counted: the trail has it.

mod log;
mod span;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use hopseal_correlate::finding::{Finding, FindingId, Severity};
use hopseal_correlate::sink::{SpanId, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::ExporterBuildError;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;

use self::log::Logs;
use self::span::Spans;
use super::own::{self, OwnKey, Says};
use crate::hex;
use crate::serve::again::{Ending, TRIES, Trying, trying};
use crate::serve::guard::guarded;
use crate::serve::metrics::Metrics;
use crate::serve::store::{Batch, Changed, Store};

/// Turns that may wait to be sent.
const WAITING: usize = 64;
/// Findings of one request.
const AT_ONCE: usize = 500;

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

/// Where findings are sent, as what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PublishSettings {
    /// As spans: the whole address.
    pub(crate) spans: Option<String>,
    /// As log records: the whole address.
    pub(crate) logs: Option<String>,
}

/// See the [module](self).
pub(super) struct Publisher(Vec<Sending>);

impl Publisher {
    /// Starts who sends to these addresses.
    pub(super) fn start(
        settings: &PublishSettings,
        own: &Arc<OwnKey>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, PublishError> {
        let mut all = Vec::new();
        if let Some(endpoint) = &settings.spans {
            all.push(Sending::start(Spans::to(endpoint, Arc::clone(own))?, metrics)?);
        }
        if let Some(endpoint) = &settings.logs {
            all.push(Sending::start(Logs::to(endpoint)?, metrics)?);
        }
        Ok(Self(all))
    }

    /// Tells what was committed. Waits for nobody.
    pub(super) fn tell(&self, batch: &Batch, changed: &Changed, store: &dyn Store) {
        if self.0.is_empty() {
            return;
        }
        let told = Arc::new(told(batch, changed, store));
        if !told.is_empty() {
            self.0.iter().for_each(|sending| sending.tell(&told));
        }
    }
}

/// Sends findings as something.
trait Export: Send + 'static {
    /// Whether this one is sent.
    fn takes(&self, told: &Notice) -> bool;

    /// Sends some, whole or not at all.
    fn export(&self, told: &[&Notice]) -> OTelSdkResult;
}

/// A thread that sends.
struct Sending {
    metrics: Arc<Metrics>,
    /// Dropped before the end is waited for.
    to: SyncSender<Arc<Vec<Notice>>>,
    _ending: Ending,
}

impl Sending {
    fn start(export: impl Export, metrics: &Arc<Metrics>) -> Result<Self, PublishError> {
        let (to, from) = sync_channel(WAITING);
        let ((ending, trying), counted) = (trying(TRIES), Arc::clone(metrics));
        let thread = std::thread::Builder::new().name("findings".to_owned());
        thread.spawn(move || send(&export, &from, &counted, trying)).map_err(PublishError::Thread)?;
        Ok(Self { metrics: Arc::clone(metrics), to, _ending: ending })
    }

    fn tell(&self, told: &Arc<Vec<Notice>>) {
        if let Err(TrySendError::Full(told) | TrySendError::Disconnected(told)) =
            self.to.try_send(Arc::clone(told))
        {
            self.metrics.unsent.inc_by(told.len() as u64);
        }
    }
}

/// Sends until nobody tells anything more.
fn send(export: &impl Export, from: &Receiver<Arc<Vec<Notice>>>, metrics: &Metrics, mut trying: Trying) {
    while let Ok(told) = from.recv() {
        let taken: Vec<&Notice> = told.iter().filter(|told| export.takes(told)).collect();
        for some in taken.chunks(AT_ONCE) {
            let count = some.len();
            // What exports begins each request anew. What panics costs itself, and does not end the service: one that does would end the next
            // process too.
            match guarded(|| trying.send(|_| true, || export.export(some))) {
                Ok(Ok(())) => continue,
                Ok(Err(None)) => {}
                Ok(Err(Some(error))) => {
                    tracing::warn!(%error, count, "findings could not be sent; the trail has them");
                }
                Err(panicked) => {
                    tracing::error!(place = %panicked, count, "findings are not sent, by a fault of ours; the trail has them");
                }
            }
            metrics.unsent.inc_by(count as u64);
        }
    }
}

/// What is told of one finding.
struct Notice {
    id: FindingId,
    says: Says,
    trace_id: Option<TraceId>,
    /// The hop, or the span it is about.
    about: Option<SpanId>,
    rule: &'static str,
    severity: Severity,
    message: String,
    /// When the hop began.
    at: SystemTime,
    /// When it was found, or found to be none.
    found: SystemTime,
    attributes: Vec<KeyValue>,
}

fn told(batch: &Batch, changed: &Changed, store: &dyn Store) -> Vec<Notice> {
    let mut all = Vec::new();
    // Of one that was found more than once the last counts.
    let raised: HashMap<FindingId, &Finding> =
        batch.raised.iter().map(|finding| (finding.id, finding)).collect();
    for id in &changed.opened {
        let Some(finding) = raised.get(id) else { continue };
        let mut told = Notice {
            id: *id,
            says: Says::Stands,
            trace_id: finding.trace_id,
            about: finding.span_id,
            rule: finding.rule.as_str(),
            severity: finding.severity,
            message: finding.message.clone(),
            at: moment(finding.at),
            found: moment(batch.at),
            attributes: Vec::new(),
        };
        told.describe(&finding.service);
        told.attributes.extend([
            KeyValue::new("hopseal.finding.group", finding.group_id.to_string()),
            KeyValue::new("hopseal.finding.confidence", finding.confidence.as_str()),
            KeyValue::new("hopseal.finding.operation", finding.operation.clone()),
            KeyValue::new("hopseal.finding.fix", finding.fix.clone()),
        ]);
        let caller = finding.caller.clone();
        told.attributes.extend(caller.map(|caller| KeyValue::new("hopseal.finding.caller", caller)));
        all.push(told);
    }
    for id in &changed.retracted {
        // One that cannot be read is not told of: that it stands no more is in the trail.
        let Ok(Some(record)) = store.finding(*id) else { continue };
        let body: serde_json::Value = serde_json::from_str(&record.body).unwrap_or_default();
        let span_id = body.get("span_id").and_then(serde_json::Value::as_str);
        let mut told = Notice {
            id: *id,
            says: Says::Retracted,
            trace_id: record.trace_id,
            about: span_id.and_then(hex::id).map(SpanId),
            rule: record.rule.as_str(),
            severity: record.severity,
            message: "the finding stands no more: later spans explain it".to_owned(),
            at: moment(record.at),
            found: moment(batch.at),
            attributes: Vec::new(),
        };
        told.describe(&record.service);
        all.push(told);
    }
    all
}

fn moment(nanos: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos)
}

impl Notice {
    /// Adds the attributes that each has.
    fn describe(&mut self, service: &str) {
        let state = if self.says == Says::Stands { "open" } else { "retracted" };
        self.attributes.extend([
            KeyValue::new(own::FINDING, self.id.to_string()),
            KeyValue::new("hopseal.finding.rule", self.rule),
            KeyValue::new("hopseal.finding.severity", self.severity.as_str()),
            KeyValue::new("hopseal.finding.state", state),
            KeyValue::new("hopseal.finding.service", service.to_owned()),
            KeyValue::new("hopseal.finding.message", self.message.clone()),
        ]);
    }
}

/// Who sends it.
fn resource() -> Resource {
    Resource::builder_empty().with_service_name(own::SERVICE).build()
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(own::SERVICE).with_version(env!("CARGO_PKG_VERSION")).build()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use hopseal_correlate::finding::{Finding, Subject};
    use hopseal_correlate::rule::Rule;

    use opentelemetry::logs::Severity as LogSeverity;
    use opentelemetry::trace::Status;
    use opentelemetry_sdk::trace::SpanData;

    use super::*;
    use crate::serve::store::{Model, State};

    /// Guarantees: a finding that is opened is one span of its trace, below the hop, and a record of a log there; one that stood before is
    /// neither, one about no trace a record alone; one that is taken back is another, linked to the first; none names a principal.
    #[test]
    fn each_finding_is_a_span_of_its_trace_and_a_record() {
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

        let spans = |batch: &Batch, changed: &Changed| -> Vec<_> {
            let told = told(batch, changed, &store);
            told.iter().filter_map(|told| Some(span::span(told, told.trace_id?, &own))).collect()
        };
        let changed = Changed { opened: vec![dropped.id, many.id], ..Changed::default() };
        let first = spans(&batch, &changed);
        let [span] = &first[..] else { panic!("{first:?}") };
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
        assert_eq!(spans(&batch, &info)[0].status, Status::Unset);

        let retracted = Batch { retracted: [dropped.id].into(), at: 9, ..Batch::default() };
        let changed = store.commit(&retracted).expect("kept");
        let state = store.finding(dropped.id).expect("a store").map(|finding| finding.state);
        assert_eq!(state, Some(State::Retracted));
        let later = spans(&retracted, &changed);
        let [second] = &later[..] else { panic!("{later:?}") };
        assert_eq!((second.name.as_ref(), &second.status), ("retracted identity_dropped", &Status::Unset));
        assert_eq!(second.parent_span_id, span.parent_span_id);
        assert_eq!(second.links.links[0].span_context.span_id(), span.span_context.span_id());
        assert_ne!(second.span_context.span_id(), span.span_context.span_id());

        let blank = log::blank();
        let records = |batch: &Batch, changed: &Changed| -> Vec<_> {
            told(batch, changed, &store).iter().map(|told| log::record(told, &blank)).collect()
        };
        let opened = Changed { opened: vec![dropped.id, many.id], ..Changed::default() };
        let [of_trace, of_many] = &records(&Batch { at: 7, ..batch }, &opened)[..] else { panic!("two") };
        assert_eq!(of_trace.event_name(), Some("hopseal.finding.opened"));
        assert_eq!(of_trace.severity_number(), Some(LogSeverity::Error));
        assert_eq!(
            (of_trace.timestamp(), of_trace.observed_timestamp()),
            (Some(moment(1_500)), Some(moment(7)))
        );
        let place = of_trace.trace_context().expect("a place");
        assert_eq!((place.trace_id.to_bytes(), place.span_id.to_bytes()), (trace_id.0, span_id.0));
        let of = |key: &str| {
            of_trace
                .attributes_iter()
                .find(|(known, _)| known.as_str() == key)
                .map(|(_, value)| value.clone())
        };
        assert_eq!(of(own::FINDING), Some(dropped.id.to_string().into()));
        assert!(of_many.trace_context().is_none());
        let [back] = &records(&retracted, &changed)[..] else { panic!("one") };
        assert_eq!(back.event_name(), Some("hopseal.finding.retracted"));
        assert_eq!(back.severity_number(), Some(LogSeverity::Info));
    }

    /// Fails, and holds up what is sent first until it is told to go on.
    struct Down {
        go: Mutex<Option<Receiver<()>>>,
        tried: Arc<AtomicUsize>,
    }

    impl Export for Down {
        fn takes(&self, told: &Notice) -> bool {
            told.trace_id.is_some()
        }

        fn export(&self, _: &[&Notice]) -> OTelSdkResult {
            self.tried.fetch_add(1, Ordering::SeqCst);
            let go = self.go.lock().expect("no panic").take();
            go.map(|go| go.recv());
            Err(opentelemetry_sdk::error::OTelSdkError::InternalFailure("down".to_owned()))
        }
    }

    /// Panics the first time.
    struct Panics(Arc<AtomicUsize>);

    impl Export for Panics {
        fn takes(&self, _: &Notice) -> bool {
            true
        }

        fn export(&self, _: &[&Notice]) -> OTelSdkResult {
            assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "a fault");
            Ok(())
        }
    }

    /// A finding of a trace is opened.
    fn open(publisher: &Publisher, number: u8, store: &dyn Store) {
        let finding = Finding::new(Rule::IdentityDropped, Subject::Trace(TraceId([number; 16])), "");
        let changed = Changed { opened: vec![finding.id], ..Changed::default() };
        publisher.tell(&Batch { raised: vec![finding], ..Batch::default() }, &changed, store);
    }

    /// Scenario: to send a finding panics, and another waits behind it.
    /// Guarantees: the first is counted as not sent, the other is sent.
    #[test]
    fn what_panics_costs_itself() {
        let (metrics, tried) = (Arc::new(Metrics::new()), Arc::<AtomicUsize>::default());
        let panics = Panics(Arc::clone(&tried));
        let publisher = Publisher(vec![Sending::start(panics, &metrics).expect("started")]);
        [1, 2].into_iter().for_each(|number| open(&publisher, number, &Model::default()));
        drop(publisher);
        assert_eq!((metrics.unsent.get(), tried.load(Ordering::SeqCst)), (1, 2));
    }

    /// Scenario: a backend is down, thirty findings wait for it, and the service ends.
    /// Guarantees: the end waits for none of them, each is tried once at most, and all that were not taken are counted.
    #[test]
    fn the_end_waits_for_nobody() {
        let metrics = Arc::new(Metrics::new());
        let ((go, held), tried) = (std::sync::mpsc::channel(), Arc::<AtomicUsize>::default());
        let down = Down { go: Mutex::new(Some(held)), tried: Arc::clone(&tried) };
        let publisher = Publisher(vec![Sending::start(down, &metrics).expect("started")]);
        let store = Model::default();
        (1..=30).for_each(|number| open(&publisher, number, &store));
        // It returns though the first is still on its way.
        drop(publisher);
        assert_eq!(metrics.unsent.get(), 0);
        drop(go);
        while metrics.unsent.get() < 30 {
            std::thread::yield_now();
        }
        assert_eq!((metrics.unsent.get(), tried.load(Ordering::SeqCst)), (30, 1));
    }
}

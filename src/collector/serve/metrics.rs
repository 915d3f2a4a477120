//! Every metric of `hopseal serve`, with its help and unit. Labels are words of closed sets, and names of services, which senders
//! choose, of so many edges and no more. No identity is among them.

use std::collections::HashSet;
use std::fmt::{self, Debug, Formatter};
use std::hash::Hash;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hopseal_correlate::finding::Severity;
use hopseal_correlate::rule::Rule;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::CounterWithExemplar;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};
use rustc_hash::FxHashMap;

use super::keep::{Counts, KeepCounts};
use super::store::{Batch, Changed, OpenRow};

/// The media type of what [`Metrics::text`] writes.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds of the histogram of times, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// Protocols by their words.
const PROTOCOLS: [&str; 5] = ["otlp_grpc", "otlp_http", "zipkin", "api", "admin"];
/// What may become of a request: the labels of refusals, and `accepted`.
pub(super) const RESULTS: [&str; 21] = [
    "accepted",
    "path",
    "method",
    "media_type",
    "coding",
    "too_large",
    "no_room",
    "too_slow",
    "cut",
    "damaged",
    "framing",
    "no_credential",
    "bad_credential",
    "stranger",
    "undecided",
    "lost",
    "malformed",
    "overloaded",
    "disk_full",
    "stopping",
    "failed",
];

/// By which way something came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct By {
    /// `otlp_grpc`, `otlp_http`, `zipkin`, `api`, `admin`.
    pub(crate) protocol: &'static str,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Ended {
    /// As for [`By`].
    pub(crate) protocol: &'static str,
    /// `accepted`, or the label of a refusal.
    pub(crate) result: &'static str,
}

/// What was read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reloaded {
    /// `certificates`, `senders`, `access`, `rules`.
    pub(crate) what: &'static str,
    /// `ok`, or `failed`: what was read before stays in force.
    pub(crate) result: &'static str,
}

/// What became of a trace, or of spans of one, besides being judged once it was quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Judged {
    /// One of [`WINDOWS`].
    pub(crate) what: &'static str,
}

/// Judged early for want of memory; judged while spans still came; opened again by late spans; spans whose trace was gone;
/// spans beyond what is judged of one trace.
const WINDOWS: [&str; 5] = ["crowded", "old", "reopened", "stragglers", "left_out"];

/// Edges that are counted apart; hops of further ones are counted as between services called [`OTHER`].
const MOST_EDGES: usize = 1000;
/// The name of services beyond those that are counted apart. No service is called so: resources name none that begins with a `_`.
const OTHER: &str = "_other";
/// Letters of a service's name that are shown.
const LETTERS: usize = 100;

/// Hops from one service to another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Edge {
    /// The service that called; empty where none is known.
    caller: String,
    /// The service called.
    service: String,
    /// How sure the identity was: `verified`, `sealed`, `asserted`, `refused`, `anonymous`, `unknown`; or `uncovered`, where the
    /// service never shows one.
    assurance: &'static str,
}

/// Findings of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Kind {
    /// Its name.
    rule: &'static str,
    /// `high`, `medium`, `low` or `info`.
    severity: &'static str,
}

/// Open findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Open {
    /// `high`, `medium`, `low` or `info`.
    severity: &'static str,
}

/// A trace in which to see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Seen {
    trace_id: String,
}

/// What was counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    names: Names,
    hops: Edges,
    findings: Family<Kind, CounterWithExemplar<Seen>>,
    retracted: Counter,
    open_findings: Family<Open, Gauge>,
    /// Requests that ended.
    pub(crate) requests: Family<Ended, Counter>,
    /// Spans that are durable.
    pub(crate) spans: Family<By, Counter>,
    /// Spans of accepted requests that could not be read.
    pub(crate) rejected: Family<By, Counter>,
    /// Bytes of bodies as they came.
    pub(crate) received: Family<By, Counter>,
    /// Bytes of bodies once inflated.
    pub(crate) inflated: Family<By, Counter>,
    /// From a body that is here to its being durable.
    pub(crate) accepting: Histogram,
    /// Memory taken by what is being received.
    pub(crate) in_flight: Gauge,
    /// What there is of that.
    pub(crate) memory: Gauge,
    /// Open connections.
    pub(crate) connections: Family<By, Gauge>,
    /// Connections that were closed at once, as there were too many.
    pub(crate) turned_away: Family<By, Counter>,
    /// Files that were read again.
    pub(crate) reloads: Family<Reloaded, Counter>,
    windows: Family<Judged, Counter>,
    open_traces: Gauge,
    open: Gauge,
    failed_turns: Gauge,
    disk_free: Gauge,
    disk_low: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut all = Names::default();
        let metrics = Self {
            open_findings: all.gauges(
                "open_findings",
                "Findings that stand and of which nobody said what became, by severity",
            ),
            hops: all.edges("hops", "Hops by who called whom, and how sure the identity was"),
            findings: all.findings("findings", "Findings that were opened, by rule and severity"),
            retracted: all.one("findings_retracted", "Findings that were taken back"),
            requests: all.counter("receive_requests", "Requests with spans that ended, by result", None),
            spans: all.counter("receive_spans", "Spans received and durable", None),
            rejected: all.counter(
                "receive_rejected_spans",
                "Spans of accepted requests that could not be read",
                None,
            ),
            received: all.counter(
                "receive_body",
                "Bodies of requests as they came, compressed or not",
                Some(Unit::Bytes),
            ),
            inflated: all.counter(
                "receive_inflated_body",
                "Bodies of requests after decompression",
                Some(Unit::Bytes),
            ),
            accepting: all.histogram(
                "receive_accept",
                "From a body that is here to its spans being durable",
                Unit::Seconds,
            ),
            in_flight: all.gauge(
                "receive_in_flight",
                "Memory taken by what is being received",
                Some(Unit::Bytes),
            ),
            memory: all.gauge(
                "receive_memory_limit",
                "Memory that there is for what is being received",
                Some(Unit::Bytes),
            ),
            connections: all.gauges("connections", "Open connections"),
            turned_away: all.counter(
                "connections_turned_away",
                "Connections closed at once, as there were too many",
                None,
            ),
            reloads: all.counter("reloads", "Files of the configuration that were read again", None),
            windows: all.counter(
                "windows",
                "Traces, and spans of traces, that were not judged once and whole",
                None,
            ),
            open_traces: all.gauge("open_traces", "Traces that are not judged yet", None),
            open: all.gauge("open", "Memory of spans of traces that are not judged yet", Some(Unit::Bytes)),
            failed_turns: all.gauge(
                "store_failed_turns",
                "Times since the start that what was found could not be kept at once",
                None,
            ),
            disk_free: all.gauge("disk_free", "Free room on the disk of the store", Some(Unit::Bytes)),
            disk_low: all.gauge("disk_low", "1 where that is less than `store.alarm_under`", None),
            names: all,
        };
        // From nothing, so that the first is an increase to whoever asks for one.
        for rule in Rule::ALL {
            let kind = Kind { rule: rule.as_str(), severity: rule.spec().severity.as_str() };
            drop(metrics.findings.get_or_create(&kind));
        }
        metrics
    }

    /// Says how many findings are open.
    pub(crate) fn open(&self, rows: &[OpenRow]) {
        for severity in Severity::ALL {
            let of = rows.iter().filter(|row| row.severity == severity);
            let count: u64 = of.map(|row| row.count).sum();
            let gauge = self.open_findings.get_or_create(&Open { severity: severity.as_str() });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Takes over what the keeper counted, all since the start.
    pub(crate) fn keep(&self, counts: &KeepCounts) {
        let Counts { crowded, old, reopened, stragglers, left_out } = counts.windows;
        for (what, count) in WINDOWS.into_iter().zip([crowded, old, reopened, stragglers, left_out]) {
            self.windows.get_or_create(&Judged { what }).inner().store(count, Ordering::Relaxed);
        }
        let set = |gauge: &Gauge, value: u64| _ = gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.open_traces, counts.open as u64);
        set(&self.open, counts.open_bytes as u64);
        set(&self.failed_turns, counts.failed_turns);
        set(&self.disk_free, counts.free);
        set(&self.disk_low, counts.alarm.into());
    }

    /// Counts what was committed. A trace that is judged again counts as it was judged first.
    pub(crate) fn found(&self, batch: &Batch, changed: &Changed) {
        let texts = &batch.block.texts;
        let mut edges: FxHashMap<_, u64> = FxHashMap::default();
        for (_, hops) in batch.block.each().filter(|(judged, _)| judged.version <= 1) {
            for hop in hops {
                let edge = (hop.texts.caller, hop.texts.service, hop.assurance, hop.uncovered);
                *edges.entry(edge).or_default() += 1;
            }
        }
        for ((caller, service, assurance, uncovered), count) in edges {
            let assurance = if uncovered { "uncovered" } else { assurance.as_str() };
            let (caller, service) = (texts.get(caller), texts.get(service));
            self.hops.add(Edge { caller: short(caller), service: short(service), assurance }, count);
        }
        let opened: HashSet<_> = changed.opened.iter().collect();
        let mut counted = HashSet::new();
        for finding in batch.raised.iter().filter(|finding| opened.contains(&finding.id)) {
            if counted.insert(finding.id) {
                let kind = Kind { rule: finding.rule.as_str(), severity: finding.severity.as_str() };
                let seen = finding.trace_id.map(|id| Seen { trace_id: id.to_string() });
                self.findings.get_or_create(&kind).inc_by(1, seen, None);
            }
        }
        self.retracted.inc_by(changed.retracted.len() as u64);
    }

    /// All of them, as OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.names.registry);
        text
    }

    /// Lets a meter have them too, but for the histogram.
    pub(crate) fn export(&self, meter: &Meter) {
        self.names.exports.iter().for_each(|export| export(meter));
    }
}

/// Labels of which every set that there can be is known.
trait Closed: EncodeLabelSet + Clone + Eq + Hash + Debug + Send + Sync + 'static {
    fn all() -> Vec<Self>;
    fn attributes(&self) -> Vec<KeyValue>;
}

impl Closed for By {
    fn all() -> Vec<Self> {
        PROTOCOLS.map(|protocol| Self { protocol }).to_vec()
    }

    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("protocol", self.protocol)]
    }
}

impl Closed for Ended {
    fn all() -> Vec<Self> {
        let of = |protocol| RESULTS.map(|result| Self { protocol, result });
        PROTOCOLS.into_iter().flat_map(of).collect()
    }

    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("protocol", self.protocol), KeyValue::new("result", self.result)]
    }
}

impl Closed for Judged {
    fn all() -> Vec<Self> {
        WINDOWS.map(|what| Self { what }).to_vec()
    }

    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("what", self.what)]
    }
}

impl Closed for Kind {
    fn all() -> Vec<Self> {
        let of = |rule: Rule| {
            Severity::ALL.map(|severity| Self { rule: rule.as_str(), severity: severity.as_str() })
        };
        Rule::ALL.iter().copied().flat_map(of).collect()
    }

    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("rule", self.rule), KeyValue::new("severity", self.severity)]
    }
}

impl Closed for Open {
    fn all() -> Vec<Self> {
        Severity::ALL.map(|severity| Self { severity: severity.as_str() }).to_vec()
    }

    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("severity", self.severity)]
    }
}

impl Closed for Reloaded {
    fn all() -> Vec<Self> {
        let of = |what| ["ok", "failed"].map(|result| Self { what, result });
        ["certificates", "senders", "access", "rules"].into_iter().flat_map(of).collect()
    }

    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("what", self.what), KeyValue::new("result", self.result)]
    }
}

/// The first letters of a name.
fn short(name: &str) -> String {
    name.chars().take(LETTERS).collect()
}

/// Hops by edge: of so many edges, and the others as one.
#[derive(Debug, Clone, Default)]
struct Edges {
    family: Family<Edge, Counter>,
    known: Arc<Mutex<HashSet<Edge>>>,
}

impl Edges {
    fn known(&self) -> MutexGuard<'_, HashSet<Edge>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, mut edge: Edge, count: u64) {
        {
            let mut known = self.known();
            if !known.contains(&edge) {
                if known.len() >= MOST_EDGES {
                    (edge.caller, edge.service) = (OTHER.to_owned(), OTHER.to_owned());
                }
                known.insert(edge.clone());
            }
        }
        self.family.get_or_create(&edge).inc_by(count);
    }
}

type Export = Box<dyn Fn(&Meter) + Send + Sync>;

/// What metrics are called, for those who ask and for those who are told.
#[derive(Default)]
struct Names {
    registry: Registry,
    exports: Vec<Export>,
}

impl Debug for Names {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Names {
    fn register<M: Metric + Clone>(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: Option<&Unit>,
        metric: &M,
    ) {
        let name = format!("hopseal_{name}");
        match unit {
            None => self.registry.register(name, help, metric.clone()),
            Some(unit) => self.registry.register_with_unit(name, help, unit.clone(), metric.clone()),
        }
    }

    fn counter<L: Closed>(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: Option<Unit>,
    ) -> Family<L, Counter> {
        let family = Family::<L, Counter>::default();
        self.register(name, help, unit.as_ref(), &family);
        let (read, unit) = (family.clone(), word(unit.as_ref()));
        self.exports.push(Box::new(move |meter| {
            let read = read.clone();
            let counter = meter.u64_observable_counter(dotted(name)).with_description(help).with_unit(unit);
            let callback = move |to: &dyn AsyncInstrument<u64>| {
                for labels in L::all() {
                    if let Some(counter) = read.get(&labels) {
                        to.observe(counter.get(), &labels.attributes());
                    }
                }
            };
            let _ = counter.with_callback(callback).build();
        }));
        family
    }

    fn edges(&mut self, name: &'static str, help: &'static str) -> Edges {
        let edges = Edges::default();
        self.register(name, help, None, &edges.family);
        let read = edges.clone();
        self.exports.push(Box::new(move |meter| {
            let read = read.clone();
            let counter = meter.u64_observable_counter(dotted(name)).with_description(help);
            let callback = move |to: &dyn AsyncInstrument<u64>| {
                for edge in read.known().iter() {
                    let Some(counter) = read.family.get(edge) else { continue };
                    let caller = KeyValue::new("caller", edge.caller.clone());
                    let service = KeyValue::new("service", edge.service.clone());
                    to.observe(counter.get(), &[caller, service, KeyValue::new("assurance", edge.assurance)]);
                }
            };
            let _ = counter.with_callback(callback).build();
        }));
        edges
    }

    fn findings(
        &mut self,
        name: &'static str,
        help: &'static str,
    ) -> Family<Kind, CounterWithExemplar<Seen>> {
        let family = Family::<Kind, CounterWithExemplar<Seen>>::default();
        self.register(name, help, None, &family);
        let read = family.clone();
        self.exports.push(Box::new(move |meter| {
            let read = read.clone();
            let counter = meter.u64_observable_counter(dotted(name)).with_description(help);
            let callback = move |to: &dyn AsyncInstrument<u64>| {
                for kind in Kind::all() {
                    if let Some(counter) = read.get(&kind) {
                        to.observe(counter.get().0, &kind.attributes());
                    }
                }
            };
            let _ = counter.with_callback(callback).build();
        }));
        family
    }

    fn one(&mut self, name: &'static str, help: &'static str) -> Counter {
        let counter = Counter::default();
        self.register(name, help, None, &counter);
        let read: Counter = counter.clone();
        self.exports.push(Box::new(move |meter| {
            let read = read.clone();
            let counter = meter.u64_observable_counter(dotted(name)).with_description(help);
            let _ = counter.with_callback(move |to| to.observe(read.get(), &[])).build();
        }));
        counter
    }

    fn gauges<L: Closed>(&mut self, name: &'static str, help: &'static str) -> Family<L, Gauge> {
        let family = Family::<L, Gauge>::default();
        self.register(name, help, None, &family);
        let read = family.clone();
        self.exports.push(Box::new(move |meter| {
            let read = read.clone();
            let gauge = meter.i64_observable_gauge(dotted(name)).with_description(help);
            let callback = move |to: &dyn AsyncInstrument<i64>| {
                for labels in L::all() {
                    if let Some(gauge) = read.get(&labels) {
                        to.observe(gauge.get(), &labels.attributes());
                    }
                }
            };
            let _ = gauge.with_callback(callback).build();
        }));
        family
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, unit: Option<Unit>) -> Gauge {
        let gauge = Gauge::default();
        self.register(name, help, unit.as_ref(), &gauge);
        let (read, unit) = (gauge.clone(), word(unit.as_ref()));
        self.exports.push(Box::new(move |meter| {
            let read = read.clone();
            let gauge = meter.i64_observable_gauge(dotted(name)).with_description(help).with_unit(unit);
            let _ = gauge.with_callback(move |to| to.observe(read.get(), &[])).build();
        }));
        gauge
    }

    fn histogram(&mut self, name: &'static str, help: &'static str, unit: Unit) -> Histogram {
        let histogram = Histogram::new(SECONDS);
        self.register(name, help, Some(&unit), &histogram);
        histogram
    }
}

/// The name as OpenTelemetry writes them.
fn dotted(name: &str) -> String {
    format!("hopseal.{}", name.replace('_', "."))
}

/// The unit as OpenTelemetry writes it (UCUM).
fn word(unit: Option<&Unit>) -> &'static str {
    match unit {
        Some(Unit::Bytes) => "By",
        Some(Unit::Seconds) => "s",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use hopseal_correlate::finding::{Finding, Subject};
    use hopseal_identity::Assurance;
    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

    use super::*;
    use crate::serve::store::testing::{Sketch, add, trace_id};

    #[test]
    fn what_is_exported_is_what_is_shown() {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
        let metrics = Metrics::new();
        metrics.export(&provider.meter("hopseal"));
        for result in RESULTS {
            metrics.requests.get_or_create(&Ended { protocol: "zipkin", result }).inc();
        }
        metrics.memory.set(5);
        metrics.connections.get_or_create(&By { protocol: "admin" }).set(3);
        provider.force_flush().expect("flushed");
        let exported = exporter.get_finished_metrics().expect("metrics");
        let found: Vec<_> = exported[0].scope_metrics().flat_map(|scope| scope.metrics()).collect();
        let points = |name: &str| match found.iter().find(|metric| metric.name() == name)?.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => Some(sum.data_points().count()),
            AggregatedMetrics::I64(MetricData::Gauge(gauge)) => Some(gauge.data_points().count()),
            _ => None,
        };
        assert_eq!(points("hopseal.receive.requests"), Some(RESULTS.len()));
        assert_eq!(points("hopseal.connections"), Some(1));
        let memory = found.iter().find(|metric| metric.name() == "hopseal.receive.memory.limit");
        assert_eq!(memory.map(|metric| metric.unit()), Some("By"));
    }

    /// Guarantees: what senders call their services does not make ever more series.
    #[test]
    fn edges_are_bounded() {
        let metrics = Metrics::new();
        let edge = |number: usize| Edge {
            caller: short(&"x".repeat(1000)),
            service: number.to_string(),
            assurance: "unknown",
        };
        (0..2 * MOST_EDGES).for_each(|number| metrics.hops.add(edge(number), 1));
        metrics.hops.add(edge(0), 1);
        let text = metrics.text();
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("hopseal_hops_total")).collect();
        assert_eq!(lines.len(), MOST_EDGES + 1);
        assert!(text.contains(&format!("service=\"_other\",assurance=\"unknown\"}} {MOST_EDGES}")));
        assert!(text.contains("service=\"0\",assurance=\"unknown\"} 2"));
        assert!(lines.iter().all(|line| line.len() < 200));
    }

    /// Guarantees: hops count as they were judged first, findings once they are opened, with the trace to look at.
    #[test]
    fn what_is_committed_is_counted() {
        let metrics = Metrics::new();
        let mut batch = Batch::default();
        let hop = |assurance| Sketch {
            caller: "gateway",
            service: "orders",
            principal: "alice",
            issuer: "",
            assurance,
            start: 0,
        };
        add(&mut batch.block, 1, 1, &[hop(Assurance::Verified), hop(Assurance::Unknown)]);
        add(&mut batch.block, 2, 2, &[hop(Assurance::Verified)]);
        let finding = |number| Finding::new(Rule::IdentityDropped, Subject::Trace(trace_id(number)), "");
        batch.raised = vec![finding(1), finding(2), finding(1)];
        let changed = Changed { opened: vec![batch.raised[0].id], retracted: vec![batch.raised[1].id] };
        metrics.found(&batch, &changed);
        let text = metrics.text();
        for line in [
            "hopseal_hops_total{caller=\"gateway\",service=\"orders\",assurance=\"verified\"} 1",
            "hopseal_hops_total{caller=\"gateway\",service=\"orders\",assurance=\"uncovered\"} 1",
            "hopseal_findings_retracted_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        let seen = format!("severity=\"high\"}} 1 # {{trace_id=\"{}\"}} 1", trace_id(1));
        assert!(text.contains(&seen) && !text.contains("alice"), "{seen} in {text}");
    }

    #[test]
    fn every_metric_has_help_and_bytes_and_seconds_are_units() {
        let metrics = Metrics::new();
        let by = By { protocol: "otlp_http" };
        metrics.requests.get_or_create(&Ended { protocol: "otlp_http", result: "accepted" }).inc();
        metrics.connections.get_or_create(&by).set(2);
        let counters = [&metrics.spans, &metrics.rejected, &metrics.received, &metrics.inflated];
        for counter in counters.into_iter().chain([&metrics.turned_away]) {
            counter.get_or_create(&by).inc_by(7);
        }
        metrics.accepting.observe(0.003);
        metrics.reloads.get_or_create(&Reloaded { what: "rules", result: "ok" }).inc();
        metrics.hops.add(Edge { caller: String::new(), service: "a".to_owned(), assurance: "sealed" }, 1);
        metrics.open(&[OpenRow { severity: Severity::High, service: "a".to_owned(), count: 2 }]);
        let windows = Counts { crowded: 3, ..Counts::default() };
        metrics.keep(&KeepCounts { windows, alarm: true, ..KeepCounts::default() });
        let text = metrics.text();
        let mut described = 0;
        for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
            let name = line.split(' ').nth(2).expect("a name");
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
            for unit in ["bytes", "seconds"] {
                let has = text.contains(&format!("# UNIT {name} {unit}\n"));
                assert_eq!(has, name.ends_with(unit), "{name}");
            }
            described += 1;
        }
        assert_eq!(described, 21);
        for line in [
            "hopseal_receive_requests_total{protocol=\"otlp_http\",result=\"accepted\"} 1",
            "hopseal_receive_body_bytes_total{protocol=\"otlp_http\"} 7",
            "hopseal_receive_accept_seconds_bucket{le=\"0.005\"} 1",
            "hopseal_windows_total{what=\"crowded\"} 3",
            "hopseal_disk_low 1",
            "hopseal_open_findings{severity=\"high\"} 2",
            "hopseal_open_findings{severity=\"low\"} 0",
            "hopseal_findings_total{rule=\"identity_dropped\",severity=\"high\"} 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}

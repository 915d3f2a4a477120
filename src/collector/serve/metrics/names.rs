//! What metrics are called, for those who ask and for those who are told.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::CounterWithExemplar;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::edges::Edges;
use super::labels::{Attributes, Closed, Kind, Seen};
use super::recorded::{Counted, SECONDS, Times};

type Export = Box<dyn Fn(&Meter) + Send + Sync>;

/// What metrics are called, for those who ask and for those who are told.
#[derive(Default)]
pub(super) struct Names {
    pub(super) registry: Registry,
    pub(super) exports: Vec<Export>,
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

    /// Facts that stay as they are: `hopseal_<name>_info`, which is always 1.
    pub(super) fn info(
        &mut self,
        name: &'static str,
        help: &'static str,
        facts: &[(&'static str, &'static str)],
    ) {
        self.registry.register(format!("hopseal_{name}"), help, Info::new(facts.to_vec()));
        let attributes: Vec<_> = facts.iter().map(|(key, value)| KeyValue::new(*key, *value)).collect();
        self.exports.push(Box::new(move |meter| {
            let attributes = attributes.clone();
            let gauge = meter.i64_observable_gauge(dotted(name) + ".info").with_description(help);
            let _ = gauge.with_callback(move |to| to.observe(1, &attributes)).build();
        }));
    }

    pub(super) fn counter<L: Closed>(
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

    pub(super) fn edges(&mut self, name: &'static str, help: &'static str) -> Edges {
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

    pub(super) fn findings(
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

    pub(super) fn one(&mut self, name: &'static str, help: &'static str) -> Counter {
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

    pub(super) fn gauges<L: Closed>(&mut self, name: &'static str, help: &'static str) -> Family<L, Gauge> {
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

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str, unit: Option<Unit>) -> Gauge {
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

    /// Counted as it happens: for labels of which nobody has a list.
    pub(super) fn counted<L: Attributes>(&mut self, name: &'static str, help: &'static str) -> Counted<L> {
        let counted = Counted::default();
        self.register(name, help, None, &counted.family);
        let sent = Arc::clone(&counted.sent);
        self.exports.push(Box::new(move |meter| {
            let _ = sent.set(meter.u64_counter(dotted(name)).with_description(help).build());
        }));
        counted
    }

    /// Lengths of time.
    pub(super) fn times<L: Attributes>(&mut self, name: &'static str, help: &'static str) -> Times<L> {
        let times = Times::default();
        self.register(name, help, Some(&Unit::Seconds), &times.family);
        let sent = Arc::clone(&times.sent);
        self.exports.push(Box::new(move |meter| {
            let histogram = meter.f64_histogram(dotted(name)).with_description(help);
            let unit = word(Some(&Unit::Seconds));
            let _ = sent.set(histogram.with_unit(unit).with_boundaries(SECONDS.to_vec()).build());
        }));
        times
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

//! Every metric of `hopseal serve`, with its help and unit. Labels are words of closed sets: no identity, no name that a
//! sender chooses.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The media type of what [`Metrics::text`] writes.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds of the histogram of times, in seconds.
const SECONDS: [f64; 10] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// By which way something came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct By {
    /// `otlp_grpc`, `otlp_http`, `zipkin`, `admin`.
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
    /// `certificates`, `senders`, `rules`.
    pub(crate) what: &'static str,
    /// `ok`, or `failed`: what was read before stays in force.
    pub(crate) result: &'static str,
}

/// What was counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
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
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("hopseal");
        let metrics = Self {
            requests: Family::default(),
            spans: Family::default(),
            rejected: Family::default(),
            received: Family::default(),
            inflated: Family::default(),
            accepting: Histogram::new(SECONDS),
            in_flight: Gauge::default(),
            memory: Gauge::default(),
            connections: Family::default(),
            turned_away: Family::default(),
            reloads: Family::default(),
            registry: Registry::default(),
        };
        let of = &metrics;
        registry.register(
            "receive_requests",
            "Requests with spans that ended, by result",
            of.requests.clone(),
        );
        registry.register("receive_spans", "Spans received and durable", of.spans.clone());
        registry.register(
            "receive_rejected_spans",
            "Spans of accepted requests that could not be read",
            of.rejected.clone(),
        );
        registry.register_with_unit(
            "receive_body",
            "Bodies of requests as they came, compressed or not",
            Unit::Bytes,
            of.received.clone(),
        );
        registry.register_with_unit(
            "receive_inflated_body",
            "Bodies of requests after decompression",
            Unit::Bytes,
            of.inflated.clone(),
        );
        registry.register_with_unit(
            "receive_accept",
            "From a body that is here to its spans being durable",
            Unit::Seconds,
            of.accepting.clone(),
        );
        registry.register_with_unit(
            "receive_in_flight",
            "Memory taken by what is being received",
            Unit::Bytes,
            of.in_flight.clone(),
        );
        registry.register_with_unit(
            "receive_memory_limit",
            "Memory that there is for what is being received",
            Unit::Bytes,
            of.memory.clone(),
        );
        registry.register("connections", "Open connections", of.connections.clone());
        registry.register(
            "connections_turned_away",
            "Connections closed at once, as there were too many",
            of.turned_away.clone(),
        );
        registry.register("reloads", "Files of the configuration that were read again", of.reloads.clone());
        Self { registry, ..metrics }
    }

    /// All of them, as OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(described, 11);
        for line in [
            "hopseal_receive_requests_total{protocol=\"otlp_http\",result=\"accepted\"} 1",
            "hopseal_receive_body_bytes_total{protocol=\"otlp_http\"} 7",
            "hopseal_receive_accept_seconds_bucket{le=\"0.005\"} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}

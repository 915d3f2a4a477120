use std::time::Duration;

use hopseal_correlate::finding::{Finding, Subject};
use hopseal_identity::Assurance;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

use super::edges::MOST_EDGES;
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
    metrics.accepting.observe(&Alone, Duration::from_millis(3));
    for (route, status) in [("/", "2xx"), ("/", "5xx"), ("none", "4xx")] {
        metrics.asked.add(&Asked { route: route.to_owned(), status }, 1);
        metrics.asked_seconds.observe(&Route { route: route.to_owned() }, Duration::from_secs(1));
    }
    provider.force_flush().expect("flushed");
    let exported = exporter.get_finished_metrics().expect("metrics");
    let found: Vec<_> = exported[0].scope_metrics().flat_map(|scope| scope.metrics()).collect();
    let points = |name: &str| match found.iter().find(|metric| metric.name() == name)?.data() {
        AggregatedMetrics::U64(MetricData::Sum(sum)) => Some(sum.data_points().count()),
        AggregatedMetrics::I64(MetricData::Gauge(gauge)) => Some(gauge.data_points().count()),
        AggregatedMetrics::F64(MetricData::Histogram(times)) => {
            let points: Vec<_> = times.data_points().collect();
            // The same bounds as are shown.
            assert!(points.iter().all(|point| point.bounds().eq(recorded::SECONDS)), "{points:?}");
            Some(points.len())
        }
        _ => None,
    };
    assert_eq!(points("hopseal.receive.requests"), Some(RESULTS.len()));
    assert_eq!(points("hopseal.connections"), Some(1));
    assert_eq!(points("hopseal.receive.accept"), Some(1));
    assert_eq!(points("hopseal.api.requests"), Some(3));
    assert_eq!(points("hopseal.api.request"), Some(2));
    assert_eq!(points("hopseal.build.info"), Some(1));
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
    add(batch.block_mut(), 1, 1, &[hop(Assurance::Verified), hop(Assurance::Unknown)]);
    add(batch.block_mut(), 2, 2, &[hop(Assurance::Verified)]);
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
    metrics.accepting.observe(&Alone, Duration::from_millis(3));
    metrics.asked.add(&Asked { route: "/".to_owned(), status: "2xx" }, 1);
    metrics.asked_seconds.observe(&Route { route: "/".to_owned() }, Duration::from_millis(3));
    metrics.tended(Tended { sealed: 1, removed: 4 });
    metrics.unready(&[Unready::DiskFull]);
    metrics.reloads.get_or_create(&Reloaded { what: "rules", result: "ok" }).inc();
    metrics.hops.add(Edge { caller: String::new(), service: "a".to_owned(), assurance: "sealed" }, 1);
    metrics.open(&[OpenRow { severity: Severity::High, service: "a".to_owned(), count: 2 }]);
    let windows = Counts { crowded: 3, ..Counts::default() };
    metrics.keep(&KeepCounts { windows, alarm: true, used: (7, 2), ..KeepCounts::default() });
    metrics.unclosed(5);
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
    assert_eq!(described, 39);
    for line in [
        "hopseal_receive_requests_total{protocol=\"otlp_http\",result=\"accepted\"} 1",
        "hopseal_receive_body_bytes_total{protocol=\"otlp_http\"} 7",
        "hopseal_receive_accept_seconds_bucket{le=\"0.005\"} 1",
        "hopseal_windows_total{what=\"crowded\"} 3",
        "hopseal_disk_low 1",
        "hopseal_remembered{of=\"credentials\"} 7",
        "hopseal_forgotten_total{of=\"credentials\"} 2",
        "hopseal_store_removed_segments_total 4",
        "hopseal_unready{reason=\"disk_full\"} 1",
        "hopseal_unready{reason=\"store_behind\"} 0",
        "hopseal_audit_gaps_total{cause=\"lost\"} 0",
        "hopseal_store_unclosed_hops 5",
        "hopseal_open_findings{severity=\"high\"} 2",
        "hopseal_open_findings{severity=\"low\"} 0",
        "hopseal_findings_total{rule=\"identity_dropped\",severity=\"high\"} 0",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

//! Every metric of `hopseal serve`, with its help and unit. Labels are words of closed sets, and names of services, which senders
//! choose, of so many edges and no more. No identity is among them.

mod asked;
mod edges;
mod gaps;
mod labels;
mod names;
mod recorded;

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use hopseal_correlate::finding::Severity;
use hopseal_correlate::rule::Rule;
use opentelemetry::metrics::Meter;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::CounterWithExemplar;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;
use rustc_hash::FxHashMap;

pub(crate) use self::asked::counted;
#[cfg(test)]
pub(super) use self::labels::RESULTS;
pub(crate) use self::labels::{Alone, By, Ended, Reloaded};

use self::edges::{Edge, Edges, short};
use self::gaps::Gaps;
use self::labels::{
    Alerted, Asked, Closed as _, Forwarded, Judged, Kind, Lost, OF, Of, Open, Refusing, Route, Seen, WINDOWS,
};
use self::names::Names;
use self::recorded::{Counted, Times};
use super::health::Unready;
use super::keep::{Counts, KeepCounts};
use super::store::{Batch, Changed, Merged, OpenRow, Tended};

/// The media type of what [`Metrics::text`] writes.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What was counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    names: Names,
    hops: Edges,
    findings: Family<Kind, CounterWithExemplar<Seen>>,
    retracted: Counter,
    gaps: Family<Lost, Counter>,
    /// What is known of those.
    early: Gaps,
    open_findings: Family<Open, Gauge>,
    /// Findings that could not be sent out.
    pub(crate) unsent: Counter,
    alerts: Family<Alerted, Counter>,
    forwarded: Family<Forwarded, Counter>,
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
    pub(crate) accepting: Times<Alone>,
    asked: Counted<Asked>,
    asked_seconds: Times<Route>,
    unready: Family<Refusing, Gauge>,
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
    remembered: Family<Of, Gauge>,
    forgotten: Family<Of, Counter>,
    open_traces: Gauge,
    open: Gauge,
    failed_turns: Gauge,
    journal_failures: Gauge,
    disk_free: Gauge,
    disk_low: Gauge,
    unclosed: Gauge,
    segments: Gauge,
    removed: Counter,
    /// Times that files of hops could not be closed, or removed once they were old.
    pub(crate) failed_tending: Counter,
    merged: Counter,
    merged_hops: Counter,
    /// Times that segments could not be merged.
    pub(crate) failed_merges: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut all = Names::default();
        all.info(
            "build",
            "Which program this is",
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("os", std::env::consts::OS),
                ("arch", std::env::consts::ARCH),
            ],
        );
        let metrics = Self {
            open_findings: all.gauges(
                "open_findings",
                "Findings that stand and of which nobody said what became, by severity",
            ),
            hops: all.edges("hops", "Hops by who called whom, and how sure the identity was"),
            findings: all.findings("findings", "Findings that were opened, by rule and severity"),
            unsent: all.one("findings_unsent", "Findings that could not be sent out by OTLP"),
            forwarded: all.counter("forwarded_requests", "Requests with spans that were to be sent on", None),
            alerts: all.counter("alerts", "What was told of findings to those who are woken by them", None),
            retracted: all.one("findings_retracted", "Findings that were taken back"),
            gaps: all.counter(
                "audit_gaps",
                "Traces of which not all was there, by whether it is lost or was only not there yet when it was judged early",
                None,
            ),
            early: Gaps::default(),
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
            accepting: all.times("receive_accept", "From a body that is here to its spans being durable"),
            asked: all.counted(
                "api_requests",
                "Requests for the API, Jaeger's API and pages, by route and class of status",
            ),
            asked_seconds: all.times("api_request", "From such a request to the beginning of its answer"),
            unready: all.gauges("unready", "1 where nothing is taken, by reason; /readyz says the same"),
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
            remembered: all.gauges(
                "remembered",
                "Linked spans, and credentials and transactions, that later traces are held against",
            ),
            forgotten: all.counter("forgotten", "Of these, the oldest ones that made room for others", None),
            open_traces: all.gauge("open_traces", "Traces that are not judged yet", None),
            open: all.gauge("open", "Memory of spans of traces that are not judged yet", Some(Unit::Bytes)),
            failed_turns: all.gauge(
                "store_failed_turns",
                "Times since the start that what was found could not be kept at once",
                None,
            ),
            journal_failures: all.gauge(
                "journal_failures",
                "Times since the start that the journal could not be written, or a file of it not removed",
                None,
            ),
            disk_free: all.gauge("disk_free", "Free room on the disk of the store", Some(Unit::Bytes)),
            disk_low: all.gauge("disk_low", "1 where that is less than `store.alarm_under`", None),
            unclosed: all.gauge("store_unclosed_hops", "Hops that are in no file of hops yet", None),
            segments: all.gauge("store_segments", "Files that hops are in", None),
            removed: all.one(
                "store_removed_segments",
                "Files of hops that were removed as they were too old, or took too much room",
            ),
            failed_tending: all.one(
                "store_failed_tending",
                "Times that files of hops could not be closed, or removed once they were old",
            ),
            merged: all.one("store_merged_segments", "Files of hops that became larger ones"),
            merged_hops: all.one("store_merged_hops", "Hops that were written again when files were merged"),
            failed_merges: all.one("store_failed_merges", "Times that files of hops could not be merged"),
            names: all,
        };
        // From nothing, so that the first is an increase to whoever asks for one.
        for rule in Rule::ALL {
            let kind = Kind { rule: rule.as_str(), severity: rule.spec().severity.as_str() };
            drop(metrics.findings.get_or_create(&kind));
        }
        for lost in Lost::all() {
            drop(metrics.gaps.get_or_create(&lost));
        }
        metrics.unready(&[]);
        metrics.accepting.begin(&Alone);
        for result in Forwarded::all() {
            drop(metrics.forwarded.get_or_create(&result));
        }
        for told in Alerted::all() {
            drop(metrics.alerts.get_or_create(&told));
        }
        for by in By::all() {
            drop(metrics.turned_away.get_or_create(&by));
            if !["api", "admin"].contains(&by.protocol) {
                drop(metrics.rejected.get_or_create(&by));
            }
        }
        for what in Reloaded::all() {
            drop(metrics.reloads.get_or_create(&what));
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
        let Counts { crowded, old, reopened, stragglers, left_out, ahead } = counts.windows;
        let broken = counts.broken.saturating_add(counts.broken_windows);
        let all = [crowded, old, reopened, stragglers, left_out, ahead, broken];
        for (what, count) in WINDOWS.into_iter().zip(all) {
            self.windows.get_or_create(&Judged { what }).inner().store(count, Ordering::Relaxed);
        }
        for (of, (kept, forgotten)) in OF.into_iter().zip([counts.linked, counts.used]) {
            let kept = i64::try_from(kept).unwrap_or(i64::MAX);
            self.remembered.get_or_create(&Of { of }).set(kept);
            self.forgotten.get_or_create(&Of { of }).inner().store(forgotten, Ordering::Relaxed);
        }
        let set = |gauge: &Gauge, value: u64| _ = gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.open_traces, counts.open as u64);
        set(&self.open, counts.open_bytes as u64);
        set(&self.failed_turns, counts.failed_turns);
        set(&self.journal_failures, counts.journal_failures);
        set(&self.disk_free, counts.free);
        set(&self.disk_low, counts.alarm.into());
    }

    /// Says why nothing is taken, if so.
    pub(crate) fn unready(&self, now: &[Unready]) {
        for unready in Unready::ALL {
            let gauge = self.unready.get_or_create(&Refusing { reason: unready.as_str() });
            gauge.set(now.contains(&unready).into());
        }
    }

    /// Counts what was done to the files.
    pub(crate) fn tended(&self, tended: Tended) {
        self.removed.inc_by(tended.removed);
    }

    /// Says how many hops wait to be closed.
    pub(crate) fn unclosed(&self, hops: u64) {
        self.unclosed.set(i64::try_from(hops).unwrap_or(i64::MAX));
    }

    /// Counts what was merged, and says how many segments there are now.
    pub(crate) fn merged(&self, merged: Merged, segments: u64) {
        self.segments.set(i64::try_from(segments).unwrap_or(i64::MAX));
        self.merged.inc_by(merged.segments);
        self.merged_hops.inc_by(merged.hops);
    }

    /// Counts what was committed. A trace that is judged again counts as it was judged first.
    pub(crate) fn found(&self, batch: &Batch, changed: &Changed) {
        for block in &batch.blocks {
            let mut edges: FxHashMap<_, u64> = FxHashMap::default();
            for (_, hops) in block.each().filter(|(judged, _)| judged.version <= 1) {
                for hop in hops {
                    let edge = (hop.texts.caller, hop.texts.service, hop.assurance, hop.uncovered);
                    *edges.entry(edge).or_default() += 1;
                }
            }
            for ((caller, service, assurance, uncovered), count) in edges {
                let assurance = if uncovered { "uncovered" } else { assurance.as_str() };
                let (caller, service) = (block.texts.get(caller), block.texts.get(service));
                self.hops.add(Edge { caller: short(caller), service: short(service), assurance }, count);
            }
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
        self.early.tell(batch, changed, |cause| _ = self.gaps.get_or_create(&Lost { cause }).inc());
    }

    /// Counts what somebody was told of findings. `to`, `result`: words of [`Alerted`].
    pub(crate) fn alerted(&self, to: &'static str, result: &'static str, count: u64) {
        self.alerts.get_or_create(&Alerted { to, result }).inc_by(count);
    }

    /// Counts a request that was to be sent on. `result`: a word of [`Forwarded`].
    pub(crate) fn forwarded(&self, result: &'static str) {
        self.forwarded.get_or_create(&Forwarded { result }).inc();
    }

    /// All of them, as OpenMetrics text.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.names.registry);
        text
    }

    /// Lets a meter have them too.
    pub(crate) fn export(&self, meter: &Meter) {
        self.names.exports.iter().for_each(|export| export(meter));
    }
}

#[cfg(test)]
mod tests;

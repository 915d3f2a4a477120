//! What happens, counted by OpenTelemetry. Every name is in [`ALL`], with its unit and what it means.
//!
//! Labels are bounded: `issuer` and `server` are names of the registry and of the caller, `outcome` is of a closed set.
//!
//! ```
//! use hopseal::metrics::Metrics;
//! let metrics = Metrics::new(&opentelemetry::global::meter("hopseal"));
//! // KeyStore::builder(&registry, http).observer(metrics.clone()), Validator::new(&registry, keys).observer(metrics)
//! ```

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

use crate::observe::{Observed, Observer};

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its unit, as UCUM writes it.
    pub unit: &'static str,
    /// What it means.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($constant:ident = $name:literal, $unit:literal, $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: Metric = Metric { name: $name, unit: $unit, help: $help };)*

        /// Every metric.
        pub const ALL: &[Metric] = &[$($constant),*];
    };
}

metrics! {
    VALIDATIONS = "hopseal.validations", "{credential}", "Tokens that were shown, by kind, outcome, and whether the answer was remembered.";
    KEY_FETCHES = "hopseal.keys.fetches", "{fetch}", "Fetches of an issuer's keys, by outcome.";
    KEY_FETCH_DURATION = "hopseal.keys.fetch.duration", "s", "How long a fetch of an issuer's keys takes.";
    KEYS_SKIPPED = "hopseal.keys.skipped", "{key}", "Keys of fetched sets that are not in order, and not used.";
    KEYS_AGE = "hopseal.keys.age", "s", "Time since an issuer confirmed the keys that serve; set when they are used past their soft age.";
    KEYS_STALE = "hopseal.keys.stale_served", "{request}", "Requests decided with keys past their soft age.";
    KEYS_UNAVAILABLE = "hopseal.keys.unavailable", "{request}", "Requests that could not be decided for want of keys.";
    KEYS_UNKNOWN = "hopseal.keys.unknown_kid", "{request}", "Requests with a key that is not the issuer's, by whether it was asked for it.";
    INTROSPECTIONS = "hopseal.introspections", "{request}", "Questions to issuers about tokens, by outcome.";
    INTROSPECTION_DURATION = "hopseal.introspection.duration", "s", "How long an issuer takes to answer about a token.";
    INTROSPECTIONS_CACHED = "hopseal.introspections.cached", "{request}", "Tokens about which an answer was at hand.";
    CREDENTIALS = "hopseal.credentials.fetched", "{credential}", "Credentials to send out that were asked for, by outcome.";
    CREDENTIAL_DURATION = "hopseal.credential.fetch.duration", "s", "How long a server takes to issue a credential.";
    REFRESH_REFUSED = "hopseal.credentials.refresh_refused", "{token}", "Refresh tokens refused: withdrawn, or used by another than us.";
    EVENTS = "hopseal.revocation.events", "{event}", "Security events received, by kind or by the reason that they are refused for.";
    LEAKS_STOPPED = "hopseal.egress.stopped", "{request}", "Requests of which something of an identity was held back, by what it was.";
    FEED_LAG = "hopseal.revocation.lag", "s", "Time since a feed of security events was last heard of.";
}

/// An [`Observer`] that counts with OpenTelemetry.
#[derive(Debug, Clone)]
pub struct Metrics {
    validations: Counter<u64>,
    key_fetches: Counter<u64>,
    key_fetch_duration: Histogram<f64>,
    keys_skipped: Counter<u64>,
    keys_age: Gauge<u64>,
    keys_stale: Counter<u64>,
    keys_unavailable: Counter<u64>,
    keys_unknown: Counter<u64>,
    introspections: Counter<u64>,
    introspection_duration: Histogram<f64>,
    introspections_cached: Counter<u64>,
    credentials: Counter<u64>,
    credential_duration: Histogram<f64>,
    refresh_refused: Counter<u64>,
    events: Counter<u64>,
    feed_lag: Gauge<u64>,
    leaks_stopped: Counter<u64>,
}

impl Metrics {
    /// Counts with instruments of this meter.
    #[must_use]
    pub fn new(meter: &Meter) -> Self {
        let counter = |metric: Metric| {
            meter.u64_counter(metric.name).with_unit(metric.unit).with_description(metric.help).build()
        };
        let gauge = |metric: Metric| {
            meter.u64_gauge(metric.name).with_unit(metric.unit).with_description(metric.help).build()
        };
        let duration = |metric: Metric| {
            meter
                .f64_histogram(metric.name)
                .with_unit(metric.unit)
                .with_description(metric.help)
                .with_boundaries(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0])
                .build()
        };
        Self {
            validations: counter(VALIDATIONS),
            key_fetches: counter(KEY_FETCHES),
            key_fetch_duration: duration(KEY_FETCH_DURATION),
            keys_skipped: counter(KEYS_SKIPPED),
            keys_age: gauge(KEYS_AGE),
            keys_stale: counter(KEYS_STALE),
            keys_unavailable: counter(KEYS_UNAVAILABLE),
            keys_unknown: counter(KEYS_UNKNOWN),
            introspections: counter(INTROSPECTIONS),
            introspection_duration: duration(INTROSPECTION_DURATION),
            introspections_cached: counter(INTROSPECTIONS_CACHED),
            credentials: counter(CREDENTIALS),
            credential_duration: duration(CREDENTIAL_DURATION),
            refresh_refused: counter(REFRESH_REFUSED),
            events: counter(EVENTS),
            feed_lag: gauge(FEED_LAG),
            leaks_stopped: counter(LEAKS_STOPPED),
        }
    }
}

impl Observer for Metrics {
    fn observe(&self, observed: &Observed<'_>) {
        let label = |name: &'static str, value: &str| KeyValue::new(name, value.to_owned());
        let issued = |issuer: &str| [label("issuer", issuer)];
        let with = |issuer: &str, outcome: &'static str| {
            [label("issuer", issuer), KeyValue::new("outcome", outcome)]
        };
        match *observed {
            Observed::KeysFetched { issuer, outcome, took } => {
                self.key_fetches.add(1, &with(issuer, outcome));
                self.key_fetch_duration.record(took.as_secs_f64(), &issued(issuer));
                if matches!(outcome, "new" | "same") {
                    self.keys_age.record(0, &issued(issuer));
                }
            }
            Observed::KeysSkipped { issuer, count } => {
                self.keys_skipped.add(u64::try_from(count).unwrap_or(u64::MAX), &issued(issuer));
            }
            Observed::KeysStale { issuer, age } => {
                self.keys_stale.add(1, &issued(issuer));
                self.keys_age.record(age, &issued(issuer));
            }
            Observed::KeysUnavailable { issuer } => self.keys_unavailable.add(1, &issued(issuer)),
            Observed::UnknownKid { issuer, outcome } => self.keys_unknown.add(1, &with(issuer, outcome)),
            Observed::Introspected { issuer, outcome, took } => {
                self.introspections.add(1, &with(issuer, outcome));
                self.introspection_duration.record(took.as_secs_f64(), &issued(issuer));
            }
            Observed::IntrospectionCached { issuer } => self.introspections_cached.add(1, &issued(issuer)),
            Observed::Validated { credential, outcome, remembered } => {
                let labels = [
                    KeyValue::new("credential", credential.as_str()),
                    KeyValue::new("outcome", outcome),
                    KeyValue::new("remembered", remembered),
                ];
                self.validations.add(1, &labels);
            }
            Observed::CredentialFetched { server, outcome, took } => {
                self.credentials.add(1, &[label("server", server), KeyValue::new("outcome", outcome)]);
                self.credential_duration.record(took.as_secs_f64(), &[label("server", server)]);
            }
            Observed::RefreshRefused { server } => self.refresh_refused.add(1, &[label("server", server)]),
            Observed::EventReceived { issuer, outcome } => self.events.add(1, &with(issuer, outcome)),
            Observed::LeakStopped { what } => self.leaks_stopped.add(1, &[KeyValue::new("what", what)]),
            Observed::FeedLag { issuer, seconds } => self.feed_lag.record(seconds, &issued(issuer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

    use super::*;
    use crate::Credential;

    #[test]
    fn everything_that_happens_is_counted_under_its_name() {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
        let metrics = Metrics::new(&provider.meter("hopseal"));
        let (issuer, server, took) = ("a", "b", Duration::from_millis(20));
        for observed in [
            Observed::Validated {
                credential: Credential::AccessToken,
                outcome: "verified",
                remembered: true,
            },
            Observed::KeysFetched { issuer, outcome: "new", took },
            Observed::KeysSkipped { issuer, count: 2 },
            Observed::KeysStale { issuer, age: 700 },
            Observed::KeysUnavailable { issuer },
            Observed::UnknownKid { issuer, outcome: "cooldown" },
            Observed::Introspected { issuer, outcome: "active", took },
            Observed::IntrospectionCached { issuer },
            Observed::CredentialFetched { server, outcome: "ok", took },
            Observed::RefreshRefused { server },
            Observed::EventReceived { issuer, outcome: "session_revoked" },
            Observed::FeedLag { issuer, seconds: 3 },
            Observed::LeakStopped { what: "seal" },
        ] {
            metrics.observe(&observed);
        }
        provider.force_flush().expect("flushed");
        let exported = exporter.get_finished_metrics().expect("metrics");
        let found: BTreeSet<(String, String)> = exported
            .iter()
            .flat_map(|resource| resource.scope_metrics())
            .flat_map(|scope| scope.metrics())
            .map(|metric| (metric.name().to_owned(), metric.unit().to_owned()))
            .collect();
        let expected: BTreeSet<(String, String)> =
            ALL.iter().map(|metric| (metric.name.to_owned(), metric.unit.to_owned())).collect();
        assert_eq!(found, expected);
    }
}

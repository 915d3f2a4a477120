//! What metrics are told apart by: words of closed sets.

use std::fmt::Debug;
use std::hash::Hash;

use hopseal_correlate::finding::Severity;
use hopseal_correlate::rule::Rule;
use opentelemetry::KeyValue;
use prometheus_client::encoding::EncodeLabelSet;

/// Protocols by their words.
const PROTOCOLS: [&str; 5] = ["otlp_grpc", "otlp_http", "zipkin", "api", "admin"];
/// What may become of a request: the labels of refusals, and `accepted`.
pub(in crate::serve) const RESULTS: [&str; 21] = [
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
/// spans beyond what is judged of one trace; begun so far ahead, by its own time, that no rule over time counts it; let go, as a fault
/// of the service keeps it from being judged.
pub(super) const WINDOWS: [&str; 7] =
    ["crowded", "old", "reopened", "stragglers", "left_out", "ahead", "broken"];

/// What became of a request that was to be sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Forwarded {
    /// `sent`; `failed`; `left_out`: too much waited, or it is no OTLP.
    pub(super) result: &'static str,
}

/// What became of telling somebody of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Alerted {
    /// `alertmanager` or `webhook`.
    pub(super) to: &'static str,
    /// `sent`; `refused`, which is for good; `failed`, which is tried again; `missed`: forgotten before it could be told.
    pub(super) result: &'static str,
}

/// Findings of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Kind {
    /// Its name.
    pub(super) rule: &'static str,
    /// `high`, `medium`, `low` or `info`.
    pub(super) severity: &'static str,
}

/// Open findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Open {
    /// `high`, `medium`, `low` or `info`.
    pub(super) severity: &'static str,
}

/// A trace in which to see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Seen {
    pub(super) trace_id: String,
}

/// Labels of which every set that there can be is known.
pub(super) trait Closed: EncodeLabelSet + Clone + Eq + Hash + Debug + Send + Sync + 'static {
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

impl Closed for Forwarded {
    fn all() -> Vec<Self> {
        ["sent", "failed", "left_out"].map(|result| Self { result }).to_vec()
    }

    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("result", self.result)]
    }
}

impl Closed for Alerted {
    fn all() -> Vec<Self> {
        let of = |to| ["sent", "refused", "failed", "missed"].map(|result| Self { to, result });
        ["alertmanager", "webhook"].into_iter().flat_map(of).collect()
    }

    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("to", self.to), KeyValue::new("result", self.result)]
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

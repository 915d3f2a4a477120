//! What metrics are told apart by: words of closed sets.

use std::fmt::{self, Debug};
use std::hash::Hash;

use hopseal_correlate::finding::Severity;
use hopseal_correlate::rule::Rule;
use opentelemetry::KeyValue;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};

use crate::serve::health::Unready;

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

/// What is remembered of traces for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Of {
    /// One of [`OF`].
    pub(crate) of: &'static str,
}

/// Spans that were linked to; credentials and transactions that were used.
pub(super) const OF: [&str; 2] = ["linked_spans", "credentials"];

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

/// No labels at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Alone;

impl EncodeLabelSet for Alone {
    fn encode(&self, _: &mut LabelSetEncoder<'_>) -> fmt::Result {
        Ok(())
    }
}

/// What was asked of the API, of Jaeger's, or for a page. By the template of the route: the path may name somebody.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Route {
    /// Such as `/api/v1/traces/{trace_id}`; `none` where there is nothing.
    pub(super) route: String,
}

/// What became of that.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Asked {
    /// As for [`Route`].
    pub(super) route: String,
    /// `1xx` to `5xx`.
    pub(super) status: &'static str,
}

/// Why nothing is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Refusing {
    /// A word of [`Unready`].
    pub(super) reason: &'static str,
}

/// Why not all of a trace was there when it was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Lost {
    /// `lost`: it never came, or was dropped by who sent it. `early`: it was judged before all of it had time to come, which is a bound
    /// of ours.
    pub(super) cause: &'static str,
}

/// Labels as OpenTelemetry has them.
pub(crate) trait Attributes:
    EncodeLabelSet + Clone + Eq + Hash + Debug + Send + Sync + 'static
{
    fn attributes(&self) -> Vec<KeyValue>;
}

/// Labels of which every set that there can be is known.
pub(super) trait Closed: Attributes {
    fn all() -> Vec<Self>;
}

impl Attributes for Alone {
    fn attributes(&self) -> Vec<KeyValue> {
        Vec::new()
    }
}

impl Attributes for Route {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("route", self.route.clone())]
    }
}

impl Attributes for Asked {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("route", self.route.clone()), KeyValue::new("status", self.status)]
    }
}

impl Closed for Refusing {
    fn all() -> Vec<Self> {
        Unready::ALL.map(|unready| Self { reason: unready.as_str() }).to_vec()
    }
}

impl Attributes for Refusing {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("reason", self.reason)]
    }
}

impl Closed for Lost {
    fn all() -> Vec<Self> {
        ["lost", "early"].map(|cause| Self { cause }).to_vec()
    }
}

impl Attributes for Lost {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("cause", self.cause)]
    }
}

impl Closed for By {
    fn all() -> Vec<Self> {
        PROTOCOLS.map(|protocol| Self { protocol }).to_vec()
    }
}

impl Attributes for By {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("protocol", self.protocol)]
    }
}

impl Closed for Ended {
    fn all() -> Vec<Self> {
        let of = |protocol| RESULTS.map(|result| Self { protocol, result });
        PROTOCOLS.into_iter().flat_map(of).collect()
    }
}

impl Attributes for Ended {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("protocol", self.protocol), KeyValue::new("result", self.result)]
    }
}

impl Closed for Forwarded {
    fn all() -> Vec<Self> {
        ["sent", "failed", "left_out"].map(|result| Self { result }).to_vec()
    }
}

impl Attributes for Forwarded {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("result", self.result)]
    }
}

impl Closed for Alerted {
    fn all() -> Vec<Self> {
        let of = |to| ["sent", "refused", "failed", "missed"].map(|result| Self { to, result });
        ["alertmanager", "webhook"].into_iter().flat_map(of).collect()
    }
}

impl Attributes for Alerted {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("to", self.to), KeyValue::new("result", self.result)]
    }
}

impl Closed for Judged {
    fn all() -> Vec<Self> {
        WINDOWS.map(|what| Self { what }).to_vec()
    }
}

impl Attributes for Judged {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("what", self.what)]
    }
}

impl Closed for Of {
    fn all() -> Vec<Self> {
        OF.map(|of| Self { of }).to_vec()
    }
}

impl Attributes for Of {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("of", self.of)]
    }
}

impl Closed for Kind {
    fn all() -> Vec<Self> {
        let of = |rule: Rule| {
            Severity::ALL.map(|severity| Self { rule: rule.as_str(), severity: severity.as_str() })
        };
        Rule::ALL.iter().copied().flat_map(of).collect()
    }
}

impl Attributes for Kind {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("rule", self.rule), KeyValue::new("severity", self.severity)]
    }
}

impl Closed for Open {
    fn all() -> Vec<Self> {
        Severity::ALL.map(|severity| Self { severity: severity.as_str() }).to_vec()
    }
}

impl Attributes for Open {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("severity", self.severity)]
    }
}

impl Closed for Reloaded {
    fn all() -> Vec<Self> {
        let of = |what| ["ok", "failed"].map(|result| Self { what, result });
        ["certificates", "senders", "access", "rules"].into_iter().flat_map(of).collect()
    }
}

impl Attributes for Reloaded {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![KeyValue::new("what", self.what), KeyValue::new("result", self.result)]
    }
}

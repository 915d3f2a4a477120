//! What a receiver hands on, and what it may answer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::health::Unready;

/// How the spans of a delivery are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// `ExportTraceServiceRequest` in protobuf.
    OtlpProtobuf,
    /// The same in JSON.
    OtlpJson,
    /// A list of Zipkin v2 spans in JSON.
    ZipkinJson,
    /// The same, `ListOfSpans`, in protobuf.
    ZipkinProtobuf,
}

/// One request's spans as received: decompressed, not yet looked at.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    /// How they are written.
    pub(crate) encoding: Encoding,
    /// The bytes. The memory budget has them back when the last slice of them is dropped.
    pub(crate) body: Bytes,
    /// Who sent them.
    pub(crate) sender: Sender,
}

/// Who sent it, and for which services it may speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Nobody proved anything.
    Unauthenticated,
    /// By its certificate or by a token.
    Authenticated(Arc<SenderId>),
}

/// A sender that the configuration knows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SenderId {
    /// Its name in the configuration.
    pub(crate) name: String,
    /// The services whose spans it may send.
    pub(crate) may_speak_for: Vec<ServicePattern>,
}

/// A `service.name`, or the beginning of one followed by `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServicePattern(String);

impl ServicePattern {
    /// Reads a pattern. `None` if it is empty, or if a `*` stands anywhere but at the end.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let head = text.strip_suffix('*').unwrap_or(text);
        (!text.is_empty() && !head.contains('*')).then(|| Self(text.to_owned()))
    }

    /// Whether it is a pattern of this service.
    pub(crate) fn matches(&self, service_name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(head) => service_name.starts_with(head),
            None => self.0 == service_name,
        }
    }
}

/// What became of a delivery that is durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Spans taken.
    pub(crate) spans: u64,
    /// Spans that could not be.
    pub(crate) rejected: u64,
    /// Why not, or what else the sender should know.
    pub(crate) reason: Option<String>,
}

/// Why a delivery was not taken. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is not what its encoding says. It would be the same another time.
    Malformed(String),
    /// Too much is on its way.
    Overloaded {
        /// When to send it again.
        retry_after: Duration,
    },
    /// It could not be written.
    DiskFull {
        /// When to send it again.
        retry_after: Duration,
    },
    /// Nothing more is taken.
    Stopping,
    /// It could not be kept, for a reason that is ours.
    Failed,
}

/// Whoever keeps what is received.
///
/// `Ok` means durable. A future that is dropped before its end says nothing: the delivery may be kept or not, and is sent
/// again by the client, as OTLP allows.
pub(crate) trait Accept: Send + Sync + 'static {
    /// Takes a delivery, all of it or nothing.
    fn accept(&self, delivery: Delivery) -> impl Future<Output = Result<Accepted, Refused>> + Send;

    /// Why no delivery would be taken now, whatever is in it. Empty where there is no reason.
    fn unready(&self) -> Vec<Unready>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, service, matches) in [
            ("shop", "shop", true),
            ("shop", "shop-2", false),
            ("shop-*", "shop-2", true),
            ("shop-*", "shop", false),
            ("*", "anything", true),
            ("*", "", true),
        ] {
            assert_eq!(ServicePattern::parse(pattern).expect("one").matches(service), matches, "{pattern}");
        }
        for none in ["", "a*b", "*a", "**"] {
            assert_eq!(ServicePattern::parse(none), None, "{none}");
        }
    }
}

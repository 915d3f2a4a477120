//! Hops: where a call or a message crosses into a service.

mod build;
mod index;
mod operation;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use build::Hops;
pub(crate) use build::is_own_work;
pub use operation::path_of;
pub(crate) use operation::{operation as operation_of, path};

use crate::record::{Service, Span};
use crate::sink::{SpanId, TraceId};
use crate::trace::SpanIx;
use crate::who::Identity;

/// Index of a hop in its [`Hops`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HopIx(pub(crate) u32);

impl HopIx {
    pub(crate) const fn get(self) -> usize {
        self.0 as usize
    }
}

/// How the crossing was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HopKind {
    /// The first crossing of a trace.
    Entry,
    /// A call.
    Rpc,
    /// A message.
    Messaging,
    /// No crossing at all: work that begins without an entry span, such as a client's own root span. It can
    /// call and show an identity, and is never judged or counted.
    Origin,
}

impl HopKind {
    /// The word of the outputs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Rpc => "rpc",
            Self::Messaging => "messaging",
            Self::Origin => "origin",
        }
    }
}

/// How the crossing ended, as far as its entry span tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// A success was reported (HTTP 2xx or 3xx, RPC status 0, status OK).
    Succeeded,
    /// Turned away: HTTP 4xx, or an RPC status that blames the caller.
    Rejected,
    /// An error of the service itself.
    Failed,
    /// Nothing was reported. Spans without status are mostly successes.
    Unknown,
}

impl Outcome {
    /// Whether nothing speaks against a success.
    #[must_use]
    pub const fn may_have_succeeded(self) -> bool {
        matches!(self, Self::Succeeded | Self::Unknown)
    }
}

/// A producer that a consumer's span links to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopLink {
    /// The linked trace.
    pub trace_id: TraceId,
    /// The linked span.
    pub span_id: SpanId,
    /// The hop whose frame holds that span, when it is in this trace.
    pub hop: Option<HopIx>,
}

/// One crossing into a service in one trace.
#[derive(Debug, Clone)]
pub struct Hop<'t> {
    /// Its index.
    pub ix: HopIx,
    /// How it was made.
    pub kind: HopKind,
    /// The entry span.
    pub entry: SpanIx,
    /// Who was called.
    pub service: Service<'t>,
    /// What was called: `GET /orders/{id}`, `shop.Orders/Get`, `process orders`, or the span's name.
    pub operation: Cow<'t, str>,
    /// The span that led here: the caller's exit span, or any span of the caller where there is none.
    pub exit: Option<SpanIx>,
    /// The hop (or origin) whose frame holds [`exit`](Self::exit).
    pub caller: Option<HopIx>,
    /// The nearest hop (or origin) further up that names a principal.
    pub named_above: Option<HopIx>,
    /// Whether a caller is named but its span is not there.
    pub caller_missing: bool,
    /// Proxies passed on the way, nearest the caller first.
    pub via: Vec<&'t str>,
    /// Producers linked to.
    pub links: Vec<HopLink>,
    /// How it ended.
    pub outcome: Outcome,
    /// Whose identity it was.
    pub identity: Identity<'t>,
    /// Crossings above it in this trace.
    pub depth: u32,
}

/// Whether a proxy's own instrumentation made this span.
pub(crate) fn is_proxy(span: &Span<'_>) -> bool {
    use crate::field::Field;
    const PROXIES: [&str; 7] = ["proxy", "envoy", "nginx", "ingress-nginx", "haproxy", "traefik", "linkerd"];
    span.has(Field::ProxyNode) || span.get(Field::Component).is_some_and(|name| PROXIES.contains(&name))
}

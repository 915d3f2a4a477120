//! What was found, and how sure we are.

use std::collections::BTreeMap;

use hopseal_identity::{Actor, Kind};
use sha2::Digest as _;

use crate::record::Service;
use crate::rule::Rule;
use crate::sink::{SpanId, TraceId};
use crate::who::Principal;

/// How much a finding matters. Ordered, the gravest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// To be known, nothing to be done.
    Info,
    /// Worth a look.
    Low,
    /// To be mended.
    Medium,
    /// To be mended now.
    High,
}

impl Severity {
    /// Every one, the least first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Low, Self::Medium, Self::High];

    /// The word of the outputs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// Reads the word back; `None` for any other.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Info, Self::Low, Self::Medium, Self::High].into_iter().find(|s| s.as_str() == word)
    }
}

/// How sure a finding is. Ordered, the surest last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// A place to look.
    Hint,
    /// Something else could explain it; `why_not_sure` says what.
    Likely,
    /// The spans at hand leave no other reading.
    Certain,
}

impl Confidence {
    /// The word of the outputs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hint => "hint",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

/// 128 bits of SHA-256: the same finding has the same id in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FindingId(pub [u8; 16]);

impl FindingId {
    /// The id over parts, each length-prefixed so that no two lists of parts collide.
    #[must_use]
    pub fn over(parts: &[&[u8]]) -> Self {
        let mut hasher = sha2::Sha256::new();
        hasher.update(b"hopseal-finding-1");
        for part in parts {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let digest: [u8; 32] = hasher.finalize().into();
        Self(digest.first_chunk().copied().unwrap_or_default())
    }
}

impl std::fmt::Display for FindingId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A principal as findings and hops show it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Who {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub kind: Kind,
    /// Its issuer.
    pub issuer: Option<String>,
    /// Its tenant.
    pub tenant: Option<String>,
    /// Its actors, outermost first.
    pub actors: Vec<OwnedActor>,
}

/// One actor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnedActor {
    /// Its id.
    pub id: String,
    /// Its kind; a service where none is written.
    pub kind: Kind,
}

impl From<&Principal<'_>> for Who {
    fn from(principal: &Principal<'_>) -> Self {
        let actor = |actor: &Actor<'_>| OwnedActor {
            id: actor.id.to_owned(),
            kind: actor.kind.unwrap_or(Kind::Service),
        };
        Self {
            id: principal.id.to_owned(),
            kind: principal.kind,
            issuer: principal.issuer.map(str::to_owned),
            tenant: principal.tenant.map(str::to_owned),
            actors: principal.actors.iter().map(actor).collect(),
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its id, the same in every run over the same spans.
    pub id: FindingId,
    /// Its group: the same rule, edge, operation and kind of principal.
    pub group_id: FindingId,
    /// Which rule.
    pub rule: Rule,
    /// How much it matters.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// The trace, unless it is about many.
    pub trace_id: Option<TraceId>,
    /// The hop's entry span, or the span it is about.
    pub span_id: Option<SpanId>,
    /// The calling service.
    pub caller: Option<String>,
    /// The service it is about.
    pub service: String,
    /// The operation it is about.
    pub operation: String,
    /// The identity before the hop.
    pub before: Option<Who>,
    /// The identity at the hop.
    pub here: Option<Who>,
    /// What else could explain it.
    pub why_not_sure: Vec<String>,
    /// One sentence. Never names a principal: messages travel to places that must not know them.
    pub message: String,
    /// The facts it rests on.
    pub evidence: BTreeMap<&'static str, String>,
    /// What to do about it.
    pub fix: String,
    /// Nanoseconds since the Unix epoch at which the hop began; 0 when not known.
    pub at: u64,
    /// What it has in common with those of other windows that are of the same thing; `None` where windows are none of its business.
    pub series: Option<FindingId>,
}

/// What a finding is about: two findings of one rule on one subject with one discriminator are one.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A span of a trace; `server` tells the sides of a shared span id apart.
    Span {
        /// The trace.
        trace_id: TraceId,
        /// The span.
        span_id: SpanId,
        /// Whether it is the receiving side.
        server: bool,
    },
    /// A whole trace.
    Trace(TraceId),
    /// An operation over a window of event time.
    Operation {
        /// The service.
        service: Service<'a>,
        /// The operation.
        operation: &'a str,
        /// Start of the window, nanoseconds since the Unix epoch.
        window: u64,
    },
}

impl Subject<'_> {
    /// The id of the finding of `rule` about this.
    #[must_use]
    pub fn finding_id(&self, rule: Rule, discriminator: &str) -> FindingId {
        let rule = rule.as_str().as_bytes();
        let discriminator = discriminator.as_bytes();
        match self {
            Self::Span { trace_id, span_id, server } => FindingId::over(&[
                rule,
                b"span",
                &trace_id.0,
                &span_id.0,
                &[u8::from(*server)],
                discriminator,
            ]),
            Self::Trace(trace_id) => FindingId::over(&[rule, b"trace", &trace_id.0, discriminator]),
            Self::Operation { service, operation, window } => FindingId::over(&[
                rule,
                b"operation",
                service.namespace.as_bytes(),
                service.name.as_bytes(),
                service.environment.as_bytes(),
                operation.as_bytes(),
                &window.to_le_bytes(),
                discriminator,
            ]),
        }
    }

    /// The id of what stays the same from window to window.
    fn series(&self, rule: Rule, discriminator: &str) -> Option<FindingId> {
        match self {
            Self::Operation { window: 0, .. } | Self::Span { .. } | Self::Trace(_) => None,
            Self::Operation { service, operation, .. } => Some(FindingId::over(&[
                rule.as_str().as_bytes(),
                b"series",
                service.namespace.as_bytes(),
                service.name.as_bytes(),
                service.environment.as_bytes(),
                operation.as_bytes(),
                discriminator.as_bytes(),
            ])),
        }
    }
}

impl Finding {
    /// A finding of `rule` about `subject` with the rule's own severity, certain until told otherwise.
    #[must_use]
    pub fn new(rule: Rule, subject: Subject<'_>, discriminator: &str) -> Self {
        let (trace_id, span_id) = match subject {
            Subject::Span { trace_id, span_id, .. } => (Some(trace_id), Some(span_id)),
            Subject::Trace(trace_id) => (Some(trace_id), None),
            Subject::Operation { .. } => (None, None),
        };
        let spec = rule.spec();
        Self {
            id: subject.finding_id(rule, discriminator),
            group_id: FindingId([0; 16]),
            rule,
            severity: spec.severity,
            confidence: Confidence::Certain,
            trace_id,
            span_id,
            caller: None,
            service: String::new(),
            operation: String::new(),
            before: None,
            here: None,
            why_not_sure: Vec::new(),
            message: String::new(),
            evidence: BTreeMap::new(),
            fix: spec.fix.to_owned(),
            at: 0,
            series: subject.series(rule, discriminator),
        }
    }

    /// Says what was found, in one sentence that names no principal.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Adds a fact it rests on.
    #[must_use]
    pub fn evidence(mut self, name: &'static str, fact: impl Into<String>) -> Self {
        self.evidence.insert(name, fact.into());
        self
    }

    /// Another reading is possible: no surer than `confidence` from here on.
    #[must_use]
    pub fn unsure(mut self, confidence: Confidence, why: impl Into<String>) -> Self {
        self.confidence = self.confidence.min(confidence);
        self.why_not_sure.push(why.into());
        self
    }

    /// Weighs `severity` instead of the rule's own.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The identity before the hop.
    #[must_use]
    pub fn before(mut self, principal: Option<&Principal<'_>>) -> Self {
        self.before = principal.map(Who::from);
        self
    }

    /// The identity at the hop.
    #[must_use]
    pub fn here(mut self, principal: Option<&Principal<'_>>) -> Self {
        self.here = principal.map(Who::from);
        self
    }

    /// Settles the group from what the finding now says.
    #[must_use]
    pub fn grouped(mut self) -> Self {
        let kind = self.before.as_ref().or(self.here.as_ref()).map_or("", |who| who.kind.as_str());
        self.group_id = FindingId::over(&[
            self.rule.as_str().as_bytes(),
            b"group",
            self.caller.as_deref().unwrap_or("").as_bytes(),
            self.service.as_bytes(),
            self.operation.as_bytes(),
            kind.as_bytes(),
        ]);
        self
    }
}

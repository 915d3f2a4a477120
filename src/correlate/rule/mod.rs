//! The rules: one file each, one pure function and its table test in it.

mod agent;
mod agent_uses_own_authority;
mod agent_without_principal;
mod anonymous_write;
mod async_identity_gap;
mod audit_gap;
mod baggage;
mod baggage_tampered;
pub(crate) mod blind_hop;
mod broken_context;
mod chain_broken;
mod coverage_regression;
mod credential_in_telemetry;
mod cross_tenant;
mod delegation_amplified;
mod edge_bypass;
mod expired_at_hop;
mod fan_in_ambiguity;
mod granted;
mod id_shape;
mod identity_conflict;
mod identity_dropped;
mod identity_leaked_out;
mod identity_over_plaintext;
mod identity_swapped;
mod late_establishment;
pub(crate) mod named;
mod never_established;
mod no_validation_edge;
mod optional_auth_endpoint;
mod premature_or_future;
mod raw_pii_identity;
mod refused_but_served;
mod replay_across_traces;
mod scope_escalation;
mod session_multi_principal;
pub(crate) mod sign_in;
mod source_spoof;
mod transplanted_identity;
mod unauthenticated_endpoint;
mod unverified_identity;
mod user_to_service;
mod weak_verification;
mod workload_mismatch;
pub(crate) mod writes;

pub use audit_gap::DUPLICATES;

use crate::across::{Found, View};
use crate::catalogue::{Capability, Catalogue};
use crate::dialect::Dialects;
use crate::field::Field;
use crate::finding::{Finding, Severity, Subject};
use crate::hop::{Hop, HopLink, Hops};
use crate::policy::Policy;
use crate::record::Span;
use crate::sink::SpanKind;
use crate::survey::{Linked, Sender};
use crate::trace::{SpanIx, Trace};
use crate::validation::Validating;

/// What a rule may look at.
#[derive(Debug, Clone, Copy)]
pub struct Cx<'a> {
    /// The trace.
    pub trace: &'a Trace<'a>,
    /// Its hops.
    pub hops: &'a Hops<'a>,
    /// Which services ever show an identity.
    pub catalogue: &'a Catalogue,
    /// Who made the spans that traces link to.
    pub linked: &'a Linked,
    /// Which services were seen to have credentials validated.
    pub validating: &'a Validating,
    /// What the user has declared.
    pub policy: &'a Policy,
    /// What attribute keys mean.
    pub dialects: &'a Dialects,
}

impl<'a> Cx<'a> {
    /// The entry span of a hop.
    #[must_use]
    pub fn entry(&self, hop: &Hop<'_>) -> &'a Span<'a> {
        self.trace.span(hop.entry)
    }

    /// The spans of a hop's frame, the entry span first.
    pub fn frame(&self, hop: &Hop<'_>) -> impl Iterator<Item = &'a Span<'a>> + use<'a> {
        let trace = self.trace;
        self.hops.frame(hop.ix).iter().map(move |ix| trace.span(*ix))
    }

    /// The first text of `field` in a hop's frame.
    #[must_use]
    pub fn frame_get(&self, hop: &Hop<'_>, field: Field) -> Option<&'a str> {
        if !self.trace.has_any(field.bit()) {
            return None;
        }
        self.frame(hop).find_map(|span| span.get(field))
    }

    /// The first span of a hop's frame that has any field of the mask. Mostly none of the trace has.
    #[inline]
    pub(crate) fn first_with(&self, hop: &Hop<'_>, mask: u128) -> Option<&'a Span<'a>> {
        if !self.trace.has_any(mask) {
            return None;
        }
        self.frame(hop).find(|span| span.has_any(mask))
    }

    /// The hop, or origin, that called.
    #[must_use]
    pub fn caller(&self, hop: &Hop<'_>) -> Option<&'a Hop<'a>> {
        hop.caller.map(|ix| self.hops.get(ix))
    }

    /// The caller, its caller, and so on up.
    pub fn ancestors(&self, hop: &Hop<'_>) -> impl Iterator<Item = &'a Hop<'a>> + use<'a> {
        let hops = self.hops;
        std::iter::successors(hop.caller.map(|ix| hops.get(ix)), |hop| hop.caller.map(|ix| hops.get(ix)))
    }

    /// The nearest ancestor that names a principal.
    #[must_use]
    pub fn nearest_identified(&self, hop: &Hop<'_>) -> Option<&'a Hop<'a>> {
        hop.named_above.map(|ix| self.hops.get(ix))
    }

    /// Who made the span that a hop links to, in this trace or another; `None` when that span was not seen.
    #[must_use]
    pub fn sender(&self, link: &HopLink) -> Option<Sender<'a>> {
        self.linked.sender(self.trace, self.hops, link)
    }

    /// What the catalogue says of a hop's service. A hop with an identity shows it itself, so that no verdict on
    /// it rests on other traces.
    #[must_use]
    pub fn capability(&self, hop: &Hop<'_>) -> Capability {
        if hop.identity.assurance.is_identified() {
            return Capability::Operation;
        }
        self.catalogue.capability(hop.service, &hop.operation)
    }

    /// A finding of `rule` about a hop, with its edge, operation, identity and time filled in.
    #[must_use]
    pub fn finding(&self, rule: Rule, hop: &Hop<'_>) -> Finding {
        self.finding_of(rule, hop, "")
    }

    /// The same with a discriminator, where one hop can have several findings of one rule.
    #[must_use]
    pub fn finding_of(&self, rule: Rule, hop: &Hop<'_>, discriminator: &str) -> Finding {
        let caller = self.caller(hop);
        let mut finding = self
            .finding_at(rule, hop.entry, discriminator)
            .here(hop.identity.principal.as_ref())
            .before(caller.and_then(|caller| caller.identity.principal.as_ref()));
        finding.caller = caller.map(|caller| caller.service.name.to_owned());
        finding.operation = hop.operation.clone().into_owned();
        finding
    }

    /// A finding of `rule` about a span that need not begin a hop.
    #[must_use]
    pub fn finding_at(&self, rule: Rule, ix: SpanIx, discriminator: &str) -> Finding {
        let span = self.trace.span(ix);
        let subject = Subject::Span {
            trace_id: self.trace.id,
            span_id: span.id,
            server: matches!(span.kind, SpanKind::Server | SpanKind::Consumer),
        };
        let mut finding = Finding::new(rule, subject, discriminator);
        finding.service = span.service.name.to_owned();
        finding.operation = span.name.to_owned();
        finding.at = span.start;
        finding
    }
}

/// Name of the evidence that the policy declares what was found; its text names the key of the policy.
pub(crate) const DECLARED: &str = "declared";

/// Name of the evidence that the trace itself makes it lawful; its text says what does.
pub(crate) const EXPLAINED: &str = "explained_by";

/// A way a finding of a rule can be quieted besides the policy's own conditions; see `suppress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quiet {
    /// A static file.
    Static,
    /// Health, readiness, metrics, `OPTIONS`.
    Health,
    /// A route that the policy (or an imported OpenAPI description) declares public, or that is public by
    /// nature: login, OAuth callbacks, JWKS, robots.
    Public,
    /// A service principal that the policy allows on this edge.
    ServicePrincipal,
    /// The request was turned away.
    Rejected,
    /// A failed attempt whose retry succeeded.
    Retry,
    /// A message that a broker and its clients send one another.
    SystemTopic,
    /// What the rule misses may stand on a span that lost its place in the trace, or that is on its way. Where it may
    /// have been lost altogether the finding is no more than likely.
    Incomplete,
    /// A route on which strangers write by nature: the cart of whoever asks, telemetry.
    OpenWrite,
    /// The policy declares it, as the rule found out: its finding has the evidence [`DECLARED`].
    Declared,
    /// The trace itself makes it lawful, as the rule found out: its finding has the evidence [`EXPLAINED`].
    Explained,
}

impl Quiet {
    /// What it quiets, and the reason it is listed under, for people.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Static => "static files (`static`)",
            Self::Health => "health and metrics routes, `OPTIONS` (`health`)",
            Self::Public => "login, OAuth callbacks, JWKS, webhooks, and routes declared public (`public`)",
            Self::ServicePrincipal => "clients declared for the edge (`service_principal`)",
            Self::Rejected => "requests that were turned away (`rejected`)",
            Self::Retry => "failed attempts whose retry succeeded (`retry`)",
            Self::SystemTopic => "messages that a broker and its clients send one another (`system_topic`)",
            Self::Incomplete => {
                "hops whose evidence may stand on a span that lost its place, or is on its way (`incomplete`)"
            }
            Self::OpenWrite => "routes on which strangers write by nature: carts, telemetry (`open_write`)",
            Self::Declared => "what the policy declares (`declared`)",
            Self::Explained => {
                "what a login, a token exchange or an actor in the trace makes lawful (`explained`)"
            }
        }
    }
}

/// What a rule needs to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Standard spans of any language.
    Spans,
    /// Some identity attribute, through the dialect map.
    Identity,
    /// Mesh, proxy or framework attributes.
    Mesh,
    /// The attributes of the crate `hopseal`.
    Crate,
}

/// How a rule is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Check {
    /// Of each hop.
    Hop(fn(&Cx<'_>, &Hop<'_>, &mut Vec<Finding>)),
    /// Of each trace.
    Trace(fn(&Cx<'_>, &mut Vec<Finding>)),
    /// Of what was gathered from all traces.
    Across(fn(&View<'_>, &mut Vec<Found>)),
    /// Of each trace, and of what was gathered from all.
    Both(fn(&Cx<'_>, &mut Vec<Finding>), fn(&View<'_>, &mut Vec<Found>)),
}

/// A rule as its file declares it.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Its number in the list of rules, `F01` and on.
    pub number: &'static str,
    /// What it weighs unless the policy says otherwise.
    pub severity: Severity,
    /// What it needs to speak.
    pub needs: Needs,
    /// When it holds, in plain words.
    pub meaning: &'static str,
    /// What to do about a finding.
    pub fix: &'static str,
    /// How to quiet it where it is no fault.
    pub quieting: &'static str,
    /// Where the weakness is catalogued: OWASP API Security 2023, CWE, MITRE ATT&CK, NIST SP 800-204.
    pub maps: &'static [&'static str],
    /// What quiets it.
    pub quiet: &'static [Quiet],
    pub(crate) check: Check,
}

macro_rules! rules {
    ($($name:ident = $module:ident;)+) => {
        /// The rules.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = concat!("`", stringify!($module), "`")] $name,)+
        }

        impl Rule {
            /// Every rule, by number.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Every name, in the same order.
            pub(crate) const NAMES: &[&'static str] = &[$(stringify!($module)),+];

            /// Its name, as every output writes it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($module),)+ }
            }

            /// Its declaration.
            #[must_use]
            pub const fn spec(self) -> &'static Spec {
                match self { $(Self::$name => &$module::SPEC,)+ }
            }
        }
    };
}

rules! {
    IdentityDropped = identity_dropped;
    NeverEstablished = never_established;
    LateEstablishment = late_establishment;
    IdentitySwapped = identity_swapped;
    UserToService = user_to_service;
    ChainBroken = chain_broken;
    UnverifiedIdentity = unverified_identity;
    BaggageTampered = baggage_tampered;
    IdentityConflict = identity_conflict;
    ExpiredAtHop = expired_at_hop;
    PrematureOrFuture = premature_or_future;
    WeakVerification = weak_verification;
    ReplayAcrossTraces = replay_across_traces;
    TransplantedIdentity = transplanted_identity;
    CrossTenant = cross_tenant;
    ScopeEscalation = scope_escalation;
    IdentityLeakedOut = identity_leaked_out;
    CredentialInTelemetry = credential_in_telemetry;
    RawPiiIdentity = raw_pii_identity;
    BlindHop = blind_hop;
    BrokenContext = broken_context;
    AsyncIdentityGap = async_identity_gap;
    FanInAmbiguity = fan_in_ambiguity;
    UnauthenticatedEndpoint = unauthenticated_endpoint;
    OptionalAuthEndpoint = optional_auth_endpoint;
    EdgeBypass = edge_bypass;
    WorkloadMismatch = workload_mismatch;
    NoValidationEdge = no_validation_edge;
    AnonymousWrite = anonymous_write;
    AgentWithoutPrincipal = agent_without_principal;
    AgentUsesOwnAuthority = agent_uses_own_authority;
    DelegationAmplified = delegation_amplified;
    SessionMultiPrincipal = session_multi_principal;
    SourceSpoof = source_spoof;
    CoverageRegression = coverage_regression;
    AuditGap = audit_gap;
    RefusedButServed = refused_but_served;
    IdentityOverPlaintext = identity_over_plaintext;
}

impl Rule {
    /// The rule of that name; `None` for any other.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.as_str() == name)
    }
}

/// Asks every rule that the policy has not switched off about one trace.
pub(crate) fn ask(cx: &Cx<'_>, found: &mut Vec<Finding>) {
    for rule in Rule::ALL {
        if cx.policy.is_off(*rule) {
            continue;
        }
        match rule.spec().check {
            Check::Hop(check) => cx.hops.iter().for_each(|hop| check(cx, hop, found)),
            Check::Trace(check) | Check::Both(check, _) => check(cx, found),
            Check::Across(_) => {}
        }
    }
}

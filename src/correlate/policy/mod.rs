//! What the user declares: resolved and ready to be asked.
//!
//! Everything has a useful default: [`Policy::default`] is what runs without a policy file.
//!
//! ```text
//! YAML --parse--> PolicyFile --resolve(OpenAPI texts)--> Policy --asked by--> rules, suppress, judge
//! ```
//!
//! A [`PolicyFile`] is text with places; a [`Policy`] is compiled. Whatever is wrong is said at that step, with line
//! and column; asking a policy cannot fail.

mod condition;
mod date;
mod error;
pub mod file;
mod openapi;
mod pattern;
mod resolve;
mod route;

use std::collections::{BTreeMap, BTreeSet};

use hopseal_identity::Assurance;

use condition::Conditions;
pub use condition::Unevaluated;
pub use date::{Date, nanos};
pub use error::{Place, PolicyError};
pub use file::PolicyFile;

use crate::dialect::Dialect;
use crate::field::Field;
use crate::finding::{Finding, Severity};
use crate::hop::Hop;
use crate::record::{Service, Span};
use crate::rule::{Cx, Rule};
pub(crate) use pattern::is_inside;
use pattern::{Glob, Hosts, Names, ServicePattern, Services};
use route::RoutePattern;
pub(crate) use route::{READS, is_ambiguous};

/// A resolved policy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Rules that are not asked.
    pub off: BTreeSet<Rule>,
    /// Severities other than the rules' own.
    pub severities: BTreeMap<Rule, Severity>,
    /// Limits that rules compare with.
    pub thresholds: Thresholds,
    /// Dialects besides the built-in ones.
    pub dialects: Vec<Dialect>,
    public: Vec<RouteSet>,
    health: Vec<RouteSet>,
    clients: Vec<Client>,
    proxies: Services,
    vouching: Vec<Vouching>,
    shared_tenants: Names,
    tenant_spellings: Vec<(Field, Glob, Glob)>,
    destinations: Hosts,
    declares_destinations: bool,
    required: Vec<(ServicePattern, Option<Glob>, Assurance)>,
    pseudonymous: Services,
    workloads: Vec<(ServicePattern, Glob)>,
    mesh: Services,
    introspecting: Services,
    audiences: Vec<(ServicePattern, Vec<String>)>,
    algorithms: BTreeSet<String>,
    aliases: Vec<(Option<String>, BTreeSet<String>)>,
    shared_sessions: Vec<(Option<ServicePattern>, Option<Glob>)>,
    autonomous_agents: Names,
    owned_tools: Names,
    aggregated_topics: Names,
    not_credentials: Names,
    conditions: Conditions,
}

/// Limits that rules compare with.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Thresholds {
    /// Clock difference between two services that is never held against a credential, in nanoseconds, on top of
    /// the skew estimated from the spans. Default [`CLOCK_SKEW`](hopseal_identity::CLOCK_SKEW), 60 s.
    pub skew: u64,
    /// Delegation chains longer than this are broken. Default 4.
    pub max_actors: usize,
    /// Successes without identity before an endpoint counts as unauthenticated. Default 5.
    pub min_requests: u64,
    /// Window of event time for rules over many traces, in nanoseconds. Default 1 h.
    pub window: u64,
    /// Fall of coverage that is a regression, as a share. Default 0.1.
    pub coverage_drop: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            skew: hopseal_identity::CLOCK_SKEW * 1_000_000_000,
            max_actors: 4,
            min_requests: 5,
            window: 3_600_000_000_000,
            coverage_drop: 0.1,
        }
    }
}

/// Routes of one service, or of all, up to a date.
#[derive(Debug, Clone)]
struct RouteSet {
    service: Option<ServicePattern>,
    routes: Vec<RoutePattern>,
    expires: Option<Date>,
}

/// A client that may act for itself on an edge.
#[derive(Debug, Clone)]
struct Client {
    client: Glob,
    caller: Option<ServicePattern>,
    service: ServicePattern,
    expires: Date,
}

/// Spans that may vouch for an identity.
#[derive(Debug, Clone)]
struct Vouching {
    service: Option<ServicePattern>,
    component: Option<Glob>,
    node: Option<Glob>,
    attributes: Names,
}

/// What a declaration says of a request at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// Nothing is declared.
    None,
    /// It held until that day, which was over.
    Expired(Date),
    /// It holds, until that day if there is one.
    Holds(Option<Date>),
}

impl Allowance {
    /// Whether it holds.
    #[must_use]
    pub const fn holds(self) -> bool {
        matches!(self, Self::Holds(_))
    }

    /// The best of declarations with those last days: one without end, else the one that ends last.
    fn of(expiries: impl Iterator<Item = Option<Date>>, at: u64) -> Self {
        let last = expiries.map(|expires| (expires.is_none(), expires)).max();
        match last {
            None => Self::None,
            Some((_, Some(date))) if date.is_over_at(at) => Self::Expired(date),
            Some((_, expires)) => Self::Holds(expires),
        }
    }
}

impl Policy {
    /// Whether a rule is switched off.
    #[must_use]
    pub fn is_off(&self, rule: Rule) -> bool {
        self.off.contains(&rule)
    }

    /// What a rule's findings weigh; `own` unless declared otherwise.
    #[must_use]
    pub fn severity(&self, rule: Rule, own: Severity) -> Severity {
        self.severities.get(&rule).copied().unwrap_or(own)
    }

    /// Whether everyone may call this route at that time (nanoseconds since the Unix epoch).
    #[must_use]
    pub fn public(&self, service: Service<'_>, method: Option<&str>, path: &str, at: u64) -> Allowance {
        allowance(&self.public, service, method, path, at)
    }

    /// Whether this route is declared a health route at that time.
    #[must_use]
    pub fn health(&self, service: Service<'_>, method: Option<&str>, path: &str, at: u64) -> Allowance {
        allowance(&self.health, service, method, path, at)
    }

    /// Whether a client may act for itself on this edge at that time (nanoseconds since the Unix epoch).
    #[must_use]
    pub fn client(
        &self,
        client: &str,
        caller: Option<Service<'_>>,
        service: Service<'_>,
        at: u64,
    ) -> Allowance {
        let is_caller = |pattern: &Option<ServicePattern>| match (pattern, caller) {
            (None, _) => true,
            (Some(pattern), Some(caller)) => pattern.matches(caller),
            (Some(_), None) => false,
        };
        let matching = self.clients.iter().filter(|allowed| {
            allowed.client.matches(client) && allowed.service.matches(service) && is_caller(&allowed.caller)
        });
        Allowance::of(matching.map(|allowed| Some(allowed.expires)), at)
    }

    /// Whether the service of this span is declared a proxy.
    #[must_use]
    pub fn is_proxy(&self, span: &Span<'_>) -> bool {
        !self.proxies.is_empty() && self.proxies.matches(span.service)
    }

    /// Whether this span may vouch for an identity by this attribute key.
    #[must_use]
    pub fn trusts_proxy(&self, span: &Span<'_>, key: &str) -> bool {
        self.vouching.iter().any(|vouching| {
            let has = |pattern: &Option<Glob>, field| match pattern {
                None => true,
                Some(pattern) => span.get(field).is_some_and(|text| pattern.matches(text)),
            };
            vouching.attributes.matches(key)
                && vouching.service.as_ref().is_none_or(|pattern| pattern.matches(span.service))
                && has(&vouching.component, Field::Component)
                && has(&vouching.node, Field::ProxyNode)
        })
    }

    /// Whether everyone may use resources of this tenant.
    #[must_use]
    pub fn is_shared_tenant(&self, tenant: &str) -> bool {
        self.shared_tenants.matches(tenant)
    }

    /// The tenant that the name of a resource spells: `field` is [`Field::DbNamespace`], [`Field::DbCollection`],
    /// [`Field::MessagingDestination`] or [`Field::Bucket`].
    ///
    /// The text before `{tenant}` ends where it first can, and what comes after begins where it last can: of
    /// `app_{tenant}_*` and `app_acme_eu_1` the tenant is `acme_eu`.
    #[must_use]
    pub fn tenant_of<'n>(&self, field: Field, name: &'n str) -> Option<&'n str> {
        let spelled = self.tenant_spellings.iter().filter(|(of, ..)| *of == field);
        spelled.filter_map(|(_, before, after)| pattern::between(before, after, name)).next()
    }

    /// Whether identity may go to this host: one of one's own, or a declared partner.
    #[must_use]
    pub fn trusts_destination(&self, host: &str) -> bool {
        is_inside(host) || self.destinations.matches(host)
    }

    /// Whether any destination is declared; where none is, a host outside is only likely a stranger.
    #[must_use]
    pub fn declares_destinations(&self) -> bool {
        self.declares_destinations
    }

    /// The least assurance that an operation asks for, if one is declared.
    #[must_use]
    pub fn required_assurance(&self, service: Service<'_>, operation: &str) -> Option<Assurance> {
        let asked = self.required.iter().filter(|(pattern, of, _)| {
            pattern.matches(service) && of.as_ref().is_none_or(|of| of.matches(operation))
        });
        asked.map(|(.., assurance)| *assurance).max()
    }

    /// Whether a service's spans must name people by pseudonym.
    #[must_use]
    pub fn is_pseudonymous(&self, service: Service<'_>) -> bool {
        self.pseudonymous.matches(service)
    }

    /// Whether a service is declared to run as this workload, a SPIFFE ID without its scheme; `None` where nothing is declared.
    #[must_use]
    pub fn runs_as(&self, service: Service<'_>, workload: &str) -> Option<bool> {
        let mut declared = self.workloads.iter().filter(|(pattern, _)| pattern.matches(service)).peekable();
        declared.peek()?;
        Some(declared.any(|(_, id)| id.matches(workload)))
    }

    /// Whether a mesh encrypts what reaches this service.
    #[must_use]
    pub fn is_in_mesh(&self, service: Service<'_>) -> bool {
        self.mesh.matches(service)
    }

    /// The audiences that a service accepts; `None` where none are declared.
    #[must_use]
    pub fn audiences(&self, service: Service<'_>) -> Option<&[String]> {
        let found = self.audiences.iter().find(|(pattern, _)| pattern.matches(service))?;
        Some(&found.1)
    }

    /// Whether an algorithm may verify a credential: one whose verifiers cannot sign, unless declared otherwise.
    #[must_use]
    pub fn allows_algorithm(&self, alg: &str) -> bool {
        self.algorithms.contains(alg)
    }

    /// Whether two ids are declared to be one principal, under that issuer (empty: not known).
    #[must_use]
    pub fn is_alias(&self, issuer: &str, a: &str, b: &str) -> bool {
        self.aliases.iter().any(|(of, ids)| {
            of.as_deref().is_none_or(|of| of == issuer) && ids.contains(a) && ids.contains(b)
        })
    }

    /// Whether one session may have several users here.
    #[must_use]
    pub fn shares_sessions(&self, service: Service<'_>, client: Option<&str>) -> bool {
        self.shared_sessions.iter().any(|(of, by)| {
            of.as_ref().is_none_or(|of| of.matches(service))
                && by.as_ref().is_none_or(|by| client.is_some_and(|client| by.matches(client)))
        })
    }

    /// Whether an agent, by its id or name, may act with no user behind it.
    #[must_use]
    pub fn is_autonomous_agent(&self, agent: &str) -> bool {
        self.autonomous_agents.matches(agent)
    }

    /// Whether a service asks the issuer about every credential, so that a request without such a call is odd.
    #[must_use]
    pub fn introspects(&self, service: Service<'_>) -> bool {
        self.introspecting.matches(service)
    }

    /// Whether an agent may use this tool by its own right.
    #[must_use]
    pub fn is_agent_owned(&self, tool: &str) -> bool {
        self.owned_tools.matches(tool)
    }

    /// Whether there are tools that an agent may use by its own right.
    #[must_use]
    pub fn has_agent_owned(&self) -> bool {
        !self.owned_tools.is_empty()
    }

    /// Whether consumers of this topic put messages of many principals together by design.
    #[must_use]
    pub fn aggregates(&self, topic: &str) -> bool {
        self.aggregated_topics.matches(topic)
    }

    /// Whether values under this attribute key only look like credentials.
    #[must_use]
    pub fn is_not_credential(&self, key: &str) -> bool {
        self.not_credentials.matches(key)
    }

    /// Whether a condition of the policy's `suppress` list quiets a finding. Conditions that cannot be evaluated
    /// quiet nothing and are noted.
    pub(crate) fn suppresses(
        &self,
        finding: &Finding,
        hop: Option<(&Cx<'_>, &Hop<'_>)>,
        notes: &mut Vec<Unevaluated>,
    ) -> Allowance {
        self.conditions.ask(finding, hop, notes)
    }
}

/// Whether a text is a route as a policy writes them, `[METHOD[,METHOD]] /path`.
#[must_use]
pub fn is_route(text: &str) -> bool {
    RoutePattern::new(text).is_ok()
}

fn allowance(
    sets: &[RouteSet],
    service: Service<'_>,
    method: Option<&str>,
    path: &str,
    at: u64,
) -> Allowance {
    let matching = sets.iter().filter(|set| {
        set.service.as_ref().is_none_or(|pattern| pattern.matches(service))
            && set.routes.iter().any(|route| route.matches(method, path))
    });
    Allowance::of(matching.map(|set| set.expires), at)
}

#[cfg(test)]
mod tests;

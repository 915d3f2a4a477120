//! From the file as it is written to the policy that is asked.

use std::collections::{BTreeMap, BTreeSet};

use hopseal_identity::Assurance;

use super::condition::Conditions;
use super::date::{self, Date};
use super::error::PolicyError;
use super::file::{
    AssuranceWord, At, OpenApi, PolicyFile, ResourceKind, Routes, ThresholdsFile, TrustedProxy,
};
use super::pattern::{Glob, Hosts, Names, ServicePattern, Services};
use super::route::RoutePattern;
use super::{Client, Policy, RouteSet, Thresholds, Vouching, openapi};
use crate::dialect::{Dialect, Dialects};
use crate::field::Field;

/// Algorithms whose verifiers cannot sign: RFC 7518, RFC 8037, RFC 9864, and PASETO's.
const ALGORITHMS: [&str; 13] = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
    "Ed448",
    "v4.public",
];

impl Default for Policy {
    fn default() -> Self {
        Self {
            off: BTreeSet::new(),
            severities: BTreeMap::new(),
            thresholds: Thresholds::default(),
            dialects: Vec::new(),
            public: Vec::new(),
            health: Vec::new(),
            clients: Vec::new(),
            proxies: Services::default(),
            vouching: Vec::new(),
            shared_tenants: Names::default(),
            tenant_spellings: Vec::new(),
            destinations: Hosts::default(),
            declares_destinations: false,
            required: Vec::new(),
            pseudonymous: Services::default(),
            workloads: Vec::new(),
            mesh: Services::default(),
            introspecting: Services::default(),
            audiences: Vec::new(),
            algorithms: ALGORITHMS.map(str::to_owned).into(),
            aliases: Vec::new(),
            shared_sessions: Vec::new(),
            autonomous_agents: Names::default(),
            owned_tools: Names::default(),
            aggregated_topics: Names::default(),
            not_credentials: Names::default(),
            conditions: Conditions::default(),
        }
    }
}

impl PolicyFile {
    /// Reads a policy file. An empty one declares nothing.
    ///
    /// ```
    /// # use hopseal_correlate::policy::PolicyFile;
    /// let error = PolicyFile::parse("public:\n  - rutes: [/]\n").unwrap_err();
    /// assert_eq!(error.to_string(), "line 2, column 5: there is no key `rutes`; did you mean `routes`?");
    /// ```
    ///
    /// # Errors
    /// [`PolicyError`] with the place of the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        Ok(serde_saphyr::from_str(text)?)
    }

    /// The OpenAPI descriptions that [`resolve_with`](Self::resolve_with) wants the text of.
    pub fn openapi_files(&self) -> impl Iterator<Item = &str> {
        self.openapi.iter().map(|import| import.file.value.as_str())
    }

    /// Compiles what is declared, where no OpenAPI description is.
    ///
    /// # Errors
    /// [`PolicyError`] with the place of the first value that cannot be used.
    pub fn resolve(&self) -> Result<Policy, PolicyError> {
        self.resolve_with(&BTreeMap::new())
    }

    /// Compiles what is declared. `descriptions` holds the text of each OpenAPI description by the name that the
    /// policy gives it, or why there is none.
    ///
    /// # Errors
    /// [`PolicyError`] with the place of the first value that cannot be used.
    pub fn resolve_with(
        &self,
        descriptions: &BTreeMap<String, Result<String, String>>,
    ) -> Result<Policy, PolicyError> {
        let mut policy = Policy { thresholds: thresholds(&self.thresholds)?, ..Policy::default() };
        for (name, setting) in &self.rules {
            if setting.enabled == Some(false) {
                policy.off.insert(name.0);
            }
            if let Some(severity) = setting.severity {
                policy.severities.insert(name.0, severity.into());
            }
        }
        policy.public = self.public.iter().map(route_set).collect::<Result<_, _>>()?;
        for import in &self.openapi {
            policy.public.push(imported(import, descriptions)?);
        }
        policy.health = self.health.iter().map(route_set).collect::<Result<_, _>>()?;
        for allowed in &self.service_principals {
            policy.clients.push(Client {
                client: Glob::new(&allowed.client),
                caller: allowed.caller.as_ref().map(service),
                service: service(&allowed.service),
                expires: day(&allowed.expires)?,
            });
        }
        policy.proxies = services(&self.proxies);
        policy.vouching = self.trusted_proxies.iter().map(vouching).collect::<Result<_, _>>()?;
        policy.shared_tenants = names(&self.tenants.shared);
        for spelling in &self.tenants.spelled {
            let Some((before, after)) = spelling.name.value.split_once("{tenant}") else {
                return Err(wrong(&spelling.name, "write `{tenant}` where the tenant stands"));
            };
            let field = match spelling.of {
                ResourceKind::Database => Field::DbNamespace,
                ResourceKind::Collection => Field::DbCollection,
                ResourceKind::Destination => Field::MessagingDestination,
                ResourceKind::Bucket => Field::Bucket,
            };
            policy.tenant_spellings.push((field, Glob::new(before), Glob::new(after)));
        }
        for workload in &self.workloads {
            let Some(id) = workload.id.value.strip_prefix("spiffe://").filter(|id| !id.is_empty()) else {
                return Err(wrong(&workload.id, "write a SPIFFE ID, `spiffe://trust-domain/path`"));
            };
            policy.workloads.push((service(&workload.service), Glob::new(id)));
        }
        let hosts = || self.destinations.internal.iter().chain(&self.destinations.partners);
        policy.declares_destinations = hosts().next().is_some();
        policy.destinations = hosts_of(hosts)?;
        for required in &self.required_assurance {
            let assurance = match required.assurance {
                AssuranceWord::Asserted => Assurance::Asserted,
                AssuranceWord::Sealed => Assurance::Sealed,
                AssuranceWord::Verified => Assurance::Verified,
            };
            let operation = required.operation.as_deref().map(Glob::new);
            policy.required.push((service(&required.service), operation, assurance));
        }
        policy.pseudonymous = services(&self.pseudonymous);
        policy.mesh = services(&self.mesh);
        policy.introspecting = services(&self.introspecting);
        for accepted in &self.audiences {
            policy.audiences.push((service(&accepted.service), accepted.audiences.clone()));
        }
        if let Some(algorithms) = &self.algorithms {
            policy.algorithms = algorithms.iter().cloned().collect();
        }
        for alias in &self.aliases {
            policy.aliases.push((alias.issuer.clone(), alias.ids.iter().cloned().collect()));
        }
        for shared in &self.shared_sessions {
            let client = shared.client.as_deref().map(Glob::new);
            policy.shared_sessions.push((shared.service.as_ref().map(service), client));
        }
        policy.autonomous_agents = names(&self.agents.autonomous);
        policy.owned_tools = names(&self.agents.owned_tools);
        policy.aggregated_topics = names(&self.aggregated_topics);
        policy.not_credentials = names(&self.not_credentials);
        policy.dialects = self.dialects()?;
        for quiet in &self.suppress {
            let expires = quiet.expires.as_ref().map(day).transpose()?;
            let rule = quiet.rule.map(|name| name.0);
            let added = policy.conditions.add(rule, &quiet.when.value, quiet.when.place, expires);
            added.map_err(|reason| wrong(&quiet.when, &reason))?;
        }
        Ok(policy)
    }

    /// The dialects, each tried against the built-in map so that a field that does not exist is said here.
    fn dialects(&self) -> Result<Vec<Dialect>, PolicyError> {
        let mut known = Dialects::built_in().ok();
        let mut dialects = Vec::new();
        for entry in &self.dialects {
            let dialect = Dialect::from(entry);
            if let Some(known) = &mut known
                && let Err(error) = known.extend(std::slice::from_ref(&dialect))
            {
                return Err(wrong(&entry.name, &error.to_string()));
            }
            dialects.push(dialect);
        }
        Ok(dialects)
    }
}

fn wrong<T: std::fmt::Display>(at: &At<T>, reason: &str) -> PolicyError {
    PolicyError::Value { at: at.place, found: at.value.to_string(), reason: reason.to_owned() }
}

fn service(pattern: &At<String>) -> ServicePattern {
    ServicePattern::new(&pattern.value)
}

fn services(patterns: &[At<String>]) -> Services {
    Services::new(patterns.iter().map(|pattern| pattern.value.as_str()))
}

fn names(patterns: &[String]) -> Names {
    Names::new(patterns.iter().map(String::as_str))
}

fn day(at: &At<String>) -> Result<Date, PolicyError> {
    Date::parse(&at.value).ok_or_else(|| wrong(at, "no date; write a day such as `2026-12-31`"))
}

fn route_set(routes: &Routes) -> Result<RouteSet, PolicyError> {
    let pattern = |route: &At<String>| RoutePattern::new(&route.value).map_err(|why| wrong(route, why));
    Ok(RouteSet {
        service: routes.service.as_ref().map(service),
        routes: routes.routes.iter().map(pattern).collect::<Result<_, _>>()?,
        expires: routes.expires.as_ref().map(day).transpose()?,
    })
}

fn imported(
    import: &OpenApi,
    descriptions: &BTreeMap<String, Result<String, String>>,
) -> Result<RouteSet, PolicyError> {
    let refuse = |reason: String| PolicyError::OpenApi {
        at: import.file.place,
        file: import.file.value.clone(),
        reason,
    };
    let text = match descriptions.get(&import.file.value) {
        Some(Ok(text)) => text,
        Some(Err(reason)) => return Err(refuse(reason.clone())),
        None => return Err(refuse("its text is not at hand".to_owned())),
    };
    let route = |route: &String| RoutePattern::new(route).map_err(|why| refuse(format!("`{route}`: {why}")));
    let routes = openapi::public_routes(text).map_err(refuse)?;
    let routes = routes.iter().map(route).collect::<Result<_, _>>()?;
    Ok(RouteSet { service: Some(service(&import.service)), routes, expires: None })
}

fn vouching(proxy: &At<TrustedProxy>) -> Result<Vouching, PolicyError> {
    let TrustedProxy { service: of, component, node, attributes } = &proxy.value;
    let refuse = |found: &str, reason: &str| PolicyError::Value {
        at: proxy.place,
        found: found.to_owned(),
        reason: reason.to_owned(),
    };
    if of.is_none() && component.is_none() && node.is_none() {
        return Err(refuse(
            "trusted_proxies",
            "say whose spans are trusted: `service`, `component` or `node`",
        ));
    }
    if attributes.is_empty() {
        return Err(refuse("attributes", "name the attribute keys that it vouches by"));
    }
    Ok(Vouching {
        service: of.as_ref().map(service),
        component: component.as_deref().map(Glob::new),
        node: node.as_deref().map(Glob::new),
        attributes: names(attributes),
    })
}

fn hosts_of<'a, I: Iterator<Item = &'a At<String>>>(hosts: impl Fn() -> I) -> Result<Hosts, PolicyError> {
    Hosts::new(hosts().map(|host| host.value.as_str())).map_err(|bad| {
        let at = hosts().find(|host| host.value == bad).map_or_else(Default::default, |host| host.place);
        let reason = "no network; write an address and the bits that count, such as `10.0.0.0/8`";
        PolicyError::Value { at, found: bad.to_owned(), reason: reason.to_owned() }
    })
}

fn thresholds(file: &ThresholdsFile) -> Result<Thresholds, PolicyError> {
    let time = |at: &At<String>| {
        date::nanos(&at.value)
            .ok_or_else(|| wrong(at, "no length of time; write `500ms`, `60s`, `5m`, `1h` or `7d`"))
    };
    let own = Thresholds::default();
    let window = file.window.as_ref().map(time).transpose()?.unwrap_or(own.window);
    if let Some(at) = file.window.as_ref().filter(|_| window == 0) {
        return Err(wrong(at, "a window has to be longer than nothing"));
    }
    if let Some(at) = file.coverage_drop.as_ref().filter(|at| !(0.0..=1.0).contains(&at.value)) {
        return Err(wrong(at, "a share lies between 0 and 1"));
    }
    Ok(Thresholds {
        skew: file.skew.as_ref().map(time).transpose()?.unwrap_or(own.skew),
        max_actors: file.max_actors.unwrap_or(own.max_actors),
        min_requests: file.min_requests.unwrap_or(own.min_requests),
        window,
        coverage_drop: file.coverage_drop.as_ref().map_or(own.coverage_drop, |at| at.value),
    })
}

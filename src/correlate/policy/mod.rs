//! What the user declares: resolved and ready to be asked.
//!
//! Everything has a useful default: [`Policy::default`] is what runs without a policy file.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::Severity;
use crate::record::{Service, Span};
use crate::rule::Rule;

/// A resolved policy.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Rules that are not asked.
    pub off: BTreeSet<Rule>,
    /// Severities other than the rules' own.
    pub severities: BTreeMap<Rule, Severity>,
    /// Limits that rules compare with.
    pub thresholds: Thresholds,
}

/// Limits that rules compare with.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Thresholds {
    /// Clock difference between two services that is never held against a credential, in nanoseconds, on top of
    /// the skew estimated from the spans. Default 60 s.
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
            skew: 60_000_000_000,
            max_actors: 4,
            min_requests: 5,
            window: 3_600_000_000_000,
            coverage_drop: 0.1,
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

    /// Whether everyone may call this route.
    #[must_use]
    pub fn is_public(&self, _service: Service<'_>, _method: Option<&str>, _path: &str) -> bool {
        false
    }

    /// Whether a client may act for itself on this edge at this time (nanoseconds since the Unix epoch).
    #[must_use]
    pub fn allows_client(&self, _client: &str, _caller: Option<&str>, _service: &str, _at: u64) -> bool {
        false
    }

    /// Whether a proxy that the policy declares made this span and may vouch for this attribute key.
    #[must_use]
    pub fn trusts_proxy(&self, _span: &Span<'_>, _key: &str) -> bool {
        false
    }

    /// Whether identity may go to this host: one of one's own, or a declared partner.
    #[must_use]
    pub fn trusts_destination(&self, host: &str) -> bool {
        match host.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
            Ok(std::net::IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
            Err(_) => !host.contains('.'),
        }
    }

    /// Whether a mesh encrypts what reaches this service.
    #[must_use]
    pub fn is_in_mesh(&self, _service: Service<'_>) -> bool {
        false
    }

    /// The audiences that a service accepts; `None` where none are declared.
    #[must_use]
    pub fn audiences(&self, _service: Service<'_>) -> Option<&[String]> {
        None
    }

    /// Whether an algorithm may verify a credential: one whose verifiers cannot sign, unless declared otherwise.
    #[must_use]
    pub fn allows_algorithm(&self, alg: &str) -> bool {
        const ASYMMETRIC: [&str; 11] = [
            "ES256", "ES384", "ES512", "Ed25519", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384",
            "RS512",
        ];
        ASYMMETRIC.contains(&alg)
    }

    /// Whether any destination is declared; where none is, a host outside is only likely a stranger.
    #[must_use]
    pub fn declares_destinations(&self) -> bool {
        false
    }

    /// The least assurance that an operation asks for, if one is declared.
    #[must_use]
    pub fn required_assurance(
        &self,
        _service: Service<'_>,
        _operation: &str,
    ) -> Option<hopseal_identity::Assurance> {
        None
    }

    /// Whether two ids are declared to be one principal, under that issuer (empty: not known).
    #[must_use]
    pub fn is_alias(&self, _issuer: &str, _a: &str, _b: &str) -> bool {
        false
    }

    /// Whether everyone may use resources of this tenant.
    #[must_use]
    pub fn is_shared_tenant(&self, _tenant: &str) -> bool {
        false
    }

    /// The tenant that the name of a resource spells.
    #[must_use]
    pub fn tenant_of<'n>(&self, _field: crate::field::Field, _name: &'n str) -> Option<&'n str> {
        None
    }

    /// Whether a service's spans must name people by pseudonym.
    #[must_use]
    pub fn is_pseudonymous(&self, _service: Service<'_>) -> bool {
        false
    }

    /// Whether an agent, by its id or name, may act with no user behind it.
    #[must_use]
    pub fn is_autonomous_agent(&self, _agent: &str) -> bool {
        false
    }

    /// Whether an agent may use this tool by its own right.
    #[must_use]
    pub fn is_agent_owned(&self, _tool: &str) -> bool {
        false
    }
}

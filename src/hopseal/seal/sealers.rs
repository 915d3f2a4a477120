//! Who may seal what.

use std::collections::BTreeMap;

use hopseal_identity::attribute::{ISS, KIND, TENANT};
use hopseal_identity::seal::{Binding, Members};
use hopseal_identity::{Kind, member};

use crate::registry::{Issuer, IssuerKind, Registry};

/// The services that may seal in a trust domain.
///
/// A key belongs to a service by its id: the service's own name, or that name, `.` and what tells its keys apart.
///
/// ```
/// use hopseal::{Registry, seal::{MaySeal, SealRule, Sealers}};
/// let registry = Registry::from_yaml("
/// issuers:
///   - {name: staff, kind: oidc, issuer: https://id.example.com, audiences: [orders], algorithms: [RS256]}
///   - {name: seals, kind: seal, issuer: example.org, jwks: '{\"keys\":[]}'}
/// ")?;
/// let gateway = SealRule::new("gateway", "spiffe://example.org/gateway").may_seal(MaySeal::issuers(["staff"]));
/// let sealers = Sealers::new(&registry, "seals", [gateway])?;
/// assert_eq!(sealers.of_kid("gateway.20260101").unwrap().workload(), "spiffe://example.org/gateway");
/// assert!(sealers.of_kid("gateways").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sealers {
    trust_domain: String,
    rules: BTreeMap<String, SealRule>,
}

/// Rules that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealersError {
    /// The registry has no issuer of that name and of the kind `seal`.
    #[error("`{0}` is no issuer of the kind `seal`")]
    NoIssuer(String),
    /// The registry names no such issuer, or it is one whose credentials are not sealed.
    #[error("`{sealer}` may not seal for `{issuer}`, which is no issuer of credentials")]
    Issuer {
        /// The service.
        sealer: String,
        /// The name it was given.
        issuer: String,
    },
    /// Not 1 to 32 unreserved characters without `.`.
    #[error("`{0}` is no name of a service that seals")]
    Name(String),
    /// Two rules for one service.
    #[error("two rules for `{0}`")]
    Duplicate(String),
    /// No trust domain that a seal can be bound to.
    #[error("`{0}` is no name of a trust domain")]
    TrustDomain(String),
}

/// One service, and what it may seal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct SealRule {
    name: String,
    workload: String,
    seals: Option<MaySeal>,
    reseals: Option<MayReseal>,
}

/// Which identities. Nothing that is not named.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct MaySeal {
    issuers: Vec<String>,
    tenants: Option<Vec<String>>,
    kinds: Vec<Kind>,
}

/// Leave to make a seal from one that was checked, and its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MayReseal {
    /// How often an identity may be re-sealed after it was sealed, at most 255.
    pub max_count: u8,
    /// Seconds from the first seal after which it may not be any more.
    pub max_age: u64,
    /// Seconds after its end for which a seal may still be re-sealed: how long a message may wait.
    pub max_wait: u64,
}

impl Default for MayReseal {
    /// Four times, within a day, a seal that has not ended.
    fn default() -> Self {
        Self { max_count: 4, max_age: 24 * 60 * 60, max_wait: 0 }
    }
}

impl MaySeal {
    /// Identities whose credentials come from these issuers, by their names in the registry; of users, services and agents, in
    /// any tenant.
    pub fn issuers(issuers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            issuers: issuers.into_iter().map(Into::into).collect(),
            tenants: None,
            kinds: vec![Kind::User, Kind::Service, Kind::Agent],
        }
    }

    /// In these tenants alone.
    pub fn tenants(mut self, tenants: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tenants = Some(tenants.into_iter().map(Into::into).collect());
        self
    }

    /// Of these kinds alone.
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.kinds = kinds.into_iter().collect();
        self
    }

    fn covers(&self, members: &Members<'_>) -> bool {
        let issuer = members.get(ISS).is_some_and(|iss| self.issuers.iter().any(|issuer| issuer == iss));
        let kind = members.get(KIND).and_then(Kind::parse).is_some_and(|kind| self.kinds.contains(&kind));
        let tenant = match &self.tenants {
            None => true,
            Some(tenants) => members
                .get(TENANT)
                .and_then(member::unescape)
                .is_some_and(|tenant| tenants.iter().any(|allowed| *allowed == tenant)),
        };
        issuer && kind && tenant
    }
}

impl SealRule {
    /// A service whose keys are called `name`, and its workload id. It may seal nothing yet.
    pub fn new(name: impl Into<String>, workload: impl Into<String>) -> Self {
        Self { name: name.into(), workload: workload.into(), seals: None, reseals: None }
    }

    /// It may seal what it validated.
    pub fn may_seal(mut self, what: MaySeal) -> Self {
        self.seals = Some(what);
        self
    }

    /// It may make seals from seals. Which identities is said by those who sealed them first.
    pub const fn may_reseal(mut self, bounds: MayReseal) -> Self {
        self.reseals = Some(bounds);
        self
    }

    /// The id of the workload.
    #[must_use]
    pub fn workload(&self) -> &str {
        &self.workload
    }

    /// Its bounds as a re-sealer, if it is one.
    #[must_use]
    pub const fn reseals(&self) -> Option<&MayReseal> {
        self.reseals.as_ref()
    }

    /// Whether a seal of it over this identity, made at that time, is within the rule.
    #[must_use]
    pub(super) fn permits(&self, members: &Members<'_>) -> bool {
        use hopseal_identity::attribute::{IAT, RESEALED};
        let Some(resealed) = members.get(RESEALED) else {
            return self.seals.as_ref().is_some_and(|what| what.covers(members));
        };
        let bounds = self.reseals.zip(member::Resealed::parse(resealed));
        let iat = members.get(IAT).and_then(member::seconds);
        bounds.zip(iat).is_some_and(|((bounds, resealed), iat)| bounds.permits(resealed, iat))
    }
}

impl MayReseal {
    pub(super) fn permits(&self, resealed: member::Resealed, at: u64) -> bool {
        let age = at.checked_sub(resealed.first);
        resealed.count <= self.max_count && age.is_some_and(|age| age <= self.max_age)
    }
}

impl Sealers {
    /// The rules of the trust domain of `seals`, an issuer of the kind `seal`.
    ///
    /// # Errors
    /// [`SealersError`] for the first rule that cannot be used.
    pub fn new(
        registry: &Registry,
        seals: &str,
        rules: impl IntoIterator<Item = SealRule>,
    ) -> Result<Self, SealersError> {
        let issuer = registry.issuer(seals).filter(|issuer| issuer.kind() == IssuerKind::Seal);
        let issuer = issuer.ok_or_else(|| SealersError::NoIssuer(seals.to_owned()))?;
        let sealers = Self::of_trust_domain(issuer.id(), rules)?;
        for rule in sealers.rules.values() {
            for name in rule.seals.iter().flat_map(|what| &what.issuers) {
                let known = registry.issuer(name).is_some_and(|issuer| issuer.kind() != IssuerKind::Seal);
                if !known {
                    return Err(SealersError::Issuer { sealer: rule.name.clone(), issuer: name.clone() });
                }
            }
        }
        Ok(sealers)
    }

    /// Rules for a service without a registry, which takes no credentials: the issuers that they name are those that the services
    /// which seal call so in theirs, and are not looked up.
    ///
    /// # Errors
    /// [`SealersError`] for the first rule that cannot be used.
    pub fn of_trust_domain(
        trust_domain: impl Into<String>,
        rules: impl IntoIterator<Item = SealRule>,
    ) -> Result<Self, SealersError> {
        let trust_domain = trust_domain.into();
        if Binding::new(&trust_domain, [1; 16]).is_none() {
            return Err(SealersError::TrustDomain(trust_domain));
        }
        let mut sealers = Self { trust_domain, rules: BTreeMap::new() };
        for rule in rules {
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
            if !(1..=32).contains(&rule.name.len()) || !rule.name.bytes().all(legal) {
                return Err(SealersError::Name(rule.name));
            }
            if let Some(twin) = sealers.rules.insert(rule.name.clone(), rule) {
                return Err(SealersError::Duplicate(twin.name));
            }
        }
        Ok(sealers)
    }

    /// The rules that the registry itself has for the trust domain of `seals` (`sealers:`).
    ///
    /// # Errors
    /// [`SealersError`], as with [`new`](Self::new).
    pub fn of(registry: &Registry, seals: &str) -> Result<Self, SealersError> {
        let entries = registry.issuer(seals).map(Issuer::sealers).unwrap_or_default();
        let rules = entries.iter().map(|entry| {
            let mut rule = SealRule::new(&entry.name, &entry.workload);
            if !entry.issuers.is_empty() {
                let mut what = MaySeal::issuers(&entry.issuers);
                if let Some(tenants) = &entry.tenants {
                    what = what.tenants(tenants);
                }
                if let Some(kinds) = &entry.kinds {
                    what = what.kinds(kinds.iter().copied());
                }
                rule = rule.may_seal(what);
            }
            match entry.reseals {
                None => rule,
                Some(bounds) => {
                    let default = MayReseal::default();
                    rule.may_reseal(MayReseal {
                        max_count: bounds.max_count.unwrap_or(default.max_count),
                        max_age: bounds.max_age.unwrap_or(default.max_age),
                        max_wait: bounds.max_wait.unwrap_or(default.max_wait),
                    })
                }
            }
        });
        Self::new(registry, seals, rules)
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// The rule for the service of a key.
    #[must_use]
    pub fn of_kid(&self, kid: &str) -> Option<&SealRule> {
        self.rules.get(kid.split('.').next().unwrap_or(kid))
    }
}

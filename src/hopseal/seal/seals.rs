//! Making and checking seals, set up together.

use std::sync::Arc;

use hopseal_identity::pseudonym::Pseudonyms;
use hopseal_identity::seal::{KeySet, KeySetError};

use super::checker::SealChecker;
use super::keys::SealingKeys;
use super::sealer::Sealer;
use super::sealers::{SealRule, Sealers, SealersError};
use crate::registry::Registry;

/// Seconds that the clocks of services may be apart: fewer than for credentials ([`CLOCK_SKEW`](hopseal_identity::CLOCK_SKEW)), since
/// a seal lives for minutes, and is made by a service of the same trust domain.
const LEEWAY: u64 = 5;

/// What a service makes and checks seals with, by one set of rules.
///
/// ```
/// use hopseal::Registry;
/// use hopseal::seal::{MaySeal, SealRule, SealingKeys, Seals, public_jwks};
/// use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};
/// # let registry = Registry::from_yaml("
/// # issuers:
/// #   - {name: staff, kind: oidc, issuer: https://id.example.com, audiences: [orders], algorithms: [RS256]}
/// #   - {name: seals, kind: seal, issuer: example.org, jwks: '{\"keys\":[]}'}
/// # ")?;
/// # let keys = SealingKeys::from_jwks(br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"orders.1",
/// #     "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
/// // Of all services of the trust domain; here of this alone.
/// let published = public_jwks([&keys]);
/// let rules = [SealRule::new("orders", "spiffe://example.org/orders").may_seal(MaySeal::issuers(["staff"]))];
/// let pseudonyms = Pseudonyms::new(PseudonymKey::new("p1", &[7; 32])?, [])?;
/// let seals = Seals::new(&registry, "seals", rules, keys, &published, pseudonyms)?;
/// # drop(seals);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Seals {
    /// Makes them.
    pub sealer: Arc<Sealer>,
    /// Checks them. Clocks may be five seconds apart.
    pub checker: Arc<SealChecker>,
}

/// What cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealsError {
    /// The rules.
    #[error("rules of who may seal")]
    Rules(#[source] SealersError),
    /// The keys that the trust domain publishes.
    #[error("published keys")]
    Published(#[source] KeySetError),
}

impl Seals {
    /// With the rules of the trust domain of `seals`, an issuer of the kind `seal`; the keys of this service; the public keys of all
    /// services, as a JWK set; and the names that subjects go by.
    ///
    /// # Errors
    /// [`SealsError`].
    pub fn new(
        registry: &Registry,
        seals: &str,
        rules: impl IntoIterator<Item = SealRule>,
        keys: SealingKeys,
        published: &[u8],
        pseudonyms: Pseudonyms,
    ) -> Result<Self, SealsError> {
        let sealers = Arc::new(Sealers::new(registry, seals, rules).map_err(SealsError::Rules)?);
        let checker = SealChecker::of_published(published, Arc::clone(&sealers))?;
        let sealer = Sealer::new(keys, sealers, Arc::new(pseudonyms));
        Ok(Self { sealer: Arc::new(sealer), checker: Arc::new(checker) })
    }
}

impl SealChecker {
    /// For a service that is told who calls by seals alone: it needs no registry, no keys and no issuer, but the name of its trust
    /// domain, the rules of who may seal there, and the public keys of those who do, as a JWK set. Clocks may be five seconds apart.
    ///
    /// ```
    /// use hopseal::seal::{MaySeal, SealChecker, SealRule};
    /// # let published = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"gateway.1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    /// let gateway = SealRule::new("gateway", "spiffe://example.org/gateway").may_seal(MaySeal::issuers(["staff"]));
    /// let checker = SealChecker::alone("example.org", [gateway], published)?;
    /// # drop(checker);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// With the feature `tower`, `IdentityLayer::sealed` puts it in front of a service; a `Consumer` of messages takes it as it is.
    ///
    /// # Errors
    /// [`SealsError`].
    pub fn alone(
        trust_domain: impl Into<String>,
        rules: impl IntoIterator<Item = SealRule>,
        published: &[u8],
    ) -> Result<Self, SealsError> {
        let sealers = Sealers::of_trust_domain(trust_domain, rules).map_err(SealsError::Rules)?;
        Self::of_published(published, Arc::new(sealers))
    }

    fn of_published(published: &[u8], sealers: Arc<Sealers>) -> Result<Self, SealsError> {
        let (public, _) = KeySet::from_jwks(published).map_err(SealsError::Published)?;
        Ok(Self::new(public, sealers, LEEWAY))
    }
}

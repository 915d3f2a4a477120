//! The trust registry: who may vouch for whom, with what, and for how long.

mod error;
mod file;
mod issuer;
mod policy;
mod rules;
#[cfg(test)]
mod tests;
mod watched;

use sha2::{Digest as _, Sha256};

use crate::principal::Credential;

pub use error::{Place, RegistryError};
pub use issuer::{Claims, Issuer, IssuerKind, Source};
pub use policy::{EventFeed, IntrospectionNumbers, KeyNumbers, Refresh, Reseals, SealerEntry, WhenDown};
pub use rules::IssuerBuilder;
#[cfg(feature = "jwt")]
pub(crate) use rules::{MAX_SKEW, media_type};
pub use watched::{RegistryFile, RegistryFileError};

/// Issuers that are trusted, each with its rules. However it was made, it is complete and consistent.
///
/// ```
/// use hopseal::{Algorithm, Credential, Registry};
/// let registry = Registry::from_yaml("
/// issuers:
///   - name: staff                           # how we call it
///     kind: oidc
///     issuer: https://id.example.com        # `iss`, to the letter
///     audiences: [orders]
///     algorithms: [RS256]
///     claims: {tenant: tid, roles: realm_access.roles}
/// ")?;
/// let staff = registry.issuer("staff").unwrap();
/// assert_eq!(staff.algorithms(), [Algorithm::Rs256]);
/// assert!(staff.accepts(Credential::AccessToken));
///
/// let error = Registry::from_yaml("issuers:\n  - name: staff\n    kind: oidc\n    isuer: x\n").unwrap_err();
/// assert!(error.to_string().starts_with("line 4, column 5: unknown field `isuer`"), "{error}");
/// # Ok::<(), hopseal::RegistryError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Registry {
    issuers: Vec<Issuer>,
    keys: KeyNumbers,
    introspection: IntrospectionNumbers,
    version: String,
}

impl Registry {
    /// Reads a registry from YAML. Files that it names (`jwks_file` and the like) are for a [`RegistryFile`]: here nothing is opened.
    ///
    /// # Errors
    /// [`RegistryError`] with the place of the first thing that is wrong.
    pub fn from_yaml(text: &str) -> Result<Self, RegistryError> {
        Self::read(text, &mut |_| Err("files are for a registry that is itself read from one".to_owned()))
    }

    fn read(text: &str, beside: file::Beside<'_>) -> Result<Self, RegistryError> {
        let file::Read { issuers, keys, introspection } = file::read(text, beside)?;
        Self::assemble(issuers, keys, introspection)
    }

    /// Makes a registry of issuers from code.
    ///
    /// # Errors
    /// [`RegistryError::Value`] for the first value that cannot be used.
    pub fn new(issuers: impl IntoIterator<Item = IssuerBuilder>) -> Result<Self, RegistryError> {
        let issuers: Result<Vec<Issuer>, RegistryError> =
            issuers.into_iter().map(IssuerBuilder::build).collect();
        let issuers = issuers?.into_iter().map(|issuer| (issuer, None)).collect();
        Self::assemble(issuers, KeyNumbers::default(), IntrospectionNumbers::default())
    }

    /// With each issuer, where its name and its id stand.
    fn assemble(
        placed: Vec<(Issuer, Option<(Place, Place)>)>,
        keys: KeyNumbers,
        introspection: IntrospectionNumbers,
    ) -> Result<Self, RegistryError> {
        let strays: Vec<(String, &'static str, String, Option<Place>)> = placed
            .iter()
            .flat_map(|(issuer, places)| {
                let named = issuer.feed.iter().flat_map(|feed| &feed.speaks_for).map(|name| ("feed", name));
                let sealed = issuer.sealers.iter().flat_map(|sealer| &sealer.issuers);
                named.chain(sealed.map(|name| ("sealers", name))).filter_map(|(field, name)| {
                    let known = |other: &Issuer| other.name() == name && other.kind() != IssuerKind::Seal;
                    let missing = !placed.iter().any(|(other, _)| known(other));
                    missing.then(|| {
                        (issuer.name().to_owned(), field, name.clone(), places.map(|(name, _)| name))
                    })
                })
            })
            .collect();
        if let Some((issuer, field, name, at)) = strays.into_iter().next() {
            let reason = format!("`{name}` is no issuer of credentials");
            return Err(RegistryError::Value { at, issuer, field, reason });
        }
        let mut issuers: Vec<Issuer> = Vec::with_capacity(placed.len());
        for (issuer, places) in placed {
            let fault = if issuers.iter().any(|other| other.name() == issuer.name()) {
                Some(("name", "another issuer has this name"))
            } else if issuers.iter().any(|other| other.clashes(&issuer)) {
                // With two sets of rules for one `iss`, which of them holds would depend on their order.
                Some(("issuer", "another issuer of this id accepts the same kind of credential"))
            } else {
                None
            };
            if let Some((field, reason)) = fault {
                let name = issuer.name().to_owned();
                let at = places.map(|(name, id)| if field == "name" { name } else { id });
                return Err(RegistryError::Value { at, issuer: name, field, reason: reason.to_owned() });
            }
            issuers.push(issuer);
        }
        let mut digest = Sha256::new();
        for issuer in &issuers {
            issuer.digest(&mut digest);
        }
        digest.update(format!("{keys:?}{introspection:?}"));
        let bytes: [u8; 32] = digest.finalize().into();
        let version = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { issuers, keys, introspection, version })
    }

    /// Its version: other rules or keys, another version. What was verified under one does not hold under another.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Numbers of the policy for keys.
    #[must_use]
    pub const fn key_numbers(&self) -> &KeyNumbers {
        &self.keys
    }

    /// Numbers of the policy for asking about tokens.
    #[must_use]
    pub const fn introspection_numbers(&self) -> &IntrospectionNumbers {
        &self.introspection
    }

    /// Every issuer, in the order given.
    #[must_use]
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// The issuer that calls itself `id` and is trusted with that kind of credential. There is at most one.
    #[must_use]
    pub fn trusted(&self, credential: Credential, id: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.accepts(credential) && issuer.id() == id)
    }

    /// The issuer that goes by `name` in the registry.
    #[must_use]
    pub fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.name() == name)
    }
}

//! Keys that stand in the registry itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{KeySource, Keys};
use crate::algorithm::Algorithm;
use crate::jose::{KeySet, KeySetError, SkippedKey};
use crate::outcome::Undecided;
use crate::registry::{Issuer, IssuerKind, Registry, Source};

/// The keys that a registry holds itself (`jwks`), with no network. Other issuers have no keys here.
#[derive(Debug, Clone, Default)]
pub struct FixedKeys {
    sets: BTreeMap<String, Arc<KeySet>>,
}

/// Keys of the registry that cannot be used. Here, unlike with keys that are published, a single one that is bad is an error:
/// somebody wrote it down, and should know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FixedKeysError {
    /// The set as a whole.
    #[error("issuer `{issuer}`: `jwks`")]
    Set {
        /// The name of the issuer.
        issuer: String,
        /// What is wrong.
        #[source]
        source: KeySetError,
    },
    /// There is no key for us in the set: every credential would be refused.
    #[error("issuer `{issuer}`: `jwks`: no key")]
    Empty {
        /// The name of the issuer.
        issuer: String,
    },
    /// One key.
    #[error("issuer `{issuer}`: `jwks`: key {} of the set: {}", skipped.index, skipped.fault)]
    Key {
        /// The name of the issuer.
        issuer: String,
        /// The key, and what is wrong with it.
        skipped: SkippedKey,
    },
}

impl FixedKeys {
    /// Reads the keys of every issuer of the registry that has any.
    ///
    /// # Errors
    /// [`FixedKeysError`] for the first key or set that cannot be used.
    pub fn of(registry: &Registry) -> Result<Self, FixedKeysError> {
        let mut sets = BTreeMap::new();
        for issuer in registry.issuers().iter().filter(|issuer| issuer.kind() != IssuerKind::Seal) {
            let Source::Jwks(json) = issuer.source() else { continue };
            let (json, allowed) = (json.expose().as_bytes(), issuer.algorithms());
            let read = match issuer.kind() {
                IssuerKind::Spiffe => KeySet::from_spiffe_bundle(json, allowed),
                _ if allowed.iter().any(|algorithm: &Algorithm| algorithm.is_symmetric()) => {
                    KeySet::from_secrets(json, allowed)
                }
                _ => KeySet::from_jwks(json, allowed),
            };
            let name = || issuer.name().to_owned();
            let (set, skipped) = read.map_err(|source| FixedKeysError::Set { issuer: name(), source })?;
            // A bundle holds keys for X.509 too, which are not meant for us.
            let bundle = issuer.kind() == IssuerKind::Spiffe;
            let meant = |key: &SkippedKey| !bundle || key.fault != crate::jose::KeyFault::Use;
            if let Some(skipped) = skipped.into_iter().find(meant) {
                return Err(FixedKeysError::Key { issuer: name(), skipped });
            }
            // A trust domain may have authorities for certificates alone.
            if set.is_empty() && !bundle {
                return Err(FixedKeysError::Empty { issuer: name() });
            }
            sets.insert(name(), Arc::new(set));
        }
        Ok(Self { sets })
    }

    /// The keys of the issuer that the registry calls so.
    pub(super) fn of_issuer(&self, name: &str) -> Option<Keys> {
        self.sets.get(name).map(|set| Keys { set: Arc::clone(set), epoch: 0 })
    }
}

impl KeySource for FixedKeys {
    async fn keys(&self, issuer: &Issuer, _: Option<&str>) -> Result<Keys, Undecided> {
        self.of_issuer(issuer.name()).ok_or_else(|| Undecided::NoKeys { issuer: issuer.name().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_key_in_the_registry_is_an_error() {
        let of = |jwks: &str, algorithm| {
            let yaml = format!(
                "issuers: [{{name: a, kind: static, issuer: b, jwks: '{jwks}', audiences: [c], algorithms: [{algorithm}]}}]"
            );
            FixedKeys::of(&Registry::from_yaml(&yaml).expect("a registry")).map_err(|error| error.to_string())
        };
        let good = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        let secret = r#"{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#;
        assert!(of(&format!(r#"{{"keys":[{good}]}}"#), "EdDSA").is_ok());
        assert!(of(&format!(r#"{{"keys":[{secret}]}}"#), "HS256").is_ok());
        for (jwks, algorithm, expected) in [
            ("[]".to_owned(), "EdDSA", "issuer `a`: `jwks`"),
            (r#"{"keys":[]}"#.to_owned(), "EdDSA", "issuer `a`: `jwks`: no key"),
            (
                format!(r#"{{"keys":[{good},{secret}]}}"#),
                "EdDSA",
                "issuer `a`: `jwks`: key 1 of the set: a secret among public keys",
            ),
            (
                format!(r#"{{"keys":[{good}]}}"#),
                "RS256",
                "issuer `a`: `jwks`: key 0 of the set: no algorithm that is accepted, or more than one",
            ),
        ] {
            assert_eq!(of(&jwks, algorithm).err().as_deref(), Some(expected), "{jwks}");
        }
    }
}

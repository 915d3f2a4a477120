//! The keys of one issuer.

use std::fmt;

use jsonwebtoken::Algorithm as Jwa;
use jsonwebtoken::crypto::aws_lc;

use super::compact::Compact;
use super::json::Json;
use super::key::{self, Key, KeyFault, Purpose, is_secret};
use super::{decode, quoted};
use crate::Reason;
use crate::algorithm::Algorithm;
use crate::outcome::Refused;

/// Largest set that is read, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// Most keys in a set.
const MAX_KEYS: usize = 100;

/// The keys that an issuer's signatures are verified with, each with its one algorithm.
///
/// ```
/// use hopseal::{Algorithm, jose::{Compact, KeySet}};
/// // RFC 8037 appendices A.2 and A.4.
/// let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// let (keys, skipped) = KeySet::from_jwks(jwks.as_bytes(), &[Algorithm::EdDsa])?;
/// assert!(skipped.is_empty());
/// let token = Compact::parse("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
///     hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")?;
/// assert_eq!(keys.verify(&token)?, b"Example of Ed25519 signing");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| (&key.kid, key.algorithm))).finish()
    }
}

/// A key set that cannot be used at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Over 1 MiB.
    #[error("key set has {0} bytes, over {MAX_BYTES}")]
    TooLong(usize),
    /// Over 100 keys.
    #[error("key set has {0} keys, over {MAX_KEYS}")]
    TooMany(usize),
    /// Not JSON, or a name stands twice.
    #[error("no JSON")]
    Json(#[source] Refused),
    /// Not a JWK set (RFC 7517 section 5).
    #[error("no JWK set")]
    Shape,
    /// Secrets and public keys in one set: a public key could be taken for a secret.
    #[error("secrets and public keys in one set")]
    Mixed,
}

/// A key of a set that is not used. The others are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Its id, cut short.
    pub kid: Option<String>,
    /// Why.
    pub fault: KeyFault,
}

impl KeySet {
    /// Reads a JWK set that was published (RFC 7517 section 5). Bad keys are skipped and reported, and so are all that
    /// share an id and an algorithm; the good ones serve. `allowed` are the algorithms that the issuer is trusted with; HMAC among them does
    /// not count, as what is published is no secret.
    ///
    /// # Errors
    /// [`KeySetError`] when the set as a whole cannot be used.
    pub fn from_jwks(json: &[u8], allowed: &[Algorithm]) -> Result<(Self, Vec<SkippedKey>), KeySetError> {
        Self::from_jwks_for(json, allowed, Purpose::Signatures)
    }

    /// Reads the keys of a SPIFFE bundle, as far as they are for JWT-SVIDs (`use` is `jwt-svid`; SPIFFE Trust Domain and
    /// Bundle section 4.2.2).
    ///
    /// # Errors
    /// [`KeySetError`] when the set as a whole cannot be used.
    pub fn from_spiffe_bundle(
        json: &[u8],
        allowed: &[Algorithm],
    ) -> Result<(Self, Vec<SkippedKey>), KeySetError> {
        Self::from_jwks_for(json, allowed, Purpose::JwtSvids)
    }

    /// Reads secrets for HMAC, which only we and the issuer hold, as a JWK set.
    ///
    /// # Errors
    /// [`KeySetError::Mixed`] with any public key in it, or when the set as a whole cannot be used.
    pub fn from_secrets(json: &[u8], allowed: &[Algorithm]) -> Result<(Self, Vec<SkippedKey>), KeySetError> {
        let jwks = read(json)?;
        if !jwks.iter().all(is_secret) {
            return Err(KeySetError::Mixed);
        }
        Ok(Self::of(&jwks, allowed, |jwk| Key::of(jwk, allowed, Purpose::Signatures)))
    }

    fn from_jwks_for(
        json: &[u8],
        allowed: &[Algorithm],
        purpose: Purpose,
    ) -> Result<(Self, Vec<SkippedKey>), KeySetError> {
        let jwks = read(json)?;
        Ok(Self::of(&jwks, allowed, |jwk| {
            if is_secret(jwk) { Err(KeyFault::Secret) } else { Key::of(jwk, allowed, purpose) }
        }))
    }

    fn of(
        jwks: &[Json],
        allowed: &[Algorithm],
        key: impl Fn(&Json) -> Result<Key, KeyFault>,
    ) -> (Self, Vec<SkippedKey>) {
        let (mut keys, mut skipped): (Vec<(usize, Key)>, Vec<SkippedKey>) = (Vec::new(), Vec::new());
        for (index, jwk) in jwks.iter().enumerate() {
            match key(jwk) {
                Ok(key) => keys.push((index, key)),
                Err(fault) => {
                    let kid = jwk.get("kid").and_then(Json::as_text).map(quoted);
                    skipped.push(SkippedKey { index, kid, fault });
                }
            }
        }
        // A bad twin counts too, as it may be the one that was meant; but not one that is for something else.
        let rivals: Vec<(&str, Option<Algorithm>)> = skipped
            .iter()
            .filter(|key| {
                use KeyFault::{Algorithm, NoUse, Secret, Use};
                !matches!(key.fault, Algorithm | NoUse | Secret | Use)
            })
            .filter_map(|key| {
                let jwk = jwks.get(key.index)?;
                Some((jwk.get("kid")?.as_text()?, key::algorithm(jwk, allowed).ok()))
            })
            .collect();
        let shared = |key: &Key| {
            let Some(kid) = key.kid.as_deref() else { return false };
            let good =
                keys.iter().filter(|(_, other)| (&other.kid, other.algorithm) == (&key.kid, key.algorithm));
            // Of one whose algorithm cannot be told, it may be any.
            let bad = rivals.iter().any(|(id, of)| *id == kid && of.is_none_or(|of| of == key.algorithm));
            bad || good.count() > 1
        };
        let (twins, single): (Vec<_>, Vec<_>) = keys.iter().cloned().partition(|(_, key)| shared(key));
        for (index, key) in twins {
            let kid = key.kid.as_deref().map(quoted);
            skipped.push(SkippedKey { index, kid, fault: KeyFault::DuplicateKid });
        }
        skipped.sort_by_key(|key| key.index);
        (Self { keys: single.into_iter().map(|(_, key)| key).collect() }, skipped)
    }

    /// Whether there is no usable key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is a key of this id.
    #[must_use]
    pub fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| key.kid.as_deref() == Some(kid))
    }

    /// Whether every key of `other` is here too, unchanged: what verified with that verifies with this.
    #[must_use]
    pub fn retains(&self, other: &Self) -> bool {
        other.keys.iter().all(|old| self.keys.iter().any(|key| key.print == old.print))
    }

    /// Verifies a signature and hands out what was signed. The key is the one of its algorithm that the header names; without a
    /// `kid`, the only one of its algorithm.
    ///
    /// # Errors
    /// [`Refused`] with [`Reason::UnknownKey`], [`Reason::Algorithm`] where the key is for another, or [`Reason::Signature`].
    pub fn verify<'c>(&self, token: &'c Compact<'_>) -> Result<&'c [u8], Refused> {
        let key = self.find(token)?;
        verify_with(key, token)?;
        Ok(token.unverified_payload())
    }

    fn find(&self, token: &Compact<'_>) -> Result<&Key, Refused> {
        if let Some(kid) = &token.kid {
            let mut named = self.keys.iter().filter(|key| key.kid.as_ref() == Some(kid));
            let first = named.clone().next();
            let found = named.find(|key| key.algorithm == token.algorithm).or(first);
            return found
                .ok_or_else(|| Refused::new(Reason::UnknownKey, format!("no key `{}`", quoted(kid))));
        }
        let mut fitting = self.keys.iter().filter(|key| key.algorithm == token.algorithm);
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(Refused::new(Reason::UnknownKey, format!("no key for {}", token.algorithm))),
            (Some(_), Some(_)) => Err(Refused::new(Reason::UnknownKey, "no `kid`, and more than one key")),
        }
    }
}

/// Verifies a signature by that key, whoever it belongs to.
pub(super) fn verify_with(key: &Key, token: &Compact<'_>) -> Result<(), Refused> {
    if key.algorithm != token.algorithm {
        let detail = format!("{} with a key for {}", token.algorithm, key.algorithm);
        return Err(Refused::new(Reason::Algorithm, detail));
    }
    let refused = || Refused::new(Reason::Signature, "not by this key");
    // Not `jsonwebtoken::crypto::verify`: that asks whichever provider the process has installed, and ours is to be this one.
    let verifier = (aws_lc::DEFAULT_PROVIDER.verifier_factory)(&jwa(key.algorithm), &key.decoding);
    let signature = decode(token.signature).ok_or_else(refused)?;
    let verifier = verifier.map_err(|_| refused())?;
    verifier.verify(token.signed.as_bytes(), &signature).map_err(|_| refused())
}

/// The keys of a set.
fn read(json: &[u8]) -> Result<Vec<Json>, KeySetError> {
    if json.len() > MAX_BYTES {
        return Err(KeySetError::TooLong(json.len()));
    }
    let Json::Object(members) = Json::read(json).map_err(KeySetError::Json)? else {
        return Err(KeySetError::Shape);
    };
    let keys = members.into_iter().find(|(name, _)| name == "keys").map(|(_, value)| value);
    let Some(Json::List(keys)) = keys else { return Err(KeySetError::Shape) };
    if keys.len() > MAX_KEYS {
        return Err(KeySetError::TooMany(keys.len()));
    }
    Ok(keys)
}

const fn jwa(algorithm: Algorithm) -> Jwa {
    match algorithm {
        Algorithm::EdDsa => Jwa::EdDSA,
        Algorithm::Es256 => Jwa::ES256,
        Algorithm::Es384 => Jwa::ES384,
        Algorithm::Hs256 => Jwa::HS256,
        Algorithm::Hs384 => Jwa::HS384,
        Algorithm::Hs512 => Jwa::HS512,
        Algorithm::Ps256 => Jwa::PS256,
        Algorithm::Ps384 => Jwa::PS384,
        Algorithm::Ps512 => Jwa::PS512,
        Algorithm::Rs256 => Jwa::RS256,
        Algorithm::Rs384 => Jwa::RS384,
        Algorithm::Rs512 => Jwa::RS512,
    }
}

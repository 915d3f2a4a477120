//! Public keys that seals are checked with.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BASE64URL, is_kid};
use crate::ed25519::is_weak;

/// Largest key set that is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;
/// Most keys in one set. A trust domain has two live keys for each service that seals.
const MAX_KEYS: usize = 256;

/// The public keys of a trust domain, by key id, and the ids of secrets that groups of its services share.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: BTreeMap<String, Key>,
}

/// What seals under a key id are made with.
#[derive(Debug, Clone)]
pub(super) enum Key {
    /// The other half of this.
    Public(ParsedPublicKey),
    /// A secret that is not said.
    Shared,
}

/// A key set that cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Over 64 KiB.
    #[error("key set has {0} bytes, over {MAX_BYTES}")]
    TooLong(usize),
    /// Over 256 keys.
    #[error("key set has {0} keys, over {MAX_KEYS}")]
    TooMany(usize),
    /// Not a JWK set (RFC 7517 section 5).
    #[error("no JWK set")]
    Json(#[source] serde_json::Error),
    /// Two keys under one id: which of them is meant would depend on who looks.
    #[error("two keys are called `{0}`")]
    DuplicateKid(String),
}

/// A key of a set that is not used. The others are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Its id, when it has a legal one.
    pub kid: Option<String>,
    /// Why.
    pub fault: KeyFault,
}

/// Why a key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Not a JWK (RFC 7517 section 4), or a member of it appears twice.
    #[error("no JSON Web Key")]
    Shape,
    /// No key id, or not 1 to 32 unreserved characters.
    #[error("no usable key id")]
    Kid,
    /// Neither `OKP` on `Ed25519` (RFC 8037 section 2) nor `oct`, which says that a secret is shared.
    #[error("no Ed25519 key")]
    Type,
    /// Its `alg` is neither `EdDSA` (RFC 8037) nor `Ed25519` (RFC 9864), or of an `oct` not `HS256`: a key has one algorithm.
    #[error("meant for another algorithm")]
    Algorithm,
    /// Its `use` or `key_ops` is not for verifying signatures.
    #[error("not meant for verifying signatures")]
    Use,
    /// It holds the private half, or the secret: whoever read the file can seal.
    #[error("holds a private key")]
    Private,
    /// Its `x` is not 32 bytes in canonical base64url, or no point of the curve.
    #[error("no public key in `x`")]
    Point,
}

#[derive(Deserialize)]
struct Set<'j> {
    #[serde(borrow)]
    keys: Vec<&'j RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Jwk {
    kty: String,
    crv: Option<String>,
    pub(super) kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    pub(super) x: Option<String>,
    pub(super) d: Option<String>,
    k: Option<String>,
}

impl Jwk {
    /// Holds the key to what every key pair of seals is: Ed25519, one algorithm, for `operation`, with a legal id.
    pub(super) fn fault(&self, operation: &str) -> Option<KeyFault> {
        if self.kty != "OKP" || self.crv.as_deref() != Some("Ed25519") {
            return Some(KeyFault::Type);
        }
        self.fault_of_use(&["EdDSA", "Ed25519"], operation)
    }

    fn fault_of_use(&self, algorithms: &[&str], operation: &str) -> Option<KeyFault> {
        if self.alg.as_deref().is_some_and(|alg| !algorithms.contains(&alg)) {
            return Some(KeyFault::Algorithm);
        }
        let other_use = self.purpose.as_deref().is_some_and(|purpose| purpose != "sig");
        if other_use || self.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == operation)) {
            return Some(KeyFault::Use);
        }
        (!self.kid.as_deref().is_some_and(is_kid)).then_some(KeyFault::Kid)
    }
}

/// Decodes 32 bytes from canonical base64url.
pub(super) fn bytes32(text: Option<&str>) -> Option<[u8; 32]> {
    BASE64URL.decode(text?).ok()?.try_into().ok()
}

impl KeySet {
    /// Reads a JWK set. A bad key is skipped and reported; the good ones serve.
    ///
    /// # Errors
    /// [`KeySetError`] when the set as a whole is not to be trusted: too large, not JSON of the right shape, or two
    /// keys under one id.
    pub fn from_jwks(json: &[u8]) -> Result<(Self, Vec<SkippedKey>), KeySetError> {
        if json.len() > MAX_BYTES {
            return Err(KeySetError::TooLong(json.len()));
        }
        let set: Set<'_> = serde_json::from_slice(json).map_err(KeySetError::Json)?;
        if set.keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany(set.keys.len()));
        }
        let (mut keys, mut skipped) = (BTreeMap::new(), Vec::new());
        for (index, raw) in set.keys.into_iter().enumerate() {
            let jwk = serde_json::from_str::<Jwk>(raw.get()).ok();
            let kid = jwk.as_ref().and_then(|jwk| jwk.kid.clone()).filter(|kid| is_kid(kid));
            match (read(jwk), kid) {
                (Ok(key), Some(kid)) => {
                    if keys.insert(kid.clone(), key).is_some() {
                        return Err(KeySetError::DuplicateKid(kid));
                    }
                }
                (Ok(_), None) => skipped.push(SkippedKey { index, kid: None, fault: KeyFault::Kid }),
                (Err(fault), kid) => skipped.push(SkippedKey { index, kid, fault }),
            }
        }
        Ok((Self { keys }, skipped))
    }

    /// Whether there is no usable key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The ids of the keys, sorted.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    pub(super) fn find(&self, kid: &str) -> Option<&Key> {
        self.keys.get(kid)
    }
}

fn read(jwk: Option<Jwk>) -> Result<Key, KeyFault> {
    let jwk = jwk.ok_or(KeyFault::Shape)?;
    if jwk.d.is_some() || jwk.k.is_some() {
        return Err(KeyFault::Private);
    }
    if jwk.kty == "oct" {
        return jwk.fault_of_use(&["HS256"], "verify").map_or(Ok(Key::Shared), Err);
    }
    if let Some(fault) = jwk.fault("verify") {
        return Err(fault);
    }
    let x = bytes32(jwk.x.as_deref()).filter(|x| !is_weak(x)).ok_or(KeyFault::Point)?;
    ParsedPublicKey::new(&ED25519, x).map(Key::Public).map_err(|_| KeyFault::Point)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{OTHER, PRIVATE, key};
    use super::*;

    #[test]
    fn a_key_has_one_use() {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let good = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"{x}"}}"#);
        for (name, jwk, fault) in [
            ("good", good.clone(), None),
            ("RFC 9864", good.replace("}", r#","alg":"Ed25519"}"#), None),
            ("a text", r#""k1""#.to_owned(), Some(KeyFault::Shape)),
            ("two ids", good.replace("}", r#","kid":"k2"}"#), Some(KeyFault::Shape)),
            ("no id", good.replace(r#""kid":"k1","#, ""), Some(KeyFault::Kid)),
            ("an id with a quote", good.replace("k1", r#"k\""#), Some(KeyFault::Kid)),
            ("a secret that is not said", r#"{"kty":"oct","kid":"k1","alg":"HS256"}"#.to_owned(), None),
            ("a secret", r#"{"kty":"oct","kid":"k1","k":"AAAA"}"#.to_owned(), Some(KeyFault::Private)),
            (
                "a secret for more than the tag",
                r#"{"kty":"oct","kid":"k1","alg":"HS512"}"#.to_owned(),
                Some(KeyFault::Algorithm),
            ),
            ("RSA", r#"{"kty":"RSA","kid":"k1","n":"AQAB","e":"AQAB"}"#.to_owned(), Some(KeyFault::Type)),
            ("X25519", good.replace("Ed25519", "X25519"), Some(KeyFault::Type)),
            ("another algorithm", good.replace("}", r#","alg":"HS256"}"#), Some(KeyFault::Algorithm)),
            ("for encryption", good.replace("}", r#","use":"enc"}"#), Some(KeyFault::Use)),
            ("for signing", good.replace("}", r#","key_ops":["sign"]}"#), Some(KeyFault::Use)),
            ("private", PRIVATE.to_owned(), Some(KeyFault::Private)),
            ("short", good.replace(x, "11qYAYKxCrfVS_7TyWQHOg"), Some(KeyFault::Point)),
            ("padded", good.replace(x, &format!("{x}=")), Some(KeyFault::Point)),
        ] {
            let (keys, skipped) =
                KeySet::from_jwks(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes()).expect("a set all the same");
            assert_eq!(skipped.first().map(|key| key.fault), fault, "{name}");
            assert_eq!(keys.is_empty(), fault.is_some(), "{name}");
        }
    }

    #[test]
    fn a_set_that_cannot_be_trusted_is_refused_whole() {
        let one = key(PRIVATE).public_jwk();
        for (name, set, expected) in [
            ("no JSON", "{".to_owned(), "no JWK set"),
            ("no list", r#"{"keys":{}}"#.to_owned(), "no JWK set"),
            ("two lists", r#"{"keys":[],"keys":[]}"#.to_owned(), "no JWK set"),
            (
                "one id twice",
                format!(r#"{{"keys":[{one},{}]}}"#, key(OTHER).public_jwk()),
                "two keys are called `k1`",
            ),
            ("many", format!(r#"{{"keys":[{}1]}}"#, "1,".repeat(256)), "key set has 257 keys, over 256"),
            (
                "long",
                format!(r#"{{"keys":[]}}{}"#, " ".repeat(65_536)),
                "key set has 65547 bytes, over 65536",
            ),
        ] {
            let error = KeySet::from_jwks(set.as_bytes()).expect_err(name);
            assert_eq!(error.to_string(), expected, "{name}");
        }
    }
}

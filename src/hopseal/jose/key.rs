//! One JSON Web Key, and all that must hold before it verifies anything.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey};
use hopseal_identity::ed25519::is_weak;
use jsonwebtoken::DecodingKey;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::json::Json;
use super::{decode, weak};
use crate::algorithm::Algorithm;

/// Why a key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFault {
    /// Not an object with the members of its kind as texts (RFC 7517 section 4).
    #[error("no JSON Web Key")]
    Shape,
    /// Its `alg` is not one that the issuer is trusted with; or it has none, and the issuer's algorithms leave a choice.
    #[error("no algorithm that is accepted, or more than one")]
    Algorithm,
    /// Its `kty` and `crv` are not those of its algorithm (RFC 7518 section 6, RFC 8037 section 2).
    #[error("not a key of its algorithm")]
    Type,
    /// Its `use` or `key_ops` is not for verifying signatures (RFC 7517 sections 4.2 and 4.3), or in a SPIFFE bundle not for
    /// JWT-SVIDs.
    #[error("not meant for verifying signatures")]
    Use,
    /// It is of a SPIFFE bundle and does not say what it is for. Those of the Workload API do not: they are of JWT-SVIDs alone, and
    /// have to be marked so where they are made part of a bundle.
    #[error("does not say what it is for")]
    NoUse,
    /// It holds a private half: whoever could read it can sign.
    #[error("holds a private key")]
    Private,
    /// Too short, or a kind of key that is known to be broken (RFC 8725 section 3.5).
    #[error("weak: {0}")]
    Weak(&'static str),
    /// Its numbers are no point of its curve, or not in canonical base64url.
    #[error("no public key")]
    Point,
    /// Another key of the set has the same id and algorithm: which of them is meant would depend on who looks.
    #[error("another key has the same id and algorithm")]
    DuplicateKid,
    /// A secret among public keys.
    #[error("a secret among public keys")]
    Secret,
}

/// A key that is in order.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    /// The one algorithm that it is used with (RFC 8725 section 3.1).
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
    /// SHA-256 of all of the above: equal where the keys are.
    pub(super) print: [u8; 32],
}

/// What keys of a set must be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// `use` is `sig`, if it is said (RFC 7517 section 4.2).
    Signatures,
    /// `use` is `jwt-svid`, and is said (SPIFFE Trust Domain and Bundle section 4.2.2).
    JwtSvids,
}

impl Purpose {
    fn check(self, said: Option<&str>) -> Result<(), KeyFault> {
        match (self, said) {
            (Self::Signatures, None | Some("sig")) | (Self::JwtSvids, Some("jwt-svid")) => Ok(()),
            (Self::JwtSvids, None) => Err(KeyFault::NoUse),
            _ => Err(KeyFault::Use),
        }
    }
}

/// Private members (RFC 7518 sections 6.2.2 and 6.3.2, RFC 8037 section 2).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

pub(super) fn is_secret(jwk: &Json) -> bool {
    jwk.get("kty").and_then(Json::as_text) == Some("oct")
}

/// A member that is a text if it is there.
fn text<'j>(jwk: &'j Json, name: &str) -> Result<Option<&'j str>, KeyFault> {
    match jwk.get(name) {
        None => Ok(None),
        Some(value) => value.as_text().map(Some).ok_or(KeyFault::Shape),
    }
}

/// The one algorithm that a JWK is for, of those allowed: the one that it names, or else the only one that it could be for.
pub(super) fn algorithm(jwk: &Json, allowed: &[Algorithm]) -> Result<Algorithm, KeyFault> {
    let (kty, curve) = (text(jwk, "kty")?.ok_or(KeyFault::Shape)?, text(jwk, "crv")?);
    match text(jwk, "alg")? {
        Some(name) => {
            let algorithm = Algorithm::parse(name).filter(|named| allowed.contains(named));
            algorithm.ok_or(KeyFault::Algorithm)
        }
        None => {
            let mut possible = allowed.iter().copied().filter(|algorithm| fits(*algorithm, kty, curve));
            match (possible.next(), possible.next()) {
                (Some(only), None) => Ok(only),
                _ => Err(KeyFault::Algorithm),
            }
        }
    }
}

impl Key {
    /// Holds a JWK to the algorithms of its issuer.
    pub(super) fn of(jwk: &Json, allowed: &[Algorithm], purpose: Purpose) -> Result<Self, KeyFault> {
        let text = |name: &str| text(jwk, name);
        let kty = text("kty")?.ok_or(KeyFault::Shape)?;
        let kid = text("kid")?.filter(|kid| !kid.is_empty()).map(str::to_owned);
        purpose.check(text("use")?)?;
        let verifies = |operations: &[Json]| operations.iter().any(|name| name.as_text() == Some("verify"));
        match jwk.get("key_ops") {
            None => {}
            Some(Json::List(operations)) if verifies(operations) => {}
            Some(Json::List(_)) => return Err(KeyFault::Use),
            Some(_) => return Err(KeyFault::Shape),
        }
        if PRIVATE.into_iter().any(|name| jwk.get(name).is_some()) {
            return Err(KeyFault::Private);
        }
        let algorithm = algorithm(jwk, allowed)?;
        if !fits(algorithm, kty, text("crv")?) {
            return Err(KeyFault::Type);
        }
        let mut print = Sha256::new();
        for part in [kid.as_deref().unwrap_or_default(), algorithm.as_str()] {
            print.update(part.len().to_le_bytes());
            print.update(part);
        }
        let mut bytes = |name| {
            let bytes = text(name)?.and_then(decode).ok_or(KeyFault::Point)?;
            print.update(bytes.len().to_le_bytes());
            print.update(&bytes);
            Ok::<_, KeyFault>(bytes)
        };
        let decoding = match kty {
            "RSA" => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                if let Some(why) = weak::rsa(&n, &e) {
                    return Err(KeyFault::Weak(why));
                }
                DecodingKey::from_rsa_raw_components(&n, &e)
            }
            "EC" => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                let (length, curve) = match algorithm {
                    Algorithm::Es384 => (48, &ECDSA_P384_SHA384_FIXED),
                    _ => (32, &ECDSA_P256_SHA256_FIXED),
                };
                if x.len() != length || y.len() != length {
                    return Err(KeyFault::Point);
                }
                let point = [&[4], x.as_slice(), y.as_slice()].concat(); // SEC 1 section 2.3.3, uncompressed
                ParsedPublicKey::new(curve, &point).map_err(|_| KeyFault::Point)?;
                DecodingKey::from_ec_der(&point)
            }
            "OKP" => {
                let x = bytes("x")?;
                // 32 bytes and no other form of a key (RFC 8037 section 2).
                let point: &[u8; 32] = x.as_slice().try_into().map_err(|_| KeyFault::Point)?;
                if is_weak(point) {
                    return Err(KeyFault::Point);
                }
                ParsedPublicKey::new(&ED25519, &x).map_err(|_| KeyFault::Point)?;
                DecodingKey::from_ed_der(&x)
            }
            _ => {
                let secret = Zeroizing::new(bytes("k")?);
                // RFC 7518 section 3.2: a key of the size of the hash or larger.
                let least = match algorithm {
                    Algorithm::Hs384 => 48,
                    Algorithm::Hs512 => 64,
                    _ => 32,
                };
                if secret.len() < least {
                    return Err(KeyFault::Weak("a secret shorter than the hash"));
                }
                DecodingKey::from_secret(&secret)
            }
        };
        Ok(Self { kid, algorithm, decoding, print: print.finalize().into() })
    }
}

/// Whether an algorithm goes with that kind of key and curve.
fn fits(algorithm: Algorithm, kty: &str, curve: Option<&str>) -> bool {
    match algorithm {
        Algorithm::EdDsa => (kty, curve) == ("OKP", Some("Ed25519")),
        Algorithm::Es256 => (kty, curve) == ("EC", Some("P-256")),
        Algorithm::Es384 => (kty, curve) == ("EC", Some("P-384")),
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => kty == "oct",
        Algorithm::Ps256
        | Algorithm::Ps384
        | Algorithm::Ps512
        | Algorithm::Rs256
        | Algorithm::Rs384
        | Algorithm::Rs512 => kty == "RSA",
    }
}

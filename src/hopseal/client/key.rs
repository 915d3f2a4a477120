//! A key that we sign with.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::clock::UnixTime;

/// A private key for EdDSA (Ed25519) or ES256, with the id that its public half goes by.
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    pair: Arc<Pair>,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.kid)
    }
}

/// No key that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no private key for Ed25519 or P-256 in PKCS #8")]
pub struct SigningKeyError;

impl SigningKey {
    /// Reads a private key in PKCS #8, in DER.
    ///
    /// # Errors
    /// [`SigningKeyError`] for any other.
    pub fn from_pkcs8(kid: impl Into<String>, der: &[u8]) -> Result<Self, SigningKeyError> {
        let ed25519 = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Pair::Ed25519);
        let p256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Pair::P256);
        let pair = ed25519().or_else(|_| p256()).map_err(|_| SigningKeyError)?;
        Ok(Self { kid: kid.into(), pair: Arc::new(pair) })
    }

    /// A key of Ed25519, and its public half as a JWK.
    #[cfg(test)]
    pub(crate) fn generate(kid: &str) -> Result<(Self, String), SigningKeyError> {
        use aws_lc_rs::signature::KeyPair as _;
        let pair = Ed25519KeyPair::generate().map_err(|_| SigningKeyError)?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"}}"#);
        Ok((Self { kid: kid.to_owned(), pair: Arc::new(Pair::Ed25519(pair)) }, jwk))
    }

    /// An assertion of who we are (RFC 7523 section 3).
    pub(super) fn assertion(
        &self,
        id: &str,
        audience: &str,
        now: UnixTime,
        seconds: u64,
    ) -> Zeroizing<String> {
        let claims = json!({
            "iss": id, "sub": id, "aud": audience, "jti": random(), "iat": now.0, "exp": now.plus(seconds).0,
        });
        self.sign("JWT", &claims)
    }

    /// A JWS of claims, in compact form.
    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> Zeroizing<String> {
        let alg = match *self.pair {
            Pair::Ed25519(_) => "EdDSA",
            Pair::P256(_) => "ES256",
        };
        let header = json!({"alg": alg, "typ": typ, "kid": self.kid}).to_string();
        let mut token = Zeroizing::new(format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        ));
        let signature = match &*self.pair {
            Pair::Ed25519(pair) => pair.sign(token.as_bytes()).as_ref().to_vec(),
            // It fails only where the system has no randomness; what is empty verifies nowhere.
            Pair::P256(pair) => pair
                .sign(&SystemRandom::new(), token.as_bytes())
                .map(|signature| signature.as_ref().to_vec())
                .unwrap_or_default(),
        };
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        token
    }
}

/// 128 bits that come once.
fn random() -> String {
    let mut bytes = [0; 16];
    // Where the system has no randomness, the server refuses what it has seen.
    let _ = SystemRandom::new().fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, KeyPair as _};

    use super::*;
    use crate::algorithm::Algorithm;
    use crate::jose::{Compact, KeySet};

    #[test]
    fn keys_are_read_and_what_they_sign_verifies() {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .expect("a key");
        let key = SigningKey::from_pkcs8("k1", pkcs8.as_ref()).expect("read");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).expect("read");
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let jwks = format!(r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"k1","x":"{x}","y":"{y}"}}]}}"#);
        let (keys, _) = KeySet::from_jwks(jwks.as_bytes(), &[Algorithm::Es256]).expect("a set");
        let token = key.sign("JWT", &json!({"sub": "a"}));
        let compact = Compact::parse(&token).expect("a token");
        assert_eq!(keys.verify(&compact), Ok(&br#"{"sub":"a"}"#[..]));
        assert_eq!(format!("{key:?}"), "SigningKey(k1)");
        assert_eq!(SigningKey::from_pkcs8("k1", b"x").map(drop), Err(SigningKeyError));
    }
}

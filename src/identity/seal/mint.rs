//! Making a seal.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use zeroize::Zeroizing;

use super::check::{MAX_LIFETIME, REQUIRED, times};
use super::key_set::{Jwk, KeyFault, bytes32};
use super::{BASE64URL, Binding, Header, Members, is_kid, signing_input};

/// A private key that seals, under its key id. Shown nowhere: its `Debug` names the id alone.
pub struct SealingKey {
    kid: String,
    pair: Ed25519KeyPair,
}

/// A private key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealingKeyError {
    /// Not 1 to 32 unreserved characters.
    #[error("`{0}` is no key id of a seal")]
    Kid(String),
    /// Not one `PRIVATE KEY` block (RFC 7468 section 10).
    #[error("no PEM block `PRIVATE KEY`")]
    Pem,
    /// Not PKCS#8 (RFC 5958) of an Ed25519 key, or its halves do not belong together.
    #[error("no Ed25519 key in PKCS#8")]
    Pkcs8,
    /// Not JSON of the shape of a JWK. What was read is not repeated: it may hold the key.
    #[error("no JSON Web Key")]
    Json,
    /// A JWK that is not for sealing.
    #[error("unusable JSON Web Key")]
    Jwk(#[source] KeyFault),
    /// A JWK without a private half, or one that does not belong to `x`.
    #[error("no private key in `d` that belongs to `x`")]
    NoPrivate,
    /// The system has no randomness to make a key of.
    #[error("no randomness for a key")]
    Randomness,
}

/// Members that must not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MintError {
    /// A member that every seal covers is not there.
    #[error("`{0}` is not there to be sealed")]
    Incomplete(&'static str),
    /// `iat` and `exp` are not plain seconds with `exp` 1 to 300 s after `iat`.
    #[error("a seal lives from `iat` for 1 to {MAX_LIFETIME} seconds")]
    Lifetime,
    /// The cryptographic library declined to sign.
    #[error("not signed")]
    Sign,
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealingKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl SealingKey {
    /// Reads a key from PKCS#8 DER, as `openssl genpkey -algorithm ed25519 -outform DER` writes it.
    ///
    /// # Errors
    /// [`SealingKeyError::Kid`], [`SealingKeyError::Pkcs8`].
    pub fn from_pkcs8_der(kid: &str, der: &[u8]) -> Result<Self, SealingKeyError> {
        if !is_kid(kid) {
            return Err(SealingKeyError::Kid(kid.to_owned()));
        }
        let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| SealingKeyError::Pkcs8)?;
        Ok(Self { kid: kid.to_owned(), pair })
    }

    /// Reads a key from PKCS#8 PEM.
    ///
    /// # Errors
    /// [`SealingKeyError::Kid`], [`SealingKeyError::Pem`], [`SealingKeyError::Pkcs8`].
    pub fn from_pkcs8_pem(kid: &str, pem: &str) -> Result<Self, SealingKeyError> {
        let body = pem
            .trim()
            .strip_prefix("-----BEGIN PRIVATE KEY-----")
            .and_then(|rest| rest.strip_suffix("-----END PRIVATE KEY-----"))
            .ok_or(SealingKeyError::Pem)?;
        let mut packed = Zeroizing::new(String::with_capacity(body.len()));
        packed.extend(body.split_ascii_whitespace());
        let der = base64::engine::general_purpose::STANDARD
            .decode(packed.as_bytes())
            .map_err(|_| SealingKeyError::Pem)?;
        Self::from_pkcs8_der(kid, &Zeroizing::new(der))
    }

    /// Reads a private key from a JWK (RFC 8037 section 2); its id is the key's `kid`.
    ///
    /// # Errors
    /// [`SealingKeyError::Json`], [`SealingKeyError::Jwk`], [`SealingKeyError::NoPrivate`].
    pub fn from_jwk(json: &[u8]) -> Result<Self, SealingKeyError> {
        let mut jwk: Jwk = serde_json::from_slice(json).map_err(|_| SealingKeyError::Json)?;
        let private = Zeroizing::new(jwk.d.take().unwrap_or_default());
        if let Some(fault) = jwk.fault("sign") {
            return Err(SealingKeyError::Jwk(fault));
        }
        let kid = jwk.kid.ok_or(SealingKeyError::Jwk(KeyFault::Kid))?;
        let seed = Zeroizing::new(bytes32(Some(&private)).ok_or(SealingKeyError::NoPrivate)?);
        let public = bytes32(jwk.x.as_deref()).ok_or(SealingKeyError::NoPrivate)?;
        let pair = Ed25519KeyPair::from_seed_and_public_key(&*seed, &public)
            .map_err(|_| SealingKeyError::NoPrivate)?;
        Ok(Self { kid, pair })
    }

    /// Makes a new key, as a private JWK (RFC 8037 section 2) for [`from_jwk`](Self::from_jwk): to be kept where nobody else reads it.
    ///
    /// # Errors
    /// [`SealingKeyError::Kid`], [`SealingKeyError::Randomness`].
    pub fn new_jwk(kid: &str) -> Result<Zeroizing<String>, SealingKeyError> {
        if !is_kid(kid) {
            return Err(SealingKeyError::Kid(kid.to_owned()));
        }
        let mut seed = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *seed).map_err(|_| SealingKeyError::Randomness)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| SealingKeyError::Randomness)?;
        let (d, x) = (Zeroizing::new(BASE64URL.encode(*seed)), BASE64URL.encode(pair.public_key()));
        // Room for all of it: what a text leaves behind as it grows is not wiped.
        let mut jwk = Zeroizing::new(String::with_capacity(256));
        for part in [
            r#"{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":""#,
            kid,
            r#"","d":""#,
            &d,
            r#"","x":""#,
            &x,
            r#""}"#,
        ] {
            jwk.push_str(part);
        }
        Ok(jwk)
    }

    /// Its key id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as one key of a JWK set.
    #[must_use]
    pub fn public_jwk(&self) -> String {
        let (kid, x) = (&self.kid, BASE64URL.encode(self.pair.public_key()));
        format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","alg":"EdDSA","use":"sig","x":"{x}"}}"#)
    }

    /// Seals `members`.
    ///
    /// # Errors
    /// [`MintError::Incomplete`], [`MintError::Lifetime`]: nothing is sealed that a check would not accept.
    pub fn seal(&self, binding: &Binding<'_>, members: &Members<'_>) -> Result<String, MintError> {
        if let Some(missing) = REQUIRED.into_iter().find(|name| members.get(name).is_none()) {
            return Err(MintError::Incomplete(missing));
        }
        let (iat, exp) = times(members).ok_or(MintError::Lifetime)?;
        if !(1..=MAX_LIFETIME).contains(&exp.saturating_sub(iat)) {
            return Err(MintError::Lifetime);
        }
        let header = Header { alg: "EdDSA", kid: &self.kid, trace_prefix: binding.trace_prefix() };
        let protected = BASE64URL.encode(header.write());
        let input = signing_input(&protected, binding, members);
        let signature = self.pair.try_sign(input.as_bytes()).map_err(|_| MintError::Sign)?;
        Ok(format!("{protected}..{}", BASE64URL.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DOMAIN, PRIVATE, TRACE, binding, key, members, sent};
    use super::*;
    use crate::attribute::{EXP, IAT, SEALED_MEMBERS, SUB, TENANT};

    #[test]
    fn nothing_is_sealed_that_would_not_be_accepted() {
        let edited = |name: &str, value: Option<&str>| {
            let mut sent = sent();
            sent.retain(|(member, _)| *member != name);
            if let (Some(value), Some(name)) = (value, SEALED_MEMBERS.iter().find(|member| **member == name))
            {
                sent.push((name, value.to_owned()));
            }
            key(PRIVATE).seal(&binding(DOMAIN, TRACE), &members(&sent))
        };
        for (name, value, fault) in [
            (SUB, None, MintError::Incomplete(SUB)),
            (IAT, None, MintError::Incomplete(IAT)),
            (EXP, Some("1767225600"), MintError::Lifetime),
            (EXP, Some("1767225901"), MintError::Lifetime),
            (EXP, Some("01767225900"), MintError::Lifetime),
            (IAT, Some("soon"), MintError::Lifetime),
        ] {
            assert_eq!(edited(name, value), Err(fault), "{name} {value:?}");
        }
        assert!(edited(TENANT, None).is_ok());
    }

    #[test]
    fn private_keys_are_read_in_three_shapes_and_never_shown() {
        // The key of PRIVATE, as `openssl pkey` writes it.
        let der = [
            &[0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20]
                [..],
            &BASE64URL.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("base64url"),
        ]
        .concat();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            base64::engine::general_purpose::STANDARD.encode(&der)
        );
        let from_der = SealingKey::from_pkcs8_der("k1", &der).expect("DER");
        let from_pem = SealingKey::from_pkcs8_pem("k1", &pem).expect("PEM");
        let from_jwk = key(PRIVATE);
        assert_eq!(from_der.public_jwk(), from_jwk.public_jwk());
        assert_eq!(from_pem.public_jwk(), from_jwk.public_jwk());
        assert_eq!(format!("{from_jwk:?}"), r#"SealingKey { kid: "k1", .. }"#);
        for (name, jwk, expected) in [
            ("no JSON", "nWGxne_9Wm".to_owned(), "no JSON Web Key"),
            (
                "the halves of two keys",
                PRIVATE.replace("11qYAYKx", "PUAXw-hD"),
                "no private key in `d` that belongs to `x`",
            ),
            ("public", PRIVATE.replace(r#""d""#, r#""e""#), "no private key in `d` that belongs to `x`"),
            ("another curve", PRIVATE.replace("Ed25519", "P-256"), "unusable JSON Web Key"),
        ] {
            let error = SealingKey::from_jwk(jwk.as_bytes()).expect_err(name);
            assert_eq!(error.to_string(), expected, "{name}");
            assert!(!format!("{error:?}").contains("nWGx"), "{name} shows the key");
        }
        assert!(matches!(SealingKey::from_pkcs8_pem("k1", "key"), Err(SealingKeyError::Pem)));
        assert!(matches!(SealingKey::from_pkcs8_der("k1", &der[1..]), Err(SealingKeyError::Pkcs8)));
        assert!(matches!(SealingKey::from_pkcs8_der("k 1", &der), Err(SealingKeyError::Kid(_))));
    }

    #[test]
    fn a_new_key_is_read_back_and_is_another_each_time() {
        let [one, other] = ["k1", "k1"].map(|kid| SealingKey::new_jwk(kid).expect("a key"));
        let read = SealingKey::from_jwk(one.as_bytes()).expect("a private key");
        assert_eq!(read.kid(), "k1");
        assert_ne!(read.public_jwk(), SealingKey::from_jwk(other.as_bytes()).expect("another").public_jwk());
        assert!(read.seal(&binding(DOMAIN, TRACE), &members(&sent())).is_ok());
        assert!(matches!(SealingKey::new_jwk("k 1"), Err(SealingKeyError::Kid(_))));
    }
}

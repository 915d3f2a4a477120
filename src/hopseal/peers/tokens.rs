//! The tokens that all are given: of RFC 9068, signed anew at each run.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub const ISSUER: &str = "https://id.example";
pub const AUDIENCE: &str = "orders";
pub const SUBJECT: &str = "0b7e3a52-9d1c-4f0e-8a37";
pub const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];

/// A token, and what verifies it.
pub struct Signed {
    pub algorithm: &'static str,
    pub token: String,
    /// A JWK set.
    pub jwks: String,
    signature: Vec<u8>,
    public: Vec<u8>,
    by: &'static dyn VerificationAlgorithm,
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signed {
    pub fn new(algorithm: &'static str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let header = format!(r#"{{"alg":"{algorithm}","typ":"at+jwt","kid":"k1"}}"#);
        let claims = format!(
            r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"{SUBJECT}","client_id":"shop","jti":"d3a1c0f2","iat":{now},"exp":{},"scope":"orders:read orders:write","tid":"acme","sid":"s-81c2d4f0"}}"#,
            now + 3600
        );
        let body = format!("{}.{}", encoded(header), encoded(claims));
        let (random, message) = (SystemRandom::new(), body.as_bytes());
        let (signature, jwk, public, by): (_, _, _, &'static dyn VerificationAlgorithm) = match algorithm {
            "EdDSA" => {
                let pair = Ed25519KeyPair::generate().unwrap();
                let x = encoded(pair.public_key());
                let jwk = format!(r#""kty":"OKP","crv":"Ed25519","x":"{x}""#);
                (pair.sign(message).as_ref().to_vec(), jwk, pair.public_key().as_ref().to_vec(), &ED25519)
            }
            "ES256" => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                let public = pair.public_key().as_ref().to_vec();
                let (x, y) = (encoded(&public[1..33]), encoded(&public[33..]));
                let jwk = format!(r#""kty":"EC","crv":"P-256","x":"{x}","y":"{y}""#);
                (
                    pair.sign(&random, message).unwrap().as_ref().to_vec(),
                    jwk,
                    public,
                    &ECDSA_P256_SHA256_FIXED,
                )
            }
            _ => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                let n = encoded(pair.public_key().modulus().big_endian_without_leading_zero());
                let jwk = format!(r#""kty":"RSA","n":"{n}","e":"AQAB""#);
                (signature, jwk, pair.public_key().as_ref().to_vec(), &RSA_PKCS1_2048_8192_SHA256)
            }
        };
        Self {
            algorithm,
            token: format!("{body}.{}", encoded(&signature)),
            jwks: format!(r#"{{"keys":[{{"kid":"k1","use":"sig","alg":"{algorithm}",{jwk}}}]}}"#),
            signature,
            public,
            by,
        }
    }

    /// The arithmetic alone.
    pub fn bare(&self) -> bool {
        let message = self.token.rsplit_once('.').unwrap().0;
        signature::UnparsedPublicKey::new(self.by, &self.public)
            .verify(message.as_bytes(), &self.signature)
            .is_ok()
    }
}

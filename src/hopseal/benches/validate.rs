//! What it costs to validate a credential: by algorithm, and where it was validated before.
//!
//! The tokens are of about 400 bytes. The clock stands still, so that a remembered answer is never too old.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopseal::keys::FixedKeys;
use hopseal::{CacheConfig, Credential, Registry, Token, UnixTime, Validated, Validator};
use pasetors::keys::{AsymmetricKeyPair, Generate as _};
use pasetors::paserk::FormatAsPaserk as _;
use pasetors::version4::{PublicToken, V4};

const NOW: UnixTime = UnixTime(1_800_000_000);
const CLAIMS: &str = r#"{"iss":"https://id.example","aud":"orders","sub":"0b7e3a52-9d1c-4f0e-8a37","client_id":"shop",
    "jti":"d3a1c0f2","iat":1800000000,"exp":1800000600,"scope":"orders:read orders:write","tid":"acme","sid":"s-81c2d4f0"}"#;

fn main() {
    divan::main();
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token, and a validator that trusts its key.
fn signed(algorithm: &str) -> Option<(Token, Validator<FixedKeys>)> {
    let body = format!(
        "{}.{}",
        encoded(format!(r#"{{"alg":"{algorithm}","typ":"at+jwt","kid":"k1"}}"#)),
        encoded(CLAIMS)
    );
    let (random, message) = (SystemRandom::new(), body.as_bytes());
    let (signature, jwk) = match algorithm {
        "HS256" => {
            let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), message);
            (signature.as_ref().to_vec(), format!(r#""kty":"oct","k":"{}""#, encoded([7; 32])))
        }
        "EdDSA" => {
            let pair = Ed25519KeyPair::generate().ok()?;
            let x = encoded(pair.public_key());
            (pair.sign(message).as_ref().to_vec(), format!(r#""kty":"OKP","crv":"Ed25519","x":"{x}""#))
        }
        "ES256" => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
            let (x, y) = pair.public_key().as_ref().get(1..)?.split_at_checked(32)?;
            let jwk = format!(r#""kty":"EC","crv":"P-256","x":"{}","y":"{}""#, encoded(x), encoded(y));
            (pair.sign(&random, message).ok()?.as_ref().to_vec(), jwk)
        }
        _ => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
            let n = encoded(pair.public_key().modulus().big_endian_without_leading_zero());
            (signature, format!(r#""kty":"RSA","n":"{n}","e":"AQAB""#))
        }
    };
    let yaml = format!(
        "issuers: [{{name: a, kind: static, issuer: 'https://id.example', audiences: [orders], \
         algorithms: [{algorithm}], claims: {{tenant: tid}}, jwks: '{{\"keys\":[{{\"kid\":\"k1\",{jwk}}}]}}'}}]"
    );
    let validator = Validator::fixed(&Registry::from_yaml(&yaml).ok()?).ok()?.clock(NOW);
    Some((Token::new(format!("{body}.{}", encoded(signature))), validator))
}

/// Validates it once, and whether it was good.
fn validate(validator: &Validator<FixedKeys>, token: &Token, credential: Credential) -> bool {
    let future = pin!(validator.validate(token, credential));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(validated)) => matches!(validated, Validated::Verified(_)),
        Poll::Ready(Err(_)) | Poll::Pending => false,
    }
}

#[divan::bench(args = ["HS256", "RS256", "ES256", "EdDSA"])]
fn anew(bencher: divan::Bencher<'_, '_>, algorithm: &str) {
    let Some((token, validator)) = signed(algorithm) else { return };
    assert!(validate(&validator, &token, Credential::AccessToken));
    bencher.bench_local(|| validate(&validator, &token, Credential::AccessToken));
}

#[divan::bench]
fn remembered(bencher: divan::Bencher<'_, '_>) {
    let Some((token, validator)) = signed("ES256") else { return };
    let validator = validator.cache(CacheConfig::default());
    assert!(validate(&validator, &token, Credential::AccessToken));
    bencher.bench_local(|| validate(&validator, &token, Credential::AccessToken));
}

#[divan::bench]
fn wrong_signature_remembered(bencher: divan::Bencher<'_, '_>) {
    let (Some((token, _)), Some((_, other))) = (signed("ES256"), signed("ES256")) else { return };
    let validator = other.cache(CacheConfig::default());
    assert!(!validate(&validator, &token, Credential::AccessToken));
    bencher.bench_local(|| validate(&validator, &token, Credential::AccessToken));
}

#[divan::bench]
fn paseto_public(bencher: divan::Bencher<'_, '_>) {
    const CLAIMS: &str = r#"{"iss":"a.example","aud":"orders","sub":"0b7e3a52-9d1c-4f0e-8a37","client_id":"shop","jti":"d3a1",
        "iat":"2027-01-15T08:00:00Z","exp":"2027-01-15T08:10:00Z","scope":"orders:read orders:write","sid":"s-81c2d4f0"}"#;
    let Ok(pair) = AsymmetricKeyPair::<V4>::generate() else { return };
    let mut paserk = String::new();
    let yaml = match pair.public.fmt(&mut paserk) {
        Ok(()) => format!(
            "issuers: [{{name: a, kind: paseto, issuer: a.example, paserk: [{paserk}], audiences: [orders]}}]"
        ),
        Err(_) => return,
    };
    let (Ok(registry), Ok(token)) =
        (Registry::from_yaml(&yaml), PublicToken::sign(&pair.secret, CLAIMS.as_bytes(), None, None))
    else {
        return;
    };
    let validator = Validator::new(&registry, FixedKeys::default()).clock(NOW);
    let token = Token::new(token);
    assert!(validate(&validator, &token, Credential::Paseto));
    bencher.bench_local(|| validate(&validator, &token, Credential::Paseto));
}

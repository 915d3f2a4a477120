//! What issues the credentials of these examples, so that they run by themselves. In a service, somebody else does.
#![allow(dead_code, reason = "no example uses all of it")]
#![expect(clippy::print_stdout, reason = "examples say what they found")]

use std::error::Error;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopseal::{Clock as _, SystemClock, Undecided, Validated};

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

pub(crate) fn now() -> u64 {
    SystemClock.now().0
}

/// A JWS of a header and a payload, by a key that is made for it; and the JWK set that verifies it.
pub(crate) fn eddsa(header: &str, claims: &str) -> Result<(String, String), Box<dyn Error>> {
    let pair = Ed25519KeyPair::generate()?;
    let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let token = format!("{body}.{}", URL_SAFE_NO_PAD.encode(pair.sign(body.as_bytes())));
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    Ok((token, format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"{x}"}}]}}"#)))
}

/// The same by ES256, with the JWK set as a SPIFFE bundle.
pub(crate) fn es256(header: &str, claims: &str) -> Result<(String, String), Box<dyn Error>> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
    let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = pair.sign(&SystemRandom::new(), body.as_bytes())?;
    let token = format!("{body}.{}", URL_SAFE_NO_PAD.encode(signature));
    let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
    let (x, y) = point.split_at_checked(32).ok_or("no point")?;
    let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
    Ok((
        token,
        format!(
            r#"{{"keys":[{{"kty":"EC","crv":"P-256","kid":"k1","use":"jwt-svid","x":"{x}","y":"{y}"}}]}}"#
        ),
    ))
}

/// Says what came of a credential, and what a service would answer.
pub(crate) fn say(said: &Result<Validated, Undecided>) {
    match said {
        Ok(Validated::Verified(verified)) => {
            let (who, how) = (verified.principal(), verified.evidence());
            println!("200: {:?} `{}` of `{}`, by {}", who.kind, who.id, how.issuer, how.method());
        }
        Ok(Validated::Refused(refused)) => println!("401: {refused}"),
        Err(undecided) => println!("503: {undecided}"),
    }
}

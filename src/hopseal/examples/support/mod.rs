//! What issues the credentials of these examples, so that they run by themselves. In a service, somebody else does.
#![allow(dead_code, reason = "no example uses all of it")]
#![expect(clippy::print_stdout, reason = "examples say what they found")]

use std::error::Error;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hopseal::{Clock as _, SystemClock, Undecided, Validated};
use sha2::{Digest as _, Sha256};

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

/// A client with a key of its own, which proves that it holds it.
pub(crate) struct Client(Ed25519KeyPair);

impl Client {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Self(Ed25519KeyPair::generate()?))
    }

    fn jwk(&self) -> String {
        format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(self.0.public_key()))
    }

    /// RFC 7638 section 3.
    pub(crate) fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.jwk()))
    }

    /// A proof of these claims (RFC 9449 section 4.2).
    pub(crate) fn sign(&self, claims: &str) -> String {
        let header = format!(r#"{{"typ":"dpop+jwt","alg":"EdDSA","jwk":{}}}"#, self.jwk());
        let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        format!("{body}.{}", URL_SAFE_NO_PAD.encode(self.0.sign(body.as_bytes())))
    }
}

/// Says what came of a credential, and what a service would answer, which is to be this status.
pub(crate) fn say(status: u16, said: &Result<Validated, Undecided>) -> Outcome {
    let found = match said {
        Ok(Validated::Verified(_)) => 200,
        Ok(Validated::Refused(_)) => 401,
        Err(_) => 503,
    };
    match said {
        Ok(Validated::Verified(verified)) => {
            let (who, how) = (verified.principal(), verified.evidence());
            println!("200: {:?} `{}` of `{}`, by {}", who.kind, who.id, how.issuer, how.method());
        }
        Ok(Validated::Refused(refused)) => println!("401: {refused}"),
        Err(undecided) => println!("503: {undecided}"),
    }
    if found == status { Ok(()) } else { Err(format!("it was to be {status}").into()) }
}

/// A certificate of a workload for the day 2027-01-15, that of [`THEN`], in DER, by a new authority of its trust domain.
#[cfg(feature = "spiffe")]
pub(crate) fn svid(
    id: &str,
) -> Result<(Vec<u8>, rcgen::CertifiedIssuer<'static, rcgen::KeyPair>), Box<dyn Error>> {
    let authority = authority()?;
    let mut params = rcgen::CertificateParams::default();
    params.subject_alt_names = vec![rcgen::SanType::URI(id.try_into()?)];
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.not_before = rcgen::date_time_ymd(2027, 1, 15);
    params.not_after = rcgen::date_time_ymd(2027, 1, 16);
    Ok((params.signed_by(&rcgen::KeyPair::generate()?, &authority)?.der().to_vec(), authority))
}

/// 2027-01-15 08:00:00 UTC.
#[cfg(feature = "spiffe")]
pub(crate) const THEN: hopseal::UnixTime = hopseal::UnixTime(1_800_000_000);

#[cfg(feature = "spiffe")]
pub(crate) fn authority() -> Result<rcgen::CertifiedIssuer<'static, rcgen::KeyPair>, rcgen::Error> {
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate()?)
}

//! A workload's X.509-SVID (SPIFFE): the certificate that it showed, against the authorities of its trust domain. That it holds the
//! key is for TLS to have seen.
//!
//!     cargo run -p hopseal --features spiffe --example x509_svid
mod support;

use hopseal::keys::FixedKeys;
use hopseal::{Chain, Registry, Validator, X509Bundle};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn main() -> support::Outcome {
    let (ours, another) = (authority()?, authority()?);
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI("spiffe://prod.example/cart".try_into()?)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.not_before = date_time_ymd(2027, 1, 15);
    params.not_after = date_time_ymd(2027, 1, 16);
    let leaf = params.signed_by(&KeyPair::generate()?, &ours)?;

    let registry = Registry::from_yaml(
        "issuers: [{name: mesh, kind: spiffe, issuer: prod.example, audiences: [orders], algorithms: [ES256], jwks: '{\"keys\":[]}'}]",
    )?;
    // The certificate is of a day that stands in it.
    let validator = Validator::new(registry, FixedKeys::default()).clock(hopseal::UnixTime(1_800_000_000));
    for authority in [&ours, &another] {
        let bundle = X509Bundle::from_der("prod.example", [authority.der().as_ref()])?;
        support::say(&Ok(validator.validate_peer(&[leaf.der().as_ref()], Chain::Against(&bundle))));
    }
    Ok(())
}

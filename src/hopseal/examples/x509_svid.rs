//! A workload's X.509-SVID (SPIFFE): the certificate that it showed, against the authorities of its trust domain. That it holds the
//! key is for TLS to have seen.
//!
//!     cargo run -p hopseal --features spiffe --example x509_svid
mod support;

use hopseal::keys::FixedKeys;
use hopseal::{Chain, Registry, Validator, X509Bundle};

fn main() -> support::Outcome {
    let (certificate, ours) = support::svid("spiffe://prod.example/cart")?;
    let another = support::authority()?;
    let registry = Registry::from_yaml(
        "issuers: [{name: mesh, kind: spiffe, issuer: prod.example, audiences: [orders], algorithms: [ES256], jwks: '{\"keys\":[]}'}]",
    )?;
    let validator = Validator::new(&registry, FixedKeys::default()).clock(support::THEN);
    for (authority, status) in [(&ours, 200), (&another, 401)] {
        let bundle = X509Bundle::from_der("prod.example", [authority.der().as_ref()])?;
        support::say(status, &Ok(validator.validate_peer(&[&certificate], Chain::Against(&bundle))))?;
    }
    Ok(())
}

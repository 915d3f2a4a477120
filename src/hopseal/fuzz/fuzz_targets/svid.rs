#![no_main]

use std::sync::LazyLock;

use hopseal::keys::FixedKeys;
use hopseal::{Chain, Registry, Validated, Validator, X509Bundle};
use hopseal_fuzz::NOW;
use libfuzzer_sys::fuzz_target;

static VALIDATOR: LazyLock<Validator<FixedKeys>> = LazyLock::new(|| {
    let registry = Registry::from_yaml(
        "issuers: [{name: mesh, kind: spiffe, issuer: prod.example, jwks: '{\"keys\":[]}', audiences: [a], algorithms: [ES256]}]",
    );
    Validator::fixed(&registry.expect("a registry")).expect("keys").clock(NOW)
});

fuzz_target!(|der: &[u8]| {
    if let Validated::Verified(verified) = VALIDATOR.validate_peer(&[der], Chain::ByTls) {
        assert!(verified.principal().id.starts_with("spiffe://prod.example/"));
        assert!(verified.principal().expiry.plus(hopseal::CLOCK_SKEW) >= NOW);
    }
    if let Ok(bundle) = X509Bundle::from_der("prod.example", [der]) {
        // A certificate that nobody signed is no workload's.
        let validated = VALIDATOR.validate_peer(&[der, der], Chain::Against(&bundle));
        assert!(validated.refused().is_some(), "{validated:?}");
    }
    drop(X509Bundle::from_spiffe_bundle("prod.example", der));
});

#![no_main]

use hopseal::Registry;
use hopseal::keys::FixedKeys;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(registry) = Registry::from_yaml(text) else { return };
    assert_eq!(registry.version().len(), 16);
    for issuer in registry.issuers() {
        assert!(issuer.skew() <= 300 && issuer.max_lifetime() > 0);
        let symmetric = issuer.algorithms().iter().filter(|algorithm| algorithm.is_symmetric()).count();
        assert!(symmetric == 0 || symmetric == issuer.algorithms().len());
        assert_eq!(registry.issuer(issuer.name()).map(|found| found.id()), Some(issuer.id()));
    }
    let again = Registry::from_yaml(text).expect("read before");
    assert_eq!(again.version(), registry.version());
    drop(FixedKeys::of(&registry));
});

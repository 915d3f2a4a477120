#![no_main]

use hopseal::Algorithm;
use hopseal::jose::KeySet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let sets = [
        KeySet::from_jwks(bytes, &Algorithm::ALL),
        KeySet::from_spiffe_bundle(bytes, &[Algorithm::Es256, Algorithm::Rs256]),
        KeySet::from_secrets(bytes, &[Algorithm::Hs256, Algorithm::Hs512]),
    ];
    for (keys, skipped) in sets.into_iter().flatten() {
        assert!(keys.len() + skipped.len() <= 100);
        assert!(skipped.iter().all(|key| key.kid.as_ref().is_none_or(|kid| kid.len() < 800)));
    }
});

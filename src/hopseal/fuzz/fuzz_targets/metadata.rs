#![no_main]

use hopseal::Registry;
use hopseal::http::{Address, Fetch, Fetching, Reach, Request};
use hopseal::keys::{KeyStore, Metadata};
use hopseal_fuzz::NOW;
use libfuzzer_sys::fuzz_target;

const ID: &str = "https://id.example";

#[derive(Debug)]
struct Nobody;

impl Fetch for Nobody {
    fn fetch(&self, _: Request) -> Fetching<'_> {
        unreachable!("nothing is fetched")
    }
}

// Metadata documents and the addresses in them, and snapshots of keys.
fuzz_target!(|bytes: &[u8]| {
    if let Ok(metadata) = Metadata::read(bytes, ID) {
        let document = Address::parse(ID, Reach::Named).expect("an address");
        for address in metadata.jwks_uri.iter().filter_map(|uri| document.named_by(uri).ok()) {
            assert!(address.as_str().starts_with("https://"), "{address:?}");
        }
    }
    let yaml =
        "issuers: [{name: a, kind: oidc, issuer: 'https://id.example', audiences: [b], algorithms: [EdDSA]}]";
    let registry = Registry::from_yaml(yaml).expect("a registry");
    let store = KeyStore::builder(&registry, Nobody).clock(NOW).build().expect("a store");
    let taken = store.restore(bytes);
    let keys = store.in_hand("a");
    assert!(keys.is_none() || taken.is_ok(), "half a snapshot");
    if keys.is_some() {
        assert_eq!(
            store.restore(&store.snapshot()).map(|not| not.len()).ok(),
            Some(1),
            "as old as what there is"
        );
    }
});

#![no_main]

use std::sync::LazyLock;

use hopseal::Credential;
use hopseal_fuzz::{ED25519_SEED, World, base64url};
use libfuzzer_sys::fuzz_target;
use pasetors::keys::AsymmetricSecretKey;
use pasetors::version4::{PublicToken, V4};

static WORLD: LazyLock<World> = LazyLock::new(World::new);
static SECRET: LazyLock<AsymmetricSecretKey<V4>> = LazyLock::new(|| {
    use aws_lc_rs::signature::KeyPair as _;
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&ED25519_SEED).expect("a seed");
    let both = [ED25519_SEED.as_slice(), pair.public_key().as_ref()].concat();
    AsymmetricSecretKey::from(&both).expect("a key")
});

// The first line is the footer, the rest the payload; and all of it a token as it comes.
fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        WORLD.judge(text, Credential::Paseto.into());
    }
    let (footer, payload) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[][..]),
    };
    let local = format!("v4.local.{}.{}", base64url(payload), base64url(footer));
    assert!(WORLD.judge(&local, Credential::Paseto.into()).refused().is_some());
    if let Ok(token) = PublicToken::sign(&SECRET, payload, Some(footer), None) {
        WORLD.judge(&token, Credential::Paseto.into());
    }
});

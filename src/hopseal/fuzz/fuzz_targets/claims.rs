#![no_main]

use std::sync::LazyLock;

use hopseal::{Credential, Expected, Token};
use hopseal_fuzz::World;
use libfuzzer_sys::fuzz_target;

static WORLD: LazyLock<World> = LazyLock::new(World::new);

// Payloads under a good signature, as each kind of token.
fuzz_target!(|payload: &[u8]| {
    let access = Token::new("abc");
    let kinds = [
        (r#"{"alg":"HS256","typ":"at+jwt"}"#, Expected::from(Credential::AccessToken)),
        (r#"{"alg":"HS256"}"#, Expected::from(Credential::AccessToken).audience("orders")),
        (r#"{"alg":"HS256"}"#, Expected::from(Credential::IdToken).nonce("n1").access_token(&access)),
    ];
    let good: Vec<bool> = kinds
        .into_iter()
        .map(|(header, expected)| WORLD.judge(&World::sign(header, payload), expected).verified().is_some())
        .collect();
    assert!(!(good[1] && good[2]), "one token of two kinds");
    for credential in [Credential::JwtSvid, Credential::TxnToken] {
        let validated = WORLD.judge(&World::sign(r#"{"alg":"HS256"}"#, payload), credential.into());
        assert!(validated.refused().is_some(), "of an issuer that there is not");
    }
});

#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::Ed25519KeyPair;
use hopseal::{Credential, Expected, Token};
use hopseal_fuzz::{ED25519_PUBLIC, ED25519_SEED, World, base64url};
use libfuzzer_sys::fuzz_target;

static WORLD: LazyLock<World> = LazyLock::new(World::new);
static PAIR: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&ED25519_SEED).expect("a seed"));
/// A token that is bound to the key.
static TOKEN: LazyLock<String> = LazyLock::new(|| {
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{ED25519_PUBLIC}"}}"#);
    let jkt = base64url(digest(&SHA256, jwk.as_bytes()));
    let claims = format!(
        r#"{{"iss":"dev","aud":"orders","sub":"a","exp":1800000600,"scope":"x","cnf":{{"jkt":"{jkt}"}}}}"#
    );
    World::sign(r#"{"alg":"HS256"}"#, claims.as_bytes())
});

// Proofs as they come; and, under a good signature, their claims. `@` stands for the digest of the token.
fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED25519_PUBLIC}"}}"#);
    let header = format!(r#"{{"typ":"dpop+jwt","alg":"EdDSA","jwk":{jwk}}}"#);
    let claims = text.replacen('@', &base64url(digest(&SHA256, TOKEN.as_bytes())), 1);
    let body = format!("{}.{}", base64url(header), base64url(claims));
    let signed = format!("{body}.{}", base64url(PAIR.sign(body.as_bytes())));
    for proof in [text, &signed] {
        let proof = Token::new(proof);
        // The address is strangers' text too: a server takes it from the request.
        for address in ["https://orders.example/list", text] {
            WORLD.judge(&TOKEN, Expected::from(Credential::AccessToken).proof(&proof, "GET", address));
        }
    }
});

//! Tokens of Wycheproof whose signature a library lets pass, key and all: the invalid ones and the valid ones. A payload of these is no set of claims, so what counts
//! is that a library came to read it: that is after the signature.

use std::path::Path;

use hopseal::Algorithm;
use hopseal::jose::{Compact, KeySet};
use huskarl_resource_server::DefaultJwsVerifierPlatform;
use huskarl_resource_server::core::crypto::verifier::JwsVerifierFactory as _;
use huskarl_resource_server::core::jwk::JwksSource;
use huskarl_resource_server::core::jwt::{parse_compact_jws, validator::JwtValidator};
use jwt_authorizer::{AuthError, AuthorizerBuilder, Validation as Rules};
use serde_json::{Value, json};

use crate::cost::Fixed;

const FILES: [&str; 3] =
    ["json_web_signature_test.json", "json_web_key_test.json", "json_web_crypto_test.json"];

/// The keys of a group as a JWK set.
fn keys(group: &Value) -> Value {
    let key = group.get("public").unwrap_or(&group["private"]);
    if key.get("keys").is_some() { key.clone() } else { json!({ "keys": [key] }) }
}

fn hopseal(group: &Value, token: &str) -> bool {
    let (set, symmetric) = (keys(group).to_string(), group.get("public").is_none());
    let allowed: Vec<Algorithm> =
        Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_symmetric() == symmetric).collect();
    let read = if symmetric { KeySet::from_secrets } else { KeySet::from_jwks };
    let Ok((keys, _)) = read(set.as_bytes(), &allowed) else { return false };
    Compact::parse(token).is_ok_and(|token| keys.verify(&token).is_ok())
}

fn jsonwebtoken(group: &Value, token: &str) -> bool {
    use jsonwebtoken::errors::ErrorKind;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
    let Ok(set) = serde_json::from_value::<JwkSet>(keys(group)) else { return false };
    let Ok(header) = decode_header(token) else { return false };
    let named = header.kid.as_deref().and_then(|kid| set.find(kid));
    let Some(key) = named.or(set.keys.first()) else { return false };
    let Ok(key) = DecodingKey::from_jwk(key) else { return false };
    match decode::<Value>(token, &key, &Validation::new(header.alg)) {
        Ok(_) => true,
        Err(error) => matches!(
            error.kind(),
            ErrorKind::Json(_)
                | ErrorKind::Utf8(_)
                | ErrorKind::MissingRequiredClaim(_)
                | ErrorKind::InvalidClaimFormat(_)
        ),
    }
}

async fn jwt_authorizer(group: &Value, token: &str) -> bool {
    use jsonwebtoken_9::errors::ErrorKind;
    let built =
        AuthorizerBuilder::<Value>::from_jwks_text(&keys(group).to_string()).validation(Rules::new()).build();
    let Ok(authorizer) = built.await else { return false };
    match authorizer.check_auth(token).await {
        Ok(_) => true,
        Err(AuthError::InvalidToken(error)) => {
            matches!(
                error.kind(),
                ErrorKind::Json(_) | ErrorKind::Utf8(_) | ErrorKind::MissingRequiredClaim(_)
            )
        }
        Err(_) => false,
    }
}

/// Its parser reads claims before anything is verified: it gets some, and the bytes that were signed beside.
async fn huskarl(group: &Value, token: &str) -> bool {
    let source = JwksSource::builder().http_client(Fixed(keys(group).to_string())).build();
    let uri = "https://id.example/jwks".parse().unwrap();
    let platform = DefaultJwsVerifierPlatform::default().into();
    let Ok(verifier) = source.build(Some(&uri), platform).await else { return false };
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { return false };
    let Ok(mut parsed) = parse_compact_jws::<(), ()>(&format!("{header}.e30.{signature}")) else {
        return false;
    };
    parsed.signing_input = format!("{header}.{payload}").into_bytes();
    JwtValidator::builder().verifier(verifier).build().validate_parsed_jws(parsed).await.is_ok()
}

/// Prints how many of the tokens of each file each library lets pass.
pub async fn table(folder: &Path) {
    let names = [
        "hopseal",
        "jsonwebtoken 11.1, as documented",
        "jwt-authorizer 0.15.0",
        "huskarl-core 0.10 (no HMAC)",
    ];
    // Of the invalid ones and of the valid ones, by file.
    let mut passed = [[[0_u32; FILES.len()]; 2]; 4];
    let mut all = [[0_u32; FILES.len()]; 2];
    for (place, file) in FILES.iter().enumerate() {
        let text =
            std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let vectors: Value = serde_json::from_str(&text).unwrap();
        for group in vectors["testGroups"].as_array().unwrap() {
            for case in group["tests"].as_array().unwrap() {
                // Two are called invalid and are, byte for byte, a valid one of the same key.
                let twin = *file == FILES[0] && matches!(case["tcId"].as_u64(), Some(367 | 370));
                let (Some(token), false) = (case["jws"].as_str(), twin) else { continue };
                let is_valid = usize::from(case["result"] == "valid");
                all[is_valid][place] += 1;
                let said = [
                    hopseal(group, token),
                    jsonwebtoken(group, token),
                    jwt_authorizer(group, token).await,
                    huskarl(group, token).await,
                ];
                for (passed, said) in passed.iter_mut().zip(said) {
                    passed[is_valid][place] += u32::from(said);
                }
            }
        }
    }
    let line = |name: &str, [invalid, valid]: [[u32; FILES.len()]; 2]| {
        let cells = invalid.iter().chain(&valid).map(|count| format!("{count:>10}")).collect::<String>();
        println!("{name:<34}{cells}");
    };
    println!(
        "\n{:<34}{:>30}{:>30}\n{:<34}{}   let pass, of Wycheproof",
        "",
        "invalid tokens",
        "valid tokens",
        "",
        ["signature", "key", "crypto"].repeat(2).iter().map(|name| format!("{name:>10}")).collect::<String>()
    );
    line("of", all);
    for (name, passed) in names.into_iter().zip(passed) {
        line(name, passed);
    }
}

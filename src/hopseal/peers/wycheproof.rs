//! Invalid tokens of Wycheproof whose signature others let pass, key and all. A payload of these is no set of claims, so what counts
//! is that a library came to read it: that is after the signature.

use std::path::Path;

use hopseal::Algorithm;
use hopseal::jose::{Compact, KeySet};
use jwt_authorizer::{AuthError, AuthorizerBuilder, Validation as Rules};
use serde_json::{Value, json};

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

/// Prints how many of the invalid tokens of each file each library lets pass.
pub async fn table(folder: &Path) {
    println!(
        "\n{:<34} {:>9} {:>9} {:>9}   invalid tokens let pass (Wycheproof)",
        "", "signature", "key", "crypto"
    );
    let mut counts = [[0_u32; 3]; 3];
    let mut invalid = [0_u32; 3];
    for (place, file) in FILES.iter().enumerate() {
        let text =
            std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let vectors: Value = serde_json::from_str(&text).unwrap();
        for group in vectors["testGroups"].as_array().unwrap() {
            for case in group["tests"].as_array().unwrap() {
                // Two are called invalid and are, byte for byte, a valid one of the same key.
                let twin = *file == FILES[0] && matches!(case["tcId"].as_u64(), Some(367 | 370));
                let (Some(token), "invalid", false) =
                    (case["jws"].as_str(), case["result"].as_str().unwrap(), twin)
                else {
                    continue;
                };
                invalid[place] += 1;
                counts[0][place] += u32::from(hopseal(group, token));
                counts[1][place] += u32::from(jsonwebtoken(group, token));
                counts[2][place] += u32::from(jwt_authorizer(group, token).await);
            }
        }
    }
    println!("{:<34} {:>9} {:>9} {:>9}", "of", invalid[0], invalid[1], invalid[2]);
    for (name, row) in
        ["hopseal", "jsonwebtoken 11.1, as documented", "jwt-authorizer 0.15.0"].iter().zip(counts)
    {
        println!("{name:<34} {:>9} {:>9} {:>9}", row[0], row[1], row[2]);
    }
}

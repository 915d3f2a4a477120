//! The published vectors of Wycheproof, in the folder of the variable `HOPSEAL_VECTORS`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::*;
use crate::Algorithm;

/// Valid tokens that are refused, and why that is right.
const REFUSED_ON_PURPOSE: &[(&str, u64, &str)] = &[
    ("json_web_signature_test.json", 346, "PS384 with a key that says PS256: a key has one algorithm"),
    ("json_web_signature_test.json", 347, "ES512 is not supported"),
    ("json_web_signature_test.json", 350, "PS384 with a key that says PS256: a key has one algorithm"),
    ("json_web_signature_test.json", 351, "ES512 is not supported"),
    ("json_web_signature_test.json", 372, "a character that is not of base64url"),
    ("json_web_signature_test.json", 373, "a character that is not of base64url"),
];

/// Tokens that the vectors call invalid and that are, byte for byte, valid case 357 of the same key: nobody can tell them
/// apart.
const SAME_AS_VALID: [(&str, u64, u64); 2] =
    [("json_web_signature_test.json", 367, 357), ("json_web_signature_test.json", 370, 357)];

fn file(name: &str) -> Option<Value> {
    let path = crate::testing::published("HOPSEAL_VECTORS", name)?;
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_slice(&text).expect("JSON"))
}

/// Whether a token is verified by the keys of its group: published ones where there are, else secrets.
fn accepted(group: &Value, token: &str) -> bool {
    let key = group.get("public").unwrap_or(&group["private"]);
    let set = match key.get("keys") {
        Some(_) => key.clone(),
        None => serde_json::json!({ "keys": [key] }),
    };
    let set = set.to_string();
    let (public, secret): (Vec<_>, Vec<_>) =
        Algorithm::ALL.into_iter().partition(|algorithm| !algorithm.is_symmetric());
    let keys = match group.get("public") {
        Some(_) => KeySet::from_jwks(set.as_bytes(), &public),
        None => KeySet::from_secrets(set.as_bytes(), &secret),
    };
    let Ok((keys, _)) = keys else { return false };
    Compact::parse(token).is_ok_and(|token| keys.verify(&token).is_ok())
}

/// Whether the case is of encryption, which is another standard (RFC 7516).
fn encrypted(case: &Value) -> bool {
    case.get("jwe").is_some()
}

#[test]
fn no_invalid_token_is_accepted_and_every_valid_one_is() {
    let mut left: BTreeSet<(&str, u64)> =
        REFUSED_ON_PURPOSE.iter().map(|(file, id, _)| (*file, *id)).collect();
    for (name, least) in [
        ("json_web_signature_test.json", 401),
        ("json_web_key_test.json", 26),
        ("json_web_crypto_test.json", 40),
    ] {
        let Some(vectors) = file(name) else { return };
        let (mut valid, mut invalid, mut refused) = (0, 0, Vec::new());
        for group in vectors["testGroups"].as_array().expect("groups") {
            for case in group["tests"].as_array().expect("cases").iter().filter(|case| !encrypted(case)) {
                let id = case["tcId"].as_u64().expect("a number");
                // The JSON serialization is no text; its JSON is as good a token as any.
                let token = case["jws"].as_str().map_or_else(|| case["jws"].to_string(), str::to_owned);
                let accepted = accepted(group, &token);
                match case["result"].as_str().expect("a word") {
                    "valid" => {
                        valid += 1;
                        let purpose =
                            REFUSED_ON_PURPOSE.iter().find(|(file, at, _)| (*file, *at) == (name, id));
                        assert_eq!(accepted, purpose.is_none(), "{name} {id} {}", case["comment"]);
                        if let Some((_, _, why)) = purpose {
                            left.remove(&(name, id));
                            refused.push(format!("{id} ({why})"));
                        }
                    }
                    _ if SAME_AS_VALID.iter().any(|(file, at, _)| (*file, *at) == (name, id)) => {
                        let (.., twin) = SAME_AS_VALID[0];
                        let cases = group["tests"].as_array().expect("cases");
                        let twin = cases.iter().find(|case| case["tcId"] == twin).expect("its twin");
                        assert_eq!((&twin["jws"], &twin["result"]), (&case["jws"], &"valid".into()), "{id}");
                        println!("{name}: {id} is called invalid and is the valid {}", twin["tcId"]);
                    }
                    _ => {
                        invalid += 1;
                        assert!(!accepted, "{name} {id} {}", case["comment"]);
                    }
                }
            }
        }
        assert!(valid + invalid + SAME_AS_VALID.len() >= least, "{name} has {} cases", valid + invalid);
        println!("{name}: {invalid} invalid, none accepted; {valid} valid, refused: {}", refused.join(", "));
    }
    assert!(left.is_empty(), "not among the vectors: {left:?}");
}

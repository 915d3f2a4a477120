//! The published vectors of PASETO v4, as `v4.json` in the folder of the variable `HOPSEAL_PASETO_VECTORS`, for the arithmetic; their
//! claims and footers are none that we accept.

use serde_json::Value;

use super::*;

fn bytes(test: &Value, name: &str) -> Vec<u8> {
    let hex = test[name].as_str().expect("hex");
    let digit =
        |letter: u8| char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).expect("hex");
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

#[test]
fn the_published_vectors_of_v4() {
    let Some(path) = crate::testing::published("HOPSEAL_PASETO_VECTORS", "v4.json") else { return };
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let tests = file["tests"].as_array().expect("a list");
    assert!(tests.len() >= 12, "{}", tests.len());
    for test in tests {
        let (name, token) = (test["name"].as_str().expect("text"), test["token"].as_str().expect("text"));
        let opened = |assertion: &[u8]| -> Result<String, Refused> {
            check_form(token)?;
            let malformed = |_| Refused::new(Reason::Malformed, "");
            if test["public-key"].is_string() {
                let key = PublicKey::from(&bytes(test, "public-key")).expect("a key");
                verify_public(&key, &UntrustedToken::try_from(token).map_err(malformed)?, assertion)
            } else {
                let key = LocalKey::from(&bytes(test, "key")).expect("a key");
                open_local(&key, &UntrustedToken::try_from(token).map_err(malformed)?, assertion)
            }
        };
        let assertion = test["implicit-assertion"].as_str().expect("text").as_bytes();
        if test["expect-fail"] == true {
            assert!(opened(assertion).is_err(), "{name}");
            continue;
        }
        let payload: Value = serde_json::from_str(&opened(assertion).expect(name)).expect("JSON");
        // Some editions write it as text.
        let expected = test["payload"]
            .as_str()
            .map_or_else(|| test["payload"].clone(), |text| serde_json::from_str(text).expect("JSON"));
        assert_eq!(payload, expected, "{name}");
        assert!(opened(b"another").is_err(), "{name}");
    }
    println!("{} vectors of PASETO v4", tests.len());
}

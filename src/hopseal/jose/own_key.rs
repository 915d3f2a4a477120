//! A token that brings the key that it is signed with: a proof that its sender holds that key, and of nothing else (RFC 9449
//! section 4.2).

use sha2::{Digest as _, Sha256};

use super::compact::Compact;
use super::json::Json;
use super::key::{Key, Purpose, is_secret};
use super::key_set;
use crate::Reason;
use crate::algorithm::Algorithm;
use crate::outcome::Refused;

/// Verifies a token by the key of its own header (`jwk`), which is held to all that a key of an issuer is. Hands out what was
/// signed and the key's thumbprint.
pub(crate) fn verify_by_own_key<'c>(
    token: &'c Compact<'_>,
    allowed: &[Algorithm],
) -> Result<(&'c [u8], [u8; 32]), Refused> {
    let algorithm = token.algorithm;
    if algorithm.is_symmetric() || !allowed.contains(&algorithm) {
        return Err(Refused::new(Reason::Algorithm, format!("{algorithm} for a proof")));
    }
    let jwk = token.jwk.as_ref().ok_or_else(|| Refused::new(Reason::UnknownKey, "no `jwk` in the header"))?;
    if is_secret(jwk) {
        return Err(Refused::new(Reason::UnknownKey, "a secret as `jwk`"));
    }
    // With one algorithm to choose from, the key either is for that or is no good.
    let key = Key::of(jwk, &[algorithm], Purpose::Signatures)
        .map_err(|fault| Refused::new(Reason::UnknownKey, format!("`jwk` in the header: {fault}")))?;
    key_set::verify_with(&key, token)?;
    let thumbprint =
        thumbprint(jwk).ok_or_else(|| Refused::new(Reason::UnknownKey, "no thumbprint of `jwk`"))?;
    Ok((token.unverified_payload(), thumbprint))
}

/// SHA-256 over what makes a key that key (RFC 7638 section 3), for a JWK whose form is in order. Its values are base64url or
/// names of curves and need no escapes.
fn thumbprint(jwk: &Json) -> Option<[u8; 32]> {
    let text = |name| jwk.get(name).and_then(Json::as_text);
    let names: &[&str] = match text("kty")? {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        _ => return None,
    };
    let members: Option<Vec<String>> =
        names.iter().map(|name| Some(format!(r#""{name}":"{}""#, text(name)?))).collect();
    Some(Sha256::digest(format!("{{{}}}", members?.join(","))).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::decode;

    #[test]
    fn published_thumbprints() {
        for (jwk, expected) in [
            // RFC 7638 section 3.1.
            (
                r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#,
                "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
            ),
            // RFC 8037 appendix A.3.
            (
                r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
                "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            ),
            // RFC 9449 sections 4.1 and 6.1.
            (
                r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#,
                "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
            ),
        ] {
            let jwk = Json::read(jwk.as_bytes()).expect("JSON");
            assert_eq!(thumbprint(&jwk).map(Vec::from), decode(expected), "{expected}");
        }
    }
}

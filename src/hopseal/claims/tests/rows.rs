//! RFC 8725bis (draft-ietf-oauth-rfc8725bis-08), recommendation by recommendation.

use super::*;

#[test]
fn rfc_8725bis_row_by_row() {
    let access = Credential::AccessToken;
    let iss = |iss: &str| Mint::access().set("iss", iss);
    for (row, credential, mint, reason) in [
        ("3.1 algorithms: allowed ones", access, Mint::access(), None),
        (
            "3.1 algorithms: case matters",
            access,
            Mint::access().header("alg", r#""eddsa""#),
            Some(Reason::Algorithm),
        ),
        (
            "3.1 algorithms: per issuer",
            access,
            Mint::secret().set("iss", r#""https://id.example""#),
            Some(Reason::Algorithm),
        ),
        (
            "3.1 a key has one algorithm",
            access,
            Mint::access().header("alg", r#""ES256""#),
            Some(Reason::Algorithm),
        ),
        (
            "3.2 appropriate algorithms: none",
            access,
            Mint::access().header("alg", r#""none""#),
            Some(Reason::Algorithm),
        ),
        ("3.3 all operations are checked", access, Mint::access().by(9), Some(Reason::Signature)),
        (
            "3.3 a nested token is not what it is in",
            access,
            Mint::access().header("cty", r#""JWT""#),
            Some(Reason::Type),
        ),
        ("3.6 no compression", access, Mint::access().header("zip", r#""DEF""#), Some(Reason::Critical)),
        ("3.8 keys belong to the issuer", access, iss(r#""https://evil.example""#), Some(Reason::Signature)),
        ("3.8 the issuer is known", access, iss(r#""https://other.example""#), Some(Reason::Issuer)),
        ("3.8 the subject is there", access, Mint::access().without("sub"), Some(Reason::MissingClaim)),
        ("3.9 the audience is there", access, Mint::access().without("aud"), Some(Reason::MissingClaim)),
        ("3.9 the audience is ours", access, Mint::access().set("aud", r#""x""#), Some(Reason::Audience)),
        ("3.10 kid is no path", access, Mint::access().header("kid", r#""../k1""#), Some(Reason::UnknownKey)),
        (
            "3.10 jku is not followed",
            access,
            Mint::access().header("jku", r#""https://evil.example""#).by(9),
            Some(Reason::Signature),
        ),
        ("3.11 explicit types", access, Mint::access().header("typ", r#""dpop+jwt""#), Some(Reason::Type)),
        (
            "3.11 `application/` is understood",
            access,
            Mint::access().header("typ", r#""application/at+jwt""#),
            None,
        ),
        ("3.12 rules of kinds exclude each other", Credential::IdToken, Mint::access(), Some(Reason::Type)),
        ("3.12 in every direction", access, Mint::txn(), Some(Reason::MissingClaim)),
        (
            "3.13 no p2c: encrypted tokens are not accepted",
            access,
            Mint::access().header("enc", r#""A256GCM""#),
            Some(Reason::Encrypted),
        ),
        (
            "3.14 what must be understood is",
            access,
            Mint::access().header("crit", r#"["exp"]"#),
            Some(Reason::Critical),
        ),
    ] {
        let refused = judge(&mint, credential).err();
        assert_eq!(refused.as_ref().map(Refused::reason), reason, "{row}: {refused:?}");
    }
    // 3.4 and 3.5 (points on the curve, sizes of keys) are the gate's: see the tests of `jose`.
    // Compact serialization and nothing else.
    let (token, json) = (Mint::access().text(), Mint::access());
    let parts: Vec<&str> = token.split('.').collect();
    let serialized =
        format!(r#"{{"protected":"{}","payload":"{}","signature":"{}"}}"#, parts[0], parts[1], parts[2]);
    let refused = judge_at(&Token::new(serialized), access.into(), NOW).expect_err("JSON serialization");
    assert_eq!(refused.reason(), Reason::Malformed, "{}", json.claims_json());
}

//! Each attack by its number. Those on bytes, headers and keys alone are with the gate; those on PASETO, baggage, proofs and
//! key stores are with these.

use super::*;

const ACCESS: Credential = Credential::AccessToken;

#[test]
fn attack_1_unsigned_tokens_are_refused_before_their_claims_are_read() {
    for alg in [r#""none""#, r#""None""#, r#""nOnE""#, r#""""#] {
        check(ACCESS, &[(alg, Mint::access().header("alg", alg), Some(Reason::Algorithm))]);
    }
    check(ACCESS, &[("a number", Mint::access().header("alg", "5"), Some(Reason::Malformed))]);
}

#[test]
fn attack_2_an_algorithm_that_the_issuer_is_not_trusted_with() {
    // The secret of `dev`, under the name of `staff`.
    let mint = Mint::secret().set("iss", r#""https://id.example""#);
    check(ACCESS, &[("HS256", mint, Some(Reason::Algorithm))]);
}

#[test]
fn attack_3_a_key_offered_in_the_header_is_ignored_and_told() {
    let offered = Mint::access().header("jwk", r#"{"kty":"OKP"}"#).header("jku", r#""https://evil.example""#);
    assert!(good(&offered, ACCESS).evidence().offered_key);
    assert!(!good(&Mint::access(), ACCESS).evidence().offered_key);
    check(ACCESS, &[("by that key", offered.by(7), Some(Reason::Signature))]);
}

#[test]
fn attack_9_another_kind_of_token() {
    for typ in [
        "logout+jwt",
        "dpop+jwt",
        "secevent+jwt",
        "txntoken+jwt",
        "token-introspection+jwt",
        "oauth-authz-req+jwt",
        "client-authentication+jwt",
        "wit+jwt",
        "vc+sd-jwt",
        "JOSE",
        "at+jwt ",
        "application/application/at+jwt",
        "",
    ] {
        let typ = format!("{typ:?}");
        check(ACCESS, &[(&typ, Mint::access().header("typ", &typ), Some(Reason::Type))]);
    }
    let kinds = [ACCESS, Credential::IdToken, Credential::JwtSvid, Credential::TxnToken];
    for (own, mint) in [Mint::access(), Mint::id(), Mint::svid(), Mint::txn()].iter().enumerate() {
        for (asked, credential) in kinds.into_iter().enumerate() {
            assert_eq!(judge(mint, credential).is_ok(), own == asked, "{credential}: {}", mint.claims_json());
        }
    }
    // Logout tokens and security events, by their claims, when the type is left out.
    let events = r#"{"http://schemas.openid.net/event/backchannel-logout":{}}"#;
    for (mint, credential) in [Mint::access(), Mint::plain(), Mint::id(), Mint::svid(), Mint::txn()]
        .into_iter()
        .zip([ACCESS, ACCESS, Credential::IdToken, Credential::JwtSvid, Credential::TxnToken])
    {
        check(credential, &[("an event", mint.set("events", events), Some(Reason::Type))]);
    }
}

#[test]
fn attack_9_an_id_token_as_a_plain_access_token_and_the_reverse() {
    let id = || Mint::id().without("nonce");
    check(
        ACCESS,
        &[
            ("an ID token", Mint::id(), Some(Reason::Type)),
            ("one with nothing special in it", id(), Some(Reason::Type)),
            ("one of Keycloak", id().set("typ", r#""ID""#), Some(Reason::Type)),
            ("a refresh token of Keycloak", Mint::plain().set("typ", r#""Refresh""#), Some(Reason::Type)),
            ("an access token of Keycloak", id().set("typ", r#""Bearer""#).set("nonce", r#""n""#), None),
            ("one of Cognito", id().set("token_use", r#""id""#), Some(Reason::Type)),
            ("an access token of Cognito", id().set("token_use", r#""access""#), None),
            ("with a hash of an access token", Mint::plain().set("at_hash", r#""x""#), Some(Reason::Type)),
            ("with a hash of a code", Mint::access().set("c_hash", r#""x""#), Some(Reason::Type)),
        ],
    );
    check(
        Credential::IdToken,
        &[
            ("an access token", Mint::plain(), Some(Reason::Type)),
            ("one of RFC 9068", Mint::access(), Some(Reason::Type)),
            ("one of Keycloak", Mint::id().set("typ", r#""Bearer""#), Some(Reason::Type)),
            ("one of Cognito", Mint::id().set("token_use", r#""access""#), Some(Reason::Type)),
            ("an ID token of Keycloak", Mint::id().set("typ", r#""ID""#), None),
        ],
    );
}

#[test]
fn attack_10_missing_and_malformed_audience_and_issuer() {
    let aud = |json: &str| Mint::access().set("aud", json);
    let iss = |json: &str| Mint::access().set("iss", json);
    check(
        ACCESS,
        &[
            ("no audience", Mint::access().without("aud"), Some(Reason::MissingClaim)),
            ("no issuer", Mint::access().without("iss"), Some(Reason::MissingClaim)),
            ("aud 5", aud("5"), Some(Reason::Claim)),
            ("aud {}", aud("{}"), Some(Reason::Claim)),
            ("aud null", aud("null"), Some(Reason::Claim)),
            ("aud []", aud("[]"), Some(Reason::Claim)),
            ("aud empty", aud(r#""""#), Some(Reason::Claim)),
            ("aud of a list of lists", aud(r#"[["orders"]]"#), Some(Reason::Claim)),
            ("aud beside a number", aud(r#"["orders",5]"#), Some(Reason::Claim)),
            ("aud of another", aud(r#""others""#), Some(Reason::Audience)),
            ("aud in capitals", aud(r#""Orders""#), Some(Reason::Audience)),
            ("aud that begins like ours", aud(r#""orders2""#), Some(Reason::Audience)),
            ("aud with more behind", aud(r#""orders x""#), Some(Reason::Audience)),
            ("iss 5", iss("5"), Some(Reason::Claim)),
            ("iss null", iss("null"), Some(Reason::Claim)),
            ("iss empty", iss(r#""""#), Some(Reason::Claim)),
        ],
    );
}

#[test]
fn attack_11_a_list_of_issuers() {
    for iss in [r#"["https://evil.example","https://id.example"]"#, r#"["https://id.example"]"#, "[]", "{}"] {
        check(ACCESS, &[(iss, Mint::access().set("iss", iss), Some(Reason::Claim))]);
    }
}

#[test]
fn attack_12_subjects_that_are_none_or_look_like_another() {
    let sub = |json: &str| Mint::access().set("sub", json);
    check(
        ACCESS,
        &[
            ("empty", sub(r#""""#), Some(Reason::Claim)),
            ("a number", sub("5"), Some(Reason::Claim)),
            ("a list", sub(r#"["alice"]"#), Some(Reason::Claim)),
            ("null", sub("null"), Some(Reason::Claim)),
            ("zero width", sub(r#""ali\u200bce""#), Some(Reason::Claim)),
            ("byte order mark", sub(r#""alice\ufeff""#), Some(Reason::Claim)),
            ("right to left", sub(r#""\u202eecila""#), Some(Reason::Claim)),
            ("soft hyphen", sub(r#""ali\u00adce""#), Some(Reason::Claim)),
            ("a tag", sub(r#""alice\udb40\udc41""#), Some(Reason::Claim)),
            ("NUL", sub(r#""alice\u0000""#), Some(Reason::Claim)),
            ("a new line", sub(r#""alice\nbob""#), Some(Reason::Claim)),
            ("half a surrogate pair", sub(r#""\ud800""#), Some(Reason::Malformed)),
            ("over 1 KiB", sub(&format!("{:?}", "a".repeat(1025))), Some(Reason::TooLarge)),
        ],
    );
    // Others are distinct, as their bytes are.
    let ids: std::collections::BTreeSet<String> =
        [r#""alice""#, r#""Alice""#, r#""alice ""#, r#""K""#, r#""\u212a""#, r#""\u00e9""#, r#""e\u0301""#]
            .iter()
            .map(|json| good(&sub(json), ACCESS).principal().id.clone())
            .collect();
    assert_eq!(ids.len(), 7);
    assert_eq!(good(&sub(r#""\u0061lice""#), ACCESS).principal().id, "alice");
}

#[test]
fn attack_12_the_same_subject_of_another_issuer_is_another() {
    let strict = Mint::access().set("iss", r#""https://strict.example""#);
    let (one, other) = (good(&Mint::access(), ACCESS), good(&strict, ACCESS));
    assert_eq!(one.principal().id, other.principal().id);
    assert_ne!(one.principal().issuer, other.principal().issuer);
}

#[test]
fn attack_13_a_claim_twice() {
    for (name, json) in [
        ("sub", r#""bob""#),
        ("sub", r#""alice""#),
        ("iss", r#""https://evil.example""#),
        ("exp", "4102444800"),
        ("tid", r#""b""#),
        ("scope", r#""admin""#),
        ("jti", r#""j2""#),
        ("s\\u0075b", r#""bob""#),
    ] {
        let mint = Mint::access().set("tid", r#""a""#).also(name, json);
        check(ACCESS, &[(name, mint, Some(Reason::Duplicate))]);
    }
    let deep = Mint::access().set("act", r#"{"sub":"a","sub":"b"}"#);
    check(ACCESS, &[("inside of another", deep, Some(Reason::Duplicate))]);
    let unused = Mint::access().set("x", r#"[{"y":{"z":1,"z":1}}]"#);
    check(ACCESS, &[("where nobody looks", unused, Some(Reason::Duplicate))]);
}

#[test]
fn attack_14_times_that_are_none() {
    for json in [
        r#""1800000600""#,
        "true",
        "null",
        "-1",
        "1e300",
        "18446744073709551616",
        "1800000600.5",
        "1.8e9",
        "[1800000600]",
        "{}",
    ] {
        for name in ["exp", "nbf", "iat"] {
            let mint = Mint::access().set(name, json);
            check(ACCESS, &[(&format!("{name}: {json}"), mint, Some(Reason::Claim))]);
        }
    }
    check(ACCESS, &[("no exp", Mint::access().without("exp"), Some(Reason::MissingClaim))]);
    check(ACCESS, &[("a number that is none", Mint::access().set("exp", "NaN"), Some(Reason::Malformed))]);
}

#[test]
fn attack_15_a_token_for_a_hundred_years() {
    let exp = |json: &str| Mint::access().set("exp", json);
    check(
        ACCESS,
        &[
            ("as long as allowed", exp("1800003600"), None),
            ("a second longer", exp("1800003601"), Some(Reason::Lifetime)),
            ("a hundred years", exp("4953600000"), Some(Reason::Lifetime)),
            ("for ever", exp("18446744073709551615"), Some(Reason::Lifetime)),
            ("without iat", Mint::plain().without("iat").set("exp", "1800003660"), None),
            (
                "without iat, for ever",
                Mint::plain().without("iat").set("exp", "4953600000"),
                Some(Reason::Lifetime),
            ),
            ("iat at the beginning of time", exp("1800000600").set("iat", "0"), Some(Reason::Lifetime)),
        ],
    );
}

#[test]
fn attack_16_tokens_from_the_future_and_of_the_past() {
    let set = |name: &str, json: &str| Mint::access().set(name, json).set("exp", "1800003000");
    check(
        ACCESS,
        &[
            ("nbf, clocks apart", set("nbf", "1800000060"), None),
            ("nbf", set("nbf", "1800000061"), Some(Reason::Premature)),
            ("iat, clocks apart", set("iat", "1800000060"), None),
            ("iat", set("iat", "1800000061"), Some(Reason::Premature)),
            ("exp before iat", set("iat", "1800000010").set("exp", "1800000009"), Some(Reason::Claim)),
            ("exp with nbf", set("nbf", "1800000020").set("exp", "1800000020"), Some(Reason::Claim)),
        ],
    );
    let token = Mint::access().token(); // until 1800000600; clocks may be a minute apart
    for (now, reason) in [
        (UnixTime(1_800_000_659), None),
        (UnixTime(1_800_000_660), Some(Reason::Expired)),
        (UnixTime(u64::MAX), Some(Reason::Expired)),
        (UnixTime(1_799_999_939), Some(Reason::Premature)),
        (UnixTime(0), Some(Reason::Premature)),
    ] {
        let refused = judge_at(&token, ACCESS.into(), now).err();
        assert_eq!(refused.map(|refused| refused.reason()), reason, "{now}");
    }
}

#[test]
fn attack_17_payloads_that_two_parsers_read_differently() {
    let mint = Mint::access();
    let json = mint.claims_json();
    let deep = |depth: usize| mint.clone().set("x", &format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    for (name, payload, reason) in [
        ("trailing JSON", format!("{json}{{}}").into_bytes(), Reason::Malformed),
        ("trailing comma", json.replace('}', ",}").into_bytes(), Reason::Malformed),
        ("byte order mark", format!("\u{feff}{json}").into_bytes(), Reason::Malformed),
        ("a comment", format!("/**/{json}").into_bytes(), Reason::Malformed),
        ("not UTF-8", [json.as_bytes(), b"\xff"].concat(), Reason::Malformed),
        ("a list", format!("[{json}]").into_bytes(), Reason::Malformed),
        ("nothing", Vec::new(), Reason::Malformed),
        ("deep", deep(200).claims_json().into_bytes(), Reason::TooLarge),
        ("too deep", deep(16).claims_json().into_bytes(), Reason::TooLarge),
    ] {
        let token = Token::new(mint.sign(&mint.header_json(), &payload));
        let refused = judge_at(&token, ACCESS.into(), NOW).expect_err(name);
        assert_eq!(refused.reason(), reason, "{name}");
    }
    assert!(judge(&deep(15), ACCESS).is_ok());
}

#[test]
fn attack_18_large_lists() {
    let list = |count: usize| format!("[{}\"orders\"]", r#""x","#.repeat(count));
    check(
        ACCESS,
        &[
            ("many audiences", Mint::access().set("aud", &list(1000)), None),
            ("too many", Mint::access().set("aud", &list(10_000)), Some(Reason::TooLarge)),
            (
                "many roles",
                Mint::access().set(
                    "realm_access",
                    &format!(
                        r#"{{"roles":[{}]}}"#,
                        (0..257).map(|role| format!("\"{role}\"")).collect::<Vec<_>>().join(",")
                    ),
                ),
                Some(Reason::TooLarge),
            ),
        ],
    );
    let act = (0..9).fold(String::from("{\"sub\":\"a\"}"), |act, _| format!(r#"{{"sub":"a","act":{act}}}"#));
    check(ACCESS, &[("many actors", Mint::access().set("act", &act), Some(Reason::TooLarge))]);
}

#[test]
fn attack_22_mix_up_of_issuers() {
    // `evil` is trusted, has a key of the same id, and signs in the name of `staff`.
    let iss = |iss: &str| Mint::access().set("iss", iss);
    check(
        ACCESS,
        &[
            ("its own", iss(r#""https://evil.example""#).by(7), None),
            ("in the name of another", iss(r#""https://id.example""#).by(7), Some(Reason::Signature)),
            ("another in its name", iss(r#""https://evil.example""#), Some(Reason::Signature)),
            ("a slash at the end", iss(r#""https://id.example/""#), Some(Reason::Issuer)),
            ("capitals", iss(r#""https://ID.example""#), Some(Reason::Issuer)),
            ("a port", iss(r#""https://id.example:443""#), Some(Reason::Issuer)),
            ("its name in the registry", iss(r#""staff""#), Some(Reason::Issuer)),
            ("a trust domain", iss(r#""prod.example""#), Some(Reason::Issuer)),
        ],
    );
    // Whoever calls for one issuer's rules with another's token gets nothing.
    let registry = registry();
    let (token, evil) = (Mint::access().token(), registry.issuer("evil").expect("there"));
    let keys = crate::testing::ready(FixedKeys::of(&registry).expect("keys").keys(evil, None)).expect("keys");
    let refused = Jwt::parse(&token).expect("in order").verify(evil, &keys, &ACCESS.into(), NOW);
    assert_eq!(refused.expect_err("of another").reason(), Reason::Issuer);
}

#[test]
fn attack_24_a_client_assertion_as_an_access_token() {
    // RFC 7523: issued by the client about itself, for the authorization server, and, injected, for us.
    let assertion = Mint::plain().set("sub", r#""shop""#).set("aud", r#"["https://id.example","orders"]"#);
    check(
        ACCESS,
        &[
            ("as it is", assertion.clone().set("iss", r#""shop""#), Some(Reason::Issuer)),
            ("with its type", assertion.header("typ", r#""client-authentication+jwt""#), Some(Reason::Type)),
        ],
    );
}

#[test]
fn mapped_claims_of_another_shape_are_refused_and_not_left_out() {
    let set = |name: &str, json: &str| Mint::access().set(name, json);
    for (name, json) in [
        ("tid", "5"),
        ("tid", r#""""#),
        ("tid", "null"),
        ("sid", "[]"),
        ("client_id", "{}"),
        ("scope", "5"),
        ("scope", r#""a\"b""#),
        ("scope", r#"["a",5]"#),
        ("realm_access", r#"{"roles":{"a":1}}"#),
        ("realm_access", r#"{"roles":[""]}"#),
        ("act", r#""bob""#),
        ("act", "[]"),
        ("act", "{}"),
        ("act", r#"{"sub":""}"#),
        ("act", r#"{"sub":"a","act":5}"#),
        ("act", r#"{"sub":"a","kind":"robot"}"#),
        ("jti", "5"),
        ("jti", r#""""#),
    ] {
        check(ACCESS, &[(&format!("{name}: {json}"), set(name, json), Some(Reason::Claim))]);
    }
    assert!(good(&set("scope", r#""""#), ACCESS).principal().scopes.is_empty());
}

use super::*;
use crate::{Acting, Kind, Principal};

#[test]
fn an_access_token_becomes_a_principal() {
    let mint = Mint::access()
        .set("tid", r#""acme""#)
        .set("sid", r#""s1""#)
        .set("realm_access", r#"{"roles":["b","a","b"]}"#)
        .set("act", r#"{"sub":"spiffe://prod.example/agent","iss":"x","act":{"sub":"bob"}}"#);
    let verified = good(&mint, Credential::AccessToken);
    let acting = |id: &str, issuer: Option<&str>, kind| Acting {
        id: id.to_owned(),
        issuer: issuer.map(str::to_owned),
        kind,
    };
    assert_eq!(
        *verified.principal(),
        Principal {
            id: "alice".into(),
            issuer: "https://id.example".into(),
            kind: Kind::User,
            tenant: Some("acme".into()),
            client: Some("shop".into()),
            session: Some("s1".into()),
            actors: vec![
                acting("spiffe://prod.example/agent", Some("x"), Some(Kind::Service)),
                acting("bob", None, None)
            ],
            scopes: vec!["read".into(), "write".into()],
            roles: vec!["a".into(), "b".into()],
            expiry: UnixTime(1_800_000_600),
        }
    );
    let evidence = verified.evidence();
    assert_eq!((evidence.credential, evidence.issuer.as_str()), (Credential::AccessToken, "staff"));
    assert_eq!((evidence.algorithm, evidence.kid.as_deref()), (Some("EdDSA"), Some("k1")));
    assert_eq!((evidence.token_id.as_deref(), evidence.audience.as_deref()), (Some("j1"), Some("orders")));
    assert_eq!((evidence.issued_at, evidence.not_before), (Some(NOW), None));
    assert_eq!(evidence.fingerprint, mint.token().fingerprint());
}

#[test]
fn who_is_what_kind() {
    for (mint, credential, kind) in [
        (Mint::access(), Credential::AccessToken, Kind::User),
        (Mint::access().set("sub", r#""shop""#), Credential::AccessToken, Kind::Service),
        (Mint::access().set("kind", r#""agent""#), Credential::AccessToken, Kind::Agent),
        (Mint::svid(), Credential::JwtSvid, Kind::Service),
        (Mint::txn(), Credential::TxnToken, Kind::User),
    ] {
        assert_eq!(good(&mint, credential).principal().kind, kind, "{}", mint.claims_json());
    }
    check(
        Credential::AccessToken,
        &[("a kind that there is not", Mint::access().set("kind", r#""robot""#), Some(Reason::Claim))],
    );
}

#[test]
fn rfc_9068_asks_for_more_than_a_plain_access_token_does() {
    let required = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"];
    for name in required {
        check(Credential::AccessToken, &[(name, Mint::access().without(name), Some(Reason::MissingClaim))]);
    }
    for name in ["client_id", "iat", "jti"] {
        check(Credential::AccessToken, &[(name, Mint::plain().without(name), None)]);
    }
    check(
        Credential::AccessToken,
        &[
            ("no type", Mint::plain().without_header("typ"), None),
            ("a full media type", Mint::access().header("typ", r#""application/AT+JWT""#), None),
            ("a secret", Mint::secret(), None),
            (
                "plain, of an issuer of RFC 9068 alone",
                Mint::plain().set("iss", r#""https://strict.example""#),
                Some(Reason::Type),
            ),
            (
                "RFC 9068, of an issuer of plain ones alone",
                Mint::secret().header("typ", r#""at+jwt""#).set("jti", r#""j""#),
                Some(Reason::Type),
            ),
        ],
    );
}

#[test]
fn id_tokens_after_openid_connect_core_3_1_3_7() {
    let id = Mint::id;
    check(
        Credential::IdToken,
        &[
            ("good", id(), None),
            ("without a nonce", id().without("nonce"), None),
            ("no iat", id().without("iat"), Some(Reason::MissingClaim)),
            ("for us and for another", id().set("aud", r#"["orders","x"]"#), Some(Reason::Audience)),
            (
                "for two, handed to none",
                id().set("aud", r#"["orders","billing"]"#),
                Some(Reason::MissingClaim),
            ),
            (
                "for two, handed to us",
                id().set("aud", r#"["orders","billing"]"#).set("azp", r#""orders""#),
                None,
            ),
            ("handed to another", id().set("azp", r#""x""#), Some(Reason::Audience)),
            (
                "a subject that is too long",
                id().set("sub", &format!("{:?}", "a".repeat(256))),
                Some(Reason::Claim),
            ),
            ("of an issuer that is not trusted with any", id().set("iss", r#""dev""#), Some(Reason::Issuer)),
        ],
    );
    let token = id().token();
    for (nonce, reason) in [("n1", None), ("n2", Some(Reason::Claim))] {
        let expected = Expected::from(Credential::IdToken).nonce(nonce);
        assert_eq!(judge_at(&token, expected, NOW).err().map(|refused| refused.reason()), reason);
    }
    let expected = Expected::from(Credential::IdToken).nonce("n1");
    let refused = judge_at(&id().without("nonce").token(), expected, NOW).expect_err("no nonce");
    assert_eq!(refused.reason(), Reason::MissingClaim);
    assert_eq!(
        good(&id().set("azp", r#""orders""#), Credential::IdToken).principal().client.as_deref(),
        Some("orders")
    );
}

#[test]
fn an_at_hash_is_of_the_access_token_that_came_with_it() {
    let access = Token::new("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, access.expose().as_bytes());
    let half = crate::testing::base64url(&digest.as_ref()[..32]);
    for (at_hash, reason) in
        [(half.as_str(), None), ("77QmUPtjPfzWtF2AnpK9RQ", Some(Reason::Claim)), ("", Some(Reason::Claim))]
    {
        let mint = Mint::id().set("at_hash", &format!("{at_hash:?}"));
        let expected = Expected::from(Credential::IdToken).access_token(&access);
        let refused = judge_at(&mint.token(), expected, NOW).err();
        assert_eq!(refused.map(|refused| refused.reason()), reason, "{at_hash}");
    }
}

#[test]
fn jwt_svids() {
    let svid = Mint::svid;
    let sub = |id: &str| svid().set("sub", &format!("{id:?}"));
    check(
        Credential::JwtSvid,
        &[
            ("good", svid(), None),
            ("without a type", svid().without_header("typ"), None),
            ("of the type JOSE", svid().header("typ", r#""JOSE""#), None),
            ("another type", svid().header("typ", r#""at+jwt""#), Some(Reason::Type)),
            ("without iat", svid().without("iat"), None),
            ("no exp", svid().without("exp"), Some(Reason::MissingClaim)),
            ("no aud", svid().without("aud"), Some(Reason::MissingClaim)),
            ("no sub", svid().without("sub"), Some(Reason::MissingClaim)),
            ("of another trust domain", sub("spiffe://evil.example/cart"), Some(Reason::Issuer)),
            ("of a trust domain as a whole", sub("spiffe://prod.example"), Some(Reason::Claim)),
            ("no SPIFFE ID", sub("cart"), Some(Reason::Claim)),
            ("a path that is not canonical", sub("spiffe://prod.example/a/../cart"), Some(Reason::Claim)),
        ],
    );
    let verified = good(&svid(), Credential::JwtSvid);
    assert_eq!(verified.principal().id, "spiffe://prod.example/cart");
    assert_eq!(verified.principal().issuer, "prod.example");
}

#[test]
fn txn_tokens() {
    let txn = Mint::txn;
    for name in ["iat", "aud", "exp", "txn", "sub", "scope", "req_wl"] {
        check(Credential::TxnToken, &[(name, txn().without(name), Some(Reason::MissingClaim))]);
    }
    check(
        Credential::TxnToken,
        &[
            ("good", txn(), None),
            ("with an issuer", txn().set("iss", r#""https://tts.prod.example""#), None),
            ("with an issuer that is a list", txn().set("iss", r#"["a"]"#), Some(Reason::Claim)),
            ("of the type JWT", txn().header("typ", r#""JWT""#), Some(Reason::Type)),
            ("of no type", txn().without_header("typ"), Some(Reason::Type)),
            ("of another trust domain", txn().set("aud", r#""test.example""#), Some(Reason::Issuer)),
            ("of two trust domains", txn().set("aud", r#"["prod.example","b"]"#), Some(Reason::Claim)),
            ("context that is no object", txn().set("tctx", "5"), Some(Reason::Claim)),
            ("valid for longer than minutes", txn().set("exp", "1800000301"), Some(Reason::Lifetime)),
        ],
    );
    let verified = good(&txn(), Credential::TxnToken);
    assert_eq!(verified.evidence().token_id.as_deref(), Some("97053963"));
    assert_eq!(
        (verified.principal().issuer.as_str(), verified.principal().client.as_deref()),
        ("prod.example", None)
    );
}

#[test]
fn a_route_can_ask_for_one_audience() {
    let token = Mint::access().set("aud", r#"["billing","orders"]"#).token();
    for (asked, reason) in
        [("orders", None), ("billing", None), ("x", Some(Reason::Audience)), ("", Some(Reason::Audience))]
    {
        let expected = Expected::from(Credential::AccessToken).audience(asked);
        let verified = judge_at(&token, expected, NOW);
        match verified {
            Ok(verified) => {
                assert_eq!((reason, verified.evidence().audience.as_deref()), (None, Some(asked)))
            }
            Err(refused) => assert_eq!(Some(refused.reason()), reason, "{asked}"),
        }
    }
    // Being named in the token does not make an audience ours.
    let token = Mint::access().set("aud", r#"["x"]"#).token();
    assert!(judge_at(&token, Expected::from(Credential::AccessToken).audience("x"), NOW).is_err());
}

#[test]
fn what_a_token_is_bound_to_is_kept() {
    let digest = crate::testing::base64url([5; 32]);
    let verified = good(
        &Mint::access().set("cnf", &format!(r#"{{"jkt":"{digest}","x5t#S256":"{digest}"}}"#)),
        Credential::AccessToken,
    );
    let bound = verified.evidence().confirmation.expect("bound");
    assert_eq!((bound.jkt, bound.x5t_s256), (Some([5; 32]), Some([5; 32])));
    let cnf = |json: &str| Mint::access().set("cnf", json);
    check(
        Credential::AccessToken,
        &[
            ("bound in a way that is not known", cnf(r#"{"jwe":"x"}"#), Some(Reason::Binding)),
            ("bound in two ways", cnf(&format!(r#"{{"jkt":"{digest}","kid":"x"}}"#)), Some(Reason::Binding)),
            ("bound to nothing", cnf("{}"), Some(Reason::Claim)),
            ("no object", cnf("5"), Some(Reason::Claim)),
            ("a digest cut short", cnf(r#"{"jkt":"AAAA"}"#), Some(Reason::Claim)),
            ("a digest that is none", cnf(r#"{"jkt":5}"#), Some(Reason::Claim)),
        ],
    );
}

//! Who sends and who asks: by tokens, and by what is required.

use std::sync::Arc;

use ::http::HeaderMap;
use hopseal::keys::KeyStore;
use hopseal::{Registry, UnixTime, Validator};

use crate::serve::access::{Access, Role};
use crate::serve::delivery::{Sender, SenderId, ServicePattern};
use crate::serve::proof::{KnownBy, Peer, validator};
use crate::serve::senders::Senders;

/// Good for ten minutes from [`NOW`] on, of `alice`.
pub(super) const TOKEN: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJvcmRlcn\
                     MiLCJzdWIiOiJhbGljZSIsImNsaWVudF9pZCI6InNob3AiLCJqdGkiOiJqMSIsImlhdCI6MTgwMDAwMDAwMCwiZXhwIjoxO\
                     DAwMDAwNjAwLCJzY29wZSI6IndyaXRlIHJlYWQifQ.hm5_NiLL5-Kwr5MdNlBz3dOgXEohre6AYgxjWp964SbwkhmKbFCWu\
                     RL3B0gxwBTDKbLsFRHkSf656nRDwmAtDw";
const NOW: UnixTime = UnixTime(1_800_000_000);

fn validates(now: UnixTime) -> Validator<KeyStore> {
    let keys =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let yaml = format!(
        "issuers: [{{name: staff, kind: static, issuer: 'https://id.example', jwks: '{keys}', audiences: [orders], \
         algorithms: [EdDSA]}}]"
    );
    let registry = Registry::from_yaml(&yaml).expect("a registry");
    validator(registry).expect("a validator").clock(now)
}

fn senders(required: bool, known: &str, registry: bool, now: UnixTime) -> Senders {
    let tokens = registry.then(|| validates(now));
    let id = SenderId {
        name: "agent".to_owned(),
        may_speak_for: vec![ServicePattern::parse("shop").expect("a pattern")],
    };
    let by = KnownBy::Token { issuer: "staff".to_owned(), subject: known.to_owned() };
    Senders { required, known: [(by, Arc::new(id))].into(), tokens }
}

#[tokio::test]
async fn tokens() {
    let good = format!("Bearer {TOKEN}");
    let forged = format!("{good}A");
    let late = UnixTime(NOW.0 + 7200);
    for (what, senders, headers, expected) in [
        ("good", senders(true, "alice", true, NOW), vec![good.as_str()], Ok(Some("agent"))),
        (
            "any case",
            senders(true, "alice", true, NOW),
            vec![&good.replace("Bearer", "bearer")],
            Ok(Some("agent")),
        ),
        ("forged", senders(false, "alice", true, NOW), vec![&forged], Err("bad_credential")),
        ("expired", senders(false, "alice", true, late), vec![&good], Err("bad_credential")),
        ("no token", senders(false, "alice", true, NOW), vec!["Bearer "], Err("bad_credential")),
        ("two", senders(false, "alice", true, NOW), vec![&good, &good], Err("bad_credential")),
        ("a stranger's", senders(true, "bob", true, NOW), vec![&good], Err("stranger")),
        ("a stranger's, who may send", senders(false, "bob", true, NOW), vec![&good], Ok(None)),
        ("none", senders(true, "alice", true, NOW), vec![], Err("no_credential")),
        ("none, and none needed", senders(false, "alice", true, NOW), vec![], Ok(None)),
        ("another scheme", senders(true, "alice", true, NOW), vec!["Basic YTpi"], Err("no_credential")),
        ("not looked at", senders(false, "alice", false, NOW), vec![&forged], Ok(None)),
        (
            "opaque, and nobody to ask",
            senders(false, "alice", true, NOW),
            vec!["Bearer abc"],
            Err("bad_credential"),
        ),
    ] {
        let mut map = HeaderMap::new();
        for value in headers {
            map.append("authorization", value.parse().expect("a value"));
        }
        let found = senders.identify(&map, &Peer::default()).await;
        let found = found.as_ref().map(|sender| match sender {
            Sender::Authenticated(id) => Some(id.name.as_str()),
            Sender::Unauthenticated => None,
        });
        assert_eq!(found.map_err(|refusal| refusal.label()), expected, "{what}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_was_wrong_and_not_with_what() {
    let mut map = HeaderMap::new();
    map.append("authorization", format!("Bearer {TOKEN}A").parse().expect("a value"));
    let refusal =
        senders(false, "alice", true, NOW).identify(&map, &Peer::default()).await.expect_err("forged");
    let said = format!("{refusal:?}");
    assert!(said.contains("invalid_token") && !said.contains("eyJ"), "{said}");
}

#[tokio::test]
async fn roles_of_who_asks() {
    let good = format!("Bearer {TOKEN}");
    let by = |subject: &str| KnownBy::Token { issuer: "staff".to_owned(), subject: subject.to_owned() };
    for (what, required, known, header, expected) in [
        ("good", true, "alice", Some(good.as_str()), Ok((Role::Auditor, "alice (staff)"))),
        ("a stranger's", true, "bob", Some(&good), Err("stranger")),
        ("forged", true, "alice", Some(&format!("{good}A")), Err("bad_credential")),
        ("none", true, "alice", None, Err("no_credential")),
        ("none, and none needed", false, "alice", None, Ok((Role::Admin, ""))),
    ] {
        let known = [(by(known), Role::Auditor)].into();
        let access = Access { required, known, tokens: Some(validates(NOW)), ..Access::default() };
        let mut map = HeaderMap::new();
        if let Some(header) = header {
            map.insert("authorization", header.parse().expect("a value"));
        }
        let found = access.asker(&map, &Peer::default()).await;
        let found = found.as_ref().map(|asker| (asker.role, asker.who.as_str()));
        assert_eq!(found.map_err(|refusal| refusal.label()), expected, "{what}");
    }
}

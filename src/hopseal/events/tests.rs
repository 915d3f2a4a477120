use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::client::SigningKey;
use crate::http::{Answer, Fetch, Fetching, HttpFault, Reach, Request};
use crate::keys::FixedKeys;
use crate::{
    Algorithm, Credential, IssuerBuilder, IssuerKind, Reason, Registry, Revocation, Revocations, Token,
    UnixTime, Validator,
};

const NOW: u64 = 1_800_000_000;
const ID: &str = "https://id.example";
const OTHER: &str = "https://other.example";
const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const CLAIMS: &str = "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";
const CREDENTIAL: &str = "https://schemas.openid.net/secevent/caep/event-type/credential-change";
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

struct Lab {
    key: SigningKey,
    registry: Registry,
    keys: FixedKeys,
    revocations: Arc<Revocations>,
    receiver: Arc<Receiver<FixedKeys>>,
}

fn lab() -> Lab {
    let (key, jwk) = SigningKey::generate("k1").expect("a key");
    let issuer = |name, id: &str| {
        IssuerBuilder::new(IssuerKind::Static, name, id)
            .jwks(format!(r#"{{"keys":[{jwk}]}}"#))
            .audiences(["orders"])
            .algorithms([Algorithm::EdDsa])
    };
    let registry = Registry::new([issuer("staff", ID), issuer("other", OTHER)]).expect("a registry");
    let keys = FixedKeys::of(&registry).expect("keys");
    let revocations = Arc::new(Revocations::with_capacity(10));
    let receiver = Receiver::builder(
        &registry,
        keys.clone(),
        Arc::clone(&revocations),
        [FeedSettings::new("staff", ["events"]).quiet(60)],
    );
    let receiver = Arc::new(receiver.clock(UnixTime(NOW)).build().expect("a receiver"));
    Lab { key, registry, keys, revocations, receiver }
}

fn user(id: &str) -> Value {
    json!({"format": "iss_sub", "iss": ID, "sub": id})
}

fn set(event: &str, subject: &Value, details: &Value) -> Value {
    json!({"iss": ID, "aud": "events", "jti": "e1", "iat": NOW - 5, "sub_id": subject, "events": {event: details}})
}

/// A token with these members instead; `null` takes one out.
fn with(token: &Value, change: &Value) -> Value {
    let mut token = token.clone();
    let members = token.as_object_mut().expect("an object");
    for (name, value) in change.as_object().expect("an object") {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    token
}

fn subject(id: &str, issued_until: u64) -> Revocation {
    let until = UnixTime(issued_until + 86_400 + 120);
    Revocation::Subject {
        issuer: ID.to_owned(),
        id: id.to_owned(),
        issued_until: UnixTime(issued_until),
        until,
    }
}

fn session(id: &str, at: u64) -> Revocation {
    Revocation::Session { issuer: ID.to_owned(), id: id.to_owned(), until: UnixTime(at + 86_400 + 120) }
}

#[tokio::test]
async fn what_follows_from_an_event() {
    let complex =
        json!({"format": "complex", "user": user("ann"), "session": {"format": "opaque", "id": "s1"}});
    let foreign = json!({"format": "iss_sub", "iss": OTHER, "sub": "ann"});
    let token = json!({"format": "jwt_id", "iss": ID, "jti": "j1"});
    let at = json!({"event_timestamp": NOW - 100});
    let none = json!({});
    let created = json!({"change_type": "create"});
    let one_token =
        Revocation::Token { issuer: ID.to_owned(), id: "j1".to_owned(), until: UnixTime(NOW - 5 + 86_520) };
    for (event, about, details, kind, expected) in [
        (REVOKED, &complex, &none, EventKind::SessionRevoked, vec![session("s1", NOW - 5)]),
        (REVOKED, &user("ann"), &at, EventKind::SessionRevoked, vec![subject("ann", NOW - 100)]),
        (CLAIMS, &user("ann"), &at, EventKind::TokenClaimsChange, vec![subject("ann", NOW - 100)]),
        (CLAIMS, &token, &none, EventKind::TokenClaimsChange, vec![one_token]),
        (CREDENTIAL, &user("ann"), &none, EventKind::CredentialChange, vec![subject("ann", NOW - 5)]),
        (CREDENTIAL, &user("ann"), &created, EventKind::CredentialChange, vec![]),
        // An issuer speaks for its own subjects.
        (REVOKED, &foreign, &none, EventKind::SessionRevoked, vec![]),
        (
            REVOKED,
            &json!({"format": "email", "email": "a@b.example"}),
            &none,
            EventKind::SessionRevoked,
            vec![],
        ),
        (
            "https://schemas.openid.net/secevent/ssf/event-type/verification",
            &none,
            &none,
            EventKind::Verification,
            vec![],
        ),
        ("https://example.com/coffee", &none, &none, EventKind::Other, vec![]),
        // From the future: as of now.
        (
            CLAIMS,
            &user("ann"),
            &json!({"event_timestamp": NOW + 9999}),
            EventKind::TokenClaimsChange,
            vec![subject("ann", NOW + 60)],
        ),
    ] {
        let lab = lab();
        let token = lab.key.sign("secevent+jwt", &set(event, about, details));
        let event = lab.receiver.receive(&token).await.expect("keys").expect("accepted");
        assert_eq!((event.kind, &event.revocations), (kind, &expected), "{about} {details}");
        assert_eq!(lab.revocations.len(), expected.len());
        assert_eq!((event.id.as_str(), event.issuer.as_str()), ("e1", "staff"));
    }
}

#[tokio::test]
async fn what_is_no_event_is_refused() {
    let good = set(REVOKED, &user("ann"), &json!({}));
    for (typ, change, reason) in [
        ("secevent+jwt", json!({}), None),
        ("application/secevent+JWT", json!({}), None),
        ("JWT", json!({}), Some(Reason::Type)),
        ("at+jwt", json!({}), Some(Reason::Type)),
        ("logout+jwt", json!({}), Some(Reason::Type)),
        ("secevent+jwt", json!({"exp": NOW + 60}), Some(Reason::Type)),
        ("secevent+jwt", json!({"sub": "ann"}), Some(Reason::Type)),
        ("secevent+jwt", json!({"iss": OTHER}), Some(Reason::Issuer)), // it has no feed
        ("secevent+jwt", json!({"iss": null}), Some(Reason::MissingClaim)),
        ("secevent+jwt", json!({"aud": "orders"}), Some(Reason::Audience)),
        ("secevent+jwt", json!({"aud": null}), Some(Reason::MissingClaim)),
        ("secevent+jwt", json!({"jti": null}), Some(Reason::MissingClaim)),
        ("secevent+jwt", json!({"jti": 5}), Some(Reason::Claim)),
        ("secevent+jwt", json!({"iat": null}), Some(Reason::MissingClaim)),
        ("secevent+jwt", json!({"iat": NOW + 61}), Some(Reason::Premature)),
        ("secevent+jwt", json!({"iat": NOW - 1_000_000}), None), // it may have waited
        ("secevent+jwt", json!({"events": null}), Some(Reason::MissingClaim)),
        ("secevent+jwt", json!({"events": {}}), Some(Reason::Claim)),
        ("secevent+jwt", json!({"events": {REVOKED: {}, CLAIMS: {}}}), Some(Reason::Claim)),
        ("secevent+jwt", json!({"events": {REVOKED: 5}}), Some(Reason::Claim)),
        ("secevent+jwt", json!({"events": [REVOKED]}), Some(Reason::Claim)),
        ("secevent+jwt", json!({"sub_id": null}), Some(Reason::MissingClaim)),
        ("secevent+jwt", json!({"sub_id": "ann"}), Some(Reason::Claim)),
        ("secevent+jwt", json!({"events": {REVOKED: {"event_timestamp": "now"}}}), Some(Reason::Claim)),
        // Before SSF 1.0 the subject stood inside.
        ("secevent+jwt", json!({"sub_id": null, "events": {REVOKED: {"subject": user("ann")}}}), None),
    ] {
        let lab = lab();
        let token = lab.key.sign(typ, &with(&good, &change));
        let refused = lab.receiver.receive(&token).await.expect("keys").err();
        assert_eq!(refused.map(|refused| refused.reason()), reason, "{typ} {change}");
        assert_eq!(lab.revocations.is_empty(), reason.is_some(), "{typ} {change}");
    }
    let (lab, (stranger, _)) = (lab(), SigningKey::generate("k1").expect("a key"));
    let refused = lab.receiver.receive(&stranger.sign("secevent+jwt", &good)).await.expect("keys").err();
    assert_eq!(refused.map(|refused| refused.reason()), Some(Reason::Signature));
}

#[tokio::test]
async fn logout_tokens() {
    let good = json!({"iss": ID, "aud": "orders", "iat": NOW - 5, "exp": NOW + 115, "jti": "l1", "sid": "s1",
        "sub": "ann", "events": {LOGOUT: {}}});
    for (typ, change, expected) in [
        ("logout+jwt", json!({}), Ok(session("s1", NOW - 5))),
        ("logout+jwt", json!({"sid": null}), Ok(subject("ann", NOW - 5))),
        ("logout+jwt", json!({"sub": null}), Ok(session("s1", NOW - 5))),
        ("logout+jwt", json!({"sub": null, "sid": null}), Err(Reason::MissingClaim)),
        ("logout+jwt", json!({"nonce": "n"}), Err(Reason::Type)),
        ("JWT", json!({}), Err(Reason::Type)),
        ("secevent+jwt", json!({}), Err(Reason::Type)),
        ("logout+jwt", json!({"exp": null}), Err(Reason::MissingClaim)),
        ("logout+jwt", json!({"exp": NOW - 61, "iat": NOW - 100}), Err(Reason::Expired)),
        ("logout+jwt", json!({"aud": "events"}), Err(Reason::Audience)),
        ("logout+jwt", json!({"jti": null}), Err(Reason::MissingClaim)),
        ("logout+jwt", json!({"events": {REVOKED: {}}}), Err(Reason::Claim)),
        ("logout+jwt", json!({"events": {LOGOUT: null}}), Err(Reason::Claim)),
        ("logout+jwt", json!({"events": null}), Err(Reason::MissingClaim)),
        ("logout+jwt", json!({"sid": ""}), Err(Reason::Claim)),
    ] {
        let lab = lab();
        let token = lab.key.sign(typ, &with(&good, &change));
        let form = format!("logout_token={}", *token);
        let reply = lab.receiver.backchannel_logout(form.as_bytes()).await;
        let found = lab.receiver.logout(&token).await.expect("keys");
        let found = found.map(|event| event.revocations[0].clone()).map_err(|refused| refused.reason());
        assert_eq!(reply.status, if expected.is_ok() { 200 } else { 400 }, "{typ} {change}");
        assert_eq!(found, expected, "{typ} {change}");
    }
    let lab = lab();
    for form in ["", "logout_token", "token=a", "logout_token=a&logout_token=b", "\u{0}"] {
        assert_eq!(lab.receiver.backchannel_logout(form.as_bytes()).await.status, 400, "{form}");
    }
}

#[tokio::test]
async fn events_are_pushed() {
    let lab = lab();
    let token = lab.key.sign("secevent+jwt", &set(REVOKED, &user("ann"), &json!({})));
    let (kind, body) = (Some("application/secevent+jwt; x=y"), token.as_bytes());
    assert_eq!(lab.receiver.push(kind, None, body).await.status, 202);
    for (kind, leave, body, err) in [
        (kind, Some(false), body, "authentication_failed"),
        (Some("application/json"), None, body, "invalid_request"),
        (None, None, body, "invalid_request"),
        (kind, None, b"\xff", "invalid_request"),
        (kind, None, b"eyJ", "invalid_request"),
        (kind, None, &vec![b'a'; 65 * 1024], "invalid_request"),
    ] {
        let reply = lab.receiver.push(kind, leave, body).await;
        let said: Value = serde_json::from_str(&reply.body).expect("JSON");
        assert_eq!((reply.status, said["err"].as_str()), (400, Some(err)));
    }
    for (change, err) in
        [(json!({"aud": "x"}), "invalid_audience"), (json!({"iss": OTHER}), "invalid_issuer")]
    {
        let token = lab.key.sign("secevent+jwt", &with(&set(REVOKED, &user("ann"), &json!({})), &change));
        let reply = lab.receiver.push(kind, None, token.as_bytes()).await;
        assert!(reply.body.contains(err), "{}", reply.body);
    }
}

/// A transmitter that gives these answers, and keeps what it was told.
#[derive(Debug, Clone, Default)]
struct Transmitter {
    says: Arc<Mutex<VecDeque<Result<String, HttpFault>>>>,
    told: Arc<Mutex<Vec<Value>>>,
}

impl Fetch for Transmitter {
    fn fetch(&self, request: Request) -> Fetching<'_> {
        let body = request.body.as_ref().expect("a body");
        self.told.lock().unwrap().push(serde_json::from_slice(&body.1).expect("JSON"));
        let says = self.says.lock().unwrap().pop_front().expect("asked too often");
        Box::pin(
            async move { Ok(Answer { status: 200, headers: Vec::new(), body: says?.into_bytes().into() }) },
        )
    }
}

#[tokio::test]
async fn events_are_polled_and_acknowledged() {
    let lab = lab();
    let good = lab.key.sign("secevent+jwt", &set(REVOKED, &user("ann"), &json!({})));
    let bad =
        lab.key.sign("secevent+jwt", &with(&set(REVOKED, &user("bob"), &json!({})), &json!({"aud": "x"})));
    let transmitter = Transmitter::default();
    for says in [
        Ok(json!({"sets": {"e1": *good, "e2": *bad}, "moreAvailable": true}).to_string()),
        Err(HttpFault::Timeout),
        Ok(json!({"sets": {}}).to_string()),
        Ok(json!({"sets": {}}).to_string()),
        Ok("[]".to_owned()),
    ] {
        transmitter.says.lock().unwrap().push_back(says);
    }
    let receiver = Arc::clone(&lab.receiver);
    let poller = Poller::new(receiver, "staff", "https://id.example/poll", Reach::Named, transmitter.clone());
    let poller = poller.expect("an address");
    let token = Token::new("t");
    let polled = poller.poll(Some(&token)).await.expect("an answer");
    assert_eq!((polled.events.len(), polled.refused, polled.undecided, polled.more), (1, 1, 0, true));
    assert_eq!(lab.revocations.len(), 1);
    assert!(matches!(poller.poll(Some(&token)).await, Err(PollFault::Http(_))));
    assert!(poller.poll(Some(&token)).await.is_ok());
    assert!(poller.poll(None).await.is_ok());
    assert!(matches!(poller.poll(None).await, Err(PollFault::Shape)));
    let told = transmitter.told.lock().unwrap();
    let acks: Vec<Value> = told.iter().map(|told| told["ack"].clone()).collect();
    assert_eq!(acks, [json!([]), json!(["e1"]), json!(["e1"]), json!([]), json!([])], "until it was heard");
    assert_eq!(told[2]["setErrs"]["e2"]["err"], "invalid_audience");
}

/// The row "feed is down" of the failure policy: it is told how long, and when that is too long.
#[tokio::test]
async fn a_feed_that_falls_silent() {
    let lab = lab();
    let at = |now: u64| {
        let feeds = [FeedSettings::new("staff", ["events"]).quiet(60)];
        let receiver =
            Receiver::builder(&lab.registry, lab.keys.clone(), Arc::clone(&lab.revocations), feeds);
        receiver.clock(UnixTime(now)).build().expect("a receiver")
    };
    assert_eq!(at(NOW).feed("staff"), Some(Feed { lag: 0, is_behind: false }));
    assert!(at(NOW).feed("other").is_none());
    let receiver = at(NOW + 61);
    let line = receiver.line("staff").expect("a feed");
    receiver.heard(line, UnixTime(NOW + 1));
    assert_eq!(receiver.feed("staff"), Some(Feed { lag: 60, is_behind: false }));
    receiver.heard(line, UnixTime(NOW));
    assert_eq!(receiver.feed("staff"), Some(Feed { lag: 61, is_behind: true }));
}

/// Where there is no room for another revocation, all of the issuer's tokens up to now are withdrawn: never none.
#[tokio::test]
async fn without_room_more_is_revoked_and_not_less() {
    let lab = lab();
    let token = |id: &str, issued: u64| {
        let claims = json!({"iss": ID, "aud": "orders", "sub": id, "client_id": "c", "jti": id, "iat": issued,
            "exp": issued + 600});
        Token::new(lab.key.sign("at+jwt", &claims).as_str())
    };
    let validator = Validator::new(&lab.registry, lab.keys.clone())
        .clock(UnixTime(NOW))
        .with_revocations(Arc::clone(&lab.revocations));
    let reason = async |token: &Token| {
        let validated = validator.validate(token, Credential::AccessToken).await.expect("keys");
        validated.refused().map(|refused| refused.reason())
    };
    let (ann, zoe) = (token("ann", NOW - 60), token("zoe", NOW - 60));
    for id in ["ann", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9", "u10"] {
        let set = lab.key.sign("secevent+jwt", &set(REVOKED, &user(id), &json!({})));
        lab.receiver.receive(&set).await.expect("keys").expect("accepted");
    }
    assert_eq!(reason(&ann).await, Some(Reason::Revoked));
    assert_eq!(reason(&zoe).await, None);
    let set = lab.key.sign("secevent+jwt", &set(REVOKED, &user("u11"), &json!({})));
    lab.receiver.receive(&set).await.expect("keys").expect("accepted");
    assert_eq!(reason(&zoe).await, Some(Reason::Revoked));
    assert_eq!(reason(&token("zoe", NOW + 1)).await, None, "a new one is good");
}

#[test]
fn what_cannot_be_made_is_told() {
    let lab = lab();
    let build = |feeds: &[FeedSettings]| {
        let revocations = Arc::clone(&lab.revocations);
        Receiver::builder(&lab.registry, lab.keys.clone(), revocations, feeds.to_vec()).build().err()
    };
    let none: [&str; 0] = [];
    let good = FeedSettings::new("staff", ["a"]);
    assert_eq!(build(std::slice::from_ref(&good)), None);
    assert_eq!(build(&[FeedSettings::new("x", ["a"])]), Some(ReceiverError::Unknown("x".to_owned())));
    assert_eq!(
        build(&[FeedSettings::new("staff", none)]),
        Some(ReceiverError::NoAudience("staff".to_owned()))
    );
    assert_eq!(build(&[good.clone().speaks_for(["x"])]), Some(ReceiverError::Unknown("x".to_owned())));
    assert_eq!(build(&[good.clone(), good]), Some(ReceiverError::Twice("staff".to_owned())));
}

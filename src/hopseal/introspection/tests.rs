use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::client::SigningKey;
use crate::http::{Answer, Fetching, HttpFault, Request};
use crate::keys::FixedKeys;
use crate::{Algorithm, Credential, IssuerBuilder, IssuerKind, Revocation, Secret, Validator};

const NOW: u64 = 1_800_000_000;
const ID: &str = "https://op.example";

/// An issuer that says this to every question.
#[derive(Debug, Clone)]
struct Issuer {
    says: Arc<Mutex<Option<(u16, String, String)>>>,
    asked: Arc<AtomicU64>,
    now: Arc<AtomicU64>,
}

impl Clock for Issuer {
    fn now(&self) -> UnixTime {
        UnixTime(self.now.load(Ordering::SeqCst))
    }
}

impl Issuer {
    fn says(&self, answer: &Value) {
        self.raw(200, "application/json", &answer.to_string());
    }

    fn raw(&self, status: u16, kind: &str, body: &str) {
        *self.says.lock().unwrap() = Some((status, kind.to_owned(), body.to_owned()));
    }

    fn dies(&self) {
        *self.says.lock().unwrap() = None;
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Fetch for Issuer {
    fn fetch(&self, request: Request) -> Fetching<'_> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let body = String::from_utf8_lossy(&request.body.as_ref().expect("a form").1).into_owned();
        assert!(body.starts_with("token=") && body.ends_with("&token_type_hint=access_token"), "{body}");
        let says = self.says.lock().unwrap().clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let Some((status, kind, body)) = says else { return Err(HttpFault::Timeout) };
            let headers = vec![("content-type".to_owned(), kind)];
            Ok(Answer { status, headers, body: body.into_bytes().into() })
        })
    }
}

fn registry(jwks: &str) -> Registry {
    let opaque = IssuerBuilder::new(IssuerKind::Introspection, "opaque", ID)
        .introspection("https://op.example/introspect", "orders", Secret::new("hunter2"))
        .audiences(["orders"]);
    let signer = IssuerBuilder::new(IssuerKind::Static, "signer", ID)
        .jwks(jwks)
        .audiences(["orders"])
        .algorithms([Algorithm::EdDsa]);
    Registry::new([opaque, signer]).expect("a registry")
}

fn jwks() -> String {
    format!(r#"{{"keys":[{}]}}"#, SigningKey::generate("k1").expect("a key").1)
}

fn issuer() -> Issuer {
    let issuer = Issuer { says: Arc::default(), asked: Arc::default(), now: Arc::new(AtomicU64::new(NOW)) };
    issuer.says(&good());
    issuer
}

fn lab() -> (Issuer, Introspector) {
    let issuer = issuer();
    let registry = registry(&jwks());
    let builder = Introspector::builder(&registry, issuer.clone()).clock(issuer.clone());
    (issuer, builder.build().expect("an introspector"))
}

fn good() -> Value {
    json!({"active": true, "iss": ID, "sub": "ann", "aud": "orders", "client_id": "shop", "scope": "b a",
        "iat": NOW - 100, "exp": NOW + 600, "token_type": "Bearer", "jti": "j1"})
}

/// The id of the principal, the reason of a refusal, or `undecided`.
async fn ask(introspector: &Introspector, token: &str) -> String {
    match introspector.validate("opaque", &Token::new(token), Credential::Opaque).await {
        Ok(Validated::Verified(verified)) => verified.principal().id.clone(),
        Ok(Validated::Refused(refused)) => refused.reason().to_string(),
        Err(_) => "undecided".to_owned(),
    }
}

#[tokio::test]
async fn what_is_said_becomes_a_principal() {
    let (_, introspector) = lab();
    let token = Token::new("abc");
    let validated = introspector.validate("opaque", &token, Credential::Opaque).await.expect("an answer");
    let verified = validated.verified().expect("active");
    let (principal, evidence) = (verified.principal(), verified.evidence());
    assert_eq!((principal.id.as_str(), principal.issuer.as_str()), ("ann", ID));
    assert_eq!(principal.scopes, ["a", "b"]);
    assert_eq!(principal.client.as_deref(), Some("shop"));
    assert_eq!(principal.expiry, UnixTime(NOW + 600));
    assert_eq!((evidence.credential, evidence.algorithm), (Credential::Opaque, None));
    assert_eq!((evidence.token_id.as_deref(), evidence.audience.as_deref()), (Some("j1"), Some("orders")));
    assert_eq!(evidence.fingerprint, token.fingerprint());
}

/// The claims of a good answer, but for these.
#[tokio::test]
async fn what_is_said_is_held_to_the_rules_of_claims() {
    for (change, outcome) in [
        (json!({}), "ann"),
        (json!({"iss": null}), "ann"),
        (json!({"iat": null, "jti": null, "client_id": null, "scope": null, "token_type": null}), "ann"),
        (json!({"exp": null}), "ann"), // good for as long as the answer
        (json!({"aud": ["x", "orders"]}), "ann"),
        (json!({"active": false}), "inactive"),
        (json!({"active": "true"}), "undecided"),
        (json!({"active": 1}), "undecided"),
        (json!({"active": null}), "undecided"),
        (json!({"iss": "https://evil.example"}), "issuer"),
        (json!({"iss": ["https://op.example"]}), "claim"),
        (json!({"aud": null}), "missing_claim"),
        (json!({"aud": "x"}), "audience"),
        (json!({"sub": null}), "shop"), // a service by itself
        (json!({"sub": null, "client_id": null}), "missing_claim"),
        (json!({"sub": ""}), "claim"),
        (json!({"sub": 5}), "claim"),
        (json!({"exp": NOW - 61}), "expired"),
        (json!({"exp": "soon"}), "claim"),
        (json!({"exp": NOW + 100_000}), "lifetime"),
        (json!({"iat": NOW + 61}), "premature"),
        (json!({"nbf": NOW + 61}), "premature"),
        (json!({"nbf": NOW + 61, "exp": null}), "premature"),
        (json!({"token_type": "refresh_token"}), "type"),
        (json!({"typ": "Refresh"}), "type"),
        (json!({"cnf": {"jkt": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}), "binding"),
        (json!({"cnf": {"kid": "x"}}), "binding"),
    ] {
        let (issuer, introspector) = lab();
        let mut answer = good();
        for (name, value) in change.as_object().expect("an object") {
            match value {
                Value::Null => answer.as_object_mut().expect("an object").remove(name),
                value => answer.as_object_mut().expect("an object").insert(name.clone(), value.clone()),
            };
        }
        issuer.says(&answer);
        assert_eq!(ask(&introspector, "abc").await, outcome, "{change}");
    }
    for (status, kind, body) in [
        (200, "application/json", "{\"active\":true,\"active\":false}"),
        (200, "application/json", "[true]"),
        (200, "text/html", "<html>"),
        (401, "application/json", "{\"active\":true}"),
        (500, "application/json", "{}"),
        (302, "application/json", ""),
    ] {
        let (issuer, introspector) = lab();
        issuer.raw(status, kind, body);
        assert_eq!(ask(&introspector, "abc").await, "undecided", "{status} {body}");
    }
}

#[tokio::test]
async fn what_no_issuer_can_have_issued_is_not_asked_about() {
    let (issuer, introspector) = lab();
    for (token, outcome) in [
        ("", "malformed"),
        ("a b", "malformed"),
        ("a\u{0}", "malformed"),
        ("\u{e9}", "malformed"),
        (&*"a".repeat(8193), "too_large"),
    ] {
        assert_eq!(ask(&introspector, token).await, outcome);
    }
    let other = introspector.validate("signer", &Token::new("abc"), Credential::Opaque).await;
    assert_eq!(other.expect("an answer").refused().map(Refused::reason), Some(Reason::Issuer));
    assert_eq!(issuer.asked(), 0);
}

/// The row "opaque token" of the failure policy: at hand until its time is over, then undecided, and never active.
#[tokio::test(start_paused = true)]
async fn an_issuer_that_dies() {
    let (issuer, introspector) = lab();
    let at = |seconds: u64| issuer.now.store(NOW + seconds, Ordering::SeqCst);
    assert_eq!(ask(&introspector, "abc").await, "ann");
    issuer.dies();
    at(29);
    assert_eq!(ask(&introspector, "abc").await, "ann");
    assert_eq!(issuer.asked(), 1);
    at(30);
    assert_eq!(ask(&introspector, "abc").await, "undecided");
    assert_eq!(ask(&introspector, "new").await, "undecided");
    // After five in a row it is left alone for five seconds.
    for _ in 0..10 {
        assert_eq!(ask(&introspector, "abc").await, "undecided");
    }
    assert_eq!(issuer.asked(), 6);
    issuer.says(&good());
    at(34);
    assert_eq!(ask(&introspector, "abc").await, "undecided");
    at(35);
    assert_eq!(ask(&introspector, "abc").await, "ann");
}

#[tokio::test(start_paused = true)]
async fn no_answer_holds_past_the_end_of_its_token_or_a_revocation() {
    let (issuer, introspector) = lab();
    let mut short = good();
    short["exp"] = json!(NOW + 5);
    issuer.says(&short);
    assert_eq!(ask(&introspector, "abc").await, "ann");
    issuer.says(&json!({"active": false}));
    issuer.now.store(NOW + 5, Ordering::SeqCst);
    assert_eq!(ask(&introspector, "abc").await, "inactive");
    // "Inactive" holds for a moment too, and then it is asked again.
    issuer.says(&good());
    assert_eq!(ask(&introspector, "abc").await, "inactive");
    issuer.now.store(NOW + 10, Ordering::SeqCst);
    assert_eq!(ask(&introspector, "abc").await, "ann");
    let revoked =
        Revocation::Token { issuer: ID.to_owned(), id: "j1".to_owned(), until: UnixTime(NOW + 600) };
    introspector.inner.revocations.revoke(revoked, UnixTime(NOW)).expect("room");
    assert_eq!(ask(&introspector, "abc").await, "revoked");
}

#[tokio::test(start_paused = true)]
async fn one_question_for_all_who_wait() {
    for (dead, outcome) in [(false, "ann"), (true, "undecided")] {
        let (issuer, introspector) = lab();
        if dead {
            issuer.dies();
        }
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let introspector = introspector.clone();
            tasks.spawn(async move { ask(&introspector, "abc").await });
        }
        assert!(tasks.join_all().await.iter().all(|found| found == outcome));
        assert_eq!(issuer.asked(), 1, "{outcome}");
    }
}

/// One audience of two is asked for: an answer for the one is none for the other.
#[tokio::test]
async fn answers_are_kept_apart_by_what_was_expected() {
    let (issuer, introspector) = lab();
    assert_eq!(ask(&introspector, "abc").await, "ann");
    let expected = Expected::from(Credential::Opaque).audience("other");
    let validated = introspector.validate("opaque", &Token::new("abc"), expected).await.expect("an answer");
    assert_eq!(validated.refused().map(Refused::reason), Some(Reason::Audience));
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn signed_answers() {
    let (key, jwk) = SigningKey::generate("k1").expect("a key");
    let (other, _) = SigningKey::generate("k1").expect("a key");
    let issuer = issuer();
    let registry = registry(&format!(r#"{{"keys":[{jwk}]}}"#));
    let keys = KeyStore::builder(&registry, issuer.clone()).build().expect("a store");
    let of = |iss: &str, aud: &str, iat: u64| json!({"iss": iss, "aud": aud, "iat": iat, "token_introspection": good()});
    let typ = "token-introspection+jwt";
    for (kind, token, outcome) in [
        (SIGNED, key.sign(typ, &of(ID, "orders", NOW)), "ann"),
        (SIGNED, key.sign("JWT", &of(ID, "orders", NOW)), "undecided"),
        (SIGNED, key.sign("at+jwt", &of(ID, "orders", NOW)), "undecided"),
        (SIGNED, other.sign(typ, &of(ID, "orders", NOW)), "undecided"),
        (SIGNED, key.sign(typ, &of("https://evil.example", "orders", NOW)), "undecided"),
        (SIGNED, key.sign(typ, &of(ID, "billing", NOW)), "undecided"),
        (SIGNED, key.sign(typ, &of(ID, "orders", NOW - 61)), "undecided"), // played again
        (SIGNED, key.sign(typ, &of(ID, "orders", NOW + 61)), "undecided"),
        (SIGNED, key.sign(typ, &json!({"iss": ID, "aud": "orders", "iat": NOW})), "undecided"),
        (SIGNED, good().to_string().into(), "undecided"),
        // What is asked to be signed is not taken unsigned.
        ("application/json", good().to_string().into(), "undecided"),
        ("application/json", key.sign(typ, &of(ID, "orders", NOW)), "undecided"),
    ] {
        issuer.raw(200, kind, &token);
        let introspector = Introspector::builder(&registry, issuer.clone())
            .clock(issuer.clone())
            .signed_by("opaque", keys.clone(), "signer")
            .build()
            .expect("an introspector");
        assert_eq!(ask(&introspector, "abc").await, outcome, "{kind} {}", *token);
    }
}

#[test]
fn what_cannot_be_made_is_told() {
    let registry = registry(&jwks());
    let builder = || Introspector::builder(&registry, issuer());
    let settings = IntrospectionSettings { ttl: 61, ..IntrospectionSettings::default() };
    assert!(matches!(builder().settings(settings).build(), Err(IntrospectorError::Settings(_))));
    let client = Client::with_secret("a", Secret::new("b"));
    assert!(matches!(builder().client("signer", client).build(), Err(IntrospectorError::Unknown(_))));
}

/// A front door for issuers of these names, with an introspector for those.
fn door(names: &[&str], introspector: Option<&[&str]>, issuer: &Issuer) -> Validator<FixedKeys> {
    let registry = |names: &[&str]| {
        let entry = |name: &&str| {
            IssuerBuilder::new(
                IssuerKind::Introspection,
                *name,
                if *name == "opaque" { ID } else { "https://two.example" },
            )
            .introspection("https://op.example/introspect", "orders", Secret::new("hunter2"))
            .audiences(["orders"])
        };
        Registry::new(names.iter().map(entry)).expect("a registry")
    };
    let validator = Validator::fixed(&registry(names)).expect("no keys").clock(issuer.clone());
    let Some(asked) = introspector else { return validator };
    let introspector = Introspector::builder(&registry(asked), issuer.clone()).clock(issuer.clone()).build();
    validator.cache(crate::CacheConfig::default()).with_introspector(introspector.expect("an introspector"))
}

#[tokio::test(start_paused = true)]
async fn the_front_door_asks_one_issuer_or_says_why_not() {
    let plain = Expected::from(Credential::Opaque);
    for (names, asked, expected, outcome) in [
        (&["opaque"][..], Some(&["opaque"][..]), plain, "ann"),
        (&["opaque"], Some(&["opaque"]), plain.issuer("opaque"), "ann"),
        (&["opaque"], Some(&["opaque"]), plain.issuer("two"), "issuer"),
        (&["opaque"], Some(&["opaque"]), plain.audience("billing"), "audience"),
        (&[], Some(&["opaque"]), plain, "issuer"),
        (&["opaque"], None, plain, "nobody is set up to ask `opaque` about tokens"),
        (
            &["opaque", "two"],
            Some(&["opaque"]),
            plain.issuer("two"),
            "nobody is set up to ask `two` about tokens",
        ),
        (&["opaque", "two"], Some(&["opaque"]), plain.issuer("opaque"), "ann"),
        (
            &["opaque", "two"],
            Some(&["opaque"]),
            plain,
            "several issuers are asked about tokens, and none was named",
        ),
    ] {
        let issuer = issuer();
        let found = enter(&door(names, asked, &issuer), expected).await;
        assert_eq!(found, outcome, "{names:?} {asked:?} {expected:?}");
        assert_eq!(issuer.asked(), u64::from(["ann", "audience"].contains(&outcome)), "asked for {outcome}");
    }
}

/// The id of the principal, the reason of a refusal, or why nothing could be said.
async fn enter(validator: &Validator<FixedKeys>, expected: Expected<'_>) -> String {
    match validator.validate(&Token::new("abc"), expected).await {
        Ok(Validated::Verified(verified)) => verified.principal().id.clone(),
        Ok(Validated::Refused(refused)) => refused.reason().to_string(),
        Err(undecided) => undecided.to_string(),
    }
}

#[tokio::test(start_paused = true)]
async fn the_front_door_keeps_to_its_rules_whatever_is_remembered() {
    let issuer = issuer();
    let validator = door(&["opaque"], Some(&["opaque"]), &issuer);
    let plain = Expected::from(Credential::Opaque);
    assert_eq!(enter(&validator, plain).await, "ann");
    assert_eq!(enter(&validator, plain.once()).await, "ann");
    assert_eq!(enter(&validator, plain.once()).await, "replayed");
    assert_eq!(issuer.asked(), 1, "remembered by who asks");
    let gone = Revocation::Token { issuer: ID.to_owned(), id: "j1".to_owned(), until: UnixTime(NOW + 600) };
    validator.revocations().revoke(gone, UnixTime(NOW)).expect("room");
    assert_eq!(enter(&validator, plain).await, "revoked");
    issuer.dies();
    validator.forget();
    assert_eq!(enter(&validator, plain).await, "`opaque` cannot be asked");
}

#[tokio::test(start_paused = true)]
async fn who_asks_by_other_rules_is_not_believed_after_a_reload() {
    let issuer = issuer();
    let validator = door(&["opaque"], Some(&["opaque"]), &issuer);
    let plain = Expected::from(Credential::Opaque);
    assert_eq!(enter(&validator, plain).await, "ann");
    let narrower = IssuerBuilder::new(IssuerKind::Introspection, "opaque", ID)
        .introspection("https://op.example/introspect", "orders", Secret::new("hunter2"))
        .audiences(["billing"]);
    let registry = Registry::new([narrower]).expect("a registry");
    let keys = || FixedKeys::of(&registry).expect("no keys");
    validator.reload(&registry, keys());
    assert_eq!(enter(&validator, plain).await, "nobody is set up to ask `opaque` about tokens");
    let introspector = Introspector::builder(&registry, issuer.clone()).clock(issuer).build();
    validator.reload_with_introspector(&registry, keys(), introspector.expect("an introspector"));
    assert_eq!(enter(&validator, plain).await, "audience");
}

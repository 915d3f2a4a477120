//! Who sends and who asks by tokens, over real sockets.

use ::http::{Method, Request};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hopseal_correlate::rule::Rule;
use hopseal_identity::Basis;
use http_body_util::Full;
use serde_json::json;

use super::Answer;
use super::whole::{HOPS, Way, Whole, traces};
use crate::serve::clock::{Clock as _, SystemClock};
use crate::serve::listen::Port;
use crate::serve::store::FindingQuery;

/// Whoever makes tokens.
struct Issuer(Ed25519KeyPair);

impl Issuer {
    fn new() -> Self {
        Self(Ed25519KeyPair::generate().expect("a key"))
    }

    /// A trust registry that believes it.
    fn registry(&self) -> String {
        let public = URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref());
        let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": public}]});
        let issuer = json!({
            "name": "staff", "kind": "static", "issuer": "https://id.example", "jwks": keys.to_string(),
            "audiences": ["hopseal"], "algorithms": ["EdDSA"], "claims": {"roles": "roles"},
        });
        json!({"issuers": [issuer]}).to_string()
    }

    /// A token of somebody, good from a while ago until so many seconds from now.
    fn token(&self, subject: &str, audience: &str, seconds: i64, roles: &[&str]) -> String {
        let now = i64::try_from(SystemClock.now() / 1_000_000_000).expect("a time");
        let claims = json!({
            "iss": "https://id.example", "aud": audience, "sub": subject, "client_id": "c", "jti": "j",
            "iat": now - 900, "exp": now + seconds, "roles": roles,
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(json!({"alg": "EdDSA", "typ": "at+jwt"})), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }
}

async fn start(issuer: &Issuer, text: &str) -> Whole {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("trust.yaml"), issuer.registry()).expect("written");
    let text = format!("store: {{alarm_under: '1', refuse_under: '1'}}\n{text}");
    Whole::start_on(folder, std::sync::Arc::new(crate::serve::disk::FileSystem), &text, |_| {}).await
}

/// Scenario: senders are known by tokens of one issuer; one sends for its own service and for another's, and others with tokens that are
/// no good, or none.
/// Guarantees: a good token proves what its sender may say, and finds out what it may not; nobody else gets anything in, each is told why
/// as its protocol has it, and no token is told again.
#[tokio::test]
async fn senders_by_their_tokens() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let text = "senders: {required: true, registry: trust.yaml, known: [{name: agent, services: [gateway], tokens: \
                [{issuer: staff, subject: agent}]}]}";
    let whole = start(&issuer, text).await;
    let good = issuer.token("agent", "hopseal", 600, &[]);
    for (way, begin) in Way::ALL.into_iter().zip(1..) {
        for (what, token, status, code) in [
            ("none", None, 401, 16),
            ("another's audience", Some(issuer.token("agent", "orders", 600, &[])), 401, 16),
            ("expired", Some(issuer.token("agent", "hopseal", -300, &[])), 401, 16),
            ("another's signature", Some(stranger.token("agent", "hopseal", 600, &[])), 401, 16),
            ("no token", Some("abc".to_owned()), 401, 16),
            ("somebody unknown", Some(issuer.token("mallory", "hopseal", 600, &[])), 403, 7),
        ] {
            let sent = traces([begin, 0], 1);
            let answer = whole.send_with(way, way.encode(&sent), token.as_deref()).await;
            assert_eq!(answer.status.as_u16(), way.status(status), "{way:?} {what}");
            match (way, answer.header("www-authenticate")) {
                (Way::Grpc, _) => assert_eq!(super::grpc::refused(&answer).0, code, "{what}"),
                (_, challenge) => {
                    assert_eq!(challenge.is_some(), status == 401, "{what}: {challenge:?}");
                    let is_bad = token.is_some() && status == 401;
                    assert_eq!(
                        challenge.is_some_and(|said| said.contains("invalid_token")),
                        is_bad,
                        "{what}"
                    );
                }
            }
            let said = format!("{:?} {:?}", answer.headers, answer.body);
            assert!(token.is_none_or(|token| token.len() < 9 || !said.contains(&token)), "{said}");
        }
        whole.settle();
        assert_eq!((whole.hops(&traces([begin, 0], 1)).len(), whole.taken(way)), (0, taken_before(way)));

        let sent = traces([begin, 1], 1);
        let answer = whole.send_with(way, way.encode(&sent), Some(&good)).await;
        assert_eq!(answer.status.as_u16(), 200, "{way:?}: {answer:?}");
        whole.settle();
        let hops = whole.hops(&sent);
        assert_eq!(hops.len(), HOPS, "{way:?}");
        for hop in &hops {
            let own = hop.service == "gateway";
            assert_eq!(
                hop.basis == Basis::AuthenticatedSender,
                own,
                "{way:?} {}: {:?}",
                hop.service,
                hop.basis
            );
        }
        let query = FindingQuery { rule: Some(Rule::SourceSpoof), limit: 9, ..FindingQuery::default() };
        let found = whole.keeper.store().findings(&query).expect("findings");
        let of_trace = found.iter().filter(|finding| finding.trace_id == Some(hops[0].trace_id));
        let services: Vec<_> = of_trace.map(|finding| finding.service.clone()).collect();
        assert_eq!(services, ["orders"], "{way:?}");
    }
    whole.end().await;
}

/// Spans of the ways before, by the same protocol.
fn taken_before(way: Way) -> u64 {
    if way == Way::Json { super::whole::SPANS } else { 0 }
}

/// Scenario: the API is for roles: one by a subject, two by what tokens say of their subjects; and others ask it, too.
/// Guarantees: each may what their role may and no more, whichever way they ask; nobody else is told anything.
#[tokio::test]
async fn who_asks_by_their_tokens() {
    let issuer = Issuer::new();
    let text = "access: {required: true, registry: trust.yaml, known: [\
                {role: reader, tokens: [{issuer: staff, role: sre}]}, \
                {role: auditor, tokens: [{issuer: staff, subject: ann}]}, \
                {role: admin, tokens: [{issuer: staff, role: security}]}]}";
    let whole = start(&issuer, text).await;
    let sent = traces([1, 1], 1);
    whole.send(Way::Protobuf, Way::Protobuf.encode(&sent)).await;
    whole.settle();
    let trace = format!("/api/v1/traces/{}", whole.hops(&sent)[0].trace_id);
    let finding = "/api/v1/findings/00000000000000000000000000000000";
    let ask = async |method: &Method, path: &str, token: Option<String>| -> Answer {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let body = if method == Method::GET { "" } else { r#"{"state":"acknowledged","note":"x"}"# };
        whole.http(Port::Api, request.body(Full::new(Bytes::from(body))).expect("a request")).await
    };
    let token = |subject: &str, roles: &[&str]| Some(issuer.token(subject, "hopseal", 600, roles));
    for (who, may) in [
        (token("bob", &["sre"]), [200, 403, 403]),
        (token("ann", &[]), [200, 200, 403]),
        (token("ann", &["sre"]), [200, 200, 403]),
        // There is no such finding.
        (token("eve", &["security"]), [200, 200, 404]),
        (token("eve", &["sre", "security"]), [200, 200, 404]),
        (token("eve", &["guest"]), [403; 3]),
        (Some(issuer.token("ann", "orders", 600, &[])), [401; 3]),
        (Some(issuer.token("ann", "hopseal", -300, &[])), [401; 3]),
        (Some(Issuer::new().token("ann", "hopseal", 600, &["security"])), [401; 3]),
        (None, [401; 3]),
    ] {
        let asked = [
            (Method::GET, trace.as_str()),
            (Method::GET, "/api/v1/hops?principal=alice"),
            (Method::PATCH, finding),
        ];
        for ((method, path), expected) in asked.into_iter().zip(may) {
            let answer = ask(&method, path, who.clone()).await;
            assert_eq!(answer.status.as_u16(), expected, "{method} {path}: {answer:?}");
            assert_eq!(answer.header("www-authenticate").is_some(), expected == 401, "{method} {path}");
            let tells = answer.body.windows(7).any(|part| part == b"gateway");
            assert_eq!(tells, expected == 200 && path == trace, "{method} {path}: {answer:?}");
        }
    }
    whole.end().await;
}

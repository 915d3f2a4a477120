//! The query API held to its description: every answer that it gives is described, and every one that is described is given.

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use hopseal::Registry;
use serde_json::{Value, json};
use tower_service::Service as _;

use super::roles::{access, gated, peer, store};
use super::senders::TOKEN;
use crate::serve::access::Access;
use crate::serve::api::description;
use crate::serve::proof::validator;
use crate::serve::store::testing::trace_id;

/// What is asked besides a path.
#[derive(Default)]
struct Asked<'a> {
    /// The name in a certificate; none without one.
    name: Option<&'a str>,
    headers: &'a [(&'a str, &'a str)],
    body: String,
}

fn ask(router: &mut Router, method: &Method, path: &str, asked: Asked<'_>) -> (StatusCode, HeaderMap, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in asked.headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(asked.body)).expect("a request");
        if let Some(name) = asked.name {
            request.extensions_mut().insert(peer(name));
        }
        let response = router.call(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 24).await.expect("a body");
        (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
    })
}

/// Access by tokens of an issuer whose keys cannot be had.
fn undecided() -> Access {
    let yaml = "issuers: [{name: staff, kind: jwks, issuer: 'https://id.example', jwks_uri: 'http://127.0.0.1:9/keys', \
                loopback_http: true, audiences: [orders], algorithms: [EdDSA]}]";
    let tokens = validator(Registry::from_yaml(yaml).expect("a registry")).expect("a validator");
    Access { required: true, tokens: Some(tokens), ..Access::default() }
}

/// Scenario: each operation of the description is asked well, badly, by nobody, by strangers, under another name, for what is not
/// there, while the store is broken and while an issuer is away.
/// Guarantees: no answer is of a status that is not described, and its body is of the type that is; problems say why in the shape
/// of problems; nothing is described that is never answered.
#[test]
fn answers_are_those_that_are_described() {
    let (folder, broken) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (kept, finding) = store(folder.path());
    let mut known = gated(kept, access());
    let (kept, _) = store(folder.path());
    let mut open = gated(kept, Access::default());
    let (kept, _) = store(folder.path());
    let mut away = gated(kept, undecided());
    let (kept, _) = store(broken.path());
    let catalog = rusqlite::Connection::open(broken.path().join("catalog.sqlite")).expect("a catalog");
    for table in ["segment", "block", "finding", "edge", "edge_sum", "covered", "said"] {
        catalog.execute(&format!("DROP TABLE {table}"), []).expect("dropped");
    }
    let mut failing = gated(kept, access());

    let described: Value = serde_json::from_str(&description()).expect("JSON");
    let schemes = &described["components"]["securitySchemes"];
    assert_eq!(
        (&schemes["bearer"]["scheme"], &schemes["certificate"]["type"]),
        (&json!("bearer"), &json!("mutualTLS"))
    );
    assert_eq!(described["security"], json!([{"bearer": []}, {"certificate": []}, {}]));
    let mut given: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let described_of = |template: &str, method: &Method| {
        described["paths"][template][method.as_str().to_ascii_lowercase()]["responses"].clone()
    };
    let trace = trace_id(1).to_string();
    let none = "000000000000000000000000000000ff";
    for (template, operations) in described["paths"].as_object().expect("paths") {
        let of = |id: &str| {
            let path = template.replace("{trace_id}", id).replace("{id}", id);
            if template.ends_with("/touched") { format!("{path}?service=gateway") } else { path }
        };
        let good = of(if template.contains("{trace_id}") { &trace } else { &finding });
        let and = if good.contains('?') { "&" } else { "?" };
        for method in operations.as_object().expect("operations").keys() {
            let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).expect("a method");
            let is_patch = method == Method::PATCH;
            let said = json!({"state": "acknowledged", "note": ""}).to_string();
            let json_type: &[_] = &[("content-type", "application/json")];
            let host: &[_] = &[("host", "evil.example"), ("content-type", "application/json")];
            let bearer = format!("Bearer {TOKEN}");
            let token: &[_] = &[("authorization", bearer.as_str()), ("content-type", "application/json")];
            let by = |name, headers, body: &str| Asked { name, headers, body: body.to_owned() };
            let admin = Some("admin");
            let mut answers = Vec::new();
            let mut put = |router: &mut Router, path: &str, asked: Asked<'_>| {
                answers.push((path.to_owned(), ask(router, &method, path, asked)));
            };
            put(&mut known, &good, by(admin, json_type, &said));
            put(&mut known, &good, by(None, json_type, &said));
            put(&mut known, &good, by(Some("stranger"), json_type, &said));
            put(&mut open, &good, by(None, host, &said));
            put(&mut away, &good, by(None, token, &said));
            put(&mut failing, &good, by(admin, json_type, &said));
            if template.contains('{') {
                for id in ["x", "%ff", none] {
                    put(&mut known, &of(id), by(admin, json_type, &said));
                }
            } else {
                put(&mut known, &format!("{good}{and}nothing=1"), by(admin, &[], ""));
                put(&mut known, &format!("{good}{and}limit=x"), by(admin, &[], ""));
            }
            if is_patch {
                put(&mut known, &good, by(admin, &[], &said));
                for body in ["{", "{}", &" ".repeat(3 << 20)] {
                    put(&mut known, &good, by(admin, json_type, body));
                }
            } else {
                put(&mut known, &good, by(admin, &[("if-none-match", "*")], ""));
            }
            let responses = described_of(template, &method);
            for (path, (status, headers, body)) in answers {
                let response = &responses[status.as_str()];
                let what = format!("{method} {path}: {status}");
                assert!(
                    response["description"].as_str().is_some_and(|text| !text.is_empty()),
                    "{what}: {body}"
                );
                let said = headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().expect("text"));
                let kinds = response["content"].as_object();
                assert_eq!(said, kinds.and_then(|kinds| kinds.keys().next()).map(String::as_str), "{what}");
                for name in response["headers"].as_object().into_iter().flat_map(|all| all.keys()) {
                    assert!(headers.contains_key(name.as_str()), "{what}: {name}");
                }
                if status.is_client_error() || status.is_server_error() {
                    assert!(body["error"].as_str().is_some_and(|error| error.len() > 5), "{what}: {body}");
                }
                let of = (template.clone(), method.to_string());
                given.entry(of).or_default().insert(status.as_str().to_owned());
            }
        }
    }
    for ((template, method), given) in &given {
        let responses = described_of(template, &method.parse().expect("a method"));
        let described: BTreeSet<String> = responses.as_object().expect("responses").keys().cloned().collect();
        // The description itself is not asked of the store.
        let never =
            if template.ends_with(".json") { BTreeSet::from(["500".to_owned()]) } else { BTreeSet::new() };
        assert_eq!(&described - given, never, "{method} {template}");
    }
}

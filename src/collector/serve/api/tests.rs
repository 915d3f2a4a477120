use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use hopseal_correlate::finding::{Finding, Subject};
use hopseal_correlate::rule::Rule;
use hopseal_identity::Assurance;
use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};
use serde_json::{Value, json};
use tower_service::Service as _;

use super::*;
use crate::serve::access::Role;
use crate::serve::clock::TestClock;
use crate::serve::store::testing::{EPOCH, Sketch, add, trace_id};
use crate::serve::store::{Batch, SqliteStore, StoreSettings};

const KEY: [u8; 32] = [7; 32];

fn sketch(caller: &'static str, service: &'static str, principal: &'static str, start: u64) -> Sketch {
    let assurance = if principal.is_empty() { Assurance::Unknown } else { Assurance::Asserted };
    Sketch { caller, service, principal, issuer: "", assurance, start }
}

/// An API over a few traces: alice twice, her pseudonym once, nobody once.
fn api(folder: &std::path::Path) -> Router {
    let store = SqliteStore::open(folder, StoreSettings::default()).expect("a store");
    let key = PseudonymKey::new("k1", &KEY).expect("a key");
    let pseudonym: &'static str = Box::leak(key.of("https://idp", "alice").into_boxed_str());
    let mut batch = Batch { at: EPOCH, ..Batch::default() };
    let alice = [sketch("", "gateway", "alice", 0), sketch("gateway", "orders", "alice", 10)];
    add(batch.block_mut(), 1, 1, &alice);
    add(batch.block_mut(), 2, 1, &[sketch("", "gateway", "", 70_000)]);
    add(batch.block_mut(), 3, 1, &[sketch("", "gateway", pseudonym, 80_000)]);
    let subject = Subject::Trace(trace_id(1));
    let mut finding =
        Finding::new(Rule::AuditGap, subject, "").message("not all of this trace is there").grouped();
    finding.service = "gateway".to_owned();
    batch.raised.push(finding);
    store.commit(&batch).expect("kept");
    let keys = Pseudonyms::new(key, []).expect("keys");
    let api = router(Api {
        store: Arc::new(store),
        clock: TestClock::at(EPOCH),
        people: Some(Arc::new((keys, vec!["https://idp".to_owned()]))),
    });
    api.layer(Extension(Asker { role: Role::Admin, who: String::new() }))
}

fn ask(api: &mut Router, request: Request<Body>) -> (StatusCode, Option<String>, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let response = api.call(request).await.expect("an answer");
        let (status, tag) = (response.status(), response.headers().get(header::ETAG).cloned());
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        let tag = tag.map(|tag| tag.to_str().expect("text").to_owned());
        (status, tag, serde_json::from_slice(&body).unwrap_or(Value::Null))
    })
}

fn get(api: &mut Router, path: &str) -> (StatusCode, Value) {
    let (status, _, body) = ask(api, Request::get(path).body(Body::empty()).expect("a request"));
    (status, body)
}

fn traces(body: &Value) -> Vec<String> {
    let hops = body["hops"].as_array().expect("hops");
    hops.iter()
        .map(|hop| hop["trace_id"].as_str().and_then(|id| id.get(30..)).expect("an id").to_owned())
        .collect()
}

#[test]
fn hops_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut api = api(folder.path());
    for (query, expected) in [
        ("", &["04", "03", "02", "02"][..]),
        ("principal=alice", &["02", "02"]),
        ("user=alice", &["04", "02", "02"]),
        ("user=alice&issuer=https://other", &[]),
        ("principal=alic", &[]),
        ("service=orders", &["02"]),
        ("caller=gateway", &["02"]),
        ("assurance=unknown", &["03"]),
        ("from_unix_nano=1767225600005000000&to_unix_nano=1767225675000000000", &["03", "02"]),
    ] {
        let (status, body) = get(&mut api, &format!("/api/v1/hops?{query}"));
        assert_eq!(status, StatusCode::OK, "{query}");
        assert_eq!(traces(&body), expected, "{query}");
        assert_eq!(body["next"], Value::Null, "{query}");
    }
}

#[test]
fn pages_follow_each_other_and_leave_nothing_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut api = api(folder.path());
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _ in 0..5 {
        let (_, body) = get(&mut api, &format!("/api/v1/hops?limit=1{cursor}"));
        seen.extend(traces(&body));
        let Some(next) = body["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["04", "03", "02", "02"]);
}

#[test]
fn questions_that_cannot_be_understood() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut api = api(folder.path());
    for (path, status) in [
        ("/api/v1/traces/1", StatusCode::BAD_REQUEST),
        ("/api/v1/traces/00000000000000000000000000000009", StatusCode::NOT_FOUND),
        ("/api/v1/hops?limit=0", StatusCode::BAD_REQUEST),
        ("/api/v1/hops?limit=1001", StatusCode::BAD_REQUEST),
        ("/api/v1/hops?assurance=sure", StatusCode::BAD_REQUEST),
        ("/api/v1/hops?cursor=1-2", StatusCode::BAD_REQUEST),
        ("/api/v1/hops?prinzipal=alice", StatusCode::BAD_REQUEST),
        ("/api/v1/findings?rule=none", StatusCode::BAD_REQUEST),
        ("/api/v1/edges?from_unix_nano=5&to_unix_nano=5", StatusCode::BAD_REQUEST),
        ("/api/v1/coverage?minutes=many", StatusCode::BAD_REQUEST),
    ] {
        let (found, body) = get(&mut api, path);
        assert_eq!(found, status, "{path}");
        assert!(body["error"].as_str().is_some_and(|error| error.len() > 5), "{path}: {body}");
    }
    for (body, status) in [
        ("{", StatusCode::BAD_REQUEST),
        ("{}", StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"state": "gone"}"#, StatusCode::BAD_REQUEST),
    ] {
        let request = Request::patch(format!("/api/v1/findings/{:032}", 1));
        let request = request.header("content-type", "application/json").body(Body::from(body));
        let (found, _, answer) = ask(&mut api, request.expect("a request"));
        assert_eq!(found, status, "{body}");
        assert!(answer["error"].as_str().is_some_and(|error| error.len() > 5), "{body}: {answer}");
    }
}

#[test]
fn a_trace_is_shown_whole_and_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut api = api(folder.path());
    let path = format!("/api/v1/traces/{}", trace_id(1));
    let (status, tag, body) = ask(&mut api, Request::get(&path).body(Body::empty()).expect("a request"));
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["hops"][1]["caller_place"], json!(0));
    assert_eq!(body["hops"][1]["principal"]["actors"][0], json!({"id": "planner", "kind": "agent"}));
    assert_eq!(body["findings"][0]["finding"]["rule"], json!("audit_gap"));
    let again = Request::get(&path).header(header::IF_NONE_MATCH, tag.expect("a tag")).body(Body::empty());
    assert_eq!(ask(&mut api, again.expect("a request")).0, StatusCode::NOT_MODIFIED);
}

#[test]
fn the_state_of_a_finding_is_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut api = api(folder.path());
    let (_, body) = get(&mut api, "/api/v1/findings?state=open&severity=info&service=gateway");
    let id = body["findings"][0]["finding"]["id"].as_str().expect("an id").to_owned();
    for (id, state, status) in [
        (&*id, "acknowledged", StatusCode::NO_CONTENT),
        (&*id, "retracted", StatusCode::BAD_REQUEST),
        ("00000000000000000000000000000000", "open", StatusCode::NOT_FOUND),
    ] {
        let request = Request::builder()
            .method(Method::PATCH)
            .uri(format!("/api/v1/findings/{id}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(json!({"state": state, "note": "seen"}).to_string()));
        assert_eq!(ask(&mut api, request.expect("a request")).0, status, "{state}");
    }
    let (_, body) = get(&mut api, "/api/v1/findings?state=acknowledged");
    assert_eq!(body["findings"][0]["note"], json!("seen"));
    assert_eq!(get(&mut api, "/api/v1/findings?state=open").1["findings"], json!([]));
}

#[test]
fn edges_and_coverage_are_counted_by_the_minute() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut api = api(folder.path());
    let (_, body) = get(&mut api, "/api/v1/edges?service=orders");
    assert_eq!(body["edges"].as_array().expect("edges").len(), 1);
    assert_eq!(body["edges"][0]["caller"], json!("gateway"));
    let (_, body) = get(&mut api, "/api/v1/coverage");
    let counts =
        |point: &Value| (point["hops"].clone(), point["identified"].clone(), point["uncovered"].clone());
    let points: Vec<_> = body["points"].as_array().expect("points").iter().map(counts).collect();
    assert_eq!(points, [(json!(2), json!(2), json!(0)), (json!(2), json!(1), json!(1))]);
    let (_, body) = get(&mut api, "/api/v1/coverage?minutes=60&service=orders");
    assert_eq!(body["points"][0]["hops"], json!(1));
}

/// The description that is checked in, for clients to be made from.
#[test]
fn the_description_is_the_one_that_is_checked_in() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/serve/api/openapi.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, description()).expect("written");
    }
    let golden = std::fs::read_to_string(path).expect("checked in");
    assert!(golden == description(), "run this test with UPDATE_GOLDEN=1 and look at what changed");
}

/// Scenario: somebody sets the state of a finding.
/// Guarantees: it is shown with what was said; notes are of bounded length.
#[test]
fn what_is_said_of_a_finding_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut api = api(folder.path());
    let (_, found) = get(&mut api, "/api/v1/findings");
    let id = found["findings"][0]["finding"]["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/findings/{id}");
    let mut say = |note: &str| {
        let body = json!({"state": "acknowledged", "note": note}).to_string();
        let request = Request::patch(&path).header(header::CONTENT_TYPE, "application/json");
        ask(&mut api, request.body(Body::from(body)).expect("a request")).0
    };
    assert_eq!(say(&"x".repeat(2001)), StatusCode::BAD_REQUEST);
    assert_eq!(say("looking"), StatusCode::NO_CONTENT);
    let (status, one) = get(&mut api, &path);
    assert_eq!((status, &one["finding"]["state"]), (StatusCode::OK, &json!("acknowledged")));
    let said =
        json!([{"state": "acknowledged", "note": "looking", "at_unix_nano": EPOCH.to_string(), "who": ""}]);
    assert_eq!(one["said"], said);
    assert_eq!(get(&mut api, "/api/v1/findings/00000000000000000000000000000001").0, StatusCode::NOT_FOUND);
}

/// An API over hops that differ in more than most: see [`Sketch`].
fn wide(folder: &std::path::Path) -> Router {
    let store = SqliteStore::open(folder, StoreSettings::default()).expect("a store");
    let mut batch = Batch { at: EPOCH, ..Batch::default() };
    // Of acme, reverified; of acme, past a mesh, through a batch; past two proxies.
    add(
        batch.block_mut(),
        1,
        1,
        &[sketch("", "gateway", "alice", 6), sketch("gateway", "orders", "alice", 7)],
    );
    add(
        batch.block_mut(),
        2,
        1,
        &[sketch("", "gateway", "bob", 60_000), sketch("gateway", "orders", "bob", 60_009)],
    );
    add(batch.block_mut(), 3, 1, &[sketch("batch", "orders", "alice", 3_600_000)]);
    let span = |trace: u64, place: u64| Subject::Span {
        trace_id: trace_id(trace),
        span_id: hopseal_correlate::sink::SpanId(((trace << 16) | (place + 1)).to_be_bytes()),
        server: true,
    };
    for (trace, who, at) in [(1, "alice", 7), (2, "bob", 60_009)] {
        let mut finding =
            Finding::new(Rule::IdentitySwapped, span(trace, 1), "").message("somebody else").grouped();
        finding.at = EPOCH + at * 1_000_000;
        finding.here = Some(hopseal_correlate::finding::Who {
            id: who.to_owned(),
            kind: hopseal_identity::Kind::User,
            issuer: None,
            tenant: None,
            actors: Vec::new(),
        });
        batch.raised.push(finding);
    }
    store.commit(&batch).expect("kept");
    let api =
        router(Api { store: Arc::new(store), clock: TestClock::at(EPOCH + 3_700_000_000_000), people: None });
    api.layer(Extension(Asker { role: Role::Auditor, who: String::new() }))
}

#[test]
fn hops_and_findings_are_narrowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut api = wide(folder.path());
    let hop = |query: &str| format!("/api/v1/hops?{query}");
    for (path, expected) in [
        (hop("operation=POST%20/"), 1),
        (hop("operation=GET"), 0),
        (hop("basis=reverified"), 2),
        (hop("basis=authenticated_sender"), 0),
        (hop("tenant=acme"), 2),
        (hop("tenant=acme&service=orders"), 1),
        (hop("via=mesh"), 2),
        (hop("via=edge-proxy"), 1),
        (hop("via=edge"), 0),
        ("/api/v1/findings".to_owned(), 2),
        ("/api/v1/findings?principal=bob".to_owned(), 1),
        ("/api/v1/findings?user=alice&state=open".to_owned(), 1),
        ("/api/v1/findings?principal=carol".to_owned(), 0),
        (format!("/api/v1/findings?from_unix_nano={}", EPOCH + 1_000_000_000), 1),
        (format!("/api/v1/findings?to_unix_nano={}", EPOCH + 7_000_000), 0),
        (format!("/api/v1/findings?principal=alice&from_unix_nano={}", EPOCH + 1_000_000_000), 0),
    ] {
        let (status, body) = get(&mut api, &path);
        let found = body.get("hops").or(body.get("findings")).and_then(Value::as_array);
        assert_eq!((status, found.map(Vec::len)), (StatusCode::OK, Some(expected)), "{path}: {body}");
    }
}

/// Scenario: two people come to a service, one of them twice, by other ways; who was there is asked for, all at once and one by one.
/// Guarantees: who was there last comes first, with how often, since when, through whom, and the chain of services it came by last;
/// how far back is looked is 24 hours where nobody says.
#[test]
fn who_touched_a_service_and_through_what() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut api = wide(folder.path());
    let (status, body) = get(&mut api, "/api/v1/touched?service=orders");
    assert_eq!((status, &body["next"]), (StatusCode::OK, &Value::Null), "{body}");
    let at = |millis: u64| (EPOCH + millis * 1_000_000).to_string();
    let planner = json!({"id": "planner", "kind": "agent"});
    let bob = json!({
        "principal": {"id": "bob", "kind": "user", "issuer": null, "tenant": null, "actors": []},
        "hops": 1, "proven": 1, "first_unix_nano": at(60_009), "last_unix_nano": at(60_009),
        "through": [{
            "caller": "gateway", "actors": [planner, {"id": "batch", "kind": "service"}], "hops": 1,
            "first_unix_nano": at(60_009), "last_unix_nano": at(60_009),
        }],
        "more_ways": false,
        "last": {"trace_id": trace_id(2).to_string(), "span_id": "0000000000020002", "chain": ["gateway", "orders"]},
    });
    let names = |body: &Value| -> Vec<(String, Value, Value)> {
        let all = body["principals"].as_array().expect("principals").iter();
        let name = |by: &Value| by["principal"]["id"].as_str().expect("an id").to_owned();
        all.map(|by| (name(by), by["principal"]["tenant"].clone(), by["last"]["chain"].clone())).collect()
    };
    // Of two tenants are two.
    let expected = [
        ("alice".to_owned(), Value::Null, json!(["batch", "orders"])),
        ("bob".to_owned(), Value::Null, json!(["gateway", "orders"])),
        ("alice".to_owned(), json!("acme"), json!(["gateway", "orders"])),
    ];
    assert_eq!(names(&body), expected);
    assert_eq!(body["principals"][1], bob);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _ in 0..5 {
        let (_, body) = get(&mut api, &format!("/api/v1/touched?service=orders&limit=1{cursor}"));
        seen.extend(names(&body));
        let Some(next) = body["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, expected);
    for (query, expected) in [
        ("operation=GET%20/", 2),
        ("caller=batch", 1),
        ("tenant=acme", 1),
        ("via=mesh", 2),
        ("assurance=verified", 0),
        ("to_unix_nano=1767225660000000000", 1),
    ] {
        let (_, body) = get(&mut api, &format!("/api/v1/touched?service=orders&{query}"));
        assert_eq!(names(&body).len(), expected, "{query}: {body}");
    }
    assert_eq!(get(&mut api, "/api/v1/touched").0, StatusCode::BAD_REQUEST);
    let store = SqliteStore::open(folder.path(), StoreSettings::default()).expect("a store");
    let clock = TestClock::at(EPOCH + 90_000_000_000_000);
    let later = router(Api { store: Arc::new(store), clock, people: None });
    let path = "/api/v1/touched?service=orders";
    assert_eq!(get(&mut later.clone(), path).0, StatusCode::FORBIDDEN);
    let mut later = later.layer(Extension(Asker { role: Role::Auditor, who: String::new() }));
    assert_eq!(names(&get(&mut later, path).1).len(), 1);
}

/// Guarantees: edges and coverage come page by page, nothing twice and nothing left out; with `minutes` edges are counted by the
/// step.
#[test]
fn counts_come_page_by_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut api = wide(folder.path());
    for (what, list, pages) in [
        ("edges?limit=1", "edges", 5),
        ("edges?limit=2&minutes=1", "edges", 3),
        ("edges?limit=1&minutes=60&service=orders", "edges", 3),
        ("coverage?limit=1", "points", 3),
        ("coverage?limit=2&minutes=60", "points", 1),
        ("coverage?limit=1&service=orders&minutes=15", "points", 2),
    ] {
        let whole = what.split_once('?').map(|(name, query)| {
            let rest: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("limit")).collect();
            format!("/api/v1/{name}?{}", rest.join("&"))
        });
        let (status, all) = get(&mut api, &whole.expect("a query"));
        assert_eq!((status, &all["next"]), (StatusCode::OK, &Value::Null), "{what}");
        let (mut found, mut cursor, mut count) = (Vec::new(), String::new(), 0);
        loop {
            let (_, body) = get(&mut api, &format!("/api/v1/{what}{cursor}"));
            count += usize::from(body[list] != json!([]));
            found.extend(body[list].as_array().expect("a list").clone());
            let Some(next) = body["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(Value::Array(found), all[list], "{what}");
        assert_eq!(count, pages, "{what}: {all}");
    }
    let (_, body) = get(&mut api, "/api/v1/edges?service=orders&minutes=60");
    let of = |edge: &Value| (edge["at_unix_nano"].clone(), edge["caller"].clone(), edge["hops"].clone());
    let edges: Vec<_> = body["edges"].as_array().expect("edges").iter().map(of).collect();
    let hour = |number: u64| json!((EPOCH + number * 3_600_000_000_000).to_string());
    assert_eq!(
        edges,
        [
            (hour(0), json!("gateway"), json!(1)),
            (hour(0), json!("gateway"), json!(1)),
            (hour(1), json!("batch"), json!(1)),
        ]
    );
    assert_eq!(get(&mut api, "/api/v1/edges").1["edges"][0]["at_unix_nano"], Value::Null);
    for path in ["edges?limit=0", "edges?cursor=1", "coverage?limit=10001", "coverage?cursor=x"] {
        assert_eq!(get(&mut api, &format!("/api/v1/{path}")).0, StatusCode::BAD_REQUEST, "{path}");
    }
}

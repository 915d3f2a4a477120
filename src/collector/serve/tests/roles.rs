//! Who is shown whose identity it was: the whole API, Jaeger's and the pages behind their gate, asked by each role.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::middleware::from_fn_with_state;
use hopseal_correlate::finding::{Finding, OwnedActor, Subject, Who};
use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::SpanId;
use hopseal_identity::{Assurance, Kind};
use rcgen::{CertificateParams, KeyPair, SanType};
use serde_json::Value;
use tower_service::Service as _;

use crate::serve::access::{Access, Role, gate};
use crate::serve::api::{self, Api};
use crate::serve::clock::TestClock;
use crate::serve::jaeger;
use crate::serve::pages::{self, Links, Pages};
use crate::serve::proof::{KnownBy, Peer};
use crate::serve::store::testing::{EPOCH, Sketch, add, trace_id};
use crate::serve::store::{Batch, MINUTE, SqliteStore, Store as _, StoreSettings};
use crate::serve::tail::Tail;

/// All that names somebody.
const NAMES: [&str; 3] = ["alice", "acme", "planner"];
const ROLES: [Role; 3] = [Role::Reader, Role::Auditor, Role::Admin];

/// Alice of acme, through the agent planner, is lost between two services.
pub(super) fn store(folder: &std::path::Path) -> (SqliteStore, String) {
    // As who only reads opens it: each question is put to the catalog.
    let settings = StoreSettings { mends: false, ..StoreSettings::default() };
    let store = SqliteStore::open(folder, settings).expect("a store");
    let hop = |caller, service, principal: &'static str, start| {
        let assurance = if principal.is_empty() { Assurance::Unknown } else { Assurance::Verified };
        Sketch { caller, service, principal, issuer: "https://idp", assurance, start }
    };
    let mut batch = Batch { at: EPOCH, ..Batch::default() };
    let block = batch.block_mut();
    add(block, 1, 1, &[hop("", "gateway", "alice", 0), hop("gateway", "orders", "", 1)]);
    let tenant = block.texts.add("acme");
    block.hops[0].texts.tenant = tenant;
    let subject = Subject::Span {
        trace_id: trace_id(1),
        span_id: SpanId(((1_u64 << 16) | 2).to_be_bytes()),
        server: true,
    };
    let mut finding = Finding::new(Rule::IdentityDropped, subject, "")
        .message("somebody was lost")
        .evidence("tenant_before", "acme")
        .evidence("last_identified_service", "gateway");
    finding.service = "orders".to_owned();
    finding.at = EPOCH + 1_000_000;
    finding.before = Some(Who {
        id: "alice".to_owned(),
        kind: Kind::User,
        issuer: Some("https://idp".to_owned()),
        tenant: Some("acme".to_owned()),
        actors: vec![OwnedActor { id: "planner".to_owned(), kind: Kind::Agent }],
    });
    let id = finding.id.to_string();
    batch.raised.push(finding.grouped());
    store.commit(&batch).expect("kept");
    (store, id)
}

/// Those whose certificates name a role.
pub(super) fn access() -> Access {
    let known = ROLES.map(|role| (KnownBy::Dns(role.as_str().to_owned()), role));
    Access { required: true, known: known.into(), ..Access::default() }
}

/// All that can be asked, for somebody to put a gate before it.
pub(super) fn ungated(store: SqliteStore) -> Router {
    let api = Api { store: Arc::new(store), clock: TestClock::at(EPOCH + MINUTE), people: None };
    let pages = Pages { api: api.clone(), tail: Tail::default(), links: Links::default() };
    api::router(api.clone()).merge(jaeger::router(api)).merge(pages::router(pages))
}

/// The same behind its gate.
pub(super) fn gated(store: SqliteStore, access: Access) -> Router {
    ungated(store).layer(from_fn_with_state(Arc::new(ArcSwap::from_pointee(access)), gate))
}

/// Whoever showed a certificate of that name.
pub(super) fn peer(name: &str) -> Arc<Peer> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName(name.try_into().expect("ASCII"))];
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    Arc::new(Peer::of(Some(&[certificate.der().clone()])))
}

fn get(router: &mut Router, path: &str, role: Role) -> (StatusCode, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut request = Request::get(path).body(Body::empty()).expect("a request");
        request.extensions_mut().insert(peer(role.as_str()));
        let response = router.call(request).await.expect("an answer");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 24).await.expect("a body");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    })
}

/// Scenario: a reader, an auditor and an admin ask all that can be asked.
/// Guarantees: a reader is named nobody, by no answer, and cannot ask for somebody, so that no answer says it by being empty;
/// that there was somebody, of what kind and by whose word, is said. The others are named them.
#[test]
fn whose_identity_it_was_is_for_auditors() {
    let folder = tempfile::tempdir().expect("a folder");
    let (store, finding) = store(folder.path());
    let mut router = gated(store, access());
    let trace = trace_id(1).to_string();
    let v3 = "query.service_name=gateway&query.start_time_min=2026-01-01T00:00:00Z&query.start_time_max=2026-01-01T00:01:00Z";
    let named = [
        "/api/v1/hops".to_owned(),
        "/api/v1/hops?service=gateway".to_owned(),
        format!("/api/v1/traces/{trace}"),
        "/api/v1/findings".to_owned(),
        format!("/api/v1/findings/{finding}"),
        "/api/traces?service=gateway".to_owned(),
        format!("/api/traces?traceID={trace}"),
        format!("/api/traces/{trace}"),
        format!("/api/v3/traces?{v3}"),
        format!("/api/v3/traces/{trace}"),
        "/findings".to_owned(),
        format!("/findings/{finding}"),
        format!("/traces/{trace}"),
    ];
    let nobody = [
        "/api/v1/edges".to_owned(),
        "/api/v1/coverage".to_owned(),
        "/api/v1/openapi.json".to_owned(),
        format!("/api/v3/trace-summaries?{v3}"),
        "/".to_owned(),
        "/matrix?period=all".to_owned(),
        "/coverage?period=all".to_owned(),
        "/live".to_owned(),
    ];
    let somebody = [
        "/api/v1/hops?principal=alice",
        "/api/v1/hops?user=alice",
        "/api/v1/hops?tenant=acme",
        "/api/v1/findings?principal=alice",
        "/api/v1/findings?user=alice",
        "/api/v1/touched?service=gateway&from_unix_nano=0",
        "/api/traces?service=*&tag=enduser.id:alice",
        "/api/traces?service=*&tag=hopseal.tenant:acme",
        "/principals?service=gateway",
    ];
    for role in ROLES {
        for path in &named {
            let (status, body) = get(&mut router, path, role);
            assert_eq!(status, StatusCode::OK, "{role:?} {path}: {body}");
            for name in NAMES {
                assert_eq!(body.contains(name), role > Role::Reader, "{role:?} {path}: {name} in {body}");
            }
            assert!(!path.starts_with("/api/") || body.contains("https://idp"), "{role:?} {path}: {body}");
        }
        for path in &nobody {
            let (status, body) = get(&mut router, path, role);
            assert_eq!(status, StatusCode::OK, "{role:?} {path}: {body}");
            assert!(NAMES.iter().all(|name| !body.contains(name)), "{role:?} {path}: {body}");
        }
        for path in somebody {
            let (status, body) = get(&mut router, path, role);
            let expected = if role > Role::Reader { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(status, expected, "{role:?} {path}: {body}");
        }
    }
    let (_, body) = get(&mut router, "/api/v1/hops?service=gateway", Role::Reader);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let who = serde_json::json!({
        "id": "", "kind": "user", "issuer": "https://idp", "tenant": null, "actors": [{"id": "", "kind": "agent"}],
    });
    assert_eq!(body["hops"][0]["principal"], who);
    let (_, body) = get(&mut router, &format!("/traces/{trace}"), Role::Reader);
    assert!(body.contains("withheld") && body.contains("identity lost"), "{body}");
    // Whatever else can be asked is looked at here, too.
    let description: Value = serde_json::from_str(&api::description()).expect("JSON");
    for (path, operations) in description["paths"].as_object().expect("paths") {
        let begin = path.split('{').next().expect("a path");
        let asked = named.iter().chain(&nobody).map(String::as_str).chain(somebody);
        let is_asked = asked.into_iter().any(|asked| asked.starts_with(begin));
        assert!(is_asked || operations.get("get").is_none(), "{path}");
    }
}

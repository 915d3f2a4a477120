use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use hopseal_correlate::catalogue::Shown;
use hopseal_correlate::finding::{Finding, FindingId, Severity, Subject};
use hopseal_correlate::record::Service;
use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::SpanId;
use hopseal_identity::Assurance;
use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};
use serde::Deserialize;
use serde_json::Value;
use tower_service::Service as _;

use super::*;
use crate::serve::access::{Asker, Role};
use crate::serve::clock::TestClock;
use crate::serve::store::testing::{EPOCH, Sketch, add, said, trace_id as id_of};
use crate::serve::store::{Batch, MINUTE, SqliteStore, State as Said, Store, StoreSettings};

/// [`EPOCH`] in microseconds.
const MICROSECONDS: u64 = EPOCH / 1_000;

fn sketch(caller: &'static str, service: &'static str, principal: &'static str, start: u64) -> Sketch {
    let assurance = if principal.is_empty() { Assurance::Unknown } else { Assurance::Asserted };
    let issuer = if principal.is_empty() { "" } else { "main" };
    Sketch { caller, service, principal, issuer, assurance, start }
}

fn finding(rule: Rule, trace: u64, span: u64, severity: Severity) -> Finding {
    let span_id = SpanId(((trace << 16) | span).to_be_bytes());
    let subject = Subject::Span { trace_id: id_of(trace), span_id, server: true };
    let message = format!("what {} is about", rule.as_str());
    let mut finding = Finding::new(rule, subject, "").message(message).severity(severity).grouped();
    finding.service = "orders".to_owned();
    finding.at = EPOCH + trace * MINUTE + 3_000_000;
    finding
}

struct Fixture {
    router: Router,
    store: Arc<SqliteStore>,
    dropped: FindingId,
    _folder: tempfile::TempDir,
}

/// Three traces: alice's of minute 1, in which her identity is dropped; nobody's of minute 2; alice's pseudonym's of minute 3.
fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(SqliteStore::open(folder.path(), StoreSettings::default()).expect("a store"));
    let key = PseudonymKey::new("k1", &[7; 32]).expect("a key");
    let pseudonym: &'static str = Box::leak(key.of("https://idp", "alice").into_boxed_str());
    let mut batch = Batch { at: EPOCH, ..Batch::default() };
    let dropped = [
        sketch("", "gateway", "alice", 60_000),
        sketch("gateway", "orders", "", 60_003),
        sketch("orders", "stock/eu", "alice", 60_004),
    ];
    add(batch.block_mut(), 1, 1, &dropped);
    add(batch.block_mut(), 2, 1, &[sketch("", "gateway", "", 120_000)]);
    add(batch.block_mut(), 3, 1, &[sketch("", "gateway", pseudonym, 180_000)]);
    for (name, operation) in [("gateway", "GET /"), ("orders", "POST /"), ("stock/eu", "GET /")] {
        let service = Service { name, namespace: "", environment: "" };
        batch.shown.add(service, operation, Shown { hops: 1, identified: 0 });
    }
    let lost = finding(Rule::IdentityDropped, 1, 2, Severity::High);
    let dropped = lost.id;
    batch.raised = vec![lost, finding(Rule::AuditGap, 2, 1, Severity::Info)];
    store.commit(&batch).expect("kept");
    let people = Some(Arc::new((Pseudonyms::new(key, []).expect("keys"), vec!["https://idp".to_owned()])));
    let api = Api { store: store.clone(), clock: TestClock::at(EPOCH + 10 * MINUTE), people };
    let router = router(api).layer(axum::Extension(Asker { role: Role::Auditor, who: String::new() }));
    Fixture { router, store, dropped, _folder: folder }
}

impl Fixture {
    fn get(&mut self, path: &str) -> (StatusCode, Value) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let request = Request::get(path).body(Body::empty()).expect("a request");
            let response = self.router.call(request).await.expect("an answer");
            let status = response.status();
            let body = axum::body::to_bytes(response.into_body(), 1 << 24).await.expect("a body");
            (status, serde_json::from_slice(&body).expect("JSON"))
        })
    }

    /// Last digit of each trace found, which is one more than its number.
    fn found(&mut self, query: &str) -> Vec<String> {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query.split('&').filter_map(|pair| pair.split_once('=')))
            .finish();
        let (status, body) = self.get(&format!("/api/traces?{query}"));
        assert_eq!(status, StatusCode::OK, "{query}");
        let traces = body["data"].as_array().expect("traces");
        traces
            .iter()
            .map(|trace| trace["traceID"].as_str().and_then(|id| id.get(31..)).expect("an id").to_owned())
            .collect()
    }
}

#[test]
fn a_trace_as_jaeger_shows_it() {
    let mut fixture = fixture();
    let (status, body) = fixture.get(&format!("/api/traces/{}", id_of(1)));
    assert_eq!(status, StatusCode::OK);
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).expect("JSON"));
}

#[test]
fn traces_are_searched() {
    let mut fixture = fixture();
    for (query, expected) in [
        ("service=gateway", &["4", "3", "2"][..]),
        ("service=gateway&limit=2", &["4", "3"]),
        ("service=orders", &["2"]),
        ("service=*", &["4", "3", "2"]),
        ("service=nobody", &[]),
        ("service=orders&operation=POST /", &["2"]),
        ("service=orders&operation=GET /", &[]),
        ("service=orders&minDuration=2.4ms", &["2"]),
        ("service=*&minDuration=2.6ms", &[]),
        ("service=orders&maxDuration=1ms", &[]),
        (r#"service=gateway&tags={"hopseal.assurance":"asserted"}"#, &["4", "2"]),
        (r#"service=gateway&tags={"hopseal.assurance":"sure"}"#, &[]),
        (r#"service=*&tags={"hopseal.basis":"claimed","hopseal.uncovered":"true"}"#, &["3", "2"]),
        (r#"service=*&tags={"hopseal.iss":"main","span.kind":"server"}"#, &["4", "2"]),
        ("service=gateway&tag=hopseal.uncovered:true", &["3"]),
        (r#"service=stock/eu&tags={"hopseal.actors":"agent:planner"}"#, &["2"]),
        // A name is looked for under its pseudonyms too.
        (r#"service=gateway&tags={"enduser.id":"alice"}"#, &["4", "2"]),
        (r#"service=stock/eu&tags={"enduser.id":"alice"}"#, &["2"]),
        (r#"service=orders&tags={"enduser.id":"alice"}"#, &[]),
        (r#"service=orders&tags={"hopseal.rule":"identity_dropped"}"#, &["2"]),
        // All has to be so of one hop.
        (r#"service=gateway&tags={"hopseal.rule":"identity_dropped"}"#, &[]),
        (r#"service=*&tags={"hopseal.rule":"identity_dropped","hopseal.assurance":"unknown"}"#, &["2"]),
        (r#"service=*&tags={"hopseal.rule":"identity_dropped","enduser.id":"alice"}"#, &[]),
        (r#"service=*&tags={"hopseal.rule":"none"}"#, &[]),
        (r#"service=*&tags={"enduser.id":""}"#, &[]),
        // What is only to be known is no error.
        (r#"service=*&tags={"hopseal.rule":"audit_gap"}"#, &["3"]),
        (r#"service=*&tags={"error":"true"}"#, &["2"]),
        (r#"service=*&tags={"error":"false"}"#, &[]),
        // In microseconds, both ends included.
        ("service=gateway&start=1767225660000000&end=1767225660000000", &["2"]),
        ("service=gateway&start=1767225660000001&end=1767225779999999", &["3"]),
        (r#"service=*&tags={"error":"true"}&start=1767225660003000&end=1767225660003000"#, &["2"]),
        (r#"service=*&tags={"error":"true"}&start=1767225660003001"#, &[]),
        (r#"service=*&tags={"error":"true"}&end=1767225660002999"#, &[]),
    ] {
        assert_eq!(fixture.found(query), expected, "{query}");
    }
}

#[test]
fn a_search_goes_through_pages() {
    let mut fixture = fixture();
    let mut batch = Batch { at: EPOCH, ..Batch::default() };
    for trace in 10..13 {
        let many = vec![sketch("", "gateway", "", 300_000); 700];
        add(batch.block_mut(), trace, 1, &many);
    }
    fixture.store.commit(&batch).expect("kept");
    assert_eq!(fixture.found("service=gateway&tag=hopseal.assurance:asserted"), ["4", "2"]);
    assert_eq!(fixture.found("service=gateway&tag=hopseal.basis:claimed"), ["d", "c", "b", "4", "3", "2"]);
}

/// Guarantees: what somebody has dealt with is still told of, and is no error any more; what was no finding is told of by nobody.
#[test]
fn only_findings_that_stand_are_errors() {
    let mut fixture = fixture();
    let dropped = fixture.dropped;
    for (state, is_error, warnings) in [
        (Said::Open, true, "identity_dropped (high, certain): what identity_dropped is about"),
        (
            Said::Acknowledged,
            true,
            "identity_dropped (high, certain, acknowledged): what identity_dropped is about",
        ),
        (Said::Resolved, false, "identity_dropped (high, certain, resolved): what identity_dropped is about"),
        (
            Said::Suppressed,
            false,
            "identity_dropped (high, certain, suppressed): what identity_dropped is about",
        ),
        (Said::Retracted, false, ""),
    ] {
        assert!(fixture.store.set_state(dropped, &said(state, "", EPOCH)).expect("set"));
        let (_, body) = fixture.get(&format!("/api/traces/{}", id_of(1)));
        let hop = &body["data"][0]["spans"][1];
        assert_eq!(hop["warnings"][0].as_str().unwrap_or_default(), warnings);
        let tags = hop["tags"].as_array().expect("tags");
        assert_eq!(tags.iter().any(|tag| tag["key"] == "error"), is_error, "{state:?}");
        let found = fixture.found(r#"service=*&tags={"error":"true"}"#);
        assert_eq!(found.len(), usize::from(is_error), "{state:?}");
    }
}

#[test]
fn errors_are_those_of_jaeger() {
    let mut fixture = fixture();
    for (path, status, message) in [
        ("/api/traces/00000000000000000000000000000009", 404, "trace not found"),
        ("/api/traces/xyz", 400, "a trace id is 1 to 32 hex digits, not all of them zero"),
        ("/api/traces/0", 400, "a trace id is 1 to 32 hex digits, not all of them zero"),
        ("/api/traces", 400, "parameter 'service' is required"),
        ("/api/traces?service=", 400, "parameter 'service' is required"),
        ("/api/traces?service=a&start=now", 400, "unable to parse param 'start'"),
        ("/api/traces?service=a&minDuration=5", 400, "unable to parse param 'minDuration'"),
        ("/api/traces?service=a&limit=0", 400, "'limit' is 1 to 1500"),
        (
            "/api/traces?service=a&minDuration=2s&maxDuration=1s",
            400,
            "'maxDuration' should be greater than 'minDuration'",
        ),
        (
            "/api/traces?service=a&tags=x%3Dy",
            400,
            "malformed 'tags' parameter, expecting a JSON object of strings",
        ),
        ("/api/traces?service=a&tag=x", 400, "malformed 'tag' parameter, expecting key:value"),
        ("/api/operations", 400, "parameter 'service' is required"),
        ("/api/dependencies?endTs=x", 400, "unable to parse param 'endTs'"),
    ] {
        let (got, body) = fixture.get(path);
        assert_eq!(got.as_u16(), status, "{path}");
        let expected = serde_json::json!({
            "data": null, "total": 0, "limit": 0, "offset": 0, "errors": [{"code": status, "msg": message}],
        });
        assert_eq!(body, expected, "{path}");
    }
}

#[test]
fn whose_errors_are_whose() {
    for (path, expected) in [
        ("/api/services", true),
        ("/api/services/a/operations", true),
        ("/api/traces", true),
        ("/api/traces/1", true),
        ("/api/dependencies", true),
        ("/api/v3/traces", true),
        ("/api/v1/traces/1", false),
        ("/api/tracesque", false),
        ("/traces", false),
    ] {
        assert_eq!(wrong(path, Problem::NotFound).is_ok(), expected, "{path}");
    }
}

/// Guarantees: whoever is not let in hears it in the words of whom they think they ask.
#[tokio::test]
async fn who_may_not_hears_it_as_of_jaeger() {
    for (path, place) in [
        ("/api/services", "/errors/0/msg"),
        ("/api/v3/services", "/error/message"),
        ("/api/v1/edges", "/error"),
    ] {
        let response = crate::serve::pages::wrong(path, Problem::Forbidden);
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let said = body.pointer(place).and_then(Value::as_str);
        assert_eq!(said, Some("you may not ask that: it takes another role"), "{path}");
    }
}

/// A trace as Grafana's data source reads it (`pkg/tsdb/jaeger/types`): whatever is missing or of another type is refused here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    #[serde(rename = "traceID")]
    trace_id: String,
    spans: Vec<Span>,
    processes: BTreeMap<String, Process>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    #[serde(rename = "processID")]
    process_id: String,
    operation_name: String,
    start_time: i64,
    duration: i64,
    references: Vec<Reference>,
    tags: Vec<Tag>,
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: String,
    #[serde(rename = "spanID")]
    span_id: String,
    #[serde(rename = "traceID")]
    trace_id: String,
}

#[derive(Deserialize)]
struct Tag {
    key: String,
    r#type: String,
    value: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    service_name: String,
    tags: Vec<Tag>,
}

/// What Grafana makes of traces: a row a span, with the service and the parent.
fn rows(traces: Vec<Trace>, written: &mut String) {
    for trace in traces {
        for span in &trace.spans {
            let process = trace.processes.get(&span.process_id).expect("its process");
            assert_eq!(span.trace_id, trace.trace_id);
            for tag in span.tags.iter().chain(&process.tags) {
                assert_eq!(tag.r#type == "bool", tag.value.is_boolean(), "{}", tag.key);
                assert_eq!(tag.r#type == "string", tag.value.is_string(), "{}", tag.key);
            }
            let parent = span.references.iter().find(|reference| reference.ref_type == "CHILD_OF");
            let parent = parent.inspect(|parent| assert_eq!(parent.trace_id, trace.trace_id));
            let tag =
                |key: &str| span.tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.to_string());
            writeln!(
                written,
                "    {} under {:<16} {:>5}us at {} {} `{}` {} {} {}",
                span.span_id,
                parent.map_or("nothing", |parent| &parent.span_id),
                span.duration,
                span.start_time,
                process.service_name,
                span.operation_name,
                tag("hopseal.assurance").expect("an assurance"),
                tag("enduser.id").unwrap_or_default(),
                span.warnings.iter().flatten().map(String::as_str).collect::<Vec<_>>().join("; "),
            )
            .expect("written");
        }
    }
}

/// Scenario: the data source is saved and tested; services and operations are chosen from; traces are searched, one is opened, one
/// that is gone is asked for; the graph of services is drawn. The requests are those that `pkg/tsdb/jaeger/client.go` makes.
/// Guarantees: each is answered in the types that it reads.
#[test]
fn what_grafana_asks() {
    let mut fixture = fixture();
    let (from, to) = (MICROSECONDS, MICROSECONDS + 600_000_000);
    let mut conversation = String::new();
    for (what, path) in [
        ("Save & test", "/api/services".to_owned()),
        ("Operations", "/api/services/orders/operations".to_owned()),
        ("Operations, escaped", "/api/services/stock%2Feu/operations".to_owned()),
        ("Operations by kind", "/api/operations?service=gateway&spanKind=server".to_owned()),
        ("Search", format!("/api/traces?end={to}&limit=20&service=gateway&start={from}")),
        (
            "Search by all there is",
            format!(
                "/api/traces?end={to}&limit=20&maxDuration=1s&minDuration=1us&operation=POST+%2F&service=orders&start={from}\
                 &tags=%7B%22hopseal.assurance%22%3A%22unknown%22%2C%22hopseal.rule%22%3A%22identity_dropped%22%7D"
            ),
        ),
        ("Search in vain", format!("/api/traces?end={to}&limit=20&service=nobody&start={from}")),
        ("Trace", format!("/api/traces/{}?end={}&start={}", id_of(1), to / 1_000, from / 1_000)),
        ("Trace that is gone", format!("/api/traces/{}", id_of(9))),
        ("Service graph", format!("/api/dependencies?endTs={}&lookback=600000", to / 1_000)),
    ] {
        let (status, body) = fixture.get(&path);
        writeln!(conversation, "{what}\n  GET {path}\n  {status}").expect("written");
        match what {
            "Search" | "Search by all there is" | "Trace" => {
                let traces = serde_json::from_value(body["data"].clone()).expect("traces");
                rows(traces, &mut conversation);
            }
            _ => writeln!(conversation, "    {body}").expect("written"),
        }
    }
    insta::assert_snapshot!(conversation);
}

/// Traces may be asked for by id, several at once; which there are not is said beside those that there are.
#[test]
fn traces_by_their_ids() {
    let mut fixture = fixture();
    // A short id is one with zeros before it.
    let (status, body) = fixture.get(&format!("/api/traces?traceID=2&traceID={}", id_of(8)));
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["errors"][0]["traceID"], id_of(8).to_string());
}

#[test]
fn a_trace_by_version_3() {
    let mut fixture = fixture();
    let (status, body) = fixture.get(&format!("/api/v3/traces/{}", id_of(1)));
    assert_eq!(status, StatusCode::OK);
    insta::assert_snapshot!("version_3", serde_json::to_string_pretty(&body).expect("JSON"));
    // It is what whoever takes OTLP reads.
    let sent: opentelemetry_proto::tonic::trace::v1::TracesData =
        serde_json::from_value(body["result"].clone()).expect("OTLP");
    assert_eq!(sent.resource_spans.len(), 3);
}

#[test]
fn version_3_answers() {
    let mut fixture = fixture();
    for (path, expected) in [
        ("/api/v3/services", r#"{"services":["gateway","orders","stock/eu"]}"#),
        ("/api/v3/operations?service=orders", r#"{"operations":[{"name":"POST /","spanKind":"server"}]}"#),
        ("/api/v3/operations?service=orders&spanKind=client", r#"{"operations":[]}"#),
        (
            "/api/v3/dependencies?startTime=2026-01-01T00:00:00Z&endTime=2026-01-01T00:02:00Z",
            r#"{"dependencies":[{"parent":"gateway","child":"orders","callCount":"1"},
                {"parent":"orders","child":"stock/eu","callCount":"1"}]}"#,
        ),
        ("/api/v3/dependencies?startTime=2026-01-01T00:02:00Z", r#"{"dependencies":[]}"#),
    ] {
        let (status, body) = fixture.get(path);
        assert_eq!((status, body), (StatusCode::OK, serde_json::from_str(expected).expect("JSON")), "{path}");
    }
    let day = "query.startTimeMin=2026-01-01T00:00:00Z&query.startTimeMax=2026-01-02T00:00:00Z";
    let old = "query.start_time_min=2026-01-01T00:00:00Z&query.start_time_max=2026-01-01T00:02:30Z";
    for (query, expected) in [
        (format!("query.serviceName=gateway&{day}"), &["4", "3", "2"][..]),
        (format!("query.service_name=gateway&{old}"), &["3", "2"]),
        (day.to_owned(), &["4", "3", "2"]),
        (format!("query.serviceName=gateway&query.searchDepth=1&{day}"), &["4"]),
        (format!("query.attributes=%7B%22hopseal.rule%22%3A%22identity_dropped%22%7D&{day}"), &["2"]),
        (format!("query.attributes=%7B%22enduser.id%22%3A%22alice%22%7D&{day}"), &["4", "2"]),
        (format!("query.durationMax=1ns&{day}"), &[]),
    ] {
        let (status, body) = fixture.get(&format!("/api/v3/trace-summaries?{query}"));
        let summaries = body["summaries"].as_array().cloned().unwrap_or_default();
        let found: Vec<&str> = summaries
            .iter()
            .map(|trace| trace["traceId"].as_str().and_then(|id| id.get(31..)).expect("an id"))
            .collect();
        assert_eq!(found, expected, "{query}");
        let (searched, body) = fixture.get(&format!("/api/v3/traces?{query}"));
        assert_eq!(searched, status, "{query}");
        if expected.is_empty() {
            let none = serde_json::json!({"error": {"httpCode": 404, "message": "No traces found"}});
            assert_eq!((status, body), (StatusCode::NOT_FOUND, none), "{query}");
        }
    }
    let (_, body) = fixture.get(&format!("/api/v3/trace-summaries?query.serviceName=orders&{day}"));
    insta::assert_snapshot!("summaries", serde_json::to_string_pretty(&body).expect("JSON"));
    for query in [
        "query.startTimeMin=yesterday",
        "query.durationMin=5",
        "query.searchDepth=-1",
        "query.attributes=enduser.id",
        "query.filter=%7B%7D",
        "query.pagination.pageSize=5",
    ] {
        let (status, body) = fixture.get(&format!("/api/v3/traces?{query}"));
        assert_eq!((status, &body["error"]["httpCode"]), (StatusCode::BAD_REQUEST, &400.into()), "{query}");
    }
    let (status, body) = fixture.get("/api/v3/traces/0");
    assert_eq!((status, &body["error"]["httpCode"]), (StatusCode::BAD_REQUEST, &400.into()));
}

/// Page by page, each trace comes once, at its newest hop or finding, and the last page says that it is.
#[test]
fn version_3_by_pages() {
    let mut fixture = fixture();
    let day = "query.startTimeMin=2026-01-01T00:00:00Z&query.startTimeMax=2026-01-02T00:00:00Z";
    for query in [
        day.to_owned(),
        format!("query.serviceName=gateway&{day}"),
        format!("query.attributes=%7B%22hopseal.rule%22%3A%22identity_dropped%22%7D&{day}"),
    ] {
        let mut ids = |query: &str| {
            let (status, body) = fixture.get(&format!("/api/v3/trace-summaries?{query}"));
            assert_eq!(status, StatusCode::OK, "{query}");
            let summaries = body["summaries"].as_array().cloned().unwrap_or_default();
            let ids = summaries.iter().map(|trace| trace["traceId"].as_str().expect("an id").to_owned());
            (ids.collect::<Vec<_>>(), body["nextPageToken"].as_str().map(str::to_owned))
        };
        let (all, none) = ids(&query);
        assert!(none.is_none() && !all.is_empty(), "{query}");
        for size in 1..=all.len() {
            let (mut walked, mut token) = (Vec::new(), Some(String::new()));
            while let Some(last) = token {
                let page = format!("query.pagination.pageSize={size}&query.pagination.pageToken={last}");
                let (found, next) = ids(&format!("{query}&{page}"));
                assert!(found.len() <= size, "{query}");
                walked.extend(found);
                token = next;
            }
            assert_eq!(walked, all, "{query} by {size}");
        }
    }
    for page in ["query.pagination.pageToken=x", "query.pagination.pageSize=5&query.searchDepth=5"] {
        let (status, _) = fixture.get(&format!("/api/v3/trace-summaries?{page}"));
        assert_eq!(status, StatusCode::BAD_REQUEST, "{page}");
    }
}

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use hopseal_correlate::finding::{Confidence, Finding, OwnedActor, Subject, Who};
use hopseal_correlate::hop::{HopKind, Outcome};
use hopseal_correlate::rule::Rule;
use hopseal_correlate::sink::SpanId;
use hopseal_identity::{Assurance, Basis, Kind};
use tower_service::Service as _;

use super::*;
use crate::serve::access::{Asker, Role};
use crate::serve::api::Api;
use crate::serve::clock::TestClock;
use crate::serve::store::testing::{EPOCH, Sketch, add, trace_id};
use crate::serve::store::{Batch, Changed, HopRecord, MINUTE, SqliteStore, Store, StoreSettings};

/// A hop as tests of drawings need it.
pub(crate) fn hop(place: u32, caller_place: Option<u32>, service: &str, principal: &str) -> HopRecord {
    let who =
        Who { id: principal.to_owned(), kind: Kind::User, issuer: None, tenant: None, actors: Vec::new() };
    HopRecord {
        trace_id: trace_id(1),
        place,
        span_id: SpanId((u64::from(place) + 1).to_be_bytes()),
        parent_span_id: None,
        caller_place,
        caller: None,
        service: service.to_owned(),
        namespace: None,
        environment: None,
        operation: "GET /".to_owned(),
        kind: HopKind::Rpc,
        via: Vec::new(),
        start: EPOCH,
        end: EPOCH + 1_000_000,
        assurance: if principal.is_empty() { Assurance::Unknown } else { Assurance::Asserted },
        basis: Basis::Claimed,
        method: None,
        outcome: Outcome::Unknown,
        uncovered: false,
        principal: (!principal.is_empty()).then_some(who),
    }
}

const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&</script><script>alert(2)</script>\u{202e}";

fn sketch(caller: &'static str, service: &'static str, principal: &'static str, start: u64) -> Sketch {
    let assurance = if principal.is_empty() { Assurance::Unknown } else { Assurance::Asserted };
    Sketch { caller, service, principal, issuer: "", assurance, start }
}

fn finding(trace: u64, span: u64, rule: Rule, caller: &str, service: &str) -> Finding {
    let subject = Subject::Span {
        trace_id: trace_id(trace),
        span_id: SpanId(((trace << 16) | span).to_be_bytes()),
        server: true,
    };
    let mut finding = Finding::new(rule, subject, "")
        .message(format!("the call from {caller} to {service} shows no identity"))
        .evidence("shown_before", "12 of 12 hops")
        .unsure(Confidence::Likely, "another operation of it has shown one");
    finding.caller = Some(caller.to_owned());
    finding.service = service.to_owned();
    finding.operation = "GET /".to_owned();
    finding.at = EPOCH + 10_000_000;
    finding.before = Some(Who {
        id: "alice".to_owned(),
        kind: Kind::User,
        issuer: Some("https://idp.example".to_owned()),
        tenant: Some("acme".to_owned()),
        actors: vec![OwnedActor { id: "planner".to_owned(), kind: Kind::Agent }],
    });
    finding.grouped()
}

/// A few traces: one in order, one that loses an identity, and one of an enemy.
fn store(folder: &std::path::Path) -> Arc<dyn Store> {
    let store = SqliteStore::open(folder, StoreSettings::default()).expect("a store");
    let mut batch = Batch { at: EPOCH, ..Batch::default() };
    let sealed = Sketch { assurance: Assurance::Sealed, ..sketch("gateway", "orders", "alice", 5) };
    add(batch.block_mut(), 1, 1, &[sketch("", "gateway", "alice", 0), sealed]);
    let lost = [
        sketch("", "gateway", "alice", 0),
        Sketch { assurance: Assurance::Anonymous, ..sketch("gateway", "orders", "", 10) },
    ];
    add(batch.block_mut(), 2, 1, &lost);
    add(batch.block_mut(), 3, 1, &[sketch("", HOSTILE, HOSTILE, 90_000)]);
    // Its span says no end.
    batch.block_mut().hops.last_mut().expect("a hop").end = 0;
    batch.raised.push(finding(2, 2, Rule::IdentityDropped, "gateway", "orders"));
    let mut hostile = finding(3, 1, Rule::AuditGap, HOSTILE, HOSTILE);
    hostile.operation = HOSTILE.to_owned();
    hostile.at = EPOCH + 90 * 1_000_000_000;
    hostile.why_not_sure.push(HOSTILE.to_owned());
    hostile.before.as_mut().expect("a principal").id = HOSTILE.to_owned();
    hostile.evidence.insert("said", HOSTILE.to_owned());
    batch.raised.push(hostile);
    store.commit(&batch).expect("kept");
    Arc::new(store)
}

fn pages(folder: &std::path::Path) -> Router {
    let clock = TestClock::at(EPOCH + 30 * MINUTE);
    let api = Api { store: store(folder), clock, people: None };
    let pages = Pages { api, tail: Tail::default(), links: Links::default() };
    router(pages).layer(axum::Extension(Asker { role: Role::Admin, who: "ann (staff)".to_owned() }))
}

fn ask(pages: &mut Router, path: &str) -> (StatusCode, HeaderMap, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = pages.call(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 24).await.expect("a body");
        (parts.status, parts.headers, String::from_utf8(body.to_vec()).expect("text"))
    })
}

/// HTML with a line for each element that begins one, so that people can read what changed.
fn lines(html: &str) -> String {
    let body = html.split_once("<main").map_or(html, |(_, main)| main);
    let body = body.split_once("</main>").map_or(body, |(main, _)| main);
    let mut lines = format!("<main{body}");
    for tag in [
        "h1", "h2", "h3", "p", "dl", "dt", "dd", "div", "section", "article", "table", "tr", "td", "th",
        "svg", "g", "ul", "li", "nav", "a", "form", "label", "details", "path", "rect", "text", "figure",
    ] {
        for end in [" ", ">"] {
            lines = lines.replace(&format!("<{tag}{end}"), &format!("\n<{tag}{end}"));
        }
    }
    lines
}

fn every_path() -> Vec<String> {
    let mut paths: Vec<String> = [
        "/",
        "/?period=all",
        "/findings",
        "/findings?order=gravest&state=any",
        "/traces",
        "/principals",
        "/principals?principal=alice",
        "/matrix",
        "/coverage",
        "/coverage?service=orders",
        "/live",
        "/words",
    ]
    .map(str::to_owned)
    .to_vec();
    paths.extend((1..4).map(|trace| format!("/traces/{}", trace_id(trace))));
    paths.push(format!("/findings/{}", finding(2, 2, Rule::IdentityDropped, "gateway", "orders").id));
    paths
}

#[test]
fn pages_of_a_small_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pages = pages(folder.path());
    for (name, path) in [
        ("overview", "/".to_owned()),
        ("findings", "/findings?service=orders".to_owned()),
        ("trace", format!("/traces/{}", trace_id(2))),
        ("principals", "/principals?principal=alice".to_owned()),
        ("matrix", "/matrix".to_owned()),
        ("coverage", "/coverage?service=orders&period=1h".to_owned()),
    ] {
        let (status, _, html) = ask(&mut pages, &path);
        assert_eq!(status, StatusCode::OK, "{path}");
        insta::assert_snapshot!(name, lines(&html));
    }
}

/// Scenario: service, operation, principal and more of a trace are HTML with a script.
/// Guarantees: on no page do they become markup or leave an attribute; nothing on any page is a script or style of its own.
#[test]
fn names_never_become_markup() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pages = pages(folder.path());
    let mut seen = 0;
    for path in every_path()
        .into_iter()
        .chain([format!("/findings?{}", encoded("service")), format!("/principals?{}", encoded("principal"))])
    {
        let (status, headers, html) = ask(&mut pages, &path);
        assert_eq!(status, StatusCode::OK, "{path}: {html}");
        assert!(!html.contains("<img"), "{path}: {html}");
        assert!(!html.contains("</script><script>"), "{path}: {html}");
        assert_eq!(html.matches("<script").count(), usize::from(path == "/live"), "{path}");
        assert!(
            !html.contains(" style=") && !html.contains("<style") && !html.contains("javascript:"),
            "{path}"
        );
        assert!(!html.contains("x onerror=alert(1)>"), "{path}: {html}");
        seen += html.matches("&lt;img src=x onerror=alert(1)&gt;&quot;'&amp;&lt;/script&gt;").count();
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"));
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[header::REFERRER_POLICY], "same-origin");
        assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    }
    assert!(seen > 20, "{seen}");
}

fn encoded(field: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair(field, HOSTILE)
        .append_pair("cursor", "")
        .finish()
}

/// Every link of every page leads somewhere, and every place within a page that is linked to is there.
#[test]
fn every_link_leads_somewhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pages = pages(folder.path());
    let (mut left, mut known) = (every_path(), std::collections::BTreeSet::new());
    while let Some(path) = left.pop() {
        if !known.insert(path.clone()) || path.starts_with("/api/") {
            continue;
        }
        let (page, place) = path.split_once('#').unwrap_or((&path, ""));
        let (status, _, html) = ask(&mut pages, page);
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(place.is_empty() || html.contains(&format!("id=\"{place}\"")), "{path}");
        for link in html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let link = link.replace("&amp;", "&");
            left.push(if link.starts_with('#') { format!("{page}{link}") } else { link });
        }
    }
    assert!(known.len() > 60, "{}", known.len());
}

#[test]
fn questions_that_cannot_be_understood() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pages = pages(folder.path());
    for (path, expected) in [
        ("/nothing", StatusCode::NOT_FOUND),
        ("/traces/1", StatusCode::BAD_REQUEST),
        ("/traces/00000000000000000000000000000009", StatusCode::NOT_FOUND),
        ("/traces?trace_id=xyz", StatusCode::BAD_REQUEST),
        ("/traces?trace_id=+00000000000000000000000000000002+", StatusCode::SEE_OTHER),
        ("/?period=1y", StatusCode::BAD_REQUEST),
        ("/?perod=1h", StatusCode::BAD_REQUEST),
        ("/findings?state=any&rule=&severity=&service=", StatusCode::OK),
        ("/findings?severity=worst", StatusCode::BAD_REQUEST),
        ("/findings?order=gravest&severity=worst", StatusCode::BAD_REQUEST),
        ("/findings?order=alphabet", StatusCode::BAD_REQUEST),
        ("/findings?cursor=1", StatusCode::BAD_REQUEST),
        ("/principals?assurance=sure", StatusCode::BAD_REQUEST),
        ("/api/v1/nothing", StatusCode::NOT_FOUND),
    ] {
        let (status, headers, body) = ask(&mut pages, path);
        assert_eq!(status, expected, "{path}");
        if expected.is_client_error() {
            let kind = headers[header::CONTENT_TYPE].to_str().expect("text");
            assert_eq!(kind.starts_with("text/html"), !path.starts_with("/api/"), "{path}: {kind}");
            assert!(!body.contains("worst") && !body.contains("sure&"), "{path}");
        }
    }
}

/// Scenario: more findings than a page holds, of two severities, gone through page by page in both orders.
/// Guarantees: each is shown once; the gravest come first where that is asked for.
#[test]
fn findings_page_by_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(folder.path(), StoreSettings::default()).expect("a store");
    let mut batch = Batch { at: EPOCH, ..Batch::default() };
    for number in 0..70 {
        let rule = if number % 3 == 0 { Rule::AuditGap } else { Rule::IdentityDropped };
        let mut finding = finding(number, 1, rule, "gateway", "orders");
        finding.at = EPOCH + number / 4 * MINUTE;
        batch.raised.push(finding);
    }
    store.commit(&batch).expect("kept");
    let api = Api { store: Arc::new(store), clock: TestClock::at(EPOCH), people: None };
    let mut pages = router(Pages { api, tail: Tail::default(), links: Links::default() });
    for order in ["newest", "gravest"] {
        let (mut path, mut seen, mut severities) =
            (format!("/findings?order={order}"), std::collections::BTreeSet::new(), Vec::new());
        for _ in 0..3 {
            let (status, _, html) = ask(&mut pages, &path);
            assert_eq!(status, StatusCode::OK);
            for part in html.split("<article class=\"finding\" id=\"").skip(1) {
                assert!(seen.insert(part.get(..34).expect("an id").to_owned()));
                severities.push(part.contains("s-high"));
            }
            let Some((before, _)) = html.split_once("\">Next page") else { break };
            path = before.rsplit_once("href=\"").expect("a link").1.replace("&amp;", "&");
        }
        assert_eq!(seen.len(), 70, "{order}");
        assert_eq!(severities.is_sorted_by(|a, b| a >= b), order == "gravest");
    }
}

/// Scenario: somebody watches while findings are committed.
/// Guarantees: they are told as events, with names as JSON.
#[tokio::test]
async fn findings_are_told_as_they_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let tail = Tail::default();
    let api = Api { store: store(folder.path()), clock: TestClock::at(EPOCH), people: None };
    let mut pages = router(Pages { api, tail: tail.clone(), links: Links::default() });
    let request = Request::get("/live/events").body(Body::empty()).expect("a request");
    let response = pages.call(request).await.expect("an answer");
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let raised = vec![finding(3, 1, Rule::AuditGap, HOSTILE, "orders")];
    let changed = Changed { opened: vec![raised[0].id], retracted: vec![raised[0].id] };
    tail.tell(&Batch { raised, ..Batch::default() }, &changed);
    let mut body = response.into_body();
    let mut text = String::new();
    while !text.contains("retracted") {
        let frame = http_body_util::BodyExt::frame(&mut body).await.expect("more").expect("a frame");
        text.push_str(std::str::from_utf8(frame.data_ref().expect("data")).expect("text"));
    }
    let data =
        text.strip_prefix("event: finding\ndata: ").expect("a finding").lines().next().expect("a line");
    let json: serde_json::Value = serde_json::from_str(data).expect("JSON");
    assert_eq!((json["caller"].as_str(), json["service"].as_str()), (Some(HOSTILE), Some("orders")));
    assert!(!text.contains("alice"), "{text}");
}

fn say(pages: &mut Router, id: &str, body: &'static str, site: &str) -> (StatusCode, HeaderMap) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let request = Request::post(format!("/findings/{id}"))
        .header("sec-fetch-site", site)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let request = request.body(Body::from(body)).expect("a request");
    let response = runtime.block_on(pages.call(request)).expect("an answer");
    (response.status(), response.headers().clone())
}

/// Scenario: somebody says by a form what becomes of a finding; a page of somebody else has a browser say so; forms are wrong.
/// Guarantees: what is said is kept with who said it, shown, and led back to; the rest changes nothing. Who may not say is shown no
/// form.
#[test]
fn what_becomes_of_a_finding_is_said_by_a_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut pages = pages(folder.path());
    let id = finding(2, 2, Rule::IdentityDropped, "gateway", "orders").id.to_string();
    let path = format!("/findings/{id}");
    for (id, body, site, expected) in [
        (id.as_str(), "state=resolved", "cross-site", StatusCode::FORBIDDEN),
        (&id, "state=retracted", "same-origin", StatusCode::BAD_REQUEST),
        (&id, "state=resolved&more=1", "same-origin", StatusCode::BAD_REQUEST),
        ("1", "state=resolved", "same-origin", StatusCode::BAD_REQUEST),
        ("00000000000000000000000000000001", "state=resolved", "same-origin", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(say(&mut pages, id, body, site).0, expected, "{body} {site}");
    }
    let (_, headers, html) = ask(&mut pages, &path);
    assert!(html.contains("Nobody said anything") && html.contains("<form"), "{html}");
    assert_eq!(headers[header::REFERRER_POLICY], "same-origin");
    let (status, headers) = say(&mut pages, &id, "state=resolved&note=mended+%3Cb%3E", "same-origin");
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(headers[header::LOCATION], path.as_str());
    let (_, _, html) = ask(&mut pages, &path);
    for said in ["<strong>resolved</strong>", "ann (staff)", "mended &lt;b&gt;"] {
        assert!(html.contains(said), "{said}: {html}");
    }
    let other = tempfile::tempdir().expect("a folder");
    let (store, clock) = (store(other.path()), TestClock::at(EPOCH));
    let api = Api { store, clock, people: None };
    let links = Links {
        grafana: Some("https://grafana.example/g".to_owned()),
        jaeger: Some("https://jaeger.example".to_owned()),
    };
    let mut reader = router(Pages { api, tail: Tail::default(), links });
    let (_, _, html) = ask(&mut reader, &path);
    assert!(html.contains("takes the role admin") && !html.contains("<form"), "{html}");

    // Where else it is looked at is said where it is configured.
    let id = trace_id(2);
    for (path, link) in [
        (format!("/traces/{id}"), format!("href=\"https://jaeger.example/trace/{id}\"")),
        (
            format!("/traces/{id}"),
            "href=\"https://grafana.example/g/explore?schemaVersion=1&amp;panes=".to_owned(),
        ),
        ("/findings".to_owned(), "href=\"https://grafana.example/g/d/hopseal-findings\"".to_owned()),
        ("/coverage".to_owned(), "href=\"https://grafana.example/g/d/hopseal-coverage\"".to_owned()),
    ] {
        let (_, _, html) = ask(&mut reader, &path);
        assert!(html.contains(&link), "{link}: {html}");
        let (_, _, html) = ask(&mut pages, &path);
        assert!(!html.contains("grafana") && !html.contains("jaeger"), "{html}");
    }
}

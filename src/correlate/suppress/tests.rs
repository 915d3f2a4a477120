use crate::finding::Confidence;
use crate::policy::{Policy, PolicyFile};
use crate::rule::Rule;
use crate::testing::{EPOCH, each_in_order, judge};
use crate::trace::Trace;

/// The reasons why findings of a rule were quieted, and the findings that stand with what they say of expiry.
fn outcome(rule: Rule, trace: &str, policy: &Policy) -> Vec<String> {
    let verdict = judge(trace, policy);
    let quieted = verdict.suppressed.iter().filter(|it| it.finding.rule == rule).map(|it| {
        let until = it.expires.map_or(String::new(), |date| format!(" until {date}"));
        format!("{}{until}", it.reason.as_str())
    });
    let stand = verdict.findings.iter().filter(|it| it.rule == rule).map(|it| {
        let expired = it.evidence.get("expired_allowance").map_or(String::new(), |it| format!(", {it}"));
        format!("stands {}{expired}", it.confidence.as_str())
    });
    quieted.chain(stand).collect()
}

fn policy(yaml: &str) -> Policy {
    PolicyFile::parse(yaml).and_then(|file| file.resolve()).expect("a policy")
}

/// A root of a service that can show identities and here does not, with those words on its span.
fn anonymous(words: &str) -> String {
    format!(
        "shop SERVER {words} enduser.id=anonymous http.response.status_code=200\nshop SERVER GET /mine user.id=bob @trace=2"
    )
}

#[test]
fn what_a_route_says_of_itself() {
    for (words, expected) in [
        ("GET http.route=/orders", "stands likely"),
        // Static files, as long as the server does not say that it is something else.
        ("GET url.path=/app/main.js", "static"),
        ("GET /app/main.js", "static"),
        ("GET http.route=/static/** url.path=/static/main.js", "static"),
        ("GET http.route=/orders/{id} url.path=/orders/1.js", "stands likely"),
        ("POST http.request.method=POST url.path=/upload/main.js", "stands likely"),
        // Health.
        ("GET http.route=/healthz", "health"),
        ("GET http.route=/api/v1/health", "health"),
        ("GET http.route=/patients/{id}/health", "stands likely"),
        ("GET url.path=/patients/17/health", "stands likely"),
        ("GET url.path=/orders/metrics", "stands likely"),
        ("GET url.path=/actuator/health/liveness", "health"),
        ("GET url.path=/actuator/heapdump", "stands likely"),
        ("POST http.request.method=POST url.path=/healthz", "stands likely"),
        ("OPTIONS http.request.method=OPTIONS url.path=/orders", "health"),
        ("grpc.health.v1.Health/Check rpc.system=grpc", "health"),
        // A probe's name is a second sign, never the only one.
        ("GET url.path=/status", "stands likely"),
        ("GET url.path=/status user_agent.original=kube-probe/1.30", "health"),
        ("GET url.path=/ user_agent.synthetic.type=bot", "health"),
        ("GET url.path=/orders user_agent.original=kube-probe/1.30", "stands likely"),
        (
            "POST http.request.method=POST url.path=/status user_agent.original=kube-probe/1.30",
            "stands likely",
        ),
        // Public by nature.
        ("POST http.request.method=POST http.route=/login", "public"),
        ("GET http.route=/items/{id} url.path=/items/login", "stands likely"),
        ("GET url.path=/.well-known/openid-configuration", "public"),
        ("GET url.path=/oauth/callback", "public"),
        ("GET url.path=/billing/callback", "stands likely"),
        ("POST http.request.method=POST url.path=/oauth2/token", "public"),
        ("POST http.request.method=POST url.path=/webhooks/stripe", "public"),
        ("GET url.path=/webhooks/stripe", "stands likely"),
        ("GET url.path=/robots.txt", "static"),
        ("POST http.request.method=POST url.path=/register", "public"),
        ("PUT http.request.method=PUT url.path=/register", "stands likely"),
        ("POST http.request.method=POST http.route=/admin/users/register", "stands likely"),
        ("POST http.request.method=POST http.route=/devices/{id}/register", "stands likely"),
        ("GET url.path=/realms/shop/protocol/openid-connect/certs", "public"),
        ("GET url.path=/internal/certs", "stands likely"),
        ("POST http.request.method=POST url.path=/hooks/webhook", "public"),
        ("DELETE http.request.method=DELETE url.path=/webhooks/1", "stands likely"),
        ("POST http.request.method=POST url.path=/api/admin/webhooks", "stands likely"),
        ("POST http.request.method=POST url.path=/webhooks/1/secret/rotate", "stands likely"),
        // Paths that servers read in different ways.
        ("GET url.path=/admin;/healthz", "stands likely"),
        ("GET url.path=/.well-known/../admin", "stands likely"),
        ("GET url.path=/admin%2fhealthz", "stands likely"),
        ("GET url.path=/admin//healthz", "stands likely"),
        ("GET url.path=/app/ma%20in.js", "static"),
    ] {
        let found = outcome(Rule::NeverEstablished, &anonymous(words), &Policy::default());
        assert_eq!(found, [expected], "{words}");
    }
}

#[test]
fn what_the_policy_declares() {
    for (yaml, words, expected) in [
        ("public: [{routes: [/products/**]}]", "GET url.path=/products/7", "public"),
        ("public: [{service: shop, routes: [/products/**]}]", "GET url.path=/products/7", "public"),
        ("public: [{service: bank, routes: [/products/**]}]", "GET url.path=/products/7", "stands likely"),
        ("public: [{routes: [/products/**]}]", "GET url.path=/products/../admin", "stands likely"),
        ("public: [{routes: ['/products/{id}']}]", "GET http.route=/products/{productId}", "public"),
        (
            "public: [{routes: [/signup]}]",
            "POST http.request.method=POST url.path=/signup/now",
            "stands likely",
        ),
        ("public: [{routes: [/beta]}]", "POST http.request.method=POST url.path=/beta", "stands likely"),
        ("public: [{routes: [POST /beta]}]", "POST http.request.method=POST url.path=/beta", "public"),
        (
            "public: [{routes: ['* /shop.Catalog/List']}]",
            "shop.Catalog/List rpc.service=shop.Catalog rpc.method=List",
            "public",
        ),
        ("health: [{routes: [/probe]}]", "GET url.path=/probe", "health"),
        ("public: [{routes: [/a], expires: 2026-01-01}]", "GET url.path=/a", "public until 2026-01-01"),
        (
            "public: [{routes: [/a], expires: 2025-12-31}]",
            "GET url.path=/a",
            "stands likely, public until 2025-12-31",
        ),
        (
            "public: [{routes: [/a], expires: 2025-12-31}, {routes: [/**], expires: 2026-06-30}]",
            "GET url.path=/a",
            "public until 2026-06-30",
        ),
    ] {
        let found = outcome(Rule::NeverEstablished, &anonymous(words), &policy(yaml));
        assert_eq!(found, [expected], "{yaml}: {words}");
    }
}

#[test]
fn a_time_left_out_does_not_outlive_a_date() {
    let policy = policy("public: [{routes: [/a], expires: 2099-12-31}]");
    let timed = anonymous("GET url.path=/a");
    assert_eq!(outcome(Rule::NeverEstablished, &timed, &policy), ["public until 2099-12-31"]);
    let service = crate::record::Service { name: "shop", ..Default::default() };
    assert!(!policy.public(service, Some("GET"), "/a", 0).holds());
    assert!(policy.public(service, Some("GET"), "/a", EPOCH).holds());
}

#[test]
fn a_retry_speaks_for_the_attempt_that_failed() {
    let capable = "\norders SERVER GET /orders user.id=bob @trace=2";
    let first = "gw SERVER GET / user.id=alice\n gw INTERNAL fetch\n  gw CLIENT GET @end=10\n   orders SERVER GET /orders @start=2 http.response.status_code=503\n";
    let retried = "  gw CLIENT GET @start=20\n   orders SERVER GET /orders @start=22 http.response.status_code=200 user.id=alice";
    let dropped =
        "  gw CLIENT GET @start=20\n   orders SERVER GET /orders @start=22 http.response.status_code=200";
    let elsewhere = " gw CLIENT GET @start=20\n  orders SERVER GET /orders @start=22 http.response.status_code=200 user.id=alice";
    let default = Policy::default();
    let of = |rest: &str| outcome(Rule::IdentityDropped, &format!("{first}{rest}{capable}"), &default);
    assert_eq!(of(""), ["stands likely"]);
    assert_eq!(of(retried), ["retry"]);
    assert_eq!(of(dropped), ["retry", "stands certain"], "the attempt that counts stands");
    assert_eq!(of(elsewhere), ["stands likely"], "another call is no retry");
    // One side of the retry is lost.
    assert_eq!(of("  gw CLIENT GET @start=20"), ["incomplete"]);
    assert_eq!(of("  gw CLIENT GET @start=20 @status=error"), ["incomplete"]);
    assert_eq!(of("orders SERVER GET /orders @parent=99 @start=22"), ["incomplete"]);
    assert_eq!(of("  gw CLIENT POST @start=20"), ["stands likely"], "another method");
    assert_eq!(of("  gw CLIENT GET @start=20 server.address=stock"), ["stands likely"], "another host");
    assert_eq!(of("orders SERVER GET /others @parent=99 @start=22"), ["stands likely"], "another operation");
}

#[test]
fn a_lost_span_is_no_lost_identity() {
    let capable = "\norders SERVER GET /orders user.id=bob @trace=2";
    let trace = "gw SERVER GET / user.id=alice\n gw CLIENT GET\n  orders SERVER GET /orders\n";
    let default = Policy::default();
    let of = |rest: &str| outcome(Rule::IdentityDropped, &format!("{trace}{rest}{capable}"), &default);
    assert_eq!(of(""), ["stands certain"]);
    assert_eq!(of("orders INTERNAL work @parent=99 @start=10 @end=20 user.id=alice"), ["incomplete"]);
    assert_eq!(of("orders INTERNAL work @parent=99 @start=10 @end=20"), ["stands likely"]);
    assert_eq!(of("geo INTERNAL work @parent=99 @start=10 @end=20 user.id=alice"), ["stands certain"]);
    let dropped = trace.replace("GET /orders", "GET /orders @dropped=2");
    assert_eq!(outcome(Rule::IdentityDropped, &format!("{dropped}{capable}"), &default), ["stands likely"]);
}

/// Guarantees: of a trace that there was no room to wait for no rule speaks that needs what is not there. Of one that senders keep busy it
/// does, and is not certain.
#[test]
fn what_may_be_on_its_way_is_not_missed() {
    use Rule::*;
    const DROPPED: &str = "gw SERVER GET /a user.id=bob\n  gw CLIENT GET\n    shop SERVER GET /mine\nshop SERVER GET /mine user.id=bob @trace=2";
    const SAID: &str = "gw SERVER GET /a user.id=bob\n  gw CLIENT GET\n    shop SERVER GET /mine hopseal.assurance=anonymous\nshop SERVER GET /mine user.id=bob @trace=2";
    for (rule, trace, early) in [
        (IdentityDropped, DROPPED, &["incomplete"][..]),
        // The crate says that there was none.
        (IdentityDropped, SAID, &["stands"]),
        (
            NeverEstablished,
            "shop SERVER GET /mine\nshop SERVER GET /mine user.id=bob @trace=2",
            &["incomplete"],
        ),
        (
            AnonymousWrite,
            "gw SERVER POST /x\n  gw PRODUCER publish orders\ngw SERVER POST /x user.id=u-9 @trace=2",
            &["incomplete"],
        ),
        (BlindHop, "gw SERVER GET / user.id=al\n  gw CLIENT GET http.method=GET server.address=vault", &[]),
        (BrokenContext, "gw SERVER GET / user.id=al @parent=77", &[]),
        (
            NoValidationEdge,
            "gw SERVER GET / user.id=al\ngw SERVER GET / user.id=al @trace=2\n  gw CLIENT POST url.full=https://idp.example.org/introspect @trace=2",
            &[],
        ),
    ] {
        let of = |grade: fn(Trace<'_>) -> Trace<'_>| {
            let (mut said, mut is_first) = (Vec::new(), true);
            let sort = |traces: &mut Vec<Trace<'_>>| {
                *traces = std::mem::take(traces).into_iter().map(grade).collect();
            };
            each_in_order(trace, &Policy::default(), sort, |judge, cx| {
                if !std::mem::take(&mut is_first) {
                    return;
                }
                let verdict = judge.verdict(cx);
                let quieted = verdict.suppressed.iter().filter(|it| it.finding.rule == rule);
                said.extend(quieted.map(|it| it.reason.as_str()));
                let stand = verdict.findings.iter().filter(|it| it.rule == rule);
                said.extend(stand.map(|it| match it.confidence {
                    Confidence::Certain => "stands",
                    _ if it.why_not_sure.iter().any(|why| why.contains("on the way")) => "doubted",
                    _ => "stands",
                }));
            });
            said
        };
        assert_eq!(of(|trace| trace), ["stands"], "{rule:?}, whole: {trace}");
        assert_eq!(of(|trace| trace.crowded()), early, "{rule:?}, crowded: {trace}");
        let busy = if early == ["stands"] { "stands" } else { "doubted" };
        assert_eq!(of(|trace| trace.closed_early()), [busy], "{rule:?}, busy: {trace}");
    }
}

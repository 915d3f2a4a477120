//! Receivers that refuse, redirect and hang, and what becomes of findings meanwhile.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse as _;
use hopseal_correlate::finding::{Finding, FindingId, Severity, Subject};
use hopseal_correlate::rule::Rule;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;

use super::*;
use crate::serve::clock::TestClock;
use crate::serve::store::testing::{EPOCH, said, trace_id};
use crate::serve::store::{Batch, Model, SqliteStore, State, StoreSettings};

/// Of `0123456789abcdef01234567`, and the one before.
const SECRETS: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\nwhsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY\n";

/// How somebody answers.
#[derive(Debug, Clone)]
enum Answers {
    With(u16),
    Redirects(String),
    Asks(u64),
    Allows(&'static str),
    Hangs,
}

/// A request that came.
#[derive(Debug, Clone)]
struct Came {
    method: Method,
    headers: HeaderMap,
    body: Bytes,
}

impl Came {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

/// Somebody who is told. Answers as it is scripted, and takes everything after that.
struct Listener {
    address: SocketAddr,
    came: Arc<Mutex<Vec<Came>>>,
    answers: Arc<Mutex<VecDeque<Answers>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Listener {
    fn new(answers: impl IntoIterator<Item = Answers>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let came = Arc::<Mutex<Vec<Came>>>::default();
        let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<_>>()));
        let (noted, script) = (Arc::clone(&came), Arc::clone(&answers));
        let answer = async move |method: Method, headers: HeaderMap, body: Bytes| {
            noted.lock().expect("no panic").push(Came { method, headers, body });
            let next = script.lock().expect("no panic").pop_front();
            match next.unwrap_or(Answers::With(204)) {
                Answers::With(status) => StatusCode::from_u16(status).expect("a status").into_response(),
                Answers::Redirects(to) => {
                    (StatusCode::TEMPORARY_REDIRECT, [("location", to)]).into_response()
                }
                Answers::Asks(seconds) => {
                    (StatusCode::TOO_MANY_REQUESTS, [("retry-after", seconds.to_string())]).into_response()
                }
                Answers::Allows(whom) => [("webhook-allowed-origin", whom)].into_response(),
                Answers::Hangs => std::future::pending().await,
            }
        };
        let router = Router::new().fallback(answer);
        runtime.spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { address, came, answers, _runtime: runtime }
    }

    fn came(&self) -> Vec<Came> {
        self.came.lock().expect("no panic").clone()
    }

    /// Ids of events, as they came.
    fn ids(&self) -> Vec<String> {
        self.came().iter().map(|came| came.header("webhook-id").to_owned()).collect()
    }

    fn url(&self) -> String {
        format!("http://{}/hooks/s3cret", self.address)
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never: {what}");
}

const QUICK: Patience = Patience {
    poll: Duration::from_millis(5),
    first: Duration::from_millis(5),
    most: Duration::from_millis(20),
    longest: Duration::from_millis(50),
    answer: Duration::from_millis(300),
    resend: Duration::from_secs(60),
};

fn receiver(name: &str, url: &str, kind: Kind) -> ReceiverSettings {
    ReceiverSettings {
        name: name.to_owned(),
        kind,
        address: Address::parse(url).expect("an address"),
        secret: None,
        token: None,
        origin: None,
        severity: Severity::Medium,
        rules: Vec::new(),
    }
}

/// A store, and those who are told of it.
struct Lab {
    store: Arc<dyn Store>,
    clock: Arc<TestClock>,
    metrics: Arc<Metrics>,
    receivers: Vec<ReceiverSettings>,
    folder: tempfile::TempDir,
}

impl Lab {
    fn new(receivers: impl IntoIterator<Item = ReceiverSettings>) -> Self {
        Self {
            store: Arc::new(Model::default()),
            clock: TestClock::at(EPOCH),
            metrics: Arc::new(Metrics::new()),
            receivers: receivers.into_iter().collect(),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// Gives the first of them files with secrets and a token.
    fn with_secrets(mut self) -> Self {
        let file = |name: &str, text: &str| {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let (secret, token) = (file("secret", SECRETS), file("token", "t0ken\n"));
        let first = self.receivers.first_mut().expect("a receiver");
        (first.secret, first.token) = (Some(secret), Some(token));
        self
    }

    fn settings(&self) -> AlertSettings {
        AlertSettings { receivers: self.receivers.clone(), pages: Some("https://hopseal.example".to_owned()) }
    }

    fn start(&self) -> Alerts {
        let clock: Arc<dyn Clock> = self.clock.clone();
        Alerts::patiently(&self.settings(), &QUICK, &self.store, &clock, &self.metrics).expect("started")
    }

    fn raise(&self, findings: impl IntoIterator<Item = Finding>) -> Vec<FindingId> {
        let raised: Vec<Finding> = findings.into_iter().collect();
        let ids = raised.iter().map(|finding| finding.id).collect();
        self.store.commit(&Batch { at: self.clock.now(), raised, ..Batch::default() }).expect("kept");
        ids
    }

    fn counted(&self, to: &str, result: &str) -> u64 {
        let line = format!("hopseal_alerts_total{{to=\"{to}\",result=\"{result}\"}} ");
        let text = self.metrics.text();
        let count = text.lines().find_map(|said| said.strip_prefix(&line)).expect("counted");
        count.parse().expect("a number")
    }
}

/// A finding at the first span of a trace.
fn finding(number: u64, rule: Rule) -> Finding {
    let subject = Subject::Span { trace_id: trace_id(number), span_id: span(3), server: true };
    let mut finding = Finding::new(rule, subject, "").message("`gateway` lost it");
    (finding.service, finding.caller, finding.at) = ("orders".to_owned(), Some("gateway".to_owned()), EPOCH);
    "POST /orders".clone_into(&mut finding.operation);
    finding.grouped()
}

fn span(number: u8) -> hopseal_correlate::sink::SpanId {
    hopseal_correlate::sink::SpanId([number; 8])
}

/// Scenario: a finding is raised, seen by somebody, and taken back by later spans; others are not grave enough, or of another rule.
/// Guarantees: one event for each, in their order, with what CloudEvents asks for, signed with both secrets, and with the token;
/// none names a principal.
#[test]
fn what_becomes_of_a_finding_is_told_in_order() {
    let listener = Listener::new([]);
    let mut hook = receiver("tickets", &listener.url(), Kind::Webhook);
    hook.rules = vec![Rule::IdentityDropped, Rule::AuditGap];
    let lab = Lab::new([hook]).with_secrets();
    let _alerts = lab.start();
    let mut gap = finding(2, Rule::AuditGap);
    gap.severity = Severity::Low;
    let ids = lab.raise([gap, finding(3, Rule::CoverageRegression), finding(1, Rule::IdentityDropped)]);
    let id = ids[2];
    lab.store.set_state(id, &said(State::Acknowledged, "looking", EPOCH + 5)).expect("set");
    lab.store.commit(&Batch { at: EPOCH + 9, retracted: [id].into(), ..Batch::default() }).expect("kept");
    until("three events", || listener.came().len() == 3);

    let came = listener.came();
    let events: Vec<Value> = came.iter().map(Came::json).collect();
    let words: Vec<&str> = events.iter().map(|event| event["type"].as_str().expect("a type")).collect();
    assert_eq!(
        words,
        ["hopseal.finding.opened", "hopseal.finding.acknowledged", "hopseal.finding.retracted"]
    );
    insta::assert_json_snapshot!("event", events[1]);
    for (came, event) in came.iter().zip(&events) {
        assert_eq!(came.header("content-type"), "application/cloudevents+json; charset=utf-8");
        assert_eq!(came.header("authorization"), "Bearer t0ken");
        assert_eq!(came.header("webhook-id"), event["id"]);
        assert_eq!(came.header("webhook-timestamp"), (EPOCH / 1_000_000_000).to_string());
        let signed = [came.header("webhook-id"), ".", came.header("webhook-timestamp"), "."].concat();
        let signed = [signed.as_bytes(), &came.body].concat();
        let keys = [b"0123456789abcdef01234567", b"ABCDEFGHIJKLMNOPQRSTUVWX"];
        let expected = keys.map(|key| {
            use base64::Engine as _;
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
            let tag = aws_lc_rs::hmac::sign(&key, &signed);
            format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(tag))
        });
        assert_eq!(came.header("webhook-signature"), expected.join(" "));
    }
    until("all counted", || lab.counted("webhook", "sent") == 3);
}

/// Scenario: a finding that is not grave comes to be, as more of its trace is known, and is so again.
/// Guarantees: who wants to know of grave ones is told once; who knew of it, that it is graver now.
#[test]
fn what_becomes_graver_is_told() {
    let (grave, all) = (Listener::new([]), Listener::new([]));
    let mut high = receiver("high", &grave.url(), Kind::Webhook);
    high.severity = Severity::High;
    let lab = Lab::new([high, receiver("all", &all.url(), Kind::Webhook)]);
    let _alerts = lab.start();
    let with = |severity: Severity| {
        let mut finding = finding(1, Rule::IdentityDropped);
        finding.severity = severity;
        finding
    };
    for (severity, told) in [
        (Severity::Medium, (1, 0)),
        (Severity::Medium, (1, 0)),
        (Severity::High, (2, 1)),
        (Severity::High, (2, 1)),
    ] {
        lab.clock.advance(Duration::from_secs(1));
        lab.raise([with(severity)]);
        until("all are told", || (all.came().len(), grave.came().len()) == told);
    }
    until("all counted", || lab.counted("webhook", "sent") == 3);
    let events: Vec<Value> = all.came().iter().map(Came::json).collect();
    assert_ne!(events[0]["id"], events[1]["id"]);
    assert_eq!(events[1]["data"]["severity"], "high");
}

/// Scenario: a receiver is down, fails, redirects to another, asks for patience and hangs, before it takes anything; another takes all
/// at once.
/// Guarantees: every event comes in the end, once taken it does not come again; the other receiver is told meanwhile; the one
/// redirected to is never asked; what is said of it holds neither address nor secrets.
#[test]
fn who_does_not_answer_is_told_later_and_holds_up_nobody() {
    let elsewhere = Listener::new([]);
    let slow = Listener::new([
        Answers::With(503),
        Answers::Redirects(elsewhere.url()),
        Answers::Asks(86_400),
        Answers::With(401),
        Answers::Hangs,
    ]);
    let quick = Listener::new([]);
    let lab = Lab::new([
        receiver("slow", &slow.url(), Kind::Webhook),
        receiver("quick", &quick.url(), Kind::Webhook),
    ])
    .with_secrets();
    let _alerts = lab.start();
    lab.raise((0..3).map(|number| finding(number, Rule::IdentityDropped)));
    until("the quick one is told", || quick.came().len() == 3);
    until("the slow one is told", || slow.came().len() == 8);
    until("all counted", || lab.counted("webhook", "sent") == 6);
    assert_eq!(lab.counted("webhook", "failed"), 5);
    assert_eq!(elsewhere.came().len(), 0);
    let ids = slow.ids();
    assert!(ids[..6].iter().all(|id| *id == ids[0]), "{ids:?}");
    assert!(ids[5] != ids[6] && ids[6] != ids[7], "{ids:?}");

    let nobody = receiver("nobody", "http://127.0.0.1:9/hooks/s3cret", Kind::Webhook);
    let clock: Arc<dyn Clock> = lab.clock.clone();
    for (receiver, said) in [(nobody, "error sending request"), (lab.receivers[0].clone(), "it answered 500")]
    {
        slow.answers.lock().expect("no panic").push_back(Answers::With(500));
        let post = Post::new(receiver, &QUICK, Arc::clone(&clock)).expect("a client");
        let later = post.send("1", "text/plain", Vec::new()).expect_err("not taken");
        assert!(later.why.contains(said), "{later:?}");
        assert!(!later.why.contains("s3cret") && !later.why.contains("t0ken"), "{later:?}");
    }
}

/// Scenario: a receiver does not want one of three events, ever.
/// Guarantees: it is counted, and the others are told.
#[test]
fn what_is_refused_for_good_holds_up_nothing() {
    let listener = Listener::new([Answers::With(204), Answers::With(422)]);
    let lab = Lab::new([receiver("tickets", &listener.url(), Kind::Webhook)]);
    let _alerts = lab.start();
    lab.raise((0..3).map(|number| finding(number, Rule::IdentityDropped)));
    until("all are told", || lab.counted("webhook", "sent") == 2);
    assert_eq!((lab.counted("webhook", "refused"), lab.counted("webhook", "failed")), (1, 0));
    assert_eq!(listener.came().len(), 3);
}

/// Scenario: a service with a store on disk is stopped after one event was taken and while the second is not, findings are raised
/// meanwhile, and another service goes on; then with a new receiver.
/// Guarantees: nothing is told twice, nothing is left out, and who is new is not told of the past.
#[test]
fn the_next_process_goes_on() {
    let listener = Listener::new([Answers::With(204)]);
    let folder = tempfile::tempdir().expect("a folder");
    let open = || -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(folder.path(), StoreSettings::default()).expect("a store"))
    };
    let mut lab = Lab::new([receiver("tickets", "http://127.0.0.1:1/", Kind::Webhook)]);
    lab.store = open();
    lab.receivers[0].address = Address::parse(&listener.url()).expect("an address");
    listener.answers.lock().expect("no panic").extend((0..10_000).map(|_| Answers::With(503)));
    let alerts = lab.start();
    lab.raise((0..2).map(|number| finding(number, Rule::IdentityDropped)));
    until("one is taken", || lab.counted("webhook", "sent") == 1 && listener.came().len() > 2);
    drop(alerts);
    lab.raise([finding(2, Rule::IdentityDropped)]);
    listener.answers.lock().expect("no panic").clear();
    listener.came.lock().expect("no panic").clear();

    lab.store = open();
    let fresh = Listener::new([]);
    lab.receivers.push(receiver("fresh", &fresh.url(), Kind::Webhook));
    let alerts = lab.start();
    until("the rest is taken", || lab.counted("webhook", "sent") == 3);
    lab.raise([finding(3, Rule::IdentityDropped)]);
    until("both are told", || lab.counted("webhook", "sent") == 5);
    drop(alerts);
    let subjects = |listener: &Listener| -> Vec<String> {
        listener.came().iter().map(|came| came.json()["subject"].as_str().expect("text").to_owned()).collect()
    };
    let id = |number| finding(number, Rule::IdentityDropped).id.to_string();
    assert_eq!(subjects(&listener), [id(1), id(2), id(3)]);
    assert_eq!(subjects(&fresh), [id(3)]);
}

/// Scenario: the service ends while a page of events is being told to somebody slow.
/// Guarantees: what was taken is not told again by the next process.
#[test]
fn the_end_comes_between_two_events() {
    let listener = Listener::new([]);
    let lab = Lab::new([receiver("tickets", &listener.url(), Kind::Webhook)]);
    let alerts = lab.start();
    lab.raise((0..60).map(|number| finding(number, Rule::IdentityDropped)));
    until("some are told", || !listener.came().is_empty());
    drop(alerts);
    let alerts = lab.start();
    until("all are told", || lab.counted("webhook", "sent") == 60);
    drop(alerts);
    assert_eq!(listener.came().len(), 60);
}

/// Scenario: findings alike are raised, all but one are resolved, then the last; time passes in between.
/// Guarantees: an Alertmanager is told of one alert, again as time passes, and of its end once none is open, and not before.
#[test]
fn findings_alike_are_one_alert_until_none_is_open() {
    let listener = Listener::new([]);
    let lab = Lab::new([receiver("on-call", &listener.url(), Kind::Alertmanager)]);
    let ids = lab.raise((0..2).map(|number| finding(number, Rule::IdentityDropped)));
    let _alerts = lab.start();
    let alerts = || -> Vec<Value> {
        let all: Vec<Value> = listener.came().iter().map(Came::json).collect();
        all.iter().flat_map(|alerts| alerts.as_array().expect("alerts").clone()).collect()
    };
    until("what stood before", || alerts().len() == 1);
    insta::assert_json_snapshot!("alert", alerts()[0]);
    lab.store.set_state(ids[0], &said(State::Resolved, "", EPOCH + 5)).expect("set");
    until("it stands still", || alerts().len() == 2);
    lab.clock.advance(QUICK.resend);
    until("it is told again", || alerts().len() == 3);
    lab.store.set_state(ids[1], &said(State::Resolved, "", EPOCH + 70_000_000_000)).expect("set");
    until("its end", || alerts().len() == 4);
    let all = alerts();
    let ends: Vec<&str> = all.iter().map(|alert| alert["endsAt"].as_str().expect("a time")).collect();
    assert_eq!(
        ends,
        [
            "2026-01-01T00:05:00.000000000Z",
            "2026-01-01T00:05:00.000000000Z",
            "2026-01-01T00:06:00.000000000Z",
            "2026-01-01T00:01:10.000000000Z",
        ]
    );
    assert!(all.iter().all(|alert| alert["labels"] == all[0]["labels"]));
    lab.clock.advance(QUICK.resend);
    lab.raise([finding(7, Rule::BaggageTampered)]);
    until("another alert", || alerts().len() == 5);
    assert_eq!(alerts()[4]["labels"]["rule"], Rule::BaggageTampered.as_str());
}

#[test]
fn secrets_that_cannot_be_used_are_said() {
    let lab = Lab::new([receiver("tickets", "http://127.0.0.1:9/", Kind::Webhook)]).with_secrets();
    assert!(check(&lab.settings()).is_ok());
    for (secret, token, said) in [
        ("whsec_c2hvcnQ=", "t", "whsec_"),
        ("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", "t", "whsec_"),
        ("", "t", "whsec_"),
        (SECRETS, "two words", "write one token"),
        (SECRETS, "", "write one token"),
    ] {
        std::fs::write(lab.folder.path().join("secret"), secret).expect("written");
        std::fs::write(lab.folder.path().join("token"), token).expect("written");
        let error = check(&lab.settings()).expect_err(said).to_string();
        assert!(error.contains(said) && error.contains("tickets"), "{error}");
        assert!(secret.is_empty() || !error.contains(secret), "{error}");
    }
    std::fs::remove_file(lab.folder.path().join("secret")).expect("removed");
    assert!(matches!(check(&lab.settings()), Err(AlertError::Read { what: "secret", .. })));
}

/// Scenario: somebody who is to be asked first answers as if it knew nothing of that, then allows somebody else, then us; later it is
/// gone for good.
/// Guarantees: nothing is sent before it allows it, and then with the same name; it is asked once; what is told to one that is gone is
/// tried, and not lost.
#[test]
fn who_wants_to_be_asked_is_asked_first() {
    let listener = Listener::new([
        Answers::With(204),
        Answers::Allows("other.example"),
        Answers::Allows("hopseal.example"),
        Answers::With(204),
        Answers::With(410),
    ]);
    let mut hook = receiver("tickets", &listener.url(), Kind::Webhook);
    hook.origin = Some(HeaderValue::from_static("hopseal.example"));
    let lab = Lab::new([hook]);
    let _alerts = lab.start();
    lab.raise([finding(1, Rule::IdentityDropped)]);
    until("one event", || lab.counted("webhook", "sent") == 1);
    lab.raise([finding(2, Rule::IdentityDropped)]);
    until("two events", || lab.counted("webhook", "sent") == 2);
    let came = listener.came();
    let methods: Vec<&str> = came.iter().map(|came| came.method.as_str()).collect();
    assert_eq!(methods, ["OPTIONS", "OPTIONS", "OPTIONS", "POST", "POST", "POST"]);
    for came in &came {
        assert_eq!(came.header("webhook-request-origin"), "hopseal.example");
        assert_eq!(came.method == Method::POST, !came.body.is_empty());
    }
}

/// Panics so many times.
struct Panics(std::sync::atomic::AtomicU32);

impl Clock for Panics {
    fn now(&self) -> u64 {
        let left = self.0.load(std::sync::atomic::Ordering::SeqCst);
        self.0.store(left.saturating_sub(1), std::sync::atomic::Ordering::SeqCst);
        assert_eq!(left, 0, "a fault");
        EPOCH
    }
}

/// Scenario: to tell somebody of a finding panics, and again as it is tried anew.
/// Guarantees: it is counted, and told once it can be; another is told meanwhile.
#[test]
fn who_cannot_be_told_for_a_fault_is_told_after_it() {
    let (firing, events) = (Listener::new([]), Listener::new([]));
    let lab = Lab::new([
        receiver("on-call", &firing.url(), Kind::Alertmanager),
        receiver("hook", &events.url(), Kind::Webhook),
    ]);
    let clock: Arc<dyn Clock> = Arc::new(Panics(2.into()));
    let alerts = Alerts::patiently(&lab.settings(), &QUICK, &lab.store, &clock, &lab.metrics);
    lab.raise([finding(1, Rule::IdentityDropped)]);
    until("both are told", || !firing.came().is_empty() && !events.came().is_empty());
    assert_eq!((lab.counted("alertmanager", "failed"), lab.counted("webhook", "failed")), (2, 0));
    drop(alerts.expect("started"));
}

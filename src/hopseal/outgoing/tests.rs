use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::http::{Answer, Fetch, Fetching, HttpFault, Reach, Request};
use crate::{Acting, Clock, Kind, Observed, Observer, Principal, Secret, Token, UnixTime};

const NOW: u64 = 1_800_000_000;

/// A status and a body, or nothing.
type Says = Option<(u16, String)>;

/// A server that gives these answers, one after the other, and the last for ever.
#[derive(Debug, Clone)]
struct Server {
    says: Arc<Mutex<VecDeque<Says>>>,
    asked: Arc<Mutex<Vec<String>>>,
    seen: Arc<Mutex<Vec<String>>>,
    now: Arc<AtomicU64>,
}

impl Server {
    fn new() -> Self {
        let now = Arc::new(AtomicU64::new(NOW));
        Self { says: Arc::default(), asked: Arc::default(), seen: Arc::default(), now }
    }

    fn says(&self, status: u16, answer: &serde_json::Value) {
        self.says.lock().unwrap().push_back(Some((status, answer.to_string())));
    }

    fn issues(&self, token: &str) {
        self.says(200, &json!({"access_token": token, "token_type": "Bearer", "expires_in": 400}));
    }

    fn at(&self, seconds: u64) {
        self.now.store(NOW + seconds, Ordering::SeqCst);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    fn endpoint(&self) -> TokenEndpoint {
        let client = Client::with_secret("orders", Secret::new("hunter2"));
        TokenEndpoint::new("as", "https://as.example/token", Reach::Named, client, self.clone())
            .expect("an address")
            .clock(self.clone())
            .observer(self.clone())
    }
}

impl Clock for Server {
    fn now(&self) -> UnixTime {
        UnixTime(self.now.load(Ordering::SeqCst))
    }
}

impl Observer for Server {
    fn observe(&self, observed: &Observed<'_>) {
        let text = match observed {
            Observed::CredentialFetched { outcome, .. } => (*outcome).to_owned(),
            Observed::RefreshRefused { .. } => "refresh refused".to_owned(),
            other => panic!("{other:?}"),
        };
        self.seen.lock().unwrap().push(text);
    }
}

impl Fetch for Server {
    fn fetch(&self, request: Request) -> Fetching<'_> {
        let body = String::from_utf8_lossy(&request.body.as_ref().expect("a form").1).into_owned();
        self.asked.lock().unwrap().push(body);
        let answer = {
            let mut says = self.says.lock().unwrap();
            if says.len() > 1 { says.pop_front().flatten() } else { says.front().cloned().flatten() }
        };
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let (status, body) = answer.ok_or(HttpFault::Timeout)?;
            Ok(Answer { status, headers: Vec::new(), body: body.into_bytes().into() })
        })
    }
}

async fn token(credentials: &Credentials) -> Result<String, &'static str> {
    let issued = credentials.token().await;
    issued.map(|issued| issued.token.expose().to_owned()).map_err(|fault| fault.as_str())
}

/// Lets what goes on in the background come to its end.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_is_got_once_and_renewed_behind() {
    let server = Server::new();
    server.issues("a");
    let want = Want::default().scope("read write").resource("https://b.example");
    let credentials = Credentials::of_client(server.endpoint(), want);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let credentials = credentials.clone();
        tasks.spawn(async move { token(&credentials).await });
    }
    assert!(tasks.join_all().await.iter().all(|found| found.as_deref() == Ok("a")));
    let asked = server.asked();
    assert_eq!(asked, ["grant_type=client_credentials&scope=read%20write&resource=https%3A%2F%2Fb.example"]);
    // Three quarters of 400 s, or up to 40 s sooner.
    server.issues("b");
    server.says.lock().unwrap().pop_front();
    server.at(259);
    assert_eq!(token(&credentials).await.as_deref(), Ok("a"));
    settle().await;
    assert_eq!(server.asked().len(), 0);
    server.at(300);
    for _ in 0..10 {
        assert_eq!(token(&credentials).await.as_deref(), Ok("a"), "nobody waits");
    }
    settle().await;
    assert_eq!(server.asked().len(), 1);
    assert_eq!(token(&credentials).await.as_deref(), Ok("b"));
}

#[tokio::test(start_paused = true)]
async fn while_the_server_is_down_the_token_serves_to_its_end() {
    let server = Server::new();
    server.issues("a");
    server.says.lock().unwrap().push_back(None);
    let credentials = Credentials::of_client(server.endpoint(), Want::default());
    assert_eq!(token(&credentials).await.as_deref(), Ok("a"));
    for (at, found) in [(300, Ok("a")), (394, Ok("a")), (395, Err("timeout")), (396, Err("timeout"))] {
        server.at(at);
        assert_eq!(token(&credentials).await.as_deref().map_err(|fault| *fault), found, "{at}");
        settle().await;
    }
    server.asked();
    assert_eq!(token(&credentials).await, Err("timeout"));
    assert_eq!(server.asked().len(), 0, "not again at once");
}

#[tokio::test(start_paused = true)]
async fn refresh_tokens_are_used_once() {
    let server = Server::new();
    let with = |token: &str, refresh: &str| json!({"access_token": token, "token_type": "Bearer", "expires_in": 400, "refresh_token": refresh});
    server.says(200, &with("a", "r2"));
    server.says(200, &with("b", "r3"));
    server.says(400, &json!({"error": "invalid_grant"}));
    let kept: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let rotated = move |token: &Token| keep.lock().unwrap().push(token.expose().to_owned());
    let first = Token::new("r1");
    let credentials = Credentials::of_refresh_token(server.endpoint(), Want::default(), first, rotated);
    for (at, found) in
        [(0, Ok("a")), (400, Ok("b")), (800, Err("invalid_grant")), (900, Err("invalid_grant"))]
    {
        server.at(at);
        assert_eq!(token(&credentials).await.as_deref().map_err(|fault| *fault), found, "{at}");
    }
    let sent: Vec<String> = server
        .asked()
        .iter()
        .filter_map(|body| Some(body.split_once("refresh_token=")?.1.to_owned()))
        .collect();
    assert_eq!(sent, ["r1", "r2", "r3"], "each once; after the refusal nothing is sent any more");
    assert_eq!(*kept.lock().unwrap(), ["r2", "r3"]);
    assert_eq!(*server.seen.lock().unwrap(), ["ok", "ok", "invalid_grant", "refresh refused"]);
    assert!(!format!("{credentials:?}").contains("r3"));
}

#[tokio::test]
async fn exchanges_are_asked_for_and_their_answers_checked() {
    let (subject, actor) = (Token::new("s"), Token::new("a"));
    let exchange = Exchange::of(&subject, TokenType::AccessToken).acting(&actor, TokenType::Jwt);
    let of = |kind: &str, token_type: &str| json!({"access_token": "t", "token_type": token_type, "issued_token_type": kind});
    let access = TokenType::AccessToken.as_str();
    for (answer, outcome) in [
        (of(access, "Bearer"), "ok"),
        (of(TokenType::Jwt.as_str(), "Bearer"), "answer"),
        (of(access, "N_A"), "answer"),
        (json!({"access_token": "t", "token_type": "Bearer"}), "answer"),
    ] {
        let server = Server::new();
        server.says(200, &answer);
        let issued = server.endpoint().exchange(&exchange, &Want::default().audience("b")).await;
        assert_eq!(issued.map_or_else(|fault| fault.as_str(), |_| "ok"), outcome, "{answer}");
        let body = server.asked().concat();
        let urn = "urn%3Aietf%3Aparams%3Aoauth%3A";
        assert_eq!(
            body,
            format!(
                "grant_type={urn}grant-type%3Atoken-exchange&subject_token=s&subject_token_type={urn}token-type%3Aaccess_token\
                 &requested_token_type={urn}token-type%3Aaccess_token&actor_token=a&actor_token_type={urn}token-type%3Ajwt&audience=b"
            )
        );
    }
}

#[tokio::test]
async fn txn_tokens_are_asked_for_and_their_answers_checked() {
    let subject = Token::new("s");
    let request = TxnTokenRequest::new(&subject, TokenType::AccessToken, "prod.example", "trade")
        .context(json!({"ip": "192.0.2.1"}))
        .details(json!({"amount": 5}));
    let kind = TokenType::TxnToken.as_str();
    for (answer, outcome) in [
        (json!({"access_token": "t", "token_type": "N_A", "issued_token_type": kind}), "ok"),
        (json!({"access_token": "t", "token_type": "Bearer", "issued_token_type": kind}), "answer"),
        (
            json!({"access_token": "t", "token_type": "N_A", "issued_token_type": kind, "refresh_token": "r"}),
            "answer",
        ),
        (
            json!({"access_token": "t", "token_type": "N_A", "issued_token_type": TokenType::Jwt.as_str()}),
            "answer",
        ),
        (json!({"access_token": "t", "token_type": "N_A"}), "answer"),
    ] {
        let server = Server::new();
        server.says(200, &answer);
        let issued = server.endpoint().txn_token(&request).await;
        assert_eq!(issued.map_or_else(|fault| fault.as_str(), |_| "ok"), outcome, "{answer}");
        let body = server.asked().concat();
        for part in [
            "&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Atxn_token&",
            "&audience=prod.example&scope=trade&",
            "&request_context=%7B%22ip%22%3A%22192.0.2.1%22%7D&request_details=%7B%22amount%22%3A5%7D",
        ] {
            assert!(body.contains(part), "{body}");
        }
    }
}

#[test]
fn an_exchange_adds_one_actor_and_loses_none() {
    let acting = |ids: &[&str]| {
        let acting = |id: &&str| Acting { id: (*id).to_owned(), issuer: None, kind: None };
        ids.iter().map(acting).collect::<Vec<Acting>>()
    };
    let principal = |id: &str, actors: &[&str]| Principal {
        id: id.to_owned(),
        issuer: "https://as.example".to_owned(),
        kind: Kind::User,
        tenant: None,
        client: None,
        session: None,
        actors: acting(actors),
        scopes: Vec::new(),
        roles: Vec::new(),
        expiry: UnixTime(0),
    };
    let before = principal("ann", &["b", "a"]);
    for (after, kept) in [
        (principal("ann", &["c", "b", "a"]), true),
        (principal("ann", &[]), false),
        (principal("ann", &["b", "a"]), false),
        (principal("ann", &["c"]), false),
        (principal("ann", &["c", "a", "b"]), false),
        (principal("ann", &["d", "c", "b", "a"]), false),
        (principal("bob", &["c", "b", "a"]), false),
    ] {
        assert_eq!(keeps_actors(&before, &after), kept, "{after:?}");
    }
}

//! Tokens that are exchanged.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::http::{Answer, Fetch, Fetching, HttpFault, Reach};
use crate::outgoing::{Client, TokenEndpoint, Want};
use crate::{Clock, Secret, UnixTime};

/// Issues `t1`, `t2`, and so on, each for 400 seconds, unless it is down.
#[derive(Debug, Clone, Default)]
struct Server {
    asked: Arc<Mutex<Vec<String>>>,
    down: Arc<AtomicBool>,
    later: Arc<AtomicU64>,
}

impl Clock for Server {
    fn now(&self) -> UnixTime {
        NOW.plus(self.later.load(Ordering::SeqCst))
    }
}

impl Fetch for Server {
    fn fetch(&self, request: crate::http::Request) -> Fetching<'_> {
        let form = String::from_utf8_lossy(&request.body.as_ref().expect("a form").1).into_owned();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if self.down.load(Ordering::SeqCst) {
                return Err(HttpFault::Timeout);
            }
            let mut asked = self.asked.lock().expect("lock");
            asked.push(form);
            let body = json!({
                "access_token": format!("t{}", asked.len()),
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "token_type": "Bearer",
                "expires_in": 400,
            });
            Ok(Answer { status: 200, headers: Vec::new(), body: body.to_string().into_bytes().into() })
        })
    }
}

impl Server {
    fn exchanged(&self) -> Exchanged {
        let client = Client::with_secret("orders", Secret::new("hunter2"));
        let server = TokenEndpoint::new("as", "https://as.example/token", Reach::Named, client, self.clone())
            .expect("an address")
            .clock(self.clone());
        Exchanged::new(server, Want::default().resource("https://payments.example")).clock(self.clone())
    }
}

/// A client of `payments`, and what reached that.
fn client(server: &Server) -> (EgressService<Sink>, Sink) {
    let sink = Sink::default();
    let rules = EgressRules::new([Rule::to("https://payments.example").token(server.exchanged())]);
    let layer = EgressLayer::new(rules.expect("rules"), "orders").clock(Arc::new(NOW));
    (layer.layer(sink.clone()), sink)
}

async fn call(client: &EgressService<Sink>, identity: HopIdentity) -> Result<(), String> {
    let mut request = Request::new(());
    *request.uri_mut() = "https://payments.example/".parse().expect("an address");
    let mut client = client.clone();
    with_identity(identity, async { client.call(request).await.map(drop).map_err(|fault| fault.to_string()) })
        .await
}

fn sent(sink: &Sink) -> Vec<Option<String>> {
    let sent = std::mem::take(&mut *sink.0.lock().expect("lock"));
    let text = |headers: HeaderMap| Some(headers.get("authorization")?.to_str().expect("ASCII").to_owned());
    sent.into_iter().map(text).collect()
}

/// Many requests of one caller ask once, and again when it ends; the caller's own token never gets there.
#[tokio::test(start_paused = true)]
async fn the_callers_token_is_exchanged_once() {
    let server = Server::default();
    let (client, sink) = client(&server);
    let (a, b, c) = tokio::join!(call(&client, caller()), call(&client, caller()), call(&client, caller()));
    assert_eq!([a, b, c], [Ok(()), Ok(()), Ok(())]);
    assert_eq!(sent(&sink), vec![Some("Bearer t1".to_owned()); 3]);
    let asked = server.asked.lock().expect("lock").clone();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains(&format!("subject_token={TOKEN}")), "{asked:?}");
    for (later, token) in [(394, "Bearer t1"), (395, "Bearer t2")] {
        server.later.store(later, Ordering::SeqCst);
        assert_eq!(call(&client, caller()).await, Ok(()));
        assert_eq!(sent(&sink), [Some(token.to_owned())], "{later}");
    }
}

/// A server that is down stops the request: it does not go with less than the rule says, nor with the caller's token.
#[tokio::test(start_paused = true)]
async fn without_an_exchange_nothing_is_sent() {
    let server = Server::default();
    server.down.store(true, Ordering::SeqCst);
    let (client, sink) = client(&server);
    assert_eq!(call(&client, caller()).await, Err("no credential for the destination".to_owned()));
    assert_eq!(sent(&sink), []);
}

/// Who came by a seal has no token to exchange: the seal goes on alone.
#[tokio::test(start_paused = true)]
async fn who_came_sealed_goes_on_sealed() {
    let server = Server::default();
    let (client, sink) = client(&server);
    let identity = HopIdentity::verified(Arc::new(alice()), Arc::new(gateway()), None).expect("randomness");
    assert_eq!(call(&client, identity).await, Ok(()));
    assert_eq!(sent(&sink), [None]);
    assert_eq!(server.asked.lock().expect("lock").len(), 0);
}

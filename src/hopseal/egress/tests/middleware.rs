//! The same for `reqwest`, against a server that remembers what reaches it.

use ::axum::Router;
use ::axum::extract::State;
use ::axum::http::StatusCode;
use ::axum::response::Redirect;

use super::*;

/// A server on this machine, which answers `/to?there=..` with a redirect.
async fn server() -> (String, Sink) {
    let sink = Sink::default();
    let keep = async |State(sink): State<Sink>, headers: HeaderMap, uri: http::Uri| {
        sink.0.lock().expect("lock").push(headers);
        match uri.query().and_then(|query| query.strip_prefix("there=")) {
            Some(there) => Err(Redirect::temporary(there)),
            None => Ok(StatusCode::NO_CONTENT),
        }
    };
    let app = Router::new().fallback(keep).with_state(sink.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { ::axum::serve(listener, app).await });
    (address, sink)
}

/// What reached a server: whether somebody's identity, and the token.
fn reached(sink: &Sink) -> Vec<(bool, Option<String>)> {
    let headers = std::mem::take(&mut *sink.0.lock().expect("lock"));
    let text = |it: &HeaderMap, name| Some(it.get(name)?.to_str().expect("ASCII").to_owned());
    let one = |it: HeaderMap| {
        let sealed = text(&it, "baggage").is_some_and(|baggage| baggage.contains("hopseal.seal="));
        (sealed, text(&it, "authorization"))
    };
    headers.into_iter().map(one).collect()
}

#[tokio::test]
async fn requests_and_redirects_go_by_the_rules() {
    let ((ours, our_sink), (other, other_sink)) = (server().await, server().await);
    let provider = SdkTracerProvider::builder().build();
    let rules = EgressRules::new([Rule::to(&ours).forward_token()]).expect("rules");
    let client = EgressMiddleware::new(rules, "orders")
        .clock(Arc::new(NOW))
        .spans(BoxedTracer::new(Box::new(provider.tracer("test"))))
        .client(reqwest::Client::builder())
        .expect("a client");
    let with_token = || vec![(true, Some(format!("Bearer {TOKEN}")))];
    for (path, status, at_ours, at_other) in [
        (format!("{ours}/x"), 204, with_token(), vec![]),
        (format!("{other}/x"), 204, vec![], vec![(false, None)]),
        // Within one place a redirect is followed, to another it is not.
        (format!("{ours}/to?there={ours}/y"), 204, [with_token(), with_token()].concat(), vec![]),
        (format!("{ours}/to?there={other}/y"), 307, with_token(), vec![]),
    ] {
        let sent = with_identity(caller(), client.get(&path).send()).await.expect("an answer");
        assert_eq!(sent.status().as_u16(), status, "{path}");
        assert_eq!(reached(&our_sink), at_ours, "{path}");
        assert_eq!(reached(&other_sink), at_other, "{path}");
    }
}

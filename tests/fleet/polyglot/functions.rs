//! AWS Lambda, as a function sees it: the runtime API (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>), and in front of
//! it an HTTP API, which makes an event of each request (payload format 2.0).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

#[derive(Clone)]
struct Functions {
    events: mpsc::UnboundedSender<(String, Value)>,
    next: Arc<AsyncMutex<mpsc::UnboundedReceiver<(String, Value)>>>,
    asked: Arc<Mutex<HashMap<String, oneshot::Sender<Value>>>>,
}

/// Serves both.
pub(crate) fn start(listener: TcpListener) {
    let (events, next) = mpsc::unbounded_channel();
    let functions = Functions { events, next: Arc::new(AsyncMutex::new(next)), asked: Arc::default() };
    let app = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next_event))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
        .fallback(request)
        .with_state(functions);
    tokio::spawn(async move { axum::serve(listener, app).await });
}

async fn next_event(State(functions): State<Functions>) -> impl IntoResponse {
    let (id, event) = functions.next.lock().await.recv().await.unwrap();
    let deadline = (hopseal::Clock::now(&hopseal::SystemClock).0 + 30) * 1000;
    let headers = [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-north-1:0:function:receipts".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event.to_string())
}

async fn answered(State(functions): State<Functions>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    let asked = functions.asked.lock().unwrap().remove(&id).unwrap();
    asked.send(serde_json::from_slice(&body).unwrap()).unwrap();
    StatusCode::ACCEPTED
}

async fn request(State(functions): State<Functions>, request: Request) -> impl IntoResponse {
    let mut headers: HashMap<&str, String> = HashMap::new();
    for (name, value) in request.headers() {
        let value = value.to_str().unwrap();
        headers
            .entry(name.as_str())
            .and_modify(|all| *all += &format!(",{value}"))
            .or_insert(value.to_owned());
    }
    let id = format!("{:032x}", rand::random::<u128>());
    let (method, path) = (request.method().as_str(), request.uri().path());
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": headers,
        "isBase64Encoded": false, "requestContext": {
            "accountId": "0", "apiId": "shop", "domainName": "functions.internal", "domainPrefix": "functions",
            "requestId": id, "routeKey": "$default", "stage": "$default", "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 0,
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": ""}},
    });
    let (asked, answer) = oneshot::channel();
    functions.asked.lock().unwrap().insert(id.clone(), asked);
    functions.events.send((id, event)).unwrap();
    let answer = answer.await.unwrap();
    let status = u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap();
    (StatusCode::from_u16(status).unwrap(), answer["body"].as_str().unwrap().to_owned())
}

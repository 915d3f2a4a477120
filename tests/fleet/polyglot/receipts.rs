//! `receipts`: a function of AWS Lambda, for the fleet. What sets it up stands in its environment.

use std::sync::Arc;

use hopseal::seal::{MaySeal, SealChecker, SealRule};
use hopseal::tower::{IdentityLayer, NoCredentials};
use lambda_http::tower::Layer as _;
use lambda_http::{Body, Error, Request, Response, service_fn, tower::Service as _};

const WORKLOAD: &str = "spiffe://shop.example/receipts";

/// It is told who calls by the seals of `gateway`, whose keys are published, and by nothing else.
fn layer(published: &str) -> Result<IdentityLayer<NoCredentials>, Error> {
    let rule =
        SealRule::new("gateway", "spiffe://shop.example/gateway").may_seal(MaySeal::issuers(["staff"]));
    let checker = SealChecker::alone("shop.example", [rule], published.as_bytes())?;
    Ok(IdentityLayer::sealed(Arc::new(checker), WORKLOAD))
}

async fn receipt(_: Request) -> Result<Response<Body>, Error> {
    Ok(Response::new("a receipt".into()))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let spans = hopseal::otlp::Otlp::new("receipts", WORKLOAD).endpoint(&std::env::var("RECEIVER")?);
    let guard = Arc::new(spans.init()?);
    let layer = layer(&std::env::var("PUBLISHED")?)?.spans(opentelemetry::global::tracer("receipts"));
    let service = layer.layer(service_fn(receipt));
    lambda_http::run(service_fn(move |request| {
        let (call, guard) = (service.clone().call(request), Arc::clone(&guard));
        async move {
            let answer = call.await;
            // Once it has answered, nothing runs until it is called again.
            tokio::task::spawn_blocking(move || guard.flush()).await??;
            answer
        }
    }))
    .await
}

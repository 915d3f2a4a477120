//! A client that lets the identity go where a rule says so, and nowhere else: `cargo run -p hopseal --all-features --example client`.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

mod common;

use axum::Router;
use axum::http::HeaderMap;
use common::{Failure, ORDERS, registry, seals, token};
use hopseal::egress::{EgressMiddleware, EgressRules, Rule};
use hopseal::otel::{HopIdentity, with_identity};
use hopseal::{Credential, Token, Validated, Validator};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;

/// A server that answers with the names of what identity reached it.
async fn server() -> Result<String, Failure> {
    let answer = async |headers: HeaderMap| {
        let baggage = headers.get("baggage").and_then(|value| value.to_str().ok()).unwrap_or("nobody");
        baggage.split(',').filter_map(|member| member.split('=').next()).collect::<Vec<_>>().join(" ")
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    Ok(address)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (ours, other) = (server().await?, server().await?);
    let provider = SdkTracerProvider::builder().build();
    let tracer = opentelemetry::global::BoxedTracer::new(Box::new(provider.tracer("client")));
    let client = EgressMiddleware::new(EgressRules::new([Rule::to(&ours)])?, ORDERS)
        .spans(tracer)
        .client(reqwest::Client::builder())?;

    let validator = Validator::fixed(&registry()?)?;
    let Validated::Verified(verified) =
        validator.validate(&Token::new(token()?), Credential::AccessToken).await?
    else {
        return Err("refused".into());
    };
    let identity = HopIdentity::verified(verified, seals("orders")?.sealer, None).ok_or("no randomness")?;
    for there in [ours, other] {
        let answer = with_identity(identity.clone(), client.get(&there).send()).await?;
        println!("{there} was told of: {}", answer.text().await?);
    }
    Ok(())
}

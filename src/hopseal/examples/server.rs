//! A service of `axum` that knows its callers: `cargo run -p hopseal --all-features --example server`.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

mod common;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use common::{Failure, ORDERS, registry, seals, token};
use hopseal::Validator;
use hopseal::axum::{Verified, public_jwks, route};
use hopseal::otel::HopIdentity;
use hopseal::otlp::Otlp;
use hopseal::tower::{IdentityLayer, RequireScopes};

async fn orders(caller: Verified) -> String {
    format!("orders of {}\n", caller.principal().id)
}

async fn who(identity: HopIdentity) -> String {
    format!("{}\n", identity.assurance().as_str())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let seals = seals("orders")?;
    // Spans go to http://localhost:4318, where a collector listens, or does not.
    let _guard = Otlp::new("orders", ORDERS).sealing(&seals.sealer).init()?;
    let jwks = public_jwks([seals.sealer.keys()]);
    let validator = Arc::new(Validator::fixed(&registry()?)?);
    let layer = IdentityLayer::new(validator, seals.sealer, seals.checker, ORDERS)
        .spans(opentelemetry::global::tracer("orders"))
        .routes(route);
    let app = Router::new()
        .route("/orders", get(orders))
        .route("/who", get(who))
        .route("/admin", get(async || "never\n").layer(RequireScopes::new(["orders:admin"])))
        .layer(layer)
        .route("/.well-known/hopseal/jwks.json", jwks);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("curl -i http://127.0.0.1:8080/orders");
    println!(
        "curl -i http://127.0.0.1:8080/who -H 'baggage: hopseal.sub=p1.x,hopseal.kind=user,hopseal.iss=staff'"
    );
    println!("curl -i http://127.0.0.1:8080/orders -H 'authorization: Bearer {}'", token()?);
    axum::serve(listener, app).with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) }).await?;
    Ok(())
}

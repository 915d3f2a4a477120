//! An identity through a queue, into another trace: `cargo run -p hopseal --all-features --example queue`.
#![expect(clippy::print_stdout, reason = "an example tells what it does")]

mod common;

use common::{Failure, ORDERS, SHIPPING, registry, seals, token};
use hopseal::messaging::{Consumer, Pairs, Producer};
use hopseal::otel::{HopIdentity, with_identity};
use hopseal::{Credential, Token, Validated, Validator};
use hopseal_identity::attribute::{RESEALED, TXN};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let provider = SdkTracerProvider::builder().build();
    let tracer = |name: &'static str| BoxedTracer::new(Box::new(provider.tracer(name)));
    let validator = Validator::fixed(&registry()?)?;
    let Validated::Verified(verified) =
        validator.validate(&Token::new(token()?), Credential::AccessToken).await?
    else {
        return Err("refused".into());
    };
    let identity = HopIdentity::verified(verified, seals("orders")?.sealer, None).ok_or("no randomness")?;

    let producer = Producer::new(ORDERS, tracer("orders")).allow(["shipments"]);
    let mut headers = Vec::new();
    with_identity(identity, async { producer.inject("shipments", &mut Pairs(&mut headers)) }).await;

    let seals = seals("shipping")?;
    let consumer = Consumer::new(seals.checker, SHIPPING, tracer("shipping")).resealing(seals.sealer);
    let message = consumer.receive("shipments", &Pairs(&mut headers));
    let told = consumer.process(message, async {
        let identity = HopIdentity::current()?;
        let carried = identity.carried()?;
        let of = |name| carried.get(name).unwrap_or("none").to_owned();
        Some((identity.assurance().as_str(), of(TXN), of(RESEALED)))
    });
    let (assurance, txn, resealed) = told.await.ok_or("nobody")?;
    println!("{assurance}, transaction {txn}, re-sealed {resealed}");
    Ok(())
}

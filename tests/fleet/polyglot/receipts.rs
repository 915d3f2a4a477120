//! `receipts`: a function of AWS Lambda, for the fleet. What sets it up stands in its environment.

use std::sync::Arc;

use hopseal::http::{Http, HttpSettings};
use hopseal::keys::KeyStore;
use hopseal::seal::{MaySeal, SealRule, SealingKeys, Seals};
use hopseal::tower::IdentityLayer;
use hopseal::{Algorithm, IssuerBuilder, IssuerKind, Registry, Validator};
use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};
use hopseal_identity::seal::SealingKey;
use lambda_http::tower::Layer as _;
use lambda_http::{Body, Error, Request, Response, service_fn, tower::Service as _};

const WORKLOAD: &str = "spiffe://shop.example/receipts";

/// It takes tokens too; but it is told who calls by the seals of `gateway`, whose keys are published.
fn layer(issuer: &str, published: &str) -> Result<IdentityLayer<Arc<Validator<KeyStore>>>, Error> {
    let staff = IssuerBuilder::new(IssuerKind::Oidc, "staff", issuer)
        .loopback_http()
        .audiences(["urn:test:es256"])
        .algorithms([Algorithm::Es256]);
    let seals = IssuerBuilder::new(IssuerKind::Seal, "seals", "shop.example").jwks(r#"{"keys":[]}"#);
    let registry = Registry::new([staff, seals])?;
    let rule =
        SealRule::new("gateway", "spiffe://shop.example/gateway").may_seal(MaySeal::issuers(["staff"]));
    let pkcs8 = aws_lc_rs::signature::Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new())?;
    let keys = SealingKeys::single(SealingKey::from_pkcs8_der("nobody", pkcs8.as_ref())?);
    let pseudonyms = Pseudonyms::new(PseudonymKey::new("p1", &[7; 32])?, [])?;
    let seals = Seals::new(&registry, "seals", [rule], keys, published.as_bytes(), pseudonyms)?;
    let keys = KeyStore::builder(&registry, Http::new(&HttpSettings::default())?).build()?;
    let validator = Arc::new(Validator::new(registry, keys));
    Ok(IdentityLayer::new(validator, seals.sealer, seals.checker, WORKLOAD))
}

async fn receipt(_: Request) -> Result<Response<Body>, Error> {
    Ok(Response::new("a receipt".into()))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let spans = hopseal::otlp::Otlp::new("receipts", WORKLOAD).endpoint(&std::env::var("RECEIVER")?);
    let guard = Arc::new(spans.init()?);
    let layer = layer(&std::env::var("ISSUER")?, &std::env::var("PUBLISHED")?)?
        .spans(opentelemetry::global::tracer("receipts"));
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

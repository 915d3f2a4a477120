//! What it costs to validate one token, in microseconds: the best of many batches, as what disturbs only ever adds.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hopseal::{CacheConfig, Credential, Registry, Token, Validated, Validator, keys::FixedKeys};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use huskarl_resource_server::core::Error;
use huskarl_resource_server::core::http::{HttpClient, HttpResponse, Idempotency};
use huskarl_resource_server::core::platform::MaybeSendBoxFuture;
use huskarl_resource_server::validator::rfc9068::Rfc9068Validator;
use jwt_authorizer::{AuthorizerBuilder, Validation as Rules};
use serde::Deserialize;
use tower::{Layer as _, ServiceExt as _};
use tower_oauth2_resource_server::claims::DefaultClaims;
use tower_oauth2_resource_server::server::OAuth2ResourceServer;
use tower_oauth2_resource_server::tenant::TenantConfiguration;

use crate::tokens::{ALGORITHMS, AUDIENCE, ISSUER, Signed};

/// Over the arithmetic alone, for a token that was not seen before.
const LIMIT_ANEW: f64 = 8.0;
/// For one that was.
const LIMIT_REMEMBERED: f64 = 1.5;

#[derive(Deserialize)]
struct Claims {
    #[expect(dead_code, reason = "read, as a service would")]
    sub: String,
}

/// The best of forty batches, of a millisecond each or more.
async fn best(mut once: impl AsyncFnMut() -> bool) -> f64 {
    assert!(once().await, "refused");
    let mut times = 16;
    let mut best = f64::INFINITY;
    let mut batches = 0;
    while batches < 40 {
        let start = Instant::now();
        for _ in 0..times {
            assert!(once().await);
        }
        let took = start.elapsed();
        if took < Duration::from_millis(1) {
            times *= 2;
            continue;
        }
        batches += 1;
        best = best.min(took.as_secs_f64() * 1e6 / f64::from(times));
    }
    best
}

fn validator(signed: &Signed) -> Validator<FixedKeys> {
    let yaml = format!(
        "issuers: [{{name: a, kind: static, issuer: '{ISSUER}', audiences: [{AUDIENCE}], algorithms: [{}], jwks: '{}'}}]",
        signed.algorithm, signed.jwks
    );
    Validator::fixed(&Registry::from_yaml(&yaml).unwrap()).unwrap()
}

async fn ours(validator: &Validator<FixedKeys>, token: &str) -> f64 {
    best(async || {
        let token = Token::new(token);
        matches!(validator.validate(&token, Credential::AccessToken).await, Ok(Validated::Verified(_)))
    })
    .await
}

/// As its documentation has it: the key of the set by `kid`, then `decode`.
async fn jsonwebtoken(signed: &Signed) -> f64 {
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
    let set: JwkSet = serde_json::from_str(&signed.jwks).unwrap();
    best(async || {
        let header = decode_header(&signed.token).unwrap();
        let key = DecodingKey::from_jwk(set.find(header.kid.as_deref().unwrap()).unwrap()).unwrap();
        let mut validation = Validation::new(signed.algorithm.parse().unwrap());
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        decode::<Claims>(&signed.token, &key, &validation).is_ok()
    })
    .await
}

async fn jwt_authorizer(signed: &Signed) -> f64 {
    let rules = Rules::new().iss(&[ISSUER]).aud(&[AUDIENCE]);
    let authorizer: jwt_authorizer::Authorizer =
        AuthorizerBuilder::from_jwks_text(&signed.jwks).validation(rules).build().await.unwrap();
    best(async || authorizer.check_auth(&signed.token).await.is_ok()).await
}

async fn tower_oauth2(signed: &Signed) -> f64 {
    let tenant = TenantConfiguration::static_builder(signed.jwks.clone())
        .audiences(&[AUDIENCE])
        .allowed_algorithms(&[signed.algorithm.parse().unwrap()])
        .build()
        .unwrap();
    let server = OAuth2ResourceServer::<DefaultClaims>::builder().add_tenant(tenant).build().await.unwrap();
    let answer = tower::service_fn(async |_: Request<String>| {
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    });
    let service = server.into_layer().layer(answer);
    best(async || {
        let request = Request::get("/").header("authorization", format!("Bearer {}", signed.token));
        let answer = service.clone().oneshot(request.body(String::new()).unwrap()).await.unwrap();
        answer.status() == StatusCode::OK
    })
    .await
}

/// Answers every request with one JWK set.
#[derive(Debug, Clone)]
pub struct Fixed(pub String);

impl HttpClient for Fixed {
    fn execute(
        &self,
        _: http::Request<Bytes>,
        _: Idempotency,
    ) -> MaybeSendBoxFuture<'_, Result<HttpResponse, Error>> {
        let body = Bytes::from(self.0.clone());
        let mut headers = HeaderMap::new();
        headers.insert("content-type", http::HeaderValue::from_static("application/jwk-set+json"));
        Box::pin(async move { Ok(HttpResponse { status: StatusCode::OK, headers, body }) })
    }
}

async fn huskarl(signed: &Signed) -> f64 {
    let validator = Rfc9068Validator::builder()
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .jwks_uri("https://id.example/jwks".parse().unwrap())
        .jwks_source(Fixed(signed.jwks.clone()))
        .build()
        .await
        .unwrap();
    let uri: Uri = "https://orders.example/list".parse().unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {}", signed.token).parse().unwrap());
    best(async || {
        matches!(validator.validate_request(&headers, &Method::GET, &uri, None).await.outcome, Ok(Some(_)))
    })
    .await
}

/// Prints the table; which limits are missed.
pub async fn table() -> BTreeSet<String> {
    let mut missed = BTreeSet::new();
    println!(
        "{:<34} {:>9} {:>9} {:>9}   microseconds a token",
        "", ALGORITHMS[0], ALGORITHMS[1], ALGORITHMS[2]
    );
    let signed = ALGORITHMS.map(Signed::new);
    let mut rows: Vec<(&str, [f64; 3])> = Vec::new();
    for name in [
        "aws-lc-rs, the arithmetic alone",
        "hopseal, not seen before",
        "hopseal, remembered",
        "jsonwebtoken 11.1, as documented",
        "jwt-authorizer 0.15.0",
        "tower-oauth2-resource-server 0.12.5",
        "huskarl-resource-server 0.11.12",
    ] {
        let mut row = [0.0; 3];
        for (cell, signed) in row.iter_mut().zip(&signed) {
            *cell = match name.split([',', ' ']).next().unwrap() {
                "aws-lc-rs" => best(async || signed.bare()).await,
                "hopseal" if name.ends_with("remembered") => {
                    ours(&validator(signed).cache(CacheConfig::default()), &signed.token).await
                }
                "hopseal" => ours(&validator(signed), &signed.token).await,
                "jsonwebtoken" => jsonwebtoken(signed).await,
                "jwt-authorizer" => jwt_authorizer(signed).await,
                "tower-oauth2-resource-server" => tower_oauth2(signed).await,
                _ => huskarl(signed).await,
            };
        }
        println!("{name:<34} {:>9.2} {:>9.2} {:>9.2}", row[0], row[1], row[2]);
        rows.push((name, row));
    }
    for (place, algorithm) in ALGORITHMS.iter().enumerate() {
        let over = rows[1].1[place] - rows[0].1[place];
        if over > LIMIT_ANEW {
            missed.insert(format!("{algorithm}: {over:.1} over the arithmetic, limit {LIMIT_ANEW}"));
        }
        let remembered = rows[2].1[place];
        if remembered > LIMIT_REMEMBERED {
            missed.insert(format!("{algorithm}: {remembered:.2} remembered, limit {LIMIT_REMEMBERED}"));
        }
    }
    missed
}

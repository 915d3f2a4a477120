//! One service of `axum` in each of several manners, as a process of its own, whose processor time is thereby its own too.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use axum_tracing_opentelemetry::middleware::OtelAxumLayer;
use hopseal::axum::{Verified, route};
use hopseal::otel::{DEFAULT_ATTRIBUTES, SealingExporter};
use hopseal::seal::{MaySeal, SealRule, SealingKeys, Seals, public_jwks};
use hopseal::tower::IdentityLayer;
use hopseal::{CacheConfig, Registry, Validator};
use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};
use jsonwebtoken_9::TokenData;
use jwt_authorizer::{AuthError, AuthorizerBuilder, IntoLayer as _, Validation as Rules};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use tower::ServiceBuilder;
use tower::util::MapResponseLayer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::tokens::{AUDIENCE, ISSUER, SUBJECT, Signed};

/// What stands around the handler: of `hopseal` a layer that validates a token which it has seen before, and makes a span with the
/// identity on it, which is sealed as it is exported; or less than that. Of others as much as they have: a span without an identity, and
/// the validation of the token, each time.
pub const MANNERS: [&str; 7] = [
    "axum alone",
    "hopseal",
    "hopseal, no seals",
    "hopseal, no seals, not sampled",
    "hopseal, no seals, nothing remembered",
    "axum-tracing-opentelemetry 0.42.1",
    "the same, and jwt-authorizer 0.15.0",
];

/// How an answer about what was used ends.
pub const USED: &str = " used";

/// Drops spans, and counts them.
#[derive(Debug, Clone, Default)]
struct Nowhere(Arc<AtomicU64>);

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Exports in batches on a thread of its own, and loses none: what is not exported is not paid for.
fn provider(exporter: impl SpanExporter + 'static, sampler: Sampler) -> SdkTracerProvider {
    let config = BatchConfigBuilder::default().with_max_queue_size(1 << 20).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(processor).build()
}

/// `jwt-authorizer` answers with responses of axum 0.7 where it turns somebody away, which it has no cause to here.
struct Answer(Response);

impl From<AuthError> for Answer {
    fn from(_: AuthError) -> Self {
        Self(StatusCode::UNAUTHORIZED.into_response())
    }
}

#[derive(Debug, Clone, Deserialize)]
struct Claims {
    sub: String,
}

fn of(subject: &str) -> String {
    format!("orders of {subject}")
}

fn hopseal(app: Router, manner: &str, signed: &Signed, spans: &Nowhere) -> (Router, SdkTracerProvider) {
    let yaml = format!(
        "
issuers:
  - {{name: a, kind: static, issuer: '{ISSUER}', audiences: [{AUDIENCE}], algorithms: [{}], jwks: '{}'}}
  - {{name: seals, kind: seal, issuer: example.org, jwks: '{{\"keys\":[]}}'}}",
        signed.algorithm, signed.jwks
    );
    let registry = Registry::from_yaml(&yaml).unwrap();
    let keys = SealingKeys::generate("orders.1").unwrap();
    let published = public_jwks([&keys]);
    let rules = [SealRule::new("orders", "orders").may_seal(MaySeal::issuers(["a"]))];
    let key = digest(&SHA256, b"a pseudonym key");
    let pseudonyms = Pseudonyms::new(PseudonymKey::new("p1", key.as_ref()).unwrap(), []).unwrap();
    let seals = Seals::new(&registry, "seals", rules, keys, &published, pseudonyms).unwrap();
    let sampler = if manner.ends_with("not sampled") { Sampler::AlwaysOff } else { Sampler::AlwaysOn };
    let provider = provider(SealingExporter::new(spans.clone(), &seals.sealer), sampler);
    let validator = Validator::fixed(&registry).unwrap();
    let validator = match manner.ends_with("nothing remembered") {
        true => validator,
        false => validator.cache(CacheConfig::default()),
    };
    let layer = IdentityLayer::new(Arc::new(validator), seals.sealer, seals.checker, "orders")
        .spans(BoxedTracer::new(Box::new(provider.tracer("orders"))))
        .routes(route)
        .require();
    let layer = match manner {
        "hopseal" => layer,
        _ => layer.attributes(DEFAULT_ATTRIBUTES.iter().filter(|name| !sealed(name)).copied()),
    };
    let app = app.route("/orders", get(async |caller: Verified| of(&caller.principal().id)));
    (app.layer(layer), provider)
}

/// Whether an attribute is there only for the seal.
fn sealed(name: &str) -> bool {
    use hopseal_identity::attribute::{EXP, IAT, SEAL};
    [EXP, IAT, SEAL].contains(&name)
}

async fn others(app: Router, manner: &str, signed: &Signed, spans: &Nowhere) -> (Router, SdkTracerProvider) {
    let provider = provider(spans.clone(), Sampler::AlwaysOn);
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    // As its documentation has it: its spans, and of all else what is not for debugging.
    let targets =
        Targets::new().with_target("otel::tracing", LevelFilter::TRACE).with_default(LevelFilter::INFO);
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("orders")).with_filter(targets);
    tracing_subscriber::registry().with(spans).init();
    let app = match manner.contains("jwt-authorizer") {
        false => app.route("/orders", get(async || of(SUBJECT))).layer(OtelAxumLayer::default()),
        true => {
            let rules = Rules::new().iss(&[ISSUER]).aud(&[AUDIENCE]);
            let authorizer: jwt_authorizer::Authorizer<Claims> =
                AuthorizerBuilder::from_jwks_text(&signed.jwks).validation(rules).build().await.unwrap();
            let orders = async |token: Extension<TokenData<Claims>>| of(&token.claims.sub);
            let layers = ServiceBuilder::new()
                .layer(OtelAxumLayer::default())
                .layer(MapResponseLayer::new(|Answer(response)| response))
                .layer(authorizer.into_layer())
                .layer(MapResponseLayer::new(Answer));
            app.route("/orders", get(orders)).layer(layers)
        }
    };
    (app, provider)
}

/// Microseconds of processor time that this process has used, and spans that it has exported.
fn used(provider: Option<&SdkTracerProvider>, spans: &Nowhere) -> String {
    if let Some(provider) = provider {
        provider.force_flush().unwrap();
    }
    let time = clock_gettime(ClockId::ProcessCPUTime);
    format!("{} {}{USED}", time.tv_sec * 1_000_000 + time.tv_nsec / 1000, spans.0.load(Ordering::Relaxed))
}

/// Serves `/orders` in one of the [`MANNERS`], and `/used` around it, until standard input ends. Says its address and a token.
pub async fn serve(manner: &str, algorithm: &'static str) {
    let signed = Signed::new(algorithm);
    let spans = Nowhere::default();
    let app = Router::new();
    let (app, provider) = match manner.split(',').next().unwrap() {
        "axum alone" => (app.route("/orders", get(async || of(SUBJECT))), None),
        "hopseal" => {
            let (app, provider) = hopseal(app, manner, &signed, &spans);
            (app, Some(provider))
        }
        _ => {
            let (app, provider) = others(app, manner, &signed, &spans).await;
            (app, Some(provider))
        }
    };
    let asked = async move || {
        let (provider, spans) = (provider.clone(), spans.clone());
        tokio::task::spawn_blocking(move || used(provider.as_ref(), &spans)).await.unwrap()
    };
    let app = app.route("/used", get(asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{} {}", listener.local_addr().unwrap(), signed.token);
    std::io::stdout().flush().unwrap();
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    axum::serve(listener, app).with_graceful_shutdown(async { drop(ended.await) }).await.unwrap();
}

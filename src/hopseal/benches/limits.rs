//! What must not become slow, against the one thing that cannot be made faster: verifying one Ed25519 signature. All figures are of the
//! same run, so they hold on any machine: `cargo bench -p hopseal --all-features --bench limits`. It ends with status 1 when a limit is
//! passed.
#![expect(clippy::print_stdout, reason = "it tells what it measures")]

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hopseal::seal::{MaySeal, SealRule, SealingKeys, Seals, Txn, public_jwks};
use hopseal::tower::IdentityLayer;
use hopseal::{CacheConfig, Credential, Registry, Token, UnixTime, Validated, Validator};
use hopseal_identity::baggage::Carried;
use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};
use hopseal_identity::seal::Binding;
use http::{Request, Response};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tower_layer::Layer as _;
use tower_service::Service;

type Failure = Box<dyn std::error::Error>;

const NOW: UnixTime = UnixTime(1_800_000_000);
/// RFC 8037 appendix A.1.
const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// More than are remembered.
const MANY: u64 = 8192;

/// Seconds of one run of `work`: of many rounds the fastest, for all else is the machine's other affairs.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn seconds(rounds: u32, mut work: impl FnMut(u32)) -> f64 {
    let mut best = Duration::MAX;
    for round in 0..30 {
        let began = Instant::now();
        for turn in 0..rounds {
            work(round * rounds + turn);
        }
        best = best.min(began.elapsed());
    }
    best.as_secs_f64() / f64::from(rounds)
}

fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    match std::pin::pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn token() -> Result<String, Failure> {
    let claims = format!(
        r#"{{"iss":"https://id.example","aud":"orders","sub":"alice","client_id":"web","jti":"j1","iat":{NOW},"exp":{}}}"#,
        NOW.0 + 600
    );
    let body =
        format!("{}.{}", BASE64URL.encode(r#"{"alg":"EdDSA","typ":"at+jwt"}"#), BASE64URL.encode(claims));
    let key = Ed25519KeyPair::from_seed_unchecked(&BASE64URL.decode(SEED)?)?;
    Ok(format!("{body}.{}", BASE64URL.encode(key.sign(body.as_bytes()))))
}

fn registry() -> Result<Registry, Failure> {
    Ok(Registry::from_yaml(&format!(
        r#"
issuers:
  - name: staff
    kind: static
    issuer: https://id.example
    jwks: '{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{PUBLIC}"}}]}}'
    audiences: [orders]
    algorithms: [EdDSA]
  - {{name: seals, kind: seal, issuer: example.org, jwks: '{{"keys":[]}}'}}
"#
    ))?)
}

fn seals() -> Result<Seals, Failure> {
    let jwk = format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"orders.1","d":"{SEED}","x":"{PUBLIC}"}}]}}"#
    );
    let keys = SealingKeys::from_jwks(jwk.as_bytes())?;
    let published = public_jwks([&keys]);
    let rules = [SealRule::new("orders", "orders").may_seal(MaySeal::issuers(["staff"]))];
    let pseudonyms = Pseudonyms::new(PseudonymKey::new("p1", &[7; 32])?, [])?;
    Ok(Seals::new(&registry()?, "seals", rules, keys, &published, pseudonyms)?)
}

/// Answers at once.
#[derive(Clone)]
struct Nothing;

impl Service<Request<()>> for Nothing {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        std::future::ready(Ok(Response::new(())))
    }
}

/// A request through the layer, with its entry span.
fn layer(sampler: Sampler, authorization: Option<&str>) -> Result<f64, Failure> {
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    let tracer = BoxedTracer::new(Box::new(provider.tracer("bench")));
    let validator = Validator::fixed(registry()?)?.clock(NOW).cache(CacheConfig::default());
    let seals = seals()?;
    let layer = IdentityLayer::new(Arc::new(validator), seals.sealer, seals.checker, "orders")
        .clock(Arc::new(NOW))
        .spans(tracer);
    let mut service = layer.layer(Nothing);
    Ok(seconds(2000, |_| {
        let mut request = Request::new(());
        if let Some(value) = authorization.and_then(|value| value.parse().ok()) {
            request.headers_mut().insert("authorization", value);
        }
        black_box(ready(service.call(request)).is_some_and(|response| response.is_ok()));
    }))
}

fn main() -> Result<ExitCode, Failure> {
    let seals = seals()?;
    let validator = Validator::fixed(registry()?)?.clock(NOW);
    let answer =
        ready(validator.validate(&Token::new(token()?), Credential::AccessToken)).ok_or("waits")??;
    let Validated::Verified(verified) = answer else { return Err("refused".into()) };
    let txn = Txn::new("t-1").ok_or("no transaction")?;
    let trace = |turn: u64| {
        let mut trace = [0x4b; 16];
        trace.iter_mut().zip(turn.to_be_bytes()).for_each(|(to, from)| *to = from);
        trace
    };
    let traces: Vec<[u8; 16]> = (0..MANY).map(trace).collect();
    let sealed: Vec<Carried> = traces
        .iter()
        .map(|trace| seals.sealer.seal(&verified, &txn, *trace, NOW))
        .collect::<Result<_, _>>()?;
    let at = |turn: u32| usize::try_from(u64::from(turn) % MANY).unwrap_or(0);

    // As many bytes as a seal signs.
    let first = sealed.first().ok_or("none")?;
    let binding = Binding::new("example.org", trace(0)).ok_or("no binding")?;
    let signed = vec![b'x'; 120 + hopseal_identity::seal::payload(&binding, &first.members()).len() * 4 / 3];
    let pair = Ed25519KeyPair::from_seed_unchecked(&BASE64URL.decode(SEED)?)?;
    let signature = pair.sign(&signed);
    let public = ParsedPublicKey::new(&ED25519, pair.public_key().as_ref())?;
    let bare = seconds(200, |_| {
        black_box(public.verify_sig(black_box(&signed), signature.as_ref()).is_ok());
    });

    let new = seconds(200, |turn| {
        let place = at(turn);
        if let (Some(carried), Some(trace)) = (sealed.get(place), traces.get(place)) {
            black_box(seals.checker.check(carried, *trace, NOW).is_ok());
        }
    });
    let again = seconds(2000, |_| {
        black_box(seals.checker.check(black_box(first), trace(0), NOW).is_ok());
    });
    let bearer = format!("Bearer {}", token()?);
    let mut passed = false;
    println!("one Ed25519 signature: {:.2} us", bare * 1e6);
    for (what, took, limit) in [
        ("a seal that is new", new, 1.2),
        ("a seal that was seen in this trace", again, 0.04),
        // It makes a seal, for the span: whoever reads that can check it again.
        ("the layer, a token in its cache, sampled", layer(Sampler::AlwaysOn, Some(&bearer))?, 0.75),
        ("the layer, a token in its cache, not sampled", layer(Sampler::AlwaysOff, Some(&bearer))?, 0.2),
        ("the layer, nobody, not sampled", layer(Sampler::AlwaysOff, None)?, 0.05),
    ] {
        let ratio = took / bare;
        passed |= ratio > limit;
        println!("{what}: {:.2} us, {ratio:.3} of it, at most {limit}", took * 1e6);
    }
    Ok(if passed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

//! What must not become slow, against the one thing that cannot be made faster: verifying one Ed25519 signature. Each is measured in
//! turn with that, over and over, by the processor time of this thread, so that the figures hold on any machine, and on one that has
//! more to do: `cargo bench -p hopseal --all-features --bench limits`. It ends with status 1 when a limit is passed.
//!
//! What is measured, each time on one thread, with a clock that stands still:
//!
//! - a seal: checking its signature, trace, time and rules, of 8192 in turn, which is more than are remembered; and one again and again;
//! - a token in the cache: the whole of [`Validator::validate`];
//! - the layer: a request through it to a service that answers at once, from the call to the answer, with an entry span that the
//!   layer makes. Of a sampled one the span ends and goes to an exporter that drops it; its seal is made there, as in a service that
//!   exports with a `SealingExporter`, which is on another thread and here is not counted: spans are kept until there are as many as
//!   the SDK exports at once;
//! - injection: writing an identity that is sealed already into a header.
//!
//! `limits layer` and `limits recorded` (sampled) do only that, for `valgrind --tool=callgrind`, whose counts no other program disturbs.
//!
//! Allocations are counted beside, of one turn that is not the first. Of an anonymous request that is not sampled, in no trace and
//! without a tracer, there must be none; with a tracer the SDK makes some for the span that it does not record.
//!
#![expect(clippy::print_stdout, reason = "it tells what it measures")]

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use hopseal::otel::{Egress, HopIdentity, Propagator, SealingExporter};
use hopseal::seal::{MaySeal, SealRule, SealingKeys, Seals, Txn, public_jwks};
use hopseal::tower::IdentityLayer;
use hopseal::{CacheConfig, Credential, Registry, Token, UnixTime, Validated, Validator};
use hopseal_identity::baggage::Carried;
use hopseal_identity::pseudonym::{PseudonymKey, Pseudonyms};
use hopseal_identity::seal::Binding;
use http::{HeaderValue, Request, Response};
use opentelemetry::Context;
use opentelemetry::global::BoxedTracer;
use opentelemetry::propagation::{Injector, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Span, SpanData, SpanExporter, SpanProcessor};
use rustix::time::{ClockId, clock_gettime};
use tower_layer::Layer as _;
use tower_service::Service;

type Failure = Box<dyn std::error::Error>;

const NOW: UnixTime = UnixTime(1_800_000_000);
/// RFC 8037 appendix A.1.
const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// Microseconds of one verification on the machine that the promises were made for, as it is measured here: what they say in
/// microseconds is held to as a part of that.
const VERIFY: f64 = 35.0;
/// Whether time is looked at: a profiler counts by itself, and Valgrind does not know the clock of a thread.
static TIMED: AtomicBool = AtomicBool::new(true);
/// More than are remembered.
const MANY: u64 = 8192;
/// How often a signature is verified in a round.
const VERIFIED: u32 = 4;
/// As many bytes as the seals of this bench sign; which is looked at.
const SIGNED: usize = 381;
/// As many spans as the SDK exports at once.
const BATCH: u32 = 512;

/// What one run of something took.
struct Cost {
    /// At best.
    seconds: f64,
    /// Of what verifying a signature took in turn with it, as a rule.
    ratio: f64,
    allocations: u64,
}

/// Processor time that this thread has used: what others do meanwhile is not counted.
fn used() -> Duration {
    if !TIMED.load(Ordering::Relaxed) {
        return Duration::ZERO;
    }
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// Runs `work` in rounds, each in turn with the verifying of signatures, and `between` after each, uncounted. A machine is faster at one
/// time than at another: of the ratios the median counts.
fn cost(
    rounds: u32,
    turns: u32,
    mut work: impl FnMut(u32),
    mut between: impl FnMut(),
) -> Result<Cost, Failure> {
    let verify = bare()?;
    let mut best = f64::INFINITY;
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let began = used();
        for turn in 0..turns {
            work(round * turns + turn);
        }
        let ended = used();
        between();
        let verifying = used();
        (0..VERIFIED).for_each(|_| verify());
        let [took, verified] = [(ended - began, turns), (used() - verifying, VERIFIED)]
            .map(|(took, turns)| took.as_secs_f64() / f64::from(turns));
        best = best.min(took);
        ratios.push(took / verified);
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios.get(ratios.len() / 2).copied().ok_or("no rounds")?;
    let allocations = measure(|| work(rounds * turns)).count_total;
    between();
    Ok(Cost { seconds: best, ratio, allocations })
}

/// Verifies as many bytes as a seal signs.
fn bare() -> Result<impl Fn(), Failure> {
    let signed = vec![b'x'; SIGNED];
    let pair = Ed25519KeyPair::from_seed_unchecked(&BASE64URL.decode(SEED)?)?;
    let signature = pair.sign(&signed);
    let public = ParsedPublicKey::new(&ED25519, pair.public_key().as_ref())?;
    Ok(move || {
        black_box(public.verify_sig(black_box(&signed), signature.as_ref()).is_ok());
    })
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

/// Keeps spans that ended until they are exported, as a batch processor does.
#[derive(Debug, Clone)]
struct Batch(Arc<(Mutex<Vec<SpanData>>, SealingExporter<Nowhere>)>);

impl Batch {
    fn export(&self) {
        let spans = self.0.0.lock().map(|mut spans| std::mem::take(&mut *spans)).unwrap_or_default();
        ready(self.0.1.export(spans));
    }
}

impl SpanProcessor for Batch {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if let Ok(mut spans) = self.0.0.lock()
            && span.span_context.is_sampled()
        {
            spans.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Drops what it is given, if it has the evidence.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sealed = |span: &SpanData| span.attributes.iter().any(|it| it.key.as_str() == "hopseal.seal");
        assert!(batch.iter().all(sealed), "every span has its seal");
        Ok(())
    }
}

impl Injector for Nowhere {
    fn set(&mut self, _: &str, value: String) {
        black_box(value);
    }
}

/// A request through the layer, with its entry span if there is a sampler.
fn layer(sampler: Option<Sampler>, authorization: Option<&str>) -> Result<Cost, Failure> {
    let validator = Validator::fixed(&registry()?)?.clock(NOW).cache(CacheConfig::default());
    let seals = seals()?;
    let exporter = SealingExporter::new(Nowhere, &seals.sealer);
    let batch = Batch(Arc::new((Mutex::default(), exporter)));
    let mut layer =
        IdentityLayer::new(Arc::new(validator), seals.sealer, seals.checker, "orders").clock(Arc::new(NOW));
    if let Some(sampler) = sampler {
        let provider =
            SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(batch.clone()).build();
        layer = layer.spans(BoxedTracer::new(Box::new(provider.tracer("bench"))));
    }
    let mut service = layer.layer(Nothing);
    let authorization = authorization.map(str::parse::<HeaderValue>).transpose()?;
    // Making a request is not the layer's affair.
    let request = || {
        let mut request = Request::new(());
        if let Some(value) = &authorization {
            request.headers_mut().insert("authorization", value.clone());
        }
        request
    };
    let made = cost(100, BATCH, |_| drop(black_box(request())), || ())?;
    let whole = cost(
        100,
        BATCH,
        |_| {
            black_box(ready(service.call(request())).is_some_and(|response| response.is_ok()));
        },
        || batch.export(),
    )?;
    Ok(Cost {
        seconds: whole.seconds - made.seconds,
        ratio: whole.ratio - made.ratio,
        allocations: whole.allocations.saturating_sub(made.allocations),
    })
}

fn main() -> Result<ExitCode, Failure> {
    // One alone, for a profiler: `limits layer`, `limits recorded`.
    let bearer = format!("Bearer {}", token()?);
    let what = std::env::args().nth(1);
    TIMED.store(!matches!(what.as_deref(), Some("layer" | "recorded")), Ordering::Relaxed);
    match what.as_deref() {
        Some("recorded") => return layer(Some(Sampler::AlwaysOn), Some(&bearer)).map(|_| ExitCode::SUCCESS),
        Some("layer") => return layer(Some(Sampler::AlwaysOff), Some(&bearer)).map(|_| ExitCode::SUCCESS),
        _ => {}
    }
    let seals = seals()?;
    let validator = Validator::fixed(&registry()?)?.clock(NOW).cache(CacheConfig::default());
    let shown = Token::new(token()?);
    let answer = ready(validator.validate(&shown, Credential::AccessToken)).ok_or("waits")??;
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

    let first = sealed.first().ok_or("none")?;
    let binding = Binding::new("example.org", trace(0)).ok_or("no binding")?;
    let signs = 120 + hopseal_identity::seal::payload(&binding, &first.members()).len() * 4 / 3;
    if signs != SIGNED {
        return Err(format!("a seal signs {signs} bytes").into());
    }

    let new = cost(
        // Each once.
        1000,
        8,
        |turn| {
            let place = at(turn);
            if let (Some(carried), Some(trace)) = (sealed.get(place), traces.get(place)) {
                black_box(seals.checker.check(carried, *trace, NOW).is_ok());
            }
        },
        || (),
    )?;
    let again = cost(
        200,
        1000,
        |_| {
            black_box(seals.checker.check(black_box(first), trace(0), NOW).is_ok());
        },
        || (),
    )?;
    let cached = cost(
        200,
        500,
        |_| {
            black_box(ready(validator.validate(black_box(&shown), Credential::AccessToken)).is_some());
        },
        || (),
    )?;
    let span = SpanContext::new(
        TraceId::from_bytes(trace(0)),
        SpanId::from_bytes([9; 8]),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    let cx = Context::new().with_remote_span_context(span).with_value(HopIdentity::asserted(first.clone()));
    let propagator = Propagator::new("orders").egress(Egress::Allowed).clock(Arc::new(NOW));
    let injected = cost(200, 500, |_| propagator.inject_context(black_box(&cx), &mut Nowhere), || ())?;

    let (on, off) = (Some(Sampler::AlwaysOn), Some(Sampler::AlwaysOff));
    let mut passed = false;
    for (what, cost, limit, allocations) in [
        ("a seal that is new", new, 1.2, 7),
        ("a seal that was seen in this trace", again, 1.0 / VERIFY, 2),
        ("a token in the cache", cached, 1.5 / VERIFY, 0),
        ("injection", injected, 1.0 / VERIFY, 2),
        ("the layer, a token in its cache, sampled", layer(on, Some(&bearer))?, 5.0 / VERIFY, 19),
        (
            "the layer, a token in its cache, not sampled",
            layer(off.clone(), Some(&bearer))?,
            2.0 / VERIFY,
            14,
        ),
        ("the layer, nobody, not sampled", layer(off, None)?, 1.0 / VERIFY, 8),
        ("the layer, nobody, in no trace", layer(None, None)?, 0.5 / VERIFY, 0),
    ] {
        let Cost { seconds, ratio, allocations: made } = cost;
        passed |= ratio > limit || made > allocations;
        let took = seconds * 1e6;
        println!(
            "{what}: {took:.2} us, {ratio:.3} of a signature, at most {limit:.3}; {made} allocations, at most {allocations}"
        );
    }
    Ok(if passed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

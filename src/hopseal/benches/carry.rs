//! What it costs to carry an identity: baggage in and out, checking a seal, and how much of that is the signature alone.
//!
//! Allocations are counted too: a request of nobody that is not sampled must have none.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use divan::{Bencher, black_box};
use hopseal::otel::{Egress, HopIdentity, Propagator};
use hopseal::seal::{MaySeal, SealChecker, SealRule, Sealers};
use hopseal::{Registry, UnixTime};
use hopseal_identity::attribute::{ACT, EXP, IAT, ISS, KIND, SUB, TENANT, TXN};
use hopseal_identity::baggage::{Baggage, Carried, Writer};
use hopseal_identity::seal::{Binding, KeySet, Members, SealingKey};
use hopseal_identity::{CrossingCount, seal};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};

#[global_allocator]
static ALLOCATIONS: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

const TRACE: [u8; 16] = [0x4b; 16];
const NOW: UnixTime = UnixTime(1_767_225_660);
/// RFC 8037 appendix A.1.
const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"gateway.1","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

struct Header(Option<String>);

impl Extractor for Header {
    fn get(&self, _: &str) -> Option<&str> {
        self.0.as_deref()
    }
    fn keys(&self) -> Vec<&str> {
        vec!["baggage"]
    }
}

struct Nowhere;

impl Injector for Nowhere {
    fn set(&mut self, _: &str, value: String) {
        black_box(value);
    }
}

fn key() -> SealingKey {
    SealingKey::from_jwk(KEY.as_bytes()).unwrap_or_else(|_| std::process::abort())
}

fn carried() -> Option<Carried> {
    let mut members = Members::default();
    for (name, value) in [
        (ACT, "q83vEjRWeJA.AAAAAAAAAAA"),
        (EXP, "1767225720"),
        (IAT, "1767225600"),
        (ISS, "staff"),
        (KIND, "user"),
        (SUB, "p1.Yx3kQ0m8Zt5r1vBnW2pLdA"),
        (TENANT, "acme"),
        (TXN, "Yx3kQ0m8Zt5r1vBnW2pLdA"),
    ] {
        members.set(name, value).ok()?;
    }
    let seal = key().seal(&Binding::new("example.org", TRACE)?, &members).ok()?;
    Carried::new(&members, Some(&seal), Some(CrossingCount::START.next("gateway", [1; 8]))).ok()
}

fn header() -> String {
    let mut writer = Writer::new(carried().as_ref());
    writer.add("theme", "dark", "");
    writer.add("cart", "50 %", "");
    writer.finish()
}

fn checker() -> Option<SealChecker> {
    let registry = Registry::from_yaml(
        "
issuers:
  - {name: staff, kind: oidc, issuer: https://id.example.com, audiences: [orders], algorithms: [RS256]}
  - {name: seals, kind: seal, issuer: example.org, jwks: '{\"keys\":[]}'}
",
    )
    .ok()?;
    let gateway = SealRule::new("gateway", "gateway").may_seal(MaySeal::issuers(["staff"]));
    let sealers = Sealers::new(&registry, "seals", [gateway]).ok()?;
    let (keys, _) = KeySet::from_jwks(format!(r#"{{"keys":[{}]}}"#, key().public_jwk()).as_bytes()).ok()?;
    Some(SealChecker::new(keys, Arc::new(sealers), 5))
}

/// The context of a request, sampled or not, that nobody records.
fn remote(flags: TraceFlags) -> Context {
    let (trace, span) = (TraceId::from_bytes(TRACE), SpanId::from_bytes([9; 8]));
    Context::new().with_remote_span_context(SpanContext::new(trace, span, flags, true, TraceState::default()))
}

fn propagator() -> Propagator {
    Propagator::new("spiffe://example.org/orders").egress(Egress::Allowed)
}

#[divan::bench]
fn read_header(bencher: Bencher<'_, '_>) {
    let header = header();
    bencher.bench(|| Baggage::read([black_box(header.as_str())]));
}

#[divan::bench]
fn extract(bencher: Bencher<'_, '_>) {
    let (propagator, cx, header) = (propagator(), remote(TraceFlags::SAMPLED), Header(Some(header())));
    bencher.bench(|| propagator.extract_with_context(black_box(&cx), &header));
}

/// No identity, nothing to add, not sampled: no allocation.
#[divan::bench]
fn extract_nobody(bencher: Bencher<'_, '_>) {
    let (propagator, cx, header) = (propagator(), remote(TraceFlags::default()), Header(None));
    bencher.bench(|| propagator.extract_with_context(black_box(&cx), &header));
}

/// At most 1 us.
#[divan::bench]
fn inject(bencher: Bencher<'_, '_>) {
    let propagator = propagator();
    let cx = propagator.extract_with_context(&remote(TraceFlags::SAMPLED), &Header(Some(header())));
    bencher.bench(|| propagator.inject_context(black_box(&cx), &mut Nowhere));
}

/// As `inject`, without the two members of others.
#[divan::bench]
fn inject_identity_alone(bencher: Bencher<'_, '_>) {
    let cx = remote(TraceFlags::SAMPLED);
    let cx = carried().map_or(cx.clone(), |carried| cx.with_value(HopIdentity::asserted(carried)));
    let propagator = propagator();
    bencher.bench(|| propagator.inject_context(black_box(&cx), &mut Nowhere));
}

/// No allocation.
#[divan::bench]
fn inject_nobody(bencher: Bencher<'_, '_>) {
    let (propagator, cx) = (propagator(), remote(TraceFlags::default()));
    bencher.bench(|| propagator.inject_context(black_box(&cx), &mut Nowhere));
}

/// The carrier of the SDK's examples, to compare with others.
#[divan::bench]
fn inject_into_a_map(bencher: Bencher<'_, '_>) {
    let propagator = propagator();
    let cx = propagator.extract_with_context(&remote(TraceFlags::SAMPLED), &Header(Some(header())));
    bencher.bench(|| {
        let mut carrier: HashMap<String, String> = HashMap::new();
        propagator.inject_context(black_box(&cx), &mut carrier);
        carrier
    });
}

/// At most 1.2 times `bare_signature`.
#[divan::bench]
fn check_seal(bencher: Bencher<'_, '_>) {
    let (Some(checker), Some(carried)) = (checker(), carried()) else { return };
    bencher.bench(|| checker.check(black_box(&carried), TRACE, NOW).is_ok());
}

#[divan::bench]
fn make_seal(bencher: Bencher<'_, '_>) {
    let (key, Some(carried)) = (key(), carried()) else { return };
    let Some(binding) = Binding::new("example.org", TRACE) else { return };
    bencher.bench(|| key.seal(black_box(&binding), &carried.members()));
}

/// Verifying as many bytes as a seal signs, and nothing else.
#[divan::bench]
fn bare_signature(bencher: Bencher<'_, '_>) {
    let (Some(carried), Ok(pair)) = (carried(), Ed25519KeyPair::generate()) else { return };
    let Some(binding) = Binding::new("example.org", TRACE) else { return };
    let payload = seal::payload(&binding, &carried.members());
    let signed = vec![b'x'; 120 + payload.len() * 4 / 3];
    let signature = pair.sign(&signed);
    let Ok(public) = ParsedPublicKey::new(&ED25519, pair.public_key().as_ref()) else { return };
    bencher.bench(|| public.verify_sig(black_box(&signed), signature.as_ref()).is_ok());
}
